"""Calls status callbacks, and whatever else may take its time, on threads of their own, in order."""

from __future__ import annotations

import logging
import queue
import threading
from typing import Callable

from psij_ext.runtime.forking import renew_in_children

logger = logging.getLogger(__name__)


class CallbackThread:
    """Runs what it is given, one after the other, on a thread from the first call until `close`."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._closed = False
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        """Begin without a thread; what the parent's has not called yet is for the parent to call."""
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def call(self, function: Callable[[], None]) -> None:
        """Run `function` soon.

        After `close`, it is run at once and here: a late state change still reaches its callback.
        """
        with self._lock:
            closed = self._closed
            if not closed:
                self._calls.put(function)
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    self._thread.start()
        if closed:
            function()

    def close(self) -> None:
        """Finish what was given so far and end the thread.

        May be called more than once, and from a callback.
        """
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._calls.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            function = self._calls.get()
            if function is None:
                return
            try:
                function()
            except BaseException:
                # Not even a callback that calls sys.exit() may keep the later ones from being called.
                logger.exception('A callback failed.')
            del function  # while it waits for the next one, the thread keeps no job and no executor alive
