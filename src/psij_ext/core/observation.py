"""What a scheduler says of a job, and what a site allows."""

from __future__ import annotations

from dataclasses import dataclass

from psij_ext.core.exit_info import ExitReason, ResourceUsage
from psij_ext.core.status import JobStatus


@dataclass(frozen=True)
class Observation:
    """What a scheduler says of one job; None stands for what it does not say.

    Parameters
    ----------
    status
        The state, with the scheduler's own words in `status.metadata['native_state']`.
    reason
        Why the job is over.
    signal
        The signal that ended it.
    usage
        What it used.
    attempt
        Which run of the job this is about, where the scheduler counts them; it starts at 1.
    """

    status: JobStatus
    reason: ExitReason | None = None
    signal: int | None = None
    usage: ResourceUsage | None = None
    attempt: int | None = None


@dataclass(frozen=True)
class Site:
    """What a scheduler's installation is and allows; an empty value or None stands for what is not known.

    Parameters
    ----------
    product
        The name of the scheduler's product, such as `slurm`.
    version
        Its version as numbers, such as (22, 5, 8).
    accounting
        Whether finished jobs can be asked for in an accounting database.
    history
        Whether the queue still knows finished jobs.
    max_array_size
        The highest number of elements of an array.
    max_script_size
        The longest submit script in bytes.
    clusters
        The names of the clusters that this scheduler manages.
    """

    product: str = ''
    version: tuple[int, ...] = ()
    accounting: bool | None = None
    history: bool | None = None
    max_array_size: int | None = None
    max_script_size: int | None = None
    clusters: tuple[str, ...] | None = None
