"""What is still known of jobs that PBS has forgotten before anybody looked: its history is short, or there is none."""

from __future__ import annotations

import signal
from datetime import timedelta

import common_absences
import common_dependencies
from common_absences import later, unfollowed
from common_scenes import RAN
from pbspro_stage import PBSProScenes, PBSProStage
from scenes_of_truth import Played, Scene
from stage_of_truth import STAY, STAY_POLITE, STAY_STUBBORN

from psij_ext import ExitReason

scene = PBSProScenes(forgets=True)
scene.take_all(common_absences.FORGOTTEN)
scene.take_all(common_dependencies.FORGOTTEN_DEPENDENCIES)


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene
def time_limit_forgotten(stage: PBSProStage) -> None:
    """The script alone knows that TERM came when its time was over."""
    play = unfollowed(stage, STAY, duration=timedelta(seconds=1))
    later(play).ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 143, signal.SIGTERM)


@scene
def time_limit_that_is_called_a_success_forgotten(stage: PBSProStage) -> None:
    play = unfollowed(stage, STAY_POLITE, duration=timedelta(seconds=1))
    later(play).ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 0)


@scene
def time_limit_of_one_that_ignores_it_forgotten(stage: PBSProStage) -> None:
    """It leaves no exit record, but a note that TERM came."""
    play = unfollowed(stage, STAY_STUBBORN, duration=timedelta(seconds=1))
    later(play).ends(f'{RAN} FAILED', ExitReason.TIMEOUT)
