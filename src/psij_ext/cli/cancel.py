"""The command `psij-ext cancel`."""

from __future__ import annotations

from pathlib import Path

import click

from psij_ext.cli.errors import Failure, examples, say, told
from psij_ext.cli.known import KnownJob, Seen, known_jobs, look_at, select
from psij_ext.cli.options import work_directory_option
from psij_ext.cli.verbosity import verbose_option
from psij_ext.exceptions import PsijExtError


@click.command('cancel', epilog=examples('psij-ext cancel @last',
                               'psij-ext cancel 4711 3f2a1b90'))
@click.argument('jobs', nargs=-1, required=True, metavar='JOB...')
@work_directory_option
@verbose_option
def command(jobs: tuple[str, ...], work_directory: Path | None) -> None:
    """Cancel jobs. It does not wait for their end; a job that is over stays as it is.

    A JOB is named as for `psij-ext status`.

    Exit code 1 says that there is no such job, or that one could not be cancelled.
    """
    chosen = select(known_jobs(work_directory), jobs)
    seen = look_at(chosen, work_directory)
    failed = [known for known in chosen if not _cancel(known, seen)]
    if failed:
        raise Failure(f'not cancelled: {", ".join(map(str, failed))}')


def _cancel(known: KnownJob, seen: Seen) -> bool:
    job = seen.jobs[known.folder.job_id]
    if job.status.final:
        say(f'job {known} is over already: {job.status.state.name}')
        return True
    try:
        if known.executor_name not in seen.executors:
            raise Failure(seen.troubles[known.executor_name])
        job.cancel()
    except (PsijExtError, Failure) as error:
        say(told(error))
        return False
    click.echo(f'{known.executor_name} was asked to cancel job {known}')
    return True
