"""What is true about jobs while the server of PBS is away, hangs, comes back or has lost its state."""

from __future__ import annotations

import signal

import pytest
from common_absences import server_away, server_hung
from common_scenes import RAN, awaiting
from pbspro_stage import PBSProScenes, PBSProStage
from scenes_of_truth import Played, Scene
from stage_of_truth import STAY, STAY_STUBBORN

from psij_ext import ExitReason, JobState, SubmitException

scene = PBSProScenes(apart=True, command_timeout=1, submit_timeout=1, submit_retry_time=0)
scene.take_all((server_away, server_hung))


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene
def server_killed_and_restarted(stage: PBSProStage) -> None:
    """It requeues what ran and runs it again (SCHEDULER-FACTS: PBS 10); jobs with `-r n` it kills."""
    again = stage.play_until_told(f'mkdir once || exit 4; {STAY}')
    once = stage.play_until_told(STAY, r='n')
    waiting = stage.play('exit 0', h=None)
    for play in (again, once):
        play.sees(RAN)
    waiting.reads(*stage.held)
    stage.stop_server()
    again.until(lambda: stage.executor.health == 'degraded', 'the server is not missed')
    assert (again.seen, once.seen, waiting.seen) == (RAN, RAN, 'QUEUED')
    stage.pbs.restart()
    stage.start_server()
    again.ends(f'{RAN} {RAN} FAILED', ExitReason.EXITED, 4)
    if stage.remembers:
        once.ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)
    else:
        once.ends(f'{RAN} FAILED', ExitReason.LOST)
    stage.release(waiting.native_id)
    waiting.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


@scene
def server_that_lost_its_state(stage: PBSProStage) -> None:
    """It kills what it does not know, and gives the id of a lost job to the next one."""
    lost = awaiting(stage, 5)
    over, waiting = stage.play('exit 3'), stage.play('exit 0', h=None)
    lost.sees(RAN)
    waiting.reads(*stage.held)
    over.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    stage.pbs.lose_state()
    heir = awaiting(stage, 6)
    assert heir.native_id == lost.native_id
    lost.ends(f'{RAN} FAILED', ExitReason.LOST)
    waiting.ends('QUEUED FAILED', ExitReason.LOST)
    heir.let_go()
    heir.ends(f'{RAN} FAILED', ExitReason.EXITED, 6)


@scene
def history_lost_while_jobs_run(stage: PBSProStage) -> None:
    """An administrator switches history off, or on: what was known of the site is asked once more."""
    good, bad = awaiting(stage, 0), awaiting(stage, 3)
    for play in (good, bad):
        play.sees(RAN)
        play.reads(*stage.running)
    stage.pbs.set(history=not stage.remembers)
    bad.let_go()
    bad.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    good.let_go()
    good.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


@scene
def answer_that_comes_too_late(stage: PBSProStage) -> None:
    """The server does what it was asked for, and its answers come when nobody waits any more."""
    cancelled = stage.play_until_told(STAY)
    cancelled.sees(RAN)
    begun, late = stage.plan('echo >> begun; exit 3'), stage.plan('echo >> late; exit 0')
    stage.pbs.set(reply_delay=30.0)
    # Its script runs already when the patience with qsub is over, and says by what id.
    stage.executor.submit(begun.job)
    stage.pbs.set(scheduling=False)
    with pytest.raises(SubmitException) as refused:
        stage.executor.submit(late.job)
    assert refused.value.transient
    assert late.job.status.state is JobState.NEW
    with pytest.raises(SubmitException) as unknown:
        cancelled.job.cancel()
    assert unknown.value.transient
    cancelled.until(lambda: stage.executor.health == 'degraded', 'the answers are not missed')
    stage.pbs.set(reply_delay=0.0, scheduling=True)
    cancelled.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)
    begun.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    # PBS runs the script of the submission that was given up, and that runs nothing.
    number, _, server = begun.native_id.partition('.')
    stage.pbs.wait(f'{int(number) + 1}.{server}', 'F' if stage.remembers else 'gone')
    assert not (stage.folder / 'late').exists()
    stage.executor.submit(late.job)
    late.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    assert [(stage.folder / name).read_text() for name in ('begun', 'late')] == ['\n', '\n']


@scene
def server_hung_while_jobs_are_deleted_by_others(stage: PBSProStage) -> None:
    """What became of them meanwhile is known when it answers again."""
    play = stage.play_until_told(STAY_STUBBORN)
    play.reads(*stage.running)  # the scheduler was asked, also whether it keeps history
    stage.cancel(play.native_id)
    with stage.server_hung():
        play.until(lambda: stage.executor.health == 'degraded', 'the server is not missed')
        assert play.seen == RAN
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, *stage.killed_after_cancel)


@scene
def jobs_that_begin_slowly_and_end_slowly(stage: PBSProStage) -> None:
    """PBS calls a job running before its script runs, and running or exiting after it is over."""
    stage.pbs.set(start_delay=1000.0, finish_delay=1.0, staging_delay=1.0)
    early = stage.play(STAY)
    early.sees(RAN)
    # The server knows of nothing yet that it could send a signal to.
    early.job.cancel()
    early.ends(f'{RAN} CANCELED', ExitReason.CANCELED)
    stage.pbs.set(start_delay=1.0, session_delay=0.5)
    good, bad = stage.play('exit 0'), stage.play('exit 3')
    good.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    bad.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)


@scene
def deletion_of_jobs_that_just_begin(stage: PBSProStage) -> None:
    """They were seen to be killed without TERM, with one of three exit statuses, 0 among them."""
    for status, told in ((0, (0, None)), (265, (137, signal.SIGKILL)), (271, (143, signal.SIGTERM))):
        stage.pbs.set(session_delay=1000.0, early_exit_status=status)
        ours, theirs = (stage.play_until_told(STAY) for _ in range(2))
        theirs.sees(RAN)
        ours.job.cancel()
        stage.cancel(theirs.native_id)
        ours.ends(f'{RAN} CANCELED', ExitReason.CANCELED, *(told if stage.remembers else (None, None)))
        if stage.remembers:  # else nobody knows it who did not see the comment in that moment
            theirs.ends(f'{RAN} CANCELED', ExitReason.CANCELED, *told)
