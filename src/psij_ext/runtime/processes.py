"""What Linux tells of processes: whether one that was noted earlier still runs (proc(5))."""

from __future__ import annotations

import functools
import os
import pwd
import socket
from pathlib import Path


@functools.cache
def boot_id() -> str:
    """Name the present boot of this machine; empty where the system does not say."""
    try:
        return Path('/proc/sys/kernel/random/boot_id').read_text(encoding='ascii').strip()
    except OSError:
        return ''


@functools.lru_cache(maxsize=1)
def _describe(pid: int) -> dict[str, object]:
    return {'host': socket.gethostname(), 'boot_id': boot_id(), 'pid': pid, 'start_time': start_time(pid)}


def this_process() -> dict[str, object]:
    """Name this process so that a later one can tell whether it still runs."""
    return _describe(os.getpid())


def is_alive(process: object) -> bool | None:
    """Tell whether a process still runs that `this_process` named, perhaps in another process; None if nobody knows.

    Of another machine nobody here knows.
    """
    if not isinstance(process, dict) or process.get('host') != socket.gethostname():
        return None
    pid = process.get('pid')
    if process.get('boot_id') != boot_id():
        return False
    return isinstance(pid, int) and start_time(pid) == process.get('start_time')


def start_time(pid: int) -> int | None:
    """Give the start of a process in clock ticks since boot; None where no such process runs.

    A pid is given again some day; together with its start time it names one process. A zombie does not run
    any more.
    """
    fields = _stat(pid)
    return int(fields[19]) if fields else None


def in_session(session: int) -> list[int]:
    """Give the processes that run in a session, in whatever process groups they are.

    :param session: the pid of the process that began it.
    """
    pids = [int(entry.name) for entry in os.scandir('/proc') if entry.name.isdigit()]
    return [pid for pid in pids if _stat(pid)[3:4] == [str(session).encode()]]


def parent(pid: int) -> int | None:
    """Give the parent of a process; None where no such process runs."""
    fields = _stat(pid)
    return int(fields[1]) if fields else None


def handles(pid: int, signal_number: int) -> bool:
    """Tell whether a process has a handler for a signal; False where there is no such process.

    bash ignores a signal while it sets a trap for it, and what comes then is lost; to ignore is not enough.
    """
    try:
        content = Path(f'/proc/{pid}/status').read_bytes()
    except OSError:
        return False
    masks = dict(line.split(b':', 1) for line in content.splitlines() if line.startswith(b'SigCgt:'))
    return any(int(mask, 16) >> (signal_number - 1) & 1 for mask in masks.values())


def _stat(pid: int) -> list[bytes]:
    """Read what follows a process's name in /proc/PID/stat; nothing where it does not run any more."""
    try:
        content = Path(f'/proc/{pid}/stat').read_bytes()
    except OSError:
        return []
    # The second field, the program's name, may hold blanks and parentheses.
    fields = content[content.rindex(b')') + 2:].split()
    return [] if fields[0] in (b'Z', b'X') else fields


def umask() -> str:
    """Give the mask for the modes of new files, in octal digits; 077 where the system does not say."""
    try:
        lines = Path('/proc/self/status').read_text(encoding='ascii', errors='replace').splitlines()
    except OSError:
        lines = []
    return next((line.split()[1] for line in lines if line.startswith('Umask:')), '0077')


def user_name() -> str:
    """Name the user whose rights this process has; the number where the system has no name for it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
