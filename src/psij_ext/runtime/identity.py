"""Whose job it is that a scheduler tells of under a native id: a scheduler that lost its state gives ids twice."""

from __future__ import annotations

from collections.abc import Mapping

from psij_ext.runtime.jobfolder import JobFolder

# By so many seconds those of a submitting host and of a scheduler may, before that is taken for another submission.
_CLOCKS_DIFFER = 30.0


class Identity:
    """What is known of whether the queue and accounting tell of one job, and not of another that has its native id.

    A job that was submitted by other means has no folder by which it could be told from another, and is not doubted.

    :param native_id: what the scheduler calls the job.
    :param folder: its folder, if it has one.
    :param submitted: when it was submitted, in seconds since the epoch.
    """

    __slots__ = (
        '_folder', '_is_unnamed', '_native_id', '_submitted', 'accounting_doubted', 'doubted', 'is_anothers', 'stamp')

    def __init__(self, native_id: str, folder: JobFolder | None, submitted: float) -> None:
        self._native_id = native_id
        self._folder = folder
        self._submitted = submitted
        # Whether what the queue says of this id may be about another job, or is so; and whether it was not told whose
        # the id is when that was last asked for.
        self.doubted = self.is_anothers = self._is_unnamed = False
        self.accounting_doubted = False
        # What the queue said last that tells jobs apart which have one id.
        self.stamp: str | None = None

    def take_over(self, shadow: Identity) -> None:
        """Go on from what was found out in a look at the same job."""
        self.doubted, self.is_anothers, self.stamp = shadow.doubted, shadow.is_anothers, shadow.stamp

    # -- in the queue

    def doubt(self) -> None:
        """Have it found out whether the queue tells of this job."""
        self.doubted = self._folder is not None

    def take_stamp(self, stamp: str) -> None:
        """Take in another stamp than the last."""
        if self.stamp is not None or not self._fits(stamp):
            self.doubt()
        self.stamp = stamp

    def take_origins(self, folders: Mapping[str, str | None]) -> None:
        """Take in from which folders the jobs were submitted that have these ids now.

        :param folders: as the source tells them.
        """
        if self._folder is None or self._native_id not in folders:
            self.doubted = False
            return
        name = folders[self._native_id]
        # Between two questions a job may have been forgotten.
        self.doubted = self._is_unnamed = name is None and not self._is_unnamed
        self.is_anothers = not self.doubted and name != self._folder.origin

    # -- in accounting

    def is_accounted_later(self, submitted: float) -> bool:
        """Whether accounting tells of a submission that does not look like this job's.

        :param submitted: when it was, in seconds since the epoch.
        """
        known = f'{submitted:.0f}' == self.stamp or self._fits(str(submitted))
        return not (known or self._folder is None or self.is_anothers)

    def take_accounted_origin(self, name: str | None, submitted: float) -> None:
        """Take in from which folder the job was submitted that accounting tells of; None where it cannot tell."""
        self.accounting_doubted = False
        self.is_anothers = name is not None and self._folder is not None and name != self._folder.origin
        if not self.is_anothers:
            self.stamp = f'{submitted:.0f}'  # after a requeue

    def _fits(self, stamp: str) -> bool:
        """Whether a first stamp looks like this job's: a moment at which it was submitted, or a path in its folder."""
        try:
            return abs(float(stamp) - self._submitted) < _CLOCKS_DIFFER
        except ValueError:
            return self._folder is None or self._folder.origin in stamp
