"""The journal of an array: what the submitting side knows of all of its elements, in one file that is only added to.

Its lines are those of a job's journal, but for these: the first names the array's folder; the second has the ids of the
elements' jobs and the description of the first of them; one for each other element has the fields in which its
description differs from that; and what concerns one element alone stands in a line with its index. Of the last two
kinds only the places are kept in memory, and what was read once is not read again when the file has grown.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Sequence
from typing import Tuple

from psij_ext.core.state import JobState
from psij_ext.runtime.forking import renew_in_children
from psij_ext.runtime.journal import Journal
from psij_ext.runtime.private import read_file

_DIFFERENCE = b'{"differs": '
# How an element ended.
_COMPLETED, _OTHERWISE = 1, 2
Place = Tuple[int, int]


class ArrayJournal:
    """Reads the journal of an array, as often as it is asked for, and then no more of it than is new. Safe for threads.

    :param path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        """Begin anew, with a lock of its own."""
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._seen: tuple[int, ...] = ()
        self._read_to = 0
        self._entries: dict[str, object] = {}
        self._members: Sequence[str] = ()
        # By index, from where to where in the file: how its description differs, and what concerns it alone.
        self._differences: dict[int, Place] = {}
        self._own: dict[int, tuple[Place, ...]] = {}
        self._ends = bytearray()  # by index; 0 where none is known

    # -- writing

    @staticmethod
    def beginning(name: str, members: Sequence[str], spec: str, differences: Iterable[str]) -> bytes:
        """Return what a journal begins with.

        :param name: the name of the array's folder.
        :param members: the ids of the elements' jobs.
        :param spec: the serialized spec of the first one.
        :param differences: for each of the others, how its spec differs, serialized.
        """
        lines = [Journal.line(array=name), Journal.line(members=members, spec=spec)]
        lines += [b'\n%b%d, "fields": %b}' % (_DIFFERENCE, index, each.encode())
                  for index, each in enumerate(differences, 1)]
        return b''.join(lines)

    @staticmethod
    def line(index: int, **entries: object) -> bytes:
        """Write entries about one element as a line."""
        return Journal.line(member=index, says=entries)

    # -- reading

    def members(self) -> Sequence[str]:
        """Return the ids of the elements' jobs.

        :raises OSError: if the journal cannot be read now.
        """
        with self._lock:
            self._read_on()
            return self._members

    def of_array(self) -> Journal:
        """Return what is known of the array as a whole.

        :raises OSError: if the journal cannot be read now.
        """
        with self._lock:
            self._read_on()
            return Journal({**self._entries})

    def of_member(self, index: int) -> Journal:
        """Return what is known of an element, as its own journal would tell it.

        :raises OSError: if the journal cannot be read now.
        """
        with self._lock:
            self._read_on()
            entries = {**self._entries}
            places, difference = self._own.get(index, ()), self._differences.get(index)
            job_id = self._members[index] if index < len(self._members) else None
        submission, native_id = entries.get('submission'), element_id(entries.pop('elements', None), index)
        if isinstance(submission, dict):
            entries['submission'] = {**submission, 'job_id': job_id}
        entries['native_id'] = native_id
        for place in places:
            says = self._object_at(place).get('says')
            entries.update(says if isinstance(says, dict) else {})
        return _MemberJournal(entries, self, difference)

    def have_all_completed(self) -> bool:
        """Whether it is known of all elements that they completed.

        :raises OSError: if the journal cannot be read now.
        """
        with self._lock:
            self._read_on()
            return self._ends.count(_COMPLETED) == len(self._members)

    def without_end(self) -> list[int]:
        """Return the indices of those of which no end is known.

        :raises OSError: if the journal cannot be read now.
        """
        with self._lock:
            self._read_on()
            return [index for index, end in enumerate(self._ends) if not end]

    def difference(self, place: Place | None) -> dict[str, object]:
        """Return how the description of an element differs from that of the first.

        :param place: where that stands; None for the first one itself.
        :raises OSError: if the journal cannot be read now.
        """
        fields = {} if place is None else self._object_at(place).get('fields')
        return fields if isinstance(fields, dict) else {}

    def _object_at(self, place: Place) -> dict[str, object]:
        begin, end = place
        return _object(read_file(self._path, end - begin, begin) or b'')

    def _read_on(self) -> None:
        """Read what is new."""
        try:
            facts = os.lstat(self._path)
        except FileNotFoundError:
            self._forget()
            return
        seen = facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns
        if seen == self._seen:
            return
        if seen[:2] != self._seen[:2] or facts.st_size < self._read_to:
            self._forget()
        content = read_file(self._path, begin=self._read_to)
        if content is None:  # a link in its place, for one
            self._forget()
            return
        begin = self._read_to
        for line in content.split(b'\n'):
            self._take(line, (begin, begin + len(line)))
            begin += len(line) + 1
        # The last line may not be complete yet, and no line says that it is: it is read once more with the next.
        self._read_to += content.rfind(b'\n') + 1
        self._seen = seen

    def _take(self, line: bytes, place: Place) -> None:
        if line.startswith(_DIFFERENCE):
            number, comma, _ = line[len(_DIFFERENCE):].partition(b',')
            if comma and number.isdigit():  # else it is just being written, and the number may be longer
                self._differences[int(number)] = place
            return
        entries = _object(line)
        index, says, members = entries.get('member'), entries.get('says'), entries.pop('members', None)
        if isinstance(members, list):
            self._members = tuple(each for each in members if isinstance(each, str))
            self._ends = bytearray(len(self._members))
        if isinstance(index, int) and isinstance(says, dict):
            known = self._own.get(index, ())
            self._own[index] = (*(each for each in known if each[0] != place[0]), place)
            end = says.get('end')
            if isinstance(end, dict) and index < len(self._ends):
                self._ends[index] = _COMPLETED if end.get('state') == JobState.COMPLETED.name else _OTHERWISE
            return
        self._entries.update(entries)


class _MemberJournal(Journal):
    """The journal of an element, whose description is put together only where somebody wants it."""

    def __init__(self, entries: dict[str, object], whole: ArrayJournal, difference: Place | None) -> None:
        super().__init__(entries)
        self._whole = whole
        self._difference = difference

    @property
    def spec(self) -> str | None:
        """The serialized spec."""
        first = super().spec
        if first is None or self._difference is None:
            return first
        fields = {**_object(first.encode()), **self._whole.difference(self._difference)}
        return json.dumps({name: value for name, value in fields.items() if value is not None})


def element_id(around: object, index: int | str) -> str | None:
    """Return the native id of an element.

    :param around: what stands in it before the index, and after it.
    """
    if not isinstance(around, (list, tuple)) or len(around) != 2:
        return None
    return f'{around[0]}{index}{around[1]}'


def _object(line: bytes) -> dict[str, object]:
    try:
        entry = json.loads(line) if line else {}
    except (RecursionError, ValueError):
        return {}
    return entry if isinstance(entry, dict) else {}
