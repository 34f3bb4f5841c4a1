"""The command `psij-ext` as a whole: its subcommands, its manners with errors, its exit codes."""

from __future__ import annotations

import errno
import importlib
import sys
import traceback
from typing import Any

import click

from psij_ext.cli.errors import Failure, Interrupted, examples, told
from psij_ext.cli.verbosity import is_verbose, set_up_logging, verbose_option
from psij_ext.exceptions import PsijExtError

# Each command is `command` in the module of its name. Their first lines of help stand here a second time, so that
# `psij-ext --help` imports none of them.
COMMANDS = {
    'run': 'Run a command as a job, show its states, and print its output.',
    'submit': 'Submit a command as a job and return at once.',
    'ls': 'List your jobs and their states.',
    'status': 'Tell all that is known about jobs.',
    'cancel': 'Cancel jobs.',
    'executors': 'Show which executors are installed, and what this machine has.',
    'index': 'Look after the index of your jobs.',
    'render': 'Print the script that would be submitted; submit nothing.',
}


class Commands(click.Group):
    """Commands that are imported when they are used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        found: click.Command = importlib.import_module(f'psij_ext.cli.{cmd_name}').command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section('Commands'):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        set_up_logging(ctx)
        try:
            return super().invoke(ctx)
        except Exception as error:  # all that may come is told in one line, defects of ours and of plugins among it
            failure = _failure(error)
            if failure is None:
                raise
            if is_verbose(ctx):
                click.echo(traceback.format_exc(), err=True, nl=False)
            raise failure from error
        except KeyboardInterrupt as error:
            raise Interrupted('interrupted') from error


def _failure(error: Exception) -> Failure | None:
    """Return how an error is told; None for what click itself knows how to end with."""
    if isinstance(error, Failure):
        return error
    if isinstance(error, (click.ClickException, click.exceptions.Exit, click.Abort)):
        return None
    if isinstance(error, PsijExtError):
        return Failure(told(error))
    if isinstance(error, OSError):
        # A broken pipe is no error: whoever reads our output has seen enough.
        return None if error.errno == errno.EPIPE else Failure(str(error))
    return Failure(f'this should not happen: {type(error).__name__}: {error}')


def _show_version(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted:
        # The package holds its version; inside it, nobody imports the package itself (see the import rules).
        click.echo(f'psij-ext {sys.modules["psij_ext"].__version__}')
        ctx.exit()


@click.group(cls=Commands, context_settings={'help_option_names': ['-h', '--help']},
             epilog=examples('psij-ext run -- hostname',
                             'psij-ext run --executor slurm --nodes 2 --duration 1h --launcher srun -- ./simulate',
                             'psij-ext ls'))
@click.option('--version', is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
              help='Print the version and exit.')
@verbose_option
def app() -> None:
    """Run, follow and cancel jobs on this machine and on batch schedulers.

    Without --executor, jobs go to the executor that the environment variable PSIJ_EXT_EXECUTOR names, else to the
    scheduler that is found on this machine (Slurm, PBS Pro), else to this machine itself.

    Exit codes: 0 all is well, 1 something failed and is said on standard error, 2 the command line cannot be
    understood, 130 interrupted. `run` ends with the job's own exit code, 128 + n where signal n ended it.
    """
