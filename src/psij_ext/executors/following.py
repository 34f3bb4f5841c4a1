"""Following jobs by their folders and by what the scheduler says of them."""

from __future__ import annotations

import functools
import logging
import threading
import time
import weakref
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from psij_ext.core.exit_info import ExitInfo
from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.places import default_work_directory
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import FolderUnreadable
from psij_ext.executors.control import ControllingExecutor
from psij_ext.runtime.answers import StatusSource
from psij_ext.runtime.callbacks import CallbackThread
from psij_ext.runtime.ending import keep_end
from psij_ext.runtime.evidence import Patience
from psij_ext.runtime.finding import find_folder
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.forking import renew_in_children
from psij_ext.runtime.index_writer import IndexWriter
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.leftovers import Closable, Leftovers
from psij_ext.runtime.monitor import StatusMonitor
from psij_ext.runtime.schedule import Rhythm
from psij_ext.runtime.sharing import Membership

logger = logging.getLogger(__name__)


class FollowingExecutor(ControllingExecutor):
    """An executor that keeps a folder for each job and follows its jobs by folder and scheduler.

    Subclasses say where states are asked for (`_make_source`) and when (`_rhythm`).
    """

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        super().__init__(url=url, config=config)
        self._lock = threading.Lock()
        self._membership: Membership | None = None
        self._callbacks = CallbackThread(f'psij-ext callbacks of {type(self).__name__}')
        self._index = IndexWriter()
        self._closables: list[Closable] = [self._callbacks, self._index]
        self._leftovers = Leftovers(self, *self._closables)
        # The jobs that were attached to, whose folders, if they have any, are called by other ids.
        self._attached: set[str] = set()
        # Those among them whose ids are others' now than of the jobs of ours that had them once.
        self._strange: set[str] = set()
        # The jobs that follow those that had their keys before.
        self._heirs: set[str] = set()
        # The folders of the jobs whose ids are not their names: those of elements of arrays.
        self._shared_folders: weakref.WeakKeyDictionary[Job, JobFolder] = weakref.WeakKeyDictionary()
        # The jobs that nobody follows since `close`, or that the parent follows of a process that was forked off.
        self._left: dict[str, Followed] = {}
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        """Begin anew in a process that was forked off: the parent's threads are not here, and its files are its own.

        Jobs of the parent are followed here as soon as somebody here waits for them.
        """
        self._lock = threading.Lock()
        self._leftovers.become(*self._closables)
        membership, self._membership = self._membership, None
        if membership is not None:
            self._leave(membership.monitor.jobs_of(self))

    # -- what subclasses give

    @abstractmethod
    def _make_source(self) -> StatusSource:
        """Return what the monitor asks for states."""

    @abstractmethod
    def _rhythm(self) -> Rhythm:
        """Return when the monitor asks."""

    def _close_last(self, closable: Closable) -> None:
        """Close something of a subclass as well, after all else."""
        self._closables.append(closable)
        self._leftovers.become(*self._closables)

    @property
    def _keeps_files(self) -> bool:
        """Whether the script of a job that succeeded is kept."""
        return True

    def _patience(self) -> Patience:
        """Return how long the monitor waits for better evidence."""
        return Patience()

    # -- the interface

    @functools.cached_property
    def work_directory(self) -> Path:
        """Where the folders of this executor's jobs lie."""
        if self.config.work_directory is not None:
            return self.config.work_directory.absolute() / self.name
        return default_work_directory() / self.name

    @property
    def health(self) -> str:
        """`ok`, or `degraded` while the scheduler has not answered for several rounds, nor any other command since."""
        return 'ok' if self._membership is None else self._membership.monitor.health

    def close(self) -> None:
        """Stop following jobs; this neither waits for them nor cancels them.

        A job that somebody waits for, now or later, is followed again.
        """
        with self._lock:
            membership, self._membership = self._membership, None
        if membership is not None:
            forgotten = membership.monitor.forget(self)
            membership.close()
            self._leave(forgotten)
        for closable in self._closables:
            closable.close()

    # -- following

    @property
    def _mailbox(self) -> Path:
        """Where the scripts of this executor's jobs leave their hints."""
        return self._get_monitor().hints.mailbox(self.work_directory, self._hint_address)

    @property
    def _hint_address(self) -> str | None:
        """At which address of this host jobs tell of their starts and ends, `auto`, or None for none."""
        return None

    def _get_monitor(self) -> StatusMonitor:
        with self._lock:
            if self._membership is None:
                self._membership = Membership(self._make_source(), self._rhythm())
                self._membership.join(
                    (type(self), self.name, self.url, self._scheduler_key), f'psij-ext monitor of {self.name}')
                self._leftovers.become(self._membership, *self._closables)
            return self._membership.monitor

    @property
    def _scheduler_key(self) -> object:
        """What else tells schedulers apart, fit to be a key; executors that differ in nothing share one monitor."""
        return None

    def _heard(self) -> None:
        """Take note that the scheduler has answered a command other than the monitor's queries."""
        membership = self._membership
        if membership is not None:
            membership.monitor.heard()

    def _follow(self, followed: Followed) -> None:
        """Follow a job whose script does not know of our mailbox yet."""
        if followed.folder is not None:
            try:
                followed.folder.add_follower(self._mailbox)
            except OSError as error:
                logger.debug('No hints from %s: %s', followed.folder.path, error)
        self._get_monitor().follow(followed)

    def _leave(self, jobs: Sequence[Followed]) -> None:
        self._left.update((followed.job.id, followed) for followed in jobs)
        for followed in jobs:
            followed.job._wake_waiters()

    def _look_after(self, job: Job) -> None:
        followed = self._left.pop(job.id, None)
        if followed is not None:
            self._follow(followed)

    def _report(self, job: Job, status: JobStatus, exit_info: ExitInfo | None, requeued: bool) -> None:
        if exit_info is not None:
            exit_info = job._set_exit_info(exit_info)
            folder = self._folder_of(job)
            if folder is not None:
                self._keep_end(folder, job, status, exit_info)
        self._update_job_status(job, status, requeued)

    def _folder_of(self, job: Job) -> JobFolder | None:
        if job.id not in self._attached:
            # By its own id: a scheduler that lost its state may have given its native id to another job.
            return self._shared_folders.get(job) or JobFolder(self.work_directory / job.id)
        if job.id in self._strange:
            return None
        try:
            return find_folder(self.work_directory, job.native_id or '')
        except FolderUnreadable as error:
            logger.debug('The end of job %s cannot be kept: %s', job.native_id, error)
            return None

    def _keep_end(self, folder: JobFolder, job: Job, status: JobStatus, exit_info: ExitInfo) -> None:
        # Whoever only attached to it gave it another id.
        reported = folder.job_id == job.id or job.id in self._heirs
        keep_end(folder, status, exit_info, reported=reported)
        self._index.ended(folder.job_id, status, exit_info)
        if reported:
            self._index.reported(folder.job_id, time.time())
        if status.state is JobState.COMPLETED and not self._keeps_files:
            folder.tidy()

    def _update_job_status(self, job: Job, status: JobStatus, requeued: bool = False) -> None:
        for transition in job._record(status, requeued):
            if not transition.final and job.id not in self._attached:
                self._index.entered_state(job.id, transition.state, transition.time, requeued=requeued)
            self._notify(job, transition)

    def _notify(self, job: Job, status: JobStatus) -> None:
        if job._callback is not None or self._callback is not None:
            self._callbacks.call(functools.partial(super()._notify, job, status))

