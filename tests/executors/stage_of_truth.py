"""A stage for true stories: jobs on a scheduler, what their callbacks saw, and what must have become of them."""

from __future__ import annotations

import os
import re
import select
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, ClassVar, Optional, Tuple

from psij_ext import ExitInfo, ExitReason, Job, JobAttributes, JobSpec, JobState, JobStatus, ResourceUsage
from psij_ext.executors.batch import BatchSchedulerExecutor
from psij_ext.runtime.command import CommandResult, SubprocessRunner
from psij_ext.runtime.jobfolder import JobFolder

SECONDS = 60.0
# What a job's script and the test say to each other.
PRELUDE = 'tell() { echo "$*" > "$TOLD"; }; await() { read -r < "$ASKED"; }; '
STAY = 'tell $$; exec sleep 600'
# It outlives TERM, tidies up, and calls that a success.
STAY_POLITE = "trap 'exit 0' TERM; tell $$; sleep 600 & wait"
STAY_STUBBORN = "trap '' TERM; tell $$; exec sleep 600"

Word = Tuple[str, str]
End = Tuple[Optional[int], Optional[int]]


@dataclass(frozen=True)
class RunnerOf:
    """Runs the commands of one of several schedulers that this process knows; executors on one share a monitor.

    :param variables: what leads the commands to it.
    """

    variables: tuple[tuple[str, str], ...]

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        environment = {**(env or {}), **dict(self.variables)}
        return SubprocessRunner().run(argv, timeout=timeout, cwd=cwd, env=environment, once_started=once_started)


class Stage(ABC):
    """An executor on a scheduler, its jobs, and what other people do to them.

    :param executor: with settings, not used yet.
    :param variables: what leads the scheduler's commands to it.
    :param remembers: whether the scheduler tells how jobs ended that are over.
    """

    options: ClassVar[str]
    """What the names of custom attributes begin with."""
    held: ClassVar[Word]
    suspended: ClassVar[Word]
    running: ClassVar[Word]
    """What the status of a job has for a key where the scheduler says that of it."""
    killed_after_cancel: End
    killed_at_limit: End
    """Exit code and signal of a job that ignored TERM."""

    def __init__(self, executor: BatchSchedulerExecutor, folder: Path, variables: Mapping[str, str],
                 remembers: bool) -> None:
        self.folder = folder
        self.remembers = remembers
        self.executor = executor
        self.variables = variables
        self.executor.runner = RunnerOf(tuple(variables.items()))
        self._pipes: list[Pipes] = []

    def close(self) -> None:
        self.executor.close()
        while self._pipes:
            self._pipes.pop().close()

    def plan(self, script: str, *, duration: timedelta | None = None, **options: object) -> Play:
        """Make a job that runs a bash script; `options` are those of the scheduler's submit command."""
        pipes = Pipes(self.folder)
        self._pipes.append(pipes)
        attributes = JobAttributes(duration=duration, custom_attributes={
            f'{self.options}.{name.replace("_", "-")}': value for name, value in options.items()})
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

    # -- as somebody else at a shell

    @abstractmethod
    def sibling(self, **settings: Any) -> Stage:
        """Make another executor on the same scheduler."""

    @abstractmethod
    def not_before(self, seconds: float) -> dict[str, str]:
        """Give the options with which a job begins so many seconds from now."""

    @abstractmethod
    def submit_array(self, size: int, script: str, **options: str) -> tuple[str, list[str]]:
        """Submit an array; return its native id and those of its elements."""

    @abstractmethod
    def play_to_the_limit(self, script: str) -> Play:
        """Submit a job that tells something, and whose time is over soon after that."""

    @abstractmethod
    def cancel(self, native_id: str) -> None: ...

    @abstractmethod
    def requeue(self, native_id: str) -> None: ...

    @abstractmethod
    def hold(self, native_id: str) -> None: ...

    @abstractmethod
    def release(self, native_id: str) -> None: ...

    @abstractmethod
    def suspend(self, native_id: str) -> None: ...

    @abstractmethod
    def resume(self, native_id: str) -> None: ...

    @abstractmethod
    def script_above(self, process: int) -> int:
        """Find the script of a job, which a process descends from."""

    @abstractmethod
    def wait_until_over(self, play: Play, seconds: float = SECONDS) -> None:
        """Wait until the scheduler calls a job over, or does not know it any more."""

    @abstractmethod
    def wait_until_forgotten(self, play: Play, seconds: float = SECONDS) -> None:
        """Wait until the queue does not know a job any more."""

    @abstractmethod
    def stop_server(self) -> None:
        """Take the server away; jobs run on."""

    @abstractmethod
    def start_server(self) -> None: ...

    @abstractmethod
    def server_hung(self) -> AbstractContextManager[None]:
        """Keep the server from doing anything for a while."""

    @abstractmethod
    def see_what_came_of_unheard_submission(self, before: Play) -> None:
        """Look for the submission whose command was killed for the server's silence.

        :param before: the job that was submitted before it.
        """


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
        told = select.poll()  # select(2) takes no descriptor above 1023, and many scenes are played at once
        told.register(self._told, select.POLLIN)
        while not line.endswith(b'\n'):
            if not told.poll(SECONDS * 1000):
                return None
            line += os.read(self._told, 1)
        return line.decode().strip()

    def let_go(self) -> None:
        os.write(self._asked, b'\n')

    def close(self) -> None:
        for descriptor in (self._told, self._asked):
            os.close(descriptor)


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

    def ends(self, states: str, reason: ExitReason, exit_code: int | None = None, signal: int | None = None,
             seconds: float = SECONDS) -> None:
        """Wait for the end: the job went this way and no other, and ended so.

        :param states: what callbacks have seen, as a regular expression.
        """
        info = self.ends_for(states, reason, seconds)
        assert (info.exit_code, info.signal) == (exit_code, signal), self._account
        assert self.job.status.exit_code == exit_code, self._account

    def ends_for(self, states: str, reason: ExitReason, seconds: float = SECONDS) -> ExitInfo:
        """Wait for the end, with whatever exit code."""
        assert self.job.wait(timedelta(seconds=seconds)) is not None, f'it does not end: {self._account}'
        with self._changed:
            self._changed.wait_for(lambda: self._seen and self._seen[-1].final, SECONDS)
        info = self.job.exit_info
        assert info is not None
        assert re.fullmatch(states, self.seen), self._account
        assert info.reason is reason, self._account
        return info

    @property
    def usage(self) -> ResourceUsage:
        """What is known by now of what the job used that is over."""
        assert self.job.exit_info is not None
        assert self.job.exit_info.usage is not None
        return self.job.exit_info.usage

    def until(self, happened: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
        """Wait for what no callback tells."""
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, f'{what}: {self._account}'
            time.sleep(0.02)

    @property
    def _account(self) -> str:
        return f'{self.job}, {self.job.status.metadata}, {self.job.exit_info}; callbacks saw {self.seen}'


def parent_of(process: int) -> int:
    return int(Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[1])
