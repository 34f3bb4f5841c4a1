"""Measures what is promised of speed, side by side with bare commands in one run: `python benchmarks/run.py [JSON]`.

Needs a Slurm that answers, and in `PSIJ_EXT_BENCH_OTHERS` a Python that has psij-python and submitit; `scripts/bench`
sees to both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import bulk
import flight
import following
import growth
import keeping
import waiting
from cluster import cancel_all, executor_of_its_own
from measure import Row, report
from parsing import parsing

from psij_ext import Job, JobAttributes, JobExecutor, JobSpec
from psij_ext.executors.bulk import BulkExecutor

IMPORT_LIMIT = 0.060
ROUNDS = 10
ROUNDS_OF_JOBS = 30
JOBS_A_ROUND = 20
ROUNDS_OF_MANY = 3
JOBS_A_BATCH = 1_000


def import_time() -> Row:
    """The time of `import psij_ext` beyond that of starting Python, against its limit of 60 ms."""
    beyond = []
    for _ in range(ROUNDS):
        times = {}
        for statement in ('pass', 'import psij_ext'):
            started = time.perf_counter()
            subprocess.run([sys.executable, '-c', statement], check=True)
            times[statement] = time.perf_counter() - started
        beyond.append(times['import psij_ext'] - times['pass'])
    median = statistics.median(beyond)
    return Row(
        'import psij_ext', f'{median * 1000:.1f} ms', f'{IMPORT_LIMIT * 1000:.0f} ms', median / IMPORT_LIMIT, 1.0)


def submission() -> Row:
    """`submit()` of held jobs against `sbatch` of the same script by subprocess.run, in alternating rounds.

    The ratio is the median of those of the rounds: each compares what was done within one quarter of a second, since a
    controller slows down by half while thousands of jobs come in.
    """
    attributes = JobAttributes(custom_attributes={'slurm.hold': None})
    ours, bare = [], []
    with executor_of_its_own() as executor:
        script = submit(executor, attributes, 1)[1]
        for _ in range(ROUNDS_OF_JOBS):
            ours.append(submit(executor, attributes, JOBS_A_ROUND)[0])
            bare.append(submit_bare(script, executor.work_directory, JOBS_A_ROUND))
        cancel_all()
    ours_median, bare_median = statistics.median(ours) / JOBS_A_ROUND, statistics.median(bare) / JOBS_A_ROUND
    ratio = statistics.median(one / other for one, other in zip(ours, bare))
    return Row('submit() on Slurm, one by one', f'{ours_median * 1000:.2f} ms a job',
               f'{bare_median * 1000:.2f} ms a job for a bare sbatch loop', ratio, 1.11)


def submission_of_many() -> list[Row]:
    """`submit_many()` of held jobs, no two of one shape, against a loop of `sbatch` with the script of one of them.

    Beside it, that of what several bare commands at a time take.
    """
    ours, bare, abreast = [], [], []
    with executor_of_its_own() as executor, ThreadPoolExecutor(BulkExecutor.commands_at_once) as threads:
        for number in range(ROUNDS_OF_MANY):
            jobs = [
                Job(JobSpec('/bin/true', attributes=JobAttributes(
                    duration=timedelta(minutes=1 + number * JOBS_A_BATCH + each),
                    custom_attributes={'slurm.hold': None}))) for each in range(JOBS_A_BATCH)]
            started = time.perf_counter()
            executor.submit_many(jobs)
            ours.append(time.perf_counter() - started)
            script = executor.work_directory / jobs[-1].id / 'script'
            bare.append(submit_bare(script, executor.work_directory, JOBS_A_BATCH))
            started = time.perf_counter()
            for _ in threads.map(partial(submit_bare, script, executor.work_directory), [1] * JOBS_A_BATCH):
                pass
            abreast.append(time.perf_counter() - started)
        cancel_all()
    loop = f'{statistics.median(bare) / JOBS_A_BATCH * 1000:.2f} ms a job for a bare sbatch loop'
    return [
        Row('submit_many() on Slurm, jobs that differ in shape',
            f'{statistics.median(ours) / JOBS_A_BATCH * 1000:.2f} ms a job', loop,
            statistics.median(one / other for one, other in zip(ours, bare)), 0.5),
        Row(f'bare sbatch, {BulkExecutor.commands_at_once} at a time',
            f'{statistics.median(abreast) / JOBS_A_BATCH * 1000:.2f} ms a job', loop,
            statistics.median(one / other for one, other in zip(abreast, bare)))]


def submit_bare(script: Path, folder: Path, count: int) -> float:
    """Submit a script some times with nothing but subprocess.run; give the seconds that it took."""
    started = time.perf_counter()
    for _ in range(count):
        subprocess.run(['sbatch', '--parsable', script], check=True, capture_output=True, cwd=folder)
    return time.perf_counter() - started


def submit(executor: JobExecutor, attributes: JobAttributes, count: int) -> tuple[float, Path]:
    """Submit some jobs; give the seconds that it took, and the script of the last."""
    jobs = [Job(JobSpec('/bin/true', attributes=attributes)) for _ in range(count)]
    started = time.perf_counter()
    for job in jobs:
        executor.submit(job)
    return time.perf_counter() - started, executor.work_directory / jobs[-1].id / 'script'


if __name__ == '__main__':
    others = os.environ['PSIJ_EXT_BENCH_OTHERS']
    rows = [
        import_time(), submission(), *submission_of_many(), *bulk.rows(others), *flight.rows(others), *waiting.rows(),
        *parsing(), *following.rows(), *growth.rows(), *keeping.rows()]
    report(rows, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    sys.exit(0 if all(row.met for row in rows) else 1)
