"""Submitting many jobs of one shape to Slurm, beside a bare `sbatch --array`, submitit and psij-python."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Sequence

from cluster import cancel_all, executor_of_its_own, nothing_starts
from measure import Row, in_a_process

from psij_ext import Job, JobSpec

SIZES = (100, 1_000, 10_000)
ROUNDS = 5
ONE_BY_ONE = 200
OWN_LIMIT = 50e-6
AGAINST_PSIJ = 0.01


def rows(others: str) -> list[Row]:
    """Measure all of it.

    :param others: the Python that has the other libraries.
    """
    measured = []
    with nothing_starts():
        theirs = in_a_process('others.py', 'submissions', ONE_BY_ONE, *SIZES, python=others)
        cancel_all()
        one_by_one = theirs['psij-python'] / ONE_BY_ONE
        measured.append(_single(one_by_one))
        for size in SIZES:
            ours, bare = _rounds(size)
            measured.append(_row(f'submit_many() of {size} jobs of one shape', ours, size, 'submitit',
                                 theirs['submitit'][str(size)] / size))
        measured.append(_row(measured[-1].what, ours, size, f'psij-python, {ONE_BY_ONE} jobs', one_by_one,
                             AGAINST_PSIJ))
    own = statistics.median(one - other for one, other in zip(ours, bare)) / size
    measured.append(Row(
        f'own time of submit_many() of {size} jobs, above a bare sbatch --array', f'{own * 1e6:.1f} us a job',
        f'{OWN_LIMIT * 1e6:.0f} us; the bare command took {statistics.median(bare) * 1000:.1f} ms', own / OWN_LIMIT,
        1.0))
    return measured


def _row(what: str, ours: Sequence[float], size: int, whose: str, theirs: float, limit: float | None = None) -> Row:
    a_job = statistics.median(ours) / size
    return Row(what, f'{1 / a_job:,.0f} a second', f'{1 / theirs:,.0f} a second with {whose}', a_job / theirs, limit)


def _single(theirs: float) -> Row:
    jobs = _jobs(ONE_BY_ONE)
    with executor_of_its_own() as executor:
        began = time.perf_counter()
        for job in jobs:
            executor.submit(job)
        seconds = time.perf_counter() - began
        cancel_all()
    return _row(f'submit() of {ONE_BY_ONE} jobs', [seconds], ONE_BY_ONE, 'psij-python', theirs)


def _rounds(size: int) -> tuple[list[float], list[float]]:
    """Return the seconds that `submit_many` took, and the bare command with the same script, in alternating rounds."""
    ours, bare = [], []
    for _ in range(ROUNDS):
        jobs = _jobs(size)
        # A new one each time, which has no jobs of the last round to follow.
        with executor_of_its_own() as executor:
            assert executor.site.max_array_size is not None  # asked once in its life, and here not measured
            began = time.perf_counter()
            executor.submit_many(jobs)
            ours.append(time.perf_counter() - began)
            script, = executor.work_directory.glob('*/script')
            began = time.perf_counter()
            subprocess.run(['sbatch', '--parsable', f'--array=0-{size - 1}', script], check=True, capture_output=True,
                           cwd=script.parent)
            bare.append(time.perf_counter() - began)
        cancel_all()
    return ours, bare


def _jobs(count: int) -> list[Job]:
    return [Job(JobSpec('/bin/true', [str(number)], name=f'sim-{number}')) for number in range(count)]
