from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from job_scripts import PYTHONS, Make, Scripted
from scenes import Scene

from psij_ext.core.interfaces import Launcher
from psij_ext.core.spec import JobSpec


@pytest.fixture
def scripted(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes scripts of jobs; what is left of them is killed in the end."""
    made: list[Scripted] = []
    lacks_python = getattr(request, 'param', '') == 'without Python'
    missing = dict.fromkeys(PYTHONS, '/nonexistent/python') if lacks_python else {}

    def make(spec: JobSpec, root: Path | None = None, launcher: Launcher | None = None,
             carried: Mapping[str, str] | None = None, replaced: Mapping[str, str] | None = None) -> Scripted:
        (root or tmp_path).mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(root or tmp_path)
        made.append(Scripted(spec, root or tmp_path, launcher, carried, {**missing, **(replaced or {})}))
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / 'work')
    yield made
    made.monitor.close()


@pytest.fixture
def accounted(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path / 'work', has_accounting=True)
    yield made
    made.monitor.close()
