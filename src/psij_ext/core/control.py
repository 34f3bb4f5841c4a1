"""What can be done to jobs once they are submitted: end them, signal them, hold them, and ask for all that is known."""

from __future__ import annotations

import signal as signals
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Union

from psij_ext.core import checks
from psij_ext.exceptions import InvalidJobException, NotAllCancelled, SubmitException

if TYPE_CHECKING:
    from psij_ext.core.job import Job

AnySignal = Union[signals.Signals, str, int]
AnySeconds = Union[int, float, timedelta]


@dataclass(frozen=True)
class FirstWarning:
    """What a job's processes are sent before its end, or instead of it.

    :param signal: the signal.
    :param grace: after how many seconds the end follows; None where only the signal is wanted.
    """

    signal: signals.Signals
    grace: float | None = None


def read_warning(signal: AnySignal | None, grace: AnySeconds | None) -> FirstWarning | None:
    """Read the keywords of a cancel; None where the job is to be ended at once.

    :raises TypeError: if one has a wrong type.
    :raises ValueError: if there is no such signal, the time is negative, or there is a time and no signal.
    """
    if signal is None:
        if grace is not None:
            raise ValueError('cancel: grace: is the time from a signal to the end, and there is no signal')
        return None
    return FirstWarning(read_signal(signal), None if grace is None else checks.seconds('cancel: grace', grace))


def read_signal(signal: object) -> signals.Signals:
    """Read a signal: `signal.SIGUSR1`, `'USR1'`, `'SIGUSR1'` or its number.

    :raises TypeError: if it is something else.
    :raises ValueError: if there is no such signal.
    """
    if isinstance(signal, bool) or not isinstance(signal, (str, int)):
        raise TypeError(f'cancel: signal: expected a signal, its name or its number, got {checks.describe(signal)}')
    try:
        if isinstance(signal, str):
            name = signal.upper()
            return signals.Signals[name if name.startswith('SIG') else f'SIG{name}']
        return signals.Signals(signal)
    except (KeyError, ValueError):
        raise ValueError(f'cancel: signal: there is no signal {checks.describe(signal)}') from None


def cannot_hold(executor_name: str) -> InvalidJobException:
    """Make what an executor raises that can neither hold jobs nor release them."""
    return InvalidJobException(f'The executor {executor_name} cannot hold jobs.')


def has_no_record(executor_name: str, job: str) -> InvalidJobException:
    """Make what an executor raises that knows nothing of jobs but their states."""
    return InvalidJobException(f'The executor {executor_name} has no records of its own of job {job}.')


def has_no_version(executor_name: str) -> InvalidJobException:
    """Make what an executor raises whose scheduler tells no version."""
    return InvalidJobException(f'The executor {executor_name} cannot tell the version of its scheduler.')


class JobControl(ABC):
    """The part of an executor that does something to jobs which were submitted."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the executor."""

    @abstractmethod
    def cancel(self, job: Job, *, signal: AnySignal | None = None, grace: AnySeconds | None = None) -> None:
        """Ask for the end of a job; its state changes when the scheduler has ended it.

        Nothing happens if the job is over. With a signal, its processes are sent this signal instead, as a first
        warning; that alone is no cancel. With a grace as well, the end follows after that time.

        :param signal: what to send: `signal.SIGUSR1`, a name or a number.
        :param grace: how long after the signal the job is ended, in seconds or as a timedelta.
        :raises SubmitException: if the job was not submitted here, or the scheduler refuses. If it is `transient`, the
            scheduler did not answer: nobody knows whether it ends the job. To cancel again does no harm.
        :raises InvalidJobException: if this executor cannot do what the keywords ask for.
        :raises ValueError: if there is no such signal.
        """

    def cancel_many(
        self, jobs: Iterable[Job], *, signal: AnySignal | None = None, grace: AnySeconds | None = None
    ) -> None:
        """Ask for the end of many jobs, in as few commands as the scheduler allows; else as `cancel` does for one.

        :raises NotAllCancelled: if some could not be cancelled; its `failures` say which and why. All others are.
        """
        warning = read_warning(signal, grace)
        failures: dict[str, SubmitException] = {}
        chosen = {job.id: job for job in jobs}
        for job in chosen.values():
            try:
                if warning is None:
                    self.cancel(job)  # executors of others may know no keywords
                else:
                    self.cancel(job, signal=warning.signal, grace=warning.grace)
            except SubmitException as error:
                failures[job.id] = error
        if failures:
            raise NotAllCancelled(failures, len(chosen))

    def hold(self, job: Job) -> None:
        """Keep a job that waits from being started; one that runs goes on, and waits where it is queued again.

        :raises SubmitException: if the job is over, or the scheduler refuses.
        :raises InvalidJobException: if the job was not submitted here, or this executor cannot hold jobs.
        """
        raise cannot_hold(self.name)

    def release(self, job: Job) -> None:
        """Let a job that is held be started.

        :raises SubmitException: if the job is over, or the scheduler refuses.
        :raises InvalidJobException: if the job was not submitted here, or this executor cannot hold jobs.
        """
        raise cannot_hold(self.name)

    def native_record(self, job: Job) -> dict[str, str]:
        """Return all that the scheduler knows of a job, alive or over, under the scheduler's own names.

        :raises CommandError: if the scheduler does not know the job any more, or does not answer.
        :raises InvalidJobException: if the job was not submitted here, or this executor has no such records.
        """
        raise has_no_record(self.name, job.id)

    def scheduler_version(self) -> str:
        """Return the product and the version of the scheduler, such as `Slurm 22.05.8`.

        :raises CommandError: if its commands do not tell.
        :raises InvalidJobException: if this executor cannot ask for it.
        """
        raise has_no_version(self.name)
