"""How a job ended, and what it used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum


class ExitReason(Enum):
    """Why a job is over."""

    EXITED = 'exited'
    """Its command ended by itself; the exit code says how."""
    SIGNALED = 'signaled'
    """A signal ended it."""
    CANCELED = 'canceled'
    """Somebody cancelled it."""
    TIMEOUT = 'timeout'
    """It reached its time limit."""
    OUT_OF_MEMORY = 'out of memory'
    """It used more memory than it was given."""
    NODE_FAILURE = 'node failure'
    """A machine that it ran on failed."""
    PREEMPTED = 'preempted'
    """It gave way to another job."""
    DEPENDENCY_FAILED = 'dependency failed'
    """What it waited for can never happen."""
    NEVER_STARTED = 'never started'
    """It left the queue without having run."""
    LAUNCH_FAILED = 'launch failed'
    """Its command could not be started."""
    SUBMIT_FAILED = 'submit failed'
    """The scheduler never took it."""
    LOST = 'lost'
    """The scheduler and the job's folder know nothing of it any more."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class ResourceUsage:
    """What a job used; None stands for what is not known.

    Memory is in bytes, moments know their time zone, `cpu_percent` is 100 for one core kept busy, and `raw`
    holds the scheduler's own names and values.
    """

    wall_time: timedelta | None = None
    cpu_time: timedelta | None = None
    cpu_percent: float | None = None
    max_rss: int | None = None
    max_vmem: int | None = None
    cpus: int | None = None
    nodes: int | None = None
    submit_time: datetime | None = None
    start_time: datetime | None = None
    end_time: datetime | None = None
    raw: Mapping[str, str] | None = None


@dataclass(frozen=True)
class ExitInfo:
    """How a job ended; None stands for what is not known.

    `exit_code` is 128 + n where signal n ended the job.
    """

    reason: ExitReason
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    usage: ResourceUsage | None = None
