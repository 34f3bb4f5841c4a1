# Runs one job of the `local` executor: waits until cores are free for it, runs the script in a process group of its own, ends it
# when it is cancelled or its time is over, and sees to it that its end is on record. executors/local.py starts it with
#
#   bash -p supervisor.sh FOLDER SLOTS MAXIMUM LIMIT GRACE MAILBOX
#
# and then writes the name of its place in SLOTS/waiting, TICKET.PID.START.CORES, on its standard input. Where FOLDER/others names
# jobs to wait for, by kind, native id and folder, the place is in SLOTS/held. FOLDER is the job's;
# SLOTS is where all jobs of the user on this machine take their places (runtime/slots.py); MAXIMUM is how many cores these jobs
# may use together; LIMIT is the wall time in seconds or empty; GRACE the milliseconds from TERM to KILL; MAILBOX where hints go.
#
# While it waits it sleeps in the kernel and starts no other process, so that a thousand of them cost little. All names begin with
# psij_, because a variable that the job inherits is not ours to change; -p leaves functions and options in the environment alone.
# All is in functions, so that bash has read all of it before a new version of this file can come in between.

psij_supervise() {
    psij_folder=$1 psij_slots=$2 psij_maximum=$3 psij_limit=$4 psij_grace=$5 psij_mailbox=$6
    psij_script= psij_asked= psij_began=
    psij_posix=$POSIXLY_CORRECT
    set +o posix # in which a failing redirection would end us
    shopt -s nullglob
    psij_close_inherited
    # Nothing comes if the program that starts us has died; then nobody knows of this job.
    IFS= read -r psij_place || exit 1
    psij_native_id=${psij_place#*.} psij_native_id=${psij_native_id%.*}
    trap psij_end_unstarted TERM
    # The pipe that brought the name stays open as 8, for whoever waits behind us. What bash says of killed children is not for 2.
    exec 8<>"/proc/$$/fd/0" 0</dev/null 5>&2 2>/dev/null
    cd -- "$psij_folder" || exit
    [ ! -e others ] || psij_wait_for_others
    psij_wait_for_turn
    psij_take_cores
    psij_run_script
    psij_leave
}

# A program may have files open that it does not mean for its children; a pipe among them would never come to its end.
psij_close_inherited() {
    local psij_descriptor
    for psij_descriptor in /proc/$$/fd/*; do
        psij_descriptor=${psij_descriptor##*/}
        case $psij_descriptor in
            0 | 1 | 2 | 255) ;; # bash reads this file through 255
            *) exec {psij_descriptor}>&- ;;
        esac
    done
}

# ---- waiting ----------------------------------------------------------------------------------------------------

# Waits until all jobs are over that this one waits for, and joins the line of those that wait for cores; ends where one of them
# ended otherwise than it was to. Whoever ends writes a line into our pipe; a look now and then finds those who were killed.
psij_wait_for_others() {
    local psij_others psij_next=0 psij_ended
    mapfile -d '' psij_others < others
    while ((psij_next < ${#psij_others[@]})); do
        psij_look_at_other "${psij_others[psij_next + 1]}" "${psij_others[psij_next + 2]}"
        case ${psij_others[psij_next]}:$psij_ended in
            *:) IFS= read -r -t 2 -u 8 ;;
            after_any:* | after_ok:ok | after_not_ok:failed) ((psij_next += 3)) ;;
            *) psij_end_in_vain ;;
        esac
    done
    psij_join_line
}

# psij_look_at_other NATIVE_ID FOLDER: sets psij_ended to `ok`, `failed` or, while that job is not over, nothing.
psij_look_at_other() {
    local psij_line psij_code= psij_phase= psij_term=1
    psij_ended=
    # One without a record, whose supervisor and script are gone, was killed.
    if [ ! -e "$2/exit" ] && { psij_is_alive "0.$1.0" || psij_has_session "${1%%.*}"; }; then
        return
    fi
    while IFS= read -r psij_line; do
        case $psij_line in
            exit_code=*) psij_code=${psij_line#*=} ;;
            phase=*) psij_phase=${psij_line#*=} ;;
            term=*) psij_term=${psij_line#*=} ;;
        esac
    done < "$2/exit"
    psij_ended=failed
    [[ $psij_code:$psij_term != 0: || $psij_phase != done && $psij_phase != post_launch ]] || psij_ended=ok
}

# psij_has_session LEADER: whether a process of this session runs.
psij_has_session() {
    local psij_other
    for psij_other in /proc/[1-9]*; do
        if psij_look_at "${psij_other#/proc/}" && [ "${psij_fields[3]}" = "$1" ]; then
            return 0
        fi
    done
    return 1
}

# Takes the last place of those that wait, behind all who are there. Nobody else may take one meanwhile: see runtime/slots.py.
psij_join_line() {
    local psij_other psij_ticket=${psij_place%%.*} psij_last
    exec 7<>"$psij_slots/lock"
    command -p flock 7
    for psij_other in "$psij_slots"/waiting/*; do
        psij_last=${psij_other##*/} psij_last=${psij_last%%.*}
        [[ $psij_last < $psij_ticket ]] || printf -v psij_ticket '%020d' $((10#$psij_last + 1))
    done
    psij_other=$psij_place
    psij_place=$psij_ticket.${psij_place#*.}
    command -p mv -f -- "$psij_slots/held/$psij_other" "$psij_slots/waiting/$psij_place"
    exec 7>&-
}

# Waits until nobody who came earlier waits. Each waits for the one before, whose end closes the other end of a pipe.
psij_wait_for_turn() {
    local psij_other psij_before
    while :; do
        psij_before=
        for psij_other in "$psij_slots"/waiting/*; do
            [[ ${psij_other##*/} < $psij_place ]] || break
            psij_before=$psij_other
        done
        [ -n "$psij_before" ] || return 0
        if ! psij_is_alive "$psij_before"; then
            command -p rm -f -- "$psij_before"
        elif exec 6<>"/proc/$psij_pid/fd/8" 7<"/proc/$$/fd/6" 6>&-; then
            IFS= read -r -d '' -u 7
            exec 7<&-
        else # it is just starting, or has just taken its cores
            command -p sleep 0.02
        fi
    done
}

# Waits until enough cores are free, and takes them. Whoever gives cores back writes a line into the pipe `wake`; a look every
# second finds those who were killed.
psij_take_cores() {
    local psij_other psij_used psij_gone
    exec 9<>"$psij_slots/wake"
    while :; do
        psij_used=${psij_place##*.} psij_gone=()
        for psij_other in "$psij_slots"/running/*; do
            case ${psij_other##*.} in '' | *[!0-9]*) continue ;; esac # no place
            if psij_is_alive "$psij_other"; then
                ((psij_used += ${psij_other##*.}))
            else
                psij_gone+=("$psij_other")
            fi
        done
        ((psij_used > psij_maximum)) || break
        IFS= read -r -t 1 -u 9
        [ $? -ne 1 ] || command -p sleep 1 # somebody removed the pipe
    done
    [ ${#psij_gone[@]} -eq 0 ] || command -p rm -f -- "${psij_gone[@]}"
    command -p mv -f -- "$psij_slots/waiting/$psij_place" "$psij_slots/running/$psij_place"
    exec 8>&- 9>&-
}

psij_leave() {
    local psij_other
    command -p rm -f -- "$psij_slots"/{held,waiting,running}/"$psij_place"
    [ ! -p "$psij_slots/wake" ] || echo 1<>"$psij_slots/wake"
    for psij_other in "$psij_slots"/held/*; do
        if ! psij_is_alive "$psij_other"; then
            command -p rm -f -- "$psij_other"
        elif [ -p "/proc/$psij_pid/fd/8" ]; then
            echo 1<>"/proc/$psij_pid/fd/8"
        fi
    done
}

# psij_is_alive PLACE: whether the supervisor that has this place runs; sets psij_pid.
psij_is_alive() {
    local psij_start=${1##*/}
    psij_start=${psij_start#*.}
    psij_pid=${psij_start%%.*} psij_start=${psij_start#*.}
    psij_look_at "$psij_pid" && [ "${psij_fields[19]}" = "${psij_start%%.*}" ]
}

# psij_look_at PID: whether this process runs; sets psij_fields to what proc(5) says in stat behind the name: state, parent,
# group, session, ..., and as number 19 the start.
psij_look_at() {
    local psij_line=
    IFS= read -r -d '' psij_line < "/proc/$1/stat"
    psij_fields=(${psij_line##*) })
    [ -n "$psij_line" ] && [[ ${psij_fields[0]} != [ZX] ]]
}

# ---- running ----------------------------------------------------------------------------------------------------

psij_run_script() {
    local psij_code
    psij_timers=() psij_lines_read=0
    trap 'psij_asked=${psij_asked:-cancel}' TERM
    trap 'psij_asked=${psij_asked:-limit}' USR1
    trap psij_end_later USR2
    psij_now
    psij_began=$psij_time
    set -m # gives each command in the background a process group
    {
        [ -z "$psij_posix" ] || export POSIXLY_CORRECT=$psij_posix
        export psij_native_id
        exec /bin/bash -- "$psij_folder/script"
    } 2>&5 5>&- &
    psij_script=$!
    set +m
    umask 077
    [ -z "$psij_limit" ] || psij_start_timer "$psij_limit" USR1
    # `wait` comes back early from a signal, and was seen to do so before the trap had run. Of what has ended it tells the code as
    # often as it is asked.
    while [ -z "$psij_asked" ] && kill -s 0 "$psij_script"; do
        wait "$psij_script"
    done
    [ -n "$psij_asked" ] || wait "$psij_script"
    psij_code=$?
    trap : USR2
    [ ${#psij_timers[@]} -eq 0 ] || kill -s KILL -- "${psij_timers[@]/#/-}"
    if [ -n "$psij_asked" ] || kill -s 0 -- "-$psij_script"; then
        psij_end_session
        wait "$psij_script"
        psij_code=$?
    fi
    # The script says 125 where it was not for it to run. Else it has left a record, unless it was killed.
    [ -e "$psij_folder/exit" ] || [ "$psij_code" -eq 125 ] || psij_record "$psij_code" "$(psij_phase)" "${psij_asked:+1}"
}

# Somebody asks by USR2 for the end of the job after so many seconds as stand in a new line of the file `end_after`.
psij_end_later() {
    local psij_lines psij_line
    mapfile -t -s "$psij_lines_read" psij_lines < "$psij_folder/end_after"
    for psij_line in "${psij_lines[@]}"; do
        ((++psij_lines_read))
        psij_start_timer "$psij_line" TERM
    done
}

# psij_start_timer SECONDS SIGNAL: sends this process a signal later.
psij_start_timer() {
    set -m
    {
        command -p sleep "$1"
        kill -s "$2" $$
    } 5>&- &
    psij_timers+=("$!")
    set +m
}

# Ends what runs in the job's session: with TERM, and with KILL after the grace. The script comes last, so that it can still
# write its record and deliver the files that it is to deliver when it was cancelled.
psij_end_session() {
    trap : TERM USR1 USR2
    psij_send_term
    psij_await_end && return
    psij_send_kill "$psij_script"
    psij_await_end && return
    psij_send_kill
}

# Sends TERM to each process of the session: to the script first, which learns from it why the others end, and to the others in
# the order in which they were started, since a shell that waits for a program must have it before that program ends. The script
# passes it on to a program that is not among them, since it was started a moment later.
psij_send_term() {
    local psij_process
    psij_list_session
    [ -z "$psij_asked" ] || printf '%s\n' "$psij_asked" "${!psij_members[*]}" > "$psij_folder/ended_by"
    [ -z "${psij_members[psij_script]}" ] || kill -s TERM "$psij_script"
    for psij_process in "${!psij_members[@]}"; do
        [ "$psij_process" = "$psij_script" ] || kill -s TERM "$psij_process"
        kill -s CONT "$psij_process" # a stopped process heeds no TERM
    done
}

# psij_send_kill [PROCESS]: sends KILL to each process of the session but this one.
psij_send_kill() {
    local psij_process
    psij_list_session
    for psij_process in "${!psij_members[@]}"; do
        [ "$psij_process" = "$1" ] || kill -s KILL "$psij_process"
    done
}

# Waits for the end of the session, at most for the grace.
psij_await_end() {
    local psij_seconds psij_pause=10 psij_left=$psij_grace
    while psij_list_session; do
        ((psij_left > 0)) || return 1
        printf -v psij_seconds '0.%03d' "$psij_pause"
        command -p sleep "$psij_seconds"
        ((psij_left -= psij_pause, psij_pause = psij_pause < 200 ? psij_pause * 2 : 200))
    done
}

# Makes the processes that run in the session, but for the supervisor's own group, the indices of psij_members. Not all are in the
# group of the script: timeout(1), for one, has its own. Fails if there are none.
psij_list_session() {
    local psij_other
    psij_members=()
    for psij_other in /proc/[1-9]*; do
        if psij_look_at "${psij_other#/proc/}" && [ "${psij_fields[3]}" = $$ ] && [ "${psij_fields[2]}" != $$ ]; then
            psij_members[${psij_other#/proc/}]=1
        fi
    done
    [ ${#psij_members[@]} -gt 0 ]
}

# ---- telling ----------------------------------------------------------------------------------------------------

# Ends a job that was cancelled while it waited.
psij_end_unstarted() {
    umask 077
    trap : TERM
    echo cancel > "$psij_folder/ended_by"
    psij_record 143 claim 1
    psij_leave
    exit
}

# Ends a job that can never begin, because another one ended otherwise than it was to.
psij_end_in_vain() {
    trap : TERM
    psij_record 1 dependency ''
    psij_leave
    exit
}

# Prints the step that the script was in, as far as it said so.
psij_phase() {
    local psij_state psij_phase=pre_launch
    while read -r _ psij_state _; do
        psij_phase=${psij_state,,}
    done < "$psij_folder/progress"
    echo "${psij_phase/#active/launch}"
}

psij_now() {
    psij_time=${EPOCHREALTIME/,/.}
    [ -n "$psij_time" ] || printf -v psij_time '%(%s)T' -1
}

# psij_record CODE PHASE TERM: writes the exit record and tells it, as templates/common/epilogue.mustache does. What killed
# processes used, nobody can tell who did not wait for them.
psij_record() {
    local psij_time psij_follower psij_text
    psij_now
    printf -v psij_text '%s=%s\n' attempt 1 native_id "$psij_native_id" exit_code "$1" phase "$2" term "$3" \
        began "$psij_began" ended "$psij_time"
    # All of what the script may have begun to write there.
    printf '%-512s\n' "$psij_text" 1<> "$psij_folder/exit.new" && command -p mv -fT -- "$psij_folder/exit.new" "$psij_folder/exit"
    [ ! -d "$psij_mailbox" ] || : > "$psij_mailbox/${psij_folder##*/}"
    [ ! -e "$psij_folder/followers" ] || while IFS= read -r -d '' psij_follower; do
        [ ! -d "$psij_follower" ] || : > "$psij_follower/${psij_folder##*/}"
    done < "$psij_folder/followers"
}

psij_supervise "$@"
exit
