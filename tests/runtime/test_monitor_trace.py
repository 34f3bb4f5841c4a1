"""A job that is over, and whose script has left no trace in its folder, never began."""

from __future__ import annotations

import shutil

from scenes import ACTIVE, COMPLETED, FAILED, QUEUED, Scene, row

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.runtime.jobfolder import JobFolder

REFUSED = row(FAILED, ExitReason.EXITED, code=1)


def submitted(scene: Scene) -> Job:
    job = Job()
    folder = JobFolder.create(scene.work, job.id)
    folder.open_journal({'nonce': 'n'}, '{}')
    folder.write_script('psij_claim=$psij_folder/claim.n\n')
    return scene.follow('1', job=job, folder=folder)


def claim(scene: Scene, job: Job) -> None:
    (scene.work / job.id / 'claim.n').symlink_to('1')


def end(job: Job) -> tuple[object, ...]:
    assert job.exit_info is not None
    return job.status.state, job.exit_info.reason, job.exit_info.exit_code


NEVER_BEGAN = (FAILED, ExitReason.LAUNCH_FAILED, None)
FAILED_BY_ITSELF = (FAILED, ExitReason.EXITED, 1)


def test_it_never_began(scene: Scene) -> None:
    job = submitted(scene)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(100)
    assert job.status.state is QUEUED  # network file systems hide files
    scene.pass_time(60)
    assert end(job) == NEVER_BEGAN


def test_a_queue_that_forgets_it_changes_nothing(scene: Scene) -> None:
    job = submitted(scene)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(40)
    scene.source.rows.clear()
    scene.pass_time(160)
    assert end(job) == NEVER_BEGAN


def test_accounting_alone_may_know_it(accounted: Scene) -> None:
    job = submitted(accounted)
    accounted.source.accounts['1'] = REFUSED
    accounted.pass_time(100)
    assert job.status.state is QUEUED
    accounted.pass_time(60)
    assert end(job) == NEVER_BEGAN


def test_a_claim_that_was_hidden_shows_that_it_began(scene: Scene) -> None:
    job = submitted(scene)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(60)
    claim(scene, job)
    scene.pass_time(31)
    assert end(job) == FAILED_BY_ITSELF


def test_a_record_that_was_hidden_tells_how_it_ended(scene: Scene) -> None:
    job = submitted(scene)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(60)
    claim(scene, job)
    scene.enter(job, 'ACTIVE', hint=False)
    scene.end(job, 0)
    scene.pass_time(1)
    assert end(job) == (COMPLETED, ExitReason.EXITED, 0)


def test_a_folder_that_cannot_be_reached_tells_nothing(scene: Scene) -> None:
    job = submitted(scene)
    shutil.rmtree(scene.work / job.id)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(31)
    assert end(job) == FAILED_BY_ITSELF


def test_a_folder_that_cannot_be_reached_any_more_tells_nothing(scene: Scene) -> None:
    job = submitted(scene)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(60)
    shutil.rmtree(scene.work / job.id)
    scene.pass_time(31)
    assert end(job) == FAILED_BY_ITSELF


def test_a_job_of_others_has_no_folder(scene: Scene) -> None:
    job = scene.follow('1', has_folder=False)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(31)
    assert end(job) == FAILED_BY_ITSELF


def test_a_requeue_in_between_counts(scene: Scene) -> None:
    job = submitted(scene)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(60)
    scene.source.rows['1'] = row(QUEUED)
    scene.pass_time(60)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(100)
    assert job.status.state is QUEUED
    scene.pass_time(60)
    assert end(job) == NEVER_BEGAN


def run_once(scene: Scene) -> Job:
    """A job whose first run was killed, and that waits for the next."""
    job = submitted(scene)
    claim(scene, job)
    scene.enter(job, 'ACTIVE')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(40)
    scene.source.rows['1'] = row(QUEUED)
    scene.pass_time(40)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED]
    return job


def test_a_later_run_that_never_began(scene: Scene) -> None:
    job = run_once(scene)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(200)
    assert end(job) == NEVER_BEGAN


def test_a_later_run_that_began(scene: Scene) -> None:
    job = run_once(scene)
    scene.enter(job, 'ACTIVE', attempt=2)
    scene.source.rows['1'] = REFUSED
    scene.pass_time(31)
    assert end(job) == FAILED_BY_ITSELF
