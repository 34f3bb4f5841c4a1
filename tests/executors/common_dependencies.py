"""Scenes that are the same for all schedulers, about jobs that wait for others."""

from __future__ import annotations

from typing import Any

import pytest
from common_scenes import RAN, awaiting
from stage_of_truth import Play, Stage

from psij_ext import ExitReason, Job, SubmitException


def play_after(stage: Stage, script: str, **others: list[Any]) -> Play:
    """Submit a job that waits for others."""
    play = stage.plan(script)
    stage.executor.submit(play.job, **{kind: [each.job for each in plays] for kind, plays in others.items()})
    return play


def dependencies_of_jobs(stage: Stage) -> None:
    """One that waits in vain is told so by whatever still knows it: queue, accounting, or our own records."""
    good, bad = awaiting(stage, 0), awaiting(stage, 3)
    after_good = play_after(stage, 'exit 0', after_ok=[good], after_any=[good])
    after_bad = play_after(stage, 'exit 4', after_not_ok=[bad])
    vain = play_after(stage, 'exit 0', after_ok=[good, bad])
    also_vain = play_after(stage, 'exit 0', after_not_ok=[good])
    for play in (after_good, after_bad, vain, also_vain):
        play.sees('QUEUED')
    good.let_go()
    after_good.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    bad.let_go()
    after_bad.ends(f'{RAN} FAILED', ExitReason.EXITED, 4)
    for play in (vain, also_vain):
        play.ends('QUEUED FAILED', ExitReason.DEPENDENCY_FAILED)
    assert bad.native_id in str(vain.job.status.message)


def dependency_that_fails_while_nobody_looks(stage: Stage) -> None:
    """Whoever comes back finds out why the job never began, also where the scheduler has forgotten it."""
    bad = awaiting(stage, 3)
    vain = play_after(stage, 'exit 0', after_ok=[bad])
    stage.executor.close()
    bad.let_go()
    bad.until(lambda: bad.work_folder.read_exit(), 'it has not ended')
    stage.wait_until_over(vain)
    if not stage.remembers:
        stage.wait_until_forgotten(vain)
    stage.attach(vain.native_id).ends('QUEUED FAILED', ExitReason.DEPENDENCY_FAILED)


def dependency_on_a_job_that_is_over_and_forgotten(stage: Stage) -> None:
    """It is decided here: a scheduler takes what it has forgotten for done, or for failed, or refuses the job."""
    good, bad = stage.play('exit 0'), stage.play('exit 3')
    good.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    bad.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    stage.wait_until_over(bad)
    if not stage.remembers:
        stage.wait_until_forgotten(bad)
    play_after(stage, 'exit 0', after_ok=[good], after_not_ok=[bad], after_any=[bad]).ends(
        f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    with pytest.raises(SubmitException, match=f'{bad.native_id}.*is FAILED'):
        play_after(stage, 'exit 0', after_ok=[good, bad])


def dependency_on_an_array(stage: Stage) -> None:
    array, _ = stage.submit_array(2, '#!/bin/bash\nsleep 1; exit 0')
    whole = Play(stage, Job(), None)
    stage.executor.attach(whole.job, array)
    play_after(stage, 'exit 0', after_ok=[whole]).ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


DEPENDENCIES = (dependencies_of_jobs, dependency_on_an_array)
FORGOTTEN_DEPENDENCIES = (
    dependency_that_fails_while_nobody_looks, dependency_on_a_job_that_is_over_and_forgotten)
