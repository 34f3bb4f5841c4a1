"""What every executor and every launcher can do."""

from __future__ import annotations

import builtins
import inspect
import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, TypeVar

from psij_ext.core import checks
from psij_ext.core.checks import Checked, Field, Known, describe, instance_of, optional
from psij_ext.core.control import JobControl
from psij_ext.core.described import Described
from psij_ext.core.job import AnyCallback, Job, call_back, check_callback, list_of_jobs
from psij_ext.core.places import default_work_directory
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import BrokenPlugin, InvalidJobException, NotAllSubmitted, PsijExtError, SubmitException
from psij_ext.plugins import Registry, executors, launchers

if TYPE_CHECKING:
    from psij_ext.plugins import Descriptor

_logger = logging.getLogger(__name__)
Plugin = TypeVar('Plugin')


class _DefaultWorkDirectory:
    def __get__(self, instance: object, owner: type) -> Path:
        return default_work_directory()


class JobExecutorConfig(Checked):
    """How an executor works; subclasses add what their scheduler needs.

    :param launcher_log_file: a file to which launchers write what they do.
    :param work_directory: where the executor keeps the folders of its jobs; its usual place if None.
    :param session: a name for all that a program does, run after run, by which it finds its jobs again.
    :param submit_retry_time: for how long a submission that was refused for a reason that may pass is tried again, in
        seconds or as a timedelta.
    """

    DEFAULT: ClassVar[JobExecutorConfig]
    """A configuration that says nothing."""
    DEFAULT_WORK_DIRECTORY: ClassVar[_DefaultWorkDirectory] = _DefaultWorkDirectory()
    """Where the folders of jobs lie if nothing else is said."""

    launcher_log_file: Field[str | Path | None, Path | None] = Field(
        optional(checks.path), 'A file to which launchers write what they do.'
    )
    work_directory: Field[str | Path | None, Path | None] = Field(
        optional(checks.path), 'Where the executor keeps the folders of its jobs.'
    )

    session: Field[str | None, str | None] = Field(
        optional(checks.nonempty_text), 'A name for all that a program does, run after run.'
    )
    submit_retry_time: Field[float | timedelta, float] = Field(
        checks.seconds, 'Seconds for which a submission is tried again that was refused for a reason that may pass.'
    )

    def __init__(
        self,
        launcher_log_file: str | Path | None = None,
        work_directory: str | Path | None = None,
        session: str | None = None,
        submit_retry_time: float | timedelta = 60,
    ) -> None:
        self.launcher_log_file = launcher_log_file
        self.work_directory = work_directory
        self.session = session
        self.submit_retry_time = submit_retry_time


JobExecutorConfig.DEFAULT = JobExecutorConfig()


def _make(registry: Registry, descriptor: Descriptor, loaded: type[Plugin], base: type,
          **arguments: object) -> Plugin:
    """Make an instance of a plugin's class, and say whose fault it is where that cannot be done."""
    where = f'The {registry.kind} {descriptor.name!r} is {descriptor.cls} in {_file_of(loaded)}'
    if not issubclass(loaded, base):
        raise BrokenPlugin(f'{where}, which is no {base.__name__}')
    lacking = sorted(getattr(loaded, '__abstractmethods__', ()))
    if lacking:
        raise BrokenPlugin(f'{where}, which lacks the methods {", ".join(lacking)}')
    try:
        return loaded(**arguments)
    except PsijExtError:
        raise
    except Exception as error:
        if isinstance(error, (TypeError, ValueError)) and any(given is not None for given in arguments.values()):
            raise  # of what the caller gave
        raise BrokenPlugin(f'{where}, which cannot be made: {type(error).__name__}: {error}') from error


def _file_of(loaded: type) -> str:
    try:
        return inspect.getfile(loaded)
    except (OSError, TypeError):
        return 'no file'


class JobExecutor(Described, JobControl):
    """Hands jobs to a scheduler, follows them and cancels them.

    :param url: which scheduler to talk to, where there is a choice.
    :param config: how to work; the defaults if None.
    """

    _registry = executors

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        self.url = optional(checks.nonempty_text)('JobExecutor.url', url)
        given = optional(instance_of(JobExecutorConfig))('JobExecutor.config', config)
        self.config = JobExecutorConfig() if given is None else given
        self._callback: AnyCallback | None = None

    @staticmethod
    def get_instance(
        name: str,
        version_constraint: str | None = None,
        url: str | None = None,
        config: JobExecutorConfig | None = None,
    ) -> JobExecutor:
        """Return a new executor.

        :param name: its name or an alias, such as `slurm`.
        :param version_constraint: the versions that will do, such as `>=1.0,<2`; any if None, and the newest wins.
        :param url: which scheduler to talk to, where there is a choice.
        :param config: how to work; the defaults if None.
        :raises UnknownPlugin: if there is none.
        :raises BrokenPlugin: if there is one that cannot be loaded.
        """
        loaded, descriptor = executors.get(name, version_constraint)
        executor: JobExecutor = _make(executors, descriptor, loaded, JobExecutor, url=url, config=config)
        executor._descriptor = descriptor
        return executor

    @staticmethod
    def get_executor_names() -> set[str]:
        """Return the names of the executors that are installed, without their aliases."""
        return executors.names()

    @staticmethod
    def register_executor(desc: Descriptor, root: str | Path) -> None:
        """Let an executor be found that no folder of descriptors and no entry point names.

        :param desc: says under which name, and where its class is.
        :param root: the folder under which the class must lie.
        """
        executors.register(desc, root)

    @abstractmethod
    def submit(self, job: Job) -> None:
        """Hand a job to the scheduler; the job has its native id afterwards.

        :raises InvalidJobException: if it cannot be run as it is written.
        :raises SubmitException: if the scheduler refused it.
        :raises SubmitUncertain: if nobody knows; do not submit it again.
        """

    def submit_many(self, jobs: Iterable[Job]) -> None:
        """Hand jobs to the scheduler: here one after the other; executors of ours do better.

        :raises NotAllSubmitted: if some were not submitted; the others were.
        """
        chosen = list_of_jobs('submit_many: jobs', jobs)
        failures: dict[str, PsijExtError] = {}
        for job in chosen:
            try:
                self.submit(job)
            except (InvalidJobException, SubmitException) as error:
                failures[job.id] = error
        if failures:
            raise NotAllSubmitted(failures, len(chosen))

    @abstractmethod
    def attach(self, job: Job, native_id: str) -> None:
        """Follow a job that was submitted earlier, perhaps by another program.

        :param job: a new job; its description may be missing.
        :param native_id: the scheduler's name for it.
        """

    @abstractmethod
    def list(self) -> builtins.list[str]:
        """Return the native ids of the jobs that this user has with the scheduler."""

    def close(self) -> None:
        """Stop following jobs; this neither waits for them nor cancels them."""
        return

    def set_job_status_callback(self, cb: AnyCallback | None) -> None:
        """Have an object or a function told of every change of status of this executor's jobs.

        :param cb: a `JobStatusCallback`, or a function that takes the job and its new status; None for nobody.
        :raises TypeError: if it is neither.
        """
        check_callback('JobExecutor.set_job_status_callback', cb)
        self._callback = cb

    def __enter__(self: Plugin) -> Plugin:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name={self.name!r}, version={str(self.version)!r}, url={self.url!r})'

    # For subclasses.

    def _check_job(self, job: Job, known: Known | None = None) -> JobSpec:
        """Return an own, checked copy of a job's description.

        :param known: what was copied already for others; see `Checked.snapshot`.
        :raises InvalidJobException: if the job was submitted before, or its description is missing or wrong.
        """
        if not isinstance(job, Job):
            raise TypeError(f'JobExecutor.submit: expected a Job, got {describe(job)}')
        if job.status.state is not JobState.NEW or job.native_id is not None:
            raise InvalidJobException(f'Job {job.id} was submitted before')
        if job.spec is None:
            raise InvalidJobException(f'Job {job.id} has no spec')
        try:
            spec = job.spec.snapshot(known)
        except (TypeError, ValueError) as error:
            raise InvalidJobException(str(error), error) from error
        if spec.executable is None:
            raise InvalidJobException('JobSpec.executable: is missing')
        return spec

    def _look_after(self, job: Job) -> None:
        """Somebody is about to wait for a job of this executor."""
        return

    def _set_job_status(self, job: Job, status: JobStatus) -> None:
        """Take a status of a job: what executors that were written for PSI/J call."""
        self._update_job_status(job, status)

    def _get_launcher(self, name: str, version_constraint: str | None = None) -> Launcher:
        """Return a launcher with this executor's configuration, as executors that were written for PSI/J ask for it."""
        return Launcher.get_instance(name, version_constraint, self.config)

    def _update_job_status(self, job: Job, status: JobStatus, requeued: bool = False) -> None:
        """Take a status of a job, and tell the callbacks of each transition."""
        for transition in job._record(status, requeued):
            self._notify(job, transition)

    def _notify(self, job: Job, status: JobStatus) -> None:
        """Tell the job's callback, then the executor's, of a new status."""
        for callback in (job._callback, self._callback):
            if callback is None:
                continue
            try:
                call_back(callback, job, status)
            except Exception:  # foreign code, whose fault must not end the thread that follows jobs
                _logger.exception('A callback failed for job %s in state %s', job.id, status.state)


class Launcher(Described, ABC):
    """Builds the command that starts a job's program on the machines that it was given.

    :param config: the configuration of the executor; the defaults if None.
    """

    DEFAULT_LAUNCHER_NAME = 'single'
    _registry = launchers

    def __init__(self, config: JobExecutorConfig | None = None) -> None:
        given = optional(instance_of(JobExecutorConfig))('Launcher.config', config)
        self.config = JobExecutorConfig() if given is None else given

    @staticmethod
    def get_instance(
        name: str,
        version_constraint: str | None = None,
        config: JobExecutorConfig | None = None,
    ) -> Launcher:
        """Return a new launcher.

        :param name: its name or an alias, such as `mpirun`.
        :param version_constraint: the versions that will do, such as `>=1.0,<2`; any if None, and the newest wins.
        :param config: the configuration of the executor; the defaults if None.
        :raises UnknownPlugin: if there is none.
        :raises BrokenPlugin: if there is one that cannot be loaded.
        """
        loaded, descriptor = launchers.get(name, version_constraint)
        launcher: Launcher = _make(launchers, descriptor, loaded, Launcher, config=config)
        launcher._descriptor = descriptor
        return launcher

    @staticmethod
    def get_launcher_names() -> set[str]:
        """Return the names of the launchers that are installed, without their aliases."""
        return launchers.names()

    @staticmethod
    def register_launcher(desc: Descriptor, root: str | Path) -> None:
        """Let a launcher be found that no folder of descriptors and no entry point names.

        :param desc: says under which name, and where its class is.
        :param root: the folder under which the class must lie.
        """
        launchers.register(desc, root)

    @abstractmethod
    def get_launch_command(self, job: Job) -> list[str]:
        """Return the command, as a list of arguments, that starts the job's program."""

    @property
    def opens_streams(self) -> bool:
        """Whether the launch command opens the job's standard streams by itself, at the paths of its description."""
        return False

    def keeps_process_tree(self, job: Job, *, scheduled: bool) -> bool:
        """Tell whether all processes of a job descend from the launch command and are waited for by it.

        Then the job's script can measure the CPU time and the memory that they use. Where a daemon or another machine
        starts them, the script would measure next to nothing and take it for all; what it cannot measure is unknown.
        Hence a launcher that does not say otherwise is taken for one that starts them elsewhere.

        :param job: the job, with its description.
        :param scheduled: whether a batch scheduler runs the launch command, which may start processes through that
            scheduler.
        """
        return False

    def is_launcher_failure(self, output: str) -> bool:
        """Tell from what the launch command printed whether the launcher itself failed, not the program."""
        return False

    def get_launcher_failure_message(self, output: str) -> str:
        """Return the launcher's own message from what the launch command printed."""
        return output.strip()
