"""From a judgement about a job to the changes of its status that are reported, each once and none left out."""

from __future__ import annotations

import copy
from typing import NamedTuple

from psij_ext.core.exit_info import ExitInfo
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.judgement import Judgement


class Change(NamedTuple):
    """A status to report, with what is known of the end if it is one, and whether the job was requeued."""

    status: JobStatus
    exit_info: ExitInfo | None = None
    requeued: bool = False


def changes_of(followed: Followed, judgement: Judgement) -> list[Change]:
    """Tell what is to be reported of a job, in this order; before an end, the states that were missed."""
    if judgement.status is None:
        return []
    changes = _missed_requeue(followed, judgement.status.state)
    # A copy: what a source said may be said of many jobs at once, and is compared with what it says next.
    status = copy.copy(judgement.status)
    status.metadata = {**(status.metadata or {}), 'attempt': followed.attempt}
    entered = followed.states_of_this_attempt()
    if judgement.exit_info is not None:
        return [*changes, *map(Change, entered), Change(followed.explained(status), judgement.exit_info)]
    if status.state is JobState.NEW:  # nothing is known of it but what was reported
        reported = changes[-1].status if changes else followed.job.status
        status = JobStatus(reported.state, message=status.message, metadata=status.metadata)
    # Between two looks a job may have gone through several states.
    passed = [Change(each) for each in entered if each.state.order < status.state.order]
    return [*changes, *passed, Change(status, requeued=judgement.requeued)]


def _missed_requeue(followed: Followed, state: JobState) -> list[Change]:
    """Tell that a job waited once more: a scheduler may start it before anybody sees it wait (OpenPBS does).

    The word of its script counts: Slurm was seen to count the next run while the last one was still ending.
    """
    before, followed.reported_run = followed.reported_run, followed.latest_run
    has_begun = followed.job.status.state.order > JobState.QUEUED.order
    if followed.latest_run > before and has_begun and state is not JobState.QUEUED:
        return [Change(JobStatus(JobState.QUEUED, metadata={'attempt': followed.attempt}), requeued=True)]
    return []
