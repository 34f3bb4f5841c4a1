"""States are told in order, to everybody who asks, in this program and in the next."""

from __future__ import annotations

import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job, JobStatusCallback
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.execparams import ExecParams

ENDED_WELL = [JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED]
UNTIL = 'until [ -e "$1" ]; do sleep 0.05; done'
ATTACH = """
import sys
from pathlib import Path
from datetime import timedelta
from psij_ext.core.job import Job
from psij_ext.testing.making import make_executor
name, native_id, work_directory, seconds = sys.argv[1:]
with make_executor(name, work_directory=Path(work_directory), queue_polling_interval=1.0,
                   initial_queue_polling_delay=0.2) as executor:
    job = Job()
    executor.attach(job, native_id)
    status = job.wait(timedelta(seconds=float(seconds)))
    print(status and status.state, status and status.exit_code, job.spec and job.spec.executable)
"""


class Listener(JobStatusCallback):
    """Notes which states it is told of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, JobStatus]] = []
        self.ended = threading.Event()

    def job_status_changed(self, job: Job, job_status: JobStatus) -> None:
        """Note it."""
        self.told.append((job.id, job_status))
        if job_status.final:
            self.ended.set()

    def states(self, job: Job) -> list[JobState]:
        """Return the states of one job in the order in which they were told."""
        return [status.state for job_id, status in self.told if job_id == job.id]


@once
def test_callbacks(execparams: ExecParams) -> None:
    """A function on the job and an object on the executor are told of each state once, in order."""
    executor = execparams.executor()
    of_executor, of_job = Listener(), Listener()
    executor.set_job_status_callback(of_executor)
    job = execparams.job('/bin/date')
    job.set_job_status_callback(lambda job, status: of_job.job_status_changed(job, status))
    execparams.run(job, executor)
    executor.close()  # ends after the last callback
    assert of_job.states(job) == of_executor.states(job) == ENDED_WELL
    times = [status.time for _, status in of_job.told]
    # Some are of another machine's clock, and a job may begin before its submission has returned.
    assert all(later > earlier - 60 for earlier, later in zip(times, times[1:]))


@once
def test_callback_object_of_a_job(execparams: ExecParams) -> None:
    """An object may be told of one job, a function of all of an executor's."""
    executor = execparams.executor()
    told: list[JobState] = []
    listener = Listener()
    executor.set_job_status_callback(lambda job, status: told.append(status.state))
    job = execparams.shell('exit 3')
    job.set_job_status_callback(listener)
    execparams.run(job, executor)
    executor.close()
    assert told == listener.states(job) == [JobState.QUEUED, JobState.ACTIVE, JobState.FAILED]
    assert listener.told[-1][1].exit_code == 3


@once
def test_raising_callback(execparams: ExecParams) -> None:
    """A callback that raises harms neither its job nor the next callback."""
    executor = execparams.executor()
    listener = Listener()
    executor.set_job_status_callback(listener)

    def fail(job: Job, status: JobStatus) -> None:
        raise RuntimeError('a defect of the user')

    job = execparams.job('/bin/date')
    job.set_job_status_callback(fail)
    execparams.run(job, executor)
    execparams.expect(job, JobState.COMPLETED)
    executor.close()
    assert listener.states(job) == ENDED_WELL


@once
def test_callback_may_use_its_job(execparams: ExecParams) -> None:
    """A callback may submit, cancel and wait; nothing is locked while it runs."""
    executor = execparams.executor()
    second = execparams.job('/bin/date')
    waited: list[object] = []

    def go_on(job: Job, status: JobStatus) -> None:
        if status.state is JobState.COMPLETED:
            waited.append(job.wait(timedelta(seconds=0)))
            execparams.submit(second, executor)
            job.cancel()

    first = execparams.job('/bin/date')
    first.set_job_status_callback(go_on)
    execparams.run(first, executor)
    execparams.wait(second)
    execparams.expect(second, JobState.COMPLETED)
    assert waited == [first.status]


@once
def test_wait(execparams: ExecParams) -> None:
    """Waiting ends with the state or with the time, for one state or several; a past one is there at once."""
    go = execparams.folder / 'go'
    job = execparams.shell(UNTIL, [str(go)])
    assert job.wait(timedelta(0)) is None
    execparams.submit(job)
    execparams.wait(job, JobState.ACTIVE)
    assert job.wait(timedelta(seconds=0.1)) is None
    assert job.wait(timedelta(seconds=0.1), [JobState.COMPLETED, JobState.FAILED]) is None
    assert job.wait(timedelta(0), [JobState.COMPLETED, JobState.ACTIVE]) is not None
    go.touch()
    status = execparams.wait(job, [JobState.COMPLETED, JobState.FAILED, JobState.CANCELED])
    assert status.state is JobState.COMPLETED
    assert job.wait(timedelta(0), JobState.QUEUED) is not None
    assert job.wait() == job.status


@once
def test_wait_in_threads(execparams: ExecParams) -> None:
    """Any number of threads may wait for one job."""
    job = execparams.submit(execparams.shell('sleep 0.2'))
    seen: list[object] = []
    threads = [threading.Thread(target=lambda: seen.append(execparams.wait(job).state)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [JobState.COMPLETED] * 5


@once
def test_parallel_jobs(execparams: ExecParams) -> None:
    """Many jobs at once reach their own ends, with their own output."""
    executor = execparams.executor()
    listener = Listener()
    executor.set_job_status_callback(listener)
    jobs = [execparams.submit(execparams.shell(f'echo {number}; exit {number % 3}'), executor) for number in range(20)]
    assert len({job.native_id for job in jobs}) == len(jobs)
    for number, job in enumerate(jobs):
        execparams.wait(job)
        execparams.expect(job, JobState.FAILED if number % 3 else JobState.COMPLETED, exit_code=number % 3)
        assert execparams.output(job) == f'{number}\n'
    executor.close()
    for job in jobs:
        assert listener.states(job) == [JobState.QUEUED, JobState.ACTIVE, job.status.state]


@once
def test_many_jobs_in_one_call(execparams: ExecParams) -> None:
    """Jobs of a batch are jobs of their own, each with its own description and its own end."""
    jobs = [execparams.job('/bin/sh', ['-c', f'echo "$WORD"; exit {number % 3}'], name=f'batch-{number}',
                           environment={'WORD': f'word {number}'}) for number in range(12)]
    execparams.shared_executor.submit_many(jobs)
    assert len({job.native_id for job in jobs}) == len(jobs)
    for number, job in enumerate(jobs):
        execparams.wait(job)
        execparams.expect(job, JobState.FAILED if number % 3 else JobState.COMPLETED, exit_code=number % 3)
        assert execparams.output(job) == f'word {number}\n'


# -- attaching


@once
@pytest.mark.parametrize('code', [0, 3])
def test_attach_to_running_job(execparams: ExecParams, code: int) -> None:
    """A second executor follows a job that the first one submitted, and learns the same."""
    go = execparams.folder / 'go'
    job = execparams.submit(execparams.shell(f'{UNTIL}; exit "$2"', [str(go), str(code)]))
    executor = execparams.executor()
    attached, listener = Job(), Listener()
    attached.set_job_status_callback(listener)
    executor.attach(attached, str(job.native_id))
    assert (attached.native_id, attached.executor) == (job.native_id, executor)
    execparams.reach(attached, JobState.ACTIVE)
    go.touch()
    execparams.wait(attached)
    execparams.wait(job)
    assert (attached.status.state, attached.status.exit_code) == (job.status.state, code)
    executor.close()
    assert listener.states(attached) == [JobState.QUEUED, JobState.ACTIVE, attached.status.state]


@once
@pytest.mark.parametrize('code', [0, 3])
def test_attach_to_finished_job(execparams: ExecParams, code: int) -> None:
    """A job whose end is known can be attached to: its end, exit code and spec are there at once."""
    job = execparams.shell(f'exit {code}')
    execparams.run(job)
    attached = Job()
    execparams.executor().attach(attached, str(job.native_id))
    execparams.expect(attached, job.status.state, exit_code=code)
    assert attached.exit_info is not None
    assert (attached.exit_info.reason, attached.exit_info.exit_code) == (ExitReason.EXITED, code)
    assert attached.spec is not None
    assert attached.spec.executable == '/bin/bash'


@once
def test_attach_after_the_submitter_closed(execparams: ExecParams) -> None:
    """Closing an executor ends no job; another executor, in another process too, follows it to its end."""
    go = execparams.folder / 'go'
    first = execparams.executor()
    job = execparams.submit(execparams.shell(f'{UNTIL}; exit 3', [str(go)]), first)
    execparams.wait(job, JobState.ACTIVE)
    first.close()
    other = subprocess.Popen(
        [sys.executable, '-c', ATTACH, execparams.executor_name, str(job.native_id), str(execparams.work_directory),
         str(execparams.max_wait)], stdout=subprocess.PIPE, text=True)
    go.touch()
    try:
        printed, _ = other.communicate(timeout=execparams.max_wait + 30)
    finally:
        other.kill()
        other.wait()
    assert printed == 'FAILED 3 /bin/bash\n'


@once
def test_attach_to_unknown_job(execparams: ExecParams) -> None:
    """A job that neither the scheduler nor any folder knows is lost in the end, and never called completed."""
    known = execparams.job('/bin/date')
    execparams.run(known)
    unknown = str(known.native_id).replace(str(known.native_id)[0], '9999999', 1)
    attached = Job()
    execparams.executor(absence_grace=0.5).attach(attached, unknown)
    execparams.wait(attached)
    execparams.expect(attached, JobState.FAILED)
    assert attached.exit_info is not None
    assert attached.exit_info.reason is ExitReason.LOST


@once
def test_list(execparams: ExecParams) -> None:
    """A job is listed while it is with the scheduler, by any executor, and not after its end."""
    job = execparams.submit(execparams.job('/bin/sleep', ['1000']))
    other = execparams.executor()
    assert job.native_id in other.list()
    execparams.reach(job, JobState.ACTIVE)
    assert job.native_id in other.list()
    job.cancel()
    execparams.wait(job)
    execparams.until(lambda: job.native_id not in other.list(), 'the cancelled job is not listed any more', job)
