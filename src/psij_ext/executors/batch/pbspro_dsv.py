r"""How qstat writes a record in its format with delimiters, `qstat -f -F dsv`.

A record is a line. It was seen (OpenPBS 23.06, `tests/data/pbspro/dsv-hostile.stdout`) that inside a value a backslash
stands before a delimiter and before a backslash, and that a newline is written as `\n` and a form feed as `\f`; but a
backslash before a quote or a comma stands as it is. Other control characters come as `^A` and so on.
"""

from __future__ import annotations

import re
from typing import Iterator, List

HEAD = 'Job Id: '
_CHARACTERS = {'n': '\n', 'f': '\f'}


def find_value(text: str, marker: str, place: int, start: int, end: int, delimiter: str) -> str:
    """Cut out the value of a field of the record between two places, as it was written; empty if it is not there.

    The caller looks for the field, since it knows whether it stands near the beginning or the end.

    :param text: many records.
    :param marker: the field's name between a delimiter and `=`.
    :param place: where the marker was found, perhaps inside another value; -1 if it was not.
    :param start: where the record's first delimiter is.
    :param end: where the record ends.
    :param delimiter: what stands between two fields.
    """
    if place > 0 and text[place - 1] == '\\':
        place = _unescaped(text, marker, start, end)
    if place < 0:
        return ''
    first = place + len(marker)
    last = text.find(delimiter, first, end)
    if last > 0 and text[last - 1] == '\\':
        last = _unescaped(text, delimiter, last, end)
    return text[first:end if last < 0 else last]


def split_record(record: str, delimiter: str) -> Iterator[str]:
    """Split a record into its fields, such as `job_state=R`, as they were written."""
    pieces: List[str] = []
    for piece in record.split(delimiter):
        pieces.append(piece)
        if not _is_escaped(piece, len(piece)):
            yield delimiter.join(pieces)
            pieces = []
    if pieces:
        yield delimiter.join(pieces)


def read_value(written: str, delimiter: str) -> str:
    """Return a value as it was before qstat wrote it; control characters that came as `^A` and so on stay so."""
    return re.sub(
        rf'\\({re.escape(delimiter)}|\\|n|f)', lambda match: _CHARACTERS.get(match[1], match[1]), written)


def _unescaped(text: str, wanted: str, start: int, end: int) -> int:
    """Find a text that begins with a delimiter which belongs to no value; -1 if there is none."""
    place = text.find(wanted, start, end)
    while place >= 0 and _is_escaped(text, place):
        place = text.find(wanted, place + 1, end)
    return place


def _is_escaped(text: str, place: int) -> bool:
    backslashes = 0
    while place - backslashes > 0 and text[place - backslashes - 1] == '\\':
        backslashes += 1
    return backslashes % 2 == 1
