"""What is true about a job: from all that is known at a moment to a judgement, without I/O.

The order of trust, first to last: the exit record of the job's own script; presence in the live queue; a
final state in the queue or in accounting; our own acknowledged cancel together with absence; absence
everywhere for long. A query that failed is no evidence.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

from psij_ext.core.exit_info import ExitInfo, ExitReason, ResourceUsage
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.evidence import Evidence, Patience, Presence
from psij_ext.runtime.records import DEPENDENCY_PHASE, ExitRecord, ProgressEntry, TermNote
from psij_ext.runtime.usage import Request, usage_of

# A scheduler sends TERM a little before or after the limit by its own clock.
_LIMIT_TOLERANCE = 1.0
# Less than any clock's error, more than that of adding and subtracting its readings.
_ROUNDING = 1e-6
_SIGNALS = range(1, 65)
_SENT_TERM = 'The job was sent TERM; the scheduler does not say by whom.'
# bash(1), "EXIT STATUS": the command cannot be executed, or is not found.
_NO_COMMAND = (126, 127)
_IN_VAIN = 'A job that it was to wait for ended otherwise than it was to.'
_BEFORE_LAUNCH = ('claim', 'directory', 'stage_in', 'pre_launch')


@dataclass(frozen=True)
class Judgement:
    """What follows from the evidence: a status, or none; with `exit_info` the job is over."""

    status: JobStatus | None = None
    exit_info: ExitInfo | None = None
    requeued: bool = False
    wants_cause: bool = False


def judge(evidence: Evidence, patience: Patience) -> Judgement:
    """Say what is true about a job."""
    judgement = _judge(evidence, patience)
    if judgement.exit_info is None:
        return judgement
    return replace(judgement, exit_info=replace(judgement.exit_info, usage=_usage(evidence)))


def _judge(evidence: Evidence, patience: Patience) -> Judgement:
    record = _current_record(evidence)
    if record is not None:
        return _judge_ended(record, evidence, patience)
    if evidence.queue is not None and not evidence.queue.status.final:
        return _judge_alive(evidence.queue, evidence)
    ends = [*_ends(evidence), _put_off(evidence)]
    if ends[0] is not None:
        return _ended_without_record(ends[0], evidence, patience)
    if evidence.folder_answers and evidence.queue_presence is Presence.ABSENT and (
            not evidence.has_accounting or evidence.accounting_presence is Presence.ABSENT):
        return _judge_absent(evidence, patience)
    if evidence.progress:
        return Judgement(_progress_status(evidence.progress[-1]))
    return Judgement()


def _current_record(evidence: Evidence) -> ExitRecord | None:
    """An exit record counts for its own attempt only: a later one may be running by now."""
    record = evidence.exit_record
    if record is None:
        return None
    later = [entry.attempt for entry in evidence.progress]
    if evidence.queue is not None and not evidence.queue.status.final and evidence.queue.attempt is not None:
        later.append(evidence.queue.attempt)
    return None if later and max(later) > record.attempt else record


def _current_accounting(evidence: Evidence) -> Observation | None:
    """What accounting says counts unless it is about a run before the one that the script tells of."""
    accounting = evidence.accounting
    if accounting is None or accounting.attempt is None:
        return accounting
    return None if any(entry.attempt > accounting.attempt for entry in evidence.progress) else accounting


def _ends(evidence: Evidence) -> list[Observation]:
    """What calls the job over, best first. Accounting may tell who cancelled it where the queue does not (Slurm)."""
    known = (evidence.queue, _current_accounting(evidence))
    ends = [source for source in known if source is not None and source.status.final]
    if len(ends) > 1 and ends[0].status.state is ends[1].status.state and ends[0].status.message is None:
        status = copy.copy(ends[0].status)
        status.message = ends[1].status.message
        ends[0] = replace(ends[0], status=status)
    return ends


def _last_words(evidence: Evidence) -> Observation | None:
    """What the queue last said of the job, where that may be why it is over now.

    It is not where a later run has begun since.
    """
    said = evidence.queue or evidence.last_seen
    if said is None or said.reason is None or said.status.final:
        return None
    begun = max((entry.attempt for entry in evidence.progress), default=1)
    return None if said.attempt is not None and said.attempt < begun else said


def _judge_ended(record: ExitRecord, evidence: Evidence, patience: Patience) -> Judgement:
    if record.phase == DEPENDENCY_PHASE:
        return _in_vain(evidence.in_vain or _IN_VAIN, record.ended)
    undisturbed = not record.term_seen and not evidence.cancel_acknowledged
    if record.exit_code == 0 and record.launched and undisturbed:
        return _completed(record)
    queue = evidence.queue
    if queue is not None and queue.status.state is JobState.QUEUED:
        return Judgement(queue.status, requeued=True)
    ends = _ends(evidence)
    if ends:
        return _ended_for_cause(record, ends[0], evidence)
    # Accounting may lag behind the queue, so its silence is waited out; a queue that forgot the job adds
    # nothing later.
    nobody_else_knows = evidence.queue_presence is Presence.ABSENT and not evidence.has_accounting
    if nobody_else_knows or (evidence.waited_for_cause or 0.0) >= patience.for_cause - _ROUNDING:
        said = _last_words(evidence)
        if said is not None:
            return _ended_for_cause(record, replace(said, status=_over(said)), evidence)
        return _ended_by_record(record, evidence)
    return Judgement(_progress_status(evidence.progress[-1]) if evidence.progress else None, wants_cause=True)


def _completed(record: ExitRecord) -> Judgement:
    info = ExitInfo(ExitReason.EXITED, exit_code=0)
    return Judgement(JobStatus(JobState.COMPLETED, time=record.ended, exit_code=0), info)


def _ended_for_cause(record: ExitRecord, cause: Observation, evidence: Evidence) -> Judgement:
    """The scheduler knows why, the script its code; neither makes a success of what the other saw fail."""
    if cause.status.state is JobState.COMPLETED:
        if record.exit_code == 0 and record.launched:
            return _completed(record)
        return _ended_by_record(record, evidence, cause)
    if cause.status.state is JobState.FAILED and cause.reason in (None, *_BY_ITSELF):
        return _ended_by_record(record, evidence, cause)
    info = ExitInfo(
        cause.reason or ExitReason.CANCELED, exit_code=record.exit_code, signal=_signal(record),
        message=cause.status.message)
    status = JobStatus(
        cause.status.state, time=record.ended, message=cause.status.message, exit_code=record.exit_code,
        metadata=cause.status.metadata)
    return Judgement(status, info)


def _ended_by_record(record: ExitRecord, evidence: Evidence, cause: Observation | None = None) -> Judgement:
    state, reason, message = _read_end(record, evidence, cause is not None and cause.reason in _BY_ITSELF)
    if state is JobState.COMPLETED and cause is not None and cause.status.state is JobState.FAILED:
        return _ended_by_scheduler(cause)
    signal = _signal(record)
    if reason is ExitReason.SIGNALED and signal is None:
        reason = ExitReason.EXITED
    if cause is not None and cause.status.message and not message:
        message = cause.status.message
    info = ExitInfo(reason, exit_code=record.exit_code, signal=signal, message=message)
    metadata = cause.status.metadata if cause is not None else None
    status = JobStatus(
        state, time=record.ended, message=message, exit_code=record.exit_code, metadata=metadata)
    return Judgement(status, info)


def _signal(record: ExitRecord) -> int | None:
    return record.exit_code - 128 if record.exit_code - 128 in _SIGNALS else None


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


def _ended_without_record(source: Observation, evidence: Evidence, patience: Patience) -> Judgement:
    """A script of ours that leaves no record was killed, or never began; by our cancel, where nobody knows better.

    OpenPBS was seen to call jobs that were deleted while they began failed, or even finished with exit status 0.
    """
    canceled = evidence.cancel_acknowledged and evidence.leaves_record
    if not canceled and (source.reason is ExitReason.DEPENDENCY_FAILED
                         or (evidence.in_vain is not None and _is_without_cause(source))):
        why = evidence.in_vain or source.status.message or _IN_VAIN
        return _in_vain(why, source.status.time, source.status.metadata)
    # Slurm leaves the reason why a job waited in vain on one that was cancelled while it did.
    in_vain = source.status.state is JobState.CANCELED and source.reason is ExitReason.DEPENDENCY_FAILED
    if not canceled or not (in_vain or source.reason in (None, *_BY_ITSELF)):
        if evidence.traceless_for is not None and _is_exit(source, evidence):
            late = evidence.traceless_for >= patience.for_trace - _ROUNDING
            return _never_launched(source, evidence) if late else Judgement()
        return _ended_by_scheduler(source)
    # What is said of a job that is not called cancelled is about something else.
    message = source.status.message if source.reason is ExitReason.CANCELED else None
    status = JobStatus(JobState.CANCELED, time=source.status.time, message=message, metadata=source.status.metadata)
    return Judgement(status, ExitInfo(ExitReason.CANCELED, signal=source.signal, message=message))


def _in_vain(message: str, time: float | None = None, metadata: Mapping[str, object] | None = None) -> Judgement:
    """Say that a job could never begin; no exit code is its own."""
    status = JobStatus(JobState.FAILED, time=time, message=message, metadata=None if metadata is None else {**metadata})
    return Judgement(status, ExitInfo(ExitReason.DEPENDENCY_FAILED, message=message))


def _is_without_cause(source: Observation) -> bool:
    """Whether the scheduler says that somebody ended the job, or that nobody began it, and no more."""
    canceled = source.status.state is JobState.CANCELED and source.reason in (None, ExitReason.CANCELED)
    return canceled or source.reason is ExitReason.NEVER_STARTED


def _put_off(evidence: Evidence) -> Observation | None:
    """The end that the queue told of and has forgotten while a trace of the script was waited for."""
    said = evidence.last_seen
    forgotten = evidence.traceless_for is not None and evidence.queue_presence is Presence.ABSENT
    return said if forgotten and said is not None and _is_exit(said, evidence) else None


def _is_exit(source: Observation, evidence: Evidence) -> bool:
    """Whether the scheduler says that the script ended by itself, and not as if it had done its work."""
    if source.reason not in (None, ExitReason.EXITED) or source.signal is not None:
        return False
    return source.status.state is JobState.FAILED or (
        source.status.state is JobState.COMPLETED and evidence.left_preparing)


def _never_launched(source: Observation, evidence: Evidence) -> Judgement:
    """The exit code is none of the job's: Slurm gives 1 to jobs that a node refused to start."""
    message = 'The script of the job never began.'
    if evidence.left_preparing:
        message = 'The pre-launch script ended or replaced the shell of the job (by `exec`?); nothing was launched.'
    if source.status.message:
        message += f' The scheduler says {source.status.message!r}.'
    status = JobStatus(JobState.FAILED, time=source.status.time, message=message, metadata=source.status.metadata)
    return Judgement(status, ExitInfo(ExitReason.LAUNCH_FAILED, message=message))


def _ended_by_scheduler(source: Observation) -> Judgement:
    reason = source.reason or (_REASONS[source.status.state] if source.signal is None else ExitReason.SIGNALED)
    info = ExitInfo(reason, exit_code=source.status.exit_code, signal=source.signal,
                    message=source.status.message)
    return Judgement(source.status, info)


_BY_ITSELF = (ExitReason.EXITED, ExitReason.SIGNALED)
_REASONS = {
    JobState.COMPLETED: ExitReason.EXITED,
    JobState.FAILED: ExitReason.EXITED,
    JobState.CANCELED: ExitReason.CANCELED,
}


def _judge_alive(observation: Observation, evidence: Evidence) -> Judgement:
    status = observation.status
    if status.state is JobState.NEW:
        # In the queue, in a state that says nothing certain: the job stays as it was, unless its script says
        # more.
        state = evidence.progress[-1].state if evidence.progress else JobState.NEW
        return Judgement(JobStatus(state, message=status.message, metadata=status.metadata))
    if status.state is JobState.QUEUED:
        # The queue knows this better than what it, or the job's script, said before.
        return Judgement(status, requeued=True)
    if evidence.progress:
        entry = evidence.progress[-1]
        return Judgement(
            JobStatus(entry.state, time=entry.time, message=status.message, metadata=status.metadata))
    if evidence.stages_in:
        # The scheduler calls it running from the script's first line; only the script knows when it has
        # staged in.
        return Judgement(
            JobStatus(JobState.QUEUED, time=status.time, message=status.message, metadata=status.metadata))
    return Judgement(status)


def _judge_absent(evidence: Evidence, patience: Patience) -> Judgement:
    if evidence.in_vain is not None and not evidence.cancel_acknowledged:
        return _in_vain(evidence.in_vain)
    said = _last_words(evidence)
    if said is not None:
        return _gone(said)
    if evidence.term_note is not None:
        return _killed_after_term(evidence.term_note, evidence)
    if evidence.cancel_acknowledged or (evidence.taken_out and not evidence.progress):
        return _canceled(None if evidence.cancel_acknowledged else 'It was taken out of its array while it waited.')
    if (evidence.absent_for or 0.0) < patience.for_absent:
        return Judgement(_progress_status(evidence.progress[-1]) if evidence.progress else None)
    where = ' from the queue, is not in accounting,' if evidence.has_accounting else ''
    message = (f'The job is gone{where} and left no record of its end'
               + (f' for {patience.for_absent:g} s.' if patience.for_absent else '.')
               + (' It did not come back from its pre-launch script.' if evidence.left_preparing else ''))
    return Judgement(JobStatus(JobState.FAILED, message=message), ExitInfo(ExitReason.LOST, message=message))


def _killed_after_term(note: TermNote, evidence: Evidence) -> Judgement:
    """A script that was sent TERM and leaves no record was killed, and nobody knows how its command ended."""
    if _took_its_time(note.began, note.seen, evidence):
        message = _limit_message(evidence)
        return Judgement(
            JobStatus(JobState.FAILED, message=message), ExitInfo(ExitReason.TIMEOUT, message=message))
    return _canceled(None if evidence.cancel_acknowledged else _SENT_TERM)


def _canceled(message: str | None) -> Judgement:
    return Judgement(JobStatus(JobState.CANCELED, message=message), ExitInfo(ExitReason.CANCELED, message=message))


def _gone(last_seen: Observation) -> Judgement:
    """A job of which the queue told why it is about to end is over when it left the queue and does not wait again."""
    status, reason = _over(last_seen), last_seen.reason or ExitReason.LOST
    if status.message is None:
        status.message = f'The job was in the queue as {str(reason)!r} when it was last seen there.'
    return Judgement(status, ExitInfo(reason, message=status.message))


def _over(last_seen: Observation) -> JobStatus:
    status = last_seen.status
    state = JobState.CANCELED if last_seen.reason is ExitReason.CANCELED else JobState.FAILED
    return JobStatus(state, status.time, status.message, status.exit_code, status.metadata)


def _progress_status(entry: ProgressEntry) -> JobStatus:
    return JobStatus(entry.state, time=entry.time)


def _usage(evidence: Evidence) -> ResourceUsage:
    """What the job used: accounting knows it best, then a queue that calls the job over, then its script."""
    record = _current_record(evidence)
    latest = 1 if record is None else record.attempt
    accounted = [source.usage for source in (_current_accounting(evidence), evidence.queue)
                 if source is not None and source.status.final and (source.attempt or latest) >= latest]
    queue = evidence.queue
    in_queue = queue.queue_usage if queue is not None and (queue.attempt or latest) >= latest else None
    ran = bool(evidence.progress) or (record is not None and record.began is not None)
    return usage_of(accounted, record, evidence.request or Request(), ran, in_queue)
