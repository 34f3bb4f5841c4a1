"""A machine for the tests of the local executor, and ways to look at its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable

from psij_ext import (
    Job,
    JobAttributes,
    JobSpec,
    JobState,
    ResourceSpecV1,
)
from psij_ext.core.exit_info import ExitReason
from psij_ext.executors.local import LocalExecutorConfig, LocalJobExecutor
from psij_ext.runtime import processes

PATIENCE = timedelta(seconds=60)
GRACE = 0.5
# In bash: wait until a file is there. It starts no process for it; nothing ever comes out of pipe 3.
AWAIT = 'exec 3<> <(:); await() { until [ -e "$1" ]; do read -r -t 0.01 -u 3; done; true; }; '


class Machine:
    """A machine of our own: a state folder, a work directory, executors that share them, and all the jobs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work_directory = folder / 'work'
        self.executors: list[LocalJobExecutor] = []
        self.jobs: list[Job] = []

    def executor(self, **settings: Any) -> LocalJobExecutor:
        settings = {'work_directory': self.work_directory, 'cancel_grace': GRACE, **settings}
        executor = LocalJobExecutor(config=LocalExecutorConfig(**settings))
        self.executors.append(executor)
        return executor

    @property
    def one_core(self) -> LocalJobExecutor:
        return self.executor(max_processes=1)

    def submit(self, executor: LocalJobExecutor, job: Job) -> Job:
        executor.submit(job)
        self.jobs.append(job)
        return job

    def shell(self, executor: LocalJobExecutor, script: str, *arguments: object, cores: int | None = None,
              seconds: float | None = None, **fields: Any) -> Job:
        """Submit a job that runs a bash script in the machine's folder."""
        spec = JobSpec('/bin/bash', ['-c', AWAIT + script, 'bash', *map(str, arguments)],
                       **{'directory': self.folder, **fields})
        if cores is not None:
            spec.resources = ResourceSpecV1(cpu_cores_per_process=cores)
        if seconds is not None:
            spec.attributes = JobAttributes(duration=timedelta(seconds=seconds))
        return self.submit(executor, Job(spec))

    def running(self, executor: LocalJobExecutor, script: str, *arguments: object, **fields: Any) -> Job:
        """Submit a job and wait until its script has made the file `ready`."""
        job = self.shell(executor, script, *arguments, **fields)
        until((self.folder / 'ready').exists)
        return job

    def output(self, job: Job, stream: str = 'stdout') -> str:
        return (self.work_directory / 'local' / job.id / stream).read_text()

    def close(self) -> None:
        for job in self.jobs:
            send(signal.SIGKILL, processes.in_session(leader(job)))
        for executor in self.executors:
            executor.close()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not condition():
        assert time.monotonic() < deadline, condition
        time.sleep(0.01)


def end(job: Job) -> tuple[JobState, int | None, ExitReason | None, int | None]:
    """State, exit code, reason and signal of a job that is over."""
    assert job.wait(PATIENCE) is not None, job
    assert job.exit_info is not None
    return job.status.state, job.status.exit_code, job.exit_info.reason, job.exit_info.signal


def leader(job: Job) -> int:
    return int(str(job.native_id).partition('.')[0])


def send(number: signal.Signals, pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_session(job: Job) -> None:
    """Kill a job and its supervisor, as the out-of-memory killer or a person may; none of them can write anything."""
    members = processes.in_session(leader(job))
    send(signal.SIGSTOP, members)
    send(signal.SIGKILL, members)


def runs(pid: int) -> bool:
    return processes.start_time(pid) is not None


def script_of(job: Job) -> int:
    """The process of the job's script: the one whose parent is the supervisor, in a group of its own."""
    members = {pid: parent_of(pid) for pid in processes.in_session(leader(job))}
    return next(pid for pid, parent in members.items() if parent == leader(job) and os.getpgid(pid) == pid)


def parent_of(pid: int) -> int:
    return int(Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].split()[1])


def own_children() -> set[int]:
    """All processes whose parent we are, zombies included."""
    found = set()
    for entry in Path('/proc').iterdir():
        if entry.name.isdigit():
            try:
                if parent_of(int(entry.name)) == os.getpid():
                    found.add(int(entry.name))
            except OSError:
                pass
    return found


def program(machine: Machine, code: str, *arguments: object) -> subprocess.Popen[str]:
    """Start another Python program; `executor` is a local executor in it, and `job(script)` makes a job."""
    preamble = (
        'import os, signal, sys, time\n'
        'from psij_ext import *\n'
        'from psij_ext.executors.local import LocalExecutorConfig, LocalJobExecutor\n'
        'from pathlib import Path\n'
        f'machine = Path({str(machine.folder)!r})\n'
        'def make(**settings):\n'
        f'    return LocalJobExecutor(config=LocalExecutorConfig(cancel_grace={GRACE}, **settings))\n'
        'def job(script, *arguments):\n'
        f'    return Job(JobSpec("/bin/bash", ["-c", {AWAIT!r} + script, "bash", *arguments], directory=machine))\n')
    argv = [sys.executable, '-c', preamble + code, *map(str, arguments)]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
