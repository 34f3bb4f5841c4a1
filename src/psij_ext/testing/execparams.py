"""What the tests of an executor are given: its name, and jobs that its site will take."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, Union

import pytest

from psij_ext.core.interfaces import JobExecutor
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import InvalidJobException
from psij_ext.executors.submitting import SubmittingExecutor
from psij_ext.plugins import executors
from psij_ext.runtime.finding import find_folder
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.testing.making import make_executor

States = Union[JobState, Sequence[JobState], None]

# Often enough for a quick test, and rarely enough for the scheduler of a site; room for a few processes on any machine.
_SETTINGS = {'queue_polling_interval': 0.5, 'initial_queue_polling_delay': 0.1, 'max_processes': 16,
             'cancel_grace': 1.0}
_SECONDS_BETWEEN_LOOKS = 0.02
# Files of a job's folder that are worth reading where a test fails; others are long, or hold the user's environment.
_TELLING = ('exit', 'nodes', 'progress', 'scheduler.out', 'stderr', 'stdout')


class ExecParams:
    """An executor to be tested, and what its jobs need to run at this site.

    :param executor_name: the executor.
    :param launcher: the launcher of its jobs; the usual one if None.
    :param folder: where the test may write; the jobs see it too.
    :param queue_name: the queue of every job.
    :param account: the account that pays for every job.
    :param custom_attributes: custom attributes of every job.
    :param max_walltime: the longest time that any job asks for, and what those ask for that would ask for none.
    :param max_wait: how long to wait for a job, in seconds.
    :param known_queue: a queue that takes jobs, even where jobs shall not name it; None where none is known.
    """

    def __init__(
        self,
        executor_name: str,
        launcher: str | None,
        folder: Path,
        *,
        queue_name: str | None = None,
        account: str | None = None,
        custom_attributes: Mapping[str, object] | None = None,
        max_walltime: timedelta | None = None,
        max_wait: float = 60.0,
        known_queue: str | None = None,
    ) -> None:
        self.executor_name = executor_name
        self.launcher = launcher
        self.folder = folder
        self.queue_name = queue_name
        self.account = account
        self.custom_attributes = dict(custom_attributes or {})
        self.max_walltime = max_walltime
        self.max_wait = max_wait
        self.known_queue = known_queue
        self._open = contextlib.ExitStack()
        self._executor: JobExecutor | None = None
        self._jobs: list[Job] = []

    def __enter__(self) -> ExecParams:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the jobs that still live, and close the executors."""
        with self._open:
            for job in self._jobs:
                job.cancel()

    def make_folder(self, name: str) -> Path:
        """Make a folder that the jobs see, and return it."""
        folder = self.folder / name
        folder.mkdir()
        return folder

    # -- executors

    @property
    def work_directory(self) -> Path:
        """Where executors keep the folders of their jobs."""
        return self.folder / 'work'

    def executor(self, **settings: Any) -> JobExecutor:
        """Return a new executor, closed at the end of the test.

        :param settings: fields of its configuration.
        """
        settings = {'work_directory': self.work_directory, **_SETTINGS, **settings}
        return self._open.enter_context(make_executor(self.executor_name, **settings))

    @property
    def shared_executor(self) -> JobExecutor:
        """The executor to which `submit` gives jobs where the test names none."""
        if self._executor is None:
            self._executor = self.executor()
        return self._executor

    # -- jobs

    def spec(self, executable: str, arguments: Sequence[str] = (), **fields: Any) -> JobSpec:
        """Return a description with launcher, queue, account and custom attributes filled in.

        :param executable: the program to run.
        :param arguments: its arguments.
        :param fields: other fields of `JobSpec`.
        """
        spec = JobSpec(executable, list(arguments), **{'launcher': self.launcher, **fields})
        attributes = spec.attributes.snapshot()
        attributes.queue_name = attributes.queue_name or self.queue_name
        attributes.account = attributes.account or self.account
        attributes.custom_attributes = {**self.custom_attributes, **(attributes.custom_attributes or {})}
        if self.max_walltime is not None:
            attributes.duration = min(attributes.duration or self.max_walltime, self.max_walltime)
        spec.attributes = attributes
        return spec

    def job(self, executable: str, arguments: Sequence[str] = (), **fields: Any) -> Job:
        """Return a job with such a description."""
        return Job(self.spec(executable, arguments, **fields))

    def shell(self, script: str, arguments: Sequence[str] = (), **fields: Any) -> Job:
        """Return a job that runs a bash script with arguments `$1`, `$2` and so on."""
        return self.job('/bin/bash', ['-c', script, 'bash', *arguments], **fields)

    def submit(self, job: Job, executor: JobExecutor | None = None, **others: Any) -> Job:
        """Submit a job and return it; it does not outlive the test.

        :param others: the jobs that it waits for, as `after_ok` and so on.
        """
        chosen = executor or self.shared_executor
        if others and isinstance(chosen, SubmittingExecutor):
            chosen.submit(job, **others)
        elif others:
            raise InvalidJobException(f'The executor {chosen.name} cannot let a job wait for others.')
        else:
            chosen.submit(job)
        self._jobs.append(job)
        return job

    def submit_many(self, jobs: Sequence[Job], executor: JobExecutor | None = None) -> Sequence[Job]:
        """Submit jobs in one call and return them; they do not outlive the test."""
        self._jobs += jobs
        (executor or self.shared_executor).submit_many(jobs)
        return jobs

    def run(self, job: Job, executor: JobExecutor | None = None) -> JobStatus:
        """Submit a job and wait for its end."""
        return self.wait(self.submit(job, executor))

    def succeed(self, job: Job, executor: JobExecutor | None = None) -> str:
        """Run a job that must succeed, and return its standard output."""
        self.run(job, executor)
        self.expect(job, JobState.COMPLETED)
        return self.output(job)

    def hold(self, job: Job) -> Job:
        """Submit a job so that it stays in the queue, and return it."""
        return self.submit(job, self._holding([job]))

    def hold_many(self, jobs: Sequence[Job]) -> JobExecutor:
        """Submit jobs in one call so that they stay in the queue, and return the executor."""
        executor = self._holding(jobs)
        self.submit_many(jobs, executor)
        return executor

    def _holding(self, jobs: Sequence[Job]) -> JobExecutor:
        """Return an executor that will keep jobs in the queue, which may have to say so themselves."""
        if self.executor_name == 'local':
            executor = self.executor(max_processes=1)
            self.reach(self.submit(self.job('/bin/sleep', ['1000']), executor), JobState.ACTIVE)
            return executor
        loaded, _ = executors.get(self.executor_name)
        attributes: Mapping[str, object] = getattr(loaded, 'hold_attributes', {})
        if not attributes:
            pytest.skip(f'{loaded.__qualname__}.hold_attributes does not say how a job of {self.executor_name} is held '
                        'in the queue')
        for job in jobs:
            for name, value in attributes.items():
                self._spec_of(job).attributes.set_custom_attribute(name, value)
        return self.shared_executor

    # -- waiting and looking

    def wait(self, job: Job, states: States = None) -> JobStatus:
        """Wait for a job's end, or for states; say all that is known where they do not come."""
        status = job.wait(timedelta(seconds=self.max_wait), states)
        if status is None:
            pytest.fail(f'After {self.max_wait:g} s the job is not {states or "over"}.\n{self.describe(job)}')
        return status

    def reach(self, job: Job, state: JobState) -> JobStatus:
        """Wait until a job is in a state, and not beyond it."""
        self.wait(job, state)
        return self.expect(job, state)

    def expect(self, job: Job, state: JobState, exit_code: int | None = None) -> JobStatus:
        """Make sure that a job is in a state, and where given, that it ended with an exit code."""
        status = job.status
        if status.state is not state or exit_code not in (None, status.exit_code):
            pytest.fail(f'The job should be {JobStatus(state, exit_code=exit_code)}.\n{self.describe(job)}')
        return status

    def until(self, condition: Callable[[], object], what: str, *jobs: Job) -> None:
        """Wait until a condition holds that no state of a job tells of.

        :param condition: what must become true.
        :param what: the same in words.
        :param jobs: jobs to describe where it does not.
        """
        deadline = time.monotonic() + self.max_wait
        while not condition():
            if time.monotonic() > deadline:
                described = '\n'.join(map(self.describe, jobs))
                pytest.fail(f'After {self.max_wait:g} s it is still not true that {what}.\n{described}')
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def output(self, job: Job, stream: str = 'stdout') -> str:
        """Return what a job wrote to `stdout` or `stderr`; characters that are not UTF-8 become surrogates."""
        path = getattr(job.spec, f'{stream}_path') or self._folder_of(job).path_of(stream)
        content = Path(getattr(job.spec, 'directory', None) or '', path).read_bytes()
        return content.decode('utf-8', 'surrogateescape')

    def describe(self, job: Job) -> str:
        """Return what is known of a job, for the message of a failure."""
        lines = [str(job), f'exit information: {job.exit_info}', f'native state: {job.status.metadata}']
        folder = self._folder_of(job).path
        for path in sorted(folder.rglob('*')) if folder.is_dir() else ():
            lines.append(f'  {path.relative_to(folder)}{_content(path)}')
        return '\n'.join(lines)

    @staticmethod
    def _spec_of(job: Job) -> JobSpec:
        if job.spec is None:
            raise InvalidJobException(f'Job {job.id} has no spec.')
        return job.spec

    def _folder_of(self, job: Job) -> JobFolder:
        """Return the folder of a job, or what the folder of its array has of it."""
        folders = self.work_directory / self.executor_name
        own = JobFolder(folders / job.id)
        return own if own.path.is_dir() else find_folder(folders, job.native_id or '') or own


def _content(path: Path) -> str:
    """Return the end of a small file, or where a link leads."""
    if path.is_symlink():
        return f' -> {path.readlink()}'
    if not path.name.endswith(_TELLING):
        return ''
    return ''.join(f'\n    | {line}' for line in path.read_bytes()[-2000:].decode('utf-8', 'replace').splitlines())
