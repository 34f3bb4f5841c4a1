"""The states of Slurm's jobs, and what they mean: squeue(1) and sacct(1), "JOB STATE CODES"."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass, replace
from datetime import datetime, timezone

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus

logger = logging.getLogger(__name__)

# The state of ours, and the reason where it is an end. NEW stands for "in the queue; what it does is not
# known": so are states that a requeue may follow, which are an end only when the job has left the queue.
_STATES: dict[str, tuple[JobState, ExitReason | None]] = {
    'PENDING': (JobState.QUEUED, None),
    'CONFIGURING': (JobState.QUEUED, None),
    'EXPEDITING': (JobState.QUEUED, None),
    'POWER_UP_NODE': (JobState.QUEUED, None),
    'REQUEUED': (JobState.QUEUED, None),
    'REQUEUE_FED': (JobState.QUEUED, None),
    'REQUEUE_HOLD': (JobState.QUEUED, None),
    'RESV_DEL_HOLD': (JobState.QUEUED, None),
    'SPECIAL_EXIT': (JobState.QUEUED, None),
    'RUNNING': (JobState.ACTIVE, None),
    'COMPLETING': (JobState.ACTIVE, None),
    'RESIZING': (JobState.ACTIVE, None),
    'SIGNALING': (JobState.ACTIVE, None),
    'STAGE_OUT': (JobState.ACTIVE, None),
    'STOPPED': (JobState.ACTIVE, None),
    'SUSPENDED': (JobState.ACTIVE, None),
    'COMPLETED': (JobState.COMPLETED, ExitReason.EXITED),
    'CANCELLED': (JobState.CANCELED, ExitReason.CANCELED),
    'FAILED': (JobState.FAILED, ExitReason.EXITED),
    'DEADLINE': (JobState.FAILED, ExitReason.TIMEOUT),
    'TIMEOUT': (JobState.FAILED, ExitReason.TIMEOUT),
    'OUT_OF_MEMORY': (JobState.FAILED, ExitReason.OUT_OF_MEMORY),
    'LAUNCH_FAILED': (JobState.FAILED, ExitReason.LAUNCH_FAILED),
    'RECONFIG_FAIL': (JobState.FAILED, ExitReason.LAUNCH_FAILED),
    'BOOT_FAIL': (JobState.NEW, ExitReason.NODE_FAILURE),
    'NODE_FAIL': (JobState.NEW, ExitReason.NODE_FAILURE),
    'PREEMPTED': (JobState.NEW, ExitReason.PREEMPTED),
    'REVOKED': (JobState.NEW, None),
    'UPDATE_DB': (JobState.NEW, None),
}
_SHORT = {
    'BF': 'BOOT_FAIL', 'CA': 'CANCELLED', 'CD': 'COMPLETED', 'CF': 'CONFIGURING', 'CG': 'COMPLETING',
    'DL': 'DEADLINE', 'EX': 'EXPEDITING', 'F': 'FAILED', 'LF': 'LAUNCH_FAILED', 'NF': 'NODE_FAIL',
    'OOM': 'OUT_OF_MEMORY', 'PD': 'PENDING', 'PR': 'PREEMPTED', 'R': 'RUNNING', 'RD': 'RESV_DEL_HOLD',
    'RF': 'REQUEUE_FED', 'RH': 'REQUEUE_HOLD', 'RQ': 'REQUEUED', 'RS': 'RESIZING', 'RV': 'REVOKED',
    'S': 'SUSPENDED', 'SE': 'SPECIAL_EXIT', 'SI': 'SIGNALING', 'SO': 'STAGE_OUT', 'ST': 'STOPPED',
    'TO': 'TIMEOUT',
}
_unknown_states: set[str] = set()
# Garbled answers could bring new ones for ever.
_MOST_UNKNOWN_STATES = 100
_DIGITS = re.compile('[0-9]{1,18}')
_SPAN = re.compile(r'(?:(\d{1,6})-)?(?:(\d{1,6}):)?(\d{1,6}):(\d\d)(?:\.(\d{1,6}))?', re.ASCII)

# slurmd ends a job so when it could not set it up, for one because its output file cannot be made.
_LAUNCH_FAILURE_SIGNAL = 53
_SIGNALS = range(1, 65)
_NO_REASON = ('', 'None')
# What the exit code says, too; and what was seen of scripts that were killed while they ran (capture noacct-10-kill9).
_NON_ZERO, _LAUNCH_FAILURE = 'NonZeroExitCode', 'JobLaunchFailure'
# Seen with `sbatch --kill-on-invalid-dep=yes`: nobody else cancelled the job.
_VAIN_DEPENDENCY = 'DependencyNeverSatisfied'
# Seen on jobs that sbatch refused, and that stand in the queue all the same: they never ran.
_IMPOSSIBLE = 'BadConstraints'


@dataclass(frozen=True)
class Told:
    """The fields of a row of squeue or sacct that say what a job does.

    :param state: the state's name or short form, or several joined by `,` or `+`.
    :param code: the exit code of its script.
    :param signal: the signal that ended its script.
    :param reason: why the job waits, or is over, in Slurm's words.
    """

    state: str
    code: int | None = None
    signal: int | None = None
    reason: str = ''


def observe(told: Told) -> Observation:
    """Say what the fields of a row mean."""
    state, reason = _meaning(told.state)
    metadata: dict[str, object] = {'native_state': told.state}
    message = None
    if told.reason not in _NO_REASON:
        metadata['native_reason'] = message = told.reason
    if not state.final:
        return Observation(JobStatus(state, message=message, metadata=metadata), reason)
    reason, signal = _cause(told, state, reason)
    if state is JobState.CANCELED and reason is not ExitReason.DEPENDENCY_FAILED:
        # Its reason is the one for which it waited.
        _, by, user = told.state.partition(' by ')
        message = f'It was cancelled by the user with the id {user}.' if by else None
    if state is JobState.COMPLETED or told.reason == _NON_ZERO:
        message = None
    elif reason is ExitReason.SIGNALED and told.reason == _LAUNCH_FAILURE:
        message = f'Its script was ended by signal {signal}.'
    # A job that did not end by itself is given exit code 0 by Slurm, which says nothing.
    code = told.code if reason is not ExitReason.NEVER_STARTED else None
    exit_code = 128 + signal if signal else code if code or state is JobState.COMPLETED else None
    return Observation(JobStatus(state, message=message, exit_code=exit_code, metadata=metadata), reason, signal)


def as_end(observation: Observation) -> Observation:
    """Say what a state means in accounting, where it is the end of a run; whether another follows, the queue says."""
    if observation.status.state is not JobState.NEW or observation.reason is None:
        return observation
    status = observation.status
    return replace(observation, status=JobStatus(
        JobState.FAILED, status.time, status.message, status.exit_code, status.metadata))


def number(text: str) -> int | None:
    """Read a number of plain digits; None if it is none."""
    return int(text) if _DIGITS.fullmatch(text) else None


def moment(text: str) -> datetime | None:
    """Read a moment in seconds since the epoch, as SLURM_TIME_FORMAT=%s makes commands write it; None for `Unknown`."""
    stamp = number(text)
    # Slurm's clocks end in 2106; what is later was seen to stand for nothing.
    return datetime.fromtimestamp(stamp, timezone.utc) if stamp and stamp < 1 << 32 else None


def seconds(text: str) -> float | None:
    """Read a span of time, such as `2-03:05:00`, `1:00` (a minute) or `00:00.725`; None if it is none."""
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, rest, fraction = match.groups()
    whole = ((int(days or 0) * 24 + int(hours or 0)) * 60 + int(minutes)) * 60 + int(rest)
    return whole + (float(f'0.{fraction}') if fraction else 0.0)


def _cause(told: Told, state: JobState, reason: ExitReason | None) -> tuple[ExitReason | None, int | None]:
    """Say why a job is over, and which signal ended it."""
    if state is JobState.FAILED and told.signal == _LAUNCH_FAILURE_SIGNAL:
        return ExitReason.LAUNCH_FAILED, None
    if state is JobState.FAILED and told.reason == _IMPOSSIBLE:
        return ExitReason.NEVER_STARTED, None
    if state is JobState.CANCELED and told.reason == _VAIN_DEPENDENCY:
        return ExitReason.DEPENDENCY_FAILED, None
    signal = told.signal if told.signal in _SIGNALS else None
    return (ExitReason.SIGNALED if signal and reason is ExitReason.EXITED else reason), signal


def _meaning(native_state: str) -> tuple[JobState, ExitReason | None]:
    """Look a state up; several at once are a base state with flags: the job is over only if all say so."""
    words = [_SHORT.get(word, word) for word in re.split(r'[+,]', native_state.split(' ')[0].upper()) if word]
    known = [_STATES[word] for word in words if word in _STATES]
    for word in words:
        if word not in _STATES and word not in _unknown_states and len(_unknown_states) < _MOST_UNKNOWN_STATES:
            _unknown_states.add(word)
            logger.warning('Slurm\'s job state %r is not known here; jobs in it stay as they were.', word)
    if len(known) != len(words) or not known:
        return JobState.NEW, None
    alive: list[tuple[JobState, ExitReason | None]] = [meaning for meaning in known if not meaning[0].final]
    return (alive or known)[0]
