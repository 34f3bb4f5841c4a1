"""What user code does in a callback, and how long it takes, is nothing to the states of jobs."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, result

from psij_ext import Job, JobSpec, JobState, JobStatus
from psij_ext.runtime.command import CommandResult

PATIENCE = timedelta(seconds=30)
SECONDS = PATIENCE.total_seconds()
ENDED_WELL = [JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED]


@pytest.fixture(autouse=True)
def answers(runner: FakeRunner) -> dict[str, str]:
    """What the scheduler says of its jobs, by their native ids; `running` of those that are not here."""
    states: dict[str, str] = {}
    ids = iter(range(1, 1000))
    runner.answers['submit'] = lambda argv, folder: result(b'job %d\n' % next(ids))

    def status(argv: Sequence[str], folder: Path) -> CommandResult:
        return result(''.join(f'{each} {states.get(each, "running")}\n' for each in argv[1:]).encode())

    runner.answers['status'] = status
    return states


def submitted(executor: SimpleExecutor, count: int) -> list[Job]:
    jobs = [Job(JobSpec('/bin/date')) for _ in range(count)]
    for job in jobs:
        executor.submit(job)
    return jobs


@pytest.mark.parametrize('closed', [False, True], ids=['open', 'closed'])
def test_a_slow_callback_delays_no_state(executor: SimpleExecutor, answers: dict[str, str], closed: bool) -> None:
    """Not even where the executor was closed, and its jobs are followed because somebody waits for them."""
    go, called = threading.Event(), threading.Event()
    first, second = submitted(executor, 2)
    assert first.wait(PATIENCE, JobState.ACTIVE)
    assert second.wait(PATIENCE, JobState.ACTIVE)
    if closed:
        executor.close()
    first.set_job_status_callback(lambda job, status: (called.set(), go.wait(SECONDS)))
    told: list[JobState] = []
    last = threading.Event()

    def note(job: Job, status: JobStatus) -> None:
        told.append(status.state)
        last.set()

    second.set_job_status_callback(note)
    answers['1'] = 'done'
    assert first.wait(PATIENCE)
    assert called.wait(SECONDS)
    answers['2'] = 'done'
    try:
        assert second.wait(PATIENCE)
        assert second.status.state is JobState.COMPLETED
        assert told == [], 'callbacks are called one after the other'
    finally:
        go.set()
    assert last.wait(SECONDS)
    assert told == [JobState.COMPLETED]


@pytest.mark.parametrize('closed', [False, True], ids=['open', 'closed'])
def test_no_lock_is_held_during_a_callback(executor: SimpleExecutor, answers: dict[str, str], closed: bool) -> None:
    """It may submit, wait for other jobs, and close the executor."""
    first, second = submitted(executor, 2)
    assert first.wait(PATIENCE, JobState.ACTIVE)
    assert second.wait(PATIENCE, JobState.ACTIVE)
    if closed:
        executor.close()
    done: list[object] = []
    called = threading.Event()

    def go_on(job: Job, status: JobStatus) -> None:
        answers['2'] = 'done'
        done.append(second.wait(PATIENCE))
        third, = submitted(executor, 1)
        answers['3'] = 'done'
        done.append(third.wait(PATIENCE))
        executor.close()
        called.set()

    first.set_job_status_callback(go_on)
    answers['1'] = 'done'
    assert first.wait(PATIENCE)
    assert called.wait(SECONDS)
    assert None not in done


def test_a_callback_that_raises_is_logged_with_its_job(
    executor: SimpleExecutor, answers: dict[str, str], caplog: pytest.LogCaptureFixture,
) -> None:
    told: list[tuple[str | None, JobState]] = []
    executor.set_job_status_callback(lambda job, status: told.append((job.native_id, status.state)))

    def fail(job: Job, status: JobStatus) -> None:
        raise RuntimeError('a defect of the user')

    jobs = [Job(JobSpec('/bin/date')) for _ in range(2)]
    jobs[0].set_job_status_callback(fail)
    with caplog.at_level(logging.ERROR):
        for job in jobs:
            executor.submit(job)
        answers.update({'1': 'done', '2': 'done'})
        for job in jobs:
            assert job.wait(PATIENCE)
        executor.close()
    for native_id in '12':
        assert [state for each, state in told if each == native_id] == ENDED_WELL
    assert [record.getMessage() for record in caplog.records] == [
        f'A callback failed for job {jobs[0].id} in state {state}' for state in ENDED_WELL]
    assert 'a defect of the user' in caplog.text
