# multiple COUNT COMMAND [ARGUMENTS]: starts so many copies of a command on this host, waits for all of them, and ends with
# the exit code of the first copy, by number, that failed. Signals go on to the copies.
count=$1
shift
children=() keepers=() pipes=() interrupted= ending=
pass_on() {
    interrupted=1
    case $1 in USR1 | USR2) ;; *) ending=$1 ;; esac
    [ ${#children[@]} -eq 0 ] || kill -s "$1" "${children[@]}" 2>/dev/null
}
for signal in HUP INT QUIT TERM USR1 USR2; do
    trap "pass_on $signal" "$signal"
done
exec {input}<&0 {output}>&1
for ((number = 0; number < count; number++)); do
    # A shell in between keeps a copy's exit code, which `wait` can lose when a signal comes; see the script of a job.
    exec {pipe}< <(
        trap : HUP INT QUIT TERM USR1 USR2
        (
            # The shell lets a command in the background ignore INT and QUIT; a copy shall get them like any other.
            trap - HUP INT QUIT TERM USR1 USR2
            printf '%s\n' "$BASHPID"
            for pipe in "${pipes[@]}"; do
                exec {pipe}<&-
            done
            exec -- "$@" <&"$input" >&"$output" {input}<&- {output}>&-
        )
        printf '%s\n' "$?"
    )
    keepers+=($!) pipes+=("$pipe")
    read -r child <&"$pipe"
    children+=("$child")
    # A copy that was not there yet when the signal came shall not outlive the others.
    [ -z "$ending" ] || kill -s "$ending" "$child" 2>/dev/null
done
for keeper in "${keepers[@]}"; do
    while interrupted=; do
        wait "$keeper"
        [ -n "$interrupted" ] || break
    done
done
code=0
for pipe in "${pipes[@]}"; do
    read -r status <&"$pipe"
    [ "$code" -ne 0 ] || code=${status:-137}
done
exit "$code"
