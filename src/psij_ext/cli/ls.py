"""The command `psij-ext ls`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from psij_ext.cli.errors import Failure, examples
from psij_ext.cli.known import KnownJob, Seen, known_jobs, look_at
from psij_ext.cli.options import json_option, work_directory_option
from psij_ext.cli.output import print_json, print_table
from psij_ext.cli.records import Record, job_record, job_times, shown_span, shown_time
from psij_ext.cli.verbosity import verbose_option
from psij_ext.core.spec import JobSpec

_HEADINGS = ('#', 'id', 'native id', 'executor', 'name', 'state', 'exit', 'submitted', 'ran')


@click.command('ls', epilog=examples('psij-ext ls --last 20',
                               'psij-ext ls --json | jq -r \'.[] | select(.state == "FAILED") | .stderr\''))
@click.option('--executor', metavar='NAME', help='Only jobs of this executor.')
@click.option('--last', type=click.IntRange(min=1), metavar='COUNT', help='Only the newest ones.')
@json_option
@work_directory_option
@verbose_option
def command(executor: str | None, last: int | None, as_json: bool, work_directory: Path | None) -> None:
    """List your jobs and their states.

    These are the jobs that psij-ext submitted for you, by this command or by a program, oldest first. Each scheduler
    is asked once. A question mark behind a state says that the scheduler does not know the job any more, and that
    the job left no record of its end.

    Exit code 1 says that a scheduler gave no answer, and that those of its jobs that are not over are shown as they
    were last known.
    """
    jobs = [job for job in known_jobs(work_directory) if executor in (None, job.executor_name)]
    jobs = jobs[-last:] if last else jobs
    seen = look_at(jobs)
    jobs = seen.there(jobs)
    if as_json:
        print_json(numbered_records(jobs, seen))
    else:
        print_table(_HEADINGS, [_row(job, seen) for job in jobs], elastic='name',
                    dispensable=('submitted', 'id', 'ran', 'executor'))
    report_troubles(jobs, seen)


def numbered_records(jobs: Sequence[KnownJob], seen: Seen) -> list[Record]:
    """Return the records of jobs for programs, with their numbers."""
    return [{'number': known.number, 'missing': known.folder.job_id in seen.missing,
             **job_record(seen.jobs[known.folder.job_id], known.folder, known.executor_name)} for known in jobs]


def report_troubles(jobs: Sequence[KnownJob], seen: Seen) -> None:
    """Fail if a scheduler did not answer and one of its jobs is not over, as far as is known.

    :raises Failure: then.
    """
    alive = {known.executor_name for known in jobs if not seen.jobs[known.folder.job_id].status.final}
    said = [f'{name}: the states of its jobs may be out of date: {trouble}'
            for name, trouble in seen.troubles.items() if name in alive]
    if said:
        raise Failure('; '.join(said))


def _row(known: KnownJob, seen: Seen) -> list[str]:
    job = seen.jobs[known.folder.job_id]
    submitted, started, ended = job_times(job, known.folder)
    status = job.status
    return [
        str(known.number), job.id[:8], known.native_id, known.executor_name, (job.spec or JobSpec()).name or '',
        status.state.name + ('?' if job.id in seen.missing else ''),
        '' if status.exit_code is None else str(status.exit_code), shown_time(submitted),
        shown_span(started, ended if status.final else time.time()),
    ]
