# What scripts of launchers may read in that were written for PSI/J: source "$(dirname "$0")/launcher_lib.sh"
# They are called with: JOB LOG PRE POST STDIN STDOUT STDERR [WHAT THE LAUNCHER ADDS] COMMAND [ARGUMENTS]
# Afterwards these seven are variables, "$@" is the rest, descriptors 3 and 4 lead to the log, and a command that fails ends
# the script. Its last line on standard output is to be _PSI_J_LAUNCHER_DONE, once the launch as such has succeeded.
set -e
_PSI_J_JOB_ID=$1 _PSI_J_LOG_FILE=${2:-/dev/null} _PSI_J_PRE_LAUNCH=$3 _PSI_J_POST_LAUNCH=$4
_PSI_J_STDIN=${5:-/dev/null} _PSI_J_STDOUT=${6:-/dev/null} _PSI_J_STDERR=${7:-/dev/null}
shift 7
exec 3>> "$_PSI_J_LOG_FILE" 4>&3

ts() {
    printf '%(%Y-%m-%d %H:%M:%S)T' -1
}

log() {
    echo "$(ts) $_PSI_J_JOB_ID $*" >&3
}

pre_launch() {
    [ -z "$_PSI_J_PRE_LAUNCH" ] || source "$_PSI_J_PRE_LAUNCH"
}

post_launch() {
    [ -z "$_PSI_J_POST_LAUNCH" ] || source "$_PSI_J_POST_LAUNCH"
}
