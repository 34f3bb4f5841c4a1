"""Jobs that are over, and of which the scheduler has still to tell what they used: an end is not put off for that."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Callable

from psij_ext.core.exit_info import ExitInfo, ExitReason, ResourceUsage
from psij_ext.core.job import Job
from psij_ext.core.status import JobStatus
from psij_ext.runtime.finding import has_lost
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.usage import completed_usage

if TYPE_CHECKING:
    from psij_ext.runtime.answers import Answer
    from psij_ext.runtime.followed import Followed, Report

logger = logging.getLogger(__name__)

# Accounting lags behind the queue by seconds; what is not there after so many rounds is not waited for.
_ROUNDS = 3


@dataclass
class UnaccountedJob:
    """One such job; it keeps neither the `Job` nor its executor alive."""

    native_id: str
    submitted: float
    folder: JobFolder | None
    job: weakref.ref[Job]
    report: Callable[[], Report | None]
    status: JobStatus
    exit_info: ExitInfo
    rounds_left: int = _ROUNDS
    in_queue: ResourceUsage | None = None


class Unaccounted:
    """The jobs that are over and are asked for a few more times, together with those that live."""

    def __init__(self) -> None:
        self._jobs: dict[str, UnaccountedJob] = {}

    @property
    def jobs(self) -> Sequence[UnaccountedJob]:
        """All of them."""
        return list(self._jobs.values())

    def add(self, followed: Followed, status: JobStatus, exit_info: ExitInfo) -> None:
        """Take in a job with its end, of which the scheduler may have more to say."""
        if exit_info.reason is ExitReason.LOST:
            return
        self._jobs[followed.job.id] = UnaccountedJob(
            followed.native_id, followed.submitted, followed.folder, weakref.ref(followed.job), _weak(followed.report),
            status, exit_info)

    def clear(self) -> None:
        """Ask for none of them any more."""
        self._jobs.clear()

    def take(self, *answers: Answer, has_accounting: bool = True) -> None:
        """Report what a round of queries told, from the best answer to the last.

        :param has_accounting: whether better may come than what a queue knows of an end.
        """
        for job_id, ended in list(self._jobs.items()):
            said = [observation for answer in answers
                    if (observation := answer.observations.get(ended.native_id)) is not None
                    and observation.status.final]
            told = [observation.usage for observation in said if observation.usage is not None]
            ended.in_queue = next((each.queue_usage for each in said if each.queue_usage is not None), ended.in_queue)
            ended.rounds_left -= 1
            is_last = bool(told) or not ended.rounds_left or (ended.in_queue is not None and not has_accounting)
            if is_last:
                self._jobs.pop(job_id, None)
            if told or (is_last and ended.in_queue is not None):
                try:
                    _tell(ended, told)
                except Exception:  # what is wrong with one job must not keep the round from looking at the others
                    logger.exception('What job %s used could not be reported.', job_id)


def _tell(ended: UnaccountedJob, told: Sequence[ResourceUsage]) -> None:
    job, report = ended.job(), ended.report()
    if job is None or report is None or (ended.folder is not None and has_lost(ended.folder, ended.native_id)):
        return
    usage = completed_usage(told, ended.exit_info.usage, ended.in_queue)
    report(job, ended.status, replace(ended.exit_info, usage=usage), False)


def _weak(report: Report) -> Callable[[], Report | None]:
    return weakref.WeakMethod(report) if hasattr(report, '__self__') else lambda: report
