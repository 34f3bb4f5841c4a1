"""Finds what is wrong with the class of a dialect before any output is read: its kind, its methods, its template."""

from __future__ import annotations

import inspect
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException, PluginError
from psij_ext.executors.batch.base import BatchSchedulerExecutor
from psij_ext.executors.batch.dialect import SchedulerDialect
from psij_ext.plugins import executors
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.script import make_absolute

_INJECTED = '#INJECTED'


def class_of(executor: object) -> tuple[type[BatchSchedulerExecutor] | None, str]:
    """Return the class of a dialect, and where there is none, why.

    :param executor: the class, or the name under which it is installed.
    """
    found = executor
    if isinstance(executor, str):
        try:
            found, _ = executors.get(executor)
        except PluginError as error:
            return None, str(error)
    if not isinstance(found, type):
        return None, f'executor: a class or the name of an installed executor is expected, not {found!r}'
    if not issubclass(found, BatchSchedulerExecutor):
        return None, (f'{place_of(found)} is no subclass of psij_ext.executors.batch.BatchSchedulerExecutor, but of '
                      f'{", ".join(base.__qualname__ for base in found.__mro__[1:])}')
    return found, ''


def place_of(what: Any) -> str:
    """Return the name of a class or a method, with its file and line where they are known."""
    name = getattr(what, '__qualname__', repr(what))
    try:
        path, (_, line) = inspect.getsourcefile(what), inspect.getsourcelines(what)
    except (TypeError, OSError):
        return str(name)
    return f'{name} ({path}, line {line})'


def missing_methods(dialect: type[BatchSchedulerExecutor]) -> Iterator[str]:
    """Tell of each method that the class does not have yet, and what it is for."""
    for name in sorted(dialect.__abstractmethods__):
        method = getattr(dialect, name)
        purpose = (inspect.getdoc(method) or '').partition('\n')[0]
        yield f'{place_of(dialect)} has no {name}{inspect.signature(method)}: {purpose}'


def wrong_methods(dialect: type[BatchSchedulerExecutor]) -> Iterator[str]:
    """Tell of each method that cannot be called as it will be."""
    for name, general in vars(SchedulerDialect).items():
        own = getattr(dialect, name)
        if name.startswith('_') or not inspect.isfunction(general) or own is general:
            continue
        wanted = inspect.signature(general)
        if not callable(own):
            yield f'{place_of(dialect)}: {name} must be a method, {name}{wanted}, and is {own!r}'
            continue
        static = not inspect.isfunction(inspect.getattr_static(dialect, name))
        try:
            inspect.signature(own).bind(*([None] * (len(wanted.parameters) - static)))
        except TypeError as error:
            yield f'{place_of(own)} cannot be called as {name}{wanted}: {error}'


# -- the script


def script_faults(dialect: BatchSchedulerExecutor, folder: Path) -> Iterator[str]:
    """Tell what is wrong with the scripts of jobs of many kinds.

    :param folder: where the jobs' folders would lie; nothing is written.
    """
    kind = type(dialect)
    template = dialect.template
    if template is not None and not template.is_file():
        yield f'{place_of(kind)}: template: there is no file {template}'
        return
    if template is not None and 'psij_native_id=' not in template.read_text(encoding='utf-8'):
        yield (f'{template} does not say in which variable the scheduler gives a job its id; a line such as '
               'psij_native_id=$PBS_JOBID is missing')
    told: set[str] = set()
    for what, spec in _specs(dialect):
        job = Job(make_absolute(spec, folder))
        try:
            script, _ = dialect.render(job, JobFolder(folder / 'job'), 'nonce')
        except InvalidJobException as error:
            # What a scheduler cannot express is refused; that has no other error behind it.
            faults = [str(error)] if error.exception is not None or what == _NOTHING else []
        else:
            faults = [f'its script {fault}' for fault in _faults_of_script(script)]
        # Of what is wrong with all jobs, the first is enough.
        for fault in faults:
            if fault not in told:
                yield f'{place_of(kind)}: a job with {what}: {fault}'
        told.update(faults)


_NOTHING = 'nothing but a command'


def _specs(dialect: BatchSchedulerExecutor) -> Iterator[tuple[str, JobSpec]]:
    def spec(**fields: object) -> JobSpec:
        return JobSpec('/bin/date', **fields)  # type: ignore[arg-type]  # each has its type below

    yield _NOTHING, spec()
    yield 'no environment', spec(inherit_environment=False)
    yield 'resources', spec(resources=ResourceSpecV1(process_count=2, cpu_cores_per_process=1))
    yield 'GPUs', spec(resources=ResourceSpecV1(process_count=1, gpu_cores_per_process=1))
    yield 'memory', spec(resources=ResourceSpecV1(process_count=1, memory=1 << 30))
    yield 'a duration', spec(attributes=JobAttributes(duration=timedelta(minutes=90)))
    for text in ('plain', f"odd 'name' $HOME\n{_INJECTED}\n"):
        yield f'the name {text!r}', spec(name=text)
        for field in 'queue_name', 'account', 'reservation_id':
            yield f'the {field} {text!r}', spec(attributes=JobAttributes(**{field: text}))  # type: ignore[arg-type]
        for prefix in dialect.custom_attribute_prefixes:
            custom = {f'{prefix}.key': text}
            yield f'custom attributes {custom}', spec(attributes=JobAttributes(custom_attributes=custom))


def _faults_of_script(script: str) -> Iterator[str]:
    if not script.startswith('#!'):
        yield f'does not begin with #!, but with {script[:40]!r}'
    if any(line.startswith(_INJECTED) for line in script.splitlines()):
        yield 'holds a line that somebody put into a value'
    checked = subprocess.run(['bash', '-n'], input=script.encode('utf-8', 'surrogateescape'), capture_output=True,
                             timeout=60, check=False)
    if checked.returncode != 0:
        yield f'is no script of bash: {checked.stderr.decode("utf-8", "replace").strip()}'
