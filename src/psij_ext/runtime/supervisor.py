"""How a local job begins: its supervisor, `templates/local/supervisor.sh`, is started and told its place."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from psij_ext.runtime import processes
from psij_ext.runtime.children import Reaper, spawn
from psij_ext.runtime.slots import Slots

# What a job sees that inherits nothing: who runs it, where home is, how to write numbers and times.
_OWN_VARIABLES = ('HOME', 'USER', 'LOGNAME', 'SHELL', 'LANG', 'TZ')
_OWN_PATH = '/usr/local/bin:/usr/bin:/bin'
_SECONDS_BETWEEN_LOOKS = 0.002
_LOOKS_AT_A_SESSION = 100


def start_supervisor(
    command: Sequence[str], inherit_environment: bool, output: Path, cores: int, slots: Slots, reaper: Reaper,
    *, is_held: bool = False,
) -> str:
    """Start a supervisor, and tell it its place. One that learns of none, because we died, runs nothing.

    :param command: the command that supervises the job.
    :param inherit_environment: whether the job sees the environment of this program.
    :param output: the file to which what the supervisor itself says is appended.
    :param cores: for how many cores the job waits.
    :param slots: where it waits.
    :param reaper: what waits for the end of the supervisor.
    :param is_held: whether the job waits for others before it waits for cores.
    :return: the native id.
    :raises OSError: if it cannot be started.
    """
    environment = dict(os.environ) if inherit_environment else _own_environment()
    place_read, place_written = os.pipe()
    try:
        pid = spawn(command, environment, stdin=place_read, output=output)
        reaper.add(pid)
        try:
            start_time = processes.start_time(pid)
            if start_time is None:
                raise ProcessLookupError(errno.ESRCH, 'its supervisor ended at once', command[2])
            place = slots.take_place(pid, start_time, cores, is_held=is_held)
            os.write(place_written, f'{place}\n'.encode())
        except BaseException:  # an interrupt, for one; nobody would know of the job
            _kill_session(pid)
            reaper.expect_end(pid)
            raise
    finally:
        os.close(place_read)
        os.close(place_written)
    return f'{pid}.{start_time}'


def _own_environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in _OWN_VARIABLES or name.startswith('LC_')}
    return {'PATH': _OWN_PATH, **kept}


def _kill_session(leader: int) -> None:
    members = [leader]  # first, so that it starts nothing more
    for _ in range(_LOOKS_AT_A_SESSION):  # a process may start another while it is looked for
        for pid in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
        members = processes.in_session(leader)
        if not members:
            return
