"""Finding the jobs of earlier processes again."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, TellingExecutor, claim, folder_of, result

from faulty_files import FaultyFiles
from psij_ext.core.job import Job
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import (
    CommandTimeout,
    FolderUnreadable,
    InvalidJobException,
    SubmitException,
    SubmitUncertain,
)
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime import processes
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.finding import find_folder, open_folders
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.journal import Journal

HERE = processes.this_process()
DEAD = {**HERE, 'pid': 4_000_000, 'start_time': 1}
BEFORE_THE_LAST_BOOT = {**HERE, 'boot_id': 'another'}
ELSEWHERE = {**HERE, 'host': 'another'}
ALIVE = {**HERE, 'pid': os.getppid(), 'start_time': processes.start_time(os.getppid())}


def opened(tmp_path: Path, runner: FakeRunner, session: str | None = None,
           kind: type[SimpleExecutor] = TellingExecutor) -> SimpleExecutor:
    executor = kind(config=BatchSchedulerExecutorConfig(
        work_directory=tmp_path / 'work', initial_queue_polling_delay=0.05, queue_polling_interval=0.1,
        submit_retry_time=0, session=session))
    executor.runner = runner
    return executor


def earlier(tmp_path: Path, runner: FakeRunner, native_id: str, owner: Mapping[str, object] = DEAD,
            session: str | None = None, spec: JobSpec | None = None) -> Job:
    """A job that another process submitted."""
    runner.answers.update(submit=result(f'job {native_id}\n'.encode()), status=result(f'{native_id} waiting\n'.encode()))
    with opened(tmp_path, runner, session) as executor:
        job = Job(spec or JobSpec('/bin/date'))
        executor.submit(job)
    folder = folder_of(executor, job)
    (folder.path / f'claim.{(folder.read_journal().submission or {})["nonce"]}').symlink_to(native_id)  # it has begun
    folder.note_owner(owner)
    return job


def cut_short(executor: SimpleExecutor, owner: Mapping[str, object] = DEAD, age: float = 0.0) -> JobFolder:
    """A submission whose process was killed while the submit command ran."""
    job = Job(JobSpec('/bin/date', ['-u'], name='cut short'))
    folder = JobFolder.create(executor.work_directory, job.id)
    assert job.spec is not None
    folder.open_journal({
        'job_id': job.id, 'executor': executor.name, 'url': None, 'nonce': 'n', 'session': None, 'owner': owner,
        'submitted': time.time() - age}, JSONSerializer().dumps(job.spec))
    return folder


@pytest.fixture
def executor(tmp_path: Path, runner: FakeRunner) -> Iterator[SimpleExecutor]:
    runner.answers['origins'] = result()
    with opened(tmp_path, runner) as made:
        yield made


# -- jobs that were submitted


def test_jobs_of_a_dead_process_come_back_with_their_ids_and_specs(tmp_path: Path, runner: FakeRunner) -> None:
    first = earlier(tmp_path, runner, '1', spec=JobSpec('/bin/date', ['-u'], name='first'))
    second = earlier(tmp_path, runner, '2', BEFORE_THE_LAST_BOOT)
    third = earlier(tmp_path, runner, '3', ELSEWHERE)
    runner.answers['status'] = result(b'1 done\n2 running\n3 failed\n')
    with opened(tmp_path, runner) as executor:
        seen: list[tuple[str, JobState]] = []
        executor.set_job_status_callback(lambda job, status: seen.append((job.id, status.state)))
        jobs = executor.recover()
        assert [(job.id, job.native_id) for job in jobs] == [(first.id, '1'), (second.id, '2'), (third.id, '3')]
        assert [job.status.state for job in jobs] == [JobState.COMPLETED, JobState.ACTIVE, JobState.FAILED]
        assert jobs[0].spec is not None
        assert (jobs[0].spec.name, jobs[0].spec.arguments) == ('first', ['-u'])
        runner.answers['status'] = result(b'2 done\n')
        assert jobs[1].wait(timedelta(seconds=10)) is not None
    assert (third.id, JobState.FAILED) in seen
    assert seen[-1] == (second.id, JobState.COMPLETED)


def test_of_two_who_recover_at_once_one_is_given_a_job(tmp_path: Path, runner: FakeRunner) -> None:
    """Both would submit again what was not submitted."""
    both, given = threading.Barrier(2), {}

    def origins(argv: Sequence[str], folder: Path) -> CommandResult:
        with contextlib.suppress(threading.BrokenBarrierError):
            both.wait(0.5)  # comes to nothing where one waits for the other
        return result()

    runner.answers['origins'] = origins
    with opened(tmp_path, runner) as one, opened(tmp_path, runner) as other:
        cut_short(one)
        threads = [threading.Thread(target=lambda each=each: given.update({each: each.recover()})) for each in (one, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(len(jobs) for jobs in given.values()) == [0, 1]
        assert len(runner.of('origins')) == 1


def test_an_end_that_was_reported_is_not_reported_again(tmp_path: Path, runner: FakeRunner) -> None:
    earlier(tmp_path, runner, '1')
    runner.answers['status'] = result(b'1 done\n')
    with opened(tmp_path, runner) as executor:
        job, = executor.recover()
        assert job.status.final
        folder_of(executor, job).note_owner(DEAD)
    with opened(tmp_path, runner) as later:
        assert later.recover() == []


def test_who_only_looks_at_an_end_or_attaches_to_a_job_does_not_report_it(tmp_path: Path, runner: FakeRunner) -> None:
    submitted = earlier(tmp_path, runner, '1')
    runner.answers['status'] = result(b'1 done\n')
    with opened(tmp_path, runner) as executor:
        executor.look([folder_of(executor, submitted)])
        attached = Job()
        executor.attach(attached, '1')
        assert attached.status.final
        job, = executor.recover()
        assert (job.id, job.status.state) == (submitted.id, JobState.COMPLETED)


def test_jobs_of_a_process_that_still_runs_are_left_to_it(tmp_path: Path, runner: FakeRunner) -> None:
    earlier(tmp_path, runner, '1', ALIVE)
    earlier(tmp_path, runner, '2', HERE)
    with opened(tmp_path, runner) as executor:
        assert executor.recover() == []


def test_jobs_are_recovered_once(tmp_path: Path, runner: FakeRunner) -> None:
    earlier(tmp_path, runner, '1')
    with opened(tmp_path, runner) as executor, opened(tmp_path, runner) as other:
        assert len(executor.recover()) == 1
        assert (executor.recover(), other.recover()) == ([], [])


def test_each_session_has_its_own_jobs(tmp_path: Path, runner: FakeRunner) -> None:
    jobs = {session: earlier(tmp_path, runner, native_id, session=session)
            for native_id, session in (('1', None), ('2', 'a'), ('3', 'b'))}
    with opened(tmp_path, runner, 'a') as executor:
        assert [job.id for job in executor.recover()] == [jobs['a'].id]
        assert [job.id for job in executor.recover('b')] == [jobs['b'].id]
    with opened(tmp_path, runner) as executor:
        assert [job.id for job in executor.recover()] == [jobs[None].id]


def test_a_damaged_folder_keeps_no_other_job_back(tmp_path: Path, runner: FakeRunner) -> None:
    job = earlier(tmp_path, runner, '1')
    with opened(tmp_path, runner) as executor:
        (executor.work_directory / 'empty').mkdir()
        (executor.work_directory / 'odd').mkdir()
        (executor.work_directory / 'odd' / 'journal').write_bytes(b'\xff{"submission": 5}\n[]\n')
        assert [each.id for each in executor.recover()] == [job.id]


# -- submissions that were cut short


def test_a_job_whose_script_has_begun_is_adopted(executor: SimpleExecutor, runner: FakeRunner) -> None:
    folder = cut_short(executor)
    (folder.path / 'claim.n').symlink_to('7')
    runner.answers['status'] = result(b'7 running\n')
    job, = executor.recover()
    assert (job.id, job.native_id, job.status.state) == (folder.job_id, '7', JobState.ACTIVE)
    assert folder.read_journal().native_id == '7'
    assert runner.of('origins') == []


def test_a_job_that_the_scheduler_knows_by_its_folder_is_adopted(executor: SimpleExecutor, runner: FakeRunner) -> None:
    folder = cut_short(executor)
    runner.answers.update(origins=result(f'6 /elsewhere\n7 {folder.path}\n'.encode()), status=result(b'7 waiting\n'))
    job, = executor.recover()
    assert (job.native_id, job.status.state, folder.claimed_by('n')) == ('7', JobState.QUEUED, None)


def test_a_job_that_nobody_knows_never_runs_and_may_be_submitted_again(
        executor: SimpleExecutor, runner: FakeRunner) -> None:
    folder = cut_short(executor)
    job, = executor.recover()
    assert (job.id, job.native_id, job.status.state) == (folder.job_id, None, JobState.NEW)
    assert job.spec is not None
    assert (job.spec.name, folder.claimed_by('n')) == ('cut short', REVOKED)
    assert executor.recover() == []
    executor.submit(job)
    assert (job.native_id, folder.read_journal().native_id, folder.read_journal().not_submitted) == ('1', '1', None)


def test_nothing_is_decided_while_the_scheduler_does_not_answer(
        executor: SimpleExecutor, runner: FakeRunner, caplog: pytest.LogCaptureFixture) -> None:
    folder = cut_short(executor)
    runner.answers['origins'] = CommandTimeout('no answer', argv=('origins',))
    assert executor.recover() == []
    assert 'not known yet' in caplog.text
    assert (folder.read_journal().is_open, folder.claimed_by('n')) == (True, None)
    runner.answers.update(origins=result(f'7 {folder.path}\n'.encode()), status=result(b'7 waiting\n'))
    job, = executor.recover()
    assert job.native_id == '7'


def test_one_question_serves_many_submissions(executor: SimpleExecutor, runner: FakeRunner) -> None:
    folders = [cut_short(executor) for _ in range(5)]
    runner.answers.update(status=result(), origins=result(''.join(
        f'{number} {folder.path}\n' for number, folder in enumerate(folders)).encode()))
    assert {job.native_id for job in executor.recover()} == {'0', '1', '2', '3', '4'}
    assert len(runner.of('origins')) == 1


@pytest.mark.parametrize(('owner', 'age', 'settled'), [
    (ALIVE, 9999, False), (HERE, 9999, False), (ELSEWHERE, 60, False), (ELSEWHERE, 9999, True)])
def test_a_submission_that_may_still_be_at_work_is_left_alone(
        executor: SimpleExecutor, owner: Mapping[str, object], age: float, settled: bool) -> None:
    folder = cut_short(executor, owner, age)
    assert len(executor.recover()) == settled
    assert folder.read_journal().is_open is not settled


def test_a_scheduler_that_tells_no_folders(tmp_path: Path, runner: FakeRunner) -> None:
    with opened(tmp_path, runner, kind=SimpleExecutor) as executor:
        folder = cut_short(executor)
        job, = executor.recover()
        assert (job.status.state, folder.claimed_by('n')) == (JobState.NEW, REVOKED)


def test_a_refusal_is_nothing_to_recover(
        executor: SimpleExecutor, runner: FakeRunner, caplog: pytest.LogCaptureFixture) -> None:
    runner.answers['submit'] = result(b'', 1, b'no such queue')
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(SubmitException):
        executor.submit(job)
    caplog.set_level(logging.DEBUG)
    folder = folder_of(executor, job)
    folder.note_owner(DEAD)
    assert (executor.recover(), folder.read_journal().not_submitted is not None) == ([], True)


def test_what_was_cut_short_is_settled_when_the_next_process_begins_to_follow_jobs(
        executor: SimpleExecutor, runner: FakeRunner) -> None:
    known, unknown = cut_short(executor), cut_short(executor)
    runner.answers['origins'] = result(f'7 {known.path}\n'.encode())
    executor.submit(Job(JobSpec('/bin/date')))
    deadline = time.monotonic() + 10
    while known.read_journal().is_open or unknown.read_journal().is_open:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(runner.of('origins')) == 1
    assert (known.read_journal().native_id, known.claimed_by('n')) == ('7', None)
    assert (unknown.read_journal().is_open, unknown.claimed_by('n')) == (False, REVOKED)
    job, = [job for job in executor.recover() if job.status.state is JobState.NEW]
    assert job.id == unknown.job_id


def test_what_was_cut_short_is_settled_as_soon_as_the_scheduler_tells(
        executor: SimpleExecutor, runner: FakeRunner) -> None:
    folder = cut_short(executor)
    runner.answers['origins'] = CommandTimeout('no answer', argv=('origins',))
    executor.submit(Job(JobSpec('/bin/date')))
    deadline = time.monotonic() + 10
    while len(runner.of('origins')) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert folder.read_journal().is_open
    runner.answers['origins'] = result(f'7 {folder.path}\n'.encode())
    while folder.read_journal().is_open:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert folder.read_journal().native_id == '7'


def test_open_submissions_are_found_without_reading_each_journal(
        executor: SimpleExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    executor.submit(Job(JobSpec('/bin/date')))
    folder = cut_short(executor)
    read = []
    monkeypatch.setattr(JobFolder, 'read_journal', lambda self, actual=JobFolder.read_journal: read.append(self.job_id) or actual(self))
    assert [each.job_id for each in open_folders(executor.work_directory)] == [folder.job_id]
    assert read == [folder.job_id]


# -- what a crash leaves half done


def test_a_folder_that_had_no_second_name_yet_tells_of_its_job(executor: SimpleExecutor, runner: FakeRunner) -> None:
    """The process was killed between the two steps of keeping the native id."""
    folder = cut_short(executor)
    folder._append('journal', Journal.line(native_id='7'))
    leave_exit_record(folder, 3)
    runner.answers['status'] = result()
    job, = executor.recover()
    assert job.wait(timedelta(seconds=10)) is not None
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 3)
    assert find_folder(executor.work_directory, '7') is not None
    assert (executor.recover(), folder.read_journal().reported is not None) == ([], True)


def test_a_job_that_may_be_of_an_earlier_submission_is_not_adopted(executor: SimpleExecutor, runner: FakeRunner) -> None:
    """A submission that was given up and then heard comes from the same folder, and runs nothing."""
    folder = cut_short(executor)
    folder.revoke('earlier')
    runner.answers['origins'] = result(f'7 {folder.path}\n'.encode())
    job, = executor.recover()
    assert (job.status.state, job.native_id, folder.claimed_by('n')) == (JobState.NEW, None, REVOKED)


def test_of_two_jobs_of_one_submission_neither_is_adopted_unseen(executor: SimpleExecutor, runner: FakeRunner) -> None:
    folder = cut_short(executor)
    runner.answers['origins'] = result(f'7 {folder.path}\n8 {folder.path}\n'.encode())
    job, = executor.recover()
    assert (job.status.state, folder.claimed_by('n')) == (JobState.NEW, REVOKED)


def test_a_job_whose_id_is_anothers_by_now_has_its_own_end(tmp_path: Path, runner: FakeRunner) -> None:
    first = earlier(tmp_path, runner, '1')
    heir = earlier(tmp_path, runner, '1')
    runner.answers['status'] = result(b'1 running\n')
    with opened(tmp_path, runner) as executor:
        leave_exit_record(folder_of(executor, first), 3)
        jobs = {job.id: job for job in executor.recover()}
        assert jobs[first.id].wait(timedelta(seconds=10)) is not None
        assert (jobs[first.id].status.exit_code, jobs[heir.id].status.state) == (3, JobState.ACTIVE)
        assert folder_of(executor, first).read_journal().reported is not None
        assert folder_of(executor, heir).read_journal().end is None


# -- folders that cannot be read now


@pytest.mark.parametrize('fault', ['EIO', 'EIO on read', 'ESTALE', 'EACCES'])
def test_folders_that_cannot_be_read_are_left_for_later(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    folder = cut_short(executor)
    (folder.path / 'claim.n').symlink_to('7')
    runner.answers['status'] = result(b'7 running\n')
    files = FaultyFiles(monkeypatch)
    with files.on(executor.work_directory, fault), contextlib.suppress(FolderUnreadable):
        assert executor.recover() == []
    with files.on(folder.path, fault):
        assert executor.recover() == []
    assert files.failed
    job, = executor.recover()
    assert (job.native_id, job.status.state) == ('7', JobState.ACTIVE)


def test_whose_claim_cannot_be_read_may_run(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever took it for revoked would let the job run twice."""
    files = FaultyFiles(monkeypatch)

    def time_out(argv: Sequence[str], folder: Path) -> CommandResult:
        claim('7')(argv, folder)
        stack.enter_context(files.on(folder, 'EIO on read'))
        raise CommandTimeout('no answer', argv=argv)

    runner.answers.update(submit=time_out, status=result(b'7 running\n'))
    job = Job(JobSpec('/bin/date'))
    with contextlib.ExitStack() as stack, pytest.raises(SubmitUncertain):
        executor.submit(job)
    with pytest.raises(InvalidJobException):
        executor.submit(job)
    folder_of(executor, job).note_owner(DEAD)
    again, = executor.recover()
    assert (again.id, again.native_id) == (job.id, '7')


def leave_exit_record(folder: JobFolder, code: int) -> None:
    (folder.path / 'exit').write_text(
        f'attempt=1\nnative_id=7\nexit_code={code}\nphase=done\nterm=\nbegan=1.0\nended=2.0\nrequeues=\n')


@pytest.mark.parametrize('fault', ['ENOSPC', 'EROFS'])
def test_a_job_is_recovered_once_though_that_cannot_be_kept(
        tmp_path: Path, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    job = earlier(tmp_path, runner, '1')
    with opened(tmp_path, runner) as executor:
        with FaultyFiles(monkeypatch).on(executor.work_directory, fault):
            assert [each.id for each in executor.recover()] == [job.id]
        assert executor.recover() == []
