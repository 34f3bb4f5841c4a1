"""What is made anew in a process that was forked off: locks that nobody will release, threads that are not there."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

from psij_ext.core import job


class Renewable(Protocol):
    """Something with locks, threads or files of its own."""

    def renew_after_fork(self) -> None:
        """Begin anew in a child process; what belongs to the parent is left alone."""


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()
_registered = False


def renew_in_children(thing: Renewable) -> None:
    """See to it that `thing` begins anew in each process that is forked off this one."""
    global _registered
    _renewables.add(thing)
    if not _registered:  # not on import, which changes nothing in the process
        os.register_at_fork(after_in_child=_renew_all)
        _registered = True


def _renew_all() -> None:
    job.renew_lock()
    for thing in list(_renewables):
        thing.renew_after_fork()


class ForkGate:
    """Keeps the process from being forked in the middle of something that a child could not go on with.

    It is a context manager, for one thread at a time. Whoever forks waits for it, but not for ever: in a child that was
    forked in the middle all the same, `was_cut` is true.

    :param patience: how long a fork waits, and a thread that wants to enter, in seconds.
    """

    def __init__(self, patience: float) -> None:
        self.was_cut = False
        self._patience = patience
        self._lock = threading.Lock()
        self._forking: int | None = None
        self._registered = False

    def __enter__(self) -> None:
        """Enter, where nobody else is.

        :raises TimeoutError: if somebody else stays too long.
        """
        if not self._registered:
            self._registered = True
            os.register_at_fork(before=self._close, after_in_parent=self._open, after_in_child=self._renew)
        if not self._lock.acquire(timeout=self._patience):
            raise TimeoutError('another thread is busy with it')

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def _close(self) -> None:
        if self._lock.acquire(timeout=self._patience):
            self._forking = threading.get_ident()

    def _open(self) -> None:
        # Of several threads that fork at a time, only the one that has the lock may give it back.
        if self._forking == threading.get_ident():
            self._forking = None
            self._lock.release()

    def _renew(self) -> None:
        self.was_cut |= self._forking != threading.get_ident()
        self._forking = None
        self._lock = threading.Lock()
