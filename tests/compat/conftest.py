from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from psij_ext.core.interfaces import JobExecutor, Launcher
from psij_ext.plugins import psij_modules
from psij_ext.testing.simulated import SimulatedPBS

HERE = Path(__file__).parent
Run = Callable[..., str]


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What a test made of `psij`, and the plugins that it installed, are gone afterwards."""
    before = {*sys.modules}
    yield
    for name in {*sys.modules} - before:
        if name.split('.')[0] in ('psij', 'oldpbs') or name == 'psij_ext.compat' or name.startswith('old_'):
            del sys.modules[name]
    psij_modules._modules.asked_for = False
    if psij_modules._modules in sys.meta_path:
        sys.meta_path.remove(psij_modules._modules)
    JobExecutor._registry.refresh()
    Launcher._registry.refresh()


@pytest.fixture
def compat() -> None:
    """`psij` is ours."""
    psij_modules.claim(asked_for=True)


@pytest.fixture
def program(tmp_path: Path) -> Run:
    """Returns a function that runs a program of this folder under compat, and gives what it printed."""

    def run(*words: str, **variables: str) -> str:
        environment = {**os.environ, 'XDG_STATE_HOME': str(tmp_path / 'state'), **variables}
        command = [sys.executable, '-W', 'error', '-m', 'psij_ext.compat', *words]
        result = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout

    return run


@pytest.fixture
def oldpbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site folder with the package of an old-style plugin, which is on `sys.path`; returns the package's folder."""
    site = tmp_path / 'site'
    shutil.copytree(HERE / 'old_site', site, ignore=shutil.ignore_patterns('__pycache__'))
    monkeypatch.syspath_prepend(str(site))
    return site / 'oldpbs'


@pytest.fixture(scope='session')
def pbs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedPBS]:
    folder = tmp_path_factory.mktemp('pbs')
    home = folder / 'home'
    home.mkdir()
    with SimulatedPBS(folder / 'pbs', history=True, cpus=8, home=str(home)) as simulated:
        yield simulated
