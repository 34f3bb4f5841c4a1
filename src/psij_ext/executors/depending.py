"""The jobs that a job is to wait for, as they are given to `submit`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Tuple

from psij_ext.core.dependencies import Dependencies
from psij_ext.core.interfaces import JobExecutor
from psij_ext.core.job import Job, list_of_jobs
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import InvalidJobException, SubmitException

_WANTED = {'after_ok': 'complete', 'after_not_ok': 'fail'}


class Others(NamedTuple):
    """The jobs that a job is to wait for; the fields are those of `Dependencies`."""

    after_ok: Tuple[Job, ...] = ()
    after_any: Tuple[Job, ...] = ()
    after_not_ok: Tuple[Job, ...] = ()

    @property
    def all(self) -> Sequence[Job]:
        """All of them, each once."""
        return list(dict.fromkeys(job for jobs in self for job in jobs))

    def dependencies(self) -> Dependencies:
        """Return their native ids."""
        return Dependencies(*(_native_ids(jobs) for jobs in self))

    def undecided(self, job: Job, known: Mapping[str, JobStatus]) -> Dependencies:
        """Return the native ids of those that are not over: of the others a scheduler may have forgotten the end.

        :param job: the job that is to wait.
        :param known: by their ids, statuses that are newer than the jobs' own.
        :raises SubmitException: if one ended so that the job can never run.
        """
        left = {}
        for kind, jobs in self._asdict().items():
            statuses = [(other, known.get(other.id, other.status)) for other in jobs]
            for other, status in statuses:
                if status.final and kind in _WANTED and (status.state is JobState.COMPLETED) != (kind == 'after_ok'):
                    raise SubmitException(
                        f'Job {job.id} can never run, and was not submitted: job {other.native_id}, which was to '
                        f'{_WANTED[kind]} before it ({kind}), is {status.state}.')
            left[kind] = _native_ids(other for other, status in statuses if not status.final)
        return Dependencies(**left)


def check_others(
    executor: JobExecutor, job: Job, after_ok: Iterable[Job], after_any: Iterable[Job], after_not_ok: Iterable[Job],
) -> Others:
    """Make sure that a job can wait for others.

    :raises TypeError: if they are no jobs.
    :raises InvalidJobException: if one is the job itself, was not submitted, or belongs to another executor, or if one
        is both to complete and to fail.
    """
    given = {'after_ok': after_ok, 'after_any': after_any, 'after_not_ok': after_not_ok}
    others = Others(**{kind: tuple(list_of_jobs(kind, jobs)) for kind, jobs in given.items()})
    for kind, jobs in others._asdict().items():
        for other in jobs:
            if other is job:
                raise InvalidJobException(f'{kind}: job {job.id} cannot wait for itself.')
            if other.executor is None or other.native_id is None:
                raise InvalidJobException(f'{kind}: job {other.id} was not submitted, so that nothing can wait for it.')
            if other.executor is not executor:
                raise InvalidJobException(
                    f'{kind}: job {other.native_id} belongs to another executor ({other.executor!r}); if it is with '
                    'the same scheduler, attach to it here.')
    for other in {*others.after_ok} & {*others.after_not_ok}:
        raise InvalidJobException(f'after_ok, after_not_ok: job {other.native_id} cannot both complete and fail.')
    return others


def _native_ids(jobs: Iterable[Job]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(job.native_id for job in jobs if job.native_id is not None))
