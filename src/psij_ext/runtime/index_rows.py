"""What happens to jobs, as rows for the index: what happened, and its values by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from psij_ext.core.exit_info import ExitInfo
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus

SUBMITTED, ENTERED, ENDED, REPORTED, REMOVED = 'submitted', 'entered', 'ended', 'reported', 'removed'

Values = Mapping[str, object]
Row = tuple[str, Values]


def submitted(
    job_id: str, *, executor: str, url: str | None, name: str | None, key: str | None, session: str | None,
    work_directory: Path, native_id: str | None, time: float,
) -> Row:
    """Make the row of a job that was submitted, and is queued."""
    return SUBMITTED, {
        'job_id': job_id, 'executor': executor, 'url': url, 'name': name, 'key': key, 'session': session,
        'work_directory': work_directory, 'native_id': native_id, 'submitted': time}


def entered_state(job_id: str, state: JobState, time: float, requeued: bool) -> Row:
    """Make the row of a state that is not final."""
    return ENTERED, {'job_id': job_id, 'state': state.name, 'order': state.order, 'time': time, 'requeued': requeued}


def ended(job_id: str, status: JobStatus, exit_info: ExitInfo) -> Row:
    """Make the row of an end."""
    return ENDED, {
        'job_id': job_id, 'state': status.state.name, 'time': status.time, 'reason': exit_info.reason.name,
        'exit_code': status.exit_code, 'signal': exit_info.signal, 'message': exit_info.message}


def reported(job_id: str, time: float) -> Row:
    """Make the row of an end that was reported."""
    return REPORTED, {'job_id': job_id, 'time': time}


def removed(job_id: str) -> Row:
    """Make the row of a job that was pruned."""
    return REMOVED, {'job_id': job_id}
