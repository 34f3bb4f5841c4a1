"""Ctrl-C while a job is submitted and waited for."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType


class Interrupts:
    """Counts Ctrl-C instead of ending the program, as long as it is entered.

    Submitting a job is not torn apart half way, so that nobody is left with a job of unknown fate. Who presses three
    times is let go in any case.
    """

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> Interrupts:
        # Who runs us in the background has Ctrl-C ignored, and it stays so. Handlers belong to the main thread.
        self._former = signal.getsignal(signal.SIGINT)
        if self._counts:
            signal.signal(signal.SIGINT, self._interrupt)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._counts:
            signal.signal(signal.SIGINT, self._former)

    @property
    def _counts(self) -> bool:
        return (self._former not in (None, signal.SIG_IGN)
                and threading.current_thread() is threading.main_thread())

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count > 2:
            raise KeyboardInterrupt
