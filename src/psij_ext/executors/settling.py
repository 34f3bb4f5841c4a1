"""What follows a submission: its job is followed, or it is found out what became of it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Callable, NamedTuple

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.executors.keyed import Former, KeyedExecutor
from psij_ext.executors.remembering import own_stderr
from psij_ext.runtime import processes
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.settlement import OpenSubmission

logger = logging.getLogger(__name__)


class Submitted(NamedTuple):
    """A job that the scheduler has taken, with its absolute spec."""

    job: Job
    native_id: str
    folder: JobFolder
    spec: JobSpec


class SettlingExecutor(KeyedExecutor):
    """An executor that follows the jobs that it submitted, also those of which it does not know whether it did."""

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        super().__init__(url=url, config=config)
        # By the jobs' ids: nobody knows yet what became of them.
        self._uncertain: dict[str, tuple[Job, OpenSubmission]] = {}

    def close(self) -> None:
        """Stop following jobs; this neither waits for them nor cancels them.

        A job that somebody waits for, now or later, is followed again.
        """
        super().close()
        for job, _ in list(self._uncertain.values()):
            job._wake_waiters()

    def _follow_submitted(
        self, job: Job, native_id: str, folder: JobFolder, spec: JobSpec, key: str | None,
    ) -> None:
        """Follow a job that the scheduler has taken."""
        job._set_native_id(native_id)
        try:
            folder.set_native_id(native_id)
        except OSError as error:
            # The job is submitted, come what may: this process follows it by the id that it has in memory.
            logger.warning('The native id %s of job %s cannot be kept in %s: %s',
                           native_id, job.id, folder.path, error)
        self._begin_to_follow([Submitted(job, native_id, folder, spec)], key)

    def _begin_to_follow(self, submitted: Sequence[Submitted], key: str | None = None) -> None:
        """Follow jobs whose folders know their native ids."""
        monitor, patience = self._get_monitor(), self._patience()
        # Of the moment before the scheduler was given them: what it starts at once is not ACTIVE before it is QUEUED.
        queued = JobStatus(JobState.QUEUED, time=submitted[0].folder.submission.submitted)
        followed = []
        for job, native_id, folder, spec in submitted:
            self._index.submitted(
                job.id, executor=self.name, url=self.url, name=spec.name, key=key, session=self.config.session,
                work_directory=self.work_directory, native_id=native_id, time=queued.time)
            for transition in job._record(queued):  # of which the index knows by now
                self._notify(job, transition)
            followed.append(Followed(
                job, native_id, folder, self._report, submitted=queued.time, stderr_path=own_stderr(spec),
                patience=patience))
        monitor.follow(*followed)

    # -- a submission of which nobody knows what became of it

    def _follow_open(self, job: Job, folder: JobFolder, spec: JobSpec, key: str | None, reason: str) -> None:
        """Follow a job of which nobody knows whether it was submitted: it may run by now, or later."""
        def adopt(native_id: str) -> None:
            self._follow_submitted(job, native_id, folder, spec, key)

        self._follow_uncertain([job], OpenSubmission(folder, reason, is_own=True), adopt)

    def _follow_open_former(self, job: Job, former: OpenSubmission) -> None:
        """Let a job follow the one that may have been submitted before it under its key."""
        def adopt(native_id: str) -> None:
            job._bind(None)
            try:
                self._follow_former(job, Former(native_id, former.folder, former.folder.read_journal()))
            finally:
                job._bind(self)

        self._follow_uncertain([job], former, adopt)

    def _follow_uncertain(
        self, jobs: Sequence[Job], submission: OpenSubmission, adopt: Callable[[str], None],
    ) -> None:
        """Let jobs wait for what became of a submission.

        :param adopt: called with the native id.
        """
        def settled(native_id: str | None, reason: str) -> None:
            if native_id is not None:
                adopt(native_id)
            for job in jobs:
                if native_id is None:
                    self._end_unsubmitted(job, reason)
                self._uncertain.pop(job.id, None)

        told = replace(submission, settled=settled)
        self._uncertain.update((job.id, (job, told)) for job in jobs)
        self._look_after(jobs[0])

    def _look_after(self, job: Job) -> None:
        uncertain = self._uncertain.get(job.id)
        if uncertain is not None:
            self._get_monitor().settle(uncertain[1], self)
        super()._look_after(job)

    def _end_unsubmitted(self, job: Job, reason: str) -> None:
        """End a job that was not submitted: who waits for it must hear of that, so it does not become NEW again."""
        message = f'It was not submitted, and never runs: {reason}'
        job._set_exit_info(ExitInfo(ExitReason.SUBMIT_FAILED, message=message))
        self._update_job_status(job, JobStatus(JobState.FAILED, message=message))

    def _follow_former(self, job: Job, former: Former) -> None:
        """Let a job follow the one that was submitted before it under its key."""
        self._heirs.add(job.id)
        self._attach_all([(job, former.native_id)], [(former.folder, former.journal)])
        if not job.status.final and not processes.is_alive(former.journal.owner):
            try:
                former.folder.note_owner(processes.this_process())
            except OSError as error:
                logger.debug('That this process follows %s cannot be kept: %s', former.folder.path, error)
