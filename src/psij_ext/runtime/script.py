"""From a spec and a template to the script that a scheduler runs. Shell quoting is done here alone."""

from __future__ import annotations

import copy
import functools
import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from itertools import count, islice, repeat
from pathlib import Path
from typing import Any

import pystache
from pystache.common import PystacheError
from pystache.parser import ParsingError

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpec, ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import URI, StageOutFlags
from psij_ext.exceptions import InvalidJobException
from psij_ext.installation import data_folder

# The tags of a mustache template: what kind of tag it is, empty for a plain one, and the name in it.
_TAG = re.compile(r'{{([{#^/&]?)\s*([^}\s]+)')
_MISSING = object()
_A_TEXT = object()
_UNQUOTED = ('{', '&')
# A bare object, such as the two above, has nothing in it that could change.
_TOLD_BY_REPR = frozenset((type(None), bool, int, float, str, list, tuple, dict, object))
# No value that anybody gives can hold it, and it needs no quotes in a shell.
_MARK = f'@{secrets.token_hex(16)}@'
_COMMON_TEMPLATES = ('prologue', 'epilogue', 'launch')
_PLAIN_WORD = re.compile(r'[\w@%+=:,./-]+', re.ASCII)
_CONTROL_CHARACTERS = re.compile('[\x00-\x1f\x7f]')
_ANSI_C_ESCAPES = {'\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\t': '\\t'}
_VARIABLE = re.compile('[A-Za-z_][A-Za-z0-9_]*', re.ASCII)
# bash(1), "Shell Variables": those that cannot be set, and those that tell of one shell, session or host.
_OF_THE_HOST = frozenset(
    ('_', 'BASHOPTS', 'BASHPID', 'BASH_ENV', 'BASH_VERSINFO', 'DISPLAY', 'ENV', 'EUID', 'FUNCNAME', 'GROUPS',
     'HOST', 'HOSTNAME', 'LINENO', 'NCPUS', 'OLDPWD', 'OMP_NUM_THREADS', 'PPID', 'PWD', 'RANDOM', 'SECONDS',
     'SHELLOPTS', 'SHLVL', 'SSH_AUTH_SOCK', 'SSH_CLIENT', 'SSH_CONNECTION', 'SSH_TTY', 'TMPDIR', 'TTY', 'UID',
     'XDG_RUNTIME_DIR', 'XDG_SESSION_ID'))
_ONE_PROCESS = ResourceSpecV1()
_OUTCOMES = (
    (StageOutFlags.ON_SUCCESS, 'success'), (StageOutFlags.ON_ERROR, 'error'),
    (StageOutFlags.ON_CANCEL, 'cancel'))


def quote(text: str) -> str:
    """Write a string as one word of a bash script that stands on one line, whatever the string holds.

    A value with control characters becomes `$'...'`: a newline in a value could otherwise make a line that a
    scheduler takes for a directive, and schedulers refuse scripts in which carriage returns stand before
    newlines.
    """
    if _PLAIN_WORD.fullmatch(text) is not None:
        return text
    if _CONTROL_CHARACTERS.search(text) is None:
        return shlex.quote(text)
    escaped = re.sub(r"[\\'\x00-\x1f\x7f]",
                     lambda match: _ANSI_C_ESCAPES.get(match[0], f'\\x{ord(match[0]):02x}'), text)
    return f"$'{escaped}'"


_RENDERER = pystache.Renderer(escape=quote, missing_tags='strict', string_encoding='utf-8')


def render(template: Path, context: Mapping[str, object]) -> str:
    """Fill in a template. `{{value}}` is quoted for the shell; a key that the context lacks is an error.

    :raises InvalidJobException: if the template uses a key that is not in the context, or has a syntax error.
    """
    return _render(context, template)


def full_script(directives: str, context: Mapping[str, object]) -> str:
    """Put the parts of a submit script together: a scheduler's own, then what every job's script does."""
    return directives + _render(context, *_common_templates())


def _render(context: Mapping[str, object], *templates: Path) -> str:
    try:
        return _template(*templates).render(context)
    except (PystacheError, ParsingError, OSError) as error:
        names = ', '.join(map(str, templates))
        raise InvalidJobException(f'The template {names} cannot be filled in: {error}', error) from error


class _Template:
    """Templates, one after the other, that are read once, and filled in once for all jobs of one *shape*.

    Thousands of jobs often differ only in texts, such as ids, paths and arguments, which stand in the script as they
    are. Jobs that differ in nothing else have one shape; for each shape the mustache library is asked once, with marks
    in place of the texts.
    """

    _MOST_SHAPES = 256

    def __init__(self, paths: Sequence[Path]) -> None:
        source = ''.join(path.read_text(encoding='utf-8') for path in paths)
        self._parsed = pystache.parse(source)
        tags = _TAG.findall(source)
        self._keys = sorted({key for _, key in tags} - {'.'})
        self._looks_into_objects = any('.' in key for key in self._keys)
        # Where a mark may stand for a text: where it is quoted, and for those of a list, where it is gone through.
        unquoted = {key for kind, key in tags if kind in _UNQUOTED}
        printed = {key for kind, key in tags if not kind}
        self._texts = [] if '.' in unquoted else [
            place for place, key in enumerate(self._keys) if key not in unquoted]
        self._lists = [place for place in self._texts if self._keys[place] not in printed]
        # By the types of all values, where there are texts and lists among them; None where types do not tell that.
        self._places: dict[tuple[type, ...], tuple[list[int], list[int]] | None] = {}
        # By shape, the pieces of the script, and the numbers of the texts that every second piece is replaced by.
        self._scripts: dict[str, tuple[list[str], list[int]]] = {}

    def render(self, context: Mapping[str, object]) -> str:
        shape: list[Any] = [*map(context.get, self._keys, repeat(_MISSING))]
        types = tuple(map(type, shape))
        if types not in self._places:
            self._places[types] = self._sort(types)
        places = self._places[types]
        if places is None:
            return str(_RENDERER.render(self._parsed, context))  # what it gives may change unseen
        texts: list[str] = []
        for place in places[0]:
            value = shape[place]
            if value:  # whether it is empty decides what becomes of a section
                texts.append(value)
                shape[place] = _A_TEXT
        for place in places[1]:
            value = shape[place]
            if {*map(type, value)} == {str}:
                texts += value
                shape[place] = (_A_TEXT, len(value))
        told = repr(shape)
        if told not in self._scripts:
            if len(self._scripts) >= self._MOST_SHAPES:
                self._scripts.clear()
            self._scripts[told] = self._with_marks(context, shape)
        pieces, numbers = self._scripts[told]
        filled = pieces.copy()
        filled[1::2] = [quote(texts[number]) for number in numbers]
        return ''.join(filled)

    def _sort(self, types: tuple[type, ...]) -> tuple[list[int], list[int]] | None:
        if self._looks_into_objects or not _TOLD_BY_REPR.issuperset(types):
            return None
        return ([place for place in self._texts if types[place] is str],
                [place for place in self._lists if types[place] is list])

    def _with_marks(self, context: Mapping[str, object], shape: Sequence[object]) -> tuple[list[str], list[int]]:
        marks = map('{0}{1}{0}'.format, repeat(_MARK), count())
        marked = {**context}
        for place in self._texts:
            if shape[place] is _A_TEXT:
                marked[self._keys[place]] = next(marks)
        for place in self._lists:
            told = shape[place]
            if isinstance(told, tuple) and told[:1] == (_A_TEXT,):
                marked[self._keys[place]] = [*islice(marks, told[1])]
        pieces = str(_RENDERER.render(self._parsed, marked)).split(_MARK)
        return pieces, [int(number) for number in pieces[1::2]]


@functools.cache
def _template(*paths: Path) -> _Template:
    return _Template(paths)


@functools.cache
def _common_templates() -> tuple[Path, ...]:
    common = data_folder('templates') / 'common'
    return tuple(common / f'{name}.mustache' for name in _COMMON_TEMPLATES)


def script_context(
    job: Job, launcher: Launcher, *, folder: Path, nonce: str, mailbox: Path | None = None, scheduled: bool = True
) -> dict[str, object]:
    """Give all that the templates may use of a job, its folder and its launcher.

    :param job: the job, with a spec whose relative paths were made absolute by `make_absolute`.
    :param launcher: what starts the job's processes.
    :param folder: where the script keeps its records.
    :param nonce: the name of this submission.
    :param mailbox: where the script leaves its hints; None for nowhere.
    :param scheduled: whether a scheduler runs the script, which can start processes on the job's machines, and end
        them.
    :raises InvalidJobException: if the spec has no executable, or stages from or to another host.
    """
    spec = job.spec
    if spec is None or spec.executable is None:
        raise InvalidJobException('The job has no executable: JobSpec.executable must be set.')
    command = launch_command(job, launcher)
    is_near = launcher.keeps_process_tree(job, scheduled=scheduled)
    return {
        'job_id': job.id, 'folder': str(folder), 'nonce': nonce,
        'mailbox': '' if mailbox is None else str(mailbox),
        'log_file': str(launcher.config.launcher_log_file or ''),
        'directory': str(spec.directory),
        'stdin_path': str(spec.stdin_path or '/dev/null'),
        'stdout_path': str(spec.stdout_path or f'{folder}/stdout'),
        'stderr_path': str(spec.stderr_path or f'{folder}/stderr'),
        'joined': _is_one_file(spec.stdout_path, spec.stderr_path),
        'pre_launch': _optional_path(spec.pre_launch), 'post_launch': _optional_path(spec.post_launch),
        'launch_command': command,
        'scheduled': scheduled, 'measures': is_near,
        # Elsewhere there may be other programs than here: then no more is known than that of the launcher.
        'started': str(spec.executable) if is_near else command[0],
        'started_path': (spec.environment or {}).get('PATH') if is_near else None,
        **_staging_context(spec),
        **resource_context(spec),
        **attribute_context(spec),
    }


def _is_one_file(stdout: Path | None, stderr: Path | None) -> bool:
    """Two outputs to one file, under whatever names, must be opened once: each would overwrite the other."""
    if stdout is None or stderr is None:
        return False
    return stdout == stderr or stdout.resolve() == stderr.resolve()


def make_absolute(spec: JobSpec, here: Path) -> JobSpec:
    """Make the relative paths of a spec absolute, as PSI/J means them.

    What exists before the job (its directory, the scripts around the launch, sources to stage in) and what is
    staged out lies relative to the submitting program's directory; all else lies under the job's directory.

    :return: the same spec.
    """
    directory = here / spec.directory if spec.directory else here
    spec.directory = directory
    for name, base in (('stdin_path', directory), ('stdout_path', directory), ('stderr_path', directory),
                       ('pre_launch', here), ('post_launch', here)):
        path = getattr(spec, name)
        if path is not None:
            setattr(spec, name, base / path)
    return spec


def launch_command(job: Job, launcher: Launcher) -> list[str]:
    """Give the argv that starts the job's processes, with the spec's environment set for them alone.

    The environment is set by `env`, inside the launcher: so it reaches processes on other nodes, holds names
    that bash reserves, and a PATH or LD_PRELOAD that is meant for the job harms neither script nor launcher.
    """
    spec = job.spec
    if spec is None or spec.executable is None:
        raise InvalidJobException('The job has no executable: JobSpec.executable must be set.')
    if not spec.environment:
        return launcher.get_launch_command(job)
    wrapped = copy.copy(spec)
    command = [str(spec.executable), *(spec.arguments or ())]
    if '=' in command[0]:  # env would take it for a variable; nice starts what it is given
        command = ['/usr/bin/nice', '-n', '0', '--', *command]
    wrapped.executable = '/usr/bin/env'
    wrapped.arguments = ['--', *(f'{name}={value}' for name, value in spec.environment.items()), *command]
    return launcher.get_launch_command(Job(wrapped))


def export_lines(environment: Mapping[str, str]) -> str:
    """Write an environment as lines that a script reads, without what belongs to one host or shell."""
    return ''.join(f'export {name}={quote(value)}\n' for name, value in sorted(environment.items())
                   if _VARIABLE.fullmatch(name) and name not in _OF_THE_HOST and not name.startswith('psij_'))


def resource_context(spec: JobSpec) -> dict[str, object]:
    """Give the resources of a spec under the names of `ResourceSpecV1`; memory and GPUs by node too.

    :raises InvalidJobException: if the resources are of an unknown version.
    """
    resources = known_resources(spec.resources)
    context: dict[str, object] = dict.fromkeys(
        ('cpu_cores_per_process', 'gpu_cores_per_process', 'exclusive_node_use', 'memory', 'memory_per_node',
         'gpus_per_node'))
    context.update(node_count=1, process_count=1, processes_per_node=1, has_resources=False)
    if spec.resources is None:
        return context
    context['has_resources'] = True
    nodes, per_node = resources.computed_node_count, resources.computed_processes_per_node
    gpus = resources.gpu_cores_per_process
    context.update(
        node_count=nodes, process_count=resources.computed_process_count, processes_per_node=per_node,
        cpu_cores_per_process=resources.cpu_cores_per_process, gpu_cores_per_process=gpus,
        gpus_per_node=gpus * per_node if gpus else None,
        exclusive_node_use=resources.exclusive_node_use,
        memory=resources.memory,
        memory_per_node=-(-resources.memory // nodes) if resources.memory else None)
    return context


def known_resources(resources: ResourceSpec | None) -> ResourceSpecV1:
    """Give resources that we can read; one process where nothing was asked for.

    :raises InvalidJobException: if they are of an unknown version.
    """
    if resources is None:
        return _ONE_PROCESS
    if not isinstance(resources, ResourceSpecV1):
        raise InvalidJobException(
            f'JobSpec.resources: version {resources.version} of the vocabulary is not known here.')
    return resources


def attribute_context(spec: JobSpec) -> dict[str, object]:
    """Give the name and the scheduling attributes of a spec; `duration` in seconds, rounded up."""
    attributes = spec.attributes
    duration = attributes.duration if attributes else None
    return {
        'name': spec.name,
        'inherit_environment': spec.inherit_environment,
        'duration': None if duration is None else -(-duration // type(duration)(seconds=1)),
        'queue_name': attributes.queue_name if attributes else None,
        'account': attributes.account if attributes else None,
        'reservation_id': attributes.reservation_id if attributes else None,
    }


def hours_minutes_seconds(seconds: int) -> str:
    """Write a duration as schedulers read it, zero-padded: 3661 is `01:01:01`."""
    return f'{seconds // 3600:02d}:{seconds % 3600 // 60:02d}:{seconds % 60:02d}'


_NOTHING_STAGED: Mapping[str, object] = {
    'stages_in': False, 'stage_in': (), 'stages_out': False, 'stage_out': (), 'cleans_up': False, 'cleanup': (),
    'cleanup_when': ''}


def _staging_context(spec: JobSpec) -> Mapping[str, object]:
    if not (spec.stage_in or spec.stage_out or spec.cleanup):
        return _NOTHING_STAGED
    directory = Path(spec.directory or '/')
    stage_in = [{'mode': item.mode.name, 'source': _local_path(item.source, Path.cwd()),
                 'target': str(directory / item.target)} for item in spec.stage_in or ()]
    stage_out = [{'mode': item.mode.name, 'when': _outcomes(item.flags),
                  'presence': 'IF_PRESENT' if item.flags & StageOutFlags.IF_PRESENT else 'REQUIRED',
                  'source': str(directory / item.source), 'target': _local_path(item.target, Path.cwd())}
                 for item in spec.stage_out or ()]
    cleanup = [{'path': str(_inside(directory, Path(path)))} for path in sorted(spec.cleanup or (), key=str)]
    return {
        'stages_in': bool(stage_in), 'stage_in': stage_in,
        'stages_out': bool(stage_out), 'stage_out': stage_out,
        'cleans_up': bool(cleanup), 'cleanup': cleanup, 'cleanup_when': _outcomes(spec.cleanup_flags),
    }


def _outcomes(flags: StageOutFlags) -> str:
    named = [word for flag, word in _OUTCOMES if flags & flag]
    return ' '.join(named or [word for _, word in _OUTCOMES])


def _local_path(place: URI | Path | str, here: Path) -> str:
    uri = place if isinstance(place, URI) else URI(str(place))
    if uri.scheme not in (None, '', 'file') or uri.hostname not in (None, '', 'localhost'):
        raise InvalidJobException(
            f'The file {uri} cannot be staged: only files that the job itself can read and write are, so '
            'without a host and with the scheme "file" or none. Use a command in pre_launch or post_launch '
            'for others.')
    return str(here / str(uri.path))


def _inside(directory: Path, path: Path) -> Path:
    """Only what lies inside the job's directory is ever removed."""
    full = directory / path
    parts = full.relative_to(directory).parts if full.is_relative_to(directory) else ()
    if not parts or '..' in parts:
        raise InvalidJobException(
            f'JobSpec.cleanup: {path} does not lie inside the job\'s directory {directory}.')
    return full


def _optional_path(path: Path | None) -> str | None:
    return None if path is None else str(path)
