"""The elements of an array: one script for all of them, and a table of what differs between them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Dict, List, TypeVar, Union

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException
from psij_ext.runtime.limits import LONGEST_ARGUMENT, as_bytes, check_command, check_path
from psij_ext.runtime.script import launch_command, script_context
from psij_ext.runtime.templates import Verbatim, quote, quote_words

# What the file is called in the folder of an array: line 1 is that of element 0.
TASKS = 'tasks'
# Where an element's script puts what its command writes, if the job does not say.
_OUTPUTS = {'stdout_path': Verbatim('"${psij_records}stdout"'), 'stderr_path': Verbatim('"${psij_records}stderr"')}
_OWN_PATH = Verbatim('"$PATH"')
# A command that is written in so few characters can be started wherever others can.
_SHORT_COMMAND = LONGEST_ARGUMENT // 16
_Values = List[Union[str, Verbatim]]
Words = TypeVar('Words', str, List[str])


def array_context(
    jobs: Sequence[Job], launcher: Launcher, *, folder: Path, nonce: str, mailbox: Path | None = None
) -> tuple[dict[str, object], bytes]:
    """Give all that the templates may use of jobs that are the elements of one array, and the table of the elements.

    :param jobs: the jobs, with specs of one shape whose relative paths were made absolute by `make_absolute`.
    :param launcher: what starts the processes of each.
    :param folder: where the script keeps the records of all of them; its name is the array's.
    :param nonce: the name of this submission.
    :param mailbox: where the script leaves its hints; None for nowhere.
    :return: the context, and what the file `TASKS` in the folder is to hold: a line for each element, which sets the
        variables that the script has in place of values.
    :raises InvalidJobException: if one of the jobs cannot be run as it is written.
    """
    context = script_context(jobs[0], launcher, folder=folder, nonce=nonce, mailbox=mailbox)
    specs = [_spec_of(job) for job in jobs]
    wrapped_job = Job()
    commands = [launch_command(job, launcher, wrapped_job) for job in jobs]
    common = common_beginning(commands)
    shown = [quote_words(command[len(common):]) for command in commands]
    short = _SHORT_COMMAND - len(quote_words(common))
    for spec, words in zip(specs, shown):
        if len(words) > short:
            check_command(str(spec.executable), spec.arguments or (), spec.environment or {})
    lines = [f'psij_command=({words})' for words in shown]
    for key, values in _columns(specs, commands, context).items():
        if values.count(values[0]) == len(values):
            context[key] = values[0]
        else:
            context[key] = Verbatim(f'"$psij_{key}"')
            lines = [f'psij_{key}={value.text if isinstance(value, Verbatim) else quote(value)} {line}'
                     for value, line in zip(values, lines)]
    context.update(is_array=True, job_id=folder.name, launch_command=common)
    # A line that was not read to its end does not say for which element it is.
    table = [f'{line} psij_task={index}\n' for index, line in enumerate(lines)]
    text = ''.join(table)
    return context, text.encode('ascii') if text.isascii() else b''.join(map(as_bytes, table))


def _columns(
    specs: Sequence[JobSpec], commands: Sequence[Sequence[str]], context: dict[str, object]
) -> Dict[str, _Values]:
    """Give the values of all elements that may differ between them, by their keys in the templates.

    :raises InvalidJobException: if nothing can have such a path.
    """
    columns: Dict[str, _Values] = {}
    for key in ('directory', 'stdin_path', 'pre_launch', 'post_launch'):
        if context[key] is not None:
            columns[key] = [str(getattr(spec, key) or '/dev/null') for spec in specs]
    for key, usual in _OUTPUTS.items():
        columns[key] = [usual if path is None else str(path) for path in [getattr(spec, key) for spec in specs]]
    programs: _Values = [str(spec.executable) for spec in specs]
    for key, values in [*columns.items(), ('executable', programs)]:
        for path in {value for value in values if isinstance(value, str)}:
            check_path(f'JobSpec.{key}', path)
    if context['measures']:
        columns['started'] = programs
        columns['started_path'] = [(spec.environment or {}).get('PATH') or _OWN_PATH for spec in specs]
    else:
        columns['started'] = [command[0] for command in commands]
    return columns


def common_beginning(sequences: Sequence[Words]) -> Words:
    """Return what sequences of words, or texts, have in common before the first place where two of them differ."""
    first, last = min(sequences), max(sequences)
    differ = (place for place, (one, other) in enumerate(zip(first, last)) if one != other)
    return first[:next(differ, min(len(first), len(last)))]


def _spec_of(job: Job) -> JobSpec:
    if job.spec is None or job.spec.executable is None:
        raise InvalidJobException('The job has no executable: JobSpec.executable must be set.')
    return job.spec
