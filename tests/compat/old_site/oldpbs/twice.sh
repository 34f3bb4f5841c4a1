#!/bin/bash
source "$(dirname "$0")/launcher_lib.sh"
count=$1
shift
log "starts $count copies for $_PSI_J_JOB_ID"
pre_launch
set +e
for ((number = 0; number < count; number++)); do
    "$@"
    code=$?
done < "$_PSI_J_STDIN" > "$_PSI_J_STDOUT" 2> "$_PSI_J_STDERR"
set -e
post_launch
echo _PSI_J_LAUNCHER_DONE
exit "$code"
