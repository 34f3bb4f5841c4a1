"""Jobs of one shape that are submitted as arrays, to a scheduler that does not exist: what is kept, told and found again."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import ArrayExecutor, FakeRunner, TellingExecutor, result

from faulty_files import FaultyFiles
from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import CommandTimeout, InvalidJobException, NotAllCancelled, NotAllSubmitted, SubmitUncertain
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime import processes
from psij_ext.runtime.arrays import ArrayFolder, MemberFolder
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.finding import find_folder, job_folders, submission_folders
from psij_ext.runtime.index import Index
from psij_ext.runtime.jobfolder import JobFolder

SOON = timedelta(seconds=10)
DEAD = {**processes.this_process(), 'pid': 4_000_000, 'start_time': 1}
Act = Callable[[Sequence[str], Path], CommandResult]


class TellingArrayExecutor(TellingExecutor, ArrayExecutor):
    """Its scheduler has arrays, and tells from which folders jobs were submitted."""

    def is_refused_array(self, result: CommandResult) -> bool:
        return 'no such array' in result.error_text

    def array_of(self, native_id: str) -> str | None:
        array, underscore, _ = native_id.partition('_')
        return array if underscore else None

    def get_cancel_many_command(self, native_ids: Sequence[str]) -> list[str]:
        return ['cancel', *native_ids]


class Scheduler:
    """Takes arrays and jobs, and knows what became of their elements."""

    def __init__(self, runner: FakeRunner) -> None:
        self.runner = runner
        self.sizes: list[int] = []
        self.folders: dict[str, Path] = {}
        self.states: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        runner.answers.update(submit=self.take, status=self.tell, origins=result())

    def take(self, argv: Sequence[str], folder: Path) -> CommandResult:
        with self._lock:
            number = str(next(self._numbers))
            size = next((int(word.partition('=')[2]) for word in argv if word.startswith('--array=')), 1)
            self.sizes.append(size)
            self.folders[number] = folder
            elements = [f'{number}_{index}' for index in range(size)] if '--array' in ' '.join(argv) else [number]
            self.states.update(dict.fromkeys(elements, 'waiting'))
        return result(f'job {number}\n'.encode())

    def tell(self, argv: Sequence[str], folder: Path) -> CommandResult:
        return result(''.join(f'{each} {self.states[each]}\n' for each in argv[1:] if each in self.states).encode())


@pytest.fixture
def scheduler(runner: FakeRunner) -> Scheduler:
    return Scheduler(runner)


def opened(tmp_path: Path, runner: FakeRunner, **settings: object) -> TellingArrayExecutor:
    made = TellingArrayExecutor(config=BatchSchedulerExecutorConfig(**{  # type: ignore[arg-type]
        'work_directory': tmp_path / 'work', 'initial_queue_polling_delay': 0.05, 'queue_polling_interval': 0.1,
        'submit_retry_time': 0, **settings}))
    made.runner = runner
    return made


@pytest.fixture
def executor(tmp_path: Path, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> Iterator[TellingArrayExecutor]:
    monkeypatch.chdir(tmp_path)
    with opened(tmp_path, runner) as made:
        yield made


def alike(count: int) -> list[Job]:
    return [Job(JobSpec('/bin/echo', [str(number)], name=f'run {number}')) for number in range(count)]


def array_of(executor: TellingArrayExecutor, job: Job) -> ArrayFolder:
    folder = executor._folder_of(job)
    assert isinstance(folder, MemberFolder)
    return folder.array


def claims(executor: TellingArrayExecutor) -> list[str]:
    return sorted(str(path.readlink()) for path in executor.work_directory.glob('array-*/claim.*'))


def claimed_as(native_id: str, then: CommandResult | BaseException) -> Act:
    """The scheduler takes the array, whose first element begins at once; the submit command ends otherwise."""
    def act(argv: Sequence[str], folder: Path) -> CommandResult:
        script = (folder / 'script').read_text()
        nonce = script.split('psij_claim=$psij_folder/claim.')[1].split()[0]
        (folder / f'claim.{nonce}').symlink_to(native_id)
        if isinstance(then, BaseException):
            raise then
        return then

    return act


def finish(folder: JobFolder, code: int = 0) -> None:
    folder.path_of('exit').write_text(
        f'attempt=1\nnative_id=x\nexit_code={code}\nphase=done\nterm=\nbegan=5\nended=6\nrequeues=0\nunbegun=\n')


# -- what goes together


def test_jobs_of_one_shape_go_with_one_command(executor: TellingArrayExecutor, scheduler: Scheduler) -> None:
    jobs = alike(7)
    executor.submit_many(jobs)
    assert scheduler.sizes == [7]
    assert [job.native_id for job in jobs] == [f'1_{index}' for index in range(7)]
    assert {job.status.state for job in jobs} == {JobState.QUEUED}
    assert {job.executor for job in jobs} == {executor}
    folder, = submission_folders(executor.work_directory)
    assert folder.path == scheduler.folders['1']
    for job in jobs:
        found = find_folder(executor.work_directory, job.native_id or '')
        assert found is not None
        spec = JSONSerializer().loads(found.read_journal().spec or '')
        assert (found.job_id, spec.arguments, spec.name) == (job.id, job.spec.arguments, job.spec.name)  # type: ignore[union-attr]
        assert spec.directory == Path.cwd()


@pytest.mark.parametrize(('count', 'sizes'), [(10, [10]), (11, [5, 6]), (23, [7, 8, 8]), (2, [2]), (1, [1])])
def test_arrays_are_no_larger_than_the_site_allows(
        executor: TellingArrayExecutor, scheduler: Scheduler, count: int, sizes: list[int]) -> None:
    jobs = alike(count)
    executor.submit_many(jobs)
    assert sorted(scheduler.sizes) == sizes
    assert len({job.native_id for job in jobs}) == count
    assert {folder.job_id for folder in job_folders(executor.work_directory)} == {job.id for job in jobs}


def test_each_shape_has_arrays_of_its_own(executor: TellingArrayExecutor, scheduler: Scheduler) -> None:
    jobs = alike(12)
    for number, job in enumerate(jobs):
        assert job.spec is not None
        job.spec.resources = ResourceSpecV1(process_count=1 + number % 2) if number else None
    executor.submit_many(jobs)
    assert sorted(scheduler.sizes) == [1, 5, 6]
    ids = [(job.native_id or '').partition('_')[0] for job in jobs]
    assert Counter(ids[1::2]).most_common()[0][1] == 6 and Counter(ids[2::2]).most_common()[0][1] == 5


# -- what becomes of each


def test_each_job_has_its_own_end(executor: TellingArrayExecutor, scheduler: Scheduler) -> None:
    seen: dict[str, list[JobState]] = {}
    executor.set_job_status_callback(lambda job, status: seen.setdefault(job.id, []).append(status.state))
    jobs = alike(3)
    executor.submit_many(jobs)
    scheduler.states.update({'1_0': 'done', '1_1': 'failed', '1_2': 'running'})
    finish(member(executor, jobs[0]))
    finish(member(executor, jobs[1]), 3)
    assert jobs[0].wait(SOON) is not None and jobs[1].wait(SOON) is not None
    assert jobs[2].wait(SOON, JobState.ACTIVE) is not None
    assert [job.status.state for job in jobs] == [JobState.COMPLETED, JobState.FAILED, JobState.ACTIVE]
    assert [job.status.exit_code for job in jobs] == [0, 3, None]
    assert executor._index.flush(20)
    executor.close()
    assert seen[jobs[0].id] == [JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED]
    journals = [member(executor, job).read_journal() for job in jobs]
    assert [journal.reported is None for journal in journals] == [False, False, True]
    assert [(journal.end or {}).get('exit_code') for journal in journals] == [0, 3, None]
    rows = {row.job_id: row for row in Index().jobs()}
    assert [(rows[job.id].native_id, rows[job.id].state, rows[job.id].name) for job in jobs] == [
        ('1_0', JobState.COMPLETED, 'run 0'), ('1_1', JobState.FAILED, 'run 1'), ('1_2', JobState.ACTIVE, 'run 2')]


def member(executor: TellingArrayExecutor, job: Job) -> JobFolder:
    folder = executor._folder_of(job)
    assert isinstance(folder, MemberFolder)
    return folder


def test_a_hint_of_an_element_makes_its_job_looked_at(tmp_path: Path, runner: FakeRunner, scheduler: Scheduler) -> None:
    with opened(tmp_path, runner, initial_queue_polling_delay=1000, queue_polling_interval=1000) as executor:
        jobs = alike(3)
        executor.submit_many(jobs)
        executor._get_monitor().poll_once(0.0)  # it has looked at new jobs then, and looks no more without a reason
        for job in jobs:
            finish(member(executor, job))
        (executor._mailbox / f'{array_of(executor, jobs[1]).path.name}.1').touch()
        assert jobs[1].wait(SOON) is not None
        assert [job.status.state for job in jobs] == [JobState.QUEUED, JobState.COMPLETED, JobState.QUEUED]


def test_a_hint_over_the_network_carries_the_secret_of_the_element(executor: TellingArrayExecutor, scheduler: Scheduler) -> None:
    jobs = alike(3)
    executor.submit_many(jobs)
    folder = array_of(executor, jobs[1])
    assert member(executor, jobs[1]).secret == f'{folder.read_journal().nonce}.1'.encode()
    assert executor._get_monitor().hints._names[member(executor, jobs[1]).secret or b''] == f'{folder.path.name}.1'


def test_one_is_cancelled_and_then_all(executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler) -> None:
    jobs = alike(3)
    executor.submit_many(jobs)
    runner.answers['origins'] = result(f'1 {scheduler.folders["1"]}\n'.encode())
    jobs[1].cancel()
    assert [run[0] for run in runner.of('cancel')] == [['cancel', '1_1']]
    assert [member(executor, job).read_journal().cancel_noted for job in jobs] == [False, True, False]
    executor.cancel_many([jobs[0], jobs[1]])
    assert runner.of('cancel')[-1][0] == ['cancel', '1_0', '1_1']
    executor.cancel_many(jobs)
    assert runner.of('cancel')[-1][0] == ['cancel', '1']
    assert all(member(executor, job).read_journal().cancel_noted for job in jobs)


def test_an_array_whose_others_are_over_is_cancelled_by_its_own_id(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler) -> None:
    jobs = [*alike(4), Job(JobSpec('/bin/date', launcher='multiple'))]
    executor.submit_many(jobs)
    finish(member(executor, jobs[1]))
    array, _, _ = (jobs[0].native_id or '').partition('_')
    scheduler.states[f'{array}_1'] = 'done'
    assert jobs[1].wait(SOON) is not None
    runner.answers['origins'] = result(''.join(f'{number} {folder}\n' for number, folder in scheduler.folders.items()).encode())
    executor.cancel_many(jobs[:3])
    assert runner.of('cancel')[-1][0] == ['cancel', f'{array}_0', f'{array}_2']
    executor.cancel_many(jobs)
    assert sorted(runner.of('cancel')[-1][0][1:]) == ['1', '2']


def test_a_refused_cancel_of_an_array_is_told_of_each(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler) -> None:
    jobs = alike(3)
    executor.submit_many(jobs)
    runner.answers['cancel'] = result(b'not yours', 1)
    with pytest.raises(NotAllCancelled) as caught:
        executor.cancel_many(jobs)
    assert list(caught.value.failures) == [job.id for job in jobs]
    assert not any(member(executor, job).read_journal().cancel_noted for job in jobs)


def test_what_is_attached_to_is_the_element(executor: TellingArrayExecutor, scheduler: Scheduler, tmp_path: Path) -> None:
    jobs = alike(3)
    executor.submit_many(jobs)
    finish(member(executor, jobs[2]), 3)
    scheduler.states['1_2'] = 'failed'
    with opened(tmp_path, scheduler.runner) as other:
        attached = [Job(), Job()]
        other.attach_many([(attached[0], '1_2'), (attached[1], '1_0')])
        assert attached[0].wait(SOON) is not None
        assert (attached[0].status.exit_code, attached[1].status.state) == (3, JobState.QUEUED)
        assert attached[0].spec is not None and attached[0].spec.arguments == ['2']
    assert len((array_of(executor, jobs[0]).path / 'followers').read_bytes().split(b'\0')) == 2


def test_an_array_as_a_whole_is_followed_by_what_the_scheduler_says(
        executor: TellingArrayExecutor, scheduler: Scheduler) -> None:
    executor.submit_many(alike(3))
    scheduler.states['1'] = 'done'
    whole = Job()
    executor.attach(whole, '1')
    assert whole.wait(SOON) is not None
    assert whole.status.state is JobState.COMPLETED


def test_jobs_of_arrays_come_back(executor: TellingArrayExecutor, scheduler: Scheduler, tmp_path: Path) -> None:
    jobs = alike(12)
    executor.submit_many(jobs)
    finish(member(executor, jobs[0]))
    scheduler.states[jobs[0].native_id or ''] = 'done'
    assert jobs[0].wait(SOON) is not None
    executor.close()
    for job in jobs[1:]:
        member(executor, job).note_owner(DEAD)
    finish(member(executor, jobs[5]), 3)
    scheduler.states[jobs[5].native_id or ''] = 'failed'
    with opened(tmp_path, scheduler.runner) as other:
        back = other.recover()
        assert {job.id: job.native_id for job in back} == {job.id: job.native_id for job in jobs[1:]}
        ended, = (job for job in back if job.id == jobs[5].id)
        assert ended.wait(SOON) is not None
        assert (ended.status.exit_code, ended.spec.arguments) == (3, ['5'])  # type: ignore[union-attr]
        kept = find_folder(other.work_directory, ended.native_id or '')
        assert kept is not None and kept.read_journal().reported is not None
        assert other.recover() == []


def test_scripts_go_when_all_have_succeeded(executor: TellingArrayExecutor, scheduler: Scheduler) -> None:
    jobs = alike(3)
    executor.submit_many(jobs)
    folder = array_of(executor, jobs[0])
    for index, job in enumerate(jobs):
        assert (folder.path / 'script').exists() and (folder.path / 'tasks').exists()
        finish(member(executor, job))
        scheduler.states[f'1_{index}'] = 'done'
        assert job.wait(SOON) is not None
    executor.close()
    assert not (folder.path / 'script').exists() and not (folder.path / 'tasks').exists()


# -- refusals


def test_a_refused_array_is_told_of_each_of_its_jobs(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler) -> None:
    def refuse_the_second(argv: Sequence[str], folder: Path) -> CommandResult:
        refused = b'3' in (folder / 'tasks').read_bytes().split(b'\n')[0]
        return result(b'', 1, b'no such queue') if refused else scheduler.take(argv, folder)

    runner.answers['submit'] = refuse_the_second
    jobs = alike(6)
    for job in jobs[3:]:
        assert job.spec is not None
        job.spec.launcher = 'multiple'
    with pytest.raises(NotAllSubmitted) as caught:
        executor.submit_many(jobs)
    assert list(caught.value.failures) == [job.id for job in jobs[3:]]
    assert str(caught.value).count('no such queue') == 1
    assert [job.native_id for job in jobs] == ['1_0', '1_1', '1_2', None, None, None]
    for job in jobs[3:]:
        assert (job.status.state, job.exit_info and job.exit_info.reason) == (JobState.FAILED, ExitReason.SUBMIT_FAILED)
        assert job.wait(SOON) is not None
    assert claims(executor) == [REVOKED]
    assert executor.recover() == []


def test_jobs_of_an_array_that_is_none_for_this_scheduler_go_one_by_one(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler) -> None:
    def refuse_arrays(argv: Sequence[str], folder: Path) -> CommandResult:
        return result(b'', 1, b'no such array') if '--array' in ' '.join(argv) else scheduler.take(argv, folder)

    runner.answers['submit'] = refuse_arrays
    jobs = alike(5)
    executor.submit_many(jobs)
    assert sorted(job.native_id or '' for job in jobs) == ['1', '2', '3', '4', '5']
    assert claims(executor) == [REVOKED]


def test_what_may_pass_is_tried_again_under_another_nonce(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler) -> None:
    answers = [result(b'', 1, b'busy'), CommandTimeout('no answer', argv=('submit',))]
    executor.config.submit_retry_time = 60.0
    executor.sleep = lambda seconds: None
    folders = set()

    def hesitate(argv: Sequence[str], folder: Path) -> CommandResult:
        folders.add(folder)
        if not answers:
            return scheduler.take(argv, folder)
        answer = answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    runner.answers['submit'] = hesitate
    jobs = alike(3)
    executor.submit_many(jobs)
    assert [job.native_id for job in jobs] == ['1_0', '1_1', '1_2']
    assert len(folders) == 1
    assert claims(executor) == [REVOKED, REVOKED]
    assert [job.id for job in jobs] == [folder.job_id for folder in job_folders(executor.work_directory)]


def test_a_busy_scheduler_gets_no_more_of_them(
        executor: TellingArrayExecutor, runner: FakeRunner) -> None:
    runner.answers['submit'] = result(b'', 1, b'busy')
    jobs = alike(100)
    with pytest.raises(NotAllSubmitted) as caught:
        executor.submit_many(jobs)
    assert caught.value.transient
    assert len(caught.value.failures) == 100
    # Each of those that were begun is halved twice: 10, 5, 2.
    assert len(runner.of('submit')) <= 3 * executor.commands_at_once


@pytest.mark.parametrize('room', [0, 1, 3, 7, 9])
def test_as_many_go_in_as_there_is_room_for(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler, room: int) -> None:
    """A user may have so many jobs and no more."""
    def take(argv: Sequence[str], folder: Path) -> CommandResult:
        wanted = next((int(word.partition('=')[2]) for word in argv if word.startswith('--array=')), 1)
        fits = sum(scheduler.sizes) + wanted <= room
        return scheduler.take(argv, folder) if fits else result(b'', 1, b'busy: too many jobs')

    runner.answers['submit'] = take
    jobs = alike(10)
    with pytest.raises(NotAllSubmitted) as caught:
        executor.submit_many(jobs)
    submitted = [job for job in jobs if job.native_id is not None]
    # What cannot be halved any more is an array of two or three.
    assert room - 2 <= len(submitted) <= room
    assert len(caught.value.failures) == 10 - len(submitted)
    assert caught.value.transient
    assert len({job.native_id for job in submitted}) == len(submitted)
    assert len(runner.of('submit')) <= 7
    assert claims(executor) == [REVOKED] * (len(runner.of('submit')) - len(scheduler.sizes))


def test_a_job_that_cannot_be_run_keeps_the_others_from_nothing(
        executor: TellingArrayExecutor, scheduler: Scheduler) -> None:
    jobs = alike(8)
    assert jobs[3].spec is not None
    jobs[3].spec.stdout_path = Path('/tmp') / ('x' * 5000)
    with pytest.raises(NotAllSubmitted) as caught:
        executor.submit_many(jobs)
    assert list(caught.value.failures) == [jobs[3].id]
    assert isinstance(caught.value.failures[jobs[3].id], InvalidJobException)
    assert scheduler.sizes == [7]
    assert [job.native_id is None for job in jobs] == [False] * 3 + [True] + [False] * 4


# -- when nobody knows


@pytest.mark.parametrize('then', [
    CommandTimeout('no answer', argv=('submit',)), result(b'', 1, b'lost connection'), result(b'?\n')])
def test_an_array_that_began_all_the_same_is_followed(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler, then: CommandResult | BaseException) -> None:
    runner.answers['submit'] = claimed_as('9', then)
    jobs = alike(3)
    executor.submit_many(jobs)
    assert [job.native_id for job in jobs] == ['9_0', '9_1', '9_2']
    assert claims(executor) == ['9']


def test_an_array_that_nobody_heard_of_is_revoked(executor: TellingArrayExecutor, runner: FakeRunner) -> None:
    runner.answers['submit'] = CommandTimeout('no answer', argv=('submit',))
    jobs = alike(3)
    with pytest.raises(NotAllSubmitted, match='it was revoked'):
        executor.submit_many(jobs)
    assert claims(executor) == [REVOKED]
    assert {job.status.state for job in jobs} == {JobState.FAILED}


def submit_uncertain(executor: TellingArrayExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    files, broken = FaultyFiles(monkeypatch), []

    def time_out(argv: Sequence[str], folder: Path) -> CommandResult:
        fault = files.on(folder, 'EROFS')
        fault.__enter__()
        broken.append(fault)
        raise CommandTimeout('no answer', argv=argv)

    runner.answers.update(submit=time_out, origins=CommandTimeout('no answer', argv=('origins',)))
    jobs = alike(3)
    with pytest.raises(NotAllSubmitted) as caught:
        executor.submit_many(jobs)
    broken[0].__exit__(None, None, None)
    assert {type(error) for error in caught.value.failures.values()} == {SubmitUncertain}
    assert {job.status.state for job in jobs} == {JobState.NEW}
    with pytest.raises(InvalidJobException):
        executor.submit(jobs[0])
    return jobs


def test_jobs_of_an_uncertain_array_are_followed_once_it_is_found(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = submit_uncertain(executor, runner, monkeypatch)
    folder, = submission_folders(executor.work_directory)
    scheduler.states.update({'7_0': 'done', '7_1': 'waiting', '7_2': 'done'})
    finish(folder.member(0))  # type: ignore[attr-defined]
    runner.answers['origins'] = result(f'7_0 {folder.path}\n7_1 {folder.path}\n7_2 {folder.path}\n'.encode())
    for job in jobs:
        assert job.wait(SOON, JobState.QUEUED) is not None
    assert [job.native_id for job in jobs] == ['7_0', '7_1', '7_2']
    assert jobs[0].wait(SOON) is not None
    assert jobs[0].status.state is JobState.COMPLETED


def test_jobs_of_an_uncertain_array_that_is_not_there_end_and_never_run(
        executor: TellingArrayExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = submit_uncertain(executor, runner, monkeypatch)
    runner.answers['origins'] = result()
    for job in jobs:
        assert job.wait(SOON) is not None
        assert job.exit_info is not None and job.exit_info.reason is ExitReason.SUBMIT_FAILED
    assert claims(executor) == [REVOKED]
    assert executor.recover() == []


def test_a_hint_settles_an_uncertain_array(
        tmp_path: Path, runner: FakeRunner, scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, runner, initial_queue_polling_delay=1000, queue_polling_interval=1000) as executor:
        jobs = submit_uncertain(executor, runner, monkeypatch)
        folder, = submission_folders(executor.work_directory)
        (folder.path / f'claim.{folder.read_journal().nonce}').symlink_to('7')
        (executor._mailbox / f'{folder.path.name}.2').touch()
        assert jobs[0].wait(SOON, JobState.QUEUED) is not None
        assert [job.native_id for job in jobs] == ['7_0', '7_1', '7_2']


def test_an_interrupt_revokes_what_was_begun(executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler) -> None:
    def interrupt(argv: Sequence[str], folder: Path) -> CommandResult:
        raise KeyboardInterrupt

    runner.answers['submit'] = interrupt
    jobs = alike(3)
    with pytest.raises(KeyboardInterrupt):
        executor.submit_many(jobs)
    assert claims(executor) == [REVOKED]
    runner.answers['submit'] = scheduler.take
    executor.submit_many(jobs)
    assert [job.native_id for job in jobs] == ['1_0', '1_1', '1_2']


def test_what_runs_in_spite_of_an_interrupt_is_followed(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler) -> None:
    runner.answers['submit'] = claimed_as('9', KeyboardInterrupt())
    jobs = alike(3)
    with pytest.raises(KeyboardInterrupt):
        executor.submit_many(jobs)
    assert [job.native_id for job in jobs] == ['9_0', '9_1', '9_2']


@pytest.mark.parametrize('ends_as', ['claimed', 'known', 'unknown'])
def test_an_array_that_was_cut_short_is_settled_for_all_of_its_jobs(
        executor: TellingArrayExecutor, runner: FakeRunner, scheduler: Scheduler, tmp_path: Path, ends_as: str) -> None:
    """As by a kill -9 while the submit command runs: then the journal is all that there is."""
    jobs = alike(3)
    folder = executor._make_array_folder(executor._check_many(jobs))
    folder.note_submission({**executor._submission_record(folder, 'f00'), 'owner': DEAD})
    if ends_as == 'claimed':
        (folder.path / 'claim.f00').symlink_to('1')
    runner.answers['origins'] = result(f'1 {folder.path}\n'.encode() if ends_as == 'known' else b'')
    with opened(tmp_path, runner) as other:
        back = other.recover()
        assert [job.id for job in back] == [job.id for job in jobs]
        if ends_as == 'unknown':
            assert {(job.native_id, job.status.state) for job in back} == {(None, JobState.NEW)}
            assert claims(other) == [REVOKED]
            other.submit_many(back)
            assert [job.native_id for job in back] == ['1_0', '1_1', '1_2']
        else:
            assert [job.native_id for job in back] == ['1_0', '1_1', '1_2']
            assert find_folder(other.work_directory, '1_2') is not None


def test_elements_that_were_looked_at_can_be_cancelled(
        executor: TellingArrayExecutor, scheduler: Scheduler, tmp_path: Path, runner: FakeRunner) -> None:
    """As the command line does in a later shell."""
    executor.submit_many(alike(3))
    with opened(tmp_path, runner) as later:
        folders = sorted(job_folders(later.work_directory), key=lambda folder: str(folder.read_journal().native_id))
        seen = later.look(folders[:2])
        runner.answers['origins'] = lambda argv, folder: result(
            ''.join(f'{native_id} {scheduler.folders["1"]}\n' for native_id in argv[1:]).encode())
        later.cancel_many(seen.jobs.values())
        assert [run[0][1:] for run in runner.of('cancel')] == [['1_0', '1_1']]
        assert [folder.read_journal().cancel_noted for folder in folders] == [True, True, False]
