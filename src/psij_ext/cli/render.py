"""The command `psij-ext render`."""

from __future__ import annotations

import shlex
import sys
from typing import Any

import click

from psij_ext.cli.choice import choose, explained, open_executor
from psij_ext.cli.errors import examples
from psij_ext.cli.jobspec import make_spec
from psij_ext.cli.options import job_options, json_option
from psij_ext.cli.output import print_json
from psij_ext.cli.verbosity import verbose_option
from psij_ext.core.job import Job


@click.command('render', epilog=examples('psij-ext render --executor slurm --nodes 2 -- ./simulate input.dat',
                               'psij-ext render --executor pbspro --json -- hostname | jq -r .script'))
@job_options
@json_option
@verbose_option
def command(as_json: bool, **options: Any) -> None:
    """Print the script that would be submitted; submit nothing.

    The command that would submit it is printed on standard error. Nothing is written and no scheduler is asked, so
    this works for schedulers that are not here.
    """
    job = Job(make_spec(options))
    choice = choose(options['executor'])
    with explained(choice), open_executor(choice, options['work_directory']) as executor:
        script, submit_command = executor.preview(job)
    if as_json:
        print_json({'executor': executor.name, 'script': script, 'command': list(submit_command)})
        return
    click.echo(f'# {shlex.join(submit_command)}', err=True)
    sys.stdout.buffer.write(script.encode('utf-8', 'surrogateescape'))
