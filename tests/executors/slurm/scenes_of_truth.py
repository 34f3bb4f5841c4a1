"""Scenes are tests that are played at the same time, because most of what they do is to wait for Slurm."""

from __future__ import annotations

from typing import Any, Callable, List

import pytest
from stage import Stage

Scene = Callable[[Stage], None]
Played = Callable[[Scene, str], None]
WORLDS = ('plain', 'accounts')


class Scenes:
    """The scenes of a module, each played without and with accounting; a decorator takes them in.

    :param settings: lines of slurm.conf for its clusters.
    :param apart: whether each scene has a cluster of its own, because it does something to its daemons.
    :param executor: settings of the executors.
    """

    def __init__(self, *settings: str, apart: bool = False, **executor: Any) -> None:
        self.settings = settings
        self.apart = apart
        self.executor = executor
        self._parameters: List[Any] = []

    def __call__(self, scene: Scene | None = None, *, soak: bool = False) -> Any:
        """Take a scene in.

        :param soak: whether it takes minutes.
        """
        def take(scene: Scene) -> Scene:
            for world in WORLDS:
                marks = [pytest.mark.soak] if soak else []
                self._parameters.append(pytest.param(scene, world, marks=marks, id=f'{scene.__name__}-{world}'))
            return scene

        return take if scene is None else take(scene)

    def test(self) -> Any:
        """Return the decorator of the test that shows how each of them went."""
        return pytest.mark.parametrize(('scene', 'world'), self._parameters)
