"""Jobs end when they are told to, wholly, and are called cancelled."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.exceptions import SubmitException
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.execparams import ExecParams


def expect_canceled(execparams: ExecParams, job: Job) -> None:
    """Make sure that a job ends as cancelled, in its status and in its exit information."""
    execparams.wait(job)
    execparams.expect(job, JobState.CANCELED)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.CANCELED


def test_cancel_running_job(execparams: ExecParams) -> None:
    """A running job ends soon after it was cancelled, and is called cancelled."""
    job = execparams.submit(execparams.job('/bin/sleep', ['1000']))
    execparams.reach(job, JobState.ACTIVE)
    job.cancel()
    expect_canceled(execparams, job)


@once
def test_cancel_queued_job(execparams: ExecParams) -> None:
    """A job that is cancelled while it waits never runs."""
    trace = execparams.folder / 'trace'
    job = execparams.hold(execparams.job('/usr/bin/touch', [str(trace)]))
    assert job.status.state is JobState.QUEUED
    job.cancel()
    expect_canceled(execparams, job)
    assert not trace.exists()


@once
def test_cancel_at_once(execparams: ExecParams) -> None:
    """A job may be cancelled in the moment in which it was submitted."""
    job = execparams.submit(execparams.job('/bin/sleep', ['1000']))
    job.cancel()
    expect_canceled(execparams, job)


@once
def test_cancel_twice(execparams: ExecParams) -> None:
    """Cancelling again changes nothing, before the end and after it."""
    job = execparams.submit(execparams.job('/bin/sleep', ['1000']))
    execparams.reach(job, JobState.ACTIVE)
    job.cancel()
    job.cancel()
    expect_canceled(execparams, job)
    status = job.status
    job.cancel()
    assert job.status == status


@once
def test_cancel_finished_job(execparams: ExecParams) -> None:
    """Cancelling a job that is over is no error, and does not change how it ended."""
    job = execparams.job('/bin/date')
    execparams.succeed(job)
    job.cancel()
    execparams.expect(job, JobState.COMPLETED)
    # Another executor does not know the end yet when it is told to cancel.
    attached = Job()
    execparams.executor(initial_queue_polling_delay=30.0).attach(attached, str(job.native_id))
    attached.cancel()
    execparams.wait(attached)
    execparams.expect(attached, JobState.COMPLETED, exit_code=0)


@once
def test_cancel_from_another_executor(execparams: ExecParams) -> None:
    """A job can be cancelled by whoever attaches to it; whoever submitted it learns that as well."""
    job = execparams.submit(execparams.job('/bin/sleep', ['1000']))
    execparams.reach(job, JobState.ACTIVE)
    attached = Job()
    execparams.executor().attach(attached, str(job.native_id))
    attached.cancel()
    expect_canceled(execparams, attached)
    execparams.wait(job)
    execparams.expect(job, JobState.CANCELED)


def test_program_that_tidies_up(execparams: ExecParams) -> None:
    """The program gets TERM and time to tidy up; it is cancelled even if it then ends with exit code 0."""
    ready, tidy = execparams.folder / 'ready', execparams.folder / 'tidy'
    job = execparams.submit(execparams.shell(
        'trap \'echo "$1" > "$3"; exit 0\' TERM; touch "$2"; while :; do sleep 0.05; done',
        ['tidied up', str(ready), str(tidy)]))
    execparams.until(ready.exists, 'the program runs', job)
    job.cancel()
    expect_canceled(execparams, job)
    assert tidy.read_text() == 'tidied up\n'


def test_program_that_ignores_term(execparams: ExecParams) -> None:
    """A program that does not heed TERM is killed."""
    ready = execparams.folder / 'ready'
    job = execparams.submit(execparams.shell('trap "" TERM; touch "$1"; while :; do sleep 0.05; done', [str(ready)]))
    execparams.until(ready.exists, 'the program runs', job)
    job.cancel()
    expect_canceled(execparams, job)


def test_whole_family_ends(execparams: ExecParams) -> None:
    """Cancelling ends what the program started as well."""
    family = execparams.folder / 'family'
    job = execparams.submit(execparams.shell(
        '(sleep 1000 & echo $! > "$1.inner"; exec sleep 1000) & until [ -s "$1.inner" ]; do sleep 0.05; done\n'
        'echo $(cat "$1.inner") $! $$ $(uname -n) > "$1.new"; mv "$1.new" "$1"; wait', [str(family)]))
    execparams.until(family.exists, 'the program has started its children', job)
    *pids, host = family.read_text().split()
    job.cancel()
    expect_canceled(execparams, job)
    if host != os.uname().nodename:
        pytest.skip('processes on another machine cannot be looked at')
    execparams.until(lambda: not any(map(_runs, pids)), f'none of the processes {pids} runs', job)


def _runs(pid: str) -> bool:
    try:
        status = Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return status.rpartition(') ')[2][0] not in 'ZX'


@once
def test_cancel_new_job(execparams: ExecParams) -> None:
    """A job that was not submitted cannot be cancelled."""
    job = execparams.job('/bin/date')
    with pytest.raises(SubmitException):
        job.cancel()
    with pytest.raises(SubmitException):
        execparams.executor().cancel(job)
    assert job.status.state is JobState.NEW
