"""Scripts of jobs, run by a real bash without any scheduler."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.launchers.single import SingleLauncher
from psij_ext.runtime.jobfolder import ExitRecord, JobFolder
from psij_ext.runtime.script import export_lines, make_absolute, script_context
from psij_ext.runtime.templates import full_script

# What a scheduler's own template has at the least.
DIRECTIVES = '#!/bin/bash\npsij_native_id=$FAKE_ID\n'
# Where a script looks for the Python that tells it how much memory its command took.
PYTHONS = ('/usr/bin/python3', '/usr/libexec/platform-python')
# A test runs twice: on a machine where there is such a Python, and on one without.
either_way = pytest.mark.parametrize('scripted', ['with Python', 'without Python'], indirect=True)


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it does not happen'
        time.sleep(0.005)


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
        script = full_script(DIRECTIVES, {**context, 'carries_environment': carried is not None})
        if carried is not None:
            self.folder.write_environment(export_lines(carried))
        for text, instead in (replaced or {}).items():
            assert text in script
            script = script.replace(text, instead)
        self.folder.write_script(script)
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
                  'print("ready", flush=True)\ntime.sleep(100)\n', **fields)
