"""Whatever goes wrong with the commands of Slurm and around them, no job is lost, runs twice or is told of wrongly.

Our exceptions alone come through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Tuple

import pytest
from common_faults import AROUND, SETTINGS, Phase, take_table, trouble_at
from scenes_of_truth import Played, Scene
from slurm_stage import SlurmScenes

from real_slurm import Cluster

Place = Tuple[Cluster, str]
scene = SlurmScenes(**SETTINGS)
take_table(scene, ['plain'])


@scene.test()
def test_commands(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@pytest.fixture(scope='module', params=['plain', 'accounts'])
def place(request: pytest.FixtureRequest, played: Played, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    played.wait_for_all()  # a clock that jumps does so for all of them
    cluster = scene.build(request.param, tmp_path_factory.mktemp('slurm'))
    yield cluster, request.param
    cluster.stop()


@pytest.mark.soak
@AROUND
def test_around(place: Place, phase: Phase, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = trouble_at(tmp_path, name, monkeypatch)
    with closing(scene.stage(*place, tmp_path)) as stage:
        phase(stage, fault)
