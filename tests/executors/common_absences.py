"""Scenes that are the same for all schedulers, about servers that are away and jobs that they have forgotten."""

from __future__ import annotations

import os
import signal

import pytest
from common_scenes import AN_HOUR, RAN, awaiting, was_killed_without_a_word
from stage_of_truth import STAY, STAY_POLITE, STAY_STUBBORN, Play, Stage

from psij_ext import ControlUncertain, ExitReason, JobState, SubmitException

# -- while the server is away, or hangs


def server_away(stage: Stage) -> None:
    """It is stopped for more than three rounds, in which jobs end, and started again."""
    good, bad, good_later, bad_later, patient = (awaiting(stage, code) for code in (0, 3, 0, 4, 0))
    killed, left = stage.play(STAY), stage.play(STAY)
    child, left_child = int(killed.hear()), int(left.hear())
    pending = stage.play('exit 5', **stage.not_before(8))
    stage.stop_server()
    good.let_go()
    bad.let_go()
    os.kill(child, signal.SIGKILL)
    good.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    bad.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    killed.ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)
    left.until(lambda: stage.executor.health == 'degraded', 'the server is not missed')
    os.kill(stage.script_above(left_child), signal.SIGKILL)
    with pytest.raises(SubmitException):
        stage.play('touch it-ran')
    with pytest.raises(SubmitException):
        patient.job.cancel()
    good_later.let_go()
    bad_later.let_go()
    stage.start_server()
    was_killed_without_a_word(left)
    good_later.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    bad_later.ends(f'{RAN} FAILED', ExitReason.EXITED, 4)
    pending.ends(f'{RAN} FAILED', ExitReason.EXITED, 5)
    assert (patient.seen, stage.executor.health) == (RAN, 'ok')
    patient.let_go()
    patient.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    assert not (stage.folder / 'it-ran').exists()


def server_hung(stage: Stage) -> None:
    """What it is asked while it hangs, it may do afterwards."""
    good, patient, cancelled = awaiting(stage, 0), awaiting(stage, 3), stage.play_until_told(STAY_POLITE)
    late = stage.plan('echo >> late; exit 0')
    with stage.server_hung():
        with pytest.raises(SubmitException) as refused:
            stage.executor.submit(late.job)
        assert refused.value.transient
        assert late.job.status.state is JobState.NEW
        with pytest.raises(ControlUncertain):
            cancelled.job.cancel()
        good.let_go()
        good.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
        patient.until(lambda: stage.executor.health == 'degraded', 'the server is not missed')
        assert (patient.seen, cancelled.seen) == (RAN, RAN)
    stage.see_what_came_of_unheard_submission(cancelled)
    assert not (stage.folder / 'late').exists()
    stage.executor.submit(late.job)
    assert stage.executor.health == 'ok'
    late.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    assert (stage.folder / 'late').read_text() == '\n'
    patient.let_go()
    patient.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    # The cancel was heard all the same, although its command was killed for the server's silence.
    cancelled.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 0)


# -- forgotten before anybody looked


def unfollowed(stage: Stage, script: str, **options: object) -> Play:
    """Play a job that nobody follows."""
    play = stage.play(script, **options)
    stage.executor.close()
    return play


def later(play: Play, seconds: float = 60.0) -> Play:
    """The job as somebody sees it who looks when the scheduler has forgotten it."""
    play.stage.wait_until_forgotten(play, seconds)
    return play.stage.attach(play.native_id)


def usage_of_a_success_that_nobody_followed(stage: Stage) -> None:
    before = unfollowed(stage, 'exit 0')
    stage.wait_until_over(before)
    play = stage.attach(before.native_id)
    play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    play.until(lambda: play.usage.raw, 'the scheduler does not tell what it used')


def success_forgotten(stage: Stage) -> None:
    later(unfollowed(stage, 'exit 0')).ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


def exit_code_forgotten(stage: Stage) -> None:
    later(unfollowed(stage, 'exit 3')).ends(f'{RAN} FAILED', ExitReason.EXITED, 3)


def child_killed_forgotten(stage: Stage) -> None:
    play = unfollowed(stage, STAY)
    os.kill(int(play.hear()), signal.SIGKILL)
    later(play).ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)


def cancel_by_others_forgotten(stage: Stage) -> None:
    play = unfollowed(stage, STAY)
    play.hear()
    stage.cancel(play.native_id)
    later(play).ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)


def cancel_by_others_that_is_called_a_success_forgotten(stage: Stage) -> None:
    play = unfollowed(stage, STAY_POLITE)
    play.hear()
    stage.cancel(play.native_id)
    later(play).ends(f'{RAN} CANCELED', ExitReason.CANCELED, 0)


def cancel_by_others_of_one_that_ignores_it_forgotten(stage: Stage) -> None:
    """It leaves a note that TERM came, and an exit record only if KILL comes to its command long before its script."""
    play = unfollowed(stage, STAY_STUBBORN)
    play.hear()
    stage.cancel(play.native_id)
    info = later(play).ends_for(f'{RAN} CANCELED', ExitReason.CANCELED)
    assert (info.exit_code, info.signal) in ((None, None), (137, signal.SIGKILL))


def cancel_and_no_record_forgotten(stage: Stage) -> None:
    """Its script was killed without a word; the journal of whoever cancelled tells of it, and accounting."""
    play = stage.play(STAY_STUBBORN)
    script = stage.script_above(int(play.hear()))
    play.job.cancel()
    os.kill(script, signal.SIGKILL)
    stage.executor.close()
    # sacct gives every cancelled job the exit code 0:0.
    later(play).ends(f'{RAN} CANCELED', ExitReason.CANCELED)


def cancel_while_pending_forgotten(stage: Stage) -> None:
    play = stage.play('exit 0', **stage.not_before(AN_HOUR))
    play.job.cancel()
    stage.executor.close()
    later(play).ends('QUEUED CANCELED', ExitReason.CANCELED)


def cancel_after_a_failure_forgotten(stage: Stage) -> None:
    """It had failed before anybody asked for its end: schedulers say nothing against such a cancel."""
    play = unfollowed(stage, 'exit 3')
    stage.wait_until_over(play)
    play.job.cancel()
    stage.executor.close()
    later(play).ends(f'{RAN} FAILED', ExitReason.EXITED, 3)


def script_killed_forgotten(stage: Stage) -> None:
    play = unfollowed(stage, STAY)
    os.kill(stage.script_above(int(play.hear())), signal.SIGKILL)
    was_killed_without_a_word(later(play))


FORGOTTEN = (
    success_forgotten, exit_code_forgotten, child_killed_forgotten, cancel_by_others_forgotten,
    cancel_by_others_that_is_called_a_success_forgotten, cancel_by_others_of_one_that_ignores_it_forgotten,
    cancel_and_no_record_forgotten,
    cancel_while_pending_forgotten, cancel_after_a_failure_forgotten, script_killed_forgotten)
