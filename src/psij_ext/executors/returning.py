"""Coming back to jobs that were submitted earlier, mostly by other programs: to look at them, and to follow them on."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import List, Tuple

from psij_ext.core.exit_info import ExitInfo
from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import FolderUnreadable, InvalidJobException, PsijExtError
from psij_ext.executors.following import FollowingExecutor
from psij_ext.executors.remembering import own_stderr, read_spec, remember
from psij_ext.runtime.ending import end_in
from psij_ext.runtime.finding import find_folder
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.journal import Journal
from psij_ext.runtime.look import Look, SilentSource, look, record_silently

Sight = Tuple[JobStatus, 'ExitInfo | None', bool]
Known = Tuple['JobFolder | None', Journal]

logger = logging.getLogger(__name__)


class ReturningExecutor(FollowingExecutor):
    """An executor that can come back to jobs of which there is a folder, or only a native id."""

    # -- what subclasses may narrow

    def _check_native_id(self, native_id: str) -> None:
        """Make sure that a text can be the native id of a job that can be followed from here.

        :raises InvalidJobException: if it cannot.
        """
        if not isinstance(native_id, str) or not native_id:
            raise InvalidJobException(f'A native id is a text that is not empty, not {native_id!r}.')

    # -- the interface

    def attach(self, job: Job, native_id: str) -> None:
        """Follow a job that was submitted earlier, perhaps by another program; look at it once before returning.

        A job whose end is certain is over when this returns. Where the job was submitted by this library, its spec is
        filled in if the given job has none. Jobs that a scheduler does not know, and jobs of a scheduler that does not
        answer, are followed all the same.

        :param job: a new job.
        :param native_id: the scheduler's name for it.
        :raises InvalidJobException: if that can be no native id of a job that can be followed here, or the job was
            submitted or attached before.
        :raises FolderUnreadable: if the folders of jobs cannot be read now.
        """
        self.attach_many([(job, native_id)])

    def attach_many(self, jobs: Sequence[Tuple[Job, str]]) -> None:
        """Attach to several jobs, as `attach` does, with one look at all of them; to none if one cannot be attached to.

        :param jobs: new jobs, each with its native id.
        """
        self._attach_all(jobs)

    def _attach_all(self, jobs: Sequence[Tuple[Job, str]], known: Sequence[Known] | None = None) -> None:
        """Attach to jobs.

        :param known: their folders, and what these say, where those are meant that had these ids when they were
            submitted from here; None where those are meant that have them now.
        """
        for _, native_id in jobs:
            self._check_native_id(native_id)
        with self._lock:
            bound: List[Job] = []
            for job, _ in jobs:
                if job.executor is not None or job.status.state is not JobState.NEW:
                    for other in bound:
                        other._unbind()
                    raise InvalidJobException(f'Job {job.id} was submitted or attached before.')
                job._bind(self)
                bound.append(job)
        try:
            if known is None:
                known = self._without_strangers(jobs, [self._find(native_id) for _, native_id in jobs])
        except FolderUnreadable:
            for job in bound:
                job._unbind()
            raise
        self._come_back([self._taken_up(job, native_id, *each) for (job, native_id), each in zip(jobs, known)])

    def look(self, folders: Sequence[JobFolder], usage: bool = False) -> Look:
        """Look once at jobs that were submitted earlier, perhaps by other programs; none of them is followed.

        What the folders tell is taken from them; for all the rest there is one query.

        :param folders: the jobs' folders. One whose job was not submitted is passed over.
        :param usage: whether the scheduler is asked, too, what those used that are over, where that is not known.
        """
        known = [folder for folder in folders if folder.read_journal().native_id is not None]
        seen = self._look([remember(folder, self) for folder in known], usage)
        for folder in known:
            if folder.is_shared:
                self._shared_folders[seen.jobs[folder.job_id]] = folder
        for job_id in seen.kept:
            job = seen.jobs[job_id]
            if job.exit_info is not None:
                self._index.ended(job_id, job.status, job.exit_info)
        return seen

    # -- the steps

    def _without_strangers(self, jobs: Sequence[Tuple[Job, str]], found: Sequence[Known]) -> List[Known]:
        """Leave out the folders of jobs whose ids a scheduler without its old state has given to others since."""
        known = {native_id: folder.origin for (_, native_id), (folder, _) in zip(jobs, found) if folder is not None}
        try:
            names = self._make_source().folders([*known]) if known else {}
        except (PsijExtError, OSError) as error:
            logger.debug('Whether %s gave ids twice is not known: %s', self.name, error)
            names = {}
        kept: List[Known] = []
        for (job, native_id), each in zip(jobs, found):
            is_strange = native_id in known and names.get(native_id) not in (None, known[native_id])
            if is_strange:
                self._strange.add(job.id)
            kept.append((None, Journal({})) if is_strange else each)
        return kept

    def _find(self, native_id: str) -> Known:
        folder = find_folder(self.work_directory, native_id)
        return folder, Journal({}) if folder is None else folder.read_journal()

    def _taken_up(self, job: Job, native_id: str, folder: JobFolder | None, journal: Journal) -> Followed:
        job._set_native_id(native_id)
        if folder is None or folder.job_id != job.id:
            self._attached.add(job.id)
        elif folder.is_shared:
            self._shared_folders[job] = folder
        if folder is not None and job.spec is None:
            job.spec = read_spec(folder, journal)
        followed = Followed(
            job, native_id, folder, self._report, submitted=journal.submitted or 0.0,
            stderr_path=own_stderr(job.spec), patience=self._patience())
        followed.cancel_acknowledged = journal.cancel_noted
        followed.kept_end = None if folder is None else end_in(journal, folder)
        return followed

    def _come_back(self, jobs: Sequence[Followed]) -> None:
        """Look at jobs once, report what is certain, and follow those that are not over."""
        first_sights = [_FirstSight(followed) for followed in jobs]
        asked_at = time.monotonic()
        seen = self._look([sight.shadow for sight in first_sights])
        for sight, followed in zip(first_sights, jobs):
            job = followed.job
            self._update_job_status(job, JobStatus(JobState.QUEUED))
            for status, exit_info, requeued in sight.told:
                # What is not certain the monitor will find out.
                if not (status.final and sight.shadow.job.id in seen.uncertain):
                    self._report(job, status, exit_info, requeued)
            followed.take_over(sight.shadow, asked_at)
            if not job.status.final:
                self._follow(followed)
            elif sight.shadow.job.id in seen.lacking:
                self._get_monitor().ask_usage(followed)

    def _unknown_among(self, jobs: Sequence[Followed]) -> List[str]:
        """Ask once for jobs; return the native ids of those of which the scheduler knows nothing.

        :raises CommandError: if it does not answer.
        :raises ParseError: if its answer cannot be read.
        """
        shadows = [_FirstSight(followed).shadow for followed in jobs]
        seen = self._look(shadows)
        if seen.trouble is not None:
            raise seen.trouble
        return [shadow.native_id for shadow in shadows if shadow.job.id in seen.missing]

    def _look(self, jobs: Sequence[Followed], usage: bool = False) -> Look:
        ours: List[Followed] = []
        reused: List[Followed] = []
        for followed in jobs:
            (reused if self._has_lost_its_id(followed) else ours).append(followed)
        # A scheduler that lost its state gives ids a second time: what it says of them is about another job.
        first, second = look(self._make_source(), ours, usage), look(SilentSource(), reused)
        return Look({**first.jobs, **second.jobs}, first.missing | second.missing,
                    first.uncertain | second.uncertain, first.kept | second.kept, first.trouble, first.lacking)

    def _has_lost_its_id(self, followed: Followed) -> bool:
        if followed.folder is None:
            return False
        try:
            latest = find_folder(self.work_directory, followed.native_id)
        except FolderUnreadable:
            return True
        return latest is None or latest.job_id != followed.folder.job_id


class _FirstSight:
    """What a first look tells of a job, before any of it is reported."""

    def __init__(self, followed: Followed) -> None:
        self.told: List[Sight] = []
        job = Job(followed.job.spec)
        job._set_native_id(followed.native_id)
        self.shadow = Followed(
            job, followed.native_id, followed.folder, self._take, submitted=followed.submitted,
            stderr_path=followed.stderr_path)
        self.shadow.cancel_acknowledged = followed.cancel_acknowledged
        self.shadow.kept_end = followed.kept_end

    def _take(self, job: Job, status: JobStatus, exit_info: ExitInfo | None, requeued: bool) -> None:
        self.told.append((status, exit_info, requeued))
        record_silently(job, status, exit_info, requeued)
