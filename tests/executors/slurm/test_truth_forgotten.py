"""What is still known of jobs that Slurm has forgotten before anybody looked."""

from __future__ import annotations

import os
import signal
from datetime import timedelta

from scenes_of_truth import Played, Scene, Scenes
from stage import STAY, STAY_POLITE, STAY_STUBBORN, Play, Stage, script_above

from psij_ext import ExitReason

RAN = 'QUEUED ACTIVE'

scene = Scenes('MinJobAge=2', absence_grace=1)


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


def _submitted(stage: Stage, script: str, **options: object) -> Play:
    """A job that nobody follows."""
    play = stage.play(script, **options)
    stage.executor.close()
    return play


def _scancelled(stage: Stage, script: str) -> Play:
    play = _submitted(stage, script)
    play.hear()
    stage.slurm('scancel', play.native_id)
    return play


def _later(play: Play) -> Play:
    """The job as somebody sees it who looks when Slurm has forgotten it."""
    play.slurm_says('')
    return play.stage.attach(play.native_id)


@scene
def success_forgotten(stage: Stage) -> None:
    _later(_submitted(stage, 'exit 0')).ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


@scene
def exit_code_forgotten(stage: Stage) -> None:
    _later(_submitted(stage, 'exit 3')).ends(f'{RAN} FAILED', ExitReason.EXITED, 3)


@scene
def child_killed_forgotten(stage: Stage) -> None:
    play = _submitted(stage, STAY)
    os.kill(int(play.hear()), signal.SIGKILL)
    _later(play).ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)


@scene
def scancel_forgotten(stage: Stage) -> None:
    _later(_scancelled(stage, STAY)).ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)


@scene
def scancel_that_is_called_a_success_forgotten(stage: Stage) -> None:
    _later(_scancelled(stage, STAY_POLITE)).ends(f'{RAN} CANCELED', ExitReason.CANCELED, 0)


@scene
def cancel_and_no_record_forgotten(stage: Stage) -> None:
    """Its script was killed without a word; the journal of whoever cancelled tells of it, and accounting."""
    play = stage.play(STAY_STUBBORN)
    script = script_above(int(play.hear()))
    play.job.cancel()
    os.kill(script, signal.SIGKILL)
    stage.executor.close()
    # sacct gives every cancelled job the exit code 0:0.
    _later(play).ends(f'{RAN} CANCELED', ExitReason.CANCELED)


@scene
def cancel_while_pending_forgotten(stage: Stage) -> None:
    play = stage.play('exit 0', begin='now+1hour')
    play.job.cancel()
    stage.executor.close()
    _later(play).ends('QUEUED CANCELED', ExitReason.CANCELED)


@scene
def script_killed_forgotten(stage: Stage) -> None:
    """Without accounting nobody can tell any more how it ended."""
    play = _submitted(stage, STAY)
    os.kill(script_above(int(play.hear())), signal.SIGKILL)
    if stage.cluster.accounting:
        _later(play).ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)
    else:
        _later(play).ends(f'{RAN} FAILED', ExitReason.LOST)


@scene(soak=True)
def time_limit_forgotten(stage: Stage) -> None:
    """The script alone knows that TERM came when its time was over; a limit of a minute ends it after 75 s."""
    play = _submitted(stage, STAY, duration=timedelta(minutes=1))
    polite = _submitted(stage, STAY_POLITE, duration=timedelta(minutes=1))
    for each in (play, polite):
        each.hear()
        each.slurm_says('', seconds=120)
    _later(play).ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 143, signal.SIGTERM)
    _later(polite).ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 0)
