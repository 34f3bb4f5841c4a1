"""Submitting jobs: a folder for each, one script, and a native id for it, or an error that says what happened."""

from __future__ import annotations

import functools
import logging
import shutil
import time
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Callable

from psij_ext.core.dependencies import NO_DEPENDENCIES, Dependencies
from psij_ext.core.interfaces import JobExecutorConfig, Launcher
from psij_ext.core.job import Job
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import (
    CommandError,
    InvalidJobException,
    ParseError,
    PsijExtError,
    SubmitException,
    SubmitUncertain,
)
from psij_ext.executors.depending import Others, check_others
from psij_ext.executors.keyed import FormerUncertain
from psij_ext.executors.settling import SettlingExecutor
from psij_ext.runtime import processes
from psij_ext.runtime.callbacks import CallbackThread
from psij_ext.runtime.claims import new_nonce
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.private import check_private
from psij_ext.runtime.schedule import Pauses
from psij_ext.runtime.script import make_absolute
from psij_ext.runtime.settlement import give_up
from psij_ext.runtime.spares import SpareFolders

logger = logging.getLogger(__name__)

# Between two attempts at a submission that was refused for a reason that may pass.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_NOBODY = Others()


class SubmittingExecutor(SettlingExecutor):
    """An executor that keeps a folder for each job that it submits, and follows it.

    Subclasses render a job (`render`) and start it (`_start`).
    """

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        super().__init__(url=url, config=config)
        # Not that of the callbacks, which may take their time.
        self._keeping = CallbackThread(f'psij-ext folders of {type(self).__name__}')
        self._spares = SpareFolders()
        self._close_last(self._keeping)
        self._close_last(self._spares)
        self._launchers: dict[str, Launcher] = {}

    # -- what subclasses give

    @abstractmethod
    def _start(self, job: Job, folder: JobFolder, nonce: str, dependencies: Dependencies) -> str:
        """Write the job's script and hand it to the scheduler; return the native id.

        :param job: a copy of the job, with an absolute spec.
        :param folder: the job's folder.
        :param nonce: the name of this submission.
        :param dependencies: the jobs that it waits for; their ends are not known.
        :raises InvalidJobException: if the job cannot be run as written.
        :raises SubmitException: if the scheduler refuses it.
        """

    @abstractmethod
    def render(
        self, job: Job, folder: JobFolder, nonce: str, mailbox: Path | None = None,
        dependencies: Dependencies = NO_DEPENDENCIES,
    ) -> tuple[str, Sequence[str]]:
        """Return the script of a job, and the command that starts or submits it; nothing is written or run.

        :param job: a copy of the job, with an absolute spec.
        :param folder: the folder that the script is to use.
        :param nonce: the name of the submission.
        :param mailbox: where the script leaves its hints; None for nowhere.
        :param dependencies: the jobs that it waits for.
        :raises InvalidJobException: if the scheduler cannot express a field of the job.
        """

    @property
    def _lets_jobs_wait(self) -> bool:
        """Whether a job can wait for others here."""
        return False

    # -- the interface

    def submit(
        self, job: Job, *, key: str | None = None, resubmit_failed: bool = False, after_ok: Iterable[Job] = (),
        after_any: Iterable[Job] = (), after_not_ok: Iterable[Job] = (),
    ) -> None:
        """Hand a job to the scheduler; the job has its native id afterwards.

        Under a key that has a job already, from this program's last run or from another process at this moment, nothing
        is submitted, and `job` follows that one, whatever its own spec: a program may be run again as it is.

        :param job: the job.
        :param key: a name for this submission, any text; the keys of a work directory are apart from those of others.
        :param resubmit_failed: whether it is submitted anew where the former job failed or was cancelled.
        :param after_ok: jobs of this executor that must complete before it begins. If one does not, it never begins: it
            ends FAILED, with the reason DEPENDENCY_FAILED.
        :param after_any: jobs that must be over before it begins, however they ended.
        :param after_not_ok: jobs that must fail or be cancelled before it begins; the same holds as for `after_ok`.
        :raises InvalidJobException: if it cannot be run as it is written, or was submitted before; or if one of the
            other jobs is none that it can wait for, or the executor cannot let jobs wait.
        :raises SubmitException: if the scheduler refused it; the job stays NEW and may be submitted again. If the
            reason may pass, that was tried for a while. The same where one of the other jobs is over already so that
            this one could never begin.
        :raises SubmitUncertain: if nobody knows; do not submit it again.
        """
        spec = make_absolute(self._check_job(job), Path.cwd())
        _check_key(key)
        others = check_others(self, job, after_ok, after_any, after_not_ok)
        if others.all and not self._lets_jobs_wait:
            raise InvalidJobException(f'The executor {self.name} cannot let a job wait for others.')
        self._submit_described(job, spec, key, resubmit_failed, others)

    def preview(self, job: Job) -> tuple[str, Sequence[str]]:
        """Return the script that `submit` would write and the command that it would run; nothing is written or run.

        :raises InvalidJobException: if the job cannot be run as it is written.
        """
        described = job._described_as(make_absolute(self._check_job(job), Path.cwd()))
        return self.render(described, JobFolder(self.work_directory / job.id), new_nonce())

    # -- the steps of a submission

    def _submit_described(
        self, job: Job, spec: JobSpec, key: str | None = None, resubmit_failed: bool = False, others: Others = _NOBODY,
    ) -> None:
        """Submit a job whose description was checked.

        :param spec: a copy of it that nobody else changes, with absolute paths.
        """
        self._take(job)
        folder: JobFolder | None = None
        try:
            folder = self._make_folder(job.id)
            if key is not None:
                # Before the key is taken, so that whoever finds that it is sees a submission under way.
                self._write_record(folder, spec, new_nonce(), key)
                other = self._find_by_key(key, job, resubmit_failed)
                if other is not None:
                    shutil.rmtree(folder.path)
                    job._bind(None)
                    self._follow_former(job, other)
                    return
            native_id = self._start_patiently(job._described_as(spec), folder, spec, key, others)
        except FormerUncertain as uncertain:
            if folder is not None:  # nothing of it went to the scheduler
                shutil.rmtree(folder.path, ignore_errors=True)
            self._follow_open_former(job, uncertain.former)
            raise
        except SubmitUncertain as uncertain:
            # It stays bound: a second submission might make it run twice.
            if folder is not None:
                self._follow_open(job, folder, spec, key, str(uncertain))
            raise
        except (PsijExtError, OSError) as error:
            job._unbind()
            if folder is not None:
                give_up(folder, str(error), reported=True)
            if isinstance(error, OSError):
                raise SubmitException(f'The folder of job {job.id} cannot be written: {error}', error) from error
            raise
        except BaseException as error:  # an interrupt, for one
            if folder is None or self._take_back(
                    folder, str(error) or type(error).__name__,
                    functools.partial(self._follow_submitted, job, folder=folder, spec=spec, key=key),
                    functools.partial(self._follow_open, job, folder, spec, key)):
                job._unbind()
            raise
        self._follow_submitted(job, native_id, folder, spec, key)

    def _take(self, job: Job) -> None:
        """Bind a job to this executor, if nobody else is submitting it."""
        with self._lock:
            if job.executor is not None:
                raise InvalidJobException(f'Job {job.id} was submitted before, or is being submitted just now.')
            job._bind(self)

    def _start_patiently(self, job: Job, folder: JobFolder, spec: JobSpec, key: str | None, others: Others) -> str:
        """Start a job, once more and under another nonce each time that it is refused for a reason that may pass."""
        def start() -> str:
            nonce = new_nonce()
            self._write_record(folder, spec, nonce, key, others.dependencies())
            self._check_known(job, others.all)
            self._await_ends(others.all)
            return self._start(job, folder, nonce, self._undecided(others, job))

        return self._patiently(start)

    def _patiently(self, start: Callable[[], str], waits: Callable[[SubmitException], bool] = lambda _: True) -> str:
        """Start something, once more each time that it is refused for a reason that may pass; return its native id.

        :param start: makes one attempt.
        :param waits: tells whether a refusal is worth it.
        """
        pauses = Pauses(self.config.submit_retry_time, self.clock, _FIRST_PAUSE, _LONGEST_PAUSE)
        level = logging.WARNING
        while True:
            try:
                return start()
            except SubmitUncertain:
                raise
            except SubmitException as refusal:
                pause = pauses.next() if refusal.transient and waits(refusal) else None
                if pause is None:
                    raise
                logger.log(level, 'It is submitted again for up to %g s: %s', self.config.submit_retry_time, refusal)
                level = logging.DEBUG  # once is enough
            self.sleep(pause)

    def _check_known(self, job: Job, others: Sequence[Job]) -> None:
        """Make sure that there are those jobs that a job is to wait for and that were not submitted from here.

        To Slurm, the end of a job that it does not know is whatever end is waited for (seen in 22.05).

        :raises SubmitException: if the scheduler knows nothing of one, or does not answer.
        """
        if not others:
            return
        monitor = self._get_monitor()
        strange = [followed for other in others if (followed := monitor.followed(other)) is not None
                   and followed.folder is None and followed.last_seen is None]
        if not strange:
            return
        try:
            unknown = self._unknown_among(strange)
        except (CommandError, ParseError) as error:
            raise SubmitException(f'Whether the jobs are there that it is to wait for is not known: {error}', error,
                                  transient=True) from error
        if unknown:
            raise SubmitException(
                f'Job {job.id} was not submitted: {self.name} knows nothing of {", ".join(unknown)}, for which it was '
                'to wait.')

    def _await_ends(self, jobs: Sequence[Job]) -> None:
        """Wait for what is known soon of jobs whose ends the scheduler may have forgotten; by default nothing."""
        return

    def _undecided(self, others: Others, job: Job) -> Dependencies:
        """Return the native ids by which the scheduler is told for which jobs a job waits.

        :raises SubmitException: if one of them ended so that the job can never run.
        """
        return others.undecided(job, self._statuses_of_left(others.all))

    def _statuses_of_left(self, jobs: Sequence[Job]) -> dict[str, JobStatus]:
        """Look at those of some jobs that nobody follows at present; return what is certain, by their ids."""
        left = [followed for job in jobs if (followed := self._left.get(job.id)) is not None]
        folders = {followed.folder: followed.job.id for followed in left if followed.folder is not None}
        if not folders:
            return {}
        seen = self.look([*folders])
        return {job_id: seen.jobs[folder.job_id].status for folder, job_id in folders.items()
                if folder.job_id in seen.jobs and folder.job_id not in seen.uncertain}

    def _make_folder(self, job_id: str) -> JobFolder:
        work_directory = self.work_directory
        folder = JobFolder.create(work_directory, job_id, self._spares.take())
        check_private(work_directory)
        return folder

    def _keep(self, folder: JobFolder) -> None:
        """Have the disk hold a job's folder, on another thread: best while this one waits for the submit command.

        A script that does not find its folder, after a loss of power in the meantime, runs nothing.
        """
        self._keeping.call(functools.partial(_save, folder))

    def _prepare_next(self) -> None:
        """Make the folder of a next job on another thread, while this one waits for the submit command."""
        self._keeping.call(functools.partial(self._spares.add, self.work_directory))

    def _write_record(
        self, folder: JobFolder, spec: JobSpec, nonce: str, key: str | None,
        dependencies: Dependencies = NO_DEPENDENCIES,
    ) -> None:
        waits = {'dependencies': dependencies.record()} if any(dependencies) else {}
        record = self._submission_record(folder, nonce, key)
        folder.open_journal({**record, **waits}, JSONSerializer().dumps(spec))

    def _submission_record(self, folder: JobFolder, nonce: str, key: str | None = None) -> dict[str, object]:
        return {
            'format': 1, 'job_id': folder.job_id, 'executor': self.name, 'url': self.url, 'nonce': nonce,
            'submitted': time.time(), 'owner': processes.this_process(), 'session': self.config.session, 'key': key}

    def _take_back(self, folder: JobFolder, reason: str, follow: Callable[[str], None],
                   follow_open: Callable[[str], None]) -> bool:
        """See to it that a submission that was interrupted does not run; return whether it may be made once more.

        :param follow: called with the native id, if it runs all the same.
        :param follow_open: called with the reason, if nobody knows.
        """
        try:
            journal = folder.read_journal()
            if journal.is_foreign and journal.is_open:
                raise OSError('its script is a plugin\'s own, which claims nothing')
            native_id = None if journal.nonce is None else folder.revoke(journal.nonce)
        except OSError as error:
            logger.warning('The submission of job %s was interrupted and cannot be revoked: %s', folder.job_id, error)
            follow_open(reason)
            return False
        if native_id is None:
            give_up(folder, reason, reported=True)
            return True
        logger.warning('The submission of job %s was interrupted; it runs all the same, as %s.',
                       folder.job_id, native_id)
        follow(native_id)
        return False

    def _launcher(self, spec: JobSpec) -> Launcher:
        name = spec.launcher or Launcher.DEFAULT_LAUNCHER_NAME
        if name not in self._launchers:
            try:
                self._launchers[name] = Launcher.get_instance(name, config=self.config)
            except PsijExtError as error:
                raise InvalidJobException(f'JobSpec.launcher: {error}', error) from error
        return self._launchers[name]


def _save(folder: JobFolder) -> None:
    try:
        folder.save()
    except FileNotFoundError:
        pass  # it was not submitted, or is pruned already
    except OSError as error:
        logger.warning('The folder of job %s may not outlast a loss of power: %s', folder.job_id, error)


def _check_key(key: str | None) -> None:
    if key is not None and (not isinstance(key, str) or not key):
        raise InvalidJobException(f'The key of a submission is a text that is not empty, not {key!r}.')
