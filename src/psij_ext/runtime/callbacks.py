"""Calls status callbacks, and whatever else may take its time, on threads of their own, in order."""

from __future__ import annotations

import logging
import queue
import threading
import time
from typing import Callable

from psij_ext.runtime.forking import renew_in_children

logger = logging.getLogger(__name__)

# A call that takes longer, in seconds, is said: whatever comes after it is told late.
_SLOW = 10.0


class CallbackThread:
    """Runs what it is given, one after the other, on a thread from the first call until `close`.

    What is given after that is run on such a thread as well, which ends when nothing is left.

    :param name: what the thread is called.
    :param clock: gives monotonic seconds; tests pass their own.
    """

    def __init__(self, name: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._clock = clock
        self._closed = False
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        """Begin without a thread; what the parent's has not called yet is for the parent to call."""
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        # When the present call began; None while there is none, or it was said that it is slow.
        self._began: float | None = None

    def call(self, function: Callable[[], None]) -> None:
        """Run `function` soon, after all that was given before, and never on the thread that gives it."""
        with self._lock:
            self._calls.put(function)
            if self._closed:
                self._calls.put(None)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        self._note_slowness()

    def close(self) -> None:
        """Finish what was given so far and end the thread.

        May be called more than once, and from a callback.
        """
        with self._lock:
            self._closed = True
            thread = self._thread
            if thread is not None:
                self._calls.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            function = self._calls.get()
            if function is None:
                with self._lock:
                    # What was given after the end was asked for brought another one along.
                    if self._calls.empty():
                        self._thread = None
                        return
                continue
            self._began = self._clock()
            try:
                function()
            except BaseException:
                # Not even a callback that calls sys.exit() may keep the later ones from being called.
                logger.exception('A callback failed.')
            self._note_slowness()
            self._began = None
            del function  # while it waits for the next one, the thread keeps no job and no executor alive

    def _note_slowness(self) -> None:
        """Say of the present call, once, that it takes long: when it is over, or another one waits for it."""
        began = self._began
        seconds = 0.0 if began is None else self._clock() - began
        if seconds > _SLOW:
            self._began = None
            logger.warning('%s: a callback has taken %.0f s; those after it are called late. The states of jobs move '
                           'on meanwhile.', self._name, seconds)
