"""Dependencies between jobs (``-W depend``): who waits for whom, and what an end means for others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable

from .job import ENDED, Job

if TYPE_CHECKING:
    from .registry import Registry

REVERSE = {'after': 'before', 'afterok': 'beforeok', 'afternotok': 'beforenotok', 'afterany': 'beforeany'}


class Dependencies:
    """Keeps jobs held until what they depend on has happened.

    :param registry: the jobs
    :param release, abort: called with a job that may run now, and with one that never can
    """

    def __init__(self, registry: Registry, release: Callable[[Job], None], abort: Callable[[Job], None]) -> None:
        self._registry, self._release, self._abort = registry, release, abort

    def register(self, job: Job) -> None:
        """Read what a new job depends on; ``before...`` types have no effect here."""
        for item in job.values.pop('depend', '').split(','):
            kind, *identifiers = item.split(':')
            if kind in REVERSE:
                job.pending += [(kind, self._registry.full(identifier)) for identifier in identifiers]
        if not job.pending:
            return
        job.values['Hold_Types'] = 's' + job.values['Hold_Types'].replace('n', '')
        self._describe(job)
        for kind, identifier in job.pending:
            other = self._registry.jobs.get(identifier)
            if other is not None and other.state not in ENDED:
                other.dependents.append((REVERSE[kind], job.identifier))
                self._describe(other)

    def settle(self, job: Job) -> None:
        """Look whether a job that was just submitted may run."""
        for pair in list(job.pending):
            self._resolve(job, pair, self._registry.jobs.get(pair[1]))

    def happened(self, other: Job) -> None:
        """Tell those who wait for a job that it started or ended."""
        for _, identifier in other.dependents:
            job = self._registry.jobs.get(identifier)
            for pair in list(job.pending) if job is not None else []:
                if job is not None and pair[1] == other.identifier:
                    self._resolve(job, pair, other)

    def _resolve(self, job: Job, pair: tuple[str, str], other: Job | None) -> None:
        """Decide one condition: met, still open, or never to be met."""
        if job.state in ENDED:
            return
        if other is None:
            self._abort(job)
            return
        ended, good = other.state in ENDED, other.values.get('Exit_status') == '0' and other.values['substate'] == '92'
        if pair[0] == 'after':
            met = ended or 'stime' in other.values
        else:
            met = ended and (pair[0] == 'afterany' or good == (pair[0] == 'afterok'))
        if met:
            job.pending.remove(pair)
            self._describe(job)
            if not job.pending:
                job.values['Hold_Types'] = job.values['Hold_Types'].replace('s', '') or 'n'
                self._release(job)
        elif ended:
            self._abort(job)

    def _describe(self, job: Job) -> None:
        """Write the attribute ``depend``."""
        kinds: dict[str, list[str]] = {}
        for kind, identifier in job.pending + job.dependents:
            kinds.setdefault(kind, []).append(f'{identifier}@{job.values["server"]}')
        text = ','.join(':'.join([kind, *identifiers]) for kind, identifiers in kinds.items())
        job.values['depend'] = text
        if not text:
            del job.values['depend']
        job.values['mtime'] = str(int(time.time()))
