"""Which executor a job goes to."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from psij_ext.cli.errors import Failure, told
from psij_ext.core.interfaces import JobExecutor, JobExecutorConfig
from psij_ext.exceptions import CommandError, PluginError, SubmitException
from psij_ext.executors.submitting import SubmittingExecutor
from psij_ext.runtime.command import SubprocessRunner, find_program

EXECUTOR_VARIABLE = 'PSIJ_EXT_EXECUTOR'
_NAME_AND_CONSTRAINT = re.compile(r'\s*([^\s<>=!~]+)\s*(.*)')
_SECONDS_FOR_AN_ANSWER = 10.0


@dataclass(frozen=True)
class Choice:
    """A choice of an executor.

    :param name: its name.
    :param constraint: the versions that will do; any if None.
    :param why: why it was chosen, where the user did not say so on this command line.
    """

    name: str
    constraint: str | None = None
    why: str | None = None


def choose(asked: str | None) -> Choice:
    """Choose the executor that was asked for, else the scheduler of this machine, else the machine itself."""
    if asked is not None:
        return _read_choice(asked)
    chosen = os.environ.get(EXECUTOR_VARIABLE)
    if chosen:
        return _read_choice(chosen, f'{EXECUTOR_VARIABLE} names it')
    if _is_slurm():
        return Choice('slurm', why='sbatch is on PATH')
    if _is_pbs_pro():
        return Choice('pbspro', why="PBS Pro's qsub is on PATH")
    return Choice('local', why='no scheduler was found here')

# Jobs that were submitted at the terminal are no program's to recover.
_SESSION = 'psij-ext'


def open_executor(choice: Choice, work_directory: Path | None = None) -> SubmittingExecutor:
    """Make the chosen executor.

    :param work_directory: where it keeps the folders of jobs; its usual place if None.
    :raises PluginError: if there is none of that name, or it cannot be loaded.
    """
    config = JobExecutorConfig(work_directory=work_directory, session=_SESSION)
    executor = JobExecutor.get_instance(choice.name, choice.constraint, config=config)
    if not isinstance(executor, SubmittingExecutor):
        raise Failure(f'The executor {choice.name!r} keeps no folders of its jobs, which this command needs.')
    return executor


@contextmanager
def explained(choice: Choice) -> Iterator[None]:
    """Add to an error of an executor or a scheduler why this one was asked at all."""
    try:
        yield
    except (PluginError, SubmitException, CommandError) as error:
        if choice.why is None or isinstance(error.__cause__, OSError):  # as where the disk is full
            raise
        why = f'{choice.name} was chosen because {choice.why}, and --executor chooses another'
        raise Failure(f'{told(error)}; {why}') from error


def _read_choice(text: str, why: str | None = None) -> Choice:
    match = _NAME_AND_CONSTRAINT.fullmatch(text)
    return Choice(text, why=why) if match is None else Choice(match[1], match[2] or None, why)


def _is_slurm() -> bool:
    """Tell whether Slurm's commands are here and know of a controller, which may be down (scontrol(1), ping)."""
    words = _words_of('sbatch', ['scontrol', 'ping'])
    # Debian installs the commands without any configuration (seen in 22.05).
    return words is not None and 'Could not establish a configuration source' not in words


def _is_pbs_pro() -> bool:
    """Tell PBS Pro's qsub from that of Torque and of Grid Engine: qsub(1B), --version, prints `pbs_version = ...`."""
    return 'pbs_version' in (_words_of('qsub', ['qsub', '--version']) or '')


def _words_of(program: str, command: Sequence[str]) -> str | None:
    """Return what a command says, which is nothing where it gives no answer; None where a program is not here."""
    if find_program(program) is None:
        return None
    try:
        return SubprocessRunner().run(command, timeout=_SECONDS_FOR_AN_ANSWER).combined_text
    except CommandError:
        return ''
