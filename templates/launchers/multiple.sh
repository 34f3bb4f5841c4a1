# multiple COUNT COMMAND [ARGUMENTS]: starts so many copies of a command on this host, waits for all of them, and ends with
# the exit code of the first copy, by number, that failed. Signals go on to the copies.
count=$1
shift
children=() keepers=() pipes=() ending=
# All substitutions come before the first trap: a signal that comes during one is lost (seen in bash 5.2, which parses its text
# then, and the trap's as if it were a part of it).
exec {input}<&0 {output}>&1 {still}<> <(:)
# This shell and those in between have no words of their own about how a copy or one of them ended.
exec {errors}>&2 2> /dev/null
for ((number = 0; number < count; number++)); do
    exec {pipe}<> <(:)
    pipes+=("$pipe")
done
pass_on() {
    case $1 in USR1 | USR2) ;; *) ending=$1 ;; esac
    [ ${#children[@]} -eq 0 ] || kill -s "$1" "${children[@]}" 2>/dev/null
}
for signal in HUP INT QUIT TERM USR1 USR2; do
    trap "pass_on $signal" "$signal"
done
for ((number = 0; number < count; number++)); do
    # A shell in between keeps a copy's exit code, which `wait` can lose when a signal comes; see the script of a job.
    {
        trap : HUP INT QUIT TERM USR1 USR2
        (
            # The shell lets a command in the background ignore INT and QUIT; a copy shall get them like any other.
            trap - HUP INT QUIT TERM USR1 USR2
            printf '%s\n' "$BASHPID"
            for pipe in "${pipes[@]}" "$still"; do
                exec {pipe}<&-
            done
            exec -- "$@" <&"$input" >&"$output" {input}<&- {output}>&-
        ) 2>&"$errors" {errors}>&-
        printf '%s\n' "$?"
    } >&"${pipes[number]}" &
    keepers+=($!)
    # Nothing is read that is not there yet: a signal that comes while `read` waits can take from it what it has read.
    until read -t 0 -u "${pipes[number]}"; do
        kill -s 0 $! 2>/dev/null || break
        read -t 0.002 -u "$still"
    done
    child=
    ! read -t 0 -u "${pipes[number]}" || read -r -u "${pipes[number]}" child
    children+=($child)
    # A copy that was not there yet when the signal came shall not outlive the others.
    [ -z "$ending" ] || kill -s "$ending" $child 2>/dev/null
done
# `wait` comes back early from a signal, and was seen to do so before the trap had run.
for keeper in "${keepers[@]}"; do
    while kill -s 0 "$keeper"; do
        wait "$keeper"
    done
done
code=0
for ((number = 0; number < count; number++)); do
    status=137 # without a code the shell in between was killed
    ! read -t 0 -u "${pipes[number]}" || read -r -u "${pipes[number]}" status
    [ "$code" -ne 0 ] || code=$status
done
exit "$code"
