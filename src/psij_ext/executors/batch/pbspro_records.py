"""What the commands of PBS Pro print, and what it means: states, exit statuses, and the records of qstat.

States, substates and exit statuses: PBS Reference Guide, "States" and "Job Exit Status Codes"; the rest was seen on
OpenPBS 23.06.
"""

from __future__ import annotations

import logging
import re
from typing import Dict, Mapping, Tuple

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation, Site
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus

logger = logging.getLogger(__name__)

# NEW stands for "known to the server; what it does is not": a job that was moved is at another server.
_STATES = {
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
_SUBSTATE_TERMINATED = '91'
_SUBSTATE_FINISHED = '92'
_TIMEOUTS = (-29, -28)             # wall time, CPU time
_MEMORY_EXCEEDED = (-27, -26)      # memory, virtual memory
_SIGNAL_FROM_OUTSIDE = 256
_SIGNALS = range(1, 65)
_unknown_states: set[str] = set()

_FIELD = re.compile(r'([\w.]+)=(.*)', re.DOTALL)
_SERVER_ATTRIBUTE = re.compile(r'^\s+(\w+) = (.*)$', re.MULTILINE)


def parse_jobs(text: str, delimiter: str) -> Dict[str, Observation]:
    """Read the records of `qstat -f -F dsv`; one that cannot be read is passed over.

    Jobs are found under the id that PBS gives and under its number alone, since users write either.
    """
    observations: Dict[str, Observation] = {}
    # A delimiter inside a value is escaped by a backslash, a newline is written as `\n`.
    split = re.compile(r'(?<!\\)' + re.escape(delimiter))
    for line in text.split('\n'):
        head, _, rest = line.partition(delimiter)
        if not head.startswith('Job Id: ') or not rest:
            continue
        native_id = head[len('Job Id: '):].strip()
        fields = {match[1]: match[2] for match in map(_FIELD.match, split.split(rest)) if match is not None}
        state = fields.get('job_state', '')
        if not state:
            logger.warning('The record of PBS job %s cannot be read and is passed over.', native_id)
            continue
        observation = _observe(native_id, state, fields)
        observations[native_id] = observation
        observations.setdefault(native_id.partition('.')[0], observation)
    return observations


def parse_server(text: str) -> Site:
    """Read what `qstat -B -f` tells of the server."""
    attributes = dict(_SERVER_ATTRIBUTE.findall(text))
    version = attributes.get('pbs_version', '')
    return Site(
        product='pbspro' if version else '',
        version=tuple(int(part) for part in re.findall(r'\d+', version)[:3]),
        # An attribute that was never set is not printed, and history is off unless it was switched on.
        history=attributes.get('job_history_enable') == 'True' if version else None,
        max_array_size=_number(attributes.get('max_array_size')))


def _observe(native_id: str, state: str, fields: Mapping[str, str]) -> Observation:
    if state not in _STATES and state not in _unknown_states:
        _unknown_states.add(state)
        logger.warning('The state %r of PBS job %s is not known here; jobs in it stay as they were.', state, native_id)
    ours = _STATES.get(state, JobState.NEW)
    comment = fields.get('comment')
    metadata: Dict[str, object] = {'native_state': state}
    if comment:
        metadata['native_reason'] = comment
    attempt = _number(fields.get('run_count'))
    if not ours.final:
        return Observation(JobStatus(ours, message=comment, metadata=metadata), attempt=attempt or None)
    ours, reason, exit_code, signal = _end(fields)
    message = None if ours is JobState.COMPLETED else comment
    return Observation(JobStatus(ours, message=message, exit_code=exit_code, metadata=metadata), reason, signal,
                       attempt=attempt or None)


def _end(fields: Mapping[str, str]) -> Tuple[JobState, ExitReason, int | None, int | None]:
    """Read how a finished job ended: state, reason, exit code and signal.

    `Exit_status` is read here only: it also stands, from an earlier run, in jobs that are not over.
    """
    status = _number(fields.get('Exit_status'))
    exit_code, signal = _exit_code(status)
    if fields.get('substate') == _SUBSTATE_TERMINATED:
        return JobState.CANCELED, ExitReason.CANCELED, exit_code, signal
    if status is None:
        if 'stime' in fields:
            return JobState.FAILED, ExitReason.LOST, None, None
        # Seen on jobs whose dependency failed, and on no others.
        waited_in_vain = fields.get('substate') == _SUBSTATE_FINISHED
        return JobState.FAILED, (
            ExitReason.DEPENDENCY_FAILED if waited_in_vain else ExitReason.NEVER_STARTED), None, None
    if status == 0:
        return JobState.COMPLETED, ExitReason.EXITED, 0, None
    if status in _TIMEOUTS:
        return JobState.FAILED, ExitReason.TIMEOUT, None, None
    if status in _MEMORY_EXCEEDED:
        return JobState.FAILED, ExitReason.OUT_OF_MEMORY, None, None
    if status < 0:
        return JobState.FAILED, ExitReason.LAUNCH_FAILED, None, None
    return JobState.FAILED, ExitReason.EXITED if signal is None else ExitReason.SIGNALED, exit_code, signal


def _exit_code(status: int | None) -> Tuple[int | None, int | None]:
    """Turn an `Exit_status` into 128 + n for signal n, which came from outside (256 + n) or from the job (128 + n)."""
    if status is None or status < 0:
        return None, None
    for base in (_SIGNAL_FROM_OUTSIDE, 128):
        if status - base in _SIGNALS:
            return 128 + status - base, status - base
    return status, None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and re.fullmatch(r'-?\d{1,18}', text, re.ASCII) else None
