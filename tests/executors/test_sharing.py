"""One monitor for each scheduler in a process, however many executors there are for it."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, result

from psij_ext import Job, JobSpec, JobState
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime import sharing
from psij_ext.runtime.command import CommandResult

PATIENCE = timedelta(seconds=10)
Make = Callable[..., SimpleExecutor]


class SecondExecutor(SimpleExecutor):
    """Another scheduler."""


@pytest.fixture
def make(tmp_path: Path, runner: FakeRunner) -> Iterator[Make]:
    made: list[weakref.ref[SimpleExecutor]] = []

    def build(kind: type[SimpleExecutor] = SimpleExecutor, url: str | None = None, interval: float = 0.2,
              runner: FakeRunner = runner) -> SimpleExecutor:
        executor = kind(url=url, config=BatchSchedulerExecutorConfig(
            work_directory=tmp_path / f'work{len(made)}', initial_queue_polling_delay=0.1, queue_polling_interval=interval))
        executor.runner = runner
        made.append(weakref.ref(executor))
        return executor

    ids = iter(range(1, 1000))
    runner.answers['submit'] = lambda argv, folder: result(b'job %d\n' % next(ids))
    runner.answers['status'] = all_in('running')
    yield build
    for reference in made:
        executor = reference()
        if executor is not None:
            executor.close()
    until(lambda: monitors() == 0)  # what the collector finds is closed on a thread of its own


def all_in(state: str) -> Callable[..., CommandResult]:
    return lambda argv, folder: result(''.join(f'{native_id} {state}\n' for native_id in argv[1:]).encode())


def monitors() -> int:
    names = [f'psij-ext monitor of {kind.__name__}' for kind in (SimpleExecutor, SecondExecutor)]
    return sum(1 for thread in threading.enumerate() if thread.name in names)


def submitted(executor: SimpleExecutor) -> Job:
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    return job


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.005)


def test_one_query_for_the_jobs_of_all_executors(make: Make, runner: FakeRunner) -> None:
    jobs = [submitted(make()) for _ in range(3)]
    assert all(job.wait(PATIENCE, JobState.ACTIVE) for job in jobs)
    assert monitors() == 1
    asked = len(runner.of('status'))
    until(lambda: len(runner.of('status')) > asked)
    assert sorted(runner.of('status')[-1][0]) == ['1', '2', '3', 'status']


def test_one_id_is_asked_for_once_whoever_follows_it(make: Make, runner: FakeRunner) -> None:
    first, second = make(), make()
    job = submitted(first)
    attached = Job()
    second.attach(attached, str(job.native_id))
    assert attached.wait(PATIENCE, JobState.ACTIVE)
    assert runner.of('status')[-1][0] == ['status', '1']


def test_who_closes_leaves_the_others_jobs_followed(make: Make, runner: FakeRunner) -> None:
    first, second = make(), make()
    left, kept = submitted(first), submitted(second)
    assert left.wait(PATIENCE, JobState.ACTIVE)
    first.close()
    assert monitors() == 1
    runner.answers['status'] = all_in('done')
    assert kept.wait(PATIENCE)
    assert (kept.status.state, left.status.state) == (JobState.COMPLETED, JobState.ACTIVE)
    second.close()
    assert monitors() == 0


def test_who_closes_while_a_round_is_on_disturbs_nothing(
        make: Make, runner: FakeRunner, caplog: pytest.LogCaptureFixture) -> None:
    asked, may_answer = threading.Event(), threading.Event()

    def answer(argv: list[str], folder: Path) -> CommandResult:
        asked.set()
        assert may_answer.wait(PATIENCE.total_seconds())
        return all_in('running')(argv, folder)

    runner.answers['status'] = answer
    executor = make()
    submitted(executor)
    assert asked.wait(PATIENCE.total_seconds())
    closing = threading.Thread(target=executor.close)
    closing.start()
    until(lambda: not sharing._monitors.by_key)
    may_answer.set()
    closing.join(PATIENCE.total_seconds())
    assert not closing.is_alive()
    assert [record for record in caplog.records if record.levelname in ('WARNING', 'ERROR')] == []


def test_a_closed_executor_may_submit_again(make: Make, runner: FakeRunner) -> None:
    executor = make()
    submitted(executor)
    executor.close()
    job = submitted(executor)
    assert job.wait(PATIENCE, JobState.ACTIVE)


def test_who_waits_for_a_job_of_a_closed_executor_sees_its_end(make: Make, runner: FakeRunner) -> None:
    executor = make()
    job = submitted(executor)
    assert job.wait(PATIENCE, JobState.ACTIVE)
    executor.close()
    runner.answers['status'] = all_in('done')
    assert job.wait(PATIENCE)
    assert job.status.state is JobState.COMPLETED


def test_who_waits_while_an_executor_is_closed_sees_the_end(make: Make, runner: FakeRunner) -> None:
    executor = make()
    job = submitted(executor)
    assert job.wait(PATIENCE, JobState.ACTIVE)
    waiting = threading.Thread(target=job.wait)
    waiting.start()
    until(lambda: job._waiters)
    executor.close()
    runner.answers['status'] = all_in('done')
    waiting.join(PATIENCE.total_seconds())
    assert not waiting.is_alive()
    assert job.status.state is JobState.COMPLETED


@pytest.mark.parametrize('other', [{'kind': SecondExecutor}, {'url': 'elsewhere'}, {'runner': FakeRunner()}])
def test_another_scheduler_has_a_monitor_of_its_own(make: Make, other: dict[str, object]) -> None:
    if 'runner' in other:
        other['runner'].answers['status'] = all_in('running')  # type: ignore[attr-defined]
    submitted(make())
    submitted(make(**other))
    assert monitors() == 2


def test_the_most_impatient_gives_the_rhythm(make: Make, runner: FakeRunner) -> None:
    patient, impatient = make(interval=3600.0), make(interval=0.1)
    job = submitted(patient)
    assert job.wait(PATIENCE, JobState.ACTIVE)
    submitted(impatient)
    runner.answers['status'] = all_in('done')
    assert job.wait(PATIENCE)


def test_an_executor_that_nobody_needs_any_more_leaves(make: Make, runner: FakeRunner) -> None:
    runner.answers['status'] = all_in('done')
    forgotten = make()
    assert submitted(forgotten).wait(PATIENCE)
    kept = make()
    job = submitted(kept)
    assert job.wait(PATIENCE)
    del forgotten
    # A round that is on may still hold the job that it has just told the end of.
    until(lambda: gc.collect() is not None and len(alive()) == 1)
    again = submitted(kept)
    assert again.wait(PATIENCE)
    assert monitors() == 1
    kept.close()
    assert monitors() == 0


def alive() -> list[SimpleExecutor]:
    return [each for each in gc.get_objects() if isinstance(each, SimpleExecutor) and each._membership is not None]
