"""Waiting for many jobs at once, without a thread for each and without looking again and again."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from datetime import timedelta
from enum import Enum
from typing import NamedTuple

from psij_ext.core import checks
from psij_ext.core.checks import describe
from psij_ext.core.control import AnySeconds
from psij_ext.core.job import Job, Waiter, list_of_jobs
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException


class ReturnWhen(Enum):
    """What `wait` waits for; wherever one is asked for, its name will do."""

    ALL_COMPLETED = 'ALL_COMPLETED'
    """All jobs are over, in whatever final state."""
    FIRST_COMPLETED = 'FIRST_COMPLETED'
    """A job is over, in whatever final state."""
    FIRST_FAILED = 'FIRST_FAILED'
    """A job has failed or was cancelled, or all are over."""

    def __str__(self) -> str:
        return self.name


class DoneAndNotDone(NamedTuple):
    """The jobs that were waited for.

    :param done: those that are over.
    :param not_done: all others.
    """

    done: set[Job]
    not_done: set[Job]


def wait(
    jobs: Iterable[Job],
    timeout: AnySeconds | None = None,
    return_when: ReturnWhen | str = ReturnWhen.ALL_COMPLETED,
) -> DoneAndNotDone:
    """Wait for many jobs, as `concurrent.futures.wait` does for futures; their executors may be different ones.

    A job that is given twice counts once. Jobs of an executor that was closed are followed again.

    :param jobs: jobs that were submitted or attached.
    :param timeout: how long to wait, in seconds or as a timedelta; None for ever, and nothing or less for a look.
    :param return_when: for which of them to wait. A job that is over already counts as one that ends now.
    :return: the sets `done` and `not_done`; those that are over when this returns are in `done`, all of them.
    :raises InvalidJobException: if one was not submitted, so that nobody would ever tell of its end.
    :raises TypeError: if an argument has a wrong type.
    :raises ValueError: if there is no such `return_when`.
    """
    chosen = _chosen('wait', jobs)
    deadline = _deadline('wait', timeout)
    until = _return_when(return_when)
    with _Gathering(chosen) as gathering:
        while gathering.left and not (gathering.ended and _is_enough(gathering.ended, until)):
            gathering.ended.clear()
            if not gathering.await_next(deadline):
                break
    done = {job for job in chosen if job.status.final}
    return DoneAndNotDone(done, {*chosen} - done)


def as_completed(jobs: Iterable[Job], timeout: AnySeconds | None = None) -> Iterator[Job]:
    """Go through jobs in the order of their ends, as `concurrent.futures.as_completed` does for futures.

    Those that are over when the first one is asked for come first, in the order of the times of their ends. A job that
    is given twice comes once. Jobs of an executor that was closed are followed again.

    :param jobs: jobs that were submitted or attached.
    :param timeout: how long all of it may take from this call, in seconds or as a timedelta; None for ever.
    :return: the jobs, each as soon as its end is known.
    :raises InvalidJobException: if one was not submitted, so that nobody would ever tell of its end.
    :raises TimeoutError: from the iterator, if the next one is not over in time.
    :raises TypeError: if an argument has a wrong type.
    """
    return _in_order(_chosen('as_completed', jobs), _deadline('as_completed', timeout))


def _in_order(chosen: list[Job], deadline: float | None) -> Iterator[Job]:
    with _Gathering(chosen) as gathering:
        gathering.ended.sort(key=lambda job: job.status.time)
        while True:
            yield from gathering.ended
            gathering.ended.clear()
            if not gathering.left:
                return
            if not gathering.await_next(deadline):
                raise TimeoutError(f'{gathering.left} of {len(chosen)} jobs are not over yet.')


class _Gathering(Waiter):
    """One who waits for many jobs, and is told of each by one entry in a queue: its end, or that it is left alone.

    :param jobs: the jobs, each of them once.
    """

    __slots__ = ('_jobs', '_told', 'ended', 'left')

    def __init__(self, jobs: list[Job]) -> None:
        super().__init__(JobState.COMPLETED.order)
        self._jobs = jobs
        # A simple one, into which a signal handler may put something in the middle of another call by its thread.
        self._told: queue.SimpleQueue[tuple[Job, bool]] = queue.SimpleQueue()
        self.ended: list[Job] = []
        self.left = len(jobs)

    def has_come(self, job: Job) -> None:
        self._told.put((job, True))

    def is_left_alone(self, job: Job) -> None:
        self._told.put((job, False))

    def __enter__(self) -> _Gathering:
        try:
            for job in self._jobs:
                if not job._add_waiter(self):
                    self._count(job)
                else:
                    self._see_to(job)
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
        for job in self._jobs:
            if job._waiters is not None:
                job._remove_waiter(self)

    def await_next(self, deadline: float | None) -> bool:
        """Wait for the next end, and add it to `ended`; return whether there was one in time."""
        while True:
            try:
                if deadline is None:
                    job, is_over = self._told.get()
                else:
                    job, is_over = self._told.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return False
            if is_over:
                self._count(job)
                return True
            self._see_to(job)

    def _count(self, job: Job) -> None:
        self.ended.append(job)
        self.left -= 1

    @staticmethod
    def _see_to(job: Job) -> None:
        _check_submitted(job)
        job._see_to_it()


def _is_enough(ended: list[Job], until: ReturnWhen) -> bool:
    if until is ReturnWhen.FIRST_FAILED:
        return any(job.status.state is not JobState.COMPLETED for job in ended)
    return until is ReturnWhen.FIRST_COMPLETED


def _chosen(caller: str, jobs: Iterable[Job]) -> list[Job]:
    given = list_of_jobs(f'{caller}: jobs', jobs)
    for job in given:
        _check_submitted(job)
    return list(dict.fromkeys(given))


def _check_submitted(job: Job) -> None:
    if job.executor is None and job.status.state is JobState.NEW:
        raise InvalidJobException(f'Job {job.id} was not submitted: nobody would tell of its end.')


def _deadline(caller: str, timeout: AnySeconds | None) -> float | None:
    if timeout is None:
        return None
    label = f'{caller}: timeout'
    seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else checks.number(label, timeout)
    return time.monotonic() + min(seconds, threading.TIMEOUT_MAX / 2)


def _return_when(value: object) -> ReturnWhen:
    try:
        return ReturnWhen(value)
    except ValueError:
        names = ', '.join(ReturnWhen.__members__)
        raise ValueError(f'wait: return_when: expected one of {names}, got {describe(value)}') from None
