"""The elements of an array: one script for all of them, and a table of what differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Union

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException
from psij_ext.runtime.limits import as_bytes, check_command, check_path
from psij_ext.runtime.script import launch_command, script_context
from psij_ext.runtime.templates import Verbatim, quote

# What the file is called in the folder of an array: line 1 is that of element 0.
TASKS = 'tasks'
_Value = Union[str, Verbatim]
_PATHS = ('directory', 'stdin_path', 'stdout_path', 'stderr_path', 'pre_launch', 'post_launch')
_STDOUT, _STDERR = Verbatim('"${psij_records}stdout"'), Verbatim('"${psij_records}stderr"')
# At a fixed place in the command where no environment and no launcher stand before the program.
_FIRST_WORD = Verbatim('"${psij_command[0]}"')
_OWN_PATH = Verbatim('"$PATH"')


def array_context(
    jobs: Sequence[Job], launcher: Launcher, *, folder: Path, nonce: str, mailbox: Path | None = None
) -> tuple[dict[str, object], bytes]:
    """Give all that the templates may use of jobs that are the elements of one array, and the table of the elements.

    :param jobs: the jobs, with specs of one shape whose relative paths were made absolute by `make_absolute`.
    :param launcher: what starts the processes of each.
    :param folder: where the script keeps the records of all of them; its name is the array's.
    :param nonce: the name of this submission.
    :param mailbox: where the script leaves its hints; None for nowhere.
    :return: the context, and what the file `TASKS` in the folder is to hold.
    :raises InvalidJobException: if one of the jobs cannot be run as it is written.
    """
    context = script_context(jobs[0], launcher, folder=folder, nonce=nonce, mailbox=mailbox)
    specs = [_checked(job) for job in jobs]
    commands = [launch_command(job, launcher) for job in jobs]
    columns: dict[str, list[_Value]] = {
        'directory': [str(spec.directory) for spec in specs],
        'stdin_path': [str(spec.stdin_path or '/dev/null') for spec in specs],
        'stdout_path': [_STDOUT if spec.stdout_path is None else str(spec.stdout_path) for spec in specs],
        'stderr_path': [_STDERR if spec.stderr_path is None else str(spec.stderr_path) for spec in specs],
    }
    for name in ('pre_launch', 'post_launch'):
        if context[name] is not None:
            columns[name] = [str(getattr(spec, name)) for spec in specs]
    started = [str(spec.executable) for spec in specs] if context['measures'] else [command[0] for command in commands]
    if started == [command[0] for command in commands]:
        columns['started'] = [_FIRST_WORD] * len(jobs)
    else:
        columns['started'] = [*started]
    if context['measures']:
        columns['started_path'] = [(spec.environment or {}).get('PATH') or _OWN_PATH for spec in specs]
    lines = [f'psij_command=({" ".join(map(quote, command))})' for command in commands]
    for key, column in columns.items():
        if all(value == column[0] for value in column):
            context[key] = column[0]
        else:
            lines = [f'psij_{key}={_written(value)} {line}' for value, line in zip(column, lines)]
            context[key] = Verbatim(f'"$psij_{key}"')
    context.update(is_array=True, job_id=folder.name, launch_command=[])
    return context, b''.join(as_bytes(f'{line} psij_task={index}\n') for index, line in enumerate(lines))


def _checked(job: Job) -> JobSpec:
    spec = job.spec
    if spec is None or spec.executable is None:
        raise InvalidJobException('The job has no executable: JobSpec.executable must be set.')
    check_command(spec.executable, spec.arguments or (), spec.environment or {})
    for name in _PATHS:
        path = getattr(spec, name)
        if path is not None:
            check_path(f'JobSpec.{name}', path)
    return spec


def _written(value: _Value) -> str:
    return value.text if isinstance(value, Verbatim) else quote(value)
