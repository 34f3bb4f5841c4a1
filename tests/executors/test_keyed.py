"""Submissions under a key."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, TellingExecutor, begins, folder_of, result

from faulty_files import FaultyFiles
from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandTimeout, InvalidJobException, SubmitException, SubmitUncertain
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime import processes
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.ending import keep_end
from psij_ext.runtime.finding import job_folders
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.keys import Keys

HERE = processes.this_process()
DEAD = {**HERE, 'pid': 4_000_000, 'start_time': 1}


def opened(folder: Path, runner: Any) -> SimpleExecutor:
    executor = SimpleExecutor(config=BatchSchedulerExecutorConfig(
        work_directory=folder / 'work', initial_queue_polling_delay=0.05, queue_polling_interval=0.1,
        submit_retry_time=0, submit_timeout=1))
    executor.runner = runner
    return executor


@pytest.fixture
def executor(tmp_path: Path, runner: FakeRunner) -> Iterator[SimpleExecutor]:
    runner.answers.update(submit=begins, status=result(b'1 running\n'))
    with opened(tmp_path, runner) as made:
        yield made


def date() -> Job:
    return Job(JobSpec('/bin/date'))


def folders(executor: SimpleExecutor) -> list[str]:
    return sorted(folder.job_id for folder in job_folders(executor.work_directory))


def test_a_second_submission_follows_the_job_of_the_first(
        executor: SimpleExecutor, runner: FakeRunner, tmp_path: Path) -> None:
    first, second = date(), Job(JobSpec('/bin/true', name='another spec'))
    executor.submit(first, key='sim-0042')
    executor.submit(second, key='sim-0042')
    assert (second.native_id, second.executor, second.status.state) == ('1', executor, JobState.ACTIVE)
    assert second.spec is not None
    assert (second.spec.name, second.id == first.id) == ('another spec', False)
    assert (len(runner.of('submit')), folders(executor)) == (1, [first.id])
    executor.close()
    with opened(tmp_path, runner) as later:  # the program is run again
        third = date()
        later.submit(third, key='sim-0042')
        runner.answers['status'] = result(b'1 done\n')
        assert third.wait(timedelta(seconds=10)) is not None
        fourth = date()
        later.submit(fourth, key='sim-0042')
        assert (third.status.state, fourth.status.state) == (JobState.COMPLETED, JobState.COMPLETED)
    assert len(runner.of('submit')) == 1


@pytest.mark.parametrize('fault', ['EIO', 'EIO on read', 'ESTALE', 'EACCES'])
def test_nothing_is_submitted_while_the_folder_of_the_former_job_cannot_be_read(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    first = date()
    executor.submit(first, key='k')
    files = FaultyFiles(monkeypatch)
    second = date()
    with files.on(folder_of(executor, first).path, fault), pytest.raises(SubmitException):
        executor.submit(second, key='k')
    assert len(runner.of('submit')) == 1
    executor.submit(second, key='k')
    assert (second.native_id, len(runner.of('submit'))) == ('1', 1)


def test_a_former_job_that_is_pruned_at_this_moment_has_ended_as_it_did(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = date(), date()
    executor.submit(first, key='k')
    keep_end(folder_of(executor, first), JobStatus(JobState.FAILED, exit_code=3), ExitInfo(ExitReason.EXITED, 3), reported=True)
    attach = SimpleExecutor._attach_all

    def attach_late(*arguments: Any) -> None:
        shutil.rmtree(folder_of(executor, first).path)
        attach(*arguments)

    monkeypatch.setattr(SimpleExecutor, '_attach_all', attach_late)
    runner.answers['status'] = result()
    executor.submit(second, key='k')
    assert (second.native_id, second.status.state, second.status.exit_code) == ('1', JobState.FAILED, 3)


def test_a_job_that_is_pruned_while_it_is_asked_whether_it_failed_leaves_its_key_free(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = date(), date()
    executor.submit(first, key='k')
    look = SimpleExecutor.look

    def look_late(self: SimpleExecutor, folders: Sequence[JobFolder], usage: bool = False) -> Any:
        shutil.rmtree(folder_of(executor, first).path)
        return look(self, folders, usage)

    monkeypatch.setattr(SimpleExecutor, 'look', look_late)
    runner.answers['submit'] = result(b'job 2\n')
    executor.submit(second, key='k', resubmit_failed=True)
    assert second.native_id == '2'


def test_a_job_whose_submitter_lives_stays_its_own(executor: SimpleExecutor, runner: FakeRunner) -> None:
    first = date()
    executor.submit(first, key='k')
    folder = folder_of(executor, first)
    for owner, kept in ((living(), living()), (DEAD, HERE)):
        folder.note_owner(owner)
        executor.submit(date(), key='k')
        assert folder.read_journal().owner == kept


def test_other_keys_are_other_jobs(executor: SimpleExecutor, runner: FakeRunner) -> None:
    for key in ('a', 'b', 'A', '../a', 'a/b', 'k' * 5000, 'ü\udcff', ' ', None, None):
        executor.submit(date(), key=key)
    assert len(runner.of('submit')) == len(folders(executor)) == 10


@pytest.mark.parametrize('key', ['', 5, b'x'])
def test_what_is_no_key_is_refused(executor: SimpleExecutor, key: Any) -> None:
    job = date()
    with pytest.raises(InvalidJobException, match='key'):
        executor.submit(job, key=key)
    assert (job.executor, folders(executor)) == (None, [])


@pytest.mark.parametrize(('said', 'again'), [(b'1 failed\n', True), (b'1 done\n', False), (b'1 running\n', False)])
def test_who_wants_it_submits_anew_what_failed(
        executor: SimpleExecutor, runner: FakeRunner, said: bytes, again: bool) -> None:
    first, second, third = date(), date(), date()
    executor.submit(first, key='k')
    runner.answers['status'] = result(said)
    executor.submit(second, key='k')
    assert len(runner.of('submit')) == 1
    runner.answers['submit'] = result(b'job 2\n')
    executor.submit(third, key='k', resubmit_failed=True)
    assert (third.native_id, len(runner.of('submit'))) == (('2', 2) if again else ('1', 1))
    fourth = date()
    runner.answers['status'] = result(said + b'2 running\n')
    executor.submit(fourth, key='k')
    assert fourth.native_id == third.native_id


def test_a_refused_submission_leaves_its_key_free(executor: SimpleExecutor, runner: FakeRunner) -> None:
    job = date()
    runner.answers['submit'] = result(b'', 1, b'no such queue')
    with pytest.raises(SubmitException, match='no such queue'):
        executor.submit(job, key='k')
    runner.answers['submit'] = result(b'job 1\n')
    executor.submit(date(), key='k')
    other = date()
    executor.submit(other, key='k')
    assert (other.native_id, len(runner.of('submit'))) == ('1', 2)


def test_the_same_job_may_be_submitted_again_under_its_key(executor: SimpleExecutor, runner: FakeRunner) -> None:
    job = date()
    runner.answers['submit'] = result(b'', 1, b'no such queue')
    with pytest.raises(SubmitException):
        executor.submit(job, key='k')
    runner.answers['submit'] = result(b'job 1\n')
    executor.submit(job, key='k')
    assert job.native_id == '1'


def test_a_key_whose_folder_is_gone_is_free(executor: SimpleExecutor, runner: FakeRunner) -> None:
    executor.work_directory.mkdir(parents=True, mode=0o700)
    assert Keys(executor.work_directory).take('k', 0, 'pruned')
    executor.submit(date(), key='k')
    assert len(runner.of('submit')) == 1


# -- a former submission that was cut short


def cut_short(executor: SimpleExecutor, owner: Mapping[str, object]) -> JobFolder:
    """What a process leaves behind that was killed while it submitted, or has not done so yet."""
    job = date()
    folder = JobFolder.create(executor.work_directory, job.id)
    folder.open_journal({'job_id': job.id, 'executor': executor.name, 'url': None, 'nonce': 'n', 'session': None,
                         'key': 'k', 'owner': owner, 'submitted': time.time()}, '')
    assert Keys(executor.work_directory).take('k', 0, job.id)
    return folder


def test_what_a_dead_process_did_not_submit_is_submitted(executor: SimpleExecutor, runner: FakeRunner) -> None:
    folder = cut_short(executor, DEAD)
    executor.submit(date(), key='k')
    assert (len(runner.of('submit')), folder.claimed_by('n')) == (1, REVOKED)


def test_what_a_dead_process_did_submit_is_followed(executor: SimpleExecutor, runner: FakeRunner) -> None:
    folder = cut_short(executor, DEAD)
    (folder.path / 'claim.n').symlink_to('7')
    runner.answers['status'] = result(b'7 running\n')
    job = date()
    executor.submit(job, key='k')
    assert (job.native_id, job.status.state, runner.of('submit')) == ('7', JobState.ACTIVE, [])


@pytest.mark.parametrize('has_it', [True, False])
def test_nothing_is_submitted_while_nobody_knows(tmp_path: Path, runner: FakeRunner, has_it: bool) -> None:
    runner.answers.update(origins=CommandTimeout('no answer', argv=('origins',)), status=result(b'7 done\n'))
    with TellingExecutor(config=BatchSchedulerExecutorConfig(
            work_directory=tmp_path / 'work', initial_queue_polling_delay=0.05, queue_polling_interval=0.1)) as executor:
        executor.runner = runner
        former = cut_short(executor, DEAD)
        job = date()
        with pytest.raises(SubmitUncertain, match="'k'"):
            executor.submit(job, key='k')
        assert not folder_of(executor, job).path.exists()
        runner.answers['origins'] = result(f'7 {former.path}\n'.encode() if has_it else b'')
        assert job.wait(timedelta(seconds=10)) is not None
        assert (job.native_id, job.status.state) == (('7', JobState.COMPLETED) if has_it else (None, JobState.FAILED))
        assert runner.of('submit') == []


def living() -> dict[str, object]:
    """A process that runs as long as this one."""
    return {**HERE, 'pid': os.getppid(), 'start_time': processes.start_time(os.getppid())}


def test_who_submits_at_this_moment_is_waited_for(executor: SimpleExecutor, runner: FakeRunner) -> None:
    folder = cut_short(executor, living())
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            folder.set_native_id('9')

    executor.sleep = sleep
    runner.answers['status'] = result(b'9 running\n')
    job = date()
    executor.submit(job, key='k')
    assert (job.native_id, runner.of('submit'), len(slept)) == ('9', [], 3)


def test_who_submits_is_seen_to_do_so_at_each_moment(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def looking(name: str) -> None:
        call = getattr(os, name)

        def look_first(*arguments: Any) -> Any:
            if Keys(executor.work_directory).holder('k')[1] == job.id:
                seen.append(JobFolder(executor.work_directory / job.id).read_journal().is_open)
            return call(*arguments)

        monkeypatch.setattr(os, name, look_first)

    runner.answers['submit'] = result(b'busy', exit_code=1, stderr=b'busy')
    executor.config.submit_retry_time = 10
    slept: list[float] = []
    executor.clock, executor.sleep = lambda: sum(slept), slept.append
    job = date()
    for name in ('write', 'ftruncate'):
        looking(name)
    with pytest.raises(SubmitException):
        executor.submit(job, key='k')
    assert len(runner.of('submit')) == len(slept) + 1 > 2
    assert len(seen) > 5
    assert all(seen)


def test_of_two_that_submit_after_a_refusal_one_does(
        executor: SimpleExecutor, runner: FakeRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner.answers['submit'] = result(b'no', exit_code=1)
    first, second = date(), date()
    with pytest.raises(SubmitException):
        executor.submit(first, key='k')
    runner.answers['submit'] = begins
    take, others = Keys.take, [lambda: executor.submit(first, key='k')]

    def take_late(*arguments: Any) -> bool:
        if others:
            others.pop()()
        return take(*arguments)

    monkeypatch.setattr(Keys, 'take', take_late)
    with opened(tmp_path, runner) as another:
        another.submit(second, key='k')
    assert len(runner.of('submit')) == 2
    assert first.native_id == second.native_id == '1'


def test_nobody_is_waited_for_for_ever(executor: SimpleExecutor, runner: FakeRunner) -> None:
    cut_short(executor, living())
    slept: list[float] = []
    executor.clock, executor.sleep = lambda: sum(slept), slept.append
    job = date()
    with pytest.raises(SubmitException, match='by another process') as caught:
        executor.submit(job, key='k')
    assert (caught.value.transient, job.executor, runner.of('submit')) == (True, None, [])
    assert sum(slept) <= 1


# -- several processes


class CountingRunner:
    """Gives each submission an id of its own; whoever counts the lines knows how many there were."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        if argv[0] == 'submit':
            with self.log.open('a') as log:
                log.write(f'{cwd}\n')
            time.sleep(0.05)  # so that the others come while it is at work
            return result(f'job {os.getpid()}\n'.encode())
        return result(''.join(f'{native_id} running\n' for native_id in argv[1:]).encode())


def _submit_all(folder: Path, start: Any, told: Any) -> None:
    with opened(folder, CountingRunner(folder / 'log')) as executor:
        start.wait()
        for number in range(5):
            job = date()
            executor.submit(job, key=f'sim-{number}')
            told.put((number, job.native_id))


def test_of_many_processes_one_submits(tmp_path: Path) -> None:
    context = multiprocessing.get_context('spawn')
    start, told = context.Barrier(8), context.Queue()
    workers = [context.Process(target=_submit_all, args=(tmp_path, start, told)) for _ in range(8)]
    for worker in workers:
        worker.start()
    answers = [told.get(timeout=60) for _ in range(40)]
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    assert len((tmp_path / 'log').read_text().splitlines()) == 5
    assert len({*answers}) == 5


def test_a_job_of_a_former_run_is_this_runs_to_report(executor: SimpleExecutor, runner: FakeRunner) -> None:
    first = date()
    executor.submit(first, key='k')
    folder_of(executor, first).note_owner(DEAD)
    second = date()
    executor.submit(second, key='k')
    runner.answers['status'] = result(b'1 done\n')
    assert second.wait(timedelta(seconds=10)) is not None
    folder_of(executor, first).note_owner(DEAD)
    assert executor.recover() == []
