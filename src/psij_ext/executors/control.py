"""What all our executors do to jobs after their submission: cancel, signal, look up."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import AbstractSet, NamedTuple

from psij_ext.core import checks
from psij_ext.core.control import AnySeconds, AnySignal, FirstWarning, cannot_hold, read_warning
from psij_ext.core.interfaces import JobExecutor
from psij_ext.core.job import Job, list_of_jobs
from psij_ext.exceptions import CommandError, FolderUnreadable, InvalidJobException, NotAllCancelled, SubmitException
from psij_ext.runtime.finding import has_lost
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.monitor import StatusMonitor

logger = logging.getLogger(__name__)


class Ownership(NamedTuple):
    """Which jobs, by their ids, do not have their native ids any more.

    :param others: a scheduler that lost its state has given theirs to other jobs.
    :param unknown: the scheduler does not know them: they are over, and it has forgotten them.
    """

    others: AbstractSet[str] = frozenset()
    unknown: AbstractSet[str] = frozenset()


class ControllingExecutor(JobExecutor):
    """An executor that cancels jobs by their native ids, many at once, and knows afterwards which it cancelled.

    Subclasses end jobs (`_end`), send them signals (`_warn`) and tell of them (`_record`); where they can, they hold
    them (`_hold`, `_release`).
    """

    # -- what subclasses give

    @property
    @abstractmethod
    def work_directory(self) -> Path:
        """Where the folders of this executor's jobs lie."""

    @abstractmethod
    def _get_monitor(self) -> StatusMonitor:
        """Return what follows the jobs."""

    @abstractmethod
    def _end(self, native_ids: Sequence[str]) -> Mapping[str, SubmitException]:
        """Ask the scheduler to end jobs.

        :return: why not, for each that it does not end. Jobs that are over are not among them; those of which
            nobody knows have a reason that is `transient`.
        """

    def _end_jobs(self, jobs: Sequence[tuple[Job, str]]) -> Mapping[str, SubmitException]:
        """Ask the scheduler to end jobs, given with their native ids; as `_end`."""
        return self._end(_native_ids(jobs))

    @abstractmethod
    def _warn(self, native_ids: Sequence[str], warning: FirstWarning) -> Mapping[str, SubmitException]:
        """Send the processes of jobs a signal; with a grace, the end of the jobs must follow by itself.

        :return: as `_end`, of the signals.
        :raises InvalidJobException: if this cannot be done here.
        """

    @abstractmethod
    def _folder_of(self, job: Job) -> JobFolder | None:
        """Give the folder of a job; None where there is none, or it cannot be read now."""

    def _ownership(self, jobs: Sequence[tuple[Job, str]]) -> Ownership:
        """Find out which jobs do not have their native ids any more, before something is done to these."""
        return Ownership({job.id for job, native_id in jobs if self._has_lost(job, native_id)})

    def _has_lost(self, job: Job, native_id: str) -> bool:
        """Whether a newer job of ours has the native id of a job."""
        folder = self._folder_of(job)
        try:
            return folder is not None and has_lost(folder, native_id)
        except FolderUnreadable as error:
            logger.debug('Whether job %s has lost its id is not known: %s', native_id, error)
            return False

    def _hold(self, native_id: str) -> None:
        """Keep a waiting job from being started.

        :raises SubmitException: if the scheduler refuses.
        :raises InvalidJobException: if it cannot do that.
        """
        raise cannot_hold(self.name)

    def _release(self, native_id: str) -> None:
        """Let a held job be started; as `_hold`."""
        raise cannot_hold(self.name)

    @abstractmethod
    def _record(self, native_id: str, folder: JobFolder | None) -> dict[str, str]:
        """Return all that is known of a job.

        :param folder: the job's folder; None for a job that was submitted by other means.
        :raises CommandError: if nothing is, or the scheduler does not answer.
        :raises InvalidJobException: if there is nothing to ask with.
        """

    # -- the interface, which `JobControl` describes

    def cancel(self, job: Job, *, signal: AnySignal | None = None, grace: AnySeconds | None = None) -> None:
        for failure in self._cancel(list_of_jobs('cancel: job', [job]), read_warning(signal, grace)).values():
            raise failure

    def cancel_many(
        self, jobs: Iterable[Job], *, signal: AnySignal | None = None, grace: AnySeconds | None = None
    ) -> None:
        chosen = {job.id: job for job in list_of_jobs('cancel_many: jobs', jobs)}
        failures = self._cancel(list(chosen.values()), read_warning(signal, grace))
        if failures:
            raise NotAllCancelled(failures, len(chosen))

    def hold(self, job: Job) -> None:
        self._hold(self._waiting_id_of(job))
        self._get_monitor().ask_soon()

    def release(self, job: Job) -> None:
        self._release(self._waiting_id_of(job))
        self._get_monitor().ask_soon()

    def native_record(self, job: Job) -> dict[str, str]:
        native_id = self._native_id_of(job)
        if self._has_lost(job, native_id):
            raise CommandError(_not_its_own(native_id), argv=())
        return self._record(native_id, self._folder_of(job))

    # -- for the interface

    def _native_id_of(self, job: Job) -> str:
        """Return the native id of a job that was submitted or attached here.

        :raises InvalidJobException: if it was not.
        :raises TypeError: if it is no job.
        """
        if checks.instance_of(Job)('job', job).executor is not self:
            raise InvalidJobException(f'Job {job.id} was not submitted to this executor.')
        if job.native_id is None:
            raise InvalidJobException(
                f'Job {job.id} has no native id: whether it was submitted is not known. That is found out as soon as '
                'the scheduler tells; try again then.')
        return job.native_id

    def _waiting_id_of(self, job: Job) -> str:
        native_id = self._native_id_of(job)
        if job.status.final:  # the scheduler may not know that yet
            raise SubmitException(f'Job {native_id} is over: {job.status.state}.')
        if self._ownership([(job, native_id)]).others:
            raise SubmitException(_not_its_own(native_id))
        return native_id

    def _cancel(self, jobs: Sequence[Job], warning: FirstWarning | None) -> dict[str, SubmitException]:
        """End or warn those of the jobs that live; return for the ids of those that were not, why."""
        failures: dict[str, SubmitException] = {}
        alive: list[tuple[Job, str]] = []
        for job in jobs:
            if job.status.final:
                continue
            try:
                alive.append((job, self._native_id_of(job)))
            except InvalidJobException as error:
                failures[job.id] = SubmitException(f'It cannot be cancelled: {error}', error)
        if not alive:
            return failures
        others, unknown = self._ownership(alive)
        failures.update((job.id, SubmitException(_not_its_own(native_id)))
                        for job, native_id in alive if job.id in others)
        alive = [(job, native_id) for job, native_id in alive if job.id not in others]
        known = [(job, native_id) for job, native_id in alive if job.id not in unknown]
        over = {native_id for job, native_id in alive if self._has_ended(job)}
        refused = {} if not known else (
            self._end_jobs(known) if warning is None else self._warn(_native_ids(known), warning))
        failures.update((job.id, refused[native_id]) for job, native_id in alive if native_id in refused)
        if warning is None or warning.grace is not None:
            self._acknowledge([(job, native_id) for job, native_id in alive
                               if native_id not in refused and native_id not in over and job.id not in unknown])
            # Also for those of which nobody knows: the queue will tell.
            self._get_monitor().ask_soon()
        return failures

    def _has_ended(self, job: Job) -> bool:
        """Whether a job has ended by itself by now, although nobody may have been told; a cancel comes too late for it.

        Schedulers say nothing against such a cancel, and some do not tell afterwards who was first.
        """
        try:
            folder = self._folder_of(job)
            record = None if folder is None else folder.read_exit()
            progress = [] if folder is None else folder.read_progress()
        except FolderUnreadable:
            return False
        if record is None or record.term_seen:
            return False
        followed = self._get_monitor().followed(job)
        past = 0 if followed is None else followed.past_attempts
        return record.attempt > past and all(entry.attempt <= record.attempt for entry in progress)

    def _acknowledge(self, cancelled: Sequence[tuple[Job, str]]) -> None:
        """Keep in mind that the scheduler has taken our cancels of these jobs."""
        monitor = self._get_monitor()
        for job, native_id in cancelled:
            try:
                folder = self._folder_of(job)
                if folder is not None:
                    folder.note_cancel()
            except OSError as error:
                logger.debug('The cancel of job %s cannot be kept in its folder: %s', native_id, error)
            followed = monitor.followed(job)
            if followed is not None:
                followed.cancel_acknowledged = True


def _native_ids(jobs: Iterable[tuple[Job, str]]) -> list[str]:
    return list(dict.fromkeys(native_id for _, native_id in jobs))


def _not_its_own(native_id: str) -> str:
    return (f'Nothing is done to {native_id}: the scheduler has lost the job that had this id, and has given the id to '
            'another one.')
