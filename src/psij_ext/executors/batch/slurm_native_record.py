"""All that Slurm knows of one job: `scontrol show job`, and the row of `sacct --format=ALL`.

The texts that users choose are printed as they are, newlines included, and there is no format of scontrol that
escapes them (22.05). What Slurm itself says of a job is read right all the same: a job's name ends where three lines
follow that only Slurm prints, and what can be named freely has a line to itself or comes after all that matters.
"""

from __future__ import annotations

import re

from psij_ext.exceptions import ParseError

# Between the columns of sacct: an ASCII character made for it, which nobody types.
SEPARATOR = '\x1e'

_HEAD = re.compile(r'JobId=\d+ (?:\w+=\S+ )*?JobName=')
# The lines behind a name. Greedy before them: where a name holds such lines, the last ones are Slurm's.
_AFTER_NAME = re.compile(
    r'(.*)\n   (?=UserId=[^\n]* GroupId=[^\n]*\n   Priority=[^\n]*\n   JobState=[^\n]*\n)', re.DOTALL)
_NEXT_RECORD = re.compile(r'\n\s*\n(?=JobId=\d+ )')
_KEY = r'[A-Z][\w/:.]*='
_LINE = re.compile(rf'\n(?=   {_KEY})')
_FIELD = re.compile(rf' (?={_KEY})')
# Lines that hold one field, whose value is somebody's choice.
_FREE = ('AdminComment', 'Command', 'Comment', 'Extra', 'StdErr', 'StdIn', 'StdOut', 'SystemComment', 'WorkDir')


def parse_show_job(text: str) -> dict[str, str]:
    """Read what `scontrol show job` printed; of an array, its first record.

    :return: the fields; none where this is no record.
    :raises ParseError: if it begins like a record and does not go on like one.
    """
    text = text.strip('\n')
    head = _HEAD.match(text)
    if head is None:
        return {}
    if ' ArrayJobId=' in head[0]:
        text = _NEXT_RECORD.split(text)[0]
    named = _AFTER_NAME.match(text, head.end())
    if named is None:
        raise ParseError(f'scontrol printed no record that can be read: {text[:1000]!r}')
    record = dict(_pair(field) for field in _FIELD.split(head[0][:-len(' JobName=')]))
    record['JobName'] = named[1]
    others: dict[str, str] = {}
    for line in _LINE.split('   ' + text[named.end():]):
        fields = [line.strip()] if line.lstrip().startswith(tuple(f'{name}=' for name in _FREE)) else (
            _FIELD.split(line.strip()))
        # What begins a line is Slurm's own for certain; elsewhere a value with blanks may look like another field.
        record.setdefault(*_pair(fields[0]))
        for field in fields[1:]:
            others.setdefault(*_pair(field))
    return {**others, **record}


def parse_accounting_record(text: str) -> dict[str, str]:
    """Read the row of one job that `sacct --format=ALL` printed below its header, with `SEPARATOR` between columns.

    :return: the fields; none where there is no row.
    :raises ParseError: if the row has another number of columns than the header.
    """
    header, _, rows = text.partition('\n')
    names = header.split(SEPARATOR)
    if not rows.strip('\n'):
        return {}
    values = rows.removesuffix('\n').split(SEPARATOR)
    if len(values) != len(names):
        raise ParseError(f'sacct printed {len(values)} values for {len(names)} fields: {rows[:1000]!r}')
    return dict(zip(names, values))


def _pair(field: str) -> tuple[str, str]:
    name, _, value = field.partition('=')
    return name, value
