"""Submissions of which nobody knew what became of them when `submit` returned: the same process finds it out later."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, TellingExecutor, claim, folder_of, result

from faulty_files import FaultyFiles
from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import CommandTimeout, InvalidJobException, SubmitUncertain
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.command import CommandResult

SOON = timedelta(seconds=10)


@pytest.fixture
def executor(tmp_path: Path, runner: FakeRunner) -> Iterator[SimpleExecutor]:
    config = BatchSchedulerExecutorConfig(
        work_directory=tmp_path / 'work', initial_queue_polling_delay=0.05, queue_polling_interval=0.1, submit_retry_time=0)
    runner.answers['origins'] = CommandTimeout('no answer', argv=('origins',))
    with TellingExecutor(config=config) as made:
        made.runner = runner
        yield made


def submit_uncertain(executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch,
                     begins_as: str | None = None) -> Job:
    """Submit a job whose submit command gives no answer, while its folder cannot be written."""
    files = FaultyFiles(monkeypatch)
    broken = []

    def time_out(argv: Sequence[str], folder: Path) -> CommandResult:
        if begins_as is not None:
            claim(begins_as)(argv, folder)
        fault = files.on(folder, 'EIO on read' if begins_as else 'EROFS')
        fault.__enter__()
        broken.append(fault)
        raise CommandTimeout('no answer', argv=argv)

    runner.answers['submit'] = time_out
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(SubmitUncertain):
        executor.submit(job)
    broken[0].__exit__(None, None, None)
    return job


def test_a_job_that_the_scheduler_has_is_followed(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[JobState] = []
    executor.set_job_status_callback(lambda job, status: seen.append(status.state))
    job = submit_uncertain(executor, runner, monkeypatch)
    assert (job.native_id, job.status.state) == (None, JobState.NEW)
    runner.answers.update(
        status=result(b'7 done\n'), origins=result(f'7 {folder_of(executor, job).path}\n'.encode()))
    assert job.wait(SOON) is not None
    assert (job.native_id, job.status.state) == ('7', JobState.COMPLETED)
    assert folder_of(executor, job).read_journal().native_id == '7'
    assert folder_of(executor, job).read_journal().reported is not None
    executor.close()
    assert seen == [JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED]


def test_a_job_whose_script_has_begun_is_followed_without_a_question(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.answers['status'] = result(b'7 done\n')
    job = submit_uncertain(executor, runner, monkeypatch, begins_as='7')
    assert job.wait(SOON) is not None
    assert (job.native_id, job.status.state, runner.of('origins')) == ('7', JobState.COMPLETED, [])


def test_a_job_that_the_scheduler_does_not_have_ends_and_never_runs(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit_uncertain(executor, runner, monkeypatch)
    assert job.wait(timedelta(seconds=0.3)) is None
    assert folder_of(executor, job).read_journal().is_open
    runner.answers['origins'] = result(b'7 /another/folder\n')
    assert job.wait(SOON) is not None
    assert job.exit_info is not None
    assert (job.status.state, job.exit_info.reason) == (JobState.FAILED, ExitReason.SUBMIT_FAILED)
    assert 'not submitted' in (job.status.message or '')
    assert 'no answer' in (job.status.message or '')
    folder = folder_of(executor, job)
    nonce = (folder.read_journal().submission or {})['nonce']
    assert folder.claimed_by(str(nonce)) == REVOKED
    assert folder.read_journal().reported is not None
    with pytest.raises(InvalidJobException):
        executor.submit(job)


def test_while_its_folder_is_away_nothing_is_decided(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that is not mounted looks empty, and the job's script may see it."""
    job = submit_uncertain(executor, runner, monkeypatch)
    folder = folder_of(executor, job)
    away = folder.path.rename(folder.path.parent / '.away')
    runner.answers['origins'] = result()
    assert job.wait(timedelta(seconds=0.5)) is None
    claim('7')([], away)
    away.rename(folder.path)
    runner.answers['status'] = result(b'7 done\n')
    assert job.wait(SOON) is not None
    assert (job.native_id, job.status.state) == ('7', JobState.COMPLETED)


def test_many_are_settled_with_one_question_that_takes_turns_with_the_other(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = [submit_uncertain(executor, runner, monkeypatch) for _ in range(5)]
    runner.answers.update(submit=result(b'job 1\n'), status=result(b'1 running\n'))
    executor.submit(Job(JobSpec('/bin/date')))
    origins = ''.join(f'{10 + number} {folder_of(executor, job).path}\n' for number, job in enumerate(jobs))
    runner.runs.clear()
    runner.answers['origins'] = result(origins.encode())
    for job in jobs:
        assert job.wait(SOON, JobState.QUEUED) is not None
    assert len(runner.of('origins')) == 1
    assert [job.native_id for job in jobs] == ['10', '11', '12', '13', '14']


def test_a_scheduler_that_never_tells_keeps_no_other_job_from_being_followed(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    uncertain = submit_uncertain(executor, runner, monkeypatch)
    runner.answers.update(submit=result(b'job 1\n'), status=result(b'1 done\n'))
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert job.wait(SOON) is not None
    assert uncertain.status.state is JobState.NEW


def test_a_scheduler_that_tells_no_folders(
        tmp_path: Path, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    config = BatchSchedulerExecutorConfig(
        work_directory=tmp_path / 'work', initial_queue_polling_delay=0.05, submit_retry_time=0)
    with SimpleExecutor(config=config) as executor:
        executor.runner = runner
        job = submit_uncertain(executor, runner, monkeypatch)
        assert job.wait(SOON) is not None
        assert job.status.state is JobState.FAILED


def test_who_waits_for_it_has_it_followed_after_the_executor_was_closed(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    job = submit_uncertain(executor, runner, monkeypatch)
    executor.close()
    threads = {thread.name for thread in threading.enumerate() if thread.name.startswith('psij-ext monitor')}
    assert not threads
    runner.answers.update(
        status=result(b'7 done\n'), origins=result(f'7 {folder_of(executor, job).path}\n'.encode()))
    assert job.wait(SOON) is not None
    assert job.status.state is JobState.COMPLETED


def test_it_keeps_its_executor_alive_and_no_longer_than_needed(
        tmp_path: Path, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.answers['origins'] = CommandTimeout('no answer', argv=('origins',))
    executor = TellingExecutor(config=BatchSchedulerExecutorConfig(
        work_directory=tmp_path / 'work', initial_queue_polling_delay=0.05, queue_polling_interval=0.1, submit_retry_time=0))
    executor.runner = runner
    ended = threading.Event()
    executor.set_job_status_callback(lambda job, status: ended.set() if status.final else None)
    submit_uncertain(executor, runner, monkeypatch)
    reference = weakref.ref(executor)
    runner.once_started = None
    del executor
    gc.collect()
    runner.answers['origins'] = result()
    assert ended.wait(10)
    deadline = time.monotonic() + 10
    while reference() is not None or any(thread.name.startswith('psij-ext monitor') for thread in threading.enumerate()):
        assert time.monotonic() < deadline
        gc.collect()
        time.sleep(0.01)
