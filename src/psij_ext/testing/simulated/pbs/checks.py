"""Checks that ``qsub`` itself makes on the values of its options, before it talks to the server."""

from __future__ import annotations

import os
import re
import time
from typing import Callable

from .refusal import Refusal

LONGEST_NAME = 230
DEPENDENCIES = ('after', 'afterok', 'afternotok', 'afterany', 'before', 'beforeok', 'beforenotok', 'beforeany')


def job_name(value: str) -> bool:
    """Letters, digits and ``-_+.`` make a name."""
    if len(value) > LONGEST_NAME:
        raise Refusal(2, 'Job name is too long ')
    return bool(re.fullmatch(r'[A-Za-z0-9._+-]+', value))


def array_range(value: str) -> bool:
    """Check ``X-Y[:Z]``; arrays of one and lists are refused."""
    match = re.fullmatch(r'(\d+)-(\d+)(?::(\d+))?', value)
    return match is not None and int(match[1]) < int(match[2]) and int(match[3] or 1) > 0


def dependency_list(value: str) -> bool:
    """Check ``type:id[:id...][,type:id...]``."""
    types = '|'.join(DEPENDENCIES)
    return bool(re.fullmatch(rf'(?:{types})(?::\d+(?:\[\])?[^:,]*)+(?:,(?:{types})(?::\d+(?:\[\])?[^:,]*)+)*', value))


def keep(value: str) -> bool:
    """Check ``-k``: o, e and d, where d needs o or e; or n."""
    kept = set(value)
    return bool(value) and (kept == {'n'} or (kept <= set('oed') and kept != {'d'}))


def mail_points(value: str) -> bool:
    """Check ``-m``; j is for arrays and alone not enough."""
    return value == 'n' or bool(re.fullmatch('[abej]+', value) and value != 'j')


def priority(value: str) -> bool:
    return bool(re.fullmatch(r'[+-]?\d+', value)) and -1024 <= int(value) <= 1023


CHECKS: dict[str, tuple[str, Callable[[str], bool]]] = {
    'Job_Name': ('N', job_name),
    'Checkpoint': ('c', lambda value: bool(re.fullmatch(r'[nscwu]|[cw]=\d+', value))),
    'Join_Path': ('j', lambda value: value in ('oe', 'eo', 'n')),
    'Keep_Files': ('k', keep),
    'Mail_Points': ('m', mail_points),
    'Mail_Users': ('M', bool),
    'Priority': ('p', priority),
    'Remove_Files': ('R', lambda value: bool(re.fullmatch('[oe]+', value))),
    'Shell_Path_List': ('S', lambda value: bool(re.fullmatch(r'/[^\s,]*(,/[^\s,]*)*', value))),
    'array_indices_submitted': ('J', array_range),
    'depend': ('W', dependency_list),
    'umask': ('W', lambda value: bool(re.fullmatch('[0-9]+', value))),
}
"""Attribute: the option that a refusal names, and what the option's value must be like."""


def check_attributes(values: dict[str, str]) -> None:
    """Refuse the first value that ``qsub`` itself would refuse."""
    for name, value in values.items():
        letter, allowed = CHECKS.get(name, ('', bool))
        if letter and not allowed(value):
            raise Refusal(2, f'illegal -{letter} value', usage=True)


def output_path(letter: str, value: str, folder: str, hosts: tuple[str, ...]) -> str:
    """Complete the value of ``-o`` or ``-e`` to ``host:path``; a folder gets a slash at its end.

    Refused are empty paths and any byte that is not printable ASCII, so that no path with an accent can be given.

    :param folder: the submitter's, for relative paths
    :param hosts: the hosts that can be resolved
    """
    text = value.lstrip()
    host, colon, path = text.partition(':')
    if not colon or not re.fullmatch('[A-Za-z0-9.-]*', host):
        host, path = '', text
    if (host and host not in hosts) or not path or not all(' ' <= char <= '~' for char in path):
        raise Refusal(2, f'illegal -{letter} value', usage=True)
    if not path.startswith('/') and not host:
        path = f'{folder}/{path}'
    if not path.endswith('/') and os.path.isdir(path.encode('latin-1')):  # noqa: PTH112
        path += '/'
    return f'{host or "localhost"}:{path}'


def moment(text: str, now: float) -> int:
    """Read ``-a``: ``[[[[CC]YY]MM]DD]hhmm[.SS]``; what is left out is the next such moment."""
    match = re.fullmatch(r'((?:\d\d){2,6})(?:\.([0-5]\d))?', text)
    if match is None:
        raise Refusal(2, 'illegal -a value', usage=True)
    digits, current = match[1], time.localtime(now)
    year, month, day = current.tm_year, current.tm_mon, current.tm_mday
    hour, minute = int(digits[-4:-2]), int(digits[-2:])
    if len(digits) >= 6:
        day = int(digits[-6:-4])
    if len(digits) >= 8:
        month = int(digits[-8:-6])
    if len(digits) >= 10:
        year = int(digits[-12:-8]) if len(digits) == 12 else 2000 + int(digits[-10:-8])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60):
        raise Refusal(2, 'illegal -a value', usage=True)
    result = time.mktime((year, month, day, hour, minute, int(match[2] or 0), 0, 0, -1))
    if result < now and len(digits) == 4:
        result = time.mktime((year, month, day + 1, hour, minute, int(match[2] or 0), 0, 0, -1))
    if result < now and len(digits) == 6:
        result = time.mktime((year, month + 1, day, hour, minute, int(match[2] or 0), 0, 0, -1))
    return int(result)
