"""One look at jobs of earlier programs: from their folders, and with one query for all the rest."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from psij_ext.core.control import FirstWarning
from psij_ext.core.exit_info import ExitReason, ResourceUsage
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandError, SubmitException
from psij_ext.executors.submitting import SubmittingExecutor
from psij_ext.runtime.answers import StatusSource
from psij_ext.runtime.ending import keep_end, kept_end
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.look import SilentSource
from psij_ext.runtime.schedule import Rhythm

NOW = time.time()
LONG_AGO = NOW - 3600


class Scheduler:
    """Answers from tables, and counts what it is asked."""

    def __init__(self) -> None:
        self.has_accounting = False
        self.tells_usage = True
        self.queued: dict[str, Observation] = {}
        self.accounted: dict[str, Observation] = {}
        self.failure: Exception | None = None
        self.asked: list[set[str]] = []

    def queue(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        self.asked.append(set(native_ids))
        if self.failure is not None:
            raise self.failure
        return {name: seen for name, seen in self.queued.items() if name in native_ids}

    def folders(self, native_ids: Sequence[str]) -> Mapping[str, str | None]:
        return {}

    def accounted_folder(self, native_id: str, since: float) -> str | None:
        return None

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        return {name: seen for name, seen in self.accounted.items() if name in native_ids}


class Executor(SubmittingExecutor):
    """Submits nothing; its scheduler is a table."""

    scheduler: Scheduler

    def _start(self, job: Job, folder: JobFolder, nonce: str) -> str:
        raise NotImplementedError

    def render(self, job: Job, folder: JobFolder, nonce: str) -> tuple[str, Sequence[str]]:
        return f'{job.spec and job.spec.directory}', ['start', str(folder.path)]

    def _end(self, native_ids: Sequence[str]) -> Mapping[str, SubmitException]:
        return {}

    def _warn(self, native_ids: Sequence[str], warning: FirstWarning) -> Mapping[str, SubmitException]:
        raise NotImplementedError

    def _record(self, native_id: str, folder: JobFolder | None) -> dict[str, str]:
        raise NotImplementedError

    def _make_source(self) -> StatusSource:
        return self.scheduler

    def _rhythm(self) -> Rhythm:
        return Rhythm()

    def list(self) -> list[str]:
        return []


@pytest.fixture
def executor(tmp_path, monkeypatch):
    monkeypatch.setenv('PSIJ_EXT_WORK_DIRECTORY', str(tmp_path))
    with Executor() as executor:
        executor.scheduler = Scheduler()
        yield executor


@pytest.fixture
def remember(executor):
    """Makes the folder of a job that some earlier program submitted."""

    def make(native_id: str, exit_code: int | None = None, ended: float = LONG_AGO, term: str = '',
             job_id: str | None = None) -> JobFolder:
        folder = JobFolder.create(executor.work_directory, job_id or f'job-{native_id}')
        folder.open_journal({'job_id': folder.job_id, 'submitted': LONG_AGO}, JSONSerializer().dumps(JobSpec('true')))
        folder.set_native_id(native_id)
        if exit_code is not None:
            (folder.path / 'progress').write_text(f'1 ACTIVE {ended - 1}\n')
            (folder.path / 'exit').write_text(
                f'attempt=1\nnative_id={native_id}\nexit_code={exit_code}\nphase=done\nterm={term}\nended={ended}\n')
        return folder

    return make


def seen(state: JobState, **status) -> Observation:
    return Observation(JobStatus(state, metadata={'native_state': state.name}, **status))


def test_a_success_needs_no_query(executor, remember):
    folder = remember('7', exit_code=0)
    job = executor.look([folder]).jobs['job-7']
    assert (job.id, job.native_id, job.status.state, job.status.exit_code) == ('job-7', '7', JobState.COMPLETED, 0)
    assert job.executor is executor
    assert executor.scheduler.asked == []


def test_one_query_serves_all_that_are_not_over(executor, remember):
    folders = [remember('1', exit_code=0), remember('2'), remember('3')]
    executor.scheduler.queued = {'2': seen(JobState.ACTIVE), '3': seen(JobState.QUEUED)}
    jobs = executor.look(folders).jobs
    assert {name: job.status.state for name, job in jobs.items()} == {
        'job-1': JobState.COMPLETED, 'job-2': JobState.ACTIVE, 'job-3': JobState.QUEUED}
    assert executor.scheduler.asked == [{'2', '3'}]


def test_a_failure_is_told_from_the_record_when_the_scheduler_has_forgotten_the_job(executor, remember):
    job = executor.look([remember('7', exit_code=3)]).jobs['job-7']
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 3)
    assert job.exit_info is not None and job.exit_info.reason is ExitReason.EXITED


def test_a_failure_is_told_from_the_record_when_the_scheduler_does_not_answer(executor, remember):
    executor.scheduler.failure = CommandError('no answer', argv=['squeue'])
    folder = remember('7', exit_code=3)
    looked = executor.look([folder])
    assert (looked.jobs['job-7'].status.state, looked.jobs['job-7'].status.exit_code) == (JobState.FAILED, 3)
    assert looked.trouble is executor.scheduler.failure
    # A requeue or a better cause may come to light yet, so the next look asks again.
    assert kept_end(folder) is None


def test_a_requeued_job_lives_on_in_spite_of_its_old_record(executor, remember):
    executor.scheduler.queued = {'7': seen(JobState.QUEUED)}
    job = executor.look([remember('7', exit_code=143, term='1')]).jobs['job-7']
    assert job.status.state is JobState.QUEUED


def test_the_scheduler_knows_the_cause(executor, remember):
    executor.scheduler.has_accounting = True
    executor.scheduler.accounted = {'7': Observation(
        JobStatus(JobState.FAILED, message='TIMEOUT', metadata={'native_state': 'TIMEOUT'}), ExitReason.TIMEOUT)}
    job = executor.look([remember('7', exit_code=143, term='1')]).jobs['job-7']
    assert job.exit_info is not None
    assert (job.status.state, job.exit_info.reason) == (JobState.FAILED, ExitReason.TIMEOUT)


def test_a_certain_end_is_kept_and_not_asked_for_again(executor, remember):
    folder = remember('7', exit_code=3)
    first = executor.look([folder]).jobs['job-7']
    executor.scheduler.failure = CommandError('no answer', argv=['squeue'])
    again = executor.look([folder])
    assert again.trouble is None
    assert len(executor.scheduler.asked) == 1
    assert str(again.jobs['job-7'].status) == str(first.status)
    assert again.jobs['job-7'].status.time == LONG_AGO


def test_an_end_of_just_now_is_not_kept_because_its_cause_may_follow(executor, remember):
    folder = remember('7', exit_code=3, ended=time.time())
    assert executor.look([folder]).jobs['job-7'].status.state is JobState.FAILED
    assert kept_end(folder) is None


def test_an_end_that_only_the_scheduler_saw_outlives_its_memory(executor, remember):
    executor.scheduler.queued = {'7': Observation(
        JobStatus(JobState.FAILED, message='OUT_OF_MEMORY', metadata={'native_state': 'OUT_OF_MEMORY', 'native_reason': 'why'}),
        ExitReason.OUT_OF_MEMORY, signal=9)}
    folder = remember('7')
    executor.look([folder])
    executor.scheduler.queued = {}
    job = executor.look([folder]).jobs['job-7']
    assert job.exit_info is not None
    assert (job.status.state, job.exit_info.reason, job.exit_info.signal) == (
        JobState.FAILED, ExitReason.OUT_OF_MEMORY, 9)
    assert job.status.metadata == {'native_state': 'OUT_OF_MEMORY', 'native_reason': 'why', 'attempt': 1}


# -- what a job used


USED = ResourceUsage(max_rss=5000, raw={'MaxRSS': '5000'})


def raw(job: Job) -> object:
    assert job.exit_info is not None and job.exit_info.usage is not None
    return job.exit_info.usage.raw


def accounts(executor, *native_ids: str) -> None:
    executor.scheduler.has_accounting = True
    executor.scheduler.accounted = {
        native_id: Observation(JobStatus(JobState.COMPLETED), ExitReason.EXITED, usage=USED) for native_id in native_ids}


@pytest.mark.parametrize('again', [False, True])
def test_a_scheduler_is_asked_once_what_jobs_used_that_are_over_if_somebody_wants_to_know(executor, remember, again):
    folders = [remember('7', exit_code=0), remember('8', exit_code=0)]
    accounts(executor, '7', '8')
    if again:  # their ends are kept
        assert raw(executor.look(folders).jobs['job-7']) is None
    looked = executor.look(folders, usage=True)
    assert [raw(job) for job in looked.jobs.values()] == [USED.raw, USED.raw]
    assert executor.scheduler.asked == [{'7', '8'}]
    assert looked.kept == {'job-7', 'job-8'}
    later = executor.look(folders, usage=True)
    assert (raw(later.jobs['job-7']), len(executor.scheduler.asked), later.kept) == (USED.raw, 1, set())


def test_a_job_of_which_nothing_is_told_is_as_it_was(executor, remember):
    accounts(executor, '8')
    folder = remember('7', exit_code=0)
    looked = executor.look([folder], usage=True)
    assert (raw(looked.jobs['job-7']), looked.kept, looked.trouble) == (None, {'job-7'}, None)
    executor.scheduler.failure = CommandError('no answer', argv=['squeue'])
    silent = executor.look([folder], usage=True)
    assert (silent.jobs['job-7'].status.state, silent.trouble) == (JobState.COMPLETED, None)
    executor.scheduler.tells_usage = False
    executor.look([folder], usage=True)
    assert len(executor.scheduler.asked) == 2


def test_what_a_queue_knew_of_an_end_does_not_keep_from_asking_accounting(executor, remember):
    accounts(executor)
    executor.scheduler.queued = {'7': Observation(JobStatus(JobState.FAILED), ExitReason.SIGNALED, signal=9, queue_usage=ResourceUsage(raw={'a': 'b'}))}
    remember('7')
    job = Job()
    executor.attach(job, '7')
    assert (job.status.state, raw(job)) == (JobState.FAILED, {'a': 'b'})
    accounts(executor, '7')
    monitor = executor._get_monitor()
    monitor.poll_once(monitor._clock() + 100.0)
    assert raw(job) == USED.raw


def test_nobody_is_asked_for_what_jobs_used_that_live(executor, remember):
    executor.scheduler.queued = {'7': seen(JobState.ACTIVE)}
    executor.look([remember('7')], usage=True)
    assert len(executor.scheduler.asked) == 1


@pytest.mark.parametrize('come_back', ['attach', 'recover'])
def test_who_comes_back_to_a_job_that_is_over_gets_to_know_what_it_used(executor, remember, come_back):
    folder = remember('7', exit_code=0)
    if come_back == 'attach':
        job = Job()
        executor.attach(job, '7')
    else:
        folder.open_journal({'job_id': folder.job_id, 'submitted': LONG_AGO, 'session': None, 'url': None}, JSONSerializer().dumps(JobSpec('true')))
        folder.set_native_id('7')
        (job,) = executor.recover()
    assert (job.status.state, raw(job), executor.scheduler.asked) == (JobState.COMPLETED, None, [])
    accounts(executor, '7')
    monitor = executor._get_monitor()
    monitor.poll_once(monitor._clock() + 100.0)
    assert raw(job) == USED.raw
    kept = kept_end(folder)
    assert kept is not None and kept[1].usage is not None and kept[1].usage.raw == USED.raw


def test_a_missing_job_is_not_called_lost(executor, remember):
    folder = remember('7')
    looked = executor.look([folder])
    assert looked.missing == {'job-7'}
    assert not looked.jobs['job-7'].status.final
    assert kept_end(folder) is None


def test_a_job_is_not_missing_when_the_scheduler_does_not_answer(executor, remember):
    executor.scheduler.failure = CommandError('no answer', argv=['squeue'])
    assert executor.look([remember('7')]).missing == frozenset()


def test_a_cancel_of_an_earlier_program_explains_an_absence(executor, remember):
    folder = remember('7')
    job = executor.look([folder]).jobs['job-7']
    job.cancel()
    assert executor.look([folder]).jobs['job-7'].status.state is JobState.CANCELED


def test_a_native_id_that_was_given_again_is_the_newer_jobs(executor, remember):
    old, new = remember('7', job_id='old'), remember('7', job_id='new')
    executor.scheduler.queued = {'7': seen(JobState.ACTIVE)}
    looked = executor.look([old, new])
    assert looked.jobs['new'].status.state is JobState.ACTIVE
    assert looked.jobs['old'].status.state is JobState.QUEUED
    assert looked.missing == {'old'}


def test_a_folder_without_a_native_id_is_passed_over(executor):
    assert executor.look([JobFolder.create(executor.work_directory, 'never-submitted')]).jobs == {}


def test_a_look_follows_nothing_and_tells_no_callback(executor, remember, mocker):
    told = []
    executor.set_job_status_callback(lambda job, status: told.append(status))
    started = mocker.spy(threading.Thread, 'start')
    executor.look([remember('7', exit_code=3)])
    names = [call.args[0].name for call in started.call_args_list]
    assert [name for name in names if 'monitor' in name or 'callbacks' in name] == told == []


def test_preview_writes_nothing(executor, tmp_path):
    job = Job(JobSpec('true'))
    script, command = executor.preview(job)
    assert script == str(Path.cwd())  # relative to here, as a submission would be
    assert list(command) == ['start', str(executor.work_directory / job.id)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('damage', [
    {}, {'state': 'DONE'}, {'state': 'ACTIVE'}, {'state': 'FAILED', 'time': 'yesterday'},
    {'state': 'FAILED', 'exit_code': '3'}, {'state': 'FAILED', 'reason': 'BORED'}, {'state': 'FAILED', 'signal': '9'},
    {'state': 'FAILED', 'cause': 9}])
def test_an_end_that_makes_no_sense_is_passed_over(remember, damage):
    folder = remember('7')
    whole = {'time': 1.0, 'message': None, 'exit_code': None, 'reason': 'EXITED', 'signal': None, 'cause': None}
    folder.write_end({**whole, 'state': 'FAILED'})
    assert kept_end(folder) is not None
    folder.write_end({**whole, **damage})
    assert kept_end(folder) is None


def test_a_lost_job_is_not_kept_as_ended(remember):
    from psij_ext.core.exit_info import ExitInfo

    folder = remember('7')
    keep_end(folder, JobStatus(JobState.FAILED, message='gone'), ExitInfo(ExitReason.LOST))
    assert kept_end(folder) is None


def test_the_silent_source_knows_nobody():
    source = SilentSource()
    assert (source.queue(['1']), source.accounting(['1'], 0.0), source.has_accounting) == ({}, {}, False)
