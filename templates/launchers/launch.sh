# launch JOB LOG PRE POST STDIN STDOUT STDERR DIRECTORY COMMAND [ARGUMENTS]: all of a job's work, for a script that is not ours.
# It ends with the command's exit code, or with that of the step that failed before it. In the folder that it lies in, `step`
# says how far it came, and what kept the command from beginning; `progress` when it was launched.
job=$1 log=$2 pre_launch=$3 post_launch=$4 input=$5 output=$6 errors=$7 directory=$8
shift 8
folder=${0%/*}
note() {
    printf '%(%Y-%m-%d %H:%M:%S)T job %s: %s\n' -1 "$job" "$1" >> "$log"
}
step() {
    printf '%s\n' "$1" "$2" > "$folder/step"
}
fail() {
    echo "psij-ext: $1" >&2
    note "$1"
    trap - EXIT
    exit "${2:-1}"
}
# What the exit code of an earlier run said is not about this one.
command -p rm -f -- "$folder"/*.ec
attempt=1
[ ! -e "$folder/progress" ] || while read -r _; do
    attempt=$((attempt + 1))
done < "$folder/progress"
step directory
cd -- "$directory" || fail "the job's directory cannot be entered"
if [ -n "$pre_launch" ]; then
    step pre_launch
    note 'pre-launch'
    # It may end this shell, or replace it.
    trap 'code=$?; fail "the pre-launch script ended the job; nothing was launched" "$((code ? code : 1))"' EXIT
    source "$pre_launch"
    code=$?
    trap - EXIT
    set +euCf
    [ "$code" -eq 0 ] || fail 'the pre-launch script failed; nothing was launched' "$code"
fi
step launch "$input"
exec {opened_input}< "$input" || fail "$input cannot be opened"
step launch "$output"
exec {opened_output}> "$output" || fail "$output cannot be opened"
# Two outputs to one file are opened once: each would overwrite the other.
if [ "$output" = "$errors" ]; then
    exec {opened_errors}>&"$opened_output"
else
    step launch "$errors"
    exec {opened_errors}> "$errors" || fail "$errors cannot be opened"
fi
note "launches $1"
[ -n "$EPOCHREALTIME" ] && now=${EPOCHREALTIME/[!0-9]/.} || printf -v now '%(%s)T' -1
printf '%s ACTIVE %s\n' "$attempt" "$now" >> "$folder/progress"
step launch
"$@" <&"$opened_input" >&"$opened_output" 2>&"$opened_errors" \
    {opened_input}<&- {opened_output}>&- {opened_errors}>&-
code=$?
step done
case $code in
    126 | 127) command -v -- "$1" > /dev/null || step launch "$1" ;;
esac
note "the command ended with code $code"
[ -z "$post_launch" ] || (source "$post_launch")
exit "$code"
