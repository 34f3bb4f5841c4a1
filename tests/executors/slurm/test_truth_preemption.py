"""What becomes of jobs that give way to others; both want a whole node."""

from __future__ import annotations

import signal

from scenes_of_truth import Played, Scene
from slurm_stage import SlurmScenes, SlurmStage
from stage_of_truth import STAY

from psij_ext import ExitReason

RAN = 'QUEUED ACTIVE'

scene = SlurmScenes(
    'PreemptType=preempt/partition_prio', 'PreemptMode=REQUEUE',
    'PartitionName=yielding Nodes=node1 PriorityTier=1 OverSubscribe=NO',
    'PartitionName=urgent Nodes=node1 PriorityTier=9 OverSubscribe=NO',
    'PartitionName=ending Nodes=node2 PriorityTier=1 OverSubscribe=NO PreemptMode=CANCEL',
    'PartitionName=killing Nodes=node2 PriorityTier=9 OverSubscribe=NO')


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene
def requeued(stage: SlurmStage) -> None:
    play = stage.play_until_told(f'mkdir once || exit 4; {STAY}', partition='yielding', exclusive=None)
    play.sees(RAN)
    urgent = stage.play_until_told('tell; await', partition='urgent', exclusive=None)
    play.sees(f'{RAN} QUEUED')
    urgent.let_go()
    urgent.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    play.ends(f'{RAN} {RAN} FAILED', ExitReason.EXITED, 4)


@scene
def cancelled(stage: SlurmStage) -> None:
    play = stage.play_until_told(STAY, partition='ending', exclusive=None)
    play.sees(RAN)
    killing = stage.play('exit 0', partition='killing', exclusive=None)
    play.ends(f'{RAN} FAILED', ExitReason.PREEMPTED, 143, signal.SIGTERM)
    killing.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
