"""The states and exit statuses of PBS Pro's jobs, and what they mean.

States, substates and exit statuses: PBS Reference Guide, "States" and "Job Exit Status Codes"; the rest was seen on
OpenPBS 23.06.
"""

from __future__ import annotations

import logging
import re
from functools import lru_cache
from typing import Dict, Mapping, NamedTuple

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.executors.batch import pbspro_usage

logger = logging.getLogger(__name__)

# NEW stands for "known to the server; what it does is not": a job that was moved is at another server.
STATES = {
    'B': JobState.ACTIVE,   # array with elements that began
    'E': JobState.ACTIVE,   # exiting
    'F': JobState.FAILED,   # finished; the exit status says how
    'H': JobState.QUEUED,   # held
    'M': JobState.NEW,      # moved to another server
    'Q': JobState.QUEUED,
    'R': JobState.ACTIVE,
    'S': JobState.ACTIVE,   # suspended by the server
    'T': JobState.QUEUED,   # in transit
    'U': JobState.ACTIVE,   # suspended because the workstation is in use
    'W': JobState.QUEUED,   # waiting for its time, or for files
    'X': JobState.FAILED,   # finished element of an array; the exit status says how
}
LIVING = ('job_state', 'comment', 'run_count', 'Resource_List.walltime', 'estimated.start_time')
_SUBSTATE_TERMINATED = '91'
_SUBSTATE_FINISHED = '92'
_SUBSTATE_FAILED = '93'
_TIMEOUTS = (-29, -28)             # wall time, CPU time
_MEMORY_EXCEEDED = (-27, -26)      # memory, virtual memory
_SIGNAL_FROM_OUTSIDE = 256
_SIGNALS = range(1, 65)
# What the comment of a job ends with that was deleted and is still there (capture qstat-qdel-running-at-once).
_DELETED = re.compile(r' and terminated(?: by \S+)?$')
_unknown_states: set[str] = set()
# Garbled answers could bring new ones for ever.
_MOST_UNKNOWN_STATES = 100


class _End(NamedTuple):
    """How a finished job ended; NEW where that cannot be told."""

    state: JobState
    reason: ExitReason | None = None
    exit_code: int | None = None
    signal: int | None = None


def is_end(native_state: str) -> bool:
    """Whether a job in this state is over."""
    return STATES.get(native_state, JobState.NEW).final


def is_made_up(native_id: str, fields: Mapping[str, str]) -> bool:
    """Whether a record tells no more of an element of an array than that it is over.

    OpenPBS keeps nothing else of elements that never began, nor of any where there is no history. It shows the
    attributes of the array for theirs then, the exit status of another element among them; the id of the array, which
    every real record of an element has, is not there (`status_subjob` in stat_job.c).
    """
    is_element = '[' in native_id and '[]' not in native_id
    return is_element and is_end(fields.get('job_state', '')) and 'array_id' not in fields


def waits(native_state: str) -> bool:
    """Whether a job in this state is still to begin."""
    return STATES.get(native_state) is JobState.QUEUED


def observe_living(native_state: str, comment: str, run_count: str, walltime: str, expected_start: str) -> Observation:
    """Say what a record of a job that is not over means.

    The arguments are the values of the fields `LIVING`, empty where there is none.
    """
    state = STATES.get(native_state)
    if state is None:
        _note_unknown(native_state)
        state = JobState.NEW
    metadata: Dict[str, object] = {'native_state': native_state}
    if comment:
        metadata['native_reason'] = comment
    start = pbspro_usage.moment(expected_start) if expected_start and waits(native_state) else None
    if start is not None:
        metadata['expected_start'] = start.timestamp()
    deleted = state is JobState.ACTIVE and _DELETED.search(comment) is not None
    return Observation(
        JobStatus(state, message=comment or None, metadata=metadata), ExitReason.CANCELED if deleted else None,
        attempt=number(run_count) or None, time_limit=pbspro_usage.seconds(walltime))


def observe_end(native_id: str, fields: Mapping[str, str]) -> Observation:
    """Say how a job whose record says that it is over ended, and what it used."""
    is_array = '[]' in native_id
    end = _end_of_array(fields) if is_array else _end(fields)
    usage = None if is_array or not end.state.final else pbspro_usage.read_usage(fields)
    comment = fields.get('comment') or None
    metadata: Dict[str, object] = {'native_state': fields['job_state']}
    if comment:
        metadata['native_reason'] = comment
    status = JobStatus(
        end.state, time=usage.end_time.timestamp() if usage and usage.end_time else None,
        message=None if end.state is JobState.COMPLETED else comment, exit_code=end.exit_code, metadata=metadata)
    return Observation(status, end.reason, end.signal, usage, attempt=number(fields.get('run_count')) or None,
                       time_limit=pbspro_usage.seconds(fields.get('Resource_List.walltime', '')))


@lru_cache(maxsize=1000)
def number(text: str | None) -> int | None:
    """Read a number of plain digits; None if it is none."""
    return int(text) if text is not None and re.fullmatch(r'-?\d{1,18}', text, re.ASCII) else None


def _end(fields: Mapping[str, str]) -> _End:
    """Read how a finished job ended.

    `Exit_status` is read here only: it also stands, from an earlier run, in jobs that are not over.
    """
    status = number(fields.get('Exit_status'))
    exit_code, signal = _exit_code(status)
    if fields.get('substate') == _SUBSTATE_TERMINATED:
        return _End(JobState.CANCELED, ExitReason.CANCELED, exit_code, signal)
    if status is None:
        if 'Exit_status' in fields:
            return _End(JobState.NEW)
        return _without_status(fields)
    if status == 0:
        return _End(JobState.COMPLETED, ExitReason.EXITED, 0)
    if status in _TIMEOUTS:
        return _End(JobState.FAILED, ExitReason.TIMEOUT)
    if status in _MEMORY_EXCEEDED:
        return _End(JobState.FAILED, ExitReason.OUT_OF_MEMORY)
    if status < 0:
        return _End(JobState.FAILED, ExitReason.LAUNCH_FAILED)
    return _End(JobState.FAILED, ExitReason.EXITED if signal is None else ExitReason.SIGNALED, exit_code, signal)


def _without_status(fields: Mapping[str, str]) -> _End:
    if 'stime' in fields:
        return _End(JobState.FAILED, ExitReason.LOST)
    # Seen on jobs whose dependency failed, and on no others.
    waited_in_vain = fields.get('substate') == _SUBSTATE_FINISHED
    return _End(JobState.FAILED, ExitReason.DEPENDENCY_FAILED if waited_in_vain else ExitReason.NEVER_STARTED)


def _end_of_array(fields: Mapping[str, str]) -> _End:
    """Read how an array ended: its `Exit_status` is that of its last element, its substate speaks for all."""
    substate, status = fields.get('substate'), number(fields.get('Exit_status'))
    if substate == _SUBSTATE_TERMINATED:
        return _End(JobState.CANCELED, ExitReason.CANCELED)
    if status is None and 'Exit_status' not in fields:
        return _without_status(fields)
    if substate == _SUBSTATE_FINISHED and status == 0:
        return _End(JobState.COMPLETED, ExitReason.EXITED, 0)
    if substate == _SUBSTATE_FAILED or status:
        return _End(JobState.FAILED, ExitReason.EXITED)
    return _End(JobState.NEW)


def _exit_code(status: int | None) -> tuple[int | None, int | None]:
    """Turn an `Exit_status` into 128 + n for signal n, which came from outside (256 + n) or from the job (128 + n)."""
    if status is None or status < 0:
        return None, None
    for base in (_SIGNAL_FROM_OUTSIDE, 128):
        if status - base in _SIGNALS:
            return 128 + status - base, status - base
    return status, None


def _note_unknown(state: str) -> None:
    if state not in _unknown_states and len(_unknown_states) < _MOST_UNKNOWN_STATES:
        _unknown_states.add(state)
        logger.warning('The PBS job state %r is not known here; jobs in it stay as they were.', state)
