"""Whatever the commands of PBS do wrong, no job is lost, runs twice or is told of wrongly; our exceptions alone come through."""

from __future__ import annotations

from common_faults import TABLE
from pbspro_stage import PBSProScenes
from scenes_of_truth import Played, Scene

scene = PBSProScenes(command_timeout=5, submit_timeout=5, submit_retry_time=0, absence_grace=30)
scene.take_all(TABLE, worlds=['no-history'], soak=True)


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)
