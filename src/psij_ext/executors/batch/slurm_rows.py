"""Collects what the rows of squeue and sacct say, under all the ids that a job may be asked for by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable

from psij_ext.core.observation import Observation, Observations
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import ParseError
from psij_ext.executors.batch.slurm_arrays import Array, RowId, is_raw_id, read_id

_NO_CLUSTER = ('', 'N/A')


def whole_lines(text: str, command: str) -> Sequence[str]:
    r"""Split an answer at its newlines, and at nothing else that `str.splitlines` takes for an end of a line.

    :raises ParseError: if its last line has no end: what would come after it is missing, too.
    """
    lines = text.split('\n')
    if lines.pop():
        raise ParseError(f'The answer of {command} ends in the middle of a line: {text[-80:]!r}')
    return lines


class Rows:
    """What an answer's rows say.

    :param own_cluster: the cluster whose jobs have ids without a cluster's name; None if it is not known.
    """

    def __init__(self, own_cluster: str | None) -> None:
        self.observations = Observations()
        self._own_cluster = own_cluster
        self._arrays: dict[str, Array] = {}
        self._unread: list[RowId] = []

    def add(self, native_id: str, raw_id: str, cluster: str, observation: Observation) -> None:
        """Take in a row.

        :param native_id: whose row it is; other than a number where it is an element of an array or a part of a job.
        :param raw_id: the number by which Slurm itself counts the job.
        """
        native_id, raw_id = native_id.strip(), raw_id.strip()
        row = read_id(native_id)
        if row is None or not is_raw_id(raw_id) or (is_raw_id(native_id) and native_id != raw_id):
            self.add_unread(native_id, raw_id, a_row_for_certain=True)
            return
        for each in row.native_ids:
            self._put(each, cluster, observation)
        # An array's own id is the raw id of one of its elements.
        if raw_id != row.array and len(row.native_ids) == 1:
            self._put(raw_id, cluster, observation)
        if row.array is None:
            return
        for name in self._names(row.array, cluster):
            self._arrays.setdefault(name, Array()).add(row, raw_id == row.array, observation)
        if not row.whole:
            self.observations.cut.add(f'{row.array}_')

    def add_unread(self, native_id: str, raw_id: str, a_row_for_certain: bool) -> None:
        """Take in a line of which no more than the ids could be read, and perhaps not even these.

        :param a_row_for_certain: whether it looks like a row; else, without an id, it is none.
        """
        native_id, raw_id = native_id.strip(), raw_id.strip()
        row = read_id(native_id)
        if row is None:
            self.observations.complete = self.observations.complete and not a_row_for_certain
            return
        self._unread.append(row)
        if is_raw_id(raw_id):
            if raw_id != row.array:
                self._unread.append(RowId((raw_id,)))
        elif not is_raw_id(native_id):
            self.observations.complete = False  # somebody may follow it by the raw id that cannot be read

    def finish(self, of_array: Callable[[Array], Observation | None]) -> Observations:
        """Return what all rows say, of arrays as wholes as well.

        :param of_array: says what follows for an array from what is known of its elements.
        """
        seen = self.observations
        for row in self._unread:
            for native_id in row.native_ids:
                seen.cut.add(f'{native_id};')  # on whatever cluster
                if native_id not in seen:
                    seen.add_unread(native_id)
            if row.array is not None:
                self._doubt(row, row.array)
        seen.arrays = set(self._arrays)
        for name, array in self._arrays.items():
            if name in seen.unread:
                continue
            if name in seen:
                array.add_rest(seen[name])
            observation = of_array(array)
            if observation is not None:
                seen[name] = observation
        return seen

    def _doubt(self, row: RowId, array: str) -> None:
        """An array is over only when what its elements do is known."""
        if not row.whole:
            self.observations.cut.add(f'{array}_')
        unknown = Observation(JobStatus(JobState.NEW))
        self._arrays.setdefault(array, Array())
        for name, elements in self._arrays.items():
            if name.partition(';')[0] == array:
                elements.add(row, False, unknown)

    def _put(self, native_id: str, cluster: str, observation: Observation) -> None:
        for name in self._names(native_id, cluster):
            self.observations[name] = observation

    def _names(self, native_id: str, cluster: str) -> Iterator[str]:
        """Each cluster counts ids for itself; jobs submitted to another than the own carry its name."""
        if self._own_cluster in (None, cluster) or cluster in _NO_CLUSTER:
            yield native_id
        if cluster not in _NO_CLUSTER:
            yield f'{native_id};{cluster}'
