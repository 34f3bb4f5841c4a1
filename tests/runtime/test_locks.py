"""Locks that a process holds while another of its threads forks it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from psij_ext.runtime.private import alone_at, alone_in
from psij_ext.runtime.slots import Slots

# Python warns of forks where there are threads (since 3.12); this one does nothing.
pytestmark = pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')


@contextlib.contextmanager
def living_child() -> Iterator[None]:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        yield
    finally:
        os.close(write)
        os.close(read)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(('locked', 'name'), [
    (alone_in, '.lock'), (alone_at, '.'), (lambda folder: Slots(folder)._locked(), 'slots/*/*/lock')])
def test_a_forked_child_keeps_no_lock(
        tmp_path: Path, locked: Callable[[Path], AbstractContextManager[None]], name: str) -> None:
    with contextlib.ExitStack() as children:
        with locked(tmp_path):
            children.enter_context(living_child())
        path, = tmp_path.glob(name) if name != '.' else [tmp_path]
        descriptor = os.open(path, os.O_RDONLY)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(descriptor)
