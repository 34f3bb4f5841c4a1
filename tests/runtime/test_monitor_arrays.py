"""An element that leaves its array while it waits was cancelled, if it cannot have run since."""

from __future__ import annotations

import pytest
from scenes import ACTIVE, CANCELED, FAILED, QUEUED, TIMED_OUT, Scene, row

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.state import JobState


def an_element(scene: Scene, state: JobState = QUEUED, keeps_ended: float = 60.0) -> Job:
    """An element that others submitted, and that has been in a state for some time."""
    job = scene.follow('12_2', has_folder=False)
    scene.source.rows['12_2'] = row(state)
    scene.source.keeps_ended = keeps_ended
    scene.pass_time(1000)
    assert job.status.state is state
    return job


def take_out(scene: Scene, while_away: float = 0.0) -> None:
    """Let the element be missing in its array, after some time without answers."""
    scene.source.failure = TIMED_OUT if while_away else None
    scene.pass_time(while_away)
    del scene.source.rows['12_2']
    scene.source.missing_elements = {'12_2'}
    scene.source.failure = None
    scene.monitor.ask_soon()


def test_it_was_cancelled(scene: Scene) -> None:
    job = an_element(scene)
    take_out(scene)
    scene.pass_time(31)
    assert job.exit_info is not None
    assert (job.status.state, job.exit_info.reason) == (CANCELED, ExitReason.CANCELED)
    assert scene.seen[job.id] == [QUEUED, CANCELED]


def is_lost_in_the_end(scene: Scene, job: Job) -> bool:
    scene.pass_time(100)
    assert job.status.state in (QUEUED, ACTIVE)
    scene.pass_time(500)
    assert job.exit_info is not None
    return (job.status.state, job.exit_info.reason) == (FAILED, ExitReason.LOST)


def test_one_that_ran_was_not(scene: Scene) -> None:
    job = an_element(scene, ACTIVE)
    take_out(scene)
    assert is_lost_in_the_end(scene, job)


def test_one_that_was_never_seen_was_not(scene: Scene) -> None:
    job = scene.follow('12_2', has_folder=False)
    scene.source.missing_elements, scene.source.keeps_ended = {'12_2'}, 60.0
    assert is_lost_in_the_end(scene, job)


def test_one_whose_array_is_gone_too_was_not(scene: Scene) -> None:
    job = an_element(scene)
    take_out(scene)
    scene.source.missing_elements = set()
    assert is_lost_in_the_end(scene, job)


@pytest.mark.parametrize(('away', 'state'), [(20.0, CANCELED), (90.0, FAILED)])
def test_it_may_have_run_while_nobody_answered(scene: Scene, away: float, state: JobState) -> None:
    job = an_element(scene, keeps_ended=60.0)
    take_out(scene, while_away=away)
    scene.pass_time(600)
    assert job.status.state is state


@pytest.mark.parametrize(('seconds', 'state'), [(20.0, CANCELED), (60.0, FAILED)])
def test_it_may_have_run_while_the_answer_was_on_its_way(scene: Scene, seconds: float, state: JobState) -> None:
    job = an_element(scene, keeps_ended=60.0)
    take_out(scene)
    scene.source.seconds_to_answer = seconds
    scene.pass_time(600)
    assert job.status.state is state


def test_what_waited_before_another_job_had_the_id_says_nothing(scene: Scene) -> None:
    first = an_element(scene)
    del scene.monitor._followed[first.id]
    job = scene.follow('12_2', has_folder=False)
    take_out(scene)
    assert is_lost_in_the_end(scene, job)


def test_accounting_has_the_last_word(accounted: Scene) -> None:
    job = an_element(accounted)
    take_out(accounted)
    accounted.source.accounting_failure = TIMED_OUT
    accounted.pass_time(300)
    assert job.status.state is QUEUED
    accounted.source.accounting_failure = None
    accounted.source.accounts['12_2'] = row(FAILED, ExitReason.EXITED, code=3)
    accounted.pass_time(60)
    assert (job.status.state, job.status.exit_code) == (FAILED, 3)


def test_accounting_that_knows_nothing_has_nothing_against_it(accounted: Scene) -> None:
    job = an_element(accounted)
    take_out(accounted)
    accounted.source.accounting_failure = TIMED_OUT
    accounted.pass_time(300)
    accounted.source.accounting_failure = None
    accounted.pass_time(60)
    assert job.status.state is CANCELED
