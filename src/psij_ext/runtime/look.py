"""One look at many jobs, for those who ask once and follow nothing: the command line, for one."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandError, FolderUnreadable, ParseError
from psij_ext.runtime.answers import Answer, StatusSource
from psij_ext.runtime.ending import keep_end, kept_end
from psij_ext.runtime.evidence import USUAL_PATIENCE, Patience
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.monitor import StatusMonitor
from psij_ext.runtime.schedule import Rhythm
from psij_ext.runtime.unaccounted import Unaccounted

logger = logging.getLogger(__name__)

# Until so long after an end, in seconds, the scheduler may still come to know its cause.
_CAUSE_MAY_FOLLOW = USUAL_PATIENCE.for_cause
# The clock of a look: folders at its beginning, the scheduler at its first tick. Whatever ended during the query has
# the second one.
_TICKS = (0.0, 1.0, 2.0)
_PATIENCE = Patience(for_cause=1.0, for_trace=1.0)


@dataclass(frozen=True)
class Look:
    """What one look at some jobs gave.

    :param jobs: the jobs by their ids, with the status and the exit information that could be had.
    :param uncertain: the ids of those that are over, of which the scheduler may still come to say otherwise.
    :param kept: the ids of those whose end was found out by this look and kept in their folders.
    :param missing: the ids of those that the scheduler does not know and that left no record of an end. They may be
        lost; network file systems hide new files for up to a minute.
    :param trouble: why the scheduler did not answer; None if it did, or was not asked.
    :param lacking: the ids of those that are over, of which the scheduler may know better what they used.
    """

    jobs: Mapping[str, Job]
    missing: frozenset[str] = frozenset()
    uncertain: frozenset[str] = frozenset()
    kept: frozenset[str] = frozenset()
    trouble: Exception | None = None
    lacking: frozenset[str] = frozenset()


class SilentSource:
    """A scheduler that knows no job: for jobs whose native ids belong to others by now."""

    has_accounting = tells_usage = False

    def queue(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        return {}

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        return {}

    def folders(self, native_ids: Sequence[str]) -> Mapping[str, str | None]:
        return {}

    def accounted_folder(self, native_id: str, since: float) -> str | None:
        return None


def look(source: StatusSource, jobs: Sequence[Followed], usage: bool = False) -> Look:
    """Look at jobs once: at their folders, and with one query at those that are not over.

    What is certain about an end is kept in the job's folder.

    :param usage: whether the scheduler is asked, too, what those used that are over, where that is not known.
    """
    seen = _look(source, jobs)
    if not usage or seen.trouble is not None:
        return seen
    lacking = [each for each in jobs if each.job.id in seen.lacking - seen.uncertain]
    return replace(seen, kept=seen.kept | _complete_usage(source, lacking))


def _has_raw_usage(job: Job) -> bool:
    return job.exit_info is not None and job.exit_info.usage is not None and job.exit_info.usage.raw is not None


def _complete_usage(source: StatusSource, jobs: Sequence[Followed]) -> set[str]:
    """Take in what the scheduler tells now of what jobs used, and keep it; their ends are certain without it.

    :return: the ids of those of which it told something.
    """
    ids = list(dict.fromkeys(followed.native_id for followed in jobs))
    if not ids or not source.tells_usage:
        return set()
    answers = []
    try:
        answers.append(Answer(observations=source.queue(ids)))
        if source.has_accounting:
            answers.insert(0, Answer(observations=source.accounting(ids, min(each.submitted for each in jobs))))
    except (CommandError, ParseError) as error:
        logger.debug('What jobs used that are over is not known now: %s', error)
    unaccounted = Unaccounted()
    for followed in jobs:
        if followed.job.exit_info is not None:
            unaccounted.add(followed, followed.job.status, followed.job.exit_info)
    unaccounted.take(*answers, has_accounting=False)
    completed = set()
    for followed in jobs:
        info = followed.job.exit_info
        if followed.folder is not None and info is not None and _has_raw_usage(followed.job):
            keep_end(followed.folder, followed.job.status, info)
            completed.add(followed.job.id)
    return completed


def _look(source: StatusSource, jobs: Sequence[Followed]) -> Look:
    by_id = {followed.job.id: followed.job for followed in jobs}
    waiting = [followed for followed in jobs if not _is_known_end(followed)]
    known = {id(followed) for followed in jobs} - {id(followed) for followed in waiting}
    lacking = {each.job.id for each in jobs if id(each) in known and not _has_raw_usage(each.job)}
    if not waiting:
        return Look(by_id, lacking=frozenset(lacking if source.tells_usage else ()))
    monitor = StatusMonitor(source, Rhythm(first=1.0), 'psij-ext look', clock=lambda: 0.0, asks_afterwards=False)
    for followed in waiting:
        followed.patience = _PATIENCE
        followed.identity.doubt()
        monitor.take(followed)
    for now in _TICKS:
        monitor.poll_once(now)
    uncertain, kept = set(), set()
    for followed in waiting:
        exit_info = followed.job.exit_info
        if exit_info is None:
            continue
        if exit_info.reason is not ExitReason.LOST and not monitor.has_told_usage(followed):
            lacking.add(followed.job.id)
        if not _is_certain(followed, monitor.trouble):
            uncertain.add(followed.job.id)
        elif followed.folder is not None:
            keep_end(followed.folder, followed.job.status, exit_info)
            kept.add(followed.job.id)
    missing = frozenset(followed.job.id for followed in waiting
                        if followed.absent_since is not None and not followed.job.status.final)
    lacking = lacking if source.tells_usage else set()  # known since it was asked
    return Look(by_id, missing, frozenset(uncertain), frozenset(kept), monitor.trouble, frozenset(lacking))


def record_silently(job: Job, status: JobStatus, exit_info: ExitInfo | None, requeued: bool) -> None:
    """Take what became known of a job, and tell no callback."""
    if exit_info is not None:
        job._set_exit_info(exit_info)
    job._record(status, requeued)


def _is_known_end(followed: Followed) -> bool:
    try:
        end = None if followed.folder is None else followed.kept_end or kept_end(followed.folder)
    except FolderUnreadable:
        return False
    if end is not None:
        followed.read_folder(_TICKS[0])
        for entered in followed.states_of_this_attempt():
            followed.report(followed.job, entered, None, False)
        followed.report(followed.job, *end, False)
    return end is not None


def _is_certain(followed: Followed, trouble: Exception | None) -> bool:
    """Whether nobody can come to know better: a scheduler that has not answered yet may know a cause, or a requeue."""
    state, record = followed.job.status.state, followed.exit_record
    if state is JobState.COMPLETED or not state.final:
        return state.final
    return trouble is None and (record is None or time.time() - record.ended > _CAUSE_MAY_FOLLOW)
