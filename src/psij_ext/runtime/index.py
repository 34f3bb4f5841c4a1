"""Questions across all jobs of a user, answered by the index."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.state import JobState
from psij_ext.exceptions import IndexUnavailable
from psij_ext.runtime.finding import find_folder
from psij_ext.runtime.index_file import IndexFile
from psij_ext.runtime.index_schema import read_fact, restored, storable
from psij_ext.runtime.jobfolder import JobFolder

logger = logging.getLogger(__name__)

_COLUMNS = ('job_id', 'executor', 'url', 'name', 'key', 'session', 'work_directory', 'native_id', 'submitted', 'state',
            'reason', 'exit_code', 'signal', 'message', 'reported')


@dataclass(frozen=True)
class IndexedJob:
    """What the index holds of one job.

    :param job_id: its id.
    :param executor: the canonical name of its executor.
    :param url: the url of its executor.
    :param name: its name.
    :param key: its idempotency key.
    :param session: the session that it was submitted in.
    :param work_directory: where its folder lies.
    :param native_id: what its scheduler calls it.
    :param submitted: when it was submitted, in seconds since the epoch.
    :param state: its state, as far as somebody has seen.
    :param states: the states that it entered, oldest first, each with its time; after a requeue there are some twice.
    :param exit_info: how it ended, without what it used; None while no end is known.
    :param reported: when its end was reported to whoever submitted it; None if it was not.
    """

    job_id: str
    executor: str
    url: str | None
    name: str | None
    key: str | None
    session: str | None
    work_directory: Path
    native_id: str | None
    submitted: float
    state: JobState
    states: tuple[tuple[JobState, float], ...]
    exit_info: ExitInfo | None
    reported: float | None

    @property
    def folder(self) -> JobFolder:
        """Its folder, which holds the truth; where it is an element of an array, what the folder of that has of it."""
        own = JobFolder(self.work_directory / self.job_id)
        if self.native_id is None or own.path.is_dir():
            return own
        found = find_folder(self.work_directory, self.native_id)
        return own if found is None or found.job_id != self.job_id else found


@dataclass(frozen=True)
class Condition:
    """Which jobs are asked for; None asks for any.

    :param executor: the canonical name of their executor.
    :param session: their session.
    :param key: their idempotency key.
    :param name: their name.
    :param state: the state that they are in.
    :param since: the earliest time of their submission, in seconds since the epoch.
    :param native_id: what their scheduler calls them.
    :param unreported: only those whose end was not reported, those that have not ended among them.
    """

    executor: str | None = None
    session: str | None = None
    key: str | None = None
    name: str | None = None
    state: JobState | None = None
    since: float | None = None
    native_id: str | None = None
    unreported: bool = False

    def clause(self) -> tuple[str, dict[str, object]]:
        """Return it for SQL, with its values."""
        values: dict[str, object] = {
            'executor': self.executor, 'session': self.session, 'key': self.key, 'name': self.name,
            'state': None if self.state is None else self.state.name, 'native_id': self.native_id}
        given = {name: storable(value) for name, value in values.items() if value is not None}
        parts = [f'{name} = :{name}' for name in given]
        if self.since is not None:
            parts.append('submitted >= :since')
            given['since'] = self.since
        if self.unreported:
            parts.append('reported IS NULL')
        return ' AND '.join(parts) or '1', given


class Index:
    """The index of a user's jobs, for reading.

    :param folder: where it lies; the user's state folder if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = IndexFile(folder)

    @property
    def path(self) -> Path:
        """The file."""
        return self._file.path

    def jobs(self, condition: Condition | None = None, *, nothing_if_unavailable: bool = False) -> list[IndexedJob]:
        """Return the jobs that fulfil a condition, in the order of their submission.

        :param condition: which ones; all if None.
        :param nothing_if_unavailable: whether an index that cannot be read is taken for an empty one.
        :raises IndexUnavailable: if it cannot be read.
        """
        clause, values = (condition or Condition()).clause()
        try:
            with self._file.reading() as connection:
                rows = connection.execute(
                    f'SELECT {", ".join(_COLUMNS)} FROM jobs WHERE {clause} ORDER BY submitted, rowid',
                    values).fetchall()
                states = connection.execute(
                    f'SELECT job_id, state, time FROM states WHERE job_id IN (SELECT job_id FROM jobs WHERE {clause}) '
                    'ORDER BY number', values).fetchall()
        except IndexUnavailable as error:
            if not nothing_if_unavailable:
                raise
            logger.debug('%s', error)
            return []
        return list(_read(rows, states))

    def dropped_rows(self) -> int:
        """Return how many changes are known to be missing in the index since it was last rebuilt.

        :raises IndexUnavailable: if it cannot be read.
        """
        with self._file.reading() as connection:
            return int(read_fact(connection, 'dropped'))


def _read(rows: Iterable[tuple[object, ...]], states: Iterable[tuple[str, str, float]]) -> Iterable[IndexedJob]:
    entered: dict[object, list[tuple[JobState, float]]] = defaultdict(list)
    for job_id, state, time in states:
        if state in JobState.__members__:
            entered[job_id].append((JobState[state], time))
    for row in rows:
        values = {name: restored(value) for name, value in zip(_COLUMNS, row)}
        try:
            yield _job(values, tuple(entered[row[0]]))
        except (KeyError, TypeError, ValueError) as error:
            logger.warning('The row of job %s in the index cannot be read: %r', values['job_id'], error)


def _job(values: dict[str, object], states: tuple[tuple[JobState, float], ...]) -> IndexedJob:
    reason = values.pop('reason')
    exit_code, signal, message = (values.pop(name) for name in ('exit_code', 'signal', 'message'))
    values['exit_info'] = None if reason is None else ExitInfo(
        ExitReason[str(reason)], exit_code, signal, message)  # type: ignore[arg-type]
    values['state'] = JobState[str(values['state'])]
    values['work_directory'] = Path(str(values['work_directory']))
    return IndexedJob(states=states, **values)  # type: ignore[arg-type]
