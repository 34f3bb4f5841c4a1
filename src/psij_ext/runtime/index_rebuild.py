"""Makes the index anew from the folders of the jobs.

The rows are gathered while others go on writing, and then take the place of the old ones in one transaction. So nobody
sees half an index, a rebuild that is killed changes nothing, and nothing that is open has to be opened anew. What
others wrote while the folders were read is newer than what was read, and stays; what they could not write, since the
index did not know of the job, is in its folder, which is read once more.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from psij_ext.exceptions import FolderUnreadable, IndexBroken
from psij_ext.runtime import index_rows
from psij_ext.runtime.ending import kept_end
from psij_ext.runtime.finding import job_folders, read_journals
from psij_ext.runtime.index_file import IndexFile, patiently
from psij_ext.runtime.index_rows import Row
from psij_ext.runtime.index_schema import read_fact, write_rows
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.journal import Journal
from psij_ext.runtime.private import is_own_folder
from psij_ext.runtime.work_directories import remember_work_directory

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rebuilt:
    """What a rebuild did.

    :param jobs: how many jobs the index holds now.
    :param unreadable: the work directories that could not be read, and why; their jobs are not in the index.
    :param set_aside: where the old index was kept, if it was broken.
    """

    jobs: int
    unreadable: dict[Path, str]
    set_aside: Path | None


def rebuild(work_directories: Iterable[Path], folder: Path | None = None, *, patience: float = 30.0) -> Rebuilt:
    """Make the index anew from the folders of all jobs that were submitted.

    :param work_directories: what was given to executors' configs as `work_directory`; each has a folder for each
        executor.
    :param folder: where the index lies; the user's state folder if None.
    :param patience: how long to wait for others who write, in seconds.
    :raises IndexUnavailable: if it cannot be written, or was made by a newer psij-ext.
    """
    file = IndexFile(folder)
    set_aside = None
    try:
        before = patiently(lambda: _begin(file), patience)
    except IndexBroken:
        set_aside = patiently(file.set_aside, patience)
        before = patiently(lambda: _begin(file), patience)
    read: list[_Read] = []
    unreadable = {}
    for work_directory in dict.fromkeys(each.absolute() for each in work_directories):
        try:
            found = list(submitted_jobs(work_directory))
            if found:
                remember_work_directory(work_directory, folder)
        except OSError as error:
            unreadable[work_directory] = error.strerror or str(error)
            continue
        for job in found:
            try:
                read.append(_read(job))
            except FolderUnreadable as error:
                logger.warning('Job %s is not indexed: %s', job.job_id, error)
    count = patiently(lambda: _replace(file, before, read), patience)
    return Rebuilt(count, unreadable, set_aside)


def submitted_jobs(work_directory: Path) -> Iterator[JobFolder]:
    """Go through the folders of the jobs of all executors that were submitted, in no particular order.

    :param work_directory: what was given to the executors' configs.
    :raises OSError: if it is there and cannot be read.
    """
    for executor_folder in executor_folders(work_directory):
        for journal, job in read_journals(job_folders(executor_folder)):
            if journal.native_id is not None:
                yield job


def executor_folders(work_directory: Path) -> list[Path]:
    """Return the folders that a work directory has for executors; those of others are passed over.

    :raises OSError: if it is there and cannot be read.
    """
    try:
        with os.scandir(work_directory) as entries:
            found = sorted(Path(entry.path) for entry in entries
                           if entry.is_dir(follow_symlinks=False) and not entry.name.startswith('.'))
    except FileNotFoundError:
        return []
    own = [folder for folder in found if is_own_folder(folder)]
    if len(own) < len(found):
        logger.warning('What others have in %s is passed over.', work_directory)
    return own


def _begin(file: IndexFile) -> tuple[str, int]:
    """Return which index this is, and how often it was changed; see whether it is worth keeping."""
    with file.writing() as connection:
        said = connection.execute('PRAGMA quick_check(1)').fetchone()[0]
        if said != 'ok':
            raise IndexBroken(f'The index of jobs {file.path} is damaged: {said}')
        return read_fact(connection, 'id'), int(read_fact(connection, 'changes'))


@dataclass(frozen=True)
class _Read:
    """What a job's folder said.

    :param job: the folder.
    :param journal: which journal that was; None if there was none.
    :param rows: what it said.
    """

    job: JobFolder
    journal: tuple[int, ...] | None
    rows: tuple[Row, ...]


def _read(job: JobFolder) -> _Read:
    journal = _journal_of(job)
    return _Read(job, journal, tuple(_rows(job)))


def _journal_of(job: JobFolder) -> tuple[int, ...] | None:
    try:
        facts = os.lstat(job.path_of('journal'))
    except OSError:
        return None
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _up_to_date(read: Iterable[_Read]) -> Iterator[Row]:
    """Return what folders say now that nobody else writes into the index: of what was known before, all is in them."""
    for each in read:
        journal = _journal_of(each.job)
        if journal == each.journal:
            yield from each.rows
        elif journal is not None:  # else it was pruned meanwhile
            try:
                yield from tuple(_rows(each.job))
            except FolderUnreadable:
                yield from each.rows


def _replace(file: IndexFile, before: tuple[str, int], read: Iterable[_Read]) -> int:
    index_id, changes = before
    with file.writing() as connection:
        if read_fact(connection, 'id') == index_id:
            connection.execute('DELETE FROM jobs WHERE changed <= ?', (changes,))
        connection.execute('DELETE FROM states WHERE job_id NOT IN (SELECT job_id FROM jobs)')
        write_rows(connection, _up_to_date(read))
        connection.execute("UPDATE facts SET value = 0 WHERE name = 'dropped'")
        return int(connection.execute('SELECT count(*) FROM jobs').fetchone()[0])


def _rows(folder: JobFolder) -> Iterator[Row]:
    """Tell what a job's folder says as it would have been told while it happened."""
    journal = folder.read_journal()
    record = journal.submission
    if record is None:
        return
    yield index_rows.submitted(
        folder.job_id, executor=_text(record.get('executor')) or folder.path.parent.name, url=_text(record.get('url')),
        name=_name(journal), key=_text(record.get('key')), session=_text(record.get('session')),
        work_directory=folder.path.parent, native_id=journal.native_id,
        time=journal.submitted or 0.0)
    attempt = 1
    for entry in folder.read_progress():
        yield index_rows.entered_state(folder.job_id, entry.state, entry.time, entry.attempt > attempt)
        attempt = max(attempt, entry.attempt)
    end, reported = kept_end(folder), journal.reported
    if end is not None:
        yield index_rows.ended(folder.job_id, *end)
        if reported is not None:
            yield index_rows.reported(folder.job_id, reported)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _name(journal: Journal) -> str | None:
    try:
        spec = json.loads(journal.spec or 'null')
    except (RecursionError, ValueError):
        return None
    return _text(spec.get('name')) if isinstance(spec, dict) else None
