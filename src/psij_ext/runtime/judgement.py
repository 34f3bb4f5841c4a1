"""What is true about a job: from all that is known at a moment to a judgement, without I/O.

The order of trust, first to last: the exit record of the job's own script; presence in the live queue; a
final state in the queue or in accounting; our own acknowledged cancel together with absence; absence
everywhere for long. A query that failed is no evidence.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from psij_ext.core.exit_info import ExitInfo, ExitReason, ResourceUsage
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.causes import (
    BY_ITSELF,
    IN_VAIN,
    completed,
    ended_by_cancel,
    ended_by_record,
    ended_by_scheduler,
    ended_for_cause,
    ended_in_vain,
    gone,
    killed_after_term,
    never_launched,
    over,
    without_exit_code,
)
from psij_ext.runtime.evidence import Evidence, Patience, Presence
from psij_ext.runtime.records import DEPENDENCY_PHASE, ExitRecord, ProgressEntry
from psij_ext.runtime.usage import Request, usage_of

# Less than any clock's error, more than that of adding and subtracting its readings.
_ROUNDING = 1e-6


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
        return Judgement(*ended_in_vain(evidence.in_vain or IN_VAIN, record.ended))
    undisturbed = not record.term_seen and not evidence.cancel_acknowledged
    if record.exit_code == 0 and record.launched and undisturbed:
        return Judgement(*completed(record))
    queue = evidence.queue
    if queue is not None and queue.status.state is JobState.QUEUED:
        return Judgement(queue.status, requeued=True)
    ends = _ends(evidence)
    if ends:
        return Judgement(*ended_for_cause(record, ends[0], evidence))
    # Accounting may lag behind the queue, so its silence is waited out; a queue that forgot the job adds
    # nothing later.
    nobody_else_knows = evidence.queue_presence is Presence.ABSENT and not evidence.has_accounting
    if nobody_else_knows or (evidence.waited_for_cause or 0.0) >= patience.for_cause - _ROUNDING:
        said = _last_words(evidence)
        if said is not None:
            return Judgement(*ended_for_cause(record, replace(said, status=over(said)), evidence))
        return Judgement(*ended_by_record(record, evidence))
    return Judgement(_progress_status(evidence.progress[-1]) if evidence.progress else None, wants_cause=True)


def _ended_without_record(source: Observation, evidence: Evidence, patience: Patience) -> Judgement:
    """A script of ours that leaves no record was killed, or never began; by our cancel, where nobody knows better.

    OpenPBS was seen to call jobs that were deleted while they began failed, or even finished with exit status 0.
    """
    canceled = evidence.cancel_acknowledged and evidence.leaves_record
    if not canceled and (source.reason is ExitReason.DEPENDENCY_FAILED
                         or (evidence.in_vain is not None and _is_without_cause(source))):
        why = evidence.in_vain or source.status.message or IN_VAIN
        return Judgement(*ended_in_vain(why, source.status.time, source.status.metadata))
    # Slurm leaves the reason why a job waited in vain on one that was cancelled while it did.
    in_vain = source.status.state is JobState.CANCELED and source.reason is ExitReason.DEPENDENCY_FAILED
    if not canceled or not (in_vain or source.reason in (None, *BY_ITSELF)):
        if evidence.owes_exit_code and source.status.exit_code is None:
            if source.status.state is JobState.COMPLETED:
                # Plugins of this kind were seen to call every job completed that is over.
                late = (evidence.traceless_for or 0.0) >= patience.for_trace - _ROUNDING
                return Judgement(*without_exit_code(source)) if late else Judgement()
        elif evidence.traceless_for is not None and _is_exit(source, evidence):
            late = evidence.traceless_for >= patience.for_trace - _ROUNDING
            return Judgement(*never_launched(source, evidence)) if late else Judgement()
        return Judgement(*ended_by_scheduler(source))
    # What is said of a job that is not called cancelled is about something else.
    message = source.status.message if source.reason is ExitReason.CANCELED else None
    status = JobStatus(JobState.CANCELED, time=source.status.time, message=message, metadata=source.status.metadata)
    return Judgement(status, ExitInfo(ExitReason.CANCELED, signal=source.signal, message=message))


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
        return Judgement(*ended_in_vain(evidence.in_vain))
    said = _last_words(evidence)
    if said is not None:
        return Judgement(*gone(said))
    if evidence.term_note is not None:
        return Judgement(*killed_after_term(evidence.term_note, evidence))
    if evidence.cancel_acknowledged or (evidence.taken_out and not evidence.progress):
        why = None if evidence.cancel_acknowledged else 'It was taken out of its array while it waited.'
        return Judgement(*ended_by_cancel(why))
    if (evidence.absent_for or 0.0) < patience.for_absent:
        return Judgement(_progress_status(evidence.progress[-1]) if evidence.progress else None)
    where = ' from the queue, is not in accounting,' if evidence.has_accounting else ''
    message = (f'The job is gone{where} and left no record of its end'
               + (f' for {patience.for_absent:g} s.' if patience.for_absent else '.')
               + (' It did not come back from its pre-launch script.' if evidence.left_preparing else ''))
    return Judgement(JobStatus(JobState.FAILED, message=message), ExitInfo(ExitReason.LOST, message=message))


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
