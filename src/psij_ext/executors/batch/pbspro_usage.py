"""What a job of PBS Pro used, as the record of a finished job tells it (PBS Reference Guide, "Job Attributes")."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from typing import Mapping

from psij_ext.core.exit_info import ResourceUsage

_SPAN = re.compile(r'(?:(\d{1,9}):)?(?:(\d{1,9}):)?(\d{1,9})(?:\.\d{1,9})?', re.ASCII)
_SIZE = re.compile(r'(\d{1,18})([kmgtp]?)([bw])', re.ASCII)
_UNITS = {unit: 1024 ** power for power, unit in enumerate(('', 'k', 'm', 'g', 't', 'p'))}
_BYTES = {'b': 1, 'w': 8}
_MOMENT = re.compile(r'\w{3} (\w{3}) +(\d{1,2}) (\d\d):(\d\d):(\d\d) (\d{4})', re.ASCII)
_MONTHS = ('Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec')
# They are long, the user's own, and may be secret.
_NOT_KEPT = ('Variable_List', 'Submit_arguments')


def read_usage(fields: Mapping[str, str]) -> ResourceUsage:
    """Read what a finished job used out of the fields of its record.

    A zero was seen to stand for what was not measured: short jobs end before PBS looks at them.
    """
    wall_time, cpu_time = (seconds(fields.get(f'resources_used.{name}', '')) for name in ('walltime', 'cput'))
    percent = fields.get('resources_used.cpupercent', '')
    hosts = {part.partition('/')[0] for part in fields.get('exec_host', '').split('+')} - {''}
    return ResourceUsage(
        wall_time=timedelta(seconds=wall_time) if wall_time else None,
        cpu_time=timedelta(seconds=cpu_time) if cpu_time else None,
        cpu_percent=float(percent) or None if re.fullmatch(r'\d{1,9}', percent, re.ASCII) else None,
        max_rss=_size(fields.get('resources_used.mem', '')),
        max_vmem=_size(fields.get('resources_used.vmem', '')),
        cpus=_count(fields.get('resources_used.ncpus', '')),
        nodes=len(hosts) or None,
        submit_time=moment(fields.get('ctime', '')),
        start_time=moment(fields.get('stime', '')),
        # Older versions lack the first; a finished job is not modified any more.
        end_time=moment(fields.get('obittime') or fields.get('mtime', '')),
        raw={name: value for name, value in fields.items() if name not in _NOT_KEPT})


@lru_cache(maxsize=1000)
def seconds(text: str) -> float | None:
    """Read a span of time, such as `01:30:00`; None if it is none."""
    match = _SPAN.fullmatch(text)
    if match is None:
        return None
    first, second, last = match.groups()
    # One that is there alone before the seconds is minutes.
    hours, minutes = (0, int(first or 0)) if second is None else (int(first), int(second))
    return float((hours * 60 + minutes) * 60 + int(last))


def moment(text: str) -> datetime | None:
    """Read a moment, such as `Fri Nov 20 14:02:34 2026` by the clock of this machine, or seconds since the epoch."""
    try:
        if re.fullmatch(r'\d{1,12}', text, re.ASCII):
            return datetime.fromtimestamp(int(text), timezone.utc) if int(text) else None
        match = _MOMENT.fullmatch(text)
        if match is None or match[1] not in _MONTHS:
            return None
        day, hour, minute, second, year = (int(part) for part in match.groups()[1:])
        local = datetime(year, _MONTHS.index(match[1]) + 1, day, hour, minute, second)
        return local.astimezone(timezone.utc)
    except (OSError, OverflowError, ValueError):  # the 31st of February, or the year 9999 in a zone east of here
        return None


def _size(text: str) -> int | None:
    """Read a size, such as `3068kb`, in bytes; None if it is none, or zero."""
    match = _SIZE.fullmatch(text)
    return int(match[1]) * _UNITS[match[2]] * _BYTES[match[3]] or None if match is not None else None


def _count(text: str) -> int | None:
    return int(text) or None if re.fullmatch(r'\d{1,9}', text, re.ASCII) else None
