"""The command `psij-ext submit`."""

from __future__ import annotations

from typing import Any

import click

from psij_ext.cli.errors import Failure, examples
from psij_ext.cli.options import job_options, json_option, submission_options
from psij_ext.cli.output import print_json
from psij_ext.cli.records import job_record
from psij_ext.cli.submission import submit_job
from psij_ext.cli.verbosity import verbose_option


@click.command('submit', epilog=examples('psij-ext submit --duration 2h --memory 4G -- ./simulate input.dat',
                               'psij-ext submit --executor slurm --attribute slurm.constraint=fast -- make check'))
@job_options
@submission_options
@json_option
@verbose_option
def command(as_json: bool, **options: Any) -> None:
    """Submit a command as a job and return at once.

    Prints the job's id and its scheduler's id, with a space between them.

    Exit code 1 says that the job was refused and why, 2 that the command line cannot be understood.
    """
    submitted = submit_job(options)
    with submitted.executor:
        ids = f'{submitted.folder.job_id} {submitted.job.native_id}'
        try:
            if as_json:
                print_json(job_record(submitted.job, submitted.folder, submitted.executor.name))
            else:
                click.echo(ids)
        except OSError as error:
            raise Failure(
                f'the job was submitted ({ids}), but standard output cannot be written: {error.strerror}') from error
