"""Functions that templates may call which were written for PSI/J."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Callable

from psij_ext.core.attributes import JobAttributes

_MINUTE = timedelta(minutes=1)


def walltime_to_minutes(walltime: timedelta | int | str) -> int:
    """Write a span of time as whole minutes, rounded up: LSF and Cobalt know no seconds.

    :param walltime: a timedelta, minutes as a number, or a text such as `1:30:00`, `1:30` or `90`.
    :raises ValueError: if the text is none of these.
    """
    if isinstance(walltime, int):
        return walltime
    span = walltime if isinstance(walltime, timedelta) else JobAttributes.parse_walltime(walltime)
    return -(-span // _MINUTE)


ALL: Mapping[str, Callable[[str], int]] = {'walltime_to_minutes': walltime_to_minutes}
"""The functions by their names."""
