"""What becomes of jobs that give way to others, where there is room for one; the scheduler's part is played by a manager.

No capture of a preemption was at hand. The manual (PBS Administrator's Guide, "Preemption") names the ways: requeue, suspension,
deletion, and checkpointing, which is a requeue of a job that can go on where it was.
"""

from __future__ import annotations

import signal

from common_scenes import RAN
from pbspro_stage import PBSProScenes, PBSProStage
from scenes_of_truth import Played, Scene
from stage_of_truth import STAY

from psij_ext import ExitReason

scene = PBSProScenes(apart=True, settings={'nodes': 1, 'cpus': 1})


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene
def requeued(stage: PBSProStage) -> None:
    """It waits while the urgent job has its place, and runs anew afterwards."""
    play = stage.play_until_told(f'mkdir once || exit 4; {STAY}')
    play.sees(RAN)
    urgent = stage.play('tell; await')
    urgent.sees('QUEUED')
    stage.hold(play.native_id)  # so that it does not get its place back at once
    stage.requeue(play.native_id)
    urgent.hear()
    play.sees(f'{RAN} QUEUED')
    stage.release(play.native_id)
    urgent.let_go()
    urgent.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    play.ends(f'{RAN} {RAN} FAILED', ExitReason.EXITED, 4)
    assert (play.job.status.metadata or {})['attempt'] == 2


@scene
def requeued_again_and_again(stage: PBSProStage) -> None:
    """It may end whatever way in the runs that were cut short."""
    play = stage.play_until_told("trap 'exit 0' TERM; echo >> runs; tell $(wc -l < runs); [ $(wc -l < runs) -lt 3 ] || exit 5; sleep 600 & wait")
    for number in (1, 2):
        play.sees(' '.join([RAN] * number))
        stage.pbs.wait(play.native_id, '42')
        stage.requeue(play.native_id)
        assert play.hear() == str(number + 1)
    play.ends(f'{RAN} {RAN} {RAN} FAILED', ExitReason.EXITED, 5)


@scene
def suspended(stage: PBSProStage) -> None:
    """It stays ACTIVE, and its status says so."""
    play = stage.play_until_told('tell; await')
    play.sees(RAN)
    stage.pbs.wait(play.native_id, '42')
    stage.suspend(play.native_id)
    play.reads(*stage.suspended)
    assert play.seen == RAN
    stage.resume(play.native_id)
    play.reads(*stage.running)
    play.let_go()
    play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


@scene
def deleted(stage: PBSProStage) -> None:
    """Nothing that PBS was seen to show tells it from a deletion by a person."""
    play = stage.play_until_told(STAY)
    play.sees(RAN)
    urgent = stage.play('exit 0')
    stage.cancel(play.native_id)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)
    urgent.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
