"""Submissions under a key: a second one finds the job of the first, in whatever process that was."""

from __future__ import annotations

from typing import NamedTuple

from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.exceptions import SubmitException, SubmitUncertain
from psij_ext.executors.recovering import RecoveringExecutor
from psij_ext.runtime import processes
from psij_ext.runtime.ending import end_in
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.journal import Journal
from psij_ext.runtime.keys import Keys
from psij_ext.runtime.schedule import Pauses
from psij_ext.runtime.settlement import OpenSubmission

# How often it is looked whether somebody else has finished submitting.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0


class FormerUncertain(SubmitUncertain):
    """The key has a job of which nobody knows yet whether it was submitted.

    :param former: its submission.
    """

    def __init__(self, message: str, former: OpenSubmission) -> None:
        super().__init__(message)
        self.former = former


class Former(NamedTuple):
    """The job that has a key, and what its folder says: that may be pruned at any moment once it is over."""

    native_id: str
    folder: JobFolder
    journal: Journal


class KeyedExecutor(RecoveringExecutor):
    """An executor that submits nothing under a key that has a job already."""

    @property
    def _longest_wait(self) -> float:
        """For how many seconds another process may be at a submission."""
        return 60.0

    def _find_by_key(self, key: str, job: Job, resubmit_failed: bool) -> Former | None:
        """Find the job that has a key, or let this one have it, whose submission is on record already.

        :return: the other job; None if the key is this job's now.
        :raises SubmitException: if another process takes too long to submit.
        :raises FormerUncertain: if nobody knows what became of an earlier submission.
        :raises OSError: if the keys cannot be read or written.
        """
        keys = Keys(self.work_directory)
        pauses = Pauses(self._longest_wait, self.clock, _FIRST_PAUSE, _LONGEST_PAUSE)
        while True:
            generation, holder = keys.holder(key)
            # A job that had the key and was refused takes the next generation, too: another process may be at it.
            folder = None if holder in (None, job.id) else JobFolder(self.work_directory / holder)
            journal = Journal({}) if folder is None else folder.read_journal()
            if folder is not None and journal.native_id is not None:
                if not (resubmit_failed and self._has_failed(folder, journal)):
                    return Former(journal.native_id, folder, journal)
            elif folder is not None and journal.is_open:
                self._await_outcome(key, folder, journal, pauses)
                continue
            if keys.take(key, generation, job.id):
                return None

    def _await_outcome(self, key: str, folder: JobFolder, journal: Journal, pauses: Pauses) -> None:
        """Find out what became of a submission under a key, or wait a moment for the process that is at it."""
        if self._is_left(journal):
            self._settle_open([folder])
            journal = folder.read_journal()
            if journal.is_open and self._is_left(journal):
                raise FormerUncertain(
                    f'Whether the job with the key {key!r} was submitted is not known: the process that did so ended '
                    f'before it was done, and {self.name} does not tell now (folder: {folder.path}). It is found out '
                    'later; this job follows that one then.', self._left_open(folder))
            return
        pause = pauses.next()
        if pause is None:
            raise SubmitException(
                f'The job with the key {key!r} is being submitted by another process for a long time '
                f'({_described(journal.owner)}, folder: {folder.path}). Try again later.', transient=True)
        self.sleep(pause)

    def _has_failed(self, folder: JobFolder, journal: Journal) -> bool:
        """Whether a job is known to be over without success, or was pruned since its journal was read."""
        end = end_in(journal, folder)
        if end is not None:
            return end[0].state is not JobState.COMPLETED
        seen = self.look([folder])
        if folder.job_id not in seen.jobs:
            return True
        status = seen.jobs[folder.job_id].status
        return status.final and status.state is not JobState.COMPLETED and folder.job_id not in seen.uncertain


def _described(process: object) -> str:
    named = process if isinstance(process, dict) else {}
    here = 'this host' if named.get('host') == processes.this_process()['host'] else named.get('host')
    return f'process {named.get("pid")} on {here}'
