"""What pytest says of executors in the end: all that somebody needs to know who was not there, to paste elsewhere."""

from __future__ import annotations

import os
import platform
import shlex
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from psij_ext import __version__
from psij_ext.core.interfaces import JobExecutor
from psij_ext.exceptions import PsijExtError
from psij_ext.executors.batch.base import BatchSchedulerExecutor
from psij_ext.plugins import executors
from psij_ext.testing.dialect_faults import place_of

# Where in a test's report it is noted on what it ran; such notes come back from the processes of pytest-xdist, too.
_PROPERTY = 'psij_ext executor'
_OPTIONS = ('executors', 'queue_name', 'account', 'custom_attributes', 'max_walltime', 'max_wait', 'work_directory')
_VARIABLES = ('PSIJ_EXT_WORK_DIRECTORY', 'PSIJ_EXT_EXECUTOR')
_OUTCOMES = ('passed', 'failed', 'error', 'skipped', 'xfailed')
_MOST_LINES = 12


def describe(executor: JobExecutor) -> str:
    """Return what there is to know of an executor and its scheduler, for a person at another site."""
    loaded, descriptor = executors.get(executor.name)
    lines = [f'{executor.name} {descriptor.version}: {loaded.__module__}.{place_of(loaded)}']
    try:
        lines.append(f'  scheduler: {executor.scheduler_version()}')
    except PsijExtError as error:
        lines.append(f'  scheduler: version not known: {" ".join(str(error).split())}')
    if isinstance(executor, BatchSchedulerExecutor):
        lines.append(f'  {executor.site}')
    return '\n'.join(lines)


def note(request: pytest.FixtureRequest, choice: str, described: str) -> None:
    """Note on what a test runs."""
    request.node.user_properties.append((_PROPERTY, [choice, described]))


def lines(config: pytest.Config, stats: dict[str, list[object]], seconds: float) -> Iterator[str]:
    """Yield the report; nothing where no test ran on an executor.

    :param stats: the reports of tests by their outcome, as pytest's terminal reporter has them.
    :param seconds: how long it all took.
    """
    outcomes = {outcome: [each for each in stats.get(outcome, ()) if _noted(each) is not None] for outcome in _OUTCOMES}
    notes = [noted for reports in outcomes.values() for report in reports if (noted := _noted(report)) is not None]
    if not notes:
        return
    yield (f'psij-ext {__version__}, Python {platform.python_version()}, pytest {pytest.__version__}, '
           f'{platform.platform()}')
    yield f'host {platform.node()}, {time.strftime("%Y-%m-%d %H:%M:%S %z")}, after {seconds:.0f} s'
    yield f'command: pytest {shlex.join(config.invocation_params.args)}'
    yield f'options: {_options(config)}'
    yield from dict.fromkeys(described for _, described in notes)
    for choice in dict.fromkeys(choice for choice, _ in notes):
        counts = {outcome: sum(1 for report in reports if (_noted(report) or [''])[0] == choice)
                  for outcome, reports in outcomes.items()}
        yield f'{choice}: {", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)}'
    for outcome in 'failed', 'error':
        for report in outcomes[outcome]:
            yield from _failure(outcome, report)
    yield from _skipped([*outcomes['skipped'], *outcomes['xfailed']])


def _options(config: pytest.Config) -> str:
    given = {name: config.getoption(name) for name in _OPTIONS}
    told = [f'--{name.replace("_", "-")}={value}' for name, value in given.items() if value is not None]
    kept = [f'{name}={os.environ[name]}' for name in _VARIABLES if name in os.environ]
    base = config.option.basetemp
    return ' '.join([*told, *kept, *([f'(files in {Path(base)})'] if base else [])])


def _noted(report: object) -> list[str] | None:
    for name, value in getattr(report, 'user_properties', ()):
        if name == _PROPERTY:
            return list(value)
    return None


def _failure(outcome: str, report: object) -> Iterator[str]:
    yield f'{outcome.upper()} {getattr(report, "nodeid", "")}'
    crash = getattr(getattr(report, 'longrepr', None), 'reprcrash', None)
    told = str(crash.message if crash is not None else getattr(report, 'longreprtext', '')).splitlines()
    yield from (f'    {line}' for line in told[:_MOST_LINES])
    if len(told) > _MOST_LINES:
        yield f'    ... and {len(told) - _MOST_LINES} more lines'


def _skipped(reports: list[object]) -> Iterator[str]:
    """Yield each reason with the tests that were skipped for it."""
    reasons: dict[str, list[str]] = {}
    for report in reports:
        told = getattr(report, 'wasxfail', None) or getattr(report, 'longrepr', None)
        reason = str(told[2] if isinstance(told, tuple) else told).replace('Skipped: ', '', 1)
        reasons.setdefault(reason, []).append(getattr(report, 'nodeid', '').rpartition('::')[2])
    for reason, names in reasons.items():
        yield f'SKIPPED {", ".join(names)}: {reason}'
