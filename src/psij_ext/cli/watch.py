"""Waiting for a job at a terminal: its states as they come, and what Ctrl-C does."""

from __future__ import annotations

import queue
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from psij_ext.cli.errors import Failure, Interrupted, printable, say, told
from psij_ext.cli.interrupts import Interrupts
from psij_ext.cli.records import shown_span
from psij_ext.cli.submission import Submitted
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import PsijExtError

if TYPE_CHECKING:
    from rich.spinner import Spinner

# How soon a Ctrl-C is seen, and how long a second one is waited for, in seconds.
_STEP = 0.1
_SECONDS_FOR_A_SECOND_INTERRUPT = 2.0


class Display(Protocol):
    """Where the states of a job are shown."""

    def show(self, status: JobStatus) -> None:
        """Show a state that the job entered."""


def watch(submitted: Submitted, updates: queue.SimpleQueue[JobStatus], shown: Display,
          interrupts: Interrupts) -> JobStatus:
    """Wait for the end of a job, and return its last status.

    :param submitted: the job.
    :param updates: what its callback puts there.
    :param shown: where to show its states.
    :param interrupts: the count of Ctrl-C.
    :raises Interrupted: if the user does not want to wait.
    """
    leave_at = float('inf')
    handled = 0
    while time.monotonic() < leave_at:
        try:
            status = updates.get(timeout=_STEP)
        except queue.Empty:
            pass
        else:
            if status.final:
                return status
            shown.show(status)
        if interrupts.count > handled:
            handled = interrupts.count
            leave_at = _interrupted(submitted, handled)
    raise Interrupted(f'not waiting any longer for job {submitted}')


def _interrupted(submitted: Submitted, count: int) -> float:
    """Do what the user wants by Ctrl-C, and return until when to wait on."""
    if count == 1:
        say(f'job {submitted} is left alone.\nTo see it:    {submitted.later("status")}\n'
            f'To cancel it: {submitted.later("cancel")}, or Ctrl-C again now')
        return time.monotonic() + _SECONDS_FOR_A_SECOND_INTERRUPT
    try:
        submitted.job.cancel()
    except PsijExtError as error:
        raise Failure(f'{told(error)}; {submitted.later("cancel")} tries again') from error
    say(f'{submitted.executor.name} was asked to cancel job {submitted}; waiting for its end')
    return float('inf')


@contextmanager
def display(submitted: Submitted, quiet: bool) -> Iterator[Display]:
    """Show a job's states on standard error: on a terminal in a line that lives, else in lines, or not at all."""
    if quiet:
        yield _Nothing()
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live
        from rich.spinner import Spinner

        with Live(_LiveLine(submitted, Spinner('dots')), console=Console(stderr=True), transient=True):
            yield _Nothing()
    else:
        yield _Lines(submitted)


class _Nothing:
    def show(self, status: JobStatus) -> None:
        pass


class _Lines:
    def __init__(self, submitted: Submitted) -> None:
        self._submitted = submitted

    def show(self, status: JobStatus) -> None:
        say(f'job {self._submitted}: {status.state}')


class _LiveLine:
    """A line that is drawn again and again, with the state and the scheduler's own words of the moment."""

    def __init__(self, submitted: Submitted, spinner: Spinner) -> None:
        self._submitted = submitted
        self._spinner = spinner
        self._began = time.time()

    def __rich__(self) -> Spinner:
        from rich.text import Text

        status = self._submitted.job.status
        why = f' ({printable(status.message)})' if status.message and not status.final else ''
        waited = shown_span(self._began, time.time())
        self._spinner.update(text=Text(f'job {self._submitted}: {status.state}{why}  {waited}'))
        return self._spinner
