"""Finds the folders of jobs in the work directory of one executor: all of them, or the one that has a native id.

Which work directories there are at all is remembered in `work_directories`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from psij_ext.exceptions import FolderUnreadable
from psij_ext.runtime.arrays import ARRAYS, ArrayFolder
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.journal import Journal
from psij_ext.runtime.native_names import ANY_INDEX, holder_of, native_name
from psij_ext.runtime.private import is_own_folder, unreadable

logger = logging.getLogger(__name__)

_NUMBERS = re.compile(r'\d+', re.ASCII)

# -- one by its native id


def find_folder(work_directory: Path, native_id: str) -> JobFolder | None:
    """Find the folder of the job that the scheduler calls `native_id`; None where the job is not ours.

    An array as a whole is no job.

    :raises FolderUnreadable: if that cannot be told now.
    """
    holder = _holder(work_directory, native_id)
    return None if holder is None or holder.is_array else holder


def has_lost(folder: JobFolder, native_id: str) -> bool:
    """Whether a job's id is another job's now: a scheduler that lost its state counts its ids once more.

    :raises FolderUnreadable: if that cannot be told now.
    """
    holder = _holder(folder.path.parent, native_id)
    return holder is not None and holder.job_id != folder.job_id


def _holder(work_directory: Path, native_id: str) -> JobFolder | None:
    """Find the folder of the job or the array that the scheduler calls `native_id`."""
    name = holder_of(native_name(work_directory, native_id))
    if name is None:
        return _element(work_directory, native_id)
    folder = _folder_at(work_directory / name)
    try:
        found = is_own_folder(folder.path) and folder.read_journal().native_id == native_id
    except OSError as error:
        raise unreadable(folder.path, error) from error
    return folder if found else None


def _element(work_directory: Path, native_id: str) -> JobFolder | None:
    """Find the folder of an element of an array: the array has a name in which an element's index is left open."""
    for number in _NUMBERS.finditer(native_id):
        elements = f'{native_id[:number.start()]}{ANY_INDEX}{native_id[number.end():]}'
        name = holder_of(native_name(work_directory, elements), is_of_elements=True)
        if name is not None:
            member = ArrayFolder.at(work_directory / name).member(int(number[0]))
            if member is not None and member.read_journal().native_id == native_id:
                return member
    return None


# -- all of them


def job_folders(work_directory: Path) -> Iterator[JobFolder]:
    """Go through the folders of our jobs, in no particular order.

    :raises FolderUnreadable: if it cannot be read now. An array that cannot be is said, and keeps no other back.
    """
    for folder in submission_folders(work_directory):
        try:
            yield from folder.jobs
        except FolderUnreadable as error:
            logger.warning('The jobs of an array are passed over: %s', error)


def submission_folders(work_directory: Path) -> Iterator[JobFolder]:
    """Go through the folders of what was submitted: those of jobs, and those of arrays as a whole.

    :raises FolderUnreadable: if it cannot be read now.
    """
    try:
        entries = list(os.scandir(work_directory))
    except FileNotFoundError:
        return
    except OSError as error:
        raise unreadable(work_directory, error) from error
    for entry in entries:
        if not entry.name.startswith('.') and entry.is_dir(follow_symlinks=False) and _may_be_own(entry.path):
            yield _folder_at(Path(entry.path))


def open_folders(work_directory: Path) -> Iterator[JobFolder]:
    """Go through the folders of those submissions of which nobody knows yet what became of them, arrays as a whole.

    The journal of any other has a second name, its native one, as a rule: so few of them are read.

    :raises FolderUnreadable: if it cannot be read now.
    """
    for folder in submission_folders(work_directory):
        with contextlib.suppress(OSError):
            names = os.stat(f'{folder.path}/journal', follow_symlinks=False).st_nlink
            if names == 1 and folder.read_journal().is_open:
                yield folder


def read_journals(folders: Iterable[JobFolder]) -> Iterator[tuple[Journal, JobFolder]]:
    """Read the journals of folders; one that cannot be read now is said, and keeps no other back."""
    for folder in folders:
        try:
            yield folder.read_journal(), folder
        except FolderUnreadable as error:
            logger.warning('Job %s is passed over: %s', folder.job_id, error)


def _folder_at(path: Path) -> JobFolder:
    """Give the folder that lies there, of whichever kind."""
    return ArrayFolder.at(path) if path.name.startswith(ARRAYS) else JobFolder(path)


def _may_be_own(folder: str) -> bool:
    try:
        return is_own_folder(folder)
    except OSError:
        return True  # to read it will say why it cannot be looked at
