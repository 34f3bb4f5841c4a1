"""From a command line to a submitted job: what `run` and `submit` share."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from psij_ext.cli.choice import choose, explained, open_executor
from psij_ext.cli.errors import Failure
from psij_ext.cli.jobspec import make_spec
from psij_ext.cli.known import known_jobs, select
from psij_ext.core.job import AnyCallback, Job
from psij_ext.executors.submitting import SubmittingExecutor
from psij_ext.runtime.finding import find_folder
from psij_ext.runtime.jobfolder import JobFolder


class Submitted:
    """A job that was submitted just now.

    :param executor: where; it is to be closed.
    :param job: the job.
    :param work_directory: where its folder is, if not in the usual place.
    """

    def __init__(self, executor: SubmittingExecutor, job: Job, work_directory: Path | None) -> None:
        self.executor = executor
        self.job = job
        self._work_directory = work_directory
        # Under its key it may follow a job that was submitted before, whose folder has another name.
        self.folder = (find_folder(executor.work_directory, job.native_id or '')
                       or JobFolder(executor.work_directory / job.id))

    def __str__(self) -> str:
        return f'{self.folder.job_id[:8]} ({self.job.native_id} on {self.executor.name})'

    def later(self, command: str) -> str:
        """Return the command line for a command on this job in a later shell."""
        place = [] if self._work_directory is None else ['--work-directory', str(self._work_directory)]
        return shlex.join(['psij-ext', command, self.folder.job_id[:8], *place])


def submit_job(options: Mapping[str, Any], callback: AnyCallback | None = None) -> Submitted:
    """Submit the job that a command line describes.

    :param options: the values of the options in `psij_ext.cli.options`, by name.
    :param callback: what is told of the job's states.
    :raises click.UsageError: if the command line describes none.
    :raises PsijExtError: if the job is refused.
    """
    job = Job(make_spec(options))
    job.set_job_status_callback(callback)
    choice = choose(options['executor'])
    with explained(choice):
        executor = open_executor(choice, options['work_directory'])
        try:
            executor.config.submit_retry_time = options['retry']
            others = {kind: _attached(executor, options[kind], options['work_directory'])
                      for kind in ('after_ok', 'after_any', 'after_not_ok')}
            executor.submit(job, key=options['key'], resubmit_failed=options['resubmit_failed'], **others)
        except BaseException:  # an interrupt, for one; who gets no executor cannot close it
            executor.close()
            raise
    return Submitted(executor, job, options['work_directory'])


def _attached(executor: SubmittingExecutor, words: Sequence[str], work_directory: Path | None) -> list[Job]:
    """Attach to the jobs that somebody names."""
    if not words:
        return []
    chosen = select(known_jobs(work_directory), words)
    for known in chosen:
        if known.executor_name != executor.name:
            raise Failure(f'Job {known} is not on {executor.name}, so that no job there can wait for it.')
    jobs = [Job() for _ in chosen]
    executor.attach_many([(job, known.native_id) for job, known in zip(jobs, chosen)])
    return jobs
