"""The command `psij-ext status`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from psij_ext.cli.errors import examples, printable
from psij_ext.cli.known import KnownJob, Seen, known_jobs, look_at, select
from psij_ext.cli.ls import numbered_records, report_troubles
from psij_ext.cli.options import json_option, work_directory_option
from psij_ext.cli.output import print_json
from psij_ext.cli.records import (
    MISSING,
    job_times,
    output_path,
    shown_command,
    shown_cpu_time,
    shown_memory,
    shown_span,
    shown_time,
)
from psij_ext.cli.verbosity import verbose_option
from psij_ext.core.spec import JobSpec


@click.command('status', epilog=examples('psij-ext status @last',
                               'psij-ext status 4711 --json'))
@click.argument('jobs', nargs=-1, required=True, metavar='JOB...')
@json_option
@work_directory_option
@verbose_option
def command(jobs: tuple[str, ...], as_json: bool, work_directory: Path | None) -> None:
    """Tell all that is known about jobs: state, exit code, why they ended, and where their output is.

    A JOB is named by its id or a part of it that no other job has, by its scheduler's id, by `@` and its number in
    `psij-ext ls`, or by `@last`. The scheduler's id of an array names all of its elements.

    Exit code 1 says that there is no such job, or that a scheduler gave no answer.
    """
    chosen = select(known_jobs(work_directory), jobs)
    seen = look_at(chosen, usage=True)
    chosen = seen.all_there(chosen)
    if as_json:
        print_json(numbered_records(chosen, seen))
    else:
        click.echo('\n\n'.join(_description(known, seen) for known in chosen))
    report_troubles(chosen, seen)


def _description(known: KnownJob, seen: Seen) -> str:
    job = seen.jobs[known.folder.job_id]
    status, info, spec = job.status, job.exit_info, job.spec or JobSpec()
    submitted, started, ended = job_times(job, known.folder)
    reason = '' if info is None else str(info.reason)
    facts = {
        'name': spec.name or '',
        'command': shown_command(spec),
        'directory': str(spec.directory or ''),
        'state': status.state.name + (f' ({MISSING})' if job.id in seen.missing else ''),
        'exit code': '' if status.exit_code is None else str(status.exit_code),
        'reason': reason,
        'message': status.message or '',
        'submitted': shown_time(submitted),
        'started': shown_time(started),
        'ended': shown_time(ended),
        'ran': shown_span(started, ended if status.final else time.time()),
        'CPU time': shown_cpu_time(None if info is None else info.usage),
        'memory': shown_memory(None if info is None else info.usage),
        'stdout': str(output_path(job, known.folder, 'stdout')),
        'stderr': str(output_path(job, known.folder, 'stderr')),
        'folder': str(known.folder.path),
    }
    lines = [f'Job {job.id}, {known.native_id} on {known.executor_name}']
    for name, fact in facts.items():
        if fact:
            lines.append(f'  {name:<10} ' + printable(fact, kept='\n').replace('\n', '\n' + ' ' * 13))
    return '\n'.join(lines)
