"""After a crash: what became of submissions that nobody saw the end of, and of jobs that nobody follows any more."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Iterable
from typing import Callable, List, Set, Tuple

from psij_ext.core import checks
from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.exceptions import FolderUnreadable, PsijExtError
from psij_ext.executors.remembering import read_spec
from psij_ext.executors.returning import ReturningExecutor
from psij_ext.runtime import processes
from psij_ext.runtime.arrays import ArrayFolder
from psij_ext.runtime.finding import find_folder, job_folders, open_folders, read_journals
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.journal import Journal
from psij_ext.runtime.monitor import StatusMonitor
from psij_ext.runtime.private import alone_in
from psij_ext.runtime.settlement import OpenSubmission, Origins, give_up, settle_by_folders, settle_by_origins

logger = logging.getLogger(__name__)

# Whether a process of another machine still runs, nobody here knows; one that has been silent for so many seconds while
# it submitted does not.
_LONGEST_SUBMISSION = 600.0
# A message has no more jobs by name.
_MOST_NAMED = 12


class RecoveringExecutor(ReturningExecutor):
    """An executor that finds the jobs of earlier processes again."""

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        super().__init__(url=url, config=config)
        self._has_settled = False
        # The folders of jobs may be full, and not tell who took them over.
        self._recovered: Set[str] = set()
        # How it is waited for others; tests pass their own.
        self.clock: Callable[[], float] = time.monotonic
        self.sleep: Callable[[float], None] = time.sleep

    # -- what subclasses give

    def _origins(self) -> Origins:
        """Ask the scheduler from which folder each of the user's jobs was submitted.

        :return: the native ids by the folders' names; empty where the scheduler cannot tell.
        :raises PsijExtError: if it does not answer.
        """
        return {}

    def _name_element(self, array_id: str, index: int) -> str:
        """Return the native id of an element of an array."""
        return f'{array_id}_{index}'

    # -- the interface

    def recover(self, session: str | None = None) -> List[Job]:
        """Follow the jobs of earlier processes whose end was not yet reported to whoever submitted them.

        Those that ended meanwhile are over when this returns. A submission that was cut short is settled first: its
        job is found with the scheduler, or it is revoked, so that it will never run; such a job is NEW, and may be
        submitted again. A submission whose outcome the scheduler does not tell now is left for the next time.

        Jobs of processes that still run are left to them, as far as that can be told. Where several processes call this
        at the same moment, each job is given to one of them.

        :param session: the session that the jobs were submitted in; if None, that of this executor's configuration.
        :return: the jobs, with their own ids and specs, in the order of their submission.
        :raises FolderUnreadable: if the work directory cannot be read now. A job whose own folder cannot be is left for
            the next time.
        """
        wanted = self.config.session if session is None else checks.nonempty_text('recover: session', session)
        with alone_in(self.work_directory):
            recovered, followed = self._take_what_is_left(wanted)
        self._come_back(followed)
        return recovered

    # -- the steps

    def _take_what_is_left(self, wanted: str | None) -> Tuple[List[Job], List[Followed]]:
        """Be the process that looks after the jobs of a session that nobody looks after.

        :return: all of them, and those among them that were submitted.
        """
        left = [(journal, folder) for journal, folder in read_journals(job_folders(self.work_directory))
                if self._is_left(journal) and (journal.submission or {}).get('session') == wanted]
        self._settle_open(dict.fromkeys(folder.submission for journal, folder in left if journal.is_open))
        recovered: List[Job] = []
        followed: List[Followed] = []
        in_order = [folder for _, folder in sorted(left, key=lambda each: each[0].submitted or 0.0)]
        for journal, folder in read_journals(in_order):
            # Somebody who has its key may look after it by now.
            if journal.is_open or folder.job_id in self._recovered or not self._is_left(journal):
                continue
            self._recovered.add(folder.job_id)
            job = Job(read_spec(folder, journal))
            job._set_id(folder.job_id)
            recovered.append(job)
            if journal.native_id is None:
                give_up(folder, journal.not_submitted or '', reported=True)
            else:
                self._take_over(folder, journal.native_id)
                self._index_again(job, journal)
                job._bind(self)
                followed.append(self._taken_up(job, journal.native_id, folder, journal))
        return recovered, followed

    def _take_over(self, folder: JobFolder, native_id: str) -> None:
        """Be the process that looks after a job."""
        try:
            folder.note_owner(processes.this_process())
            # Who submitted it may have died before the folder had its second name.
            if find_folder(self.work_directory, native_id) is None:
                folder.name_by(native_id)
        except OSError as error:
            logger.warning('That this process looks after job %s cannot be kept: %s', folder.job_id, error)

    def _index_again(self, job: Job, journal: Journal) -> None:
        """See to it that the index has a job, too, whose process ended before it had."""
        record = journal.submission or {}
        key, session = record.get('key'), record.get('session')
        self._index.submitted(
            job.id, executor=self.name, url=self.url, name=None if job.spec is None else job.spec.name,
            key=key if isinstance(key, str) else None, session=session if isinstance(session, str) else None,
            work_directory=self.work_directory, native_id=journal.native_id, time=journal.submitted or 0.0)

    def _get_monitor(self) -> StatusMonitor:
        monitor = super()._get_monitor()
        if not self._has_settled:
            self._has_settled = True
            self._callbacks.call(functools.partial(self._settle_all_open, monitor))
        return monitor

    def _settle_all_open(self, monitor: StatusMonitor) -> None:
        """Let the monitor settle what was cut short, in whatever session; the jobs are for `recover` to return."""
        try:
            found = list(read_journals(open_folders(self.work_directory)))
        except FolderUnreadable as error:
            logger.warning('Submissions that were cut short are not looked for now: %s', error)
            return
        for journal, folder in found:
            if self._membership is not None and self._is_left(journal):
                monitor.settle(self._left_open(folder), self)

    def _is_left(self, journal: Journal) -> bool:
        """Whether nobody looks after a job any more that somebody should look after."""
        if journal.submission is None or journal.reported is not None or journal.submission.get('url') != self.url:
            return False
        alive = processes.is_alive(journal.owner)
        if alive is None and journal.is_open:
            return time.time() - (journal.submitted or 0.0) > _LONGEST_SUBMISSION
        return not alive

    def _settle_open(self, folders: Iterable[JobFolder]) -> None:
        """Find out now what became of submissions whose process is gone."""
        unclaimed, left = settle_by_folders(map(self._left_open, folders))
        if unclaimed:
            try:
                left += settle_by_origins(unclaimed, self._origins())
            except (PsijExtError, OSError) as error:
                logger.warning('%s does not tell: %s', self.name, error)
                left += [each.submission for each in unclaimed]
        if left:
            logger.warning('What became of %d submissions to %s is not known yet: %s', len(left), self.name,
                           ', '.join(submission.folder.job_id for submission in left[:_MOST_NAMED]))

    def _left_open(self, folder: JobFolder) -> OpenSubmission:
        """The submission of a process that is gone."""
        if isinstance(folder, ArrayFolder):
            folder.name_elements_by(self._name_element)
        return OpenSubmission(folder, 'The process that submitted it ended before that was done.')
