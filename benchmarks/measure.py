"""What the benchmarks share: rows of a table, written as text and as JSON."""

from __future__ import annotations

import json
import os
import platform
import time
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One measurement beside what it is measured against; `limit` is the ratio that must not be passed."""

    what: str
    measured: str
    against: str
    ratio: float
    limit: float

    @property
    def met(self) -> bool:
        return self.ratio <= self.limit


def report(rows: list[Row], json_path: Path | None) -> None:
    """Print the table, and write it as JSON where a path is given."""
    machine = f'{os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime("%Y-%m-%d")}'
    print(machine)
    for row in rows:
        verdict = 'met' if row.met else 'NOT MET'
        ratio = f'ratio {row.ratio:.2f}, limit {row.limit:.2f}'
        print(f'{row.what}: {row.measured} against {row.against}; {ratio}: {verdict}')
    if json_path is not None:
        json_path.write_text(json.dumps({'machine': machine, 'rows': [asdict(row) for row in rows]}, indent=1))
