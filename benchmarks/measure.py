"""What the benchmarks share: rows of a table, as text and as JSON, and measuring in processes of their own."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
_PAGE = os.sysconf('SC_PAGE_SIZE')


@dataclass(frozen=True)
class Row:
    """One measurement beside what it is measured against.

    :param ratio: of what was measured to that; less is better.
    :param limit: the ratio that must not be passed; None where nothing was promised.
    """

    what: str
    measured: str
    against: str
    ratio: float
    limit: float | None = None

    @property
    def met(self) -> bool:
        return self.limit is None or self.ratio <= self.limit

    @property
    def verdict(self) -> str:
        return '' if self.limit is None else 'met' if self.met else 'NOT MET'


def report(rows: Sequence[Row], json_path: Path | None) -> None:
    """Print the table, and write it as JSON where a path is given."""
    memory = os.sysconf('SC_PHYS_PAGES') * _PAGE / 2**30
    machine = (f'{os.cpu_count()} cores, {memory:.0f} GiB, Python {platform.python_version()}, '
               f'{time.strftime("%Y-%m-%d")}')
    cells = [('what', 'measured', 'against', 'ratio', 'limit', '')]
    cells += [(row.what, row.measured, row.against, f'{row.ratio:.3g}', '' if row.limit is None else f'{row.limit:g}',
               row.verdict) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    print(machine)
    for line in cells:
        print('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    if json_path is not None:
        json_path.write_text(json.dumps({'machine': machine, 'rows': [asdict(row) for row in rows]}, indent=1))


def in_a_process(script: str, *arguments: object, python: str = sys.executable,
                 environment: Mapping[str, str] | None = None) -> Any:
    """Measure in a process of its own, which has nothing behind it; return what its last line of JSON says.

    :param script: the name of the file beside this one.
    :param python: with which it is run.
    :param environment: variables to add.
    """
    done = subprocess.run([python, HERE / script, *map(str, arguments)], check=True, stdout=subprocess.PIPE,
                          env={**os.environ, **(environment or {})})
    return json.loads(done.stdout.splitlines()[-1])


def resident_memory() -> int:
    """Return how many bytes of memory this process has."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * _PAGE
