"""What all our executors share: a folder for each job, one script, and a monitor that follows."""

from __future__ import annotations

import copy
import functools
import logging
import threading
import time
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

from psij_ext.core.exit_info import ExitInfo
from psij_ext.core.interfaces import JobExecutorConfig, Launcher
from psij_ext.core.job import Job
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import InvalidJobException, PsijExtError, SubmitException, SubmitUncertain
from psij_ext.executors.control import ControllingExecutor
from psij_ext.executors.remembering import own_stderr, read_spec, remember, submission_time
from psij_ext.runtime import processes
from psij_ext.runtime.callbacks import CallbackThread
from psij_ext.runtime.ending import keep_end
from psij_ext.runtime.evidence import Patience
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.forking import renew_in_children
from psij_ext.runtime.jobfolder import JobFolder, check_private, new_nonce
from psij_ext.runtime.leftovers import Leftovers
from psij_ext.runtime.look import Look, SilentSource, look
from psij_ext.runtime.monitor import StatusMonitor, StatusSource
from psij_ext.runtime.places import default_work_directory
from psij_ext.runtime.schedule import Rhythm
from psij_ext.runtime.script import make_absolute
from psij_ext.runtime.sharing import Membership
from psij_ext.runtime.spares import SpareFolders

logger = logging.getLogger(__name__)


class FollowingExecutor(ControllingExecutor):
    """An executor that keeps a folder for each job and follows its jobs by folder and scheduler.

    Subclasses start a job (`_start`), end jobs (`_end`) or warn them (`_warn`), and say where states are asked for
    (`_make_source`).
    """

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        super().__init__(url=url, config=config)
        self._lock = threading.Lock()
        self._membership: Membership | None = None
        self._callbacks = CallbackThread(f'psij-ext callbacks of {type(self).__name__}')
        self._spares = SpareFolders()
        self._leftovers = Leftovers(self, self._callbacks, self._spares)
        self._launchers: dict[str, Launcher] = {}
        # The jobs that nobody follows since `close`, or that the parent follows of a process that was forked off.
        self._left: dict[str, Followed] = {}
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        """Begin anew in a process that was forked off: the parent's threads are not here, and its files are its own.

        Jobs of the parent are followed here as soon as somebody here waits for them.
        """
        self._lock = threading.Lock()
        self._leftovers.become(self._callbacks, self._spares)
        membership, self._membership = self._membership, None
        if membership is not None:
            self._leave(membership.monitor.jobs_of(self))

    # -- what subclasses give

    @abstractmethod
    def _start(self, job: Job, folder: JobFolder, nonce: str) -> str:
        """Write the job's script and hand it to the scheduler; return the native id.

        :param job: a copy of the job, with an absolute spec.
        :param folder: the job's folder.
        :param nonce: the name of this submission.
        :raises InvalidJobException: if the job cannot be run as written.
        :raises SubmitException: if the scheduler refuses it.
        """

    @abstractmethod
    def render(
        self, job: Job, folder: JobFolder, nonce: str, mailbox: Path | None = None
    ) -> tuple[str, Sequence[str]]:
        """Return the script of a job, and the command that starts or submits it; nothing is written or run.

        :param job: a copy of the job, with an absolute spec.
        :param folder: the folder that the script is to use.
        :param nonce: the name of the submission.
        :raises InvalidJobException: if the job cannot be run as written.
        """

    @abstractmethod
    def _make_source(self) -> StatusSource:
        """Return what the monitor asks for states."""

    @abstractmethod
    def _rhythm(self) -> Rhythm:
        """Return when the monitor asks."""

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
        """`ok`, or `degraded` while the scheduler has not answered for several rounds."""
        return 'ok' if self._membership is None else self._membership.monitor.health

    def submit(self, job: Job) -> None:
        """Hand a job to the scheduler; the job has its native id afterwards.

        :raises InvalidJobException: if it cannot be run as it is written, or was submitted before.
        :raises SubmitException: if the scheduler refused it; the job stays NEW and may be submitted again.
        :raises SubmitUncertain: if nobody knows; do not submit it again.
        """
        spec = make_absolute(self._check_job(job), Path.cwd())
        with self._lock:
            if job.executor is not None:
                raise InvalidJobException(
                    f'Job {job.id} was submitted before, or is being submitted just now.')
            job._bind(self)
        try:
            copied = copy.copy(job)
            copied.spec = spec
            folder = self._make_folder(job.id)
            nonce = new_nonce()
            self._write_record(folder, spec, nonce)
            native_id = self._start(copied, folder, nonce)
        except SubmitUncertain:
            raise  # it stays bound: a second submission might make it run twice
        except OSError as error:
            job._bind(None)
            raise SubmitException(f'The folder of job {job.id} cannot be written: {error}', error) from error
        except BaseException:
            job._bind(None)
            raise
        self._follow_submitted(job, native_id, folder, spec)

    def attach(self, job: Job, native_id: str) -> None:
        """Follow a job that was submitted earlier, perhaps by another program.

        Where the job was submitted by this library, its spec is filled in if the given job has none.

        :param job: a new job.
        :param native_id: the scheduler's name for it.
        :raises InvalidJobException: if the job was submitted or attached before.
        """
        if not isinstance(native_id, str) or not native_id:
            raise InvalidJobException(f'A native id is a text that is not empty, not {native_id!r}.')
        with self._lock:
            if job.executor is not None or job.status.state is not JobState.NEW:
                raise InvalidJobException(f'Job {job.id} was submitted or attached before.')
            job._bind(self)
        job._set_native_id(native_id)
        folder = JobFolder.find(self.work_directory, native_id)
        submitted: float | None = 0.0
        if folder is not None:
            if job.spec is None:
                job.spec = read_spec(folder)
            submitted = submission_time(folder)
        self._update_job_status(job, JobStatus(JobState.QUEUED))
        followed = Followed(
            job, native_id, folder, self._report, submitted=submitted, stderr_path=own_stderr(job.spec),
            patience=self._patience())
        followed.cancel_acknowledged = folder is not None and folder.cancel_noted
        self._follow(followed)

    def look(self, folders: Sequence[JobFolder]) -> Look:
        """Look once at jobs that were submitted earlier, perhaps by other programs; none of them is followed.

        What the folders tell is taken from them; for all the rest there is one query.

        :param folders: the jobs' folders. One whose job was not submitted is passed over.
        """
        remembered = [remember(folder, self) for folder in folders if folder.native_id is not None]
        ours: list[Followed] = []
        reused: list[Followed] = []
        for followed in remembered:
            latest = JobFolder.find(self.work_directory, followed.native_id)
            known = latest is not None and latest.job_id == followed.job.id
            (ours if known else reused).append(followed)
        # A scheduler that lost its state gives ids a second time: what it says of them is about another job.
        first, second = look(self._make_source(), ours), look(SilentSource(), reused)
        return Look({**first.jobs, **second.jobs}, first.missing | second.missing, first.trouble)

    def preview(self, job: Job) -> tuple[str, Sequence[str]]:
        """Return the script that `submit` would write and the command that it would run; nothing is written or run.

        :raises InvalidJobException: if the job cannot be run as it is written.
        """
        copied = copy.copy(job)
        copied.spec = make_absolute(self._check_job(job), Path.cwd())
        return self.render(copied, JobFolder(self.work_directory / job.id), new_nonce())

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
        self._callbacks.close()
        self._spares.close()

    # -- submitting

    def _make_folder(self, job_id: str) -> JobFolder:
        work_directory = self.work_directory
        folder = JobFolder.create(work_directory, job_id, self._spares.take())
        check_private(work_directory)
        return folder

    def _prepare_next(self) -> None:
        """Make the folder of a next job on another thread, while this one waits for the submit command."""
        self._callbacks.call(functools.partial(self._spares.add, self.work_directory))

    def _write_record(self, folder: JobFolder, spec: JobSpec, nonce: str) -> None:
        folder.open_journal({
            'format': 1, 'job_id': folder.job_id, 'executor': self.name, 'url': self.url, 'nonce': nonce,
            'submitted': time.time(), 'owner': processes.this_process(),
        }, JSONSerializer().dumps(spec))

    @property
    def _mailbox(self) -> Path:
        """Where the scripts of this executor's jobs leave their hints."""
        return self._get_monitor().mailbox(self.work_directory)

    def _follow_submitted(self, job: Job, native_id: str, folder: JobFolder, spec: JobSpec) -> None:
        job._set_native_id(native_id)
        try:
            folder.set_native_id(native_id)
        except OSError as error:
            # The job is submitted, come what may: this process follows it by the id that it has in memory.
            logger.warning('The native id %s of job %s cannot be kept in %s: %s',
                           native_id, job.id, folder.path, error)
        self._update_job_status(job, JobStatus(JobState.QUEUED))
        self._get_monitor().follow(Followed(
            job, native_id, folder, self._report, stderr_path=own_stderr(spec), patience=self._patience()))

    def _launcher(self, spec: JobSpec) -> Launcher:
        name = spec.launcher or Launcher.DEFAULT_LAUNCHER_NAME
        if name not in self._launchers:
            try:
                self._launchers[name] = Launcher.get_instance(name, config=self.config)
            except PsijExtError as error:
                raise InvalidJobException(f'JobSpec.launcher: {error}', error) from error
        return self._launchers[name]

    # -- following

    def _get_monitor(self) -> StatusMonitor:
        with self._lock:
            if self._membership is None:
                self._membership = Membership(self._make_source(), self._rhythm())
                self._membership.join(
                    (type(self), self.name, self.url, self._scheduler_key), f'psij-ext monitor of {self.name}')
                self._leftovers.become(self._membership, self._callbacks, self._spares)
            return self._membership.monitor

    @property
    def _scheduler_key(self) -> object:
        """What else tells schedulers apart, fit to be a key; executors that differ in nothing share one monitor."""
        return None

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
        if exit_info is not None and not job.status.final:
            job._set_exit_info(exit_info)
            folder = JobFolder.find(self.work_directory, job.native_id or '')
            if folder is not None:
                keep_end(folder, status, exit_info)
                if status.state is JobState.COMPLETED and not self._keeps_files:
                    folder.tidy()
        self._update_job_status(job, status, requeued)

    def _notify(self, job: Job, status: JobStatus) -> None:
        if job._callback is not None or self._callback is not None:
            self._callbacks.call(functools.partial(super()._notify, job, status))

