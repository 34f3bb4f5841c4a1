"""One followed job: the memory of the monitor between two rounds."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Callable, Optional, Tuple

from psij_ext.core.exit_info import ExitInfo
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation, Observations
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import FolderUnreadable
from psij_ext.runtime.dependencies import why_in_vain
from psij_ext.runtime.evidence import USUAL_PATIENCE, Evidence, Patience, Presence
from psij_ext.runtime.finding import has_lost
from psij_ext.runtime.identity import Identity
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.last_words import explanation
from psij_ext.runtime.records import DEPENDENCY_PHASE, ExitRecord, ProgressEntry, TermNote
from psij_ext.runtime.script import LAUNCHER_OUTPUT
from psij_ext.runtime.usage import Request, request_of

if TYPE_CHECKING:
    from psij_ext.runtime.answers import Answer

logger = logging.getLogger(__name__)

Said = Tuple[Presence, Optional[Observation]]
Report = Callable[[Job, JobStatus, Optional[ExitInfo], bool], None]


class Followed:
    """One job that is followed: what is known of it between two rounds.

    :param job: the job.
    :param native_id: what the scheduler calls it.
    :param folder: its folder; None for a job that was submitted by other means.
    :param report: called with job, status, exit information (with a final status) and whether it was
        requeued.
    :param submitted: seconds since the epoch before which the scheduler cannot know the job; now if None.
    :param stderr_path: where its standard error goes; to its folder if None.
    :param patience: how long to wait for better evidence.
    """

    __slots__ = (
        'absent_since', 'cancel_acknowledged', 'exit_record', 'folder', 'folder_answers', 'identity', 'job', 'kept_end',
        'last_seen', 'native_id', 'past_attempts', 'patience', 'progress', 'read_at', 'record_found_at', 'report',
        'reported_run', 'stderr_path', 'submitted', 'taken_out', 'traceless_since', 'waited_at')

    def __init__(self, job: Job, native_id: str, folder: JobFolder | None, report: Report,
                 submitted: float | None = None, stderr_path: Path | None = None,
                 patience: Patience = USUAL_PATIENCE) -> None:
        self.job = job
        self.native_id = native_id
        self.folder = folder
        self.report = report
        self.stderr_path = stderr_path
        self.patience = patience
        self.submitted = time.time() if submitted is None else submitted
        self.cancel_acknowledged = False
        # The end that was kept in the folder when that was first read; it may be pruned since.
        self.kept_end: tuple[JobStatus, ExitInfo] | None = None
        self.exit_record: ExitRecord | None = None
        self.progress: tuple[ProgressEntry, ...] = ()
        self.identity = Identity(native_id, folder, self.submitted)
        # Whether the folder could be read when that was last tried.
        self.folder_answers = True
        # So many runs are over for good: the queue has said since that the job waits for the next one.
        self.past_attempts = 0
        # When the folder last told something new: what the scheduler was asked before that may be out of
        # date.
        self.read_at = float('-inf')
        self.record_found_at: float | None = None
        self.absent_since: float | None = None
        self.last_seen: Observation | None = None
        # The run that was the latest when something was last reported.
        self.reported_run = 1
        # When the queue was asked for the last time that it knew the job, if the job waited then; and whether it was
        # taken out of its array since.
        self.waited_at: float | None = None
        self.taken_out = False
        # When it was first found over, and its script had left no trace of the latest run.
        self.traceless_since: float | None = None

    def read_folder(self, now: float) -> None:
        """Take in what the job's script wrote; what was read before stands while that cannot be read."""
        if self.folder is None:
            return
        try:
            record = self.folder.read_exit()
            progress = tuple(self.folder.read_progress())
        except FolderUnreadable as error:
            logger.debug('What the script of job %s wrote is not known now: %s', self.job.id, error)
            self.folder_answers = False
            return
        self.folder_answers = True
        if record is not None and not record.counts_runs:
            record = self._counted(record, progress)
        if record != self.exit_record or progress != self.progress:
            self.read_at = now
            self.record_found_at = None if record is None else now
            self.exit_record, self.progress = record, progress

    @property
    def gives_no_hints(self) -> bool:
        """Whether its folder has to be read to find out that it has news."""
        return self.folder is not None and self.folder.is_foreign

    def _counted(self, record: ExitRecord, progress: Sequence[ProgressEntry]) -> ExitRecord:
        """Say which run a record is about whose script does not: the latest, after those that are over for good."""
        known = self.exit_record
        if known is not None and (known.ended, known.exit_code) == (record.ended, record.exit_code):
            return known
        return replace(record, attempt=max(self.past_attempts + 1, *(entry.attempt for entry in progress), 1))

    def take_over(self, shadow: Followed, asked_at: float) -> None:
        """Go on from what was seen of the same job in a look at it.

        :param asked_at: when that began, by the clock of whoever follows the job now.
        """
        self.reported_run, self.last_seen, self.past_attempts = (
            shadow.reported_run, shadow.last_seen, shadow.past_attempts)
        self.identity.take_over(shadow.identity)
        waited = shadow.last_seen is not None and shadow.last_seen.status.state is JobState.QUEUED
        if waited and not shadow.progress and shadow.exit_record is None:
            self.waited_at = asked_at

    def note_absence(self, answer: Answer, last: Answer) -> None:
        """Find out whether it was taken out of its array, now that the queue does not know it.

        :param answer: what the queue says.
        :param last: what it said before.
        """
        known, said = last.observations.get(self.native_id), answer.observations
        if known is not None:
            waited = known.status.state is JobState.QUEUED and last.asked_at > self.read_at
            self.waited_at, self.taken_out = last.asked_at if waited else None, False
        # One that has run since would be shown.
        if (self.waited_at is not None and isinstance(said, Observations) and self.native_id in said.missing_elements
                and answer.answered_at - self.waited_at < said.keeps_ended):
            self.taken_out = True

    def evidence(self, queue: Answer, accounting: Answer, *, has_accounting: bool, now: float) -> Evidence:
        """Put together all that is known of the job.

        :raises FolderUnreadable: if its folder, which could be read a moment ago, cannot be any more.
        """
        (queue_presence, in_queue), (accounting_presence, in_accounting) = self._said_of_it(queue, accounting)
        if in_queue is not None:
            self.last_seen = in_queue
            if in_queue.status.state is JobState.QUEUED:
                self.past_attempts = max(self.past_attempts, *self._attempts())
        nowhere = self.folder_answers and queue_presence is Presence.ABSENT and (
            not has_accounting or accounting_presence is Presence.ABSENT)
        if not nowhere:
            self.absent_since = None
        elif self.absent_since is None:
            self.absent_since = queue.asked_at
        # Another process may have cancelled it. That counts only for a job that is over, and is read only then.
        over = nowhere or (in_queue is not None and in_queue.status.final)
        if over and self.folder is not None and self.folder_answers and not self.cancel_acknowledged:
            self.cancel_acknowledged = self.folder.read_journal().cancel_noted
        current_record = self.exit_record
        if current_record is not None and current_record.attempt <= self.past_attempts:
            current_record = None
        progress = [entry for entry in self.progress if entry.attempt > self.past_attempts]
        ended = over or (in_accounting is not None and in_accounting.status.final)
        traceless = ended and current_record is None and not progress and self._never_began()
        preparing = ended and current_record is None and self._left_preparing(progress)
        owes = ended and current_record is None and self.folder is not None and self.folder.owes_exit_code
        if traceless or preparing or owes:
            self.traceless_since = now if self.traceless_since is None else self.traceless_since
        else:
            self.traceless_since = None
        spec = self.job.spec
        return Evidence(
            exit_record=current_record,
            progress=progress,
            queue=in_queue, queue_presence=queue_presence,
            accounting=in_accounting, accounting_presence=accounting_presence, has_accounting=has_accounting,
            last_seen=self.last_seen, taken_out=self.taken_out,
            term_note=self._term_note() if nowhere and current_record is None else None,
            cancel_acknowledged=self.cancel_acknowledged,
            in_vain=self._in_vain(current_record, ended and not progress),
            leaves_record=self.folder is not None,
            folder_answers=self.folder_answers,
            time_limit=self._time_limit,
            stages_in=bool(spec is not None and spec.stage_in),
            request=self._request() if self.folder_answers and (over or current_record is not None) else None,
            waited_for_cause=None if self.record_found_at is None else now - self.record_found_at,
            traceless_for=None if self.traceless_since is None else now - self.traceless_since,
            owes_exit_code=owes,
            left_preparing=preparing,
            absent_for=None if self.absent_since is None else queue.asked_at - self.absent_since)

    def _said_of_it(self, queue: Answer, accounting: Answer) -> tuple[Said, Said]:
        """Tell what both say of this very job, and not of another one that has its id."""
        queue_presence, in_queue = queue.about(self)
        accounting_presence, in_accounting = accounting.about(self)
        if self.identity.is_anothers and queue_presence is not Presence.UNKNOWN:
            # Accounting is not asked for jobs that are in the queue, and would tell of the other one.
            in_queue = in_accounting = None
            queue_presence = accounting_presence = Presence.ABSENT
        elif (in_queue is not None or in_accounting is not None) and (
                self.folder is not None and self.folder_answers and has_lost(self.folder, self.native_id)):
            in_queue = in_accounting = None
            queue_presence, accounting_presence = _nothing_of(queue_presence), _nothing_of(accounting_presence)
        if self.identity.doubted and in_queue is not None:
            queue_presence, in_queue = Presence.UNKNOWN, None
        if self.identity.accounting_doubted and in_accounting is not None:
            accounting_presence, in_accounting = Presence.UNKNOWN, None
        if queue_presence is Presence.ABSENT and in_accounting is not None and _is_alive(in_accounting):
            # The queue would have it. Nobody has told accounting of the end: a controller that lost the job never will.
            accounting_presence, in_accounting = Presence.ABSENT, None
        return (queue_presence, in_queue), (accounting_presence, in_accounting)

    def _in_vain(self, record: ExitRecord | None, never_began: bool) -> str | None:
        waited = never_began if record is None else record.phase == DEPENDENCY_PHASE
        return why_in_vain(self.folder) if waited and self.folder is not None and self.folder_answers else None

    def _never_began(self) -> bool:
        """Whether the latest run of its script has left no trace in a folder that can be read: it claims the folder.

        A later run finds the claim and says what it enters.
        """
        if self.folder is None:
            return False
        return self.folder.is_unclaimed or (self.past_attempts > 0 and bool(self.progress))

    def _left_preparing(self, progress: Sequence[ProgressEntry]) -> bool:
        """Whether the latest run of its script ended in the pre-launch script, as where that replaced the shell."""
        spec = self.job.spec
        if self.folder is None or (spec is not None and spec.pre_launch is None):
            return False
        launched = any(entry.state is not JobState.STAGE_IN for entry in progress)
        return not launched and self.folder.is_preparing

    @property
    def latest_run(self) -> int:
        """The latest attempt that the script told of, or the next one where that is over for good."""
        return max(self.past_attempts + 1, *self._attempts())

    @property
    def attempt(self) -> int:
        """Which run of the job the present one is, or the next one where it waits; a requeue makes another."""
        seen = self.last_seen.attempt if self.last_seen is not None else None
        return max(self.latest_run, seen or 1)

    def _term_note(self) -> TermNote | None:
        """What the script wrote in its latest attempt when it was sent TERM."""
        note = None if self.folder is None else self.folder.read_term_note()
        return note if note is not None and note.attempt >= self.latest_run else None

    @property
    def _time_limit(self) -> float | None:
        """The scheduler's own, which it may have rounded up or been told since; else the one that was asked for."""
        if self.last_seen is not None and self.last_seen.time_limit is not None:
            return self.last_seen.time_limit
        spec = self.job.spec
        duration = spec.attributes.duration if spec is not None and spec.attributes is not None else None
        return None if duration is None else duration.total_seconds()

    def _attempts(self) -> list[int]:
        ended = [] if self.exit_record is None else [self.exit_record.attempt]
        return [0, *ended, *(entry.attempt for entry in self.progress)]

    def states_of_this_attempt(self) -> list[JobStatus]:
        """The states that the script entered in its latest attempt, oldest first."""
        latest = self.progress[-1].attempt if self.progress else 0
        return [JobStatus(entry.state, time=entry.time) for entry in self.progress if entry.attempt == latest]

    def explained(self, status: JobStatus) -> JobStatus:
        """Add to a failure the job's last words, and where to read all of them."""
        if status.state is not JobState.FAILED or self.folder is None:
            return status
        own = self.stderr_path or self.folder.path_of('stderr')
        launched = self.exit_record is None or self.exit_record.phase in ('launch', 'done', 'post_launch')
        words = [own, self.folder.path_of(LAUNCHER_OUTPUT)] if launched else []
        message = explanation(status.message, words, self.folder.scheduler_output_path)
        return JobStatus(
            status.state, time=status.time, message=message, exit_code=status.exit_code, metadata=status.metadata)

    def _request(self) -> Request:
        """What was asked for, and when: as the folder has it, which knows when the submission began."""
        submitted = None if self.folder is None else self.folder.read_journal().submitted
        # 0 stands for any time: the job was submitted by others.
        return request_of(self.job.spec, (self.submitted or None) if submitted is None else submitted)


def _nothing_of(presence: Presence) -> Presence:
    return Presence.ABSENT if presence is Presence.FOUND else presence


def _is_alive(observation: Observation) -> bool:
    state = observation.status.state
    return not state.final and state is not JobState.NEW
