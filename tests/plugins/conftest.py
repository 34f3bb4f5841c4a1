from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from psij_ext.plugins import Registry

IMPORT = 'from psij_ext.plugins import Descriptor\n'


class Root:
    """A folder on `sys.path` with modules and descriptors."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = path
        path.mkdir()
        monkeypatch.syspath_prepend(str(path))

    def module(self, name: str, text: str = 'class Executor: pass\n') -> Path:
        """Writes a module of the dotted name, with the packages around it."""
        file = self.path.joinpath(*name.split('.')).with_suffix('.py')
        file.parent.mkdir(parents=True, exist_ok=True)
        for package in file.parents:
            if package == self.path:
                break
            (package / '__init__.py').touch()
        file.write_text(text)
        importlib.invalidate_caches()
        return file

    def descriptors(self, text: str, name: str = 'found.py') -> Path:
        folder = self.path / 'psij-descriptors'
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text)
        return folder / name

    def executor(
        self, name: str, version: str, cls: str, aliases: list[str] | None = None, kind: str = 'EXECUTOR'
    ) -> Path:
        text = f'{IMPORT}__PSI_J_{kind}S__ = [Descriptor({name!r}, {version!r}, {cls!r}, {aliases!r})]\n'
        return self.descriptors(text, f'{name}_{version}.py'.replace('.', '_', version.count('.')))

    def entry_point(self, name: str, value: str, group: str = 'psij_ext.executors') -> None:
        info = self.path / f'{name}-1.0.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n')
        (info / 'entry_points.txt').write_text(f'[{group}]\n{name} = {value}\n')
        importlib.invalidate_caches()


Roots = Callable[..., Root]


@pytest.fixture
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Roots]:
    """Returns a function that makes a new `Root`; what was imported from them is forgotten afterwards."""
    yield lambda name='site': Root(tmp_path / name, monkeypatch)
    for name, module in list(sys.modules.items()):
        if str(getattr(module, '__file__', None)).startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.fixture
def root(roots: Roots) -> Root:
    return roots()


@pytest.fixture
def registry() -> Registry:
    return Registry('executor')
