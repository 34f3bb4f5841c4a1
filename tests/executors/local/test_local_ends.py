"""How local jobs end: by themselves, by signals, when they are cancelled, when their time is over."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from local_machine import (
    Machine,
    end,
    kill_session,
    leader,
    program,
    runs,
    script_of,
    until,
)

from psij_ext import (
    Job,
    JobState,
    StageOut,
    StageOutFlags,
)
from psij_ext.core.exit_info import ExitReason
from psij_ext.runtime import processes
from psij_ext.runtime.jobfolder import JobFolder

# -- exit codes and signals


@pytest.mark.parametrize(('script', 'expected'), [
    ('exit 0', (JobState.COMPLETED, 0, ExitReason.EXITED, None)),
    ('exit 3', (JobState.FAILED, 3, ExitReason.EXITED, None)),
    ('exit 137', (JobState.FAILED, 137, ExitReason.SIGNALED, 9)),  # nothing tells it from a killed program
    ('kill -9 $$', (JobState.FAILED, 137, ExitReason.SIGNALED, 9)),
    ('kill -SEGV $$', (JobState.FAILED, 139, ExitReason.SIGNALED, 11)),
    ('exit 255', (JobState.FAILED, 255, ExitReason.EXITED, None)),
])
def test_exit_codes(machine: Machine, script: str, expected: tuple[object, ...]) -> None:
    assert end(machine.shell(machine.executor(), script)) == expected


def test_a_killed_script_is_put_on_record(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'echo $$ > pid; touch ready; await never')
    os.kill(script_of(job), signal.SIGKILL)
    assert end(job) == (JobState.FAILED, 137, ExitReason.SIGNALED, 9)
    until(lambda: not processes.in_session(leader(job)))  # the program does not run on without it


def test_a_script_killed_before_the_launch(machine: Machine) -> None:
    (machine.folder / 'before').write_text('touch ready; sleep 1000')
    job = machine.running(machine.executor(), 'true', pre_launch=machine.folder / 'before')
    os.kill(script_of(job), signal.SIGKILL)
    assert end(job)[:3] == (JobState.FAILED, 137, ExitReason.LAUNCH_FAILED)
    assert 'pre_launch' in str(job.status.message)
    until(lambda: not processes.in_session(leader(job)))


def test_a_job_outlives_its_supervisor(machine: Machine) -> None:
    executor = machine.executor()
    job = machine.running(executor, 'touch ready; await go; exit 3')
    os.kill(leader(job), signal.SIGKILL)
    until(lambda: (job.status.metadata or {}).get('native_state') == 'without supervisor')
    assert job.status.state is JobState.ACTIVE
    (machine.folder / 'go').touch()
    assert end(job) == (JobState.FAILED, 3, ExitReason.EXITED, None)


def test_a_job_without_supervisor_is_cancelled(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never')
    os.kill(leader(job), signal.SIGKILL)
    until(lambda: not runs(leader(job)))
    job.cancel()
    assert end(job)[0] is JobState.CANCELED
    until(lambda: not processes.in_session(leader(job)))


def test_a_killed_session_is_known_to_its_submitter(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never')
    kill_session(job)
    assert end(job) == (JobState.FAILED, 137, ExitReason.SIGNALED, 9)
    assert 'signal 9' in str(job.status.message)


def test_a_killed_session_is_known_to_all_of_its_program(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never')
    attached = Job()
    machine.executor().attach(attached, str(job.native_id))
    kill_session(job)
    assert end(attached) == (JobState.FAILED, 137, ExitReason.SIGNALED, 9)


def test_a_killed_session_is_lost_to_others(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never')
    other = program(machine, (
        'attached = Job()\n'
        'executor = make(work_directory=machine / "work")\n'
        'executor.attach(attached, sys.argv[1])\n'
        'attached.wait(target_states=JobState.ACTIVE)\n'
        'print("attached", flush=True)\n'
        'print(attached.wait().state, attached.exit_info.reason.name, attached.exit_info.exit_code)\n'), job.native_id)
    assert other.stdout is not None
    assert other.stdout.readline() == 'attached\n'
    kill_session(job)
    assert other.communicate(timeout=60)[0] == 'FAILED LOST None\n'


def test_last_words_are_not_those_of_the_supervisor(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never')
    os.kill(script_of(job), signal.SIGKILL)
    assert end(job)[0] is JobState.FAILED
    assert machine.output(job, 'scheduler.out') == ''


# -- cancelling


def test_cancel_a_waiting_job(machine: Machine) -> None:
    executor = machine.one_core
    machine.running(executor, 'touch ready; await go')
    second, third, fourth = (machine.shell(executor, 'echo $1 >> order', number) for number in (2, 3, 4))
    third.cancel()
    assert end(third) == (JobState.CANCELED, 143, ExitReason.CANCELED, 15)
    assert third.status.message is None
    record = JobFolder(machine.work_directory / 'local' / third.id).read_exit()
    assert record is not None
    assert (record.phase, record.term_seen, record.ended_by) == ('claim', True, 'cancel')
    until(lambda: third.native_id not in executor.list())
    (machine.folder / 'go').touch()
    assert end(second)[0] is end(fourth)[0] is JobState.COMPLETED
    assert (machine.folder / 'order').read_text().split() == ['2', '4']


def test_cancel_the_next_job_in_the_queue(machine: Machine) -> None:
    executor = machine.one_core
    machine.running(executor, 'touch ready; await go')
    second, third = (machine.shell(executor, 'echo $1 >> order', number) for number in (2, 3))
    until(lambda: Path(f'/proc/{leader(second)}/fd/9').exists())  # it waits for cores
    second.cancel()
    assert end(second)[0] is JobState.CANCELED
    (machine.folder / 'go').touch()
    assert end(third)[0] is JobState.COMPLETED
    assert (machine.folder / 'order').read_text() == '3\n'


def test_cancel_in_the_moment_of_submission(machine: Machine) -> None:
    executor = machine.executor(max_processes=4)
    jobs = [machine.shell(executor, 'await never') for _ in range(12)]
    for job in jobs:
        job.cancel()
    assert {end(job)[0] for job in jobs} == {JobState.CANCELED}
    until(lambda: not executor.list())


def test_the_program_gets_term_once(machine: Machine) -> None:
    job = machine.running(
        machine.executor(cancel_grace=20),
        'trap "echo TERM" TERM; touch ready; for ((i = 0; i < 30; i++)); do read -r -t 0.01 -u 3; done; await done')
    job.cancel()
    until(lambda: machine.output(job))
    (machine.folder / 'done').touch()
    assert end(job)[0] is JobState.CANCELED
    assert machine.output(job) == 'TERM\n'


def test_what_a_program_waits_for_gets_term_too(machine: Machine) -> None:
    # bash runs its trap only when the command in the foreground has ended.
    job = machine.running(machine.executor(cancel_grace=20), 'trap "echo tidy; exit" TERM; touch ready; sleep 1000')
    until(lambda: len(processes.in_session(leader(job))) == 5)
    job.cancel()
    assert end(job)[0] is JobState.CANCELED
    assert machine.output(job) == 'tidy\n'


def test_a_stubborn_program_is_killed(machine: Machine) -> None:
    executor = machine.executor()
    job = machine.running(executor, 'trap "" TERM; touch ready; (await never) & await never')
    job.cancel()
    assert end(job) == (JobState.CANCELED, 137, ExitReason.CANCELED, 9)
    until(lambda: not processes.in_session(leader(job)))


def test_a_stopped_program_is_cancelled(machine: Machine) -> None:
    job = machine.running(machine.executor(cancel_grace=20), 'touch ready; kill -STOP $$; await never')
    until(lambda: any(Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2][0] == 'T'
                      for pid in processes.in_session(leader(job))))
    job.cancel()
    assert end(job)[0] is JobState.CANCELED


def test_files_are_delivered_when_a_stubborn_program_is_killed(machine: Machine) -> None:
    job = machine.running(
        machine.executor(), 'trap "" TERM; echo half > result; touch ready; await never',
        stage_out={StageOut('result', machine.folder / 'delivered', flags=StageOutFlags.ON_CANCEL)},
        cleanup=['result'])
    job.cancel()
    assert end(job)[0] is JobState.CANCELED
    assert (machine.folder / 'delivered').read_text() == 'half\n'
    assert not (machine.folder / 'result').exists()


def test_processes_in_groups_of_their_own_are_ended(machine: Machine) -> None:
    # timeout(1) makes a process group of its own, as an interactive shell does for each command.
    script = 'timeout 1000 bash -c "trap \'\' TERM; touch ready; sleep 1000; sleep 1000"'
    job = machine.running(machine.executor(), script)
    job.cancel()
    assert end(job)[0] is JobState.CANCELED
    until(lambda: not processes.in_session(leader(job)))


def test_a_job_may_signal_its_own_group(machine: Machine) -> None:
    job = machine.shell(machine.executor(), 'trap "" TERM; kill 0; exit 3')
    assert end(job)[1] == 3
    until(lambda: not processes.in_session(leader(job)))


def test_what_a_job_leaves_running_is_ended(machine: Machine) -> None:
    executor = machine.executor()
    job = machine.shell(executor, '(trap "echo tidy > tidied; exit" TERM; touch ready; await never) & await ready')
    assert end(job) == (JobState.COMPLETED, 0, ExitReason.EXITED, None)
    until(lambda: not processes.in_session(leader(job)))
    assert (machine.folder / 'tidied').read_text() == 'tidy\n'
    until(lambda: not executor.list())


def test_cancel_twice_and_after_the_end(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'trap "" TERM; touch ready; await never')
    job.cancel()
    job.cancel()
    assert end(job)[0] is JobState.CANCELED
    until(lambda: not runs(leader(job)))
    job.cancel()
    machine.executors[0]._end(str(job.native_id))


def test_a_pid_that_was_given_again_is_not_touched(machine: Machine) -> None:
    executor = machine.executor()
    with subprocess.Popen(['/bin/sleep', '1000'], start_new_session=True) as other:
        try:
            start = processes.start_time(other.pid)
            assert start is not None
            executor._end(f'{other.pid}.{start - 1}')
            attached = Job()
            executor.attach(attached, f'{other.pid}.{start - 1}')
            assert end(attached)[2] is ExitReason.LOST
            assert other.poll() is None
        finally:
            other.kill()


# -- time


def test_the_walltime_ends_a_job(machine: Machine) -> None:
    job = machine.shell(machine.executor(cancel_grace=20), 'trap "echo tidy; exit 0" TERM; sleep 1000', seconds=1.5)
    assert end(job)[::2] == (JobState.FAILED, ExitReason.TIMEOUT)
    assert '1.5 s' in str(job.status.message)
    assert machine.output(job) == 'tidy\n'


def test_the_walltime_ends_a_stubborn_job(machine: Machine) -> None:
    job = machine.shell(machine.executor(), 'trap "" TERM; await never', seconds=0.2)
    assert end(job) == (JobState.FAILED, 137, ExitReason.TIMEOUT, 9)
    until(lambda: not processes.in_session(leader(job)))


def test_the_walltime_counts_from_the_start_of_the_script(machine: Machine) -> None:
    (machine.folder / 'before').write_text('sleep 1000')
    job = machine.shell(machine.executor(cancel_grace=20), 'true', pre_launch=machine.folder / 'before', seconds=0.3)
    assert end(job)[::2] == (JobState.FAILED, ExitReason.TIMEOUT)


def test_the_walltime_does_not_count_while_a_job_waits(machine: Machine) -> None:
    executor = machine.one_core
    machine.shell(executor, 'sleep 1.1')
    job = machine.shell(executor, 'exit 3', seconds=1)
    assert end(job)[:2] == (JobState.FAILED, 3)


def test_cancel_shortly_before_the_limit_is_a_cancel(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never', seconds=30)
    other = machine.executor()
    attached = Job()
    other.attach(attached, str(job.native_id))
    other._end([str(job.native_id)])  # so that nobody knows of a cancel but the supervisor
    for each in (job, attached):
        assert end(each)[::2] == (JobState.CANCELED, ExitReason.CANCELED)
        assert each.status.message is None


def test_a_job_within_its_walltime_leaves_no_timer(machine: Machine) -> None:
    job = machine.shell(machine.executor(), 'exit 0', seconds=1000)
    assert end(job)[0] is JobState.COMPLETED
    until(lambda: not processes.in_session(leader(job)))


def test_the_end_is_seen_soon(machine: Machine) -> None:
    executor = machine.executor()
    delays = []
    for code in (0, 3):
        job = machine.shell(executor, f'exit {code}')
        end(job)
        delays.append(time.time() - job.status.time)
    assert min(delays) < 0.5, delays
