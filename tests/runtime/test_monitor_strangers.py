"""A queue that tells of another job under the id of a job that it has lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest
from scenes import ACTIVE, COMPLETED, FAILED, QUEUED, TIMED_OUT, Scene, row

from psij_ext.core.exit_info import ExitReason, ResourceUsage
from psij_ext.core.job import Job
from psij_ext.runtime.evidence import Patience


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path, patience=Patience(for_absent=10.0))
    yield made
    made.monitor.close()


def followed(scene: Scene) -> Job:
    """A job that the queue knows, and that is nobody else's."""
    job = scene.follow('1')
    scene.source.rows['1'] = row(QUEUED)
    scene.source.names['1'] = job.id
    scene.source.stamps['1'] = str(scene.clock.now)
    scene.pass_time(5)
    assert scene.seen[job.id] == [QUEUED]
    return job


def test_a_job_that_nobody_doubts_costs_no_question(scene: Scene) -> None:
    followed(scene)
    scene.pass_time(100)
    assert scene.source.names_asked_for == []


def test_another_moment_of_submission_is_another_job_where_the_folder_is(scene: Scene) -> None:
    job = followed(scene)
    scene.source.rows['1'] = row(ACTIVE)
    scene.source.stamps['1'], scene.source.names['1'] = '99999', 'another'
    scene.pass_time(100)
    assert scene.seen[job.id] == [QUEUED, FAILED]
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LOST
    assert scene.source.names_asked_for == [['1']]


def test_another_moment_of_submission_alone_is_a_requeue(scene: Scene) -> None:
    job = followed(scene)
    scene.source.rows['1'], scene.source.stamps['1'] = row(ACTIVE), '99999'
    scene.pass_time(100)
    assert scene.seen[job.id] == [QUEUED, ACTIVE]
    assert scene.source.names_asked_for == [['1']]


def test_an_end_that_the_script_tells_nothing_of_is_believed_of_this_job_alone(scene: Scene) -> None:
    job = followed(scene)
    scene.source.rows['1'], scene.source.names['1'] = row(COMPLETED), 'another'
    scene.pass_time(100)
    assert scene.seen[job.id] == [QUEUED, FAILED]
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LOST


def test_after_an_outage_it_is_asked_whose_the_ids_are(scene: Scene) -> None:
    jobs = [followed(scene), scene.follow('2')]
    scene.source.rows['2'], scene.source.names['2'] = row(QUEUED), jobs[1].id
    scene.pass_time(60)
    scene.source.failure = TIMED_OUT
    scene.pass_time(60)
    scene.source.failure = None
    scene.source.rows.update({'1': row(ACTIVE), '2': row(ACTIVE)})
    scene.source.names['2'] = 'another'
    scene.pass_time(200)
    assert (scene.seen[jobs[0].id], scene.seen[jobs[1].id]) == ([QUEUED, ACTIVE], [QUEUED, FAILED])
    assert scene.source.names_asked_for == [['1', '2']]


def test_while_nobody_tells_whose_an_id_is_nothing_is_believed(scene: Scene) -> None:
    job = followed(scene)
    scene.source.rows['1'], scene.source.stamps['1'] = row(ACTIVE), '99999'
    scene.source.names_failure = TIMED_OUT
    scene.pass_time(100)
    assert scene.seen[job.id] == [QUEUED]
    scene.source.names_failure = None
    scene.pass_time(100)
    assert scene.seen[job.id] == [QUEUED, ACTIVE]


def test_a_job_that_is_forgotten_between_two_questions_is_none_of_others(scene: Scene) -> None:
    job = followed(scene)
    scene.source.rows['1'], scene.source.stamps['1'], scene.source.names['1'] = row(ACTIVE), '99999', None
    scene.pass_time(40, step=0.1)
    assert (scene.source.names_asked_for, scene.followed(job).identity.doubted) == ([['1']], True)
    scene.source.names['1'] = job.id
    scene.pass_time(100)
    assert scene.seen[job.id] == [QUEUED, ACTIVE]


def test_a_job_of_another_user_is_none_of_ours(scene: Scene) -> None:
    job = followed(scene)
    scene.source.rows['1'], scene.source.stamps['1'], scene.source.names['1'] = row(ACTIVE), '99999', None
    scene.pass_time(200)
    assert scene.seen[job.id] == [QUEUED, FAILED]


# -- accounting, where the queue knows the id no more


def accounted(scene: Scene, submitted: float) -> Job:
    """A job that waited when it was seen last; what accounting tells of its id is that a job ended."""
    scene.source.has_accounting = True
    job = followed(scene)
    del scene.source.rows['1'], scene.source.stamps['1']
    moment = datetime.fromtimestamp(submitted, timezone.utc)
    scene.source.accounts['1'] = replace(row(COMPLETED), usage=ResourceUsage(submit_time=moment))
    return job


def test_what_accounting_tells_of_the_same_submission_is_believed(scene: Scene) -> None:
    job = accounted(scene, 1000.0)
    scene.pass_time(200)
    assert job.status.state is COMPLETED
    assert scene.source.records_asked_for == []


def test_an_end_of_another_submission_is_not_believed(scene: Scene) -> None:
    job = accounted(scene, 99999.0)
    scene.source.accounted_names['1'] = 'another'
    scene.pass_time(200)
    assert scene.seen[job.id] == [QUEUED, FAILED]
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LOST
    assert scene.source.records_asked_for == ['1']


def test_an_end_after_a_requeue_is_believed(scene: Scene) -> None:
    job = accounted(scene, 99999.0)
    scene.source.accounted_names['1'] = job.id
    scene.pass_time(200)
    assert job.status.state is COMPLETED
    assert scene.source.records_asked_for == ['1']


def test_while_nobody_knows_whose_end_it_is_nothing_is_decided(scene: Scene) -> None:
    job = accounted(scene, 99999.0)
    scene.source.names_failure = TIMED_OUT
    scene.pass_time(500)
    assert scene.seen[job.id] == [QUEUED]
    scene.source.names_failure = None
    scene.pass_time(100)
    assert job.status.state is COMPLETED  # and of an accounting that cannot tell whose an end is, what it tells is taken
