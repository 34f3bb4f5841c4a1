"""Processes that this program starts and does not wait for at once; none of them stays as a zombie.

Nothing here installs a handler for SIGCHLD or waits for children that others started.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from psij_ext.runtime.command import find_program
from psij_ext.runtime.forking import renew_in_children

_SIGNALS = signal.valid_signals()
_SHORTEST_PAUSE = 0.002
_LONGEST_PAUSE = 0.1

# Children of reapers that were closed: whoever starts a child next, or closes a reaper, looks after them.
_left_behind: set[int] = set()
_reapers: weakref.WeakSet[Reaper] = weakref.WeakSet()


def spawn(argv: Sequence[str], environment: Mapping[str, str], *, stdin: int, output: Path) -> int:
    """Start a program in a session of its own and return its pid.

    All signals have their default actions and none is blocked, whatever this program or thread has done to
    them. Files that this program has opened to be inherited stay open.

    :param argv: the path of the program, and its arguments.
    :param environment: its whole environment.
    :param stdin: the descriptor that becomes its standard input.
    :param output: the file to which its standard output and error are appended.
    :raises OSError: if it cannot be started.
    """
    written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    actions = [(os.POSIX_SPAWN_DUP2, stdin, 0), (os.POSIX_SPAWN_DUP2, written, 1), (os.POSIX_SPAWN_DUP2, written, 2)]
    try:
        if os.fstat(written).st_mode & 0o777 != 0o600:
            os.fchmod(written, 0o600)  # whatever the umask left of it
        return os.posix_spawn(
            argv[0], list(argv), environment, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_SIGNALS)
    except NotImplementedError as error:
        # A Python that was built for an old C library, as that of conda-forge. setsid(1) becomes the program.
        setsid = find_program('setsid')
        if setsid is None:
            raise OSError('This Python cannot start a session, and there is no setsid(1) on PATH.') from error
        return os.posix_spawn(
            setsid, ['setsid', *argv], environment, file_actions=actions, setsigmask=(), setsigdef=_SIGNALS)
    finally:
        os.close(written)


class Reaper:
    """Waits for children, so that the system can forget them.

    :param name: what its thread is called; it runs while children are about to end.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._closed = False
        self._begin()
        _reapers.add(self)
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        """Know of no children: those of a process are not those of one that it forks off."""
        _left_behind.clear()
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._running: set[int] = set()
        self._codes: dict[int, int] = {}
        self._ending: set[int] = set()
        self._woken = threading.Event()
        self._thread: threading.Thread | None = None

    def add(self, pid: int) -> None:
        """Take over a child that was just started."""
        _reap_left_behind()
        with self._lock:
            self._codes.pop(pid, None)
            self._running.add(pid)

    def exit_code(self, pid: int) -> int | None:
        """Return how a child ended, -n for signal n; None if it runs, or is none of ours."""
        with self._lock:
            if pid in self._running:
                code = _wait_for(pid)
                if code is not None:
                    self._running.discard(pid)
                    self._codes[pid] = code
            return self._codes.get(pid)

    def expect_end(self, pid: int) -> None:
        """Wait in the background for a child that is about to end, and forget it."""
        with self._lock:
            self._codes.pop(pid, None)
            if pid not in self._running or self._closed:
                return
            self._ending.add(pid)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._woken.set()

    def close(self) -> None:
        """End the thread. Children that still run are looked after by later reapers of this program."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            _left_behind.update(self._running)
            self._running.clear()
        self._woken.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        _reap_left_behind()

    def _run(self) -> None:
        pause = _SHORTEST_PAUSE
        while True:
            if self._woken.wait(pause if self._ending else None):
                self._woken.clear()
                pause = _SHORTEST_PAUSE
            else:
                pause = min(2 * pause, _LONGEST_PAUSE)
            with self._lock:
                if self._closed:
                    return
                ended = {pid for pid in self._ending if _wait_for(pid) is not None}
                self._ending -= ended
                self._running -= ended


def exit_code(pid: int) -> int | None:
    """Return how a child of any reaper ended, -n for signal n; None if it runs, or is none of ours."""
    codes = (reaper.exit_code(pid) for reaper in list(_reapers))
    return next((code for code in codes if code is not None), None)


def _reap_left_behind() -> None:
    for pid in list(_left_behind):
        if _wait_for(pid) is not None:
            _left_behind.discard(pid)


def _wait_for(pid: int) -> int | None:
    """Return the exit code of a child, and let the system forget it; None while it runs."""
    try:
        ended, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return 0  # the program waits for all its children itself, or ignores SIGCHLD
    return os.waitstatus_to_exitcode(status) if ended else None
