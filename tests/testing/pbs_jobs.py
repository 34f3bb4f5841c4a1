"""Small steps of the tests of the simulated PBS: submit, look, wait for what a job does."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psij_ext.testing.simulated import SimulatedPBS

SLEEP = b'sleep 60'
FAST = {'session_delay': 0.0, 'finish_delay': 0.0, 'kill_delay': 0.2, 'shell': '/bin/bash', 'history': True}
PATIENCE = 20
"""Seconds that anything may take."""


def submit(pbs: SimulatedPBS, *words: str, script: bytes = b'true', cwd: Path | None = None) -> str:
    done = pbs.run('qsub', *words, stdin=script, cwd=cwd or pbs.folder.parent)
    assert (done.returncode, done.stderr) == (0, b'')
    return done.stdout.decode().strip()


def attribute(pbs: SimulatedPBS, identifier: str, name: str) -> str | None:
    """Return what `qstat` says of one attribute, or None."""
    out = pbs.run('qstat', '-x', '-f', '-F', 'dsv', '-D', '\n', identifier).stdout.decode('latin-1')
    found = re.search(rf'^{re.escape(name)}=(.*)$', out, re.MULTILINE)
    return found[1] if found else None


def wait_for_file(path: Path) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists():
        assert time.monotonic() < end, f'{path} does not appear'
        time.sleep(0.005)


def wait_for_process(pid: int, state: str | None = None) -> None:
    """Wait until a process is in a state of ``ps``, or has ended."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            found = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
        except OSError:
            found = 'Z'
        if found == state or (state is None and found in 'ZX'):
            return
        assert time.monotonic() < end, f'process {pid} is {found}'
        time.sleep(0.005)


def wait_for_text(path: Path, text: str) -> None:
    end = time.monotonic() + PATIENCE
    while not path.exists() or path.read_text() != text:
        assert time.monotonic() < end, f'{path} does not become {text!r}'
        time.sleep(0.005)
