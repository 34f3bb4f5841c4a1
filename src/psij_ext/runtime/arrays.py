"""The folder of an array, which its elements share; each of them is a job of its own.

There is one script, one environment, one claim and one journal, however many elements there are. What an element's
script writes is in files whose names begin with the element's index: `3.exit`, `3.progress`, `3.stdout`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable

from psij_ext.runtime.array_journal import ArrayJournal, element_id
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.journal import Journal
from psij_ext.runtime.native_names import ANY_INDEX
from psij_ext.runtime.private import is_own_folder, make_folder, make_folders, unreadable

# Takes the native id of an array and an element's index; returns the native id of the element.
NameElement = Callable[[str, int], str]

# The folders of arrays are called so, with an id after it.
ARRAYS = 'array-'
_SHARED = frozenset(('environment', 'followers', 'journal', 'script', 'tasks'))
_CLAIMS = 'claim.'
# What an element's script leaves behind from its very beginning, whatever becomes of it.
_TRACES = ('exit.new', 'exit', 'progress')
# No scheduler's id has it.
_SOME_INDEX = 9_182_736_450

# Those that are in use, by their paths: to read the journal of a large array takes a while.
_in_use: weakref.WeakValueDictionary[str, ArrayFolder] = weakref.WeakValueDictionary()


class ArrayFolder(JobFolder):
    """The folder of an array as a whole: with all of its elements it was submitted, or may have been, or is revoked."""

    __slots__ = ('_followers', '_journal', '_name_element')

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._foreign = False
        self._journal = ArrayJournal(self._file('journal'))
        self._followers: set[Path] = set()
        self._name_element: Callable[[], NameElement | None] = lambda: None

    @classmethod
    def at(cls, path: Path) -> ArrayFolder:
        """Give the folder that lies there."""
        known = _in_use.get(str(path))
        return _in_use.setdefault(str(path), cls(path)) if known is None else known

    @classmethod
    def make(cls, work_directory: Path) -> ArrayFolder:
        """Make the folder of a new array, and the work directory where there is none.

        :raises OSError: if it cannot be made.
        """
        folder = cls.at(work_directory / f'{ARRAYS}{uuid.uuid4()}')
        try:
            make_folder(folder.path)
        except FileNotFoundError:
            make_folders(work_directory)
            make_folder(folder.path)
        return folder

    @property
    def is_array(self) -> bool:
        """Whether it is the folder of an array as a whole."""
        return True

    @property
    def jobs(self) -> Iterator[JobFolder]:
        """The folders of the elements.

        :raises FolderUnreadable: if it cannot be read now which there are.
        """
        return (MemberFolder(self, index, job_id) for index, job_id in enumerate(self._members()))

    def member(self, index: int) -> MemberFolder | None:
        """Give the folder of an element; None where there is none of this index.

        :raises FolderUnreadable: if that cannot be told now.
        """
        members = self._members()
        return MemberFolder(self, index, members[index]) if index < len(members) else None

    def _members(self) -> Sequence[str]:
        try:
            return self._journal.members() if is_own_folder(self.path) else ()
        except OSError as error:
            raise unreadable(self.path, error) from error

    # -- before the submission

    def begin_journal(self, members: Sequence[str], spec: str, differences: Iterable[str]) -> None:
        """Keep which jobs are its elements, before any attempt to submit it.

        :param members: their ids, in the order of their indices.
        :param spec: the serialized spec of the first one.
        :param differences: for each of the others, how its spec differs, serialized.
        """
        self._write('journal', self._journal.beginning(self.path.name, members, spec, differences))

    def note_submission(self, record: Mapping[str, object]) -> None:
        """Keep who is about to submit it, and under which nonce; `job_id` is the name of this folder."""
        self._note(submission=record)
        self._know(record)

    def write_tasks(self, tasks: bytes) -> None:
        """Keep what differs from element to element, a line for each, for the script to read."""
        self._write('tasks', tasks)

    def name_elements_by(self, name_element: NameElement) -> None:
        """Be told how elements are called by the array's scheduler, for as long as its executor is there."""
        self._name_element = (
            weakref.WeakMethod(name_element) if hasattr(name_element, '__self__') else lambda: name_element)

    def add_follower(self, mailbox: Path) -> None:
        """Let one more process than the submitting one have the script's hints; once is enough for all elements."""
        if mailbox not in self._followers:
            super().add_follower(mailbox)
            self._followers.add(mailbox)

    # -- afterwards

    def note_not_submitted(self, reason: str, *, reported: bool) -> None:
        """Keep that the submission came to nothing; what its elements were to do is of no use any more."""
        super().note_not_submitted(reason, reported=reported)
        with contextlib.suppress(OSError):
            self.path_of('tasks').unlink()

    def read_journal(self) -> Journal:
        """Read what was kept of the array as a whole.

        :raises FolderUnreadable: if that cannot be read now.
        """
        try:
            journal = self._journal.of_array()
        except OSError as error:
            raise unreadable(self.path, error) from error
        self._nonce, self._submitted = journal.nonce, journal.submitted
        return journal

    def set_native_id(self, native_id: str) -> None:
        """Keep the native id of the array, and so those of its elements, and let all be found by theirs."""
        name_element = self._name_element()
        if name_element is None:
            raise OSError(errno.EAGAIN, 'Nobody is there who knows how its elements are called', str(self.path))
        self._note(native_id=native_id, elements=_around_index(native_id, name_element))
        self.name_by(native_id)

    def name_by(self, native_id: str) -> None:
        """Let the array be found by its native id, and its elements by theirs."""
        super().name_by(native_id)
        elements = element_id(self.read_elements(), ANY_INDEX)
        if elements is not None:
            super().name_by(elements)

    def read_elements(self) -> object:
        """Read what stands around the index in the native ids of the elements; None before they have any.

        :raises FolderUnreadable: if that cannot be read now.
        """
        return self.read_journal().elements

    def read_journal_of(self, index: int) -> Journal:
        """Read what was kept of an element.

        :raises FolderUnreadable: if that cannot be read now.
        """
        try:
            journal = self._journal.of_member(index)
        except OSError as error:
            raise unreadable(self.path, error) from error
        self._nonce, self._submitted = journal.nonce, journal.submitted
        return journal

    def note_of(self, index: int, entries: Mapping[str, object]) -> None:
        """Keep something of an element."""
        self._append('journal', self._journal.line(index, **entries))

    @property
    def has_succeeded(self) -> bool:
        """Whether it is known of all elements that they completed."""
        try:
            return self._journal.have_all_completed()
        except OSError:
            return False

    def without_end(self) -> Sequence[int]:
        """Return the indices of the elements of which no end is known.

        :raises FolderUnreadable: if it cannot be read now which these are.
        """
        try:
            return self._journal.without_end()
        except OSError as error:
            raise unreadable(self.path, error) from error

    def tidy(self) -> None:
        super().tidy()
        with contextlib.suppress(OSError):
            self.path_of('tasks').unlink()


class MemberFolder(JobFolder):
    """What the folder of an array has of one of its elements.

    :param array: the folder.
    :param index: which element it is; the first is 0.
    :param job_id: the id of the element's job.
    """

    __slots__ = ('_job_id', 'array', 'index')

    def __init__(self, array: ArrayFolder, index: int, job_id: str) -> None:
        super().__init__(array.path)
        self._foreign = False
        self.array = array
        self.index = index
        self._job_id = job_id

    @property
    def job_id(self) -> str:
        return self._job_id

    @property
    def nonce(self) -> str | None:
        return self.array.nonce

    @property
    def submission(self) -> JobFolder:
        return self.array

    @property
    def hint_name(self) -> str:
        return f'{self.path.name}.{self.index}'

    @property
    def secret(self) -> bytes | None:
        return None if self.nonce is None else f'{self.nonce}.{self.index}'.encode()

    def read_journal(self) -> Journal:
        return self.array.read_journal_of(self.index)

    def add_follower(self, mailbox: Path) -> None:
        self.array.add_follower(mailbox)

    @property
    def is_unclaimed(self) -> bool:
        """Whether the folder can be read, and this element's script has left no trace of its beginning there.

        Who claimed the submission may be another element.
        """
        try:
            if self.read_journal().nonce is None:
                return False
            return not any(self._is_there(name) for name in _TRACES)
        except OSError:
            return False

    def name_by(self, native_id: str) -> None:
        """Let the whole array be found."""
        whole = self.array.read_journal().native_id
        if whole is not None:
            self.array.name_by(whole)

    def tidy(self) -> None:
        """Remove what nobody needs once the job has succeeded, and once all have, what they shared."""
        with contextlib.suppress(OSError):
            self.path_of('nodes').unlink()
        if self.array.has_succeeded:
            self.array.tidy()

    def _file(self, name: str) -> str:
        is_shared = name in _SHARED or name.startswith(_CLAIMS)
        return f'{self.path}/{name}' if is_shared else f'{self.path}/{self.index}.{name}'

    def _note(self, **entries: object) -> None:
        self.array.note_of(self.index, entries)

    def _is_there(self, name: str) -> bool:
        """Whether there is a file.

        :raises OSError: if that cannot be told.
        """
        try:
            os.lstat(self._file(name))
        except FileNotFoundError:
            return False
        return True


def _around_index(array_id: str, name_element: NameElement) -> tuple[str, str]:
    """Return what stands around the index in the native ids of an array's elements."""
    before, _, after = name_element(array_id, _SOME_INDEX).rpartition(str(_SOME_INDEX))
    return before, after
