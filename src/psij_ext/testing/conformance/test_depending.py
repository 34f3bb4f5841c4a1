"""A job that waits for others begins when they have ended as it wants, or never; an executor may refuse such jobs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException, SubmitException
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.execparams import ExecParams

_UNTIL_GO = 'until [ -e "$1/go" ]; do sleep 0.05; done; echo first >> "$1/log"; exit "$2"'
# What an executor says whose scheduler has no dependencies.
NO_JOB_WAITS = 'cannot let a job wait for others'
_NOTE = 'echo "$2" >> "$1/log"'


def first_job(execparams: ExecParams, code: int = 0) -> Job:
    """Submit a job that ends with an exit code once there is the file `go`."""
    return execparams.submit(execparams.shell(_UNTIL_GO, [str(execparams.folder), str(code)]))


def note(execparams: ExecParams, word: str) -> Job:
    """Return a job that adds a word to the log."""
    return execparams.shell(_NOTE, [str(execparams.folder), word])


def go(execparams: ExecParams) -> None:
    """Let the first job end."""
    (execparams.folder / 'go').touch()


def log(execparams: ExecParams) -> Sequence[str]:
    """Return the words that jobs wrote, in order."""
    path = execparams.folder / 'log'
    return path.read_text().split() if path.exists() else []


def submit_after(execparams: ExecParams, job: Job, **others: Any) -> Job:
    """Submit a job that waits for others; where the executor refuses that, it says so, and the test is over."""
    try:
        return execparams.submit(job, **others)
    except InvalidJobException as error:
        assert execparams.executor_name in str(error)
        assert job.status.state is JobState.NEW
        pytest.skip(f'{execparams.executor_name} {NO_JOB_WAITS}')


def expect_in_vain(execparams: ExecParams, job: Job) -> None:
    """Wait for a job's end, and make sure that it never began."""
    execparams.wait(job)
    execparams.expect(job, JobState.FAILED)
    assert job.exit_info is not None
    assert (job.exit_info.reason, job.exit_info.exit_code) == (ExitReason.DEPENDENCY_FAILED, None)
    assert job.status.message


@once
@pytest.mark.parametrize(('kind', 'code'), [('after_ok', 0), ('after_any', 0), ('after_any', 3), ('after_not_ok', 3)])
def test_a_job_that_waits_for_another(execparams: ExecParams, kind: str, code: int) -> None:
    """It is in the queue while the other runs, and runs after it."""
    first = first_job(execparams, code)
    second = submit_after(execparams, note(execparams, 'second'), **{kind: [first]})
    execparams.reach(first, JobState.ACTIVE)
    execparams.expect(second, JobState.QUEUED)
    assert log(execparams) == []
    go(execparams)
    execparams.wait(second)
    execparams.expect(second, JobState.COMPLETED)
    execparams.wait(first)
    execparams.expect(first, JobState.COMPLETED if code == 0 else JobState.FAILED, code)
    assert log(execparams) == ['first', 'second']


@once
@pytest.mark.parametrize(('kind', 'code'), [('after_ok', 3), ('after_not_ok', 0)])
def test_a_job_that_waits_in_vain(execparams: ExecParams, kind: str, code: int) -> None:
    """It ends FAILED and never runs, and so does what waits for its success; what waits for any end of it runs."""
    first = first_job(execparams, code)
    vain = submit_after(execparams, note(execparams, 'vain'), **{kind: [first]})
    also_vain = submit_after(execparams, note(execparams, 'vain'), after_ok=[vain])
    last = submit_after(execparams, note(execparams, 'last'), after_any=[first, vain])
    go(execparams)
    expect_in_vain(execparams, vain)
    expect_in_vain(execparams, also_vain)
    execparams.wait(last)
    execparams.expect(last, JobState.COMPLETED)
    assert log(execparams) == ['first', 'last']


@once
def test_a_job_that_waits_for_several(execparams: ExecParams) -> None:
    """All of them must be over, each as was asked for."""
    first, bad = first_job(execparams), first_job(execparams, 4)
    fast = execparams.submit(note(execparams, 'fast'))
    last = submit_after(
        execparams, note(execparams, 'last'), after_ok=[first, fast], after_not_ok=[bad], after_any=[bad])
    execparams.wait(fast)
    execparams.expect(last, JobState.QUEUED)
    go(execparams)
    execparams.wait(last)
    execparams.expect(last, JobState.COMPLETED)
    assert log(execparams) == ['fast', 'first', 'first', 'last']


@once
def test_a_job_that_waits_is_cancelled(execparams: ExecParams) -> None:
    """It never runs, and is CANCELED like any other."""
    first = first_job(execparams)
    second = submit_after(execparams, note(execparams, 'second'), after_ok=[first])
    second.cancel()
    execparams.wait(second)
    execparams.expect(second, JobState.CANCELED)
    go(execparams)
    execparams.wait(first)
    execparams.expect(first, JobState.COMPLETED)
    assert log(execparams) == ['first']


@once
def test_after_the_cancel_of_another(execparams: ExecParams) -> None:
    """A job that was cancelled did not succeed."""
    first = first_job(execparams)
    vain = submit_after(execparams, note(execparams, 'vain'), after_ok=[first])
    after_failure = submit_after(execparams, note(execparams, 'after failure'), after_not_ok=[first])
    execparams.reach(first, JobState.ACTIVE)
    first.cancel()
    expect_in_vain(execparams, vain)
    execparams.wait(after_failure)
    execparams.expect(after_failure, JobState.COMPLETED)
    execparams.wait(first)
    execparams.expect(first, JobState.CANCELED)


@once
def test_a_job_that_waits_for_one_that_is_over(execparams: ExecParams) -> None:
    """It runs at once, or is refused, as the other ended: its scheduler may have forgotten that."""
    good, bad = execparams.job('/bin/true'), execparams.job('/bin/false')
    execparams.run(good)
    execparams.run(bad)
    later = submit_after(
        execparams, note(execparams, 'later'), after_ok=[good], after_any=[good, bad], after_not_ok=[bad])
    execparams.wait(later)
    execparams.expect(later, JobState.COMPLETED)
    refused: list[dict[str, Any]] = [{'after_ok': [good, bad]}, {'after_not_ok': [good]}]
    for others in refused:
        job = note(execparams, 'never')
        with pytest.raises(SubmitException, match='can never run'):
            execparams.submit(job, **others)
        assert (job.status.state, job.executor) == (JobState.NEW, None)
    assert log(execparams) == ['later']


@once
def test_what_no_job_can_wait_for(execparams: ExecParams) -> None:
    """A job that was not submitted, is with another executor, or is the job itself."""
    job, new, elsewhere = note(execparams, 'never'), execparams.job('/bin/true'), execparams.job('/bin/true')
    execparams.submit(elsewhere, executor=execparams.executor())
    for other in (job, new, elsewhere):
        with pytest.raises(InvalidJobException):
            execparams.submit(job, after_any=[other])
    assert job.status.state is JobState.NEW


@once
@pytest.mark.parametrize('kind', ['after_ok', 'after_any', 'after_not_ok'])
def test_nothing_waits_for_a_job_that_is_unknown(execparams: ExecParams, kind: str) -> None:
    """To some schedulers a job that they do not know has ended as it was to."""
    known, unknown, job = execparams.job('/bin/true'), Job(), note(execparams, 'never')
    executor = execparams.executor()
    execparams.run(known, executor)
    executor.attach(unknown, str(known.native_id).replace(str(known.native_id)[0], '9999999', 1))
    with pytest.raises((InvalidJobException, SubmitException), match=f'{unknown.native_id}|{NO_JOB_WAITS}'):
        execparams.submit(job, executor, **{kind: [unknown]})
    assert (job.status.state, job.executor) == (JobState.NEW, None)


@once
def test_a_job_that_waits_outlives_its_program(execparams: ExecParams) -> None:
    """The scheduler keeps the dependency, or the job's own processes do: nobody has to be there."""
    executor = execparams.executor()
    first = execparams.submit(execparams.shell(_UNTIL_GO, [str(execparams.folder), '3']), executor)
    vain = submit_after(execparams, note(execparams, 'vain'), executor=executor, after_ok=[first])
    second = submit_after(execparams, note(execparams, 'second'), executor=executor, after_any=[first])
    executor.close()
    go(execparams)
    execparams.until(lambda: log(execparams) == ['first', 'second'], 'both ran', first, second)
    with execparams.executor() as later:
        attached = [Job(), Job()]
        for job, known in zip(attached, (vain, second)):
            later.attach(job, str(known.native_id))
        expect_in_vain(execparams, attached[0])
        assert attached[1].wait(timedelta(seconds=execparams.max_wait))
        execparams.expect(attached[1], JobState.COMPLETED)
