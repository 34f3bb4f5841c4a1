"""Scripts of jobs, run by a real bash without any scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.launchers.single import SingleLauncher
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.records import ExitRecord, parse_exit_record, parse_progress
from psij_ext.runtime.script import export_lines, make_absolute, script_context
from psij_ext.runtime.tasks import TASKS, array_context
from psij_ext.runtime.templates import full_script

# What a scheduler's own template has at the least.
DIRECTIVES = '#!/bin/bash\npsij_native_id=$FAKE_ID\n'
ARRAY_DIRECTIVES = (
    '#!/bin/bash\npsij_array_id=$FAKE_ID psij_index=$FAKE_INDEX psij_native_id=${FAKE_ID}_$FAKE_INDEX\n'
    'psij_raw_id=$psij_native_id\n')
# Where a script looks for the Python that tells it how much memory its command took.
PYTHONS = ('/usr/bin/python3', '/usr/libexec/platform-python')
# A test runs twice: on a machine where there is such a Python, and on one without.
either_way = pytest.mark.parametrize('scripted', ['with Python', 'without Python'], indirect=True)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it does not happen'
        time.sleep(0.005)


def write_script(folder: JobFolder, directives: str, context: Mapping[str, object], carried: Mapping[str, str] | None,
                 replaced: Mapping[str, str] | None) -> None:
    """Write a script into a folder.

    :param carried: the environment that it brings along.
    :param replaced: what stands in place of parts of it.
    """
    script = full_script(directives, {**context, 'carries_environment': carried is not None})
    if carried is not None:
        folder.write_environment(export_lines(carried))
    for text, instead in (replaced or {}).items():
        assert text in script
        script = script.replace(text, instead)
    folder.write_script(script)


class Scripted:
    """A job's script, to be run by bash as a scheduler would run it."""

    def __init__(self, spec: JobSpec, root: Path, launcher: Launcher | None = None,
                 carried: Mapping[str, str] | None = None, replaced: Mapping[str, str] | None = None) -> None:
        self.job = Job(spec)
        self.mailbox = root / 'box'
        self.mailbox.mkdir(parents=True, exist_ok=True)
        self.folder = JobFolder.create(root / 'work', self.job.id)
        self.job.spec = make_absolute(spec, root)
        context = script_context(
            self.job, launcher or SingleLauncher(), folder=self.folder.path, nonce='n', mailbox=self.mailbox)
        write_script(self.folder, DIRECTIVES, context, carried, replaced)
        self.script, self.output = self.folder.script_path, self.folder.scheduler_output_path
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self, native_id: str = '12', env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start it in a session of its own, with what it writes going to the scheduler's output."""
        environment = {'PATH': os.environ['PATH'], 'HOME': '/', **(env or {}), 'FAKE_ID': native_id}
        with self.output.open('ab') as output:
            process = subprocess.Popen(
                ['/bin/bash', self.script], env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, cwd='/', start_new_session=True)
        self._started.append(process)
        return process

    def run(self, native_id: str = '12', env: Mapping[str, str] | None = None) -> int:
        """Run it to its end; return its exit code."""
        return self.start(native_id, env).wait(30)

    def kill(self) -> None:
        for process in self._started:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            finally:
                process.wait()

    @property
    def record(self) -> ExitRecord:
        record = self.folder.read_exit()
        assert record is not None, self.words
        return record

    @property
    def states(self) -> list[tuple[int, JobState]]:
        return [(entry.attempt, entry.state) for entry in self.folder.read_progress()]

    @property
    def words(self) -> str:
        """What the script itself wrote."""
        return self.output.read_text(errors='replace')

    @property
    def stdout(self) -> str:
        return (self.folder.path / 'stdout').read_bytes().decode('utf-8', 'surrogateescape')

    @property
    def stderr(self) -> str:
        return (self.folder.path / 'stderr').read_text()

    def is_ready(self) -> bool:
        """Whether the command has said so."""
        path = self.folder.path / 'stdout'
        return path.exists() and 'ready' in path.read_text()

    def is_active(self) -> bool:
        return any(state is JobState.ACTIVE for _, state in self.states)


class ScriptedArray:
    """The script of an array, to be run by bash for one element after the other."""

    def __init__(self, specs: Sequence[JobSpec], root: Path, launcher: Launcher | None = None,
                 carried: Mapping[str, str] | None = None, replaced: Mapping[str, str] | None = None) -> None:
        self.mailbox, self.folder = root / 'box', JobFolder.create(root / 'work', 'the-array')
        self.mailbox.mkdir(parents=True, exist_ok=True)
        context, self.table = array_context(
            [Job(make_absolute(spec, root)) for spec in specs], launcher or SingleLauncher(), folder=self.folder.path,
            nonce='n', mailbox=self.mailbox)
        write_script(self.folder, ARRAY_DIRECTIVES, context, carried, replaced)
        (self.folder.path / TASKS).write_bytes(self.table)

    def start(self, index: int | str, array_id: str = '12', env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start the script of an element in a session of its own, with what it writes going to a file of its own."""
        environment = {'PATH': os.environ['PATH'], 'HOME': '/', **(env or {}), 'FAKE_ID': array_id, 'FAKE_INDEX': str(index)}
        with self.file(index, 'scheduler.out').open('ab') as output:
            return subprocess.Popen(
                ['/bin/bash', self.folder.script_path], env=environment, stdin=subprocess.DEVNULL, stdout=output,
                stderr=output, cwd='/', start_new_session=True)

    def run(self, index: int | str, array_id: str = '12', env: Mapping[str, str] | None = None) -> int:
        """Run the script of an element to its end; return its exit code."""
        return self.start(index, array_id, env).wait(30)

    def file(self, index: int | str, name: str) -> Path:
        return self.folder.path / f'{index}.{name}'

    def record(self, index: int) -> ExitRecord:
        record = parse_exit_record(self.file(index, 'exit').read_text())
        assert record is not None, self.words(index)
        return record

    def states(self, index: int) -> list[tuple[int, JobState]]:
        lines = self.file(index, 'progress').read_text().splitlines()
        return [(entry.attempt, entry.state) for entry in map(parse_progress, lines)]

    def words(self, index: int | str) -> str:
        """What the script itself wrote."""
        return self.file(index, 'scheduler.out').read_text(errors='replace')


Make = Callable[..., Scripted]


def shell(script: str, **fields: object) -> JobSpec:
    """A job that runs a few lines of shell."""
    return JobSpec('/bin/sh', ['-c', script], **fields)  # type: ignore[arg-type]


def python(code: str, *arguments: str, **fields: object) -> JobSpec:
    """A job that runs a few lines of Python."""
    return JobSpec(sys.executable, ['-c', code, *arguments], **fields)  # type: ignore[arg-type]


def trapping(name: str, code: int, **fields: object) -> JobSpec:
    """A job that ends with a code when it gets a signal."""
    return python(f'import os, signal, time\nsignal.signal(signal.{name}, lambda *a: os._exit({code}))\n'
                  # One long sleep would outlast a signal that comes just before it begins.
                  'print("ready", flush=True)\nwhile True:\n    time.sleep(0.05)\n', **fields)
