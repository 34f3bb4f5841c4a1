"""The file of the index: private, of a known version, and put aside when it is broken.

A connection lives no longer than one transaction, so that whoever replaces the file troubles nobody, and so that no
process is forked with one: a child that inherits a connection takes its parent's locks for its own, and the SQLite
manual forbids it even to close it (https://sqlite.org/howtocorrupt.html, 2.6).

Nothing waits for the disk (`synchronous = OFF`): a process may be killed at any point, but a loss of power may cost the
index. It is made again from the folders of the jobs, which are the truth.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from psij_ext.core.places import user_state_folder
from psij_ext.exceptions import IndexBroken, IndexLocked, IndexUnavailable
from psij_ext.runtime import index_schema
from psij_ext.runtime.filesystems import is_local
from psij_ext.runtime.forking import ForkGate
from psij_ext.runtime.private import make_folders

Result = TypeVar('Result')

REBUILD = '`psij-ext index rebuild` makes it again from the folders of the jobs'

_NAME = 'index.sqlite'
_LOCK = 'index.lock'
# What SQLite puts beside a database (https://sqlite.org/tempfiles.html).
_SIDECARS = ('-journal', '-wal', '-shm')
# How long SQLite tries to get a lock, in seconds; whoever has more patience asks again.
_WAIT_TO_WRITE = 0.1
_WAIT_TO_READ = 2.0
_PAUSE = 0.05
_OLDEST_SQLITE = (3, 24)  # for INSERT ... ON CONFLICT DO UPDATE (https://sqlite.org/lang_upsert.html)
# The texts of SQLITE_BUSY, SQLITE_LOCKED and SQLITE_PROTOCOL, and of SQLITE_CORRUPT, SQLITE_NOTADB and of an index that
# lacks a table (https://sqlite.org/rescode.html). Python tells the codes only since 3.11.
_LOCKED = ('is locked', 'locking protocol')
_BROKEN = ('malformed', 'not a database', 'no such table', 'no such column', 'malformed database schema')
_READ_ONLY = 'readonly'
# In the header of a database: that it keeps a write-ahead log (https://sqlite.org/fileformat2.html, 1.3).
_WAL_AT, _WAL_SAYS = 18, b'\x02\x02'

_gate = ForkGate(patience=2.0)


def patiently(action: Callable[[], Result], patience: float) -> Result:
    """Do something with the index as soon as others let us.

    :param patience: how long to wait for them, in seconds.
    :raises IndexLocked: if that is not enough.
    """
    until = time.monotonic() + patience
    while True:
        try:
            return action()
        except IndexLocked:
            if time.monotonic() > until:
                raise
            time.sleep(_PAUSE)


class IndexFile:
    """The index of one user.

    :param folder: where it lies; the user's state folder if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = user_state_folder() if folder is None else folder
        self.path = self.folder / _NAME
        self._seen: tuple[int, int] | None = None

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Open the index, which is made if there is none, for one transaction: all of it is done, or nothing.

        :raises IndexLocked: if others write just now.
        :raises IndexBroken: if the file is no index, or damaged.
        :raises IndexUnavailable: if it cannot be written for another reason.
        """
        with self._told('written'), _gate:
            self._check_forked()
            self._make_ready()
            with self._open_for_writing() as connection:
                yield connection
                connection.execute('COMMIT')

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open the index to read it, as it is at one moment.

        :raises IndexLocked: if others keep it for too long.
        :raises IndexBroken: if the file is no index, or damaged.
        :raises IndexUnavailable: if there is none, or it cannot be read for another reason.
        """
        with self._told('read'), _gate:
            self._check_forked()
            if not self._is_there():
                raise IndexUnavailable(f'There is no index of jobs at {self.path}; {REBUILD}.')
            self._check_folder()
            if (self._has_log() and not is_local(self.folder)) or not self._can_be_read():
                with self._open_for_writing() as writer:
                    writer.execute('COMMIT')
            with contextlib.closing(self._open_for_reading()) as connection:
                connection.execute('BEGIN')
                yield connection

    def set_aside(self) -> Path | None:
        """Give the file that was found broken, and what lies beside it, another name.

        :return: the new name; None if another process was quicker.
        :raises IndexUnavailable: if that cannot be done.
        """
        with self._told('put aside'), _gate, self._replacing():
            # Who made a new one meanwhile must not lose it.
            if not self._is_there(seen_before=self._seen):
                return None
            kept = self._name_for_broken()
            for sidecar in _SIDECARS:
                with contextlib.suppress(FileNotFoundError):
                    Path(f'{self.path}{sidecar}').rename(f'{kept}{sidecar}')
            return self.path.rename(kept)

    # -- SQLite

    @contextlib.contextmanager
    def _open_for_writing(self) -> Iterator[sqlite3.Connection]:
        # Before the connection: to close a file takes away all locks that this process has on it (fcntl(2)).
        has_log, on_network = self._has_log(), not is_local(self.folder)
        connection = sqlite3.connect(self.path, timeout=_WAIT_TO_WRITE, isolation_level=None)
        with contextlib.closing(connection):  # what was not committed is undone
            connection.execute('PRAGMA synchronous = OFF')
            if has_log and on_network:
                # The log needs memory that all processes share, so several machines may not use it
                # (https://sqlite.org/wal.html). It was made elsewhere, and nobody else may have it now.
                connection.execute('PRAGMA locking_mode = EXCLUSIVE')
                connection.execute('PRAGMA journal_mode = DELETE')
            if self._version(connection) == 0 and not on_network:
                connection.execute('PRAGMA journal_mode = WAL')
            connection.execute('BEGIN IMMEDIATE')
            self._migrate(connection)
            yield connection

    def _migrate(self, connection: sqlite3.Connection) -> None:
        version = self._version(connection)
        if version == 0 and connection.execute('SELECT 1 FROM sqlite_master').fetchone():
            raise IndexBroken(f'{self.path} is a database, but no index of jobs; {REBUILD}.')
        for statements in index_schema.MIGRATIONS[version:]:
            for statement in statements:
                connection.execute(statement)
        if version < len(index_schema.MIGRATIONS):
            connection.execute(f'PRAGMA user_version = {len(index_schema.MIGRATIONS)}')

    def _version(self, connection: sqlite3.Connection) -> int:
        version = int(connection.execute('PRAGMA user_version').fetchone()[0])
        if version > len(index_schema.MIGRATIONS):
            raise IndexUnavailable(
                f'The index of jobs {self.path} was made by a newer psij-ext (its version is {version}, ours is '
                f'{len(index_schema.MIGRATIONS)}) and is left alone; install that one, or move the file away.')
        return version

    def _open_for_reading(self) -> sqlite3.Connection:
        return sqlite3.connect(f'file:{quote(os.fsencode(self.path))}?mode=ro', uri=True, timeout=_WAIT_TO_READ,
                               isolation_level=None)

    def _can_be_read(self) -> bool:
        """Tell whether to read the index needs no writing: it is of our version, and nobody was killed over it."""
        if self.path.stat().st_size == 0:
            raise IndexBroken(f'The index of jobs {self.path} is empty; {REBUILD}.')
        try:
            with contextlib.closing(self._open_for_reading()) as connection:
                return self._version(connection) == len(index_schema.MIGRATIONS)
        except sqlite3.OperationalError as error:
            if _READ_ONLY in str(error):
                return False
            raise

    # -- the file

    def _make_ready(self) -> None:
        """Make sure that there is a file of ours, and a folder that is nobody else's; make both where they are not."""
        make_folders(self.folder)
        self._check_folder()
        if self._is_there():
            return
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_RDWR, 0o600))
        self._is_there()

    def _check_folder(self) -> None:
        """Make sure that the folder is ours, and nobody else's to look into; a link there must be our own."""
        facts = self.folder.stat()
        owners = {facts.st_uid, self.folder.lstat().st_uid}
        if owners != {os.geteuid()} or not stat.S_ISDIR(facts.st_mode):
            raise IndexUnavailable(f'{self.folder} is not a folder of yours, so the index of jobs cannot be there.')
        if stat.S_IMODE(facts.st_mode) != 0o700:
            self.folder.chmod(0o700)

    def _is_there(self, seen_before: tuple[int, int] | None = None) -> bool:
        """Tell whether there is a file.

        :param seen_before: which one it must be, if not any.
        :raises IndexUnavailable: if something else is there, or the file is not ours.
        """
        try:
            facts = self.path.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(facts.st_mode) or facts.st_uid != os.geteuid():
            raise IndexUnavailable(
                f'{self.path} is not a file of yours, so it cannot be the index of your jobs; move it away.')
        if stat.S_IMODE(facts.st_mode) != 0o600:
            self.path.chmod(0o600)  # whatever the umask left of it; SQLite gives its other files the same rights
        self._seen = facts.st_dev, facts.st_ino
        return seen_before in (None, self._seen)

    def _has_log(self) -> bool:
        with self.path.open('rb') as file:
            return file.read(_WAL_AT + 2)[_WAL_AT:] == _WAL_SAYS

    def _name_for_broken(self) -> Path:
        stem = f'{self.path}.broken-{time.strftime("%Y%m%d-%H%M%S")}'
        names = (Path(stem if number == 1 else f'{stem}-{number}') for number in range(1, 1000))
        return next(name for name in names if not os.path.lexists(name))

    @contextlib.contextmanager
    def _replacing(self) -> Iterator[None]:
        """Be the only process that replaces the file."""
        descriptor = os.open(self.folder / _LOCK, os.O_CREAT | os.O_NOFOLLOW | os.O_RDWR, 0o600)
        try:
            os.fchmod(descriptor, 0o600)  # whatever the umask left of it
            try:
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise IndexLocked(f'Another process is replacing the index of jobs {self.path}.') from error
            yield
        finally:
            os.close(descriptor)

    # -- troubles

    def _check_forked(self) -> None:
        if _gate.was_cut:
            raise IndexUnavailable(
                f'This process was forked off while its parent was busy with the index of jobs {self.path}, and cannot '
                'use it.')
        if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
            raise IndexUnavailable(
                f'The index of jobs needs SQLite {".".join(map(str, _OLDEST_SQLITE))}, and this Python has '
                f'{sqlite3.sqlite_version}.')

    @contextlib.contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """Turn what SQLite and the system say into errors of ours."""
        what = f'The index of jobs {self.path} cannot be {done}'
        try:
            yield
        except TimeoutError as error:
            raise IndexLocked(f'{what}: {error}.') from error
        except sqlite3.Error as error:
            if any(text in str(error) for text in _LOCKED):
                raise IndexLocked(f'{what}: other processes keep it locked ({error}).') from error
            if any(text in str(error) for text in _BROKEN):
                raise IndexBroken(f'{what}: {error}; {REBUILD}.') from error
            raise IndexUnavailable(f'{what}: {error}.') from error
        except OSError as error:
            raise IndexUnavailable(f'{what}: {error}.') from error
