"""What becomes of jobs whose scripts a node does not run."""

from __future__ import annotations

from scenes_of_truth import Played, Scene
from slurm_stage import SlurmScenes, SlurmStage

from psij_ext import ExitReason

# The node gives up each job just before it would run the script; Slurm gives it exit code 1 then.
scene = SlurmScenes('TaskProlog=/bin/false', absence_grace=1)


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene
def script_that_never_began(stage: SlurmStage) -> None:
    play = stage.play('exit 0')
    play.ends('QUEUED( ACTIVE)? FAILED', ExitReason.LAUNCH_FAILED)
    assert 'never began' in (play.job.status.message or '')


@scene
def script_of_others_that_never_began(stage: SlurmStage) -> None:
    """Nothing tells it from one that ended with 1."""
    play = stage.attach(stage.slurm('sbatch', '--parsable', '--output=/dev/null', '--wrap=true'))
    play.ends('QUEUED( ACTIVE)? FAILED', ExitReason.EXITED, 1)
