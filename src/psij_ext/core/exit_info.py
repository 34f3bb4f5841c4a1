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
    """It came to no launch: a step before it failed, or its command or a file for its output is not to be had."""
    SUBMIT_FAILED = 'submit failed'
    """The scheduler never took it."""
    LOST = 'lost'
    """The scheduler and the job's folder know nothing of it any more."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class ResourceUsage:
    """What a job used; None stands for what is not known, never for nothing.

    Each field is the scheduler's where its accounting knows it, else what the job's own script measured, else what
    the queue tells of a job that is over (Slurm without accounting: the times, cores and nodes). The end
    of a job that completed is reported at once, from the script's record, so that its figures are the script's at
    first; one of the next queries brings those of accounting, unless the executor is closed before, and
    `Job.exit_info` has them then. The script measures all that it does: staging, the
    scripts before and after the launch, and the launch. Where the launcher starts processes that are not the script's
    descendants, as `srun` does and `mpirun` under a scheduler or on several nodes may, it cannot measure CPU time and
    memory; and what a job's descendants used that nobody waited for is not in the CPU time.

    :param wall_time: how long the job ran; waiting in the queue does not count.
    :param cpu_time: what all its processes computed, in user and in system mode.
    :param cpu_percent: CPU time in percent of wall time: 100 for one core kept busy, 400 for four.
    :param max_rss: the most memory that was in use at one time, in bytes, as far as there is one who knows: in the
        scheduler's accounting as that defines it; else in the control group that the scheduler made for the job on its
        first node, with the files that the kernel keeps in memory for it; else in the largest single process of the
        launch command.
    :param max_vmem: the most virtual memory in bytes; only schedulers know it.
    :param cpus: how many cores the job had; as many as it asked for where the scheduler does not say. Unknown where it
        had whole nodes, or did not run.
    :param nodes: how many machines, in the same way.
    :param submit_time: when it was submitted; this moment and the others know their time zone.
    :param start_time: when it began to run.
    :param end_time: when it ended.
    :param raw: the scheduler's own names and values; None where it has not told them.
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

    :param reason: why it is over.
    :param exit_code: the exit code; 128 + n where signal n ended the job.
    :param signal: the signal that ended it.
    :param message: what the scheduler says of the end. `job.status.message` has the job's last words too.
    :param usage: what it used; what is unknown in it is None, and it is there as soon as the job is over.
    """

    reason: ExitReason
    exit_code: int | None = None
    signal: int | None = None
    message: str | None = None
    usage: ResourceUsage | None = None
