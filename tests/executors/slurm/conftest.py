from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Tuple

import pytest
from scenes_of_truth import Played, Scene, Scenes
from stage import Stage

from real_slurm import Cluster

Performance = Tuple[Scene, str, Scenes]


@pytest.fixture(scope='session')
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Plays all scenes that were asked for at the same time; gives what tells how one went."""
    wanted = [(item.callspec.params['scene'], item.callspec.params['world'], item.module.scene)
              for item in request.session.items if 'played' in getattr(item, 'fixturenames', ())]
    theatre = Theatre(tmp_path_factory.mktemp('scenes'), wanted)
    with ThreadPoolExecutor(len(wanted)) as pool:
        outcomes = {each[:2]: pool.submit(theatre.play, each) for each in wanted}
        yield lambda scene, world: outcomes[scene, world].result()


class Theatre:
    """Builds clusters and stages on them for scenes; a cluster ends with its last scene."""

    def __init__(self, folder: Path, wanted: Sequence[Performance]) -> None:
        self._folder = folder
        self._clusters: dict[object, Cluster] = {}
        self._locks: defaultdict[object, threading.Lock] = defaultdict(threading.Lock)
        self._to_come = Counter(map(_place, wanted))

    def play(self, wanted: Performance) -> None:
        scene, world, scenes = wanted
        place = _place(wanted)
        with self._locks[place]:
            if place not in self._clusters:
                self._clusters[place] = Cluster(*scenes.settings, accounting=world == 'accounts')
        stage = Stage(self._clusters[place], self._folder / f'{scene.__name__}-{world}', **scenes.executor)
        try:
            scene(stage)
        finally:
            stage.close()
            with self._locks[place]:
                self._to_come[place] -= 1
                if not self._to_come[place]:
                    stage.cluster.stop()


def _place(wanted: Performance) -> object:
    """Performances in the same place share a cluster."""
    scene, world, scenes = wanted
    return (scene if scenes.apart else scenes), world
