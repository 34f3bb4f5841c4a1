"""What Slurm's commands print, and what it means: state tables, and the rows of squeue, sacct and scontrol.

States: squeue(1) and sacct(1), "JOB STATE CODES". Formats were chosen so that no field a user can name is
among them, and the reason, the only one of free form, comes last.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation, Site
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus

logger = logging.getLogger(__name__)

# A suffix separates the columns (squeue(1), --Format, since Slurm 20.02); without one, wide columns run into
# one another.
QUEUE_FORMAT = ','.join(f'{column}:|' for column in (
    'JobArrayID', 'State', 'exit_code', 'RestartCnt', 'StartTime', 'Cluster', 'Reason'))
ACCOUNTING_FORMAT = 'JobID,State,ExitCode,Cluster,Reason'

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
_DIGITS = re.compile('[0-9]{1,18}')

# slurmd ends a job so when it could not set it up, for one because its output file cannot be made.
_LAUNCH_FAILURE_SIGNAL = 53
_SIGNALS = range(1, 65)
_NO_REASON = ('', 'None')


def parse_queue(text: str, own_cluster: str | None = None) -> dict[str, Observation]:
    """Read squeue's rows in `QUEUE_FORMAT`; a row that cannot be read is passed over.

    :param text: what squeue printed.
    :param own_cluster: the cluster whose jobs have ids without a cluster's name; None if it is not known.
    """
    observations: dict[str, Observation] = {}
    for line in text.splitlines():
        fields = line.rstrip('\n').split('|', 6)
        if len(fields) != 7 or not fields[0][:1].isdigit():
            continue
        native_id, state, exit_status, restarts, start, cluster, reason = (field.strip() for field in fields)
        code, signal = _wait_status(exit_status)
        observation = _observe(state, code, signal, reason.rstrip('|').strip())
        expected_start = _number(start)
        if observation.status.state is JobState.QUEUED and expected_start is not None:
            metadata = {**(observation.status.metadata or {}), 'expected_start': float(expected_start)}
            observation = replace(observation, status=_with_metadata(observation.status, metadata))
        _add(observations, native_id, cluster, own_cluster, _with_attempt(observation, restarts))
    return observations


def parse_accounting(text: str, own_cluster: str | None = None) -> dict[str, Observation]:
    """Read sacct's rows in `ACCOUNTING_FORMAT`; a row that cannot be read is passed over.

    :param text: what sacct printed.
    :param own_cluster: the cluster whose jobs have ids without a cluster's name; None if it is not known.
    """
    observations: dict[str, Observation] = {}
    for line in text.splitlines():
        fields = line.split('|', 4)
        if len(fields) != 5 or not fields[0][:1].isdigit():
            continue
        native_id, state, exit_code, cluster, reason = (field.strip() for field in fields)
        code, _, signal = exit_code.partition(':')
        observation = _observe(state, _number(code), _number(signal), reason)
        if observation.status.state is JobState.NEW and observation.reason is not None:
            # In accounting these are the end of a run; whether another follows, the queue says.
            observation = replace(observation, status=_with_state(observation.status, JobState.FAILED))
        _add(observations, native_id, cluster, own_cluster, observation)
    return observations


def parse_config(text: str) -> Site:
    """Read what `scontrol show config` tells of a site."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition('=')
        if equals:
            values.setdefault(name.strip(), value.strip())
    storage = values.get('AccountingStorageType', '')
    cluster = values.get('ClusterName')
    return Site(
        product='slurm',
        version=tuple(int(part) for part in _DIGITS.findall(values.get('SLURM_VERSION', ''))[:3]),
        accounting='slurmdbd' in storage if storage else None,
        max_array_size=_number(values.get('MaxArraySize', '')),
        clusters=(cluster,) if cluster else None)


def _observe(native_state: str, code: int | None, signal: int | None, native_reason: str) -> Observation:
    state, reason = _meaning(native_state)
    metadata: dict[str, object] = {'native_state': native_state}
    if native_reason not in _NO_REASON:
        metadata['native_reason'] = native_reason
    message = str(metadata.get('native_reason', '')) or None
    if not state.final:
        return Observation(JobStatus(state, message=message, metadata=metadata), reason)
    if signal == _LAUNCH_FAILURE_SIGNAL and state is JobState.FAILED:
        reason, signal = ExitReason.LAUNCH_FAILED, None
    elif signal is not None and signal not in _SIGNALS:
        signal = None
    elif signal and reason is ExitReason.EXITED:
        reason = ExitReason.SIGNALED
    if state is JobState.CANCELED and native_state != 'CANCELLED':
        message = native_state
    if state is JobState.COMPLETED:
        message = None
    # A job that did not end by itself is given exit code 0 by Slurm, which says nothing.
    exit_code = 128 + signal if signal else code if code or state is JobState.COMPLETED else None
    status = JobStatus(state, message=message, exit_code=exit_code, metadata=metadata)
    return Observation(status, reason, signal or None)


def _meaning(native_state: str) -> tuple[JobState, ExitReason | None]:
    """Look a state up; several at once are a base state with flags: the job is over only if all say so."""
    words = [_SHORT.get(word, word) for word in re.split(r'[+,]', native_state.split(' ')[0].upper()) if word]
    known = [_STATES[word] for word in words if word in _STATES]
    for word in words:
        if word not in _STATES and word not in _unknown_states:
            _unknown_states.add(word)
            logger.warning('Slurm\'s job state %r is not known here; jobs in it stay as they were.', word)
    if len(known) != len(words) or not known:
        return JobState.NEW, None
    alive: list[tuple[JobState, ExitReason | None]] = [meaning for meaning in known if not meaning[0].final]
    return (alive or known)[0]


def _wait_status(text: str) -> tuple[int | None, int | None]:
    """Split a raw wait status, as squeue's exit_code is, into exit code and signal."""
    status = _number(text)
    if status is None:
        return None, None
    signal = status & 127
    # Where a signal ended it, the upper bits were seen to hold anything.
    return (None if signal else status >> 8), signal


def _number(text: str) -> int | None:
    return int(text) if _DIGITS.fullmatch(text) else None


def _with_attempt(observation: Observation, restarts: str) -> Observation:
    count = _number(restarts)
    return observation if count is None else replace(observation, attempt=count + 1)


def _with_state(status: JobStatus, state: JobState) -> JobStatus:
    return JobStatus(state, status.time, status.message, status.exit_code, status.metadata)


def _with_metadata(status: JobStatus, metadata: dict[str, object]) -> JobStatus:
    return JobStatus(status.state, status.time, status.message, status.exit_code, metadata)


def _add(observations: dict[str, Observation], native_id: str, cluster: str, own_cluster: str | None,
         observation: Observation) -> None:
    """Each cluster counts ids for itself; jobs submitted to another than the own carry its name."""
    if own_cluster in (None, cluster) or cluster in ('', 'N/A'):
        observations[native_id] = observation
    if cluster and cluster != 'N/A':
        observations[f'{native_id};{cluster}'] = observation
