"""Removes what nobody needs any more: jobs that ended long ago and whose end was reported, and what was left behind.

Whether a job may go is read in its folder, and nowhere else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from psij_ext.exceptions import IndexUnavailable
from psij_ext.runtime import index_rows
from psij_ext.runtime.ending import kept_end
from psij_ext.runtime.index_file import IndexFile, patiently
from psij_ext.runtime.index_rebuild import executor_folders, submitted_jobs
from psij_ext.runtime.index_schema import write_rows
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.native_names import NAMES, holder_of
from psij_ext.runtime.private import alone_at, is_own_folder
from psij_ext.runtime.spares import SPARES

logger = logging.getLogger(__name__)

# How old a folder that was made in advance must be: a program that is alive may still have use for a younger one.
_AGE_OF_SPARES = timedelta(days=1)
_GOING = '.pruned-'
_PATIENCE = 10.0


@dataclass(frozen=True)
class Leftover:
    """A job that is over and done with.

    :param folder: its folder.
    :param native_id: what its scheduler called it.
    :param ended: when it ended, in seconds since the epoch.
    """

    folder: JobFolder
    native_id: str
    ended: float


@dataclass(frozen=True)
class Pruned:
    """What a prune removed, or would remove.

    :param jobs: the jobs.
    :param litter: what else was left behind: folders made in advance, and native ids of jobs that are gone.
    :param troubles: what could not be removed, and why.
    :param index_trouble: why the index could not follow; None if it did.
    """

    jobs: tuple[Leftover, ...]
    litter: tuple[Path, ...]
    troubles: dict[Path, str]
    index_trouble: str | None = None


def prune(work_directories: Iterable[Path], older_than: timedelta, now: float, *, folder: Path | None = None,
          dry_run: bool = False) -> Pruned:
    """Remove the jobs that ended longer ago than a given time and whose end was reported, and what was left behind.

    :param work_directories: what was given to executors' configs as `work_directory`.
    :param older_than: how long ago they must have ended.
    :param now: the present time, in seconds since the epoch.
    :param folder: where the index lies; the user's state folder if None.
    :param dry_run: whether to remove nothing, and only tell what would go.
    """
    jobs: list[Leftover] = []
    litter: list[Path] = []
    troubles: dict[Path, str] = {}
    for work_directory in dict.fromkeys(each.absolute() for each in work_directories):
        try:
            jobs += _whole(leftover for job in submitted_jobs(work_directory)
                           if (leftover := _leftover(job, now - older_than.total_seconds())) is not None)
            for executor_folder in executor_folders(work_directory):
                litter += _litter(executor_folder, now)
        except OSError as error:
            troubles[work_directory] = error.strerror or str(error)
    if dry_run:
        return Pruned(tuple(jobs), tuple(litter), troubles)
    removed = [path for path in litter if (_remove_name if path.parent.name == NAMES else _remove)(path, troubles)]
    removable = {path: _remove(path, troubles) for path in dict.fromkeys(job.folder.path for job in jobs)}
    gone = [job for job in jobs if removable[job.folder.path]]
    for executor_folder in {job.folder.path.parent for job in gone}:
        for name in _names_of_nobody(executor_folder):
            _remove_name(name, troubles)
    return Pruned(tuple(gone), tuple(removed), troubles, _forget(gone, folder))


def _leftover(job: JobFolder, latest: float) -> Leftover | None:
    """Return a job that may go; None if it may not."""
    end, journal = kept_end(job), job.read_journal()
    if end is None or journal.reported is None:
        return None
    ended = end[0].time
    # A script that began anew after the end that was seen is a job that was requeued, and may be running.
    lives_on = any(entry.time > ended for entry in job.read_progress()) and job.read_exit() is None
    return Leftover(job, journal.native_id or '', ended) if ended < latest and not lives_on else None


def _whole(jobs: Iterable[Leftover]) -> list[Leftover]:
    """Leave out those who share their folder with others that may not go."""
    by_path: dict[Path, list[Leftover]] = {}
    for job in jobs:
        by_path.setdefault(job.folder.path, []).append(job)
    return [job for together in by_path.values() if len(together) == len([*together[0].folder.submission.jobs])
            for job in together]


def _litter(executor_folder: Path, now: float) -> list[Path]:
    """Return the folders that programs made in advance and left behind, and those that an earlier prune began on."""
    found = []
    with os.scandir(executor_folder) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):  # a program has just taken it
                age = now - entry.stat(follow_symlinks=False).st_mtime
                if entry.name.startswith(_GOING) or (
                        entry.name.startswith(SPARES) and age > _AGE_OF_SPARES.total_seconds()):
                    found.append(Path(entry.path))
    return found + _names_of_nobody(executor_folder)


def _names_of_nobody(executor_folder: Path) -> list[Path]:
    """Return the names that the scheduler gave to jobs whose folders are gone."""
    names = executor_folder / NAMES
    if not is_own_folder(names):
        return []
    return [name for name in names.iterdir() if not _has_job(name, executor_folder)]


def _has_job(name: Path, executor_folder: Path) -> bool:
    try:
        holder = holder_of(str(name))
    except OSError:
        return True
    return holder is None or (executor_folder / holder).is_dir()


def _remove(path: Path, troubles: dict[Path, str]) -> bool:
    """Remove a file, or a folder: that under another name first, so that nobody finds half a job or takes a spare."""
    try:
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
            return True
        going = path.rename(path.with_name(f'{_GOING}{secrets.token_hex(8)}'))
        shutil.rmtree(going)
    except FileNotFoundError:
        return True
    except OSError as error:
        troubles[path] = error.strerror or str(error)
        return False
    return True


def _remove_name(name: Path, troubles: dict[Path, str]) -> bool:
    """Remove a name of nobody, unless the scheduler has given it to another job meanwhile."""
    with alone_at(name.parent):
        return not _has_job(name, name.parent.parent) and _remove(name, troubles)


def _forget(jobs: Sequence[Leftover], folder: Path | None) -> str | None:
    file = IndexFile(folder)

    def forget() -> None:
        with file.writing() as connection:
            write_rows(connection, [index_rows.removed(job.folder.job_id) for job in jobs])

    try:
        if jobs and file.path.exists():
            patiently(forget, _PATIENCE)
    except IndexUnavailable as error:
        return error.message
    return None
