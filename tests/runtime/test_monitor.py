from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from scenes import ACTIVE, CANCELED, COMPLETED, FAILED, QUEUED, TIMED_OUT, Scene, row

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandTimeout, ParseError
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.monitor import StatusMonitor
from psij_ext.runtime.schedule import Rhythm

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


@pytest.mark.parametrize(('first', 'interval'), [(5.0, 0.0), (0.0, 0.0)])
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
    scene.pass_time(125)
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
    scene.pass_time(4 * 3600, step=1.0)
    gaps = [later - earlier for earlier, later in zip(scene.source.asked, scene.source.asked[1:])]
    for number, gap in enumerate(gaps):
        ideal = min(30.0 * 2 ** number, 600.0)
        assert 0.8 * ideal <= gap <= 1.2 * ideal + 1.0
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


def test_health_comes_back_with_an_answer_to_any_command(scene: Scene) -> None:
    scene.follow('1')
    scene.source.failure = TIMED_OUT
    scene.pass_time(3600)
    assert scene.monitor.health == 'degraded'
    asked = len(scene.source.asked)
    scene.monitor.heard()
    assert scene.monitor.health == 'ok'
    scene.pass_time(31)  # sooner than after so many failures
    assert len(scene.source.asked) > asked
    scene.pass_time(3600)
    assert scene.monitor.health == 'degraded'


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
    monitor = StatusMonitor(scene.source, Rhythm(first=0.1, interval=0.2), 'thread of a test')
    job, by_query = Job(JobSpec('/bin/date')), Job(JobSpec('/bin/date'))
    mailbox = monitor.hints.mailbox(tmp_path)
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
    monitor = StatusMonitor(scene.source, Rhythm(first=0.05, interval=0.05), 'thread of a test')
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
    monitor = StatusMonitor(scene.source, Rhythm(first=0.05, interval=0.05), 'thread of a test')
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
