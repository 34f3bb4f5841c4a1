"""Writes into the index what becomes known of jobs, on a thread of its own: no submission waits for it."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Union

from psij_ext.core.exit_info import ExitInfo
from psij_ext.core.places import user_state_folder
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import IndexBroken, IndexLocked, PsijExtError
from psij_ext.runtime import index_rows
from psij_ext.runtime.forking import renew_in_children
from psij_ext.runtime.index_rows import Row

if TYPE_CHECKING:
    from psij_ext.runtime.index_file import IndexFile

logger = logging.getLogger(__name__)

# In seconds: how long rows are gathered for one transaction, how long the thread waits before it asks again for a
# locked index, how long it leaves one alone that cannot be written, and how long `close` waits for it.
_GATHERING = 1.0
_PAUSE = 0.05
_REST = 30.0
_TIME_TO_CLOSE = 3.0

# In the queue: a row, somebody who waits until all before is written, or the end of the thread.
_Entry = Union[Row, threading.Event, None]


class IndexWriter:
    """Takes what becomes known of jobs and writes it soon, many rows in one transaction.

    What cannot be written is dropped, and that is said once: the folders of the jobs hold it too, and
    `psij-ext index rebuild` makes the index again from them.

    :param folder: where the index lies; the user's state folder if None.
    :param patience: how long rows wait for an index that is locked, in seconds.
    :param capacity: how many rows may wait.
    """

    def __init__(self, folder: Path | None = None, *, patience: float = 10.0, capacity: int = 100_000) -> None:
        self._folder = folder
        self._patience = patience
        self._capacity = capacity
        self._closed = False
        self._has_complained = False
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        """Begin without a thread; what the parent's has not written yet is for the parent to write."""
        self._entries: queue.SimpleQueue[_Entry] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        # Reentrant: the garbage collector may close us while this very thread holds it.
        self._lock = threading.RLock()
        self._hurry, self._closing = threading.Event(), threading.Event()
        self._dropped = 0
        self._resting_until = 0.0
        self._remembered: set[Path] = set()

    # -- what becomes known

    def submitted(
        self, job_id: str, *, executor: str, url: str | None, name: str | None, key: str | None, session: str | None,
        work_directory: Path, native_id: str | None, time: float,
    ) -> None:
        """A job was submitted, and is queued.

        :param executor: the canonical name of its executor.
        :param key: its idempotency key.
        :param session: the name of the program's session.
        :param work_directory: the executor's `work_directory`, in which the job's folder lies.
        :param time: when, in seconds since the epoch.
        """
        self._put(index_rows.submitted(
            job_id, executor=executor, url=url, name=name, key=key, session=session, work_directory=work_directory,
            native_id=native_id, time=time))

    def entered_state(self, job_id: str, state: JobState, time: float, *, requeued: bool = False) -> None:
        """A job entered a state that is not final.

        :param requeued: whether it may have gone back to an earlier one.
        """
        self._put(index_rows.entered_state(job_id, state, time, requeued))

    def ended(self, job_id: str, status: JobStatus, exit_info: ExitInfo) -> None:
        """A job is over."""
        self._put(index_rows.ended(job_id, status, exit_info))

    def reported(self, job_id: str, time: float) -> None:
        """The end of a job was reported to whoever submitted it."""
        self._put(index_rows.reported(job_id, time))

    # -- the thread

    @property
    def dropped(self) -> int:
        """How many rows were not written, and were not yet noted in the index as missing there."""
        return self._dropped

    def flush(self, timeout: float) -> bool:
        """Wait until all that was given so far is written or dropped.

        :param timeout: how long at most, in seconds.
        :return: whether it came to that.
        """
        done = threading.Event()
        with self._lock:
            if self._thread is None:
                return True
            self._entries.put(done)
            self._hurry.set()
        return done.wait(timeout)

    def close(self) -> None:
        """Write what was given so far, and end the thread; it is not waited for longer than some seconds.

        May be called more than once. What is given later is written by a thread that ends at once.
        """
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
            if thread is not None:
                self._entries.put(None)
            self._closing.set()
            self._hurry.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(_TIME_TO_CLOSE)

    def _put(self, row: Row) -> None:
        if self._entries.qsize() >= self._capacity:
            self._drop(1, f'more than {self._capacity} rows wait')
            return
        self._entries.put(row)
        if self._thread is None:
            self._start()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, args=(self._entries,), name='psij-ext index', daemon=True)
            try:
                self._folder = self._folder or user_state_folder()  # now, before anybody changes the environment
                thread.start()
            except RuntimeError as error:  # no home; the end of the interpreter; too many threads of this user
                self._complain(str(error))
                return
            if self._closed:
                self._entries.put(None)
            else:
                self._thread = thread

    def _run(self, entries: queue.SimpleQueue[_Entry]) -> None:
        is_over = False
        while not is_over:
            taken = [entries.get()]
            if taken[0] is not None:
                self._hurry.wait(_GATHERING)
            if not self._closed:
                self._hurry.clear()
            while taken[-1] is not None and not entries.empty():
                taken.append(entries.get())
            is_over = taken[-1] is None
            rows = [entry for entry in taken if isinstance(entry, tuple)]
            try:
                if rows:
                    self._write(rows)
            except Exception as error:  # whatever it is, the thread goes on, and nobody who submits jobs hears of it
                logger.debug('The index cannot be written.', exc_info=True)
                if not isinstance(error, IndexLocked):
                    self._resting_until = time.monotonic() + _REST
                self._drop(len(rows), str(error))
            for entry in taken:
                if isinstance(entry, threading.Event):
                    entry.set()

    def _write(self, rows: Sequence[Row]) -> None:
        """Write rows, as soon as nobody else does.

        :raises PsijExtError: if that cannot be done.
        """
        if time.monotonic() < self._resting_until:
            self._drop(len(rows), 'it could not be written a moment ago')
            return
        # Here, since not every Python has SQLite, and those who submit nothing need none of it.
        from psij_ext.runtime.index_file import IndexFile

        file = IndexFile(self._folder)
        until = time.monotonic() + self._patience
        has_set_aside = False
        while True:
            try:
                try:
                    self._write_once(file, rows)
                    return
                except IndexBroken as error:
                    if has_set_aside:
                        raise
                    self._set_aside(file, error)
                    has_set_aside = True
            except IndexLocked:
                if self._closing.is_set():
                    until = min(until, time.monotonic() + _TIME_TO_CLOSE / 2)
                if time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)

    def _write_once(self, file: IndexFile, rows: Sequence[Row]) -> None:
        from psij_ext.runtime.index_schema import write_rows

        dropped = self._dropped
        with file.writing() as connection:
            write_rows(connection, rows, dropped)
        with self._lock:
            self._dropped -= dropped
        self._remember_work_directories(rows)

    def _remember_work_directories(self, rows: Sequence[Row]) -> None:
        from psij_ext.runtime.work_directories import remember_work_directory

        for _, values in rows:
            work_directory = values.get('work_directory')
            if isinstance(work_directory, Path) and work_directory not in self._remembered:
                self._remembered.add(work_directory)
                try:
                    remember_work_directory(work_directory.parent, self._folder)
                except OSError as error:
                    self._complain(f'the work directory {work_directory.parent} cannot be remembered: {error}')

    def _set_aside(self, file: IndexFile, error: PsijExtError) -> None:
        kept = file.set_aside()
        if kept is not None:
            with self._lock:
                self._dropped += 1  # so that the new one does not pass for complete
            logger.warning('%s It is kept as %s, and a new one was begun.', error, kept)

    def _drop(self, count: int, why: str) -> None:
        with self._lock:
            self._dropped += count
        self._complain(why)

    def _complain(self, why: str) -> None:
        with self._lock:
            is_new, self._has_complained = not self._has_complained, True
        if is_new:
            logger.warning('What becomes known of jobs is not put into the index: %s. Jobs are submitted and followed '
                           'all the same; once this is put right, `psij-ext index rebuild` makes the index again.',
                           why.rstrip('.'))
