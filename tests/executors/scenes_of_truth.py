"""Scenes are tests that are played at the same time, because most of what they do is to wait for a scheduler."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Callable, ClassVar, Dict, List, Protocol, Tuple

import pytest
from stage_of_truth import Stage

Scene = Callable[[Any], None]


class Place(Protocol):
    """A scheduler that is there for some scenes."""

    def stop(self) -> None: ...


class Scenes(ABC):
    """The scenes of a module, each played in several worlds; a decorator takes them in.

    :param apart: whether each scene has a scheduler of its own, because it does something to its daemons.
    :param executor: settings of the executors.
    """

    worlds: ClassVar[tuple[str, ...]]

    def __init__(self, *, apart: bool = False, **executor: Any) -> None:
        self.apart = apart
        self.executor = executor
        self._parameters: List[Any] = []

    @property
    def place(self) -> object:
        """What is equal for modules whose scenes can share a scheduler."""
        return self

    @abstractmethod
    def build(self, world: str, folder: Path) -> Place:
        """Start a scheduler; it may put what it needs into the folder, which does not exist yet."""

    @abstractmethod
    def stage(self, place: Any, world: str, folder: Path) -> Stage:
        """Make a stage on it, for one scene."""

    def __call__(self, scene: Scene | None = None, *, worlds: Sequence[str] | None = None, soak: bool = False) -> Any:
        """Take a scene in.

        :param worlds: where it can be played; everywhere if None.
        :param soak: whether it takes minutes.
        """
        def take(scene: Scene) -> Scene:
            for world in worlds or self.worlds:
                marks = [pytest.mark.soak] if soak else []
                self._parameters.append(pytest.param(scene, world, marks=marks, id=f'{scene.__name__}-{world}'))
            return scene

        return take if scene is None else take(scene)

    def take_all(self, scenes: Iterable[Scene], **how: Any) -> None:
        """Take in scenes that are the same for all schedulers."""
        for scene in scenes:
            self(scene, **how)

    def test(self) -> Any:
        """Return the decorator of the test that shows how each of them went."""
        return pytest.mark.parametrize(('scene', 'world'), self._parameters)


Performance = Tuple[Scene, str, Scenes]


class Played:
    """How scenes went, or go; called with one and its world, it waits for its end, and raises what was wrong."""

    def __init__(self, outcomes: Dict[Any, Future[None]]) -> None:
        self._outcomes = outcomes

    def __call__(self, scene: Scene, world: str) -> None:
        self._outcomes[scene, world].result()

    def wait_for_all(self) -> None:
        wait(self._outcomes.values())


def play_all(request: pytest.FixtureRequest, folder: Path, root: Path, most: int | None = None) -> Iterator[Played]:
    """Play all scenes that were asked for, below a folder of tests; gives what tells how one went.

    :param root: where the stages are built.
    :param most: how many are played at the same time; all if None.
    """
    wanted = [(item.callspec.params['scene'], item.callspec.params['world'], item.module.scene)
              for item in request.session.items
              if {'played', 'scene'} <= {*getattr(item, 'fixturenames', ())} and folder in item.path.parents]
    theatre = _Theatre(root, wanted)
    with ThreadPoolExecutor(most or max(len(wanted), 1)) as pool:
        yield Played({each[:2]: pool.submit(theatre.play, each) for each in wanted})


class _Theatre:
    """Builds schedulers and stages on them for scenes; a scheduler ends with its last scene."""

    def __init__(self, root: Path, wanted: Sequence[Performance]) -> None:
        self._root = root
        self._places: dict[object, Place] = {}
        self._locks: defaultdict[object, threading.Lock] = defaultdict(threading.Lock)
        self._to_come = Counter(map(_where, wanted))

    def play(self, wanted: Performance) -> None:
        scene, world, scenes = wanted
        where = _where(wanted)
        folder = self._root / f'{scene.__name__}-{world}'
        with self._locks[where]:
            if where not in self._places:
                self._places[where] = scenes.build(world, folder / 'scheduler')
        place = self._places[where]
        stage = scenes.stage(place, world, folder)
        try:
            scene(stage)
        finally:
            stage.close()
            with self._locks[where]:
                self._to_come[where] -= 1
                if not self._to_come[where]:
                    place.stop()


def _where(wanted: Performance) -> object:
    """Performances in the same place share a scheduler."""
    scene, world, scenes = wanted
    return (scene if scenes.apart else None), scenes.place, world
