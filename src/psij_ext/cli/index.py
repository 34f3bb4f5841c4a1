"""The command `psij-ext index`."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from pathlib import Path

import click

from psij_ext.cli.errors import Failure, examples, say
from psij_ext.cli.options import json_option, read_duration
from psij_ext.cli.output import print_json
from psij_ext.cli.records import shown_time
from psij_ext.cli.verbosity import verbose_option
from psij_ext.runtime.index_rebuild import rebuild as rebuild_index
from psij_ext.runtime.retention import prune as prune_jobs
from psij_ext.runtime.work_directories import known_work_directories

_work_directories_option = click.option(
    '--work-directory', 'work_directories', type=click.Path(path_type=Path), multiple=True, metavar='DIR',
    help='A further place where folders of jobs are kept; the usual one and those in the index are known. May be '
         'repeated.')


def _read_age(ctx: click.Context, parameter: click.Parameter, text: str) -> timedelta:
    # A number alone would be minutes here as for --duration, where somebody may well mean days.
    if not text.strip()[-1:].isalpha():
        raise click.BadParameter(f'{text!r} has no unit; write 30d, 12h or the like', ctx, parameter)
    try:
        return read_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, parameter) from error


@click.group('index', epilog=examples('psij-ext index rebuild', 'psij-ext index prune --older-than 30d --dry-run'))
def command() -> None:
    """Look after the index of your jobs.

    The index answers questions across all jobs. The truth about each job is in its folder; from the folders, the index
    can be made anew at any time.
    """


@command.command('rebuild', epilog=examples('psij-ext index rebuild',
                                            'psij-ext index rebuild --work-directory /scratch/me/jobs'))
@_work_directories_option
@json_option
@verbose_option
def rebuild(work_directories: tuple[Path, ...], as_json: bool) -> None:
    """Make the index anew from the folders of all jobs.

    Jobs may be submitted meanwhile, and programs that run need not be told. An index that is broken is kept beside the
    new one.

    Exit code 1 says that the index cannot be written, or that a work directory could not be read.
    """
    rebuilt = rebuild_index(_all(work_directories))
    if as_json:
        print_json({'jobs': rebuilt.jobs, 'kept': None if rebuilt.set_aside is None else str(rebuilt.set_aside),
                    'unreadable': {str(path): why for path, why in rebuilt.unreadable.items()}})
    else:
        click.echo(f'The index holds {_counted(rebuilt.jobs, "job")} now.')
        if rebuilt.set_aside is not None:
            say(f'the old index was broken and is kept as {rebuilt.set_aside}')
    if rebuilt.unreadable:
        raise Failure('; '.join(f'{path} cannot be read, so the index knows nothing of its jobs: {why}'
                                for path, why in rebuilt.unreadable.items()))


@command.command('prune', epilog=examples('psij-ext index prune --older-than 30d --dry-run',
                                          'psij-ext index prune --older-than 12h --json'))
@click.option('--older-than', callback=_read_age, required=True, metavar='TIME',
              help='How long ago a job must have ended, such as 30d or 12h.')
@click.option('--dry-run', is_flag=True, help='Remove nothing, and show what would go.')
@_work_directories_option
@json_option
@verbose_option
def prune(older_than: timedelta, dry_run: bool, work_directories: tuple[Path, ...], as_json: bool) -> None:
    """Remove old jobs with all that is in their folders, output that was kept there included.

    Only jobs go that ended longer ago than the given time and whose end was reported to whoever submitted them. A job
    that may be alive, or whose end nobody knows or was told of, stays, however old it is.

    Exit code 1 says that something could not be removed.
    """
    pruned = prune_jobs(_all(work_directories), older_than, time.time(), dry_run=dry_run)
    if as_json:
        print_json({'dry_run': dry_run, 'litter': [str(path) for path in pruned.litter], 'jobs': [
            {'id': job.folder.job_id, 'native_id': job.native_id, 'executor': job.folder.path.parent.name,
             'ended': datetime.fromtimestamp(job.ended).astimezone().isoformat(timespec='milliseconds'),
             'folder': str(job.folder.path)} for job in pruned.jobs]})
    else:
        if dry_run:
            for job in pruned.jobs:
                click.echo(f'{job.folder.job_id} ({job.native_id} on {job.folder.path.parent.name}) '
                           f'ended {shown_time(job.ended)}')
        done = 'would be removed' if dry_run else 'removed'
        click.echo(f'{_counted(len(pruned.jobs), "job")} and {_counted(len(pruned.litter), "leftover")} {done}.')
    troubles = [f'{path} cannot be removed: {why}' for path, why in pruned.troubles.items()]
    if pruned.index_trouble is not None:
        troubles.append(f'{pruned.index_trouble} `psij-ext index rebuild` takes the removed jobs out of it')
    if troubles:
        raise Failure('; '.join(troubles))


def _all(work_directories: tuple[Path, ...]) -> list[Path]:
    return [*known_work_directories(), *(path.absolute() for path in work_directories)]


def _counted(count: int, noun: str) -> str:
    return f'{count} {noun}' if count == 1 else f'{count} {noun}s'
