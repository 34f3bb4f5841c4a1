"""How and why a job ended, from the evidence that it did: the status and the exit information that say so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.evidence import Evidence
from psij_ext.runtime.records import ExitRecord, TermNote

# How a job can end of which the scheduler says that nobody ended it from outside.
BY_ITSELF = (ExitReason.EXITED, ExitReason.SIGNALED)
IN_VAIN = 'A job that it was to wait for ended otherwise than it was to.'

# A scheduler sends TERM a little before or after the limit by its own clock.
_LIMIT_TOLERANCE = 1.0
_SIGNALS = range(1, 65)
_SENT_TERM = 'The job was sent TERM; the scheduler does not say by whom.'
# bash(1), "EXIT STATUS": the command cannot be executed, or is not found.
_NO_COMMAND = (126, 127)
_BEFORE_LAUNCH = ('claim', 'task', 'directory', 'stage_in', 'pre_launch')
_REASONS = {
    JobState.COMPLETED: ExitReason.EXITED,
    JobState.FAILED: ExitReason.EXITED,
    JobState.CANCELED: ExitReason.CANCELED,
}


class End(NamedTuple):
    """How a job ended."""

    status: JobStatus
    exit_info: ExitInfo


def completed(record: ExitRecord) -> End:
    """The script says so, and nobody disturbed it."""
    info = ExitInfo(ExitReason.EXITED, exit_code=0)
    return End(JobStatus(JobState.COMPLETED, time=record.ended, exit_code=0), info)


def ended_for_cause(record: ExitRecord, cause: Observation, evidence: Evidence) -> End:
    """The scheduler knows why, the script its code; neither makes a success of what the other saw fail."""
    if cause.status.state is JobState.COMPLETED:
        if record.exit_code == 0 and record.launched:
            return completed(record)
        return ended_by_record(record, evidence, cause)
    if cause.status.state is JobState.FAILED and cause.reason in (None, *BY_ITSELF):
        return ended_by_record(record, evidence, cause)
    info = ExitInfo(
        cause.reason or ExitReason.CANCELED, exit_code=record.exit_code, signal=_signal(record),
        message=cause.status.message)
    status = JobStatus(
        cause.status.state, time=record.ended, message=cause.status.message, exit_code=record.exit_code,
        metadata=cause.status.metadata)
    return End(status, info)


def ended_by_record(record: ExitRecord, evidence: Evidence, cause: Observation | None = None) -> End:
    """The script tells how; the scheduler, in `cause`, at most that nobody ended the job from outside."""
    state, reason, message = _read_end(record, evidence, cause is not None and cause.reason in BY_ITSELF)
    if state is JobState.COMPLETED and cause is not None and cause.status.state is JobState.FAILED:
        return ended_by_scheduler(cause)
    signal = _signal(record)
    if reason is ExitReason.SIGNALED and signal is None:
        reason = ExitReason.EXITED
    if cause is not None and cause.status.message and not message:
        message = cause.status.message
    info = ExitInfo(reason, exit_code=record.exit_code, signal=signal, message=message)
    metadata = cause.status.metadata if cause is not None else None
    status = JobStatus(
        state, time=record.ended, message=message, exit_code=record.exit_code, metadata=metadata)
    return End(status, info)


def ended_by_scheduler(source: Observation) -> End:
    """The scheduler alone tells of the end."""
    reason = source.reason or (_REASONS[source.status.state] if source.signal is None else ExitReason.SIGNALED)
    info = ExitInfo(reason, exit_code=source.status.exit_code, signal=source.signal,
                    message=source.status.message)
    return End(source.status, info)


def ended_in_vain(message: str, time: float | None = None, metadata: Mapping[str, object] | None = None) -> End:
    """Say that a job could never begin; no exit code is its own."""
    status = JobStatus(JobState.FAILED, time=time, message=message, metadata=None if metadata is None else {**metadata})
    return End(status, ExitInfo(ExitReason.DEPENDENCY_FAILED, message=message))


def never_launched(source: Observation, evidence: Evidence) -> End:
    """The exit code is none of the job's: Slurm gives 1 to jobs that a node refused to start."""
    message = 'The script of the job never began.'
    if evidence.left_preparing:
        message = 'The pre-launch script ended or replaced the shell of the job (by `exec`?); nothing was launched.'
    if source.status.message:
        message += f' The scheduler says {source.status.message!r}.'
    status = JobStatus(JobState.FAILED, time=source.status.time, message=message, metadata=source.status.metadata)
    return End(status, ExitInfo(ExitReason.LAUNCH_FAILED, message=message))


def without_exit_code(source: Observation) -> End:
    """Say of a job that is called completed that its script, which leaves its exit code, did not come to that."""
    message = 'The job is over, and its script left no exit code: it did not come to its end.'
    if source.status.message:
        message += f' The scheduler says {source.status.message!r}.'
    status = JobStatus(JobState.FAILED, time=source.status.time, message=message, metadata=source.status.metadata)
    return End(status, ExitInfo(ExitReason.LOST, message=message))


def killed_after_term(note: TermNote, evidence: Evidence) -> End:
    """A script that was sent TERM and leaves no record was killed, and nobody knows how its command ended."""
    if _took_its_time(note.began, note.seen, evidence):
        message = _limit_message(evidence)
        return End(
            JobStatus(JobState.FAILED, message=message), ExitInfo(ExitReason.TIMEOUT, message=message))
    return ended_by_cancel(None if evidence.cancel_acknowledged else _SENT_TERM)


def ended_by_cancel(message: str | None) -> End:
    """Somebody cancelled the job, and no exit code of it is known."""
    return End(JobStatus(JobState.CANCELED, message=message), ExitInfo(ExitReason.CANCELED, message=message))


def gone(last_seen: Observation) -> End:
    """A job of which the queue told why it is about to end is over when it left the queue and does not wait again."""
    status, reason = over(last_seen), last_seen.reason or ExitReason.LOST
    if status.message is None:
        status.message = f'The job was in the queue as {str(reason)!r} when it was last seen there.'
    return End(status, ExitInfo(reason, message=status.message))


def over(last_seen: Observation) -> JobStatus:
    """Give the final status of a job of which the queue told why it is about to end."""
    status = last_seen.status
    state = JobState.CANCELED if last_seen.reason is ExitReason.CANCELED else JobState.FAILED
    return JobStatus(state, status.time, status.message, status.exit_code, status.metadata)


def _read_end(record: ExitRecord, evidence: Evidence,
              by_itself: bool) -> tuple[JobState, ExitReason, str | None]:
    """Say how the job ended; `by_itself` is whether the scheduler says that nobody ended it from outside."""
    if record.term_seen and _limit_reached(record, evidence):
        return JobState.FAILED, ExitReason.TIMEOUT, _limit_message(evidence)
    if evidence.cancel_acknowledged and (record.term_seen or (record.exit_code != 0 and not by_itself)):
        return JobState.CANCELED, ExitReason.CANCELED, None
    if record.term_seen and not by_itself:
        return JobState.CANCELED, ExitReason.CANCELED, None if record.ended_by == 'cancel' else _SENT_TERM
    if not record.launched and record.phase != 'launch':
        reason = ExitReason.LAUNCH_FAILED if record.phase in _BEFORE_LAUNCH else ExitReason.EXITED
        return JobState.FAILED, reason, _failed_step_message(record)
    if record.exit_code == 0 and record.launched:
        return JobState.COMPLETED, ExitReason.EXITED, None
    if record.unbegun is not None:
        return JobState.FAILED, ExitReason.LAUNCH_FAILED, _unbegun_message(record.unbegun, record.exit_code)
    return JobState.FAILED, ExitReason.SIGNALED if record.exit_code > 128 else ExitReason.EXITED, None


def _signal(record: ExitRecord) -> int | None:
    return record.exit_code - 128 if record.exit_code - 128 in _SIGNALS else None


def _failed_step_message(record: ExitRecord) -> str:
    if record.phase == 'pre_launch' and record.exit_code == 0:
        return 'The pre-launch script ended the job, by `exit` or `exec`; nothing was launched.'
    return f'The job\'s step {record.phase!r} failed.'


def _unbegun_message(what: str, exit_code: int) -> str:
    if exit_code in _NO_COMMAND:
        return f'The command {what} could not be started.'
    return f'The command was not started: {what} could not be opened.'


def _limit_reached(record: ExitRecord, evidence: Evidence) -> bool:
    if record.ended_by is not None:
        return record.ended_by == 'limit'
    return record.began is not None and _took_its_time(record.began, record.ended, evidence)


def _took_its_time(began: float, ended: float, evidence: Evidence) -> bool:
    return evidence.time_limit is not None and ended - began >= evidence.time_limit - _LIMIT_TOLERANCE


def _limit_message(evidence: Evidence) -> str:
    limit = '' if evidence.time_limit is None else f' of {evidence.time_limit:g} s'
    return f'The wall time{limit} was over.'
