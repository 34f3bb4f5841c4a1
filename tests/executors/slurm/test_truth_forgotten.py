"""What is still known of jobs that Slurm has forgotten before anybody looked."""

from __future__ import annotations

import signal
from datetime import timedelta

import common_absences
import common_dependencies
from common_absences import later, unfollowed
from common_scenes import RAN
from scenes_of_truth import Played, Scene
from slurm_stage import SlurmScenes, SlurmStage
from stage_of_truth import STAY, STAY_POLITE

from psij_ext import ExitReason

scene = SlurmScenes('MinJobAge=2', forgets=True, absence_grace=1)
scene.take_all(common_absences.FORGOTTEN)
scene.take_all(common_dependencies.FORGOTTEN_DEPENDENCIES)


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene(soak=True)
def time_limit_forgotten(stage: SlurmStage) -> None:
    """The script alone knows that TERM came when its time was over; a limit of a minute ends it after 75 s."""
    play = unfollowed(stage, STAY, duration=timedelta(minutes=1))
    polite = unfollowed(stage, STAY_POLITE, duration=timedelta(minutes=1))
    play.hear()
    polite.hear()
    later(play, seconds=120).ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 143, signal.SIGTERM)
    later(polite, seconds=120).ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 0)
