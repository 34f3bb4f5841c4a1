"""Jobs of other people that have the ids of lost jobs of ours: nobody takes them for ours, and nothing is done to them."""

from __future__ import annotations

import pytest
from stage_of_truth import Play, Stage

from psij_ext import ExitReason, JobState, SubmitException
from psij_ext.runtime import processes

DEAD = {**processes.this_process(), 'pid': 4_000_000, 'start_time': 1}


def left_by_a_dead_process(stage: Stage, play: Play) -> Play:
    """Let a job look as if the process that submitted it had died."""
    stage.close()
    play.work_folder.note_owner(DEAD)
    return play


def nothing_is_done_to_it(play: Play) -> None:
    executor = play.stage.executor
    assert not play.job.status.final, play.job
    for act in (executor.cancel, executor.hold, executor.release):
        with pytest.raises(SubmitException, match='another one'):
            act(play.job)
    with pytest.raises(SubmitException, match='another one'):
        executor.cancel(play.job, signal='TERM')


def is_lost(play: Play) -> None:
    play.ends('QUEUED FAILED', ExitReason.LOST)
    assert play.work_folder.read_journal().cancel_noted is False


def comes_back_as_lost(stage: Stage, play: Play) -> None:
    """Who recovers it, or looks at it, does not see the other job."""
    seen = stage.executor.look([play.work_folder]).jobs[play.job.id]
    assert not seen.status.final
    assert (seen.status.metadata or {}).get('native_state') is None
    job, = stage.executor.recover()
    assert (job.id, job.native_id) == (play.job.id, play.native_id)
    again = Play(stage, job, None)
    again.ends_for('(QUEUED )?FAILED', ExitReason.LOST)
    assert again.work_folder.read_journal().native_id == play.native_id


def who_attaches_to_the_id_follows_the_other(stage: Stage, play: Play) -> Play:
    """It is the other job that is meant; and it can be cancelled by those who mean it."""
    other = stage.attach(play.native_id)
    assert other.job.spec is None
    assert other.job.status.state is JobState.QUEUED
    return other
