"""A monitor without a thread, a scheduler that answers from tables, and time that passes when it is told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation, Observations
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandTimeout
from psij_ext.runtime.evidence import Patience
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.monitor import StatusMonitor
from psij_ext.runtime.schedule import Rhythm

QUEUED, ACTIVE, STAGE_OUT = JobState.QUEUED, JobState.ACTIVE, JobState.STAGE_OUT
COMPLETED, FAILED, CANCELED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELED
TIMED_OUT = CommandTimeout('No answer.', argv=('squeue',))


def row(state: JobState, reason: ExitReason | None = None, native: str = '', attempt: int | None = None,
        code: int | None = None) -> Observation:
    return Observation(JobStatus(state, exit_code=code, metadata={'native_state': native or state.name}), reason,
                       attempt=attempt)


class FakeSource:
    """A scheduler that answers from two tables, or fails."""

    def __init__(self, clock: Clock, has_accounting: bool = False) -> None:
        self.clock = clock
        self.has_accounting = has_accounting
        self.tells_usage = False
        self.rows: dict[str, Observation] = {}
        self.accounts: dict[str, Observation] = {}
        self.names: dict[str, str | None] = {}
        self.accounted_names: dict[str, str] = {}
        self.records_asked_for: list[str] = []
        self.names_asked_for: list[Sequence[str]] = []
        self.names_failure: Exception | None = None
        self.stamps: dict[str, str] = {}
        self.missing_elements: set[str] = set()
        self.keeps_ended = 0.0
        self.seconds_to_answer = 0.0
        self.failure: Exception | None = None
        self.accounting_failure: Exception | None = None
        self.asked: list[float] = []
        self.asked_for: list[Sequence[str]] = []
        self.accounting_asked_for: list[Sequence[str]] = []
        self.since: list[float] = []

    def queue(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        self.asked.append(self.clock.now)
        self.asked_for.append(list(native_ids))
        if self.failure is not None:
            raise self.failure
        answer = Observations()
        answer.update({native_id: self.rows[native_id] for native_id in native_ids if native_id in self.rows})
        answer.missing_elements, answer.keeps_ended = self.missing_elements - set(answer), self.keeps_ended
        answer.stamps = dict(self.stamps)
        self.clock.now += self.seconds_to_answer
        return answer

    def folders(self, native_ids: Sequence[str]) -> Mapping[str, str | None]:
        self.names_asked_for.append(list(native_ids))
        if self.names_failure is not None:
            raise self.names_failure
        return {native_id: self.names[native_id] for native_id in native_ids if native_id in self.names}

    def accounted_folder(self, native_id: str, since: float) -> str | None:
        self.records_asked_for.append(native_id)
        if self.names_failure is not None:
            raise self.names_failure
        return self.accounted_names.get(native_id)

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        self.accounting_asked_for.append(list(native_ids))
        self.since.append(since)
        if self.accounting_failure is not None:
            raise self.accounting_failure
        return {native_id: self.accounts[native_id] for native_id in native_ids if native_id in self.accounts}


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0


class Scene:
    """A monitor without a thread, a scheduler, and the jobs; time passes when it is told to."""

    def __init__(self, work: Path, rhythm: Rhythm = Rhythm(), patience: Patience = Patience(),
                 has_accounting: bool = False) -> None:
        self.work = work
        self.patience = patience
        self.clock = Clock()
        self.source = FakeSource(self.clock, has_accounting)
        self.monitor = StatusMonitor(self.source, rhythm, 'monitor of a test', clock=lambda: self.clock.now)
        self.mailbox = self.monitor.hints.mailbox(work)
        self.seen: dict[str, list[JobState]] = {}

    def follow(self, native_id: str, spec: JobSpec | None = None, has_folder: bool = True, job: Job | None = None,
               folder: JobFolder | None = None) -> Job:
        job = Job(spec or JobSpec('/bin/date')) if job is None else job
        if has_folder and folder is None:
            folder = JobFolder.create(self.work, job.id)
        job._set_native_id(native_id)
        self.seen[job.id] = []
        self.report(job, JobStatus(QUEUED), None, False)
        self.monitor.take(Followed(job, native_id, folder, self.report, submitted=self.clock.now, patience=self.patience))
        return job

    def report(self, job: Job, status: JobStatus, exit_info: ExitInfo | None, requeued: bool) -> None:
        if exit_info is not None:
            job._set_exit_info(exit_info)
        self.seen[job.id] += [transition.state for transition in job._record(status, requeued)]

    def followed(self, job: Job) -> Followed:
        followed = self.monitor.followed(job)
        assert followed is not None
        return followed

    def enter(self, job: Job, state: str, attempt: int = 1, hint: bool = True, at: float | None = None) -> None:
        with (self.work / job.id / 'progress').open('a') as progress:
            progress.write(f'{attempt} {state} {self.clock.now if at is None else at}\n')
        if hint:
            self.hint(job)

    def end(self, job: Job, code: int = 0, phase: str = 'done', term: bool = False, attempt: int = 1,
            hint: bool = True, began: float | str = '') -> None:
        fields = {'attempt': attempt, 'native_id': job.native_id, 'exit_code': code, 'phase': phase,
                  'term': '1' if term else '', 'began': began, 'ended': self.clock.now}
        (self.work / job.id / 'exit').write_text(''.join(f'{name}={value}\n' for name, value in fields.items()))
        if hint:
            self.hint(job)

    def hint(self, job: Job) -> None:
        (self.mailbox / job.id).touch()

    def pass_time(self, seconds: float, step: float = 0.5) -> None:
        end = self.clock.now + seconds
        while self.clock.now < end:
            self.clock.now = min(end, self.clock.now + step)
            self.monitor.poll_once(self.clock.now)

    def poll(self) -> None:
        self.monitor.poll_once(self.clock.now)

    def queries(self, since: float = 0.0) -> int:
        return sum(1 for moment in self.source.asked if moment >= since)
