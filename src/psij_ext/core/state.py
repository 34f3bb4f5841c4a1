"""The states of a job."""

from __future__ import annotations

from enum import Enum


class JobState(Enum):
    """Where a job is in its life.

    The states are listed in the order in which a job passes through them; some it may skip, and of the three
    final ones it reaches exactly one.
    """

    NEW = 0
    """Made, and not submitted yet."""
    QUEUED = 1
    """Taken by the scheduler, and waiting."""
    STAGE_IN = 2
    """Fetching the files that it needs."""
    ACTIVE = 3
    """Running."""
    STAGE_OUT = 4
    """Delivering the files that it made."""
    CLEANUP = 5
    """Removing what is not wanted any more."""
    COMPLETED = 6
    """Over, with exit code zero."""
    FAILED = 7
    """Over, in any other way that nobody asked for."""
    CANCELED = 8
    """Over, because somebody asked for it."""

    def __init__(self, number: int) -> None:
        # Both are read at every turn, and to read the value of an enum takes longer than all else here.
        self._final = number >= 6
        self._order = min(number, 6)

    def __str__(self) -> str:
        return self.name

    @property
    def final(self) -> bool:
        """Whether a job stays in this state for good."""
        return self._final

    @property
    def order(self) -> int:
        """How far along this state is: a later one has a higher number, and the final ones share theirs."""
        return self._order

    def is_greater_than(self, other: JobState) -> bool | None:
        """Tell whether a job reaches this state after the other one.

        :return: none where neither follows the other, as with two different final states.
        """
        if self is not other and self.order == other.order:
            return None
        return self.order > other.order


class JobStateOrder:
    """Tells which state comes before another one, for those who missed it."""

    @staticmethod
    def prev(state: JobState) -> JobState | None:
        """Return the state that a job must have been in just before; None where there may have been several.

        Staging is no necessary step.
        """
        return _BEFORE.get(state)


_BEFORE = {
    JobState.QUEUED: JobState.NEW, JobState.ACTIVE: JobState.QUEUED, JobState.COMPLETED: JobState.ACTIVE}
