"""What executors put into the index."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, begins, folder_of, result

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime import processes
from psij_ext.runtime.index import Index, IndexedJob
from psij_ext.runtime.index_rebuild import rebuild

DEAD = {**processes.this_process(), 'pid': 4_000_000, 'start_time': 1}


@pytest.fixture
def executor(tmp_path: Path, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleExecutor]:
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    runner.answers.update(submit=begins, status=result(b'1 running\n'))
    with opened(tmp_path, runner) as made:
        yield made


def opened(folder: Path, runner: FakeRunner) -> SimpleExecutor:
    executor = SimpleExecutor(config=BatchSchedulerExecutorConfig(
        work_directory=folder / 'work', initial_queue_polling_delay=0.05, queue_polling_interval=0.1, session='s'))
    executor.runner = runner
    return executor


def indexed() -> list[IndexedJob]:
    return list(Index().jobs())


def test_the_index_tells_the_life_of_a_job(executor: SimpleExecutor, runner: FakeRunner) -> None:
    job = Job(JobSpec('/bin/date', name='named'))
    executor.submit(job, key='k')
    assert job.wait(timedelta(seconds=10), JobState.ACTIVE) is not None
    runner.answers['status'] = result(b'1 failed\n')
    assert job.wait(timedelta(seconds=10)) is not None
    executor.close()
    told, = indexed()
    assert (told.job_id, told.executor, told.name, told.key, told.session, told.native_id) == (
        job.id, 'SimpleExecutor', 'named', 'k', 's', '1')
    assert told.exit_info is not None
    assert (told.state, told.exit_info.reason, told.reported is not None) == (JobState.FAILED, ExitReason.EXITED, True)
    assert [state for state, _ in told.states] == [JobState.QUEUED, JobState.ACTIVE, JobState.FAILED]


def test_who_attaches_to_a_job_adds_none(executor: SimpleExecutor, runner: FakeRunner) -> None:
    submitted, attached, others = Job(JobSpec('/bin/date')), Job(), Job()
    executor.submit(submitted)
    runner.answers['status'] = result(b'1 running\n7 done\n')
    executor.attach(attached, '1')
    executor.attach(others, '7')
    executor.close()
    assert [told.job_id for told in indexed()] == [submitted.id]


def test_a_look_that_finds_an_end_tells_the_index(executor: SimpleExecutor, runner: FakeRunner) -> None:
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    executor.close()
    runner.answers['status'] = result(b'1 failed\n')
    with SimpleExecutor(config=executor.config) as later:
        later.runner = runner
        later.look([folder_of(executor, job)])
    told, = indexed()
    assert (told.state, told.reported) == (JobState.FAILED, None)


def test_a_job_that_never_came_into_the_index_is_there_when_it_is_recovered(
        executor: SimpleExecutor, runner: FakeRunner) -> None:
    job = Job(JobSpec('/bin/date', name='named'))
    executor.submit(job)
    executor.close()
    folder_of(executor, job).note_owner(DEAD)
    for path in Path(os.environ['XDG_STATE_HOME'], 'psij-ext').glob('index*'):
        path.unlink()
    with SimpleExecutor(config=executor.config) as later:
        later.runner = runner
        assert len(later.recover()) == 1
    told, = indexed()
    assert (told.job_id, told.name, told.native_id, told.session) == (job.id, 'named', '1', 's')


def test_the_index_can_be_made_again(executor: SimpleExecutor, runner: FakeRunner, tmp_path: Path) -> None:
    job = Job(JobSpec('/bin/date', name='named'))
    executor.submit(job, key='k')
    runner.answers['status'] = result(b'1 failed\n')
    assert job.wait(timedelta(seconds=10)) is not None
    executor.close()
    before, = indexed()
    rebuild([tmp_path / 'work'])
    after, = indexed()
    assert before.reported is not None
    assert after.reported == pytest.approx(before.reported, abs=1.0)
    assert (after.job_id, after.key, after.session, after.state, after.exit_info) == (
        before.job_id, before.key, before.session, before.state, before.exit_info)
