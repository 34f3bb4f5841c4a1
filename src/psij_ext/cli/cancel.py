"""The command `psij-ext cancel`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import click

from psij_ext.cli.errors import Failure, examples, say, told
from psij_ext.cli.known import KnownJob, Place, Seen, known_jobs, look_at, select
from psij_ext.cli.options import work_directory_option
from psij_ext.cli.verbosity import verbose_option
from psij_ext.core.job import Job
from psij_ext.exceptions import NotAllCancelled, PsijExtError


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
    seen = look_at(chosen)
    reasons = _cancel(chosen, seen)
    for known in chosen:
        job = seen.jobs[known.folder.job_id]
        if job.status.final:
            say(f'job {known} is over already: {job.status.state.name}')
        elif job.id in reasons:
            say(reasons[job.id])
        else:
            click.echo(f'{known.executor_name} was asked to cancel job {known}')
    failed = [known for known in chosen if known.folder.job_id in reasons]
    if failed:
        raise Failure(f'not cancelled: {", ".join(map(str, failed))}')


def _cancel(chosen: Sequence[KnownJob], seen: Seen) -> dict[str, str]:
    """Cancel jobs, all of an executor at once; return for the ids of those that were not, why."""
    by_place: dict[Place, list[Job]] = defaultdict(list)
    for known in chosen:
        job = seen.jobs[known.folder.job_id]
        if not job.status.final:
            by_place[known.place].append(job)
    reasons: dict[str, str] = {}
    for place, group in by_place.items():
        try:
            if place not in seen.executors:
                raise Failure(seen.troubles[place[0]])
            seen.executors[place].cancel_many(group)
        except NotAllCancelled as error:
            reasons.update((job_id, told(failure)) for job_id, failure in error.failures.items())
        except (PsijExtError, Failure) as error:
            reasons.update((job.id, told(error)) for job in group)
    return reasons
