"""What the index of jobs holds: its tables, how older ones become today's, and how a row is written.

A job's row moves on as the job does: from state to state, from attempt to attempt, to its end. What is behind that,
from a second process that follows the same job, changes nothing. An end is for good, unless the job was only lost.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.state import JobState
from psij_ext.runtime.index_rows import ENDED, ENTERED, REMOVED, REPORTED, SUBMITTED, Row, Values

logger = logging.getLogger(__name__)

# The migration at place n makes version n + 1 of version n; version 0 is an empty file. `changed` of a job is the count
# `changes` at its latest change, so that a rebuild tells what others wrote meanwhile. `dropped` counts the rows that
# could not be written since the last rebuild, as far as is known.
MIGRATIONS: tuple[tuple[str, ...], ...] = ((
    """CREATE TABLE jobs (
        job_id TEXT NOT NULL PRIMARY KEY, executor TEXT NOT NULL, url TEXT, name TEXT, key TEXT, session TEXT,
        work_directory TEXT NOT NULL, native_id TEXT, submitted REAL NOT NULL,
        state TEXT NOT NULL, reason TEXT, exit_code INTEGER, signal INTEGER, message TEXT,
        reported REAL, changed INTEGER NOT NULL)""",
    'CREATE INDEX jobs_by_key ON jobs (key) WHERE key IS NOT NULL',
    """CREATE TABLE states (
        number INTEGER PRIMARY KEY, job_id TEXT NOT NULL, state TEXT NOT NULL, time REAL NOT NULL)""",
    'CREATE INDEX states_by_job ON states (job_id)',
    'CREATE TABLE facts (name TEXT NOT NULL PRIMARY KEY, value NOT NULL)',
    """INSERT INTO facts VALUES ('id', lower(hex(randomblob(8)))), ('changes', 0), ('dropped', 0)""",
),)

_ORDER = f'CASE state {" ".join(f"WHEN {state.name!r} THEN {state.order}" for state in JobState)} END'
_ALIVE = f'(reason IS NULL OR reason = {ExitReason.LOST.name!r})'
_MOVES_ON = f"""job_id = :job_id AND {_ALIVE} AND (
    {_ORDER} < :order OR reason IS NOT NULL OR (:requeued AND state != :state))"""
_ENDS = f'job_id = :job_id AND {_ALIVE}'
_STATEMENTS = {
    SUBMITTED: (
        f"""INSERT INTO states (job_id, state, time) SELECT :job_id, {JobState.QUEUED.name!r}, :submitted
            WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE job_id = :job_id)""",
        f"""INSERT INTO jobs (
                job_id, executor, url, name, key, session, work_directory, native_id, submitted, state, changed)
            VALUES (:job_id, :executor, :url, :name, :key, :session, :work_directory, :native_id, :submitted,
                {JobState.QUEUED.name!r}, :changed)
            ON CONFLICT (job_id) DO UPDATE SET
                executor = :executor, url = :url, name = :name, key = :key, session = :session,
                work_directory = :work_directory, native_id = coalesce(:native_id, native_id), submitted = :submitted,
                changed = :changed"""),
    ENTERED: (
        f'INSERT INTO states (job_id, state, time) SELECT :job_id, :state, :time FROM jobs WHERE {_MOVES_ON}',
        f"""UPDATE jobs SET state = :state, reason = NULL, exit_code = NULL, signal = NULL, message = NULL,
                reported = NULL, changed = :changed WHERE {_MOVES_ON}"""),
    ENDED: (
        f'INSERT INTO states (job_id, state, time) SELECT :job_id, :state, :time FROM jobs WHERE {_ENDS}',
        f"""UPDATE jobs SET state = :state, reason = :reason, exit_code = :exit_code, signal = :signal,
                message = :message, changed = :changed WHERE {_ENDS}"""),
    REPORTED: (
        """UPDATE jobs SET reported = :time, changed = :changed
            WHERE job_id = :job_id AND reason IS NOT NULL AND reported IS NULL""",),
    REMOVED: (
        'DELETE FROM states WHERE job_id = :job_id',
        'DELETE FROM jobs WHERE job_id = :job_id'),
}


def storable(value: object) -> object:
    """Return a value as SQLite can hold it: text that is not all Unicode, such as a path may be, becomes bytes."""
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode('utf-8', 'surrogatepass')
    return value


def restored(value: object) -> object:
    """Return a value as it was before it was stored."""
    return str(value, 'utf-8', 'surrogatepass') if isinstance(value, bytes) else value


def write_rows(connection: sqlite3.Connection, rows: Iterable[Row], dropped: int = 0) -> None:
    """Write what became known of jobs, in its order. A row that cannot be stored harms that row alone.

    :param connection: to the index, in a transaction.
    :param rows: what happened, and the values that the statements above name.
    :param dropped: how many rows were not written since the last time.
    """
    changed = next_change(connection)
    for kind, values in rows:
        try:
            _execute(connection, kind, {**values, 'changed': changed})
        except (OverflowError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError) as error:
            logger.warning('The index cannot hold what became known of job %s: %s', values['job_id'], error)
    if dropped:
        connection.execute("UPDATE facts SET value = value + ? WHERE name = 'dropped'", (dropped,))


def next_change(connection: sqlite3.Connection) -> int:
    """Count one more change of the index, and return which one it is."""
    connection.execute("UPDATE facts SET value = value + 1 WHERE name = 'changes'")
    return int(read_fact(connection, 'changes'))


def read_fact(connection: sqlite3.Connection, name: str) -> str:
    """Return what the index says of itself."""
    return str(connection.execute('SELECT value FROM facts WHERE name = ?', (name,)).fetchone()[0])


def _execute(connection: sqlite3.Connection, kind: str, values: Values) -> None:
    stored = {name: storable(value) for name, value in values.items()}
    for statement in _STATEMENTS[kind]:
        connection.execute(statement, stored)
