"""Jobs as processes on this machine, which outlive the program that submits them; no scheduler and no daemon."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable, List

from psij_ext.core import checks
from psij_ext.core.checks import Field, optional
from psij_ext.core.control import FirstWarning
from psij_ext.core.dependencies import NO_DEPENDENCIES, Dependencies
from psij_ext.core.exit_info import ExitInfo
from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.places import user_state_folder
from psij_ext.core.spec import JobSpec
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandError, InvalidJobException, SubmitException
from psij_ext.executors.bulk import BulkExecutor
from psij_ext.executors.configuration import Seconds, own_config
from psij_ext.executors.custom_attributes import meant_for
from psij_ext.installation import data_folder
from psij_ext.runtime import processes
from psij_ext.runtime.answers import StatusSource
from psij_ext.runtime.children import Reaper
from psij_ext.runtime.evidence import Patience
from psij_ext.runtime.finding import find_folder
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.leftovers import Leftovers
from psij_ext.runtime.local_jobs import LocalJobs
from psij_ext.runtime.process_table import ProcessTable, parse_native_id
from psij_ext.runtime.schedule import Rhythm
from psij_ext.runtime.script import known_resources, script_context
from psij_ext.runtime.settlement import Origins
from psij_ext.runtime.slots import Slots
from psij_ext.runtime.supervisor import start_supervisor
from psij_ext.runtime.templates import full_script, render

_TEMPLATES = data_folder('templates')
_TRANSIENT = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class LocalExecutorConfig(JobExecutorConfig):
    """How the local executor works. Spans of time are seconds or timedeltas.

    :param launcher_log_file: a file to which job scripts write what they do.
    :param work_directory: where the executor keeps the folders of its jobs.
    :param max_processes: how many cores the jobs may use together, those of the user's other programs
        included; None for as many as this process may use.
    :param cancel_grace: how long a job has between TERM and KILL when it is cancelled or its time is over.
    :param keep_files: whether the script of a job that succeeded is kept.
    :param session: a name for all that a program does, run after run, by which it finds its jobs again.
    :param submit_retry_time: for how long a submission that was refused for a reason that may pass is tried again.
    """

    max_processes: Field[int | None, int | None] = Field(optional(checks.positive), 'Cores that jobs may use together.')
    cancel_grace: Field[Seconds, float] = Field(checks.seconds, 'Seconds between TERM and KILL.')
    keep_files: Field[bool, bool] = Field(checks.flag, 'Whether the script of a job that succeeded is kept.')

    def __init__(
        self,
        launcher_log_file: str | Path | None = None,
        work_directory: str | Path | None = None,
        max_processes: int | None = None,
        cancel_grace: Seconds = 10,
        keep_files: bool = False,
        session: str | None = None,
        submit_retry_time: Seconds = 60,
    ) -> None:
        super().__init__(launcher_log_file, work_directory, session, submit_retry_time)
        self.max_processes = max_processes
        self.cancel_grace = cancel_grace
        self.keep_files = keep_files


class LocalJobExecutor(BulkExecutor):
    """Runs jobs as processes on this machine.

    Each job is a session of its own, led by a small supervisor, and goes on when the program that submitted
    it ends. Jobs take cores, `cpu_cores_per_process` for each process, and wait in the order of their
    submission until so many are free; those that wait for other jobs go to the end of the line after that. All
    programs of the user share the cores of the machine, or as many as their configuration allows. The native id is
    the pid and the start time of the supervisor; every process of the user on this machine can attach to it.

    When a job is cancelled, or has run for its `duration`, its processes get TERM, and KILL after a grace. A signal
    that is sent instead reaches the program and what it started. Where the end is to follow after a time, the
    supervisor sees to it, whatever becomes of the program that asked. Jobs that wait cannot be held.
    What a job leaves running in its process group when it ends by itself is ended in the same way, as a batch
    scheduler does.

    What the fields of a job mean here:

    * `node_count` above 1 and GPUs are refused;
    * a job that asks for more cores than there are has all of them, and shares them among its processes;
    * `exclusive_node_use` takes all cores, so that no other job runs beside it;
    * `memory` is refused where the machine has less, and is not a limit;
    * `queue_name`, `account` and `reservation_id` name things that only schedulers have; they change nothing;
    * `custom_attributes` for schedulers are theirs; there are none for this executor.
    """

    commands_at_once = 1  # a job is started by this process itself

    config_class = LocalExecutorConfig

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        self._own_config = own_config(LocalExecutorConfig, config)
        super().__init__(url=url, config=self._own_config)
        self._slots = Slots(user_state_folder())
        self._reaper = Reaper('psij-ext reaper of local')
        self._reaper_left = Leftovers(self, self._reaper)

    @property
    def max_processes(self) -> int:
        """How many cores jobs may use together."""
        return self._own_config.max_processes or len(os.sched_getaffinity(0))

    def list(self) -> List[str]:
        """Return the native ids of the jobs that the user has on this machine, waiting or running."""
        return self._slots.alive()

    def _check_native_id(self, native_id: str) -> None:
        super()._check_native_id(native_id)
        if parse_native_id(native_id) is None:
            raise InvalidJobException(
                f'{native_id!r} is no native id of a local job; such an id is a pid and a start time, as 1234.56789.')
        folder = find_folder(self.work_directory, native_id)
        owner = (folder.read_journal().submission or {}).get('owner') if folder is not None else None
        host = owner.get('host') if isinstance(owner, dict) else None
        here = processes.this_process()['host']
        if folder is not None and host not in (None, here) and folder.read_exit() is None:
            raise InvalidJobException(
                f'The local job {native_id} was submitted on {host}, and can be followed there alone.')

    def close(self) -> None:
        """Stop following jobs; this neither waits for them nor cancels them."""
        super().close()
        self._reaper.close()

    def render(
        self, job: Job, folder: JobFolder, nonce: str, mailbox: Path | None = None,
        dependencies: Dependencies = NO_DEPENDENCIES,
    ) -> tuple[str, Sequence[str]]:
        """Return the script of a job, and the command that supervises it; nothing is written or run.

        :param job: the job, with absolute paths.
        :param folder: the folder that the script is to use.
        :param nonce: the name of the submission.
        :param mailbox: where the script leaves its hints.
        :param dependencies: the jobs that it waits for; nothing of them is in the command.
        :raises InvalidJobException: if the job cannot run on this machine.
        """
        spec = job.spec
        if spec is None:
            raise InvalidJobException(f'Job {job.id} has no spec.')
        self._check(job, spec)
        context = script_context(
            job, self._launcher(spec), folder=folder.path, nonce=nonce, mailbox=mailbox, scheduled=False)
        context['carries_environment'] = False  # the script has it from its start
        script = full_script(render(_TEMPLATES / 'batch' / 'local.mustache', context), context)
        limit = spec.attributes.duration
        return script, [
            '/bin/bash', '-p', str(_TEMPLATES / 'local' / 'supervisor.sh'), str(folder.path), str(self._slots.path),
            str(self.max_processes), '' if limit is None else f'{limit.total_seconds():.6f}',
            str(round(1000 * self._own_config.cancel_grace)), str(mailbox or '')]

    # -- one job

    def _check(self, job: Job, spec: JobSpec) -> None:
        """Refuse what would not mean here what it says."""
        resources = known_resources(spec.resources)
        memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
        if resources.computed_node_count > 1:
            raise InvalidJobException(
                f'ResourceSpecV1.node_count: {resources.computed_node_count} nodes; the local executor has one.')
        if resources.gpu_cores_per_process:
            raise InvalidJobException('ResourceSpecV1.gpu_cores_per_process: the local executor hands out no GPUs.')
        if resources.memory is not None and resources.memory > memory:
            raise InvalidJobException(f'ResourceSpecV1.memory: {resources.memory} bytes; this machine has {memory}.')
        if spec.directory is None or not spec.directory.is_dir():
            raise InvalidJobException(f'JobSpec.directory: there is no directory {spec.directory}.')
        for name, _, _ in meant_for(job, (self.name,), 'slurm|pbs'):
            raise InvalidJobException(
                f'JobAttributes.custom_attributes: {name}: the local executor has no custom attributes.')

    def _cores(self, spec: JobSpec) -> int:
        resources = known_resources(spec.resources)
        asked = resources.computed_process_count * (resources.cpu_cores_per_process or 1)
        return self.max_processes if resources.exclusive_node_use else min(asked, self.max_processes)

    @property
    def _lets_jobs_wait(self) -> bool:
        return True

    def _folders_of(self, dependencies: Dependencies) -> Sequence[tuple[str, str, Path]]:
        """Give kind, native id and folder of the jobs that a job waits for.

        :raises InvalidJobException: if one has no folder, in which it leaves a record of its end.
        """
        found = []
        for kind, native_ids in dependencies._asdict().items():
            for native_id in native_ids:
                folder = find_folder(self.work_directory, native_id)
                if folder is None:
                    raise InvalidJobException(
                        f'{kind}: nothing can wait for job {native_id}, which has no folder in {self.work_directory}.')
                found.append((kind, native_id, folder.path))
        return found

    def _start(self, job: Job, folder: JobFolder, nonce: str, dependencies: Dependencies) -> str:
        script, command = self.render(job, folder, nonce, self._mailbox)
        folder.write_script(script)
        folder.write_others(self._folders_of(dependencies))
        spec = job.spec or JobSpec()
        try:
            native_id = start_supervisor(
                command, spec.inherit_environment, folder.scheduler_output_path, self._cores(spec), self._slots,
                self._reaper, is_held=any(dependencies))
        except OSError as error:
            raise SubmitException(
                f'The job could not be started: {error}', error, transient=error.errno in _TRANSIENT, argv=command,
                script_path=folder.script_path) from error
        self._keep(folder)
        return native_id

    # -- after the submission

    def scheduler_version(self) -> str:
        """Return the version of this library, which does here what a scheduler does elsewhere."""
        return f'psij-ext {self.version}'

    def _end(self, native_ids: Sequence[str]) -> Mapping[str, SubmitException]:
        return _each(native_ids, LocalJobs(self._slots).end, 'cancelled')

    def _warn(self, native_ids: Sequence[str], warning: FirstWarning) -> Mapping[str, SubmitException]:
        def warn(native_id: str) -> None:
            folder = find_folder(self.work_directory, native_id)
            if warning.grace is None:
                LocalJobs(self._slots).signal(native_id, folder, warning.signal)
            else:
                LocalJobs(self._slots).end_after(native_id, folder, warning.signal, warning.grace)

        return _each(native_ids, warn, f'sent {warning.signal.name}')

    def _record(self, native_id: str, folder: JobFolder | None) -> dict[str, str]:
        described = LocalJobs(self._slots).describe(native_id, folder)
        if not described:
            raise CommandError(f'Nothing is known on this machine of job {native_id}.', argv=())
        return {'native_id': native_id, **described}

    # -- following

    def _origins(self) -> Origins:
        return {name: (native_id,) for name, native_id in LocalJobs(self._slots).origins().items()}

    def _make_source(self) -> StatusSource:
        return ProcessTable(self._slots)

    @property
    def _scheduler_key(self) -> object:
        return self._slots.path

    def _rhythm(self) -> Rhythm:
        return Rhythm(first=0.1, interval=2.0)

    def _patience(self) -> Patience:
        """Return none: the table of processes and the folder are certain, and nobody else knows more."""
        return Patience(for_cause=0.0, for_absent=0.0, for_trace=0.0)

    @property
    def _keeps_files(self) -> bool:
        return self._own_config.keep_files

    def _report(self, job: Job, status: JobStatus, exit_info: ExitInfo | None, requeued: bool) -> None:
        super()._report(job, status, exit_info, requeued)
        parsed = parse_native_id(job.native_id or '')
        if exit_info is not None and parsed is not None:
            self._reaper.expect_end(parsed[0])


def _each(native_ids: Sequence[str], act: Callable[[str], None], done: str) -> dict[str, SubmitException]:
    """Do something to each job; return those to which it could not be done, and why.

    :param done: what is done, as `cancelled`.
    """
    failures = {}
    for native_id in native_ids:
        try:
            act(native_id)
        except (CommandError, OSError) as error:
            failures[native_id] = SubmitException(f'Job {native_id} could not be {done}: {error}', error)
            failures[native_id].__cause__ = error
    return failures
