"""Submitting many jobs in one call: a few submit commands side by side, and one error that tells of all that failed."""

from __future__ import annotations

import builtins
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import List, NamedTuple

from psij_ext.core.checks import Known
from psij_ext.core.job import Job, list_of_jobs
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException, NotAllSubmitted, PsijExtError, SubmitException, SubmitUncertain
from psij_ext.executors.submitting import SubmittingExecutor
from psij_ext.runtime.script import make_absolute


class Given(NamedTuple):
    """A job, and a copy of it with an absolute spec that nobody else changes."""

    job: Job
    copied: Job
    spec: JobSpec  # that of the copy


Batch = List[Given]


class Failures:
    """Why jobs of a batch were not submitted."""

    def __init__(self) -> None:
        self.by_job: dict[str, PsijExtError] = {}
        self._lock = threading.Lock()
        self._busy: SubmitException | None = None

    @property
    def scheduler_is_busy(self) -> bool:
        """Whether it refused a job for a reason that may pass, and went on to for as long as that was tried."""
        return self._busy is not None

    def add(self, batch: Batch, error: PsijExtError) -> None:
        with self._lock:
            self.by_job.update((each.job.id, error) for each in batch)
            if isinstance(error, SubmitException) and error.transient:
                self._busy = error

    def leave_out(self, batch: Batch) -> None:
        error = SubmitException(
            f'This was not tried after another job of the batch had been refused: {self._busy}', transient=True)
        self.by_job.update((each.job.id, error) for each in batch)


class BulkExecutor(SubmittingExecutor):
    """An executor that submits many jobs in one call."""

    # More keep a controller no busier, since it takes jobs one after the other.
    commands_at_once = 4

    def submit_many(self, jobs: Iterable[Job]) -> None:
        """Hand jobs to the scheduler; each that it took has its native id afterwards.

        Each is a job of its own, with its own description, also where several become elements of one array: those that
        ask for the same resources and attributes, if the scheduler knows arrays. All descriptions are looked at before
        the first job is submitted. A scheduler that is too busy, and stays so for `submit_retry_time`, is given no more
        of them.

        :param jobs: jobs that were not submitted yet.
        :raises InvalidJobException: if one of them cannot be run as it is written, or was submitted before, or is among
            them twice; then nothing was submitted.
        :raises NotAllSubmitted: if some were not submitted; these are FAILED with the reason SUBMIT_FAILED, so that
            nobody waits for them in vain. The others were submitted and are followed.
        """
        chosen = list_of_jobs('submit_many: jobs', jobs)
        batches = self._batches(self._check_many(chosen))
        failures = Failures()
        # What cannot go together after all.
        divided: builtins.list[Batch] = []

        def submit(batch: Batch) -> None:
            if failures.scheduler_is_busy:
                failures.leave_out(batch)
                return
            try:
                if len(batch) == 1:
                    self._submit_described(batch[0].job, batch[0].spec)
                else:
                    divided.extend(self._submit_together(batch, failures))
            except PsijExtError as error:
                failures.add(batch, error)

        # An interrupt leaves alone what was not begun, and waits for what was.
        with ThreadPoolExecutor(self.commands_at_once, f'psij-ext submitting to {self.name}') as threads:
            while batches:
                for _ in threads.map(submit, batches):
                    pass
                batches = divided.copy()
                divided.clear()
        for job in chosen:
            error = failures.by_job.get(job.id)
            if error is not None and not isinstance(error, SubmitUncertain):
                job._bind(self)
                self._end_unsubmitted(job, str(error))
        if failures.by_job:
            raise NotAllSubmitted(
                {job.id: failures.by_job[job.id] for job in chosen if job.id in failures.by_job}, len(chosen))

    # -- what subclasses may do better

    def _batches(self, given: Sequence[Given]) -> builtins.list[Batch]:
        """Divide jobs into those that one command is to submit; here one each."""
        return [[each] for each in given]

    def _submit_together(self, batch: Batch, failures: Failures) -> builtins.list[Batch]:
        """Submit several jobs with one command, or with as few as possible.

        :param failures: told why jobs were not submitted.
        :return: those that cannot be submitted so, in batches in which they may be.
        """
        return [[each] for each in batch]

    # -- the steps

    def _check_many(self, jobs: builtins.list[Job]) -> builtins.list[Given]:
        """Take a copy of each job with an absolute spec."""
        seen: set[str] = set()
        given = []
        here = Path.cwd()
        known: Known = {}
        for number, job in enumerate(jobs, 1):
            try:
                spec = make_absolute(self._check_job(job, known), here)
                given.append(Given(job, job._described_as(spec), spec))
                if job.executor is not None:
                    raise InvalidJobException(f'Job {job.id} is being submitted just now')
                if job.id in seen:
                    raise InvalidJobException(f'Job {job.id} is given twice')
            except InvalidJobException as error:
                raise InvalidJobException(
                    f'Job {number} of {len(jobs)}: {str(error).rstrip(".")}. Nothing was submitted.', error) from error
            seen.add(job.id)
        return given
