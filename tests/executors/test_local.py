"""The local executor: slots, processes, signals, limits. What all executors do is in the conformance suite."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, Optional

import pytest

from psij_ext import (
    InvalidJobException, Job, JobAttributes, JobExecutorConfig, JobSpec, JobState, ResourceSpecV1, StageIn, StageOut,
    StageOutFlags, SubmitException,
)  # fmt: skip
from psij_ext.core.exit_info import ExitReason
from psij_ext.core.staging import StagingMode
from psij_ext.executors import local
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.executors.local import LocalExecutorConfig, LocalJobExecutor
from psij_ext.runtime import children, processes
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.slots import Slots

PATIENCE = timedelta(seconds=60)
GRACE = 0.5
# In bash: wait until a file is there. It starts no process for it; nothing ever comes out of pipe 3.
AWAIT = 'exec 3<> <(:); await() { until [ -e "$1" ]; do read -r -t 0.01 -u 3; done; true; }; '


class Machine:
    """A machine of our own: a state folder, a work directory, executors that share them, and all the jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work_directory = folder / 'work'
        self.executors: list[LocalJobExecutor] = []
        self.jobs: list[Job] = []

    def executor(self, **settings: Any) -> LocalJobExecutor:
        settings = {'work_directory': self.work_directory, 'cancel_grace': GRACE, **settings}
        executor = LocalJobExecutor(config=LocalExecutorConfig(**settings))
        self.executors.append(executor)
        return executor

    @property
    def one_core(self) -> LocalJobExecutor:
        return self.executor(max_processes=1)

    def submit(self, executor: LocalJobExecutor, job: Job) -> Job:
        executor.submit(job)
        self.jobs.append(job)
        return job

    def shell(self, executor: LocalJobExecutor, script: str, *arguments: object, cores: Optional[int] = None,
              seconds: Optional[float] = None, **fields: Any) -> Job:
        """Submit a job that runs a bash script in the machine's folder."""
        spec = JobSpec('/bin/bash', ['-c', AWAIT + script, 'bash', *map(str, arguments)],
                       **{'directory': self.folder, **fields})
        if cores is not None:
            spec.resources = ResourceSpecV1(cpu_cores_per_process=cores)
        if seconds is not None:
            spec.attributes = JobAttributes(duration=timedelta(seconds=seconds))
        return self.submit(executor, Job(spec))

    def running(self, executor: LocalJobExecutor, script: str, *arguments: object, **fields: Any) -> Job:
        """Submit a job and wait until its script has made the file `ready`."""
        job = self.shell(executor, script, *arguments, **fields)
        until((self.folder / 'ready').exists)
        return job

    def output(self, job: Job, stream: str = 'stdout') -> str:
        return (self.work_directory / 'local' / job.id / stream).read_text()

    def close(self) -> None:
        for job in self.jobs:
            send(signal.SIGKILL, processes.in_session(leader(job)))
        for executor in self.executors:
            executor.close()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    opened = Machine(tmp_path)
    yield opened
    opened.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)


def end(job: Job) -> tuple[JobState, Optional[int], Optional[ExitReason], Optional[int]]:
    """State, exit code, reason and signal of a job that is over."""
    assert job.wait(PATIENCE) is not None, job
    assert job.exit_info is not None
    return job.status.state, job.status.exit_code, job.exit_info.reason, job.exit_info.signal


def leader(job: Job) -> int:
    return int(str(job.native_id).partition('.')[0])


def send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def runs(pid: int) -> bool:
    return processes.start_time(pid) is not None


def script_of(job: Job) -> int:
    """The process of the job's script: the one whose parent is the supervisor, in a group of its own."""
    members = {pid: parent_of(pid) for pid in processes.in_session(leader(job))}
    return next(pid for pid, parent in members.items() if parent == leader(job) and os.getpgid(pid) == pid)


def parent_of(pid: int) -> int:
    return int(Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].split()[1])


def own_children() -> set[int]:
    """All processes whose parent we are, zombies included."""
    found = set()
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            try:
                if parent_of(int(entry.name)) == os.getpid():
                    found.add(int(entry.name))
            except OSError:
                pass
    return found


def program(machine: Machine, code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start another Python program; `executor` is a local executor in it, and `job(script)` makes a job."""
    preamble = (
        'import os, signal, sys, time\n'
        'from psij_ext import *\n'
        'from psij_ext.executors.local import LocalExecutorConfig, LocalJobExecutor\n'
        'from pathlib import Path\n'
        f'machine = Path({str(machine.folder)!r})\n'
        'def make(**settings):\n'
        f'    return LocalJobExecutor(config=LocalExecutorConfig(cancel_grace={GRACE}, **settings))\n'
        'def job(script, *arguments):\n'
        f'    return Job(JobSpec("/bin/bash", ["-c", {AWAIT!r} + script, "bash", *arguments], directory=machine))\n')
    return subprocess.Popen([sys.executable, '-c', preamble + code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


# -- the queue


def test_jobs_run_in_the_order_of_their_submission(machine: Machine) -> None:
    executor = machine.one_core
    machine.shell(executor, 'await go')
    jobs = [machine.shell(executor, 'echo $1 >> order', number) for number in range(20)]
    (machine.folder / 'go').touch()
    assert {end(job)[0] for job in jobs} == {JobState.COMPLETED}
    assert (machine.folder / 'order').read_text().split() == [str(number) for number in range(20)]


def test_as_many_jobs_as_there_are_cores_run_at_once(machine: Machine) -> None:
    executor = machine.executor(max_processes=3)
    meet = 'touch here.$1; await here.1; await here.2; await here.3'
    jobs = [machine.shell(executor, meet, number) for number in (1, 2, 3)]
    assert [end(job)[0] for job in jobs] == [JobState.COMPLETED] * 3


def test_cores_are_counted(machine: Machine) -> None:
    executor = machine.executor(max_processes=3)
    wanted = [2, 2, 1, 3, 1, 1, 1, 2, 3, 1, 2, 1]
    jobs = [machine.shell(executor, 'echo start $1 $2 >> log; sleep 0.05; echo end $1 $2 >> log', number, cores, cores=cores)
            for number, cores in enumerate(wanted)]
    assert {end(job)[0] for job in jobs} == {JobState.COMPLETED}
    assert most_cores(machine.folder / 'log') == 3


def most_cores(log: Path) -> int:
    """The most cores that were taken at once, from lines `start NUMBER CORES` and `end NUMBER CORES`."""
    used = most = 0
    for line in log.read_text().splitlines():
        what, _, cores = line.split()
        used += int(cores) if what == 'start' else -int(cores)
        most = max(most, used)
    return most


def test_cores_are_processes_times_cores_of_each(machine: Machine) -> None:
    executor = machine.executor(max_processes=5)
    fits = JobSpec('/bin/true', directory=machine.folder, resources=ResourceSpecV1(process_count=2, cpu_cores_per_process=2))
    assert end(machine.submit(executor, Job(fits)))[0] is JobState.COMPLETED
    for resources in (ResourceSpecV1(process_count=6), ResourceSpecV1(process_count=2, cpu_cores_per_process=3),
                      ResourceSpecV1(processes_per_node=6)):
        with pytest.raises(InvalidJobException, match='6 cores.*has 5'):
            executor.submit(Job(JobSpec('/bin/true', directory=machine.folder, resources=resources)))


def test_a_small_job_does_not_overtake_a_large_one(machine: Machine) -> None:
    executor = machine.executor(max_processes=2)
    first = machine.running(executor, 'touch ready; await go; echo first >> order')
    large = machine.shell(executor, 'echo large >> order', cores=2)
    small = machine.shell(executor, 'echo small >> order')
    until(lambda: Path(f'/proc/{leader(small)}/fd/7').exists())  # it waits for the one before it
    assert not (machine.folder / 'order').exists()
    (machine.folder / 'go').touch()
    assert [end(job)[0] for job in (first, large, small)] == [JobState.COMPLETED] * 3
    assert (machine.folder / 'order').read_text().split() == ['first', 'large', 'small']


def test_a_job_with_exclusive_use_runs_alone(machine: Machine) -> None:
    executor = machine.executor(max_processes=3)
    log = 'echo start 0 1 >> log; sleep 0.05; echo end 0 1 >> log'
    jobs = [machine.shell(executor, log, resources=ResourceSpecV1(exclusive_node_use=True)) for _ in range(3)]
    assert {end(job)[0] for job in jobs} == {JobState.COMPLETED}
    assert most_cores(machine.folder / 'log') == 1


def test_programs_share_the_cores(machine: Machine) -> None:
    code = (
        'executor = make(max_processes=2, work_directory=machine / sys.argv[1])\n'
        'jobs = [job("echo start 0 1 >> log; sleep 0.02; echo end 0 1 >> log") for _ in range(15)]\n'
        'for each in jobs: executor.submit(each)\n'
        'print({str(each.wait()) for each in jobs})\n')
    others = [program(machine, code, name) for name in ('a', 'b')]
    assert [other.communicate(timeout=60)[0] for other in others] == ["{'COMPLETED, exit code 0'}\n"] * 2
    lines = (machine.folder / 'log').read_text().split('\n')
    assert len(lines) == 2 * 2 * 15 + 1
    assert most_cores(machine.folder / 'log') == 2


def test_a_waiting_job_is_queued_and_then_runs(machine: Machine) -> None:
    executor = machine.one_core
    seen: list[tuple[str, JobState]] = []
    executor.set_job_status_callback(lambda job, status: seen.append((job.id, status.state)))
    first = machine.running(executor, 'touch ready; await go')
    second = machine.shell(executor, 'true')
    until(lambda: (second.status.metadata or {}).get('native_state') == 'waiting')  # the monitor has asked
    assert (first.status.state, second.status.state) == (JobState.ACTIVE, JobState.QUEUED)
    (machine.folder / 'go').touch()
    assert end(second)[0] is JobState.COMPLETED
    executor.close()
    assert [state for job_id, state in seen if job_id == second.id] == [
        JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED]


def test_a_killed_job_gives_its_cores_back(machine: Machine) -> None:
    executor = machine.one_core
    first = machine.running(executor, 'touch ready; await never')
    second = machine.shell(executor, 'true')
    kill_session(first)
    assert end(second)[0] is JobState.COMPLETED


def test_a_job_killed_while_it_waits_lets_the_next_one_pass(machine: Machine) -> None:
    executor = machine.one_core
    machine.running(executor, 'touch ready; await go')
    second, third, fourth = (machine.shell(executor, 'echo $1 >> order', number) for number in (2, 3, 4))
    os.kill(leader(third), signal.SIGKILL)
    assert end(third)[:3] == (JobState.FAILED, 137, ExitReason.SIGNALED)
    (machine.folder / 'go').touch()
    assert end(second)[0] is end(fourth)[0] is JobState.COMPLETED
    assert (machine.folder / 'order').read_text().split() == ['2', '4']


def test_many_short_jobs(machine: Machine) -> None:
    run_many(machine, 150)


@pytest.mark.soak
def test_a_thousand_short_jobs(machine: Machine) -> None:
    run_many(machine, 1000)


def run_many(machine: Machine, count: int) -> None:
    executor = machine.executor(max_processes=2)
    jobs = [Job(JobSpec('/bin/bash', ['-c', f'exit {number % 2}'])) for number in range(count)]
    states: Counter[JobState] = Counter()
    executor.set_job_status_callback(lambda job, status: states.update([status.state]))
    before = own_children()
    for job in jobs:
        machine.submit(executor, job)
    for number, job in enumerate(jobs):
        assert end(job)[:2] == ((JobState.FAILED, 1) if number % 2 else (JobState.COMPLETED, 0))
    until(lambda: own_children() <= before)
    assert executor.list() == []
    executor.close()
    assert states == {JobState.QUEUED: count, JobState.ACTIVE: count, JobState.COMPLETED: count // 2, JobState.FAILED: count // 2}


def test_the_state_folder_may_vanish(machine: Machine) -> None:
    executor = machine.executor()
    assert end(machine.shell(executor, 'true'))[0] is JobState.COMPLETED
    assert not (machine.folder / 'state' / 'psij-ext' / 'jobs').exists()
    until(lambda: not executor.list())
    subprocess.run(['rm', '-r', machine.folder / 'state'], check=True)
    assert executor.list() == []
    assert end(machine.shell(executor, 'true'))[0] is JobState.COMPLETED


# -- what is refused, and what is not


@pytest.mark.parametrize(('spec', 'words'), [
    (JobSpec('/bin/true', resources=ResourceSpecV1(node_count=2)), 'node_count: 2'),
    (JobSpec('/bin/true', resources=ResourceSpecV1(gpu_cores_per_process=1)), 'GPU'),
    (JobSpec('/bin/true', resources=ResourceSpecV1(memory=2 ** 60)), 'memory'),
    (JobSpec('/bin/true', resources=ResourceSpecV1(process_count=5)), '5 cores.*has 4'),
    (JobSpec('/bin/true', resources=ResourceSpecV1(process_count=5, exclusive_node_use=True)), '5 cores.*has 4'),
    (JobSpec('/bin/true', directory='/nonexistent/place'), '/nonexistent/place'),
    (JobSpec('/bin/true', directory='/bin/true'), '/bin/true'),
    (JobSpec('/bin/true', attributes=JobAttributes(custom_attributes={'constraint': 'x'})), 'constraint.*which scheduler'),
    (JobSpec('/bin/true', attributes=JobAttributes(custom_attributes={'local.nice': 5})), r'local\.nice'),
    (JobSpec('/bin/true', launcher='nosuch'), 'nosuch'),
])  # fmt: skip
def test_what_this_machine_cannot_do_is_refused(machine: Machine, spec: JobSpec, words: str) -> None:
    executor = machine.executor(max_processes=4)
    job = Job(spec)
    with pytest.raises(InvalidJobException, match=words):
        executor.submit(job)
    assert (job.status.state, job.native_id, job.executor) == (JobState.NEW, None, None)
    assert executor.list() == []


def test_what_only_schedulers_have_changes_nothing(machine: Machine) -> None:
    attributes = JobAttributes(queue_name='batch', account='physics', reservation_id='morning',
                               custom_attributes={'slurm.constraint': 'gpu', 'pbs.l': 'place=free'})
    resources = ResourceSpecV1(node_count=1, memory=1024, gpu_cores_per_process=0)
    spec = JobSpec('/bin/true', directory=machine.folder, attributes=attributes, resources=resources)
    assert end(machine.submit(machine.executor(), Job(spec)))[0] is JobState.COMPLETED


def test_configuration(machine: Machine) -> None:
    assert LocalJobExecutor().max_processes == len(os.sched_getaffinity(0))
    assert machine.executor(max_processes=7).max_processes == 7
    plain = LocalJobExecutor(config=JobExecutorConfig(work_directory=machine.folder))
    assert plain.work_directory == machine.folder / 'local'
    assert LocalExecutorConfig(cancel_grace=timedelta(minutes=1)).cancel_grace == 60.0
    with pytest.raises(TypeError, match='LocalExecutorConfig'):
        LocalJobExecutor(config=BatchSchedulerExecutorConfig())
    with pytest.raises(ValueError, match=r'LocalExecutorConfig\.max_processes'):
        LocalExecutorConfig(max_processes=0)
    with pytest.raises(ValueError, match=r'LocalExecutorConfig\.cancel_grace'):
        LocalExecutorConfig(cancel_grace=-1)


def test_fewer_cores_than_the_machine_has(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 2, 5})
    assert machine.executor().max_processes == 3


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


def kill_session(job: Job) -> None:
    """Kill a job and its supervisor, as the out-of-memory killer or a person may; none of them can write anything."""
    members = processes.in_session(leader(job))
    send(signal.SIGSTOP, members)
    send(signal.SIGKILL, members)


def test_a_killed_session_is_known_to_its_submitter(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never')
    kill_session(job)
    assert end(job) == (JobState.FAILED, 137, ExitReason.SIGNALED, 9)
    assert 'signal 9' in str(job.status.message)


def test_a_killed_session_is_lost_to_others(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never')
    attached = Job()
    machine.executor().attach(attached, str(job.native_id))
    kill_session(job)
    assert end(attached) == (JobState.FAILED, None, ExitReason.LOST, None)


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
    job = machine.running(machine.executor(), 'timeout 1000 bash -c "trap \'\' TERM; touch ready; sleep 1000; sleep 1000"')
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
    job = machine.shell(machine.executor(cancel_grace=20), 'trap "echo tidy; exit 0" TERM; sleep 1000', seconds=0.3)
    assert end(job)[::2] == (JobState.FAILED, ExitReason.TIMEOUT)
    assert '0.3 s' in str(job.status.message)
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
    other._end(str(job.native_id))  # so that nobody knows of a cancel but the supervisor
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


# -- files and environment


def test_files_and_staging(machine: Machine) -> None:
    (machine.folder / 'in put').write_text('fetched\n')
    (machine.folder / 'words').write_text('from stdin\n')
    place = machine.folder / 'a place'
    place.mkdir()
    job = machine.shell(
        machine.executor(), 'cat; cat here; echo oops >&2; pwd > result', directory=place, stdin_path=machine.folder / 'words',
        stdout_path='out', stderr_path='err', stage_in={StageIn(machine.folder / 'in put', 'here', StagingMode.MOVE)},
        stage_out={StageOut('result', machine.folder / 'delivered', mode=StagingMode.MOVE)}, cleanup=['here'])
    assert end(job)[0] is JobState.COMPLETED
    assert ((place / 'out').read_text(), (place / 'err').read_text()) == ('from stdin\nfetched\n', 'oops\n')
    assert (machine.folder / 'delivered').read_text() == f'{place}\n'
    assert sorted(path.name for path in place.iterdir()) == ['err', 'out']


def environment_of(machine: Machine, executor: LocalJobExecutor, **fields: Any) -> dict[str, str]:
    job = machine.submit(executor, Job(JobSpec('/usr/bin/env', ['-0'], directory=machine.folder, **fields)))
    assert end(job)[0] is JobState.COMPLETED, job
    return dict(item.split('=', 1) for item in machine.output(job).split('\0') if item)


# What every shell sets for itself, and what is said to the job.
OF_THE_SHELL = {'_', 'OLDPWD', 'PWD', 'SHLVL', 'PSIJ_NODEFILE'}


def test_the_environment_is_inherited_as_it_is(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {'folder': 'mine', 'slots': '3', 'limit': 'none', 'entry': 'x', 'line': 'two\nlines', 'BASH_FUNC_f%%': '() {  echo f\n}',
           'GLOBIGNORE': '*', 'CDPATH': '/', 'a.b': 'dotted', 'PATH': '/nowhere', 'POSIXLY_CORRECT': '1'}
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    seen = environment_of(machine, machine.executor())
    expected = {name: value for name, value in os.environ.items() if name not in OF_THE_SHELL}
    assert {name: value for name, value in seen.items() if name not in OF_THE_SHELL} == expected


def test_options_of_the_submitters_shell_change_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SHELLOPTS', 'errexit:noglob:nounset:xtrace:noexec')
    monkeypatch.setenv('BASHOPTS', 'failglob')
    monkeypatch.setenv('BASH_FUNC_trap%%', '() {  echo stolen\n}')
    monkeypatch.setenv('BASH_FUNC_read%%', '() {  exit 9\n}')
    executor = machine.executor(max_processes=1)
    first = machine.running(executor, 'touch ready; await go', inherit_environment=False)
    second = machine.submit(executor, Job(JobSpec('/bin/true', directory=machine.folder)))
    until(lambda: Path(f'/proc/{leader(second)}/fd/9').exists())  # its supervisor works as far as to wait for cores
    second.cancel()
    assert end(second)[0] is JobState.CANCELED
    (machine.folder / 'go').touch()
    assert end(first)[0] is JobState.COMPLETED


def test_without_inheritance(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith('LC_'):
            monkeypatch.delenv(name)
    own = {'HOME': '/home/me', 'USER': 'me', 'LOGNAME': 'me', 'SHELL': '/bin/zsh', 'LANG': 'C', 'LC_TIME': 'C', 'TZ': 'UTC'}
    for name, value in {**own, 'SECRET': 'x', 'PYTHONPATH': '/elsewhere', 'PATH': '/elsewhere', 'LD_PRELOAD': ''}.items():
        monkeypatch.setenv(name, value)
    seen = environment_of(machine, machine.executor(), inherit_environment=False, environment={'UID': '7', 'MINE': 'yes'})
    left = {name: value for name, value in seen.items() if name not in OF_THE_SHELL}
    assert left == {**own, 'PATH': '/usr/local/bin:/usr/bin:/bin', 'UID': '7', 'MINE': 'yes'}


def test_open_files_are_not_inherited(machine: Machine) -> None:
    read, written = os.pipe()
    os.set_inheritable(written, True)
    try:
        job = machine.running(machine.executor(), 'touch ready; await go')
        os.close(written)
        assert os.read(read, 1) == b''  # at its end although the job runs
    finally:
        os.close(read)
    assert job.status.state is not JobState.COMPLETED
    (machine.folder / 'go').touch()
    assert end(job)[0] is JobState.COMPLETED


def test_signals_that_the_program_blocks_or_ignores(machine: Machine) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    jobs: list[Job] = []

    def submit() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGINT})
        jobs.append(machine.running(machine.executor(cancel_grace=20), 'touch ready; await never'))

    try:
        thread = threading.Thread(target=submit)
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    jobs[0].cancel()
    assert end(jobs[0]) == (JobState.CANCELED, 143, ExitReason.CANCELED, 15)


# -- other programs


def test_jobs_outlive_a_killed_program(machine: Machine) -> None:
    other = program(machine, (
        'executor = make(max_processes=1, work_directory=machine / "work")\n'
        'jobs = [job("touch ready; await go; exit 3"), job("echo second >> order"), job("echo third >> order; exit 4")]\n'
        'for each in jobs: executor.submit(each)\n'
        'jobs[0].wait(target_states=JobState.ACTIVE)\n'
        'print(*(each.native_id for each in jobs), flush=True)\n'
        'os.kill(os.getpid(), signal.SIGKILL)\n'))
    ids = other.communicate(timeout=60)[0].split()
    assert other.returncode == -9
    executor = machine.executor(max_processes=1)
    assert executor.list() == ids
    jobs = [Job() for _ in ids]
    for job, native_id in zip(jobs, ids):
        executor.attach(job, native_id)
        machine.jobs.append(job)
    until(lambda: [job.status.state for job in jobs] == [JobState.ACTIVE, JobState.QUEUED, JobState.QUEUED])
    (machine.folder / 'go').touch()
    assert [end(job)[:2] for job in jobs] == [(JobState.FAILED, 3), (JobState.COMPLETED, 0), (JobState.FAILED, 4)]
    assert (machine.folder / 'order').read_text().split() == ['second', 'third']
    until(lambda: executor.list() == [])


def test_another_program_lists_and_cancels(machine: Machine) -> None:
    executor = machine.one_core
    running = machine.running(executor, 'touch ready; await never')
    waiting = machine.shell(executor, 'true')
    other = program(machine, (
        'executor = make(work_directory=machine / "work")\n'
        'ids = executor.list()\n'
        'jobs = [Job() for _ in ids]\n'
        'for each, native_id in zip(jobs, ids): executor.attach(each, native_id)\n'
        'for each in reversed(jobs): each.cancel()\n'
        'print(*ids, *(each.wait() for each in jobs))\n'))
    printed = other.communicate(timeout=60)[0].split(None, 2)
    assert printed == [running.native_id, waiting.native_id, 'CANCELED, exit code 143 CANCELED, exit code 143\n']
    assert end(running)[0] is end(waiting)[0] is JobState.CANCELED


@pytest.mark.parametrize('native_id', ['', '12', '12.', '.5', '12.x', 'x.12', '-1.5', '1.5.2', '1234[]', '١.٢'])
def test_attach_to_what_is_no_native_id(machine: Machine, native_id: str) -> None:
    job = Job()
    with pytest.raises(InvalidJobException, match='native id'):
        machine.executor().attach(job, native_id)
    assert (job.native_id, job.executor) == (None, None)


def test_attach_to_a_job_of_another_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    job = machine.running(machine.executor(), 'touch ready; await go; exit 3')
    monkeypatch.setattr(processes, 'this_process', lambda: {'host': 'elsewhere'})
    executor = machine.executor()
    with pytest.raises(InvalidJobException, match=os.uname().nodename):
        executor.attach(Job(), str(job.native_id))
    (machine.folder / 'go').touch()
    end(job)
    attached = Job()
    executor.attach(attached, str(job.native_id))  # its end is on record, for every machine
    assert end(attached)[:2] == (JobState.FAILED, 3)


def test_zombies_of_a_closed_executor(machine: Machine) -> None:
    before = own_children()
    executor = machine.executor()
    job = machine.running(executor, 'touch ready; await go')
    executor.close()
    (machine.folder / 'go').touch()
    until(lambda: not runs(leader(job)))
    assert own_children() - before == {leader(job)}  # a zombie, which costs an entry in a table
    assert end(machine.shell(machine.executor(), 'true'))[0] is JobState.COMPLETED
    until(lambda: own_children() <= before)


# -- what fails


def test_a_job_that_cannot_be_started(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = machine.executor()
    job = Job(JobSpec('/bin/true'))
    with monkeypatch.context() as patch:
        patch.setattr(local, 'spawn', failing(OSError(errno.EAGAIN, 'no more processes')))
        with pytest.raises(SubmitException, match='no more processes') as caught:
            executor.submit(job)
    assert caught.value.transient
    assert caught.value.script_path is not None
    assert (job.status.state, job.native_id, job.executor) == (JobState.NEW, None, None)
    assert end(machine.submit(executor, job))[0] is JobState.COMPLETED


def test_a_supervisor_without_a_place_ends(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = machine.executor()
    before = own_children()
    job = Job(JobSpec('/bin/touch', [str(machine.folder / 'trace')]))
    with monkeypatch.context() as patch:
        patch.setattr(Slots, 'take_place', failing(OSError(errno.ENOSPC, 'disk full')))
        with pytest.raises(SubmitException, match='disk full') as caught:
            executor.submit(job)
    assert not caught.value.transient
    until(lambda: own_children() <= before)
    assert not (machine.folder / 'trace').exists()
    assert end(machine.submit(executor, job))[0] is JobState.COMPLETED
    assert (machine.folder / 'trace').exists()


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: object, **named: object) -> None:
        raise error

    return fail


def test_a_python_without_setsid(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = os.posix_spawn

    def old_spawn(*arguments: Any, setsid: bool = False, **named: Any) -> int:
        if setsid:
            raise NotImplementedError
        return spawn(*arguments, **named)

    monkeypatch.setattr(os, 'posix_spawn', old_spawn)
    job = machine.running(machine.executor(), 'touch ready; await never')
    assert os.getsid(leader(job)) == leader(job)
    job.cancel()
    assert end(job)[0] is JobState.CANCELED
    monkeypatch.setattr(children, 'find_program', lambda name: None)
    with pytest.raises(SubmitException, match='setsid'):
        machine.shell(machine.executor(), 'true')


def test_no_signal_handler_is_installed(machine: Machine) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    assert end(machine.shell(machine.executor(), 'true'))[0] is JobState.COMPLETED
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


def test_a_preview_shows_what_would_run(machine: Machine) -> None:
    executor = machine.executor(max_processes=3)
    job = Job(JobSpec('/bin/echo', ['two words'], attributes=JobAttributes(duration=timedelta(seconds=90))))
    script, command = executor.preview(job)
    assert script.startswith('#!/bin/bash\n')
    assert "'two words'" in script
    assert '90.000000' in command
    assert not machine.work_directory.exists()
