"""What a scheduler says of a job, and what a site allows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Dict

from psij_ext.core.exit_info import ExitReason, ResourceUsage
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus


@dataclass(frozen=True)
class Observation:
    """What a scheduler says of one job; None stands for what it does not say.

    :param status: the state, with the scheduler's own words in `status.metadata['native_state']`.
    :param reason: why the job is over.
    :param signal: the signal that ended it.
    :param usage: what it used, as the scheduler accounts for it.
    :param queue_usage: the same as far as a queue knows it that keeps no accounts: when it ran, and on how much. What
        the job's own script measured is more exact.
    :param attempt: which run of the job this is about, where the scheduler counts them; it starts at 1.
    :param time_limit: after how many seconds of running the scheduler ends the job.
    """

    status: JobStatus
    reason: ExitReason | None = None
    signal: int | None = None
    usage: ResourceUsage | None = None
    attempt: int | None = None
    time_limit: float | None = None
    queue_usage: ResourceUsage | None = None


class Observations(Dict[str, Observation]):
    """What one answer of a scheduler says of its jobs, by their ids; several jobs may share one observation.

    :param unread: the ids of jobs of which no more can be read than that the scheduler knows them; their observations
        say so.
    :param complete: whether a job that is not there is unknown to the scheduler. It is not so where something of the
        answer is about a job of which not even the id can be read.
    :param cut: beginnings of ids: the answer cuts short a list of jobs whose ids begin so.
    :param arrays: the ids of the arrays of which elements are there.
    :param missing_elements: the ids of jobs that are not there, although the arrays are that they are elements of.
    :param of_user_alone: whether it tells of the present user's jobs only, and nothing of others'.
    :param keeps_ended: for how many seconds at least the scheduler still tells of a job that is over.
    :param stamps: for each job a text that is another one for another job of the same id: when it was submitted, or
        where its output goes. It may become another one for the same job, too.
    """

    def __init__(self) -> None:
        super().__init__()
        self.unread: set[str] = set()
        self.complete = True
        self.cut: set[str] = set()
        self.arrays: set[str] = set()
        self.missing_elements: set[str] = set()
        self.of_user_alone = False
        self.keeps_ended = 0.0
        self.stamps: Dict[str, str] = {}

    def may_hide(self, native_id: str) -> bool:
        """Whether the scheduler may know a job that is not among these."""
        return native_id not in self and (not self.complete or any(map(native_id.startswith, self.cut)))

    def add_unread(self, native_id: str) -> None:
        """Note a job that the scheduler knows, and of which nothing else can be read.

        It is taken neither for absent nor for over.
        """
        self[native_id] = Observation(JobStatus(JobState.NEW, message='What the scheduler says of it cannot be read.'))
        self.unread.add(native_id)


@dataclass(frozen=True)
class Site:
    """What a scheduler's installation is and allows; an empty value or None stands for what is not known.

    :param product: the name of the scheduler's product, such as `slurm`.
    :param version: its version as numbers, such as (22, 5, 8).
    :param accounting: whether finished jobs can be asked for in an accounting database.
    :param history: whether the queue still knows finished jobs.
    :param keeps_ended: for how many seconds at least it does so.
    :param max_array_size: the highest number of elements of an array.
    :param max_script_size: the longest submit script in bytes.
    :param clusters: the names of the clusters that this scheduler manages.
    """

    product: str = ''
    version: tuple[int, ...] = ()
    accounting: bool | None = None
    history: bool | None = None
    keeps_ended: float | None = None
    max_array_size: int | None = None
    max_script_size: int | None = None
    clusters: tuple[str, ...] | None = None
