"""What jobs used that were over before the scheduler told of it: it is asked for in the rounds to come."""

from __future__ import annotations

import gc
import weakref
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from scenes import COMPLETED, FAILED, QUEUED, Scene, row

from psij_ext.core.exit_info import ExitInfo, ExitReason, ResourceUsage
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandError
from psij_ext.runtime.jobfolder import JobFolder

TOLD = ResourceUsage(
    wall_time=timedelta(seconds=100), cpu_time=timedelta(seconds=50), max_rss=5000, raw={'MaxRSS': '5000'})
OVER = Observation(JobStatus(COMPLETED, exit_code=0), ExitReason.EXITED, usage=TOLD)


@pytest.fixture
def told(accounted: Scene) -> Scene:
    """A scheduler whose accounting tells what jobs used."""
    accounted.source.tells_usage = True
    return accounted


def completed(scene: Scene, native_id: str = '1') -> Job:
    """A job whose script has told of its success."""
    job = scene.follow(native_id)
    scene.poll()
    scene.enter(job, 'ACTIVE')
    scene.end(job, began=scene.clock.now - 10.0)
    scene.poll()
    assert job.status.state is COMPLETED
    assert scene.source.asked == []
    return job


def usage(job: Job) -> ResourceUsage:
    assert job.exit_info is not None
    assert job.exit_info.usage is not None
    return job.exit_info.usage


def test_accounting_is_believed_before_the_script_when_it_has_told(told: Scene) -> None:
    job = completed(told)
    seen = list(told.seen[job.id])
    own = usage(job)
    assert (own.wall_time, own.raw) == (timedelta(seconds=10), None)
    told.source.accounts['1'] = OVER
    told.pass_time(5)
    better = usage(job)
    assert (better.wall_time, better.max_rss, better.raw) == (timedelta(seconds=100), 5000, {'MaxRSS': '5000'})
    # What accounting leaves out is still the script's, and percents are those of what is told.
    assert (better.submit_time, better.cpu_percent) == (own.submit_time, 50.0)
    assert (job.exit_info.reason if job.exit_info else None, told.seen[job.id]) == (ExitReason.EXITED, seen)
    assert told.source.accounting_asked_for == [['1']]


def test_a_queue_that_remembers_tells_it_as_well(scene: Scene) -> None:
    scene.source.tells_usage = True
    job = completed(scene)
    scene.source.rows['1'] = OVER
    scene.pass_time(5)
    assert usage(job).raw == {'MaxRSS': '5000'}


def test_one_query_serves_the_living_and_the_dead(told: Scene) -> None:
    alive = told.follow('2')
    over = completed(told)
    told.source.rows['2'] = row(QUEUED)
    told.source.accounts['1'] = OVER
    told.pass_time(3)
    assert [set(ids) for ids in told.source.asked_for] == [{'1', '2'}]
    assert usage(over).max_rss == 5000
    assert alive.status.state is QUEUED


def test_what_is_not_there_is_not_asked_for_for_ever(told: Scene) -> None:
    job = completed(told)
    told.pass_time(1000, step=5)
    assert len(told.source.asked) == 3
    assert usage(job).raw is None


def test_an_accounting_that_lags_is_asked_again(told: Scene) -> None:
    job = completed(told)
    told.source.accounts['1'] = Observation(JobStatus(JobState.ACTIVE))
    told.pass_time(5)
    assert (len(told.source.asked), usage(job).raw) == (1, None)
    told.source.accounts['1'] = OVER
    told.pass_time(100)
    assert (len(told.source.asked), usage(job).max_rss) == (2, 5000)


def test_a_scheduler_without_an_answer_is_not_asked_for_ever(told: Scene) -> None:
    completed(told)
    told.source.failure = CommandError('no answer', argv=())
    told.pass_time(5000, step=5)
    assert len(told.source.asked) == 3


def test_a_scheduler_that_turns_out_to_tell_nothing_is_asked_once(told: Scene) -> None:
    completed(told)
    told.source.tells_usage = False
    told.pass_time(1000, step=5)
    assert len(told.source.asked) == 1


def test_what_is_known_is_not_asked_for(told: Scene) -> None:
    job = told.follow('1')
    told.source.rows['1'] = told.source.accounts['1'] = Observation(JobStatus(FAILED, exit_code=3), ExitReason.EXITED, usage=TOLD)
    told.end(job, code=3)
    told.pass_time(10)
    assert (job.status.state, usage(job).max_rss) == (FAILED, 5000)
    before = len(told.source.asked)
    told.pass_time(1000, step=5)
    assert len(told.source.asked) == before


# -- a queue that keeps no accounts, and knows for a while when a job ran and on how much


IN_QUEUE = ResourceUsage(wall_time=timedelta(seconds=9), cpus=64, nodes=2, raw={'NumCPUs': '64'})
ROW = Observation(JobStatus(COMPLETED, exit_code=0), ExitReason.EXITED, queue_usage=IN_QUEUE)


def test_without_accounting_the_queue_tells_what_it_knows(scene: Scene) -> None:
    scene.source.tells_usage = True
    job = completed(scene)
    scene.source.rows['1'] = ROW
    scene.pass_time(1000, step=5)
    assert (usage(job).wall_time, usage(job).cpus, usage(job).nodes, usage(job).raw) == (timedelta(seconds=10), 64, 2, {'NumCPUs': '64'})
    assert len(scene.source.asked) == 1


def test_with_accounting_better_is_waited_for(told: Scene) -> None:
    late, never = completed(told, '1'), completed(told, '2')
    told.source.rows.update({'1': ROW, '2': ROW})
    told.pass_time(5)
    assert (usage(late).raw, usage(never).raw) == (None, None)
    told.source.accounts['1'] = OVER
    told.source.rows.clear()
    told.pass_time(1000, step=5)
    assert (usage(late).raw, usage(never).raw) == ({'MaxRSS': '5000'}, {'NumCPUs': '64'})
    assert len(told.source.asked) == 3


@pytest.mark.parametrize('has_accounting', [False, True])
def test_of_an_end_that_the_queue_told_of_nothing_is_asked_that_cannot_come(scene: Scene, has_accounting: bool) -> None:
    scene.source.tells_usage, scene.source.has_accounting = True, has_accounting
    job = scene.follow('1', has_folder=False)
    scene.source.rows['1'] = ROW
    scene.pass_time(5)
    assert (job.status.state, usage(job).raw) == (COMPLETED, {'NumCPUs': '64'})
    scene.source.accounts['1'] = OVER
    scene.pass_time(1000, step=5)
    assert (len(scene.source.asked), usage(job).raw) == ((2, {'MaxRSS': '5000'}) if has_accounting else (1, {'NumCPUs': '64'}))


def test_an_id_that_is_anothers_now_tells_of_the_other(told: Scene, tmp_path: Path) -> None:
    job = completed(told)
    folder = JobFolder(tmp_path / 'work' / job.id)
    for each in (folder, JobFolder.create(tmp_path / 'work', 'another')):
        each.open_journal({'job_id': each.job_id}, '{}')
        each.set_native_id('1')
    told.source.accounts['1'] = OVER
    told.pass_time(100)
    assert usage(job).raw is None


def test_nobody_is_kept_alive_by_it(told: Scene) -> None:
    job = weakref.ref(completed(told))
    gc.collect()
    assert job() is None
    told.source.accounts['1'] = OVER
    told.pass_time(5)
    assert told.source.accounting_asked_for == [['1']]


def test_a_job_of_which_it_cannot_be_told_harms_no_other(told: Scene, caplog: pytest.LogCaptureFixture) -> None:
    first, second = completed(told, '1'), completed(told, '2')
    told.seen.pop(first.id)  # the scene will not know where to note it
    told.source.accounts.update({'1': OVER, '2': OVER})
    told.pass_time(100)
    assert usage(second).max_rss == 5000
    assert f'What job {first.id} used could not be reported.' in caplog.text


def test_nothing_else_of_an_end_changes() -> None:
    job = Job()
    first = ExitInfo(ExitReason.EXITED, 0)
    job._set_exit_info(first)
    job._record(JobStatus(COMPLETED, exit_code=0))
    job._set_exit_info(ExitInfo(ExitReason.LOST, 7, usage=TOLD))
    assert job.exit_info == ExitInfo(ExitReason.EXITED, 0, usage=TOLD)
    assert datetime.now(timezone.utc).timestamp() - job.status.time < 60
