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
from psij_ext.exceptions import ControlUncertain, NotAllCancelled, PsijExtError


@click.command('cancel', epilog=examples('psij-ext cancel @last',
                               'psij-ext cancel 4711 3f2a1b90'))
@click.argument('jobs', nargs=-1, required=True, metavar='JOB...')
@work_directory_option
@verbose_option
def command(jobs: tuple[str, ...], work_directory: Path | None) -> None:
    """Cancel jobs. It does not wait for their end; a job that is over stays as it is.

    A JOB is named as for `psij-ext status`.

    Exit code 1 says that there is no such job, or that one could not be cancelled, or is not known to be.
    """
    chosen = select(known_jobs(work_directory), jobs)
    seen = look_at(chosen)
    chosen = seen.all_there(chosen)
    reasons = _cancel(chosen, seen)
    unanswered = {job_id: reason for job_id, reason in reasons.items() if isinstance(reason, ControlUncertain)}
    # Who did not answer before the cancel either is not asked a third time, which would take as long.
    after = look_at([known for known in chosen
                     if known.folder.job_id in unanswered and known.executor_name not in seen.troubles])
    refused, unknown = [], []
    for known in chosen:
        job = seen.jobs[known.folder.job_id]
        if job.status.final:
            say(f'job {known} is over already: {job.status.state.name}')
        elif job.id in unanswered:
            later = after.jobs.get(job.id, job)
            if later.status.final:
                click.echo(f'{known.executor_name} did not answer, but job {known} is over: {later.status.state.name}')
            else:
                unknown.append(known)
        elif job.id in reasons:
            say(told(reasons[job.id]))
            refused.append(known)
        else:
            click.echo(f'{known.executor_name} was asked to cancel job {known}')
    parts = [f'not cancelled: {_listed(refused)}'] if refused else []
    if unknown:
        first = unanswered[unknown[0].folder.job_id]
        parts.append(
            f'the cancel was sent and not answered, so that it is not known yet what becomes of {_listed(unknown)}: '
            f'{told(first.exception or first)} `psij-ext status` tells later; to ask again does no harm.')
    if parts:
        raise Failure('\n'.join(parts))


def _listed(jobs: Sequence[KnownJob]) -> str:
    return ', '.join(map(str, jobs))


def _cancel(chosen: Sequence[KnownJob], seen: Seen) -> dict[str, Exception]:
    """Cancel jobs, all of an executor at once; return for the ids of those that were not, why."""
    by_place: dict[Place, list[Job]] = defaultdict(list)
    for known in chosen:
        job = seen.jobs[known.folder.job_id]
        if not job.status.final:
            by_place[known.place].append(job)
    reasons: dict[str, Exception] = {}
    for place, group in by_place.items():
        try:
            if place not in seen.executors:
                raise Failure(seen.troubles[place[0]])
            seen.executors[place].cancel_many(group)
        except NotAllCancelled as error:
            reasons.update(error.failures)
        except (PsijExtError, Failure) as error:
            reasons.update((job.id, error) for job in group)
    return reasons
