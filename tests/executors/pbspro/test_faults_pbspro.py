"""Whatever goes wrong with the commands of PBS and around them, no job is lost, runs twice or is told of wrongly.

Our exceptions alone come through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Tuple

import pytest
from common_faults import AROUND, SETTINGS, Phase, take_table, trouble_at
from pbspro_stage import PBSProScenes
from scenes_of_truth import Played, Scene

from psij_ext.testing.simulated import SimulatedPBS

Place = Tuple[SimulatedPBS, str]
scene = PBSProScenes(**SETTINGS)
take_table(scene, ['no-history'])


@scene.test()
def test_commands(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@pytest.fixture(scope='module', params=['no-history', pytest.param('history', marks=pytest.mark.soak)])
def place(request: pytest.FixtureRequest, played: Played, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    played.wait_for_all()  # a clock that jumps does so for all of them
    with scene.build(request.param, tmp_path_factory.mktemp('pbs') / 'scheduler') as pbs:
        yield pbs, request.param


@AROUND
def test_around(place: Place, phase: Phase, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fault = trouble_at(tmp_path, name, monkeypatch)
    with closing(scene.stage(*place, tmp_path)) as stage:
        phase(stage, fault)
