"""The options that describe a job, shared by the commands that make one."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from psij_ext.core import checks
from psij_ext.core.attributes import JobAttributes

Decorated = TypeVar('Decorated', bound=Callable[..., Any])

_SIZE = re.compile(r'([0-9]+(?:\.[0-9]+)?)\s*([KMGTP]?)I?B?', re.IGNORECASE)
_FACTORS: dict[str, int] = {'': 1, **{letter: 1024 ** power for power, letter in enumerate('KMGTP', start=1)}}


def read_size(text: str) -> int:
    """Return the bytes that a text such as `4G` stands for; K, M, G, T and P are powers of 1024.

    :raises ValueError: if it is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise ValueError(f'{text!r} is no size; write bytes, or a number with K, M, G, T or P such as 4G')
    return math.ceil(float(match[1]) * _FACTORS[match[2].upper()])


def read_duration(text: str) -> timedelta:
    """Return the span of time that a text stands for, in the forms that `JobAttributes.parse_walltime` reads.

    :raises ValueError: if it is none.
    """
    try:
        return JobAttributes.parse_walltime(text)
    except ValueError as error:
        raise ValueError(str(error).partition(': ')[2]) from error


def read_variable(text: str) -> tuple[str, str]:
    """Split `NAME=VALUE`.

    :raises ValueError: if there is no name or no equals sign.
    """
    name, equals, value = text.partition('=')
    if not name or not equals:
        raise ValueError(f'{text!r} is not of the form NAME=VALUE')
    return name, value


def read_attribute(text: str) -> tuple[str, str | None]:
    """Split `NAME=VALUE`; the value of a name alone is None.

    :raises ValueError: if there is no name.
    """
    name, equals, value = text.partition('=')
    if not name:
        raise ValueError(f'{text!r} is not of the form NAME or NAME=VALUE')
    return name, value if equals else None


def _reader(read: Callable[[Any], Any]) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """Make the callback of an option that reads its value, or each of its values."""

    def read_given(ctx: click.Context, parameter: click.Parameter, given: Any) -> Any:
        try:
            if isinstance(given, tuple):
                return [read(text) for text in given]
            return None if given is None else read(given)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, parameter) from error

    return read_given


_path = click.Path(path_type=Path)
_count = click.IntRange(min=1)

_EXECUTOR_OPTIONS = (
    click.option('--executor', metavar='NAME', help='Where to run it: a name from `psij-ext executors`, with a '
                 'constraint on its version if need be, such as "slurm>=0.1".'),
    click.option('--work-directory', type=_path, metavar='DIR', help='Where the folders of jobs are kept; compute '
                 'nodes must see it.'),
)
_JOB_OPTIONS = (
    click.option('--spec', 'spec_file', type=click.File('rb'), metavar='FILE', help='Take the job from a JobSpec in '
                 'JSON; other options go over it. - is standard input.'),
    click.option('--name', help='The name of the job; its executable if there is none.'),
    click.option('--directory', type=_path, metavar='DIR', help='Where it runs; the present directory if none.'),
    click.option('--queue', metavar='NAME', help='The queue or partition.'),
    click.option('--account', metavar='NAME', help='The account or project that pays.'),
    click.option('--reservation', metavar='NAME', help='The reservation to run in.'),
    click.option('--duration', callback=_reader(read_duration), metavar='TIME',
                 help='The longest time it may run: hh:mm:ss, hh:mm, minutes, or amounts such as 1h30m.'),
    click.option('--nodes', type=_count, metavar='COUNT', help='How many nodes.'),
    click.option('--processes', type=_count, metavar='COUNT', help='How many processes in all.'),
    click.option('--processes-per-node', type=_count, metavar='COUNT', help='How many processes on each node.'),
    click.option('--cpus-per-process', type=_count, metavar='COUNT', help='CPU cores for each process.'),
    click.option('--gpus-per-process', type=click.IntRange(min=0), metavar='COUNT', help='GPUs for each process.'),
    click.option('--memory', callback=_reader(read_size), metavar='SIZE', help='Memory of the whole job, such as 4G.'),
    click.option('--exclusive', is_flag=True, default=None, help='Share the nodes with no other job.'),
    click.option('--launcher', metavar='NAME', help='What starts the processes: single, multiple, mpirun, srun.'),
    click.option('--env', callback=_reader(read_variable), metavar='NAME=VALUE', multiple=True,
                 help='Set an environment variable of the job. May be repeated.'),
    click.option('--no-inherit-environment', is_flag=True, help='Keep the present environment from the job.'),
    click.option('--stdin', type=_path, metavar='FILE', help='A file for its standard input.'),
    click.option('--stdout', type=_path, metavar='FILE', help='A file for its standard output.'),
    click.option('--stderr', type=_path, metavar='FILE', help='A file for its standard error.'),
    click.option('--pre-launch', type=_path, metavar='FILE', help='A bash script to read before the launch.'),
    click.option('--post-launch', type=_path, metavar='FILE', help='A bash script to read after the end.'),
    click.option('--attribute', callback=_reader(read_attribute), metavar='NAME[=VALUE]', multiple=True,
                 help='What one scheduler alone knows, such as slurm.constraint=gpu. May be repeated.'),
    *_EXECUTOR_OPTIONS,
    click.argument('command', nargs=-1, type=click.UNPROCESSED),
)

_SUBMISSION_OPTIONS = (
    click.option('--retry', type=click.FloatRange(min=0), callback=_reader(partial(checks.number, 'seconds')),
                 metavar='SECONDS', default=60, show_default=True,
                 help='For how long to try again where the scheduler is busy or gives no answer.'),
    click.option('--key', metavar='TEXT', help='A name for this submission: where one was made under it before, '
                 'its job is followed, and nothing is submitted.'),
    click.option('--after-ok', metavar='JOB', multiple=True, help='Begin when this job has completed; if it does not, '
                 'never. May be repeated. A job is named as for `psij-ext status`.'),
    click.option('--after-any', metavar='JOB', multiple=True, help='Begin when this job is over. May be repeated.'),
    click.option('--after-not-ok', metavar='JOB', multiple=True,
                 help='Begin when this job has failed or was cancelled; if it completes, never. May be repeated.'),
    click.option('--resubmit-failed', is_flag=True, help='Submit it again if the job that has its key failed.'),
)

json_option = click.option('--json', 'as_json', is_flag=True, help='Print JSON for programs.')


def job_options(command: Decorated) -> Decorated:
    """Give a command the options that describe a job and say where it runs, and the job's own command as argument."""
    for option in reversed(_JOB_OPTIONS):
        command = option(command)
    return command


def submission_options(command: Decorated) -> Decorated:
    """Give a command the options that say how a job is submitted."""
    for option in reversed(_SUBMISSION_OPTIONS):
        command = option(command)
    return command


def work_directory_option(command: Decorated) -> Decorated:
    """Give a command the option that says where job folders are."""
    return _EXECUTOR_OPTIONS[1](command)
