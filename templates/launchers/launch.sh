# launch JOB LOG PRE POST STDIN STDOUT STDERR DIRECTORY COMMAND [ARGUMENTS]: all of a job's work, for a script that is not ours.
# It ends with the command's exit code, or with that of the step that failed before it.
job=$1 log=$2 pre_launch=$3 post_launch=$4 input=$5 output=$6 errors=$7 directory=$8
shift 8
note() {
    printf '%(%Y-%m-%d %H:%M:%S)T job %s: %s\n' -1 "$job" "$1" >> "$log"
}
fail() {
    echo "psij-ext: $1" >&2
    note "$1"
    exit "${2:-1}"
}
cd -- "$directory" || fail "the job's directory cannot be entered"
if [ -n "$pre_launch" ]; then
    note 'pre-launch'
    source "$pre_launch" || fail 'the pre-launch script failed; nothing was launched' "$?"
fi
note "launches $1"
# Two outputs to one file are opened once: each would overwrite the other.
if [ "$output" = "$errors" ]; then
    "$@" < "$input" > "$output" 2>&1
else
    "$@" < "$input" > "$output" 2> "$errors"
fi
code=$?
note "the command ended with code $code"
[ -z "$post_launch" ] || (source "$post_launch")
exit "$code"
