"""A job and its life."""

from __future__ import annotations

import threading
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Callable, Union

from psij_ext.core.checks import Field, describe, instance_of, list_of_instances, number, optional
from psij_ext.core.control import AnySeconds, AnySignal, read_warning
from psij_ext.core.exit_info import ExitInfo
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import SubmitException

if TYPE_CHECKING:
    from psij_ext.core.interfaces import JobExecutor

# One lock for all jobs: it is held for microseconds, and a lock in each of 100,000 jobs would cost memory.
# Reentrant, because a signal handler may run while its own thread holds it.
_lock = threading.RLock()


def renew_lock() -> None:
    """Begin with a free lock, in a child process that was forked off while some thread of the parent held it."""
    global _lock
    _lock = threading.RLock()


# What a job cannot have skipped on its way into a state. A staging step may have nothing to do, and a job may
# fail or be cancelled at any moment.
_BEFORE_ACTIVE = (JobState.QUEUED,)
_BEFORE_END = (JobState.QUEUED, JobState.ACTIVE)
_PASSED = {
    JobState.STAGE_IN: _BEFORE_ACTIVE,
    JobState.ACTIVE: _BEFORE_ACTIVE,
    JobState.STAGE_OUT: _BEFORE_END,
    JobState.CLEANUP: _BEFORE_END,
    JobState.COMPLETED: _BEFORE_END,
}


class JobStatusCallback(ABC):
    """An object that is told when the status of a job changes."""

    @abstractmethod
    def job_status_changed(self, job: Job, job_status: JobStatus) -> None:
        """Take notice of a job's new status.

        :param job: the job.
        :param job_status: its new status; `job.status` may be a later one already.
        """


class FunctionJobStatusCallback(JobStatusCallback):
    """Makes a callback object of a function.

    :param fn: takes the job and its new status.
    """

    def __init__(self, fn: Callable[[Job, JobStatus], None]) -> None:
        self._fn = fn

    def job_status_changed(self, job: Job, job_status: JobStatus) -> None:
        """Call the function."""
        self._fn(job, job_status)


AnyCallback = Union[JobStatusCallback, Callable[['Job', JobStatus], None]]


def check_callback(label: str, callback: object) -> None:
    """Refuse what can be no callback.

    :raises TypeError: if it is neither None nor a `JobStatusCallback` nor a function.
    """
    if callback is not None and not isinstance(callback, JobStatusCallback) and not callable(callback):
        raise TypeError(f'{label}: expected a JobStatusCallback or a function, got {describe(callback)}')


def call_back(callback: AnyCallback, job: Job, status: JobStatus) -> None:
    """Tell a callback, of either kind, of a job's new status."""
    if isinstance(callback, JobStatusCallback):
        callback.job_status_changed(job, status)
    else:
        callback(job, status)


class Waiter(ABC):
    """Somebody who waits for one job or many; told under a lock, and by whatever thread sees what happens.

    :param order: the order of the state in which the wait for a job is over.
    """

    __slots__ = ('order',)

    def __init__(self, order: int) -> None:
        self.order = order

    @abstractmethod
    def has_come(self, job: Job) -> None:
        """Take notice that a job has come as far as was waited for."""

    @abstractmethod
    def is_left_alone(self, job: Job) -> None:
        """Take notice that nobody follows a job any more, or that it was not submitted after all."""


class _Waiter(Waiter):
    __slots__ = ('event',)

    def __init__(self, order: int) -> None:
        super().__init__(order)
        self.event = threading.Event()

    def has_come(self, job: Job) -> None:
        self.event.set()

    def is_left_alone(self, job: Job) -> None:
        self.event.set()


class Job:
    """A job: its description, and what became of it.

    :param spec: the description; it may be set later, before the job is submitted.
    """

    __slots__ = (
        '__weakref__', '_callback', '_executor', '_exit_info', '_id', '_native_id', '_reached', '_spec',
        '_status', '_waiters',
    )  # fmt: skip

    spec: Field[JobSpec | None, JobSpec | None] = Field(optional(instance_of(JobSpec)), 'The description.')

    def __init__(self, spec: JobSpec | None = None) -> None:
        self.spec = spec
        self._id = str(uuid.uuid4())
        self._status = JobStatus(JobState.NEW)
        self._native_id: str | None = None
        self._executor: JobExecutor | None = None
        self._exit_info: ExitInfo | None = None
        self._callback: AnyCallback | None = None
        self._waiters: list[Waiter] | None = None
        self._reached = JobState.NEW.order

    @property
    def id(self) -> str:
        """The name that psij_ext gives the job; no two jobs share one."""
        return self._id

    @property
    def native_id(self) -> str | None:
        """The name that the scheduler gave the job; None before it was submitted."""
        return self._native_id

    @property
    def status(self) -> JobStatus:
        """What is known about the job at present; it is for executors to set."""
        return self._status

    @status.setter
    def status(self, status: JobStatus) -> None:
        if self._executor is None:
            self._record(status)
        else:
            self._executor._update_job_status(self, status)

    @property
    def executor(self) -> JobExecutor | None:
        """The executor that the job was submitted or attached to; it is for executors to set."""
        return self._executor

    @executor.setter
    def executor(self, executor: JobExecutor | None) -> None:
        self._executor = executor

    @property
    def exit_info(self) -> ExitInfo | None:
        """How the job ended and what it used; None until that is known."""
        return self._exit_info

    def cancel(self, *, signal: AnySignal | None = None, grace: AnySeconds | None = None) -> None:
        """Ask for the end of the job; nothing happens if it is over.

        :param signal: a signal to send to the job's processes instead, as a first warning: `signal.SIGUSR1`, a name or
            a number.
        :param grace: how long after this signal the job is ended, in seconds or as a timedelta; never if None.
        :raises SubmitException: if the job was not submitted, or the scheduler refuses.
        :raises InvalidJobException: if the executor cannot do what the keywords ask for.
        """
        warning = read_warning(signal, grace)
        if self._status.final:
            return
        if self._executor is None:
            raise SubmitException(f'Job {self._id} cannot be cancelled: it was not submitted')
        if warning is None:
            self._executor.cancel(self)  # executors of others may know no keywords
        else:
            self._executor.cancel(self, signal=warning.signal, grace=warning.grace)

    def wait(
        self,
        timeout: AnySeconds | None = None,
        target_states: JobState | Sequence[JobState] | None = None,
    ) -> JobStatus | None:
        """Wait until the job is over, or has come as far as one of some states.

        A state that was reached once stays reached, even if the job is queued again; a job that is over has
        come as far as any.

        :param timeout: how long to wait, as a timedelta or in seconds; None for ever.
        :param target_states: a state or several; the final ones if None or empty.
        :return: the job's status, or None if the time is up.
        :raises TypeError: if an argument has a wrong type.
        :raises ValueError: if a number of seconds is none.
        """
        seconds = _timeout_seconds(timeout)
        order = _lowest_order(target_states)
        deadline = None if seconds is None else time.monotonic() + seconds
        waiter = _Waiter(order)
        try:
            self._add_waiter(waiter)
            while self._reached < order:
                waiter.event.clear()
                self._see_to_it()
                # What was reached before the event was cleared was not told by it.
                left = None if deadline is None else deadline - time.monotonic()
                if self._reached < order and not waiter.event.wait(left):
                    return None
        finally:
            self._remove_waiter(waiter)
        return self._status

    def set_job_status_callback(self, cb: AnyCallback | None) -> None:
        """Have an object or a function told of every change of this job's status.

        :param cb: a `JobStatusCallback`, or a function that takes the job and its new status; None for nobody.
        :raises TypeError: if it is neither.
        """
        check_callback('Job.set_job_status_callback', cb)
        self._callback = cb

    def __repr__(self) -> str:
        return f'Job(id={self._id!r}, native_id={self._native_id!r}, state={self._status.state})'

    def __str__(self) -> str:
        where = 'not submitted' if self._native_id is None else f'{self._native_id} on {self._executor}'
        return f'Job {self._id} ({where}): {self._status}'

    # For those who wait.

    def _add_waiter(self, waiter: Waiter) -> bool:
        """Have somebody told once the job has come as far as they wait for; return whether it has not yet."""
        with _lock:
            if self._reached >= waiter.order:
                return False
            self._waiters = [*(self._waiters or ()), waiter]
            return True

    def _remove_waiter(self, waiter: Waiter) -> None:
        with _lock:
            self._waiters = [other for other in self._waiters or () if other is not waiter] or None

    def _see_to_it(self) -> None:
        """See to it that somebody follows the job, if it was submitted."""
        if self._executor is not None:
            self._executor._look_after(self)

    # For executors.

    def _described_as(self, spec: JobSpec) -> Job:
        """Return a job that is this one but for its description, to look at and not to follow."""
        copied = Job.__new__(Job)
        copied.spec, copied._id, copied._status = spec, self._id, self._status
        copied._native_id, copied._executor, copied._exit_info = self._native_id, self._executor, self._exit_info
        copied._callback, copied._waiters, copied._reached = None, None, self._reached
        return copied

    def _bind(self, executor: JobExecutor | None) -> None:
        self._executor = executor

    def _unbind(self) -> None:
        """Be a job that was not submitted after all, and tell those who wait for it."""
        self._executor = None
        self._wake_waiters()

    def _wake_waiters(self) -> None:
        """Have those who wait see to it anew that somebody follows the job: nobody does any more."""
        with _lock:
            for waiter in self._waiters or ():
                waiter.is_left_alone(self)

    def _set_id(self, job_id: str) -> None:
        """Be a job that was made earlier, perhaps by another program."""
        self._id = job_id

    def _set_native_id(self, native_id: str) -> None:
        self._native_id = native_id

    def _set_exit_info(self, exit_info: ExitInfo) -> ExitInfo:
        """Take how the job ended, or what became known since of what it used: nothing else of an end changes.

        :return: what is known now.
        """
        if self._status.final and self._exit_info is not None:
            exit_info = replace(self._exit_info, usage=exit_info.usage)
        self._exit_info = exit_info
        return exit_info

    def _record(self, status: JobStatus, requeued: bool = False) -> tuple[JobStatus, ...]:
        """Take a status if it moves the job on, and wake those who wait for it.

        A final state never changes, and an earlier one is taken only where the job was requeued. Another
        message or other metadata for the same state are taken silently. Set the exit information first:
        whoever waits for the end reads it at once.

        :param status: what became known.
        :param requeued: whether the job may have gone back.
        :return: the transitions in their order, with those put in before that were missed; empty if there are none.
        """
        with _lock:
            current = self._status
            if current.final:
                return ()
            if status.state is current.state:
                if status.message is not None or status.metadata is not None:
                    self._status = JobStatus(
                        current.state, current.time, status.message, status.exit_code, status.metadata
                    )
                return ()
            back = status.state.order < current.state.order
            if back and (not requeued or status.state is JobState.NEW):
                return ()
            # Those who made it may keep it, and share it among jobs; a status can be changed.
            status = JobStatus(status.state, status.time, status.message, status.exit_code, status.metadata)
            self._status = status
            self._reached = max(self._reached, status.state.order)
            for waiter in self._waiters or ():
                if self._reached >= waiter.order:
                    waiter.has_come(self)
            if status.state.final:
                self._waiters = None
        return (*_missed(current.state, status), status)


def _missed(before: JobState, status: JobStatus) -> tuple[JobStatus, ...]:
    passed = _PASSED.get(status.state, ())
    return tuple(JobStatus(state, status.time) for state in passed if state.order > before.order)


def _timeout_seconds(timeout: object) -> float | None:
    if timeout is None:
        return None
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else number('Job.wait: timeout', timeout)
    return min(max(seconds, 0.0), threading.TIMEOUT_MAX)


def _lowest_order(target_states: JobState | Sequence[JobState] | None) -> int:
    if isinstance(target_states, JobState):
        return target_states.order
    orders = []
    for state in target_states or ():
        if not isinstance(state, JobState):
            raise TypeError(f'Job.wait: the target states must be JobStates, got {describe(state)}')
        orders.append(state.order)
    return min(orders, default=JobState.COMPLETED.order)


list_of_jobs = list_of_instances(Job)
"""Takes a label and whatever can be gone through; returns a list of jobs, and refuses anything else."""
