"""A stage for true stories: jobs on a real Slurm, what their callbacks saw, and what must have become of them."""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable

from psij_ext import ExitReason, Job, JobAttributes, JobSpec, JobState, JobStatus
from psij_ext.executors.batch.slurm import SlurmExecutorConfig, SlurmJobExecutor
from psij_ext.runtime.command import CommandResult, SubprocessRunner
from psij_ext.runtime.jobfolder import JobFolder
from real_slurm import Cluster

SECONDS = 60.0
# What a job's script and the test say to each other.
PRELUDE = 'tell() { echo "$*" > "$TOLD"; }; await() { read -r < "$ASKED"; }; '
STAY = 'tell $$; exec sleep 600'
# It outlives TERM, tidies up, and calls that a success.
STAY_POLITE = "trap 'exit 0' TERM; tell $$; sleep 600 & wait"
STAY_STUBBORN = "trap '' TERM; tell $$; exec sleep 600"


@dataclass(frozen=True)
class RunnerOf:
    """Runs the commands of one of several clusters that this process knows; executors on one share a monitor."""

    cluster: Cluster

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        return SubprocessRunner().run(
            argv, timeout=timeout, cwd=cwd, env={**(env or {}), **self.cluster.variables}, once_started=once_started)


class Stage:
    """An executor on a cluster, and its jobs."""

    def __init__(self, cluster: Cluster, folder: Path, **settings: Any) -> None:
        self.cluster = cluster
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.executor = SlurmJobExecutor(config=SlurmExecutorConfig(**{
            'work_directory': folder / 'work', 'initial_queue_polling_delay': 0.2, 'queue_polling_interval': 0.5,
            **settings}))
        self.executor.runner = RunnerOf(cluster)

    def close(self) -> None:
        self.executor.close()

    def slurm(self, *argv: str | Path) -> str:
        """Run a command as somebody else would."""
        return self.cluster.run(*argv)

    def plan(self, script: str, *, duration: timedelta | None = None, **options: object) -> Play:
        """Make a job that runs a bash script; `options` are those of sbatch."""
        pipes = Pipes(self.folder)
        attributes = JobAttributes(duration=duration, custom_attributes={
            f'slurm.{name.replace("_", "-")}': value for name, value in options.items()})
        return Play(self, Job(JobSpec(
            '/bin/bash', ['-c', PRELUDE + script], directory=self.folder, environment=pipes.variables,
            attributes=attributes)), pipes)

    def play(self, script: str, **options: Any) -> Play:
        """Submit a job that runs a bash script."""
        play = self.plan(script, **options)
        self.executor.submit(play.job)
        return play

    def play_until_told(self, script: str, **options: Any) -> Play:
        """The same, and wait until the script says something."""
        play = self.play(script, **options)
        play.hear()
        return play

    def attach(self, native_id: str) -> Play:
        """Follow a job that was submitted by somebody else or earlier."""
        play = Play(self, Job(), None)
        self.executor.attach(play.job, native_id)
        return play


class Pipes:
    """How a job's script and the test wait for each other."""

    def __init__(self, folder: Path) -> None:
        names = [folder / f'{name}-{os.urandom(8).hex()}' for name in ('told', 'asked')]
        for name in names:
            os.mkfifo(name)
        # For reading and writing, so that neither side waits for the other to open it.
        self._told, self._asked = (os.open(name, os.O_RDWR) for name in names)
        self.variables = {'TOLD': str(names[0]), 'ASKED': str(names[1])}

    def hear(self) -> str | None:
        line = b''
        while not line.endswith(b'\n'):
            if not select.select([self._told], [], [], SECONDS)[0]:
                return None
            line += os.read(self._told, 1)
        return line.decode().strip()

    def let_go(self) -> None:
        os.write(self._asked, b'\n')


class Play:
    """A job, and what its callbacks saw."""

    def __init__(self, stage: Stage, job: Job, pipes: Pipes | None) -> None:
        self.stage = stage
        self.job = job
        self._maybe_pipes = pipes
        self._seen: list[JobState] = []
        self._changed = threading.Condition()
        job.set_job_status_callback(self._see)

    def _see(self, job: Job, status: JobStatus) -> None:
        with self._changed:
            self._seen.append(status.state)
            self._changed.notify_all()

    @property
    def pipes(self) -> Pipes:
        assert self._maybe_pipes is not None, 'its script is not ours'
        return self._maybe_pipes

    @property
    def native_id(self) -> str:
        assert self.job.native_id is not None
        return self.job.native_id

    @property
    def work_folder(self) -> JobFolder:
        """The library's folder of the job."""
        return JobFolder(self.stage.executor.work_directory / self.job.id)

    @property
    def seen(self) -> str:
        """The states that callbacks saw, in their order."""
        return ' '.join(state.name for state in self._seen)

    # -- with the script

    def hear(self) -> str:
        """Wait for the next line that the job's script tells."""
        line = self.pipes.hear()
        assert line is not None, f'its script says nothing: {self._account}'
        return line

    def let_go(self) -> None:
        """Let a job's script go on that awaits it."""
        self.pipes.let_go()

    # -- with what is known of the job

    def sees(self, states: str) -> None:
        """Wait until callbacks have seen exactly these states."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._seen) >= len(states.split()), SECONDS)
        assert self.seen == states, self._account

    def reads(self, name: str, value: str) -> None:
        """Wait until the status has the scheduler's word `value` for `name`."""
        self.until(lambda: (self.job.status.metadata or {}).get(name) == value, f'{name} is not {value}')

    def slurm_says(self, state: str, seconds: float = SECONDS) -> None:
        """Wait until squeue has the job in a state; '' where it does not know it any more."""
        command = ['squeue', '-h', '-t', 'all', '-o', '%T', '-j', f'{self.native_id},{self.native_id}']
        self.until(lambda: self.stage.slurm(*command) == state, f'Slurm does not call it {state!r}', seconds)

    def ends(self, states: str, reason: ExitReason, exit_code: int | None = None, signal: int | None = None,
             seconds: float = SECONDS) -> None:
        """Wait for the end: the job went this way and no other, and ended so.

        :param states: what callbacks have seen, as a regular expression.
        """
        assert self.job.wait(timedelta(seconds=seconds)) is not None, f'it does not end: {self._account}'
        with self._changed:
            self._changed.wait_for(lambda: self._seen and self._seen[-1].final, SECONDS)
        info = self.job.exit_info
        assert info is not None
        assert re.fullmatch(states, self.seen), self._account
        assert (info.reason, info.exit_code, info.signal) == (reason, exit_code, signal), self._account
        assert self.job.status.exit_code == exit_code, self._account

    def until(self, happened: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        """Wait for what no callback tells."""
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, f'{what}: {self._account}'
            time.sleep(0.02)

    @property
    def _account(self) -> str:
        return f'{self.job}, {self.job.status.metadata}, {self.job.exit_info}; callbacks saw {self.seen}'


def script_above(process: int) -> int:
    """The job's script: the process below Slurm's own that a process descends from."""
    parent = int(Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[1])
    return process if Path(f'/proc/{parent}/comm').read_text() == 'slurmstepd\n' else script_above(parent)
