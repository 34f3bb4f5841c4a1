"""From a job to what the templates of its script may use."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from pathlib import Path

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpec, ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import URI, StageOutFlags
from psij_ext.exceptions import InvalidJobException
from psij_ext.runtime.limits import check_command, check_path
from psij_ext.runtime.templates import quote

_VARIABLE = re.compile('[A-Za-z_][A-Za-z0-9_]*', re.ASCII)
# bash(1), "Shell Variables": those that cannot be set, and those that tell of one shell, session or host.
_OF_THE_HOST = frozenset(
    ('_', 'BASHOPTS', 'BASHPID', 'BASH_ENV', 'BASH_VERSINFO', 'DISPLAY', 'ENV', 'EUID', 'FUNCNAME', 'GROUPS',
     'HOST', 'HOSTNAME', 'LINENO', 'NCPUS', 'OLDPWD', 'OMP_NUM_THREADS', 'PPID', 'PWD', 'RANDOM', 'SECONDS',
     'SHELLOPTS', 'SHLVL', 'SSH_AUTH_SOCK', 'SSH_CLIENT', 'SSH_CONNECTION', 'SSH_TTY', 'TMPDIR', 'TTY', 'UID',
     'XDG_RUNTIME_DIR', 'XDG_SESSION_ID'))
LAUNCHER_OUTPUT = 'launcher.out'
_ONE_PROCESS = ResourceSpecV1()
_PATHS = ('directory', 'stdin_path', 'stdout_path', 'stderr_path', 'pre_launch', 'post_launch')
_OUTCOMES = (
    (StageOutFlags.ON_SUCCESS, 'success'), (StageOutFlags.ON_ERROR, 'error'),
    (StageOutFlags.ON_CANCEL, 'cancel'))


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
    :raises InvalidJobException: if the spec has no executable, stages from or to another host, or holds what no program
        can be given.
    """
    spec = job.spec
    if spec is None or spec.executable is None:
        raise InvalidJobException('The job has no executable: JobSpec.executable must be set.')
    check_command(spec.executable, spec.arguments or (), spec.environment or {})
    for name in _PATHS:
        path = getattr(spec, name)
        if path is not None:
            check_path(f'JobSpec.{name}', path)
    streams = {'stdin_path': str(spec.stdin_path or '/dev/null'),
               'stdout_path': str(spec.stdout_path or f'{folder}/stdout'),
               'stderr_path': str(spec.stderr_path or f'{folder}/stderr'),
               'joined': is_one_file(spec.stdout_path, spec.stderr_path)}
    if launcher.opens_streams:
        command = _self_contained_command(job, launcher, streams)
        own_words = f'{folder}/{LAUNCHER_OUTPUT}'
        streams = {'stdin_path': '/dev/null', 'stdout_path': own_words, 'stderr_path': own_words, 'joined': True}
    else:
        command = launch_command(job, launcher)
    is_near = launcher.keeps_process_tree(job, scheduled=scheduled)
    return {
        'is_array': False, 'job_id': job.id, 'folder': str(folder), 'nonce': nonce,
        'mailbox': '' if mailbox is None else str(mailbox),
        'log_file': str(launcher.config.launcher_log_file or ''),
        'directory': str(spec.directory),
        **streams,
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


def is_one_file(stdout: Path | None, stderr: Path | None) -> bool:
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


def launch_command(job: Job, launcher: Launcher, wrapped_job: Job | None = None) -> list[str]:
    """Give the argv that starts the job's processes, with the spec's environment set for them alone.

    The environment is set by `env`, inside the launcher: so it reaches processes on other nodes, holds names
    that bash reserves, and a PATH or LD_PRELOAD that is meant for the job harms neither script nor launcher.

    :param wrapped_job: a job that stands for this one together with its environment; for many jobs it may be the same.
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
    wrapped_job = wrapped_job or Job()
    wrapped_job.spec = wrapped
    return launcher.get_launch_command(wrapped_job)


def _self_contained_command(job: Job, launcher: Launcher, streams: Mapping[str, object]) -> list[str]:
    """Give the launch command of a launcher that opens the job's streams; what is around the launch is not its work."""
    spec = copy.copy(job.spec)
    if spec is None:
        raise InvalidJobException('The job has no description.')
    for name in ('stdin_path', 'stdout_path', 'stderr_path'):
        setattr(spec, name, streams[name])
    spec.pre_launch = spec.post_launch = None
    described = job._described_as(spec)
    return launch_command(described, launcher, job._described_as(spec))


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
    for field, paths in ('stage_in', stage_in), ('stage_out', stage_out):
        for each in paths:
            check_path(f'JobSpec.{field}', each['source'])
            check_path(f'JobSpec.{field}', each['target'])
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
    path = uri.local_path
    if path is None:
        raise InvalidJobException(
            f'The file {uri} cannot be staged: only files that the job itself can read and write are, so '
            'without a host and with the scheme "file" or none. Use a command in pre_launch or post_launch '
            'for others.')
    return str(here / path)


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
