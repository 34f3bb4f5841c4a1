"""Job arrays of Slurm: the ids of their elements, and what follows from them for an array as a whole.

An array's own id is the raw id of one of its elements too, so elements are told by `JobArrayID` and sacct's `JobID`,
such as `12_3`. The elements that still wait share one record, `12_[4-9%2]`; the last of them keeps the array's id as
its raw id. One that is cancelled while it waits is taken out of that record and leaves no trace. Where all of them were
taken out one by one, the record stays as a row of the array's own id, `12`, which is cancelled while others may run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TypeVar

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus

Value = TypeVar('Value')

_ONE = re.compile(r'(\d{1,18})(?:_(\d{1,18})|\+\d{1,9})?', re.ASCII)
_MANY = re.compile(r'(\d{1,18})_\[([\d,:.-]*)(?:%\d*)?(\]?)', re.ASCII)
_RANGE = re.compile(r'(\d{1,18})(?:-(\d{1,18})(?::(\d{1,9}))?)?', re.ASCII)
# So many elements of one row are told apart; Slurm's own limit (MaxArraySize) is 4,000,001, and mostly 1,001.
_MOST_ELEMENTS = 100_000


@dataclass(frozen=True)
class RowId:
    """The jobs that a row is about.

    :param native_ids: their ids; several where it stands for elements that wait.
    :param array: the id of the array that they belong to; None where they belong to none.
    :param indices: their places in it.
    :param whole: whether these are all that it is about.
    """

    native_ids: tuple[str, ...]
    array: str | None = None
    indices: tuple[int, ...] = ()
    whole: bool = True


def is_raw_id(text: str) -> bool:
    """Whether a text is a number by which Slurm itself counts jobs."""
    return text.isascii() and text.isdecimal()


def read_id(text: str) -> RowId | None:
    """Read the id of a row, such as `12`, `12_3`, `12+0` or `12_[4-9%2]`; None if it is none."""
    one = _ONE.fullmatch(text)
    if one is not None:
        array, index = one.groups()
        return RowId((text,)) if index is None else RowId((text,), array, (int(index),))
    many = _MANY.fullmatch(text)
    if many is None:
        return None
    array, listed, bracket = many.groups()
    indices, whole = _indices(listed, cut=not bracket)
    return RowId(tuple(f'{array}_{index}' for index in indices), array, tuple(indices), whole)


def _indices(listed: str, cut: bool) -> tuple[list[int], bool]:
    """Read `0-2,7,10-20:5`; say whether that is all of it: a list that is too long was seen to end anywhere."""
    parts = listed.split(',')
    if cut or parts[-1] == '...':
        cut = True
        parts.pop()  # 39 may have been 390
    indices: list[int] = []
    for part in parts:
        match = _RANGE.fullmatch(part)
        if match is None:
            cut = True
            continue
        first, last, step = int(match[1]), int(match[2] or match[1]), int(match[3] or 1)
        wanted = range(first, last + 1, step or 1)
        room = _MOST_ELEMENTS - len(indices)
        cut = cut or len(wanted) > room
        indices.extend(wanted[:room])
    return indices, not cut


@dataclass
class Array:
    """What an answer says of the elements of one array.

    :param indices: their places in it.
    :param seen: the observations of them, which several may share, by identity.
    :param counts: how many elements share each.
    :param settled: whether the last of those that wait has begun, or was cancelled.
    :param rest_cancelled: whether the last of those that wait were cancelled, or the very last one after it had begun.
    """

    indices: list[int] = field(default_factory=list)
    seen: dict[int, Observation] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    settled: bool = False
    rest_cancelled: bool = False

    def add(self, row: RowId, has_own_id: bool, observation: Observation) -> None:
        """Take in a row about one or more elements.

        :param has_own_id: whether the array's id is its raw id.
        """
        self.indices += row.indices
        self.settled = self.settled or (len(row.indices) == 1 and has_own_id)
        self._note(observation, max(len(row.indices), 1), has_own_id)

    def add_rest(self, observation: Observation) -> None:
        """Take in a row of the array's own id beside rows of its elements."""
        self._note(observation, 1, has_own_id=True)

    def _note(self, observation: Observation, number: int, has_own_id: bool) -> None:
        key = id(observation)  # elements share observations
        self.seen[key] = observation
        self.counts[key] = self.counts.get(key, 0) + number
        cancelled = observation.status.state is JobState.CANCELED
        self.rest_cancelled = self.rest_cancelled or (has_own_id and cancelled)

    def in_queue(self) -> Observation:
        """Say what follows for the array from the queue.

        It lives on while any element does; elements that are over leave the queue after a while, so that an array
        whose other elements all wait is QUEUED again. That it is over shows where an element failed and none is left to
        run, or where all elements are still there: from 0 without a gap, and the last one has begun, too. Where those
        that waited at last were cancelled, it was no success, whatever has left the queue.
        """
        if not self._over:
            return self._alive()
        if JobState.FAILED in self._states or self.rest_cancelled or (
                self.settled and self._step == 1 and min(self.indices) == 0):
            return self._end()
        return self._made(JobState.NEW, 'All of its elements that the queue still knows are over.')

    def in_accounting(self) -> Observation | None:
        """Say what follows for the array from accounting; None if that is not certain yet.

        Accounting lags behind, so that elements may be missing. Those that were cancelled before they began are mostly
        missing for good: an array that misses elements beside some that were cancelled is taken for cancelled.
        """
        if not self._over:
            return self._alive()
        if self._states & {JobState.FAILED, JobState.CANCELED} or (self.settled and self._step is not None):
            return self._end()
        return None

    @property
    def _states(self) -> set[JobState]:
        return {each.status.state for each in self.seen.values()}

    @property
    def _over(self) -> bool:
        return all(state.final for state in self._states)

    @property
    def _step(self) -> int | None:
        """How far apart the elements are, if they are evenly so."""
        places = sorted(set(self.indices))
        steps = {later - earlier for earlier, later in zip(places, places[1:])}
        return None if len(steps) > 1 else next(iter(steps), 1)

    def _alive(self) -> Observation:
        states = self._states
        begun = JobState.ACTIVE in states or (JobState.QUEUED in states and any(state.final for state in states))
        waiting = JobState.QUEUED if JobState.QUEUED in states else JobState.NEW
        return self._made(JobState.ACTIVE if begun else waiting, None)

    def _end(self) -> Observation:
        states = self._states
        state = next(each for each in (JobState.FAILED, JobState.CANCELED, JobState.COMPLETED) if each in states)
        ended_so = [each for each in self.seen.values() if each.status.state is state]
        codes = {each.status.exit_code for each in ended_so}
        reasons = {each.reason for each in ended_so}
        signals = {each.signal for each in ended_so}
        number = sum(self.counts[id(each)] for each in ended_so)
        message = None if state is JobState.COMPLETED else f'{number} of its {sum(self.counts.values())} elements'
        made = self._made(state, message, _common(codes))
        return replace(made, reason=_common(reasons) or ExitReason.EXITED, signal=_common(signals))

    def _made(self, state: JobState, message: str | None, exit_code: int | None = None) -> Observation:
        words = sorted({str((each.status.metadata or {}).get('native_state', '')) for each in self.seen.values()})
        metadata = {'native_state': ','.join(filter(None, words))}
        return Observation(JobStatus(state, message=message, exit_code=exit_code, metadata=metadata),
                           time_limit=_common({each.time_limit for each in self.seen.values()}))


def _common(values: set[Value]) -> Value | None:
    """What all have, if they have the same."""
    return next(iter(values)) if len(values) == 1 else None
