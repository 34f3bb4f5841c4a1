"""What else can be done to jobs than to cancel them one by one: many at once, signals, holds, and all that is known.

An executor that cannot do something of this says so, and nothing happens.
"""

from __future__ import annotations

import re
import signal

import pytest

from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.exceptions import CommandError, InvalidJobException, NotAllCancelled, SubmitException
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.conformance.test_cancelling import expect_canceled
from psij_ext.testing.conformance.test_depending import submit_after
from psij_ext.testing.execparams import ExecParams

# Tells of each USR1 and goes on; ends well when it is told to.
_HEEDS_USR1 = ('trap \'echo seen >> "$1/signals"\' USR1; exec 3<> <(:); touch "$1/ready"; '
               'until [ -e "$1/go" ]; do read -r -t 0.05 -u 3; done; true')


def heeding(execparams: ExecParams) -> Job:
    """Return a running job whose program takes note of USR1."""
    job = execparams.submit(execparams.shell(_HEEDS_USR1, [str(execparams.folder)]))
    execparams.until((execparams.folder / 'ready').exists, 'the program runs', job)
    execparams.reach(job, JobState.ACTIVE)
    return job


@once
def test_cancel_many(execparams: ExecParams) -> None:
    """Many jobs are cancelled by one call; one that is over stays as it is."""
    done = execparams.job('/bin/date')
    execparams.succeed(done)
    jobs = [execparams.submit(execparams.job('/bin/sleep', ['1000'])) for _ in range(10)]
    execparams.reach(jobs[0], JobState.ACTIVE)
    execparams.shared_executor.cancel_many([*jobs, done])
    for job in jobs:
        expect_canceled(execparams, job)
    execparams.expect(done, JobState.COMPLETED)


@once
def test_cancel_many_with_a_bad_one(execparams: ExecParams) -> None:
    """One that cannot be cancelled is named, and does not save the others."""
    job = execparams.submit(execparams.job('/bin/sleep', ['1000']))
    stranger = execparams.job('/bin/date')
    with pytest.raises(NotAllCancelled, match=stranger.id) as caught:
        execparams.shared_executor.cancel_many([stranger, job])
    assert list(caught.value.failures) == [stranger.id]
    expect_canceled(execparams, job)


@once
def test_signal_to_a_running_job(execparams: ExecParams) -> None:
    """The program gets the signal and goes on, or this is refused; the job is not cancelled by it."""
    job = heeding(execparams)
    try:
        job.cancel(signal=signal.SIGUSR1)
    except InvalidJobException as error:
        assert execparams.executor_name in str(error)
    else:
        execparams.until((execparams.folder / 'signals').exists, 'the program has seen the signal', job)
    (execparams.folder / 'go').touch()
    execparams.wait(job)
    execparams.expect(job, JobState.COMPLETED, exit_code=0)
    job.cancel(signal='USR1')
    execparams.expect(job, JobState.COMPLETED)


@once
def test_signal_to_a_waiting_job(execparams: ExecParams) -> None:
    """A job that waits has no program that could get a signal; it stays as it is."""
    job = execparams.hold(execparams.job('/bin/date'))
    with pytest.raises((SubmitException, InvalidJobException)) as caught:
        job.cancel(signal=signal.SIGCONT)
    assert str(job.native_id) in str(caught.value) or execparams.executor_name in str(caught.value)
    execparams.expect(job, JobState.QUEUED)


@once
def test_end_some_time_after_a_signal(execparams: ExecParams) -> None:
    """The end follows after the time that was given, or this is refused."""
    job = heeding(execparams)
    try:
        job.cancel(signal=signal.SIGUSR1, grace=1)
    except InvalidJobException as error:
        assert execparams.executor_name in str(error)
        assert not (execparams.folder / 'signals').exists()
        execparams.expect(job, JobState.ACTIVE)
        return
    expect_canceled(execparams, job)
    assert (execparams.folder / 'signals').exists()


@once
def test_hold_and_release(execparams: ExecParams) -> None:
    """A job that is held while it waits is not started, and runs when it is released."""
    first, trace = heeding(execparams), execparams.folder / 'trace'
    job = submit_after(execparams, execparams.job('/usr/bin/touch', [str(trace)]), after_any=[first])
    executor = job.executor
    assert executor is not None
    try:
        executor.hold(job)
    except InvalidJobException as error:
        assert execparams.executor_name in str(error)
        with pytest.raises(InvalidJobException):
            executor.release(job)
        return
    executor.hold(job)
    (execparams.folder / 'go').touch()
    execparams.wait(first)
    execparams.succeed(execparams.job('/bin/date'))
    execparams.expect(job, JobState.QUEUED)
    assert not trace.exists()
    executor.release(job)
    execparams.wait(job)
    execparams.expect(job, JobState.COMPLETED)
    assert trace.exists()


@once
def test_hold_of_a_finished_job(execparams: ExecParams) -> None:
    """A job that is over cannot be held."""
    job = execparams.job('/bin/date')
    execparams.succeed(job)
    with pytest.raises((SubmitException, InvalidJobException)):
        execparams.shared_executor.hold(job)
    execparams.expect(job, JobState.COMPLETED)


@once
def test_native_record(execparams: ExecParams) -> None:
    """All that the scheduler knows of a job names it; where it has forgotten the job, it says so."""
    job = heeding(execparams)
    try:
        record = execparams.shared_executor.native_record(job)
    except InvalidJobException as error:
        pytest.skip(str(error))
    number = re.split(r'[;.]', str(job.native_id))[0]
    assert any(re.search(rf'\b{number}\b', value) for value in record.values())
    assert len(record) >= 5
    (execparams.folder / 'go').touch()
    execparams.wait(job)
    try:
        later = execparams.shared_executor.native_record(job)
    except CommandError as error:
        assert str(job.native_id) in str(error)
    else:
        assert any(re.search(rf'\b{number}\b', value) for value in later.values())


@once
def test_native_record_of_an_unknown_job(execparams: ExecParams) -> None:
    """A job that was not submitted has no record."""
    with pytest.raises(InvalidJobException):
        execparams.shared_executor.native_record(execparams.job('/bin/date'))


@once
def test_scheduler_version(execparams: ExecParams) -> None:
    """Product and version are told."""
    try:
        version = execparams.shared_executor.scheduler_version()
    except InvalidJobException as error:
        pytest.skip(str(error))
    assert re.fullmatch(r'[A-Za-z][\w -]* \d+(\.\w+)*', version)
