"""What is left to close when the garbage collector takes an executor, or when the interpreter ends.

The collector calls a finalizer in whatever thread it runs, between any two steps of it: that thread may hold the very
locks that closing takes, `threading`'s own among them, and the thread that closing waits for may wait for it. So a
finalizer takes no lock here and waits for nobody: it does no more than start a thread that closes.
"""

from __future__ import annotations

import _thread
import atexit
import functools
import threading
import time
import weakref
from typing import Protocol

from psij_ext.runtime.forking import renew_in_children

_unclosed: set[Leftovers] = set()
# Those that a thread is closing, or is about to.
_handed_over: set[Leftovers] = set()
_interpreter_ends = threading.Event()
# How long the end of the interpreter waits for them, in seconds.
_LONGEST_WAIT = 5.0


class Closable(Protocol):
    """Something that can be closed, more than once."""

    def close(self) -> None:
        """End its threads, and remove its files."""


class Leftovers:
    """What is closed, in this order, when its owner is gone.

    :param owner: none of the rest may keep it alive.
    :param closable: what is to be closed.
    """

    def __init__(self, owner: object, *closable: Closable) -> None:
        self._closable = closable
        self._lock = threading.Lock()
        self._finalizer = weakref.finalize(owner, self._hand_over)
        self._finalizer.atexit = False
        _unclosed.add(self)
        renew_in_children(self)
        _close_at_exit()

    def renew_after_fork(self) -> None:
        """Leave to the parent what its owner, who was gone already, has left there."""
        self._lock = threading.Lock()
        _handed_over.discard(self)
        if not self._finalizer.alive:
            self._closable = ()

    def become(self, *closable: Closable) -> None:
        """Take these in place of what there was."""
        self._closable = closable

    def close(self) -> None:
        """Close them; whoever comes second waits until the first has done so."""
        with self._lock:
            for each in self._closable:
                each.close()
            self._closable = ()
        _unclosed.discard(self)

    def _hand_over(self) -> None:
        # A thread that has not begun when the interpreter ends was seen to crash it (Python 3.11).
        if not self._closable or _interpreter_ends.is_set():
            return
        _handed_over.add(self)
        try:
            # Not `Thread.start`, which takes locks and waits for its thread.
            _thread.start_new_thread(self._start_closing, ())
        except RuntimeError:  # then it is closed when the interpreter ends
            _handed_over.discard(self)

    def _start_closing(self) -> None:
        try:
            threading.Thread(target=self._close_handed_over, name='psij-ext closing', daemon=True).start()
        except RuntimeError:
            _handed_over.discard(self)

    def _close_handed_over(self) -> None:
        try:
            self.close()
        finally:
            _handed_over.discard(self)


@functools.cache  # once, and not on import, which changes nothing in the process
def _close_at_exit() -> None:
    atexit.register(_close_all)


def _close_all() -> None:
    _interpreter_ends.set()
    for leftovers in list(_unclosed):
        leftovers.close()
    until = time.monotonic() + _LONGEST_WAIT
    while _handed_over and time.monotonic() < until:
        time.sleep(0.001)
