from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageIn
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandTimeout, ParseError
from psij_ext.runtime.evidence import Patience
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.monitor import StatusMonitor
from psij_ext.runtime.schedule import Rhythm

QUEUED, ACTIVE, STAGE_OUT = JobState.QUEUED, JobState.ACTIVE, JobState.STAGE_OUT
COMPLETED, FAILED, CANCELED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELED
TIMED_OUT = CommandTimeout('No answer.', argv=('squeue',))


def row(state: JobState, reason: ExitReason | None = None, native: str = '', attempt: int | None = None,
        code: int | None = None) -> Observation:
    return Observation(JobStatus(state, exit_code=code, metadata={'native_state': native or state.name}), reason,
                       attempt=attempt)


class FakeSource:
    """A scheduler that answers from two tables, or fails."""

    def __init__(self, clock: Clock, has_accounting: bool = False) -> None:
        self.clock = clock
        self.has_accounting = has_accounting
        self.rows: dict[str, Observation] = {}
        self.accounts: dict[str, Observation] = {}
        self.failure: Exception | None = None
        self.accounting_failure: Exception | None = None
        self.asked: list[float] = []
        self.asked_for: list[Sequence[str]] = []
        self.accounting_asked_for: list[Sequence[str]] = []
        self.since: list[float] = []

    def queue(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        self.asked.append(self.clock.now)
        self.asked_for.append(list(native_ids))
        if self.failure is not None:
            raise self.failure
        return {native_id: self.rows[native_id] for native_id in native_ids if native_id in self.rows}

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        self.accounting_asked_for.append(list(native_ids))
        self.since.append(since)
        if self.accounting_failure is not None:
            raise self.accounting_failure
        return {native_id: self.accounts[native_id] for native_id in native_ids if native_id in self.accounts}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0


class Scene:
    """A monitor without a thread, a scheduler, and the jobs; time passes when it is told to."""

    def __init__(self, work: Path, rhythm: Rhythm = Rhythm(), patience: Patience = Patience(),
                 has_accounting: bool = False) -> None:
        self.work = work
        self.clock = Clock()
        self.source = FakeSource(self.clock, has_accounting)
        self.monitor = StatusMonitor(self.source, rhythm, patience, 'monitor of a test', clock=lambda: self.clock.now)
        self.mailbox = self.monitor.mailbox(work)
        self.seen: dict[str, list[JobState]] = {}

    def follow(self, native_id: str, spec: JobSpec | None = None, has_folder: bool = True, job: Job | None = None,
               folder: JobFolder | None = None) -> Job:
        job = Job(spec or JobSpec('/bin/date')) if job is None else job
        if has_folder and folder is None:
            folder = JobFolder.create(self.work, job.id)
        job._set_native_id(native_id)
        self.seen[job.id] = []
        self.report(job, JobStatus(QUEUED), None, False)
        self.monitor.take(Followed(job, native_id, folder, self.report, submitted=self.clock.now))
        return job

    def report(self, job: Job, status: JobStatus, exit_info: ExitInfo | None, requeued: bool) -> None:
        if exit_info is not None and not job.status.final:
            job._set_exit_info(exit_info)
        self.seen[job.id] += [transition.state for transition in job._record(status, requeued)]

    def followed(self, job: Job) -> Followed:
        followed = self.monitor.followed(job)
        assert followed is not None
        return followed

    def enter(self, job: Job, state: str, attempt: int = 1, hint: bool = True, at: float | None = None) -> None:
        with (self.work / job.id / 'progress').open('a') as progress:
            progress.write(f'{attempt} {state} {self.clock.now if at is None else at}\n')
        if hint:
            self.hint(job)

    def end(self, job: Job, code: int = 0, phase: str = 'done', term: bool = False, attempt: int = 1,
            hint: bool = True) -> None:
        fields = {'attempt': attempt, 'native_id': job.native_id, 'exit_code': code, 'phase': phase,
                  'term': '1' if term else '', 'ended': self.clock.now}
        (self.work / job.id / 'exit').write_text(''.join(f'{name}={value}\n' for name, value in fields.items()))
        if hint:
            self.hint(job)

    def hint(self, job: Job) -> None:
        (self.mailbox / job.id).touch()

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + step)
            self.monitor.poll_once(self.clock.now)

    def poll(self) -> None:
        self.monitor.poll_once(self.clock.now)

    def queries(self, since: float = 0.0) -> int:
        return sum(1 for moment in self.source.asked if moment >= since)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / 'work')
    yield made
    made.monitor.close()


@pytest.fixture
def accounted(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / 'work', has_accounting=True)
    yield made
    made.monitor.close()


# -- how often the scheduler is asked


def test_nothing_is_asked_where_no_job_is_followed(scene: Scene) -> None:
    scene.pass_time(3600)
    assert scene.source.asked == []


def test_one_query_a_round_for_all_jobs(scene: Scene) -> None:
    for number in range(50):
        scene.follow(str(number))
    scene.source.rows = {str(number): row(QUEUED) for number in range(50)}
    scene.pass_time(60)
    assert scene.source.asked_for
    assert all(sorted(ids, key=int) == [str(number) for number in range(50)] for ids in scene.source.asked_for)
    assert len(scene.source.asked) == len(set(scene.source.asked))


def test_the_intervals_grow_and_stay_bounded(scene: Scene) -> None:
    scene.follow('1')
    scene.source.rows['1'] = row(QUEUED)
    scene.pass_time(3600)
    gaps = [later - earlier for earlier, later in zip([1000.0, *scene.source.asked], scene.source.asked)]
    assert gaps[0] == 2.0
    assert all(later >= earlier for earlier, later in zip(gaps, gaps[1:]))
    assert max(gaps) == gaps[-1] == 30.0
    assert 3600 / 30 <= len(gaps) <= 3600 / 30 + 4


@pytest.mark.parametrize(('first', 'interval', 'most'), [
    (0.0, 30.0, 125), (2.0, 1800.0, 8), (100.0, 30.0, 121), (0.0, 1.0, 3601), (0.0, 0.0, 7201)])
def test_no_rhythm_makes_a_storm(tmp_path: Path, first: float, interval: float, most: int) -> None:
    scene = Scene(tmp_path, Rhythm(first, interval))
    scene.follow('1')
    scene.source.rows['1'] = row(QUEUED)
    scene.pass_time(3600, step=0.5)
    assert 3600 / max(interval, 0.5) - 1 <= len(scene.source.asked) <= most


@pytest.mark.parametrize(('first', 'interval'), [(0.0, 30.0), (0.0, 0.0)])
def test_however_often_a_round_is_called_the_scheduler_gets_some_rest(
        tmp_path: Path, first: float, interval: float) -> None:
    scene = Scene(tmp_path, Rhythm(first, interval))
    scene.source.rows['1'] = row(ACTIVE)
    scene.follow('1')
    scene.pass_time(10, step=0.001)
    gaps = [later - earlier for earlier, later in zip(scene.source.asked, scene.source.asked[1:])]
    assert min(gaps) >= 0.099


def test_no_job_no_query_any_more(scene: Scene) -> None:
    job = scene.follow('1')
    scene.end(job)
    scene.poll()
    assert job.status.state is COMPLETED
    scene.pass_time(3600)
    assert scene.source.asked == []


def test_the_next_first_job_is_asked_for_soon_again(scene: Scene) -> None:
    scene.source.rows['1'] = row(QUEUED)
    first = scene.follow('1')
    scene.pass_time(300)
    scene.end(first)
    scene.pass_time(300)
    began = scene.clock.now
    scene.follow('2')
    scene.pass_time(3)
    assert [moment - began for moment in scene.source.asked if moment > began] == [2.0]


def test_a_hint_is_no_reason_to_ask(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(120)
    before = len(scene.source.asked)
    for _ in range(20):
        scene.hint(job)
        (scene.mailbox / 'no job of ours').touch()
        scene.pass_time(1)
    assert len(scene.source.asked) - before <= 1


def test_a_wish_to_ask_soon_is_no_reason_to_ask_often(scene: Scene) -> None:
    scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(120)
    began = scene.clock.now
    for _ in range(100):
        scene.monitor.ask_soon()
        scene.pass_time(0.1, step=0.1)
    assert 4 <= scene.queries(since=began) <= 6


def test_many_ends_at_once_are_asked_about_once(scene: Scene) -> None:
    jobs = [scene.follow(str(number)) for number in range(100)]
    scene.source.rows = {str(number): row(ACTIVE) for number in range(100)}
    scene.pass_time(120)
    began = scene.clock.now
    for number, job in enumerate(jobs):
        scene.end(job, code=3)
        scene.source.rows[str(number)] = row(FAILED, ExitReason.EXITED, code=3)
        scene.pass_time(0.01, step=0.01)
    scene.pass_time(10)
    assert all(job.status.state is FAILED for job in jobs)
    assert scene.queries(since=began) <= 4


# -- failing queries


def test_a_failed_query_says_nothing(scene: Scene) -> None:
    waiting, running = scene.follow('1'), scene.follow('2')
    scene.enter(running, 'ACTIVE')
    scene.source.failure = TIMED_OUT
    scene.pass_time(7200)
    assert (waiting.status.state, running.status.state) == (QUEUED, ACTIVE)
    scene.source.failure, scene.source.rows = None, {'1': row(QUEUED), '2': row(ACTIVE)}
    scene.pass_time(800)
    assert (waiting.status.state, running.status.state) == (QUEUED, ACTIVE)


def test_while_the_scheduler_fails_it_is_asked_less_and_less(scene: Scene) -> None:
    scene.follow('1')
    scene.source.failure = TIMED_OUT
    scene.pass_time(4 * 3600, step=0.05)
    gaps = [later - earlier for earlier, later in zip(scene.source.asked, scene.source.asked[1:])]
    for number, gap in enumerate(gaps):
        ideal = min(30.0 * 2 ** number, 600.0)
        assert 0.8 * ideal <= gap <= 1.2 * ideal + 0.1
    assert len(set(gaps[5:])) > 1  # not in step with all others that wait


def test_a_long_interval_is_kept_when_the_scheduler_fails(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Rhythm(interval=3600.0))
    scene.follow('1')
    scene.source.failure = TIMED_OUT
    scene.pass_time(24 * 3600, step=10)
    assert 20 <= len(scene.source.asked) <= 31


def test_ends_during_an_outage_do_not_make_us_ask_more(scene: Scene) -> None:
    jobs = [scene.follow(str(number)) for number in range(200)]
    scene.source.failure = TIMED_OUT
    scene.pass_time(60)
    began = scene.clock.now
    for job in jobs:
        scene.end(job, code=3)
        scene.pass_time(0.5)
    assert scene.queries(since=began) <= 3


def test_health_and_one_warning(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    scene.follow('1')
    scene.source.failure = TIMED_OUT
    with caplog.at_level(logging.WARNING):
        while len(scene.source.asked) < 2:
            scene.pass_time(1)
        assert (scene.monitor.health, caplog.records) == ('ok', [])
        assert scene.monitor.trouble is TIMED_OUT
        while len(scene.source.asked) < 3:
            scene.pass_time(1)
        assert scene.monitor.health == 'degraded'
        scene.pass_time(3600)
    assert len(caplog.records) == 1
    assert 'No answer.' in caplog.text
    scene.source.failure = None
    scene.pass_time(800)
    assert (scene.monitor.health, scene.monitor.trouble) == ('ok', None)


@pytest.mark.parametrize('failure', [TIMED_OUT, ParseError('Garbage.'), ValueError('a defect'), KeyError('x'), OSError()])
def test_whatever_the_source_raises_the_folders_are_looked_at(
        scene: Scene, failure: Exception, caplog: pytest.LogCaptureFixture) -> None:
    ended, waiting, running = scene.follow('1'), scene.follow('2'), scene.follow('3')
    scene.source.failure = failure
    scene.pass_time(100)
    scene.clock.now = max(scene.clock.now, scene.source.asked[-1] + 600)
    scene.end(ended)
    scene.enter(running, 'ACTIVE')
    scene.poll()
    assert scene.source.asked[-1] == scene.clock.now
    assert [job.status.state for job in (ended, waiting, running)] == [COMPLETED, QUEUED, ACTIVE]
    known = isinstance(failure, (CommandTimeout, ParseError))
    assert any(record.exc_info is not None for record in caplog.records) is not known


def test_a_defect_of_accounting_ends_no_round(accounted: Scene) -> None:
    job, other = accounted.follow('1'), accounted.follow('2')
    accounted.source.rows['2'] = row(ACTIVE)
    accounted.source.accounting_failure = ZeroDivisionError()
    accounted.pass_time(600)
    assert (job.status.state, other.status.state) == (QUEUED, ACTIVE)


# -- from the folder


def test_a_hint_leads_to_the_folder_without_a_query(scene: Scene) -> None:
    job = scene.follow('1')
    scene.poll()
    scene.enter(job, 'ACTIVE')
    scene.poll()
    assert job.status.state is ACTIVE
    scene.end(job)
    scene.poll()
    assert job.status.state is COMPLETED
    assert scene.source.asked == []
    assert scene.seen[job.id] == [QUEUED, ACTIVE, COMPLETED]


def test_without_a_hint_a_folder_is_not_read(scene: Scene) -> None:
    job = scene.follow('1')
    scene.poll()
    scene.end(job, hint=False)
    scene.poll()
    assert job.status.state is QUEUED
    scene.pass_time(5)
    assert job.status.state is COMPLETED


def test_what_happened_before_it_was_followed_is_found_at_once(scene: Scene) -> None:
    job = Job(JobSpec('/bin/date'))
    folder = JobFolder.create(scene.work, job.id)
    job._set_native_id('1')
    scene.enter(job, 'ACTIVE', hint=False)
    scene.end(job, hint=False)
    scene.follow('1', job=job, folder=folder)
    scene.poll()
    assert job.status.state is COMPLETED
    assert scene.source.asked == []


def test_missed_states_are_reported_before_the_end(scene: Scene) -> None:
    job = scene.follow('1')
    for state in ('STAGE_IN', 'ACTIVE', 'STAGE_OUT', 'CLEANUP'):
        scene.enter(job, state, hint=False)
    scene.end(job)
    scene.poll()
    assert scene.seen[job.id] == [
        QUEUED, JobState.STAGE_IN, ACTIVE, STAGE_OUT, JobState.CLEANUP, COMPLETED]


def test_an_end_that_the_scheduler_alone_saw_has_its_missed_states(scene: Scene) -> None:
    job = scene.follow('1', has_folder=False)
    scene.source.rows['1'] = row(COMPLETED, ExitReason.EXITED, code=0)
    scene.pass_time(3)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, COMPLETED]
    assert job.exit_info == ExitInfo(ExitReason.EXITED, exit_code=0)


def test_a_failed_job_explains_itself(scene: Scene) -> None:
    job = scene.follow('1')
    (scene.work / job.id / 'stderr').write_text('Traceback\nValueError: no\n')
    scene.enter(job, 'ACTIVE', hint=False)
    scene.end(job, code=3)
    scene.pass_time(10)
    assert job.status.state is FAILED
    assert job.status.exit_code == 3
    assert 'ValueError: no' in (job.status.message or '')
    assert str(scene.work / job.id / 'stderr') in (job.status.message or '')


def test_a_job_that_was_not_launched_explains_itself_by_what_the_script_wrote(scene: Scene) -> None:
    job = scene.follow('1')
    (scene.work / job.id / 'stderr').write_text('of an earlier attempt\n')
    (scene.work / job.id / 'scheduler.out').write_text('psij-ext: staging in failed\n')
    scene.end(job, code=1, phase='stage_in')
    scene.pass_time(10)
    assert 'staging in failed' in (job.status.message or '')
    assert 'earlier' not in (job.status.message or '')


def test_a_success_needs_no_explanation(scene: Scene) -> None:
    job = scene.follow('1')
    (scene.work / job.id / 'stderr').write_text('a warning\n')
    scene.end(job)
    scene.poll()
    assert (job.status.state, job.status.message) == (COMPLETED, None)


def test_standard_error_is_read_where_the_user_sent_it(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / 'err').write_text('oops\n')
    job = scene.follow('1')
    scene.followed(job).stderr_path = tmp_path / 'err'
    scene.end(job, code=3)
    scene.pass_time(10)
    assert job.status.message == f'oops\n(from {tmp_path}/err)'


def test_the_time_limit_is_the_specs(scene: Scene) -> None:
    spec = JobSpec('/bin/date', attributes=JobAttributes(duration=timedelta(minutes=1)))
    timed, unlimited = scene.follow('1', spec), scene.follow('2')
    for job in (timed, unlimited):
        scene.enter(job, 'ACTIVE')
    scene.source.rows = {'1': row(ACTIVE), '2': row(ACTIVE)}
    scene.pass_time(61)
    for job in (timed, unlimited):
        scene.end(job, code=143, term=True)
    scene.source.rows = {}
    scene.pass_time(10)
    assert timed.exit_info is not None
    assert timed.exit_info.reason is ExitReason.TIMEOUT
    assert unlimited.status.state is CANCELED


def test_a_job_without_a_description_is_followed_too(scene: Scene) -> None:
    job = scene.follow('1', job=Job(), has_folder=False)
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(31)
    assert job.status.state is ACTIVE
    scene.source.rows['1'] = row(FAILED, ExitReason.EXITED, code=3)
    scene.pass_time(31)
    assert (job.status.state, job.status.exit_code) == (FAILED, 3)


@pytest.mark.parametrize('answer', [row(FAILED, ExitReason.OUT_OF_MEMORY), None])
def test_an_end_and_an_absence_do_not_go_out_of_date(scene: Scene, answer: Observation | None) -> None:
    job = scene.follow('1')
    if answer is not None:
        scene.source.rows['1'] = answer
    scene.pass_time(1.5)
    scene.end(job, code=137)
    scene.pass_time(0.5)
    assert scene.source.asked == [scene.clock.now]
    assert job.exit_info is not None
    assert job.exit_info.reason is (ExitReason.SIGNALED if answer is None else ExitReason.OUT_OF_MEMORY)


def test_an_unreadable_record_harms_that_job_alone(scene: Scene) -> None:
    bad, good = scene.follow('1'), scene.follow('2')
    scene.source.rows = {'1': row(ACTIVE), '2': row(ACTIVE)}
    (scene.work / bad.id / 'exit').write_bytes(b'\xff\0attempt=9' * 100)
    (scene.work / bad.id / 'progress').write_bytes(b'1 ACTIVE nan\n1 COMPLETED 5\n\xff\n')
    scene.hint(bad)
    scene.enter(good, 'ACTIVE')
    scene.poll()
    assert (bad.status.state, good.status.state) == (QUEUED, ACTIVE)
    scene.source.rows['1'] = row(FAILED, ExitReason.EXITED, code=2)
    scene.pass_time(60)
    assert (bad.status.state, bad.status.exit_code) == (FAILED, 2)


def test_a_job_whose_report_fails_harms_itself_alone(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    jobs = [scene.follow(str(number)) for number in range(4)]
    report = scene.followed(jobs[1]).report

    def fail(*args: object) -> None:
        raise RuntimeError('a defect')

    scene.followed(jobs[1]).report = fail
    for job in jobs:
        scene.enter(job, 'ACTIVE')
    scene.poll()
    assert [job.status.state for job in jobs] == [ACTIVE, QUEUED, ACTIVE, ACTIVE]
    assert 'a defect' in caplog.text
    scene.followed(jobs[1]).report = report
    scene.hint(jobs[1])
    scene.poll()
    assert jobs[1].status.state is ACTIVE


# -- the cause of an end


def test_the_cause_is_asked_for_and_taken(scene: Scene) -> None:
    job = scene.follow('1', JobSpec('/bin/date', attributes=JobAttributes(duration=timedelta(seconds=60))))
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(120)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(1)
    began = scene.clock.now
    scene.end(job, code=137)
    scene.source.rows['1'] = row(FAILED, ExitReason.OUT_OF_MEMORY, native='OUT_OF_MEMORY')
    scene.poll()
    assert job.status.state is ACTIVE
    scene.pass_time(2)
    assert job.status.state is FAILED
    assert job.exit_info is not None
    assert (job.exit_info.reason, job.exit_info.exit_code) == (ExitReason.OUT_OF_MEMORY, 137)
    assert job.status.metadata == {'native_state': 'OUT_OF_MEMORY'}
    assert scene.queries(since=began) == 1


@pytest.mark.parametrize('answer', [None, row(ACTIVE), TIMED_OUT])
def test_the_cause_is_waited_for_within_bounds(accounted: Scene, answer: Observation | Exception | None) -> None:
    job = accounted.follow('1')
    if isinstance(answer, Exception):
        accounted.source.failure = answer
    elif answer is not None:
        accounted.source.rows['1'] = answer
    accounted.pass_time(40)
    began = accounted.clock.now
    accounted.end(job, code=3)
    accounted.pass_time(4.5)
    assert not job.status.final
    accounted.pass_time(1)
    assert (job.status.state, job.status.exit_code) == (FAILED, 3)
    assert accounted.queries(since=began) <= 4 + 1  # early ones, and a regular one


def test_a_job_that_nobody_else_can_know_ends_with_the_next_answer(scene: Scene) -> None:
    job = scene.follow('1')
    scene.pass_time(1)
    scene.end(job, code=3)
    scene.pass_time(1.5)
    assert job.status.state is FAILED
    assert len(scene.source.asked) == 1


def test_an_absent_job_is_not_asked_for_more_often_while_accounting_fails(accounted: Scene) -> None:
    job = accounted.follow('1')
    accounted.source.accounting_failure = TIMED_OUT
    accounted.pass_time(3600)
    assert job.status.state is QUEUED
    assert len(accounted.source.asked) <= 125


def test_accounting_is_asked_for_those_that_the_queue_does_not_explain(accounted: Scene) -> None:
    gone, waiting, unclear, clear = (accounted.follow(str(number)) for number in range(4))
    accounted.source.rows = {
        '1': row(QUEUED), '2': row(FAILED), '3': row(FAILED, ExitReason.TIMEOUT)}
    accounted.source.accounts = {
        '0': row(COMPLETED, ExitReason.EXITED, code=0), '1': row(FAILED, ExitReason.NODE_FAILURE),
        '2': row(FAILED, ExitReason.OUT_OF_MEMORY)}
    accounted.pass_time(3)
    assert accounted.source.accounting_asked_for == [['0', '2']]
    assert accounted.source.since == [1000.0]
    assert [job.status.state for job in (gone, waiting, unclear, clear)] == [COMPLETED, QUEUED, FAILED, FAILED]


def test_without_accounting_it_is_not_asked(scene: Scene) -> None:
    scene.follow('1')
    scene.pass_time(60)
    assert scene.source.asked
    assert scene.source.accounting_asked_for == []


# -- requeues


@pytest.mark.parametrize('has_folder', [True, False])
def test_a_requeue_is_seen(scene: Scene, has_folder: bool) -> None:
    job = scene.follow('1', has_folder=has_folder)
    for state in (ACTIVE, QUEUED, ACTIVE, QUEUED, ACTIVE):
        scene.source.rows['1'] = row(state)
        scene.pass_time(31)
    scene.source.rows['1'] = row(COMPLETED, ExitReason.EXITED, code=0)
    scene.pass_time(31)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED, ACTIVE, QUEUED, ACTIVE, COMPLETED]


def requeued(scene: Scene) -> Job:
    """A job that ran, was killed, and waits for its second run."""
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(60)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(10)
    scene.end(job, code=143, term=True)
    scene.source.rows['1'] = row(QUEUED, attempt=2)
    scene.pass_time(10)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED]
    return job


def test_a_requeue_after_an_end_is_seen(scene: Scene) -> None:
    job = requeued(scene)
    scene.pass_time(600)
    (scene.work / job.id / 'exit').rename(scene.work / job.id / 'exit.1')
    scene.source.rows['1'] = row(ACTIVE, attempt=2)
    scene.enter(job, 'ACTIVE', attempt=2)
    scene.pass_time(60)
    scene.end(job, attempt=2)
    scene.pass_time(1)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED, ACTIVE, COMPLETED]


@pytest.mark.parametrize('failure', [TIMED_OUT, None])
def test_the_record_of_the_earlier_run_does_not_end_a_job_that_waits_again(
        scene: Scene, failure: Exception | None) -> None:
    job = requeued(scene)
    scene.source.failure = failure
    for _ in range(30):
        scene.hint(job)
        scene.pass_time(20)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED]


def test_a_job_that_is_cancelled_while_it_waits_again(scene: Scene) -> None:
    job = requeued(scene)
    del scene.source.rows['1']
    scene.followed(job).cancel_acknowledged = True
    scene.monitor.ask_soon()
    scene.pass_time(5)
    assert (scene.seen[job.id][-1], job.exit_info and job.exit_info.reason) == (CANCELED, ExitReason.CANCELED)


def test_a_stale_answer_is_not_taken_for_a_requeue(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(QUEUED)
    scene.pass_time(3)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(0.5)
    assert job.status.state is ACTIVE
    scene.hint(job)
    scene.pass_time(0.5)
    assert scene.seen[job.id] == [QUEUED, ACTIVE]


def test_an_answer_of_the_same_moment_is_not_taken_for_a_requeue(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(QUEUED)
    scene.pass_time(1.5)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(0.5)
    assert scene.source.asked == [scene.clock.now]
    assert job.status.state is ACTIVE


def test_what_was_said_at_the_same_moment_is_made_up_for(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(1.5)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(0.5)
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(60)
    assert job.status.metadata == {'native_state': 'ACTIVE'}


# -- absence


def test_a_lost_job_needs_time(scene: Scene) -> None:
    job = scene.follow('1')
    scene.pass_time(120)
    assert job.status.state is QUEUED
    scene.pass_time(60)
    assert job.status.state is FAILED
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LOST


def test_a_job_that_is_seen_again_was_not_lost(scene: Scene) -> None:
    job = scene.follow('1')
    for _ in range(10):
        scene.pass_time(100)
        scene.source.rows['1'] = row(QUEUED)
        scene.pass_time(31)
        del scene.source.rows['1']
    assert job.status.state is QUEUED


def test_absence_counts_in_answers_without_a_gap(scene: Scene) -> None:
    job = scene.follow('1')
    for _ in range(20):
        scene.source.failure = None
        while not scene.source.asked or scene.monitor.trouble is not None:
            scene.pass_time(1)
        scene.pass_time(65)
        scene.source.failure = TIMED_OUT
        scene.pass_time(100)
        scene.hint(job)
        scene.pass_time(1)
    assert job.status.state is QUEUED


def test_old_answers_do_not_make_a_job_lost(scene: Scene) -> None:
    job = scene.follow('1')
    scene.pass_time(40)
    scene.source.failure = TIMED_OUT
    for _ in range(60):
        scene.hint(job)
        scene.pass_time(10)
    assert job.status.state is QUEUED


def test_absence_counts_while_accounting_answers_too(accounted: Scene) -> None:
    job = accounted.follow('1')
    accounted.source.accounting_failure = TIMED_OUT
    accounted.pass_time(600)
    accounted.source.accounting_failure = None
    accounted.pass_time(100)
    assert job.status.state is QUEUED
    accounted.pass_time(100)
    assert job.status.state is FAILED


def test_a_job_that_is_not_in_accounting_yet_may_still_come(accounted: Scene) -> None:
    job = accounted.follow('1')
    accounted.pass_time(60)
    accounted.source.accounts['1'] = row(CANCELED, ExitReason.CANCELED)
    accounted.pass_time(31)
    assert job.status.state is CANCELED


def test_a_preempted_job_is_over_when_it_is_gone(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(31)
    scene.source.rows['1'] = row(JobState.NEW, ExitReason.PREEMPTED, native='PREEMPTED')
    scene.pass_time(31)
    assert job.status.state is ACTIVE
    assert job.status.metadata == {'native_state': 'PREEMPTED'}
    del scene.source.rows['1']
    scene.pass_time(31)
    assert job.exit_info is not None
    assert (job.status.state, job.exit_info.reason) == (FAILED, ExitReason.PREEMPTED)


def test_a_cancelled_job_is_over_when_it_is_gone(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(120)
    scene.followed(job).cancel_acknowledged = True
    scene.monitor.ask_soon()
    scene.pass_time(1)
    assert job.status.state is ACTIVE
    del scene.source.rows['1']
    scene.pass_time(2)
    assert job.status.state is CANCELED


def test_an_unknown_state_leaves_a_job_as_it_was_and_is_kept(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(31)
    scene.source.rows['1'] = row(JobState.NEW, native='HIBERNATING')
    scene.pass_time(31)
    assert job.status.state is ACTIVE
    assert job.status.metadata == {'native_state': 'HIBERNATING'}


def test_a_job_that_stages_in_is_active_when_its_script_says_so(scene: Scene) -> None:
    job = scene.follow('1', JobSpec('/bin/date', stage_in={StageIn('/a', 'b')}))
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(31)
    assert job.status.state is QUEUED
    scene.enter(job, 'STAGE_IN')
    scene.pass_time(31)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(31)
    assert scene.seen[job.id] == [QUEUED, JobState.STAGE_IN, ACTIVE]


# -- jobs that were attached under another id than their folder's


def test_hints_reach_all_that_follow_one_folder(scene: Scene) -> None:
    first = scene.follow('1')
    folder = JobFolder(scene.work / first.id)
    second = scene.follow('1', folder=folder)
    third = scene.follow('1', folder=folder)
    scene.poll()
    scene.enter(first, 'ACTIVE')
    scene.poll()
    assert [job.status.state for job in (first, second, third)] == [ACTIVE] * 3
    scene.end(first)
    scene.poll()
    assert [job.status.state for job in (first, second, third)] == [COMPLETED] * 3
    assert scene.source.asked == []


def test_the_end_of_one_follower_does_not_cut_off_the_others(scene: Scene) -> None:
    first = scene.follow('1')
    folder = JobFolder(scene.work / first.id)
    second, third = scene.follow('2', folder=folder), scene.follow('3', folder=folder)
    scene.source.rows = {'1': row(ACTIVE), '2': row(CANCELED, ExitReason.CANCELED), '3': row(ACTIVE)}
    scene.pass_time(3)
    assert (second.status.state, third.status.state) == (CANCELED, ACTIVE)
    scene.enter(first, 'STAGE_OUT')
    scene.poll()
    assert (first.status.state, third.status.state) == (STAGE_OUT, STAGE_OUT)


# -- beginning and end


def test_closing_forgets_the_jobs_and_removes_the_mailbox(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    assert scene.mailbox.is_dir()
    scene.monitor.close()
    scene.monitor.close()
    assert not scene.mailbox.exists()
    scene.pass_time(600)
    assert scene.source.asked == []
    assert job.status.state is QUEUED
    assert scene.monitor.followed(job) is None


def running(name: str) -> bool:
    return any(thread.name == name for thread in threading.enumerate())


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_thread_follows_and_ends(tmp_path: Path) -> None:
    scene = Scene(tmp_path, Rhythm(first=0.1, interval=0.2))
    monitor = StatusMonitor(scene.source, Rhythm(first=0.1, interval=0.2), Patience(), 'thread of a test')
    job, by_query = Job(JobSpec('/bin/date')), Job(JobSpec('/bin/date'))
    mailbox = monitor.mailbox(tmp_path)
    assert not running('thread of a test')
    for each, native_id, folder in ((job, '1', JobFolder.create(tmp_path, job.id)), (by_query, '2', None)):
        each._set_native_id(native_id)
        scene.seen[each.id] = []
        monitor.follow(Followed(each, native_id, folder, scene.report))
    assert running('thread of a test')
    scene.source.rows = {'1': row(ACTIVE), '2': row(COMPLETED, ExitReason.EXITED, code=0)}
    assert by_query.wait(timedelta(seconds=10)) is not None
    scene.end(job, hint=False)
    (mailbox / job.id).touch()
    assert job.wait(timedelta(seconds=10)) is not None
    assert (job.status.state, by_query.status.state) == (COMPLETED, COMPLETED)
    asked = len(scene.source.asked)
    time.sleep(0.5)
    assert len(scene.source.asked) <= asked + 1
    monitor.close()
    assert not running('thread of a test')
    assert not mailbox.exists()


def test_the_thread_outlives_a_defect(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path)
    monitor = StatusMonitor(scene.source, Rhythm(first=0.05, interval=0.05), Patience(), 'thread of a test')
    real, rounds = monitor.poll_once, []

    def poll_once(now: float) -> None:
        rounds.append(now)
        if len(rounds) == 1:
            raise RuntimeError('a defect')
        real(now)

    monkeypatch.setattr(monitor, 'poll_once', poll_once)
    job = Job(JobSpec('/bin/date'))
    scene.seen[job.id] = []
    scene.source.rows['1'] = row(COMPLETED, ExitReason.EXITED, code=0)
    monitor.follow(Followed(job, '1', None, scene.report))
    assert job.wait(timedelta(seconds=10)) is not None
    assert 'a defect' in caplog.text
    monitor.close()


def test_closing_from_the_reporting_thread_itself(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    monitor = StatusMonitor(scene.source, Rhythm(first=0.05, interval=0.05), Patience(), 'thread of a test')
    closed = threading.Event()

    def close(job: Job, status: JobStatus, exit_info: ExitInfo | None, requeued: bool) -> None:
        monitor.close()
        closed.set()

    scene.source.rows['1'] = row(ACTIVE)
    monitor.follow(Followed(Job(JobSpec('/bin/date')), '1', None, close))
    assert closed.wait(10)
    until(lambda: not running('thread of a test'))


def test_a_job_that_comes_after_the_end_is_not_followed(scene: Scene) -> None:
    scene.monitor.close()
    scene.monitor.follow(Followed(Job(JobSpec('/bin/date')), '1', None, scene.report))
    assert not running('monitor of a test')


def test_a_cancel_by_another_process_is_known_from_the_folder(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(10)
    folder = scene.followed(job).folder
    assert folder is not None
    folder.note_cancel()
    del scene.source.rows['1']
    scene.pass_time(40)
    assert job.status.state is CANCELED
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.CANCELED
