"""The jobs that this user has submitted, as their folders and their schedulers tell of them."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Tuple

from psij_ext.cli.choice import Choice, open_executor
from psij_ext.cli.errors import Failure, told
from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import PsijExtError
from psij_ext.executors.remembering import read_spec
from psij_ext.executors.returning import ReturningExecutor
from psij_ext.runtime.ending import kept_end
from psij_ext.runtime.finding import job_folders, read_journals
from psij_ext.runtime.index_rebuild import executor_folders
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.look import Look, record_silently
from psij_ext.runtime.work_directories import known_work_directories

logger = logging.getLogger(__name__)

_MOST_CANDIDATES = 5
_LENGTH_OF_SHORT_ID = 8
_LAST = '@last'

Place = Tuple[str, Path]


@dataclass(frozen=True)
class KnownJob:
    """One job of this user's.

    :param number: its place among all of them, oldest first.
    :param folder: its folder.
    :param native_id: what its scheduler calls it.
    :param executor_name: where it was submitted.
    :param submitted: when, in seconds since the epoch.
    """

    number: int
    folder: JobFolder
    native_id: str
    executor_name: str
    submitted: float

    @property
    def place(self) -> Place:
        """Where its scheduler is asked: its executor, and the work directory that this has."""
        return self.executor_name, self.folder.path.parent.parent

    def __str__(self) -> str:
        return f'{self.folder.job_id[:8]} ({self.native_id} on {self.executor_name})'


@dataclass(frozen=True)
class Seen:
    """What a look at some jobs gave.

    :param jobs: the jobs by their ids.
    :param missing: the ids of those that their scheduler does not know and that left no record of an end.
    :param troubles: which executors could not be asked, and why.
    :param executors: the executors by their places.
    """

    jobs: Mapping[str, Job]
    missing: frozenset[str]
    troubles: Mapping[str, str]
    executors: Mapping[Place, ReturningExecutor]

    def there(self, jobs: Sequence[KnownJob]) -> list[KnownJob]:
        """Leave out the jobs that were removed after they had been listed."""
        return [known for known in jobs if known.folder.job_id in self.jobs]

    def all_there(self, jobs: Sequence[KnownJob]) -> list[KnownJob]:
        """Return jobs that somebody has named.

        :raises Failure: if one was removed after they had been listed.
        """
        gone = [known for known in jobs if known.folder.job_id not in self.jobs]
        if gone:
            raise Failure(f'{", ".join(map(str, gone[:_MOST_CANDIDATES]))}: removed at this moment, by a prune.')
        return list(jobs)


def known_jobs(work_directory: Path | None) -> list[KnownJob]:
    """Return the jobs whose folders lie in a work directory, oldest first.

    :param work_directory: where to look; if None, all work directories that this user is known to have used.
    """
    roots = known_work_directories() if work_directory is None else [work_directory.absolute()]
    found = []
    for executor_folder in [each for root in roots for each in _executor_folders(root)]:
        for journal, folder in read_journals(job_folders(executor_folder)):
            native_id = journal.native_id
            if native_id is not None:
                found.append((journal.submitted or 0.0, folder.origin, folder, native_id, executor_folder.name))
    return [KnownJob(number, folder, native_id, name, submitted)
            for number, (submitted, _, folder, native_id, name) in enumerate(sorted(found, key=lambda row: row[:2]), 1)]


def _executor_folders(root: Path) -> list[Path]:
    try:
        return executor_folders(root)
    except OSError as error:
        logger.warning('The jobs in %s cannot be told: %s', root, error)
        return []


def select(jobs: Sequence[KnownJob], words: Iterable[str]) -> list[KnownJob]:
    """Return the jobs that somebody names, each once.

    :param jobs: all jobs, oldest first.
    :param words: for each job its id or a part of it that no other has, its native id, `@` with its number, or `@last`;
        the native id of an array names all of its elements.
    :raises Failure: if a word names none, or several.
    """
    chosen: dict[str, KnownJob] = {}
    for word in words:
        matching = _named(jobs, word)
        elements = [] if matching else _elements(jobs, word)
        matching = matching or elements or _with_part_of_id(jobs, word)
        if not matching:
            raise Failure(f'There is no job {word!r}; psij-ext ls shows those there are.')
        if len(matching) > 1 and not elements:
            shown = ', '.join(map(str, matching[:_MOST_CANDIDATES]))
            more = ', ...' if len(matching) > _MOST_CANDIDATES else ''
            raise Failure(f'{word!r} may be any of {len(matching)} jobs: {shown}{more}. Write more of its id.')
        chosen.update((job.folder.job_id, job) for job in matching)
    return list(chosen.values())


def _named(jobs: Sequence[KnownJob], word: str) -> list[KnownJob]:
    if word.startswith('@'):
        wanted = len(jobs) if word == _LAST else word[1:]
        return [job for job in jobs if str(job.number) == str(wanted)]
    # A scheduler that lost its state gives ids again; the newest job of an executor has the id now.
    by_native_id = list({job.executor_name: job for job in jobs if job.native_id == word}.values())
    stems = [job for job in jobs if job.native_id.startswith((f'{word}.', f'{word};'))]
    return [job for job in jobs if job.folder.job_id == word] or by_native_id or stems


def _elements(jobs: Sequence[KnownJob], word: str) -> list[KnownJob]:
    """Return the elements of the array that its scheduler calls so, as `12` or `77[]`; of the newest one."""
    arrays: dict[JobFolder, list[KnownJob]] = defaultdict(list)
    for job in jobs:
        if job.folder.is_shared:
            arrays[job.folder.submission].append(job)
    named = [elements for array, elements in arrays.items()
             if f'{array.read_journal().native_id}.'.startswith((f'{word}.', f'{word};'))]
    return named[-1] if named else []


def _with_part_of_id(jobs: Sequence[KnownJob], word: str) -> list[KnownJob]:
    """Return the jobs whose ids have a part in them; a number is none, since schedulers' ids are numbers."""
    if word.isdecimal() and len(word) < _LENGTH_OF_SHORT_ID:
        return []
    return [job for job in jobs if word and word in job.folder.job_id]


def look_at(jobs: Sequence[KnownJob], usage: bool = False) -> Seen:
    """Look at jobs once, with one query for each of their executors.

    :param usage: whether they are asked, too, what jobs used that are over, where that is not known.
    """
    by_place: dict[Place, list[KnownJob]] = defaultdict(list)
    for job in jobs:
        by_place[job.place].append(job)
    found: dict[str, Job] = {}
    missing: frozenset[str] = frozenset()
    troubles: dict[str, str] = {}
    executors: dict[Place, ReturningExecutor] = {}
    for (name, root), group in by_place.items():
        try:
            executors[name, root] = open_executor(Choice(name), root)
            seen = executors[name, root].look([job.folder for job in group], usage)
        except PsijExtError as error:
            seen = Look({job.folder.job_id: _unasked(job) for job in group}, trouble=error)
        found.update(seen.jobs)
        missing |= seen.missing
        if seen.trouble is not None:
            troubles[name] = told(seen.trouble)
    return Seen(found, missing, troubles, executors)


def _unasked(known: KnownJob) -> Job:
    """Make what can be had of a job whose executor cannot be had."""
    job = Job(read_spec(known.folder))
    job._set_id(known.folder.job_id)
    job._set_native_id(known.native_id)
    status, exit_info = kept_end(known.folder) or (JobStatus(JobState.QUEUED, time=known.submitted), None)
    record_silently(job, status, exit_info, requeued=False)
    return job
