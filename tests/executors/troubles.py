"""What goes wrong around a job that no command is to blame for: file systems that fail, an index in trouble, clocks that jump."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Callable

import pytest

from faulty_files import FAULTS, FaultyFiles

JUMPS = {'back an hour': -3600.0, 'on an hour': 3600.0, 'on ten years': 3.2e8}
INDEX = {'index locked', 'index broken', 'index gone'}
TROUBLES = (*FAULTS, *INDEX, *JUMPS)
# One of each kind, for those who have little time.
SOME = ('ENOSPC', 'EIO', 'index broken', 'back an hour')
Trouble = Callable[[], AbstractContextManager[None]]


def trouble(name: str, monkeypatch: pytest.MonkeyPatch, work: Path, state: Path) -> Trouble:
    """Make what goes wrong for a while.

    :param work: where the folders of jobs lie.
    :param state: where the index lies.
    """
    if name in INDEX:
        return lambda: _index_in_trouble(name, state / 'psij-ext' / 'index.sqlite')
    if name in JUMPS:
        return _leap(monkeypatch, JUMPS[name])
    files = FaultyFiles(monkeypatch)

    @contextlib.contextmanager
    def fail() -> Iterator[None]:
        with files.on(work, name), files.on(state, name):
            yield

    return fail


def _leap(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Trouble:
    now, jump = time.time, [0.0]
    monkeypatch.setattr(time, 'time', lambda: now() + jump[0])

    @contextlib.contextmanager
    def leap() -> Iterator[None]:
        jump[0] = seconds
        try:
            yield
        finally:
            jump[0] = 0.0

    return leap


@contextlib.contextmanager
def _index_in_trouble(name: str, file: Path) -> Iterator[None]:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if name == 'index locked':
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute('BEGIN EXCLUSIVE')
            yield
        return
    if name == 'index gone':
        shutil.rmtree(file.parent)
    else:
        file.write_bytes(b'no database\n' * 1000)
    yield
