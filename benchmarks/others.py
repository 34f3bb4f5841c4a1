"""Measures psij-python and submitit by their public interfaces, in a Python that has them and not ours.

    python benchmarks/others.py submissions ONE_BY_ONE SIZE...     the seconds that submissions take
    python benchmarks/others.py ends COUNT                         how late the ends of jobs are told

The last line that it prints is JSON.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import sys
import tempfile
import time
from pathlib import Path

from paced import programs

# psij-python keeps its files below the home directory, and submitit where it is told.
FOLDER = tempfile.mkdtemp(prefix='psij-bench-others-')
os.environ['HOME'] = FOLDER

import psij  # noqa: E402
import submitit  # noqa: E402
import submitit.helpers  # noqa: E402


def submissions(one_by_one: int, *sizes: int) -> dict[str, object]:
    """Submit jobs with psij-python one by one, and arrays of these sizes with submitit; give the seconds of each."""
    executor = psij.JobExecutor.get_instance('slurm')
    jobs = [psij_job('/bin/true', [str(number)]) for number in range(one_by_one)]
    began = time.perf_counter()
    for job in jobs:
        executor.submit(job)
    seconds = time.perf_counter() - began
    arrays = {}
    for size in sizes:
        other = submitit_executor(size)
        began = time.perf_counter()
        other.map_array(abs, range(size))
        arrays[str(size)] = time.perf_counter() - began
    return {'psij-python': seconds, 'submitit': arrays}


def ends(count: int) -> dict[str, object]:
    """Give for each of some jobs of psij-python the seconds from its last act to the callback."""
    told: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()

    class Told(psij.JobStatusCallback):  # type: ignore[misc]
        def job_status_changed(self, job: psij.Job, status: psij.JobStatus) -> None:
            if status.final:
                told.put((job.id, time.time()))

    executor, wrote, told_of = psij.JobExecutor.get_instance('slurm'), {}, Told()
    began = time.time()
    for path, arguments in programs(count, FOLDER).items():
        job = psij_job('/bin/bash', arguments)
        wrote[job.id] = path
        job.set_job_status_callback(told_of)
        executor.submit(job)
    late = []
    for _ in range(count):
        job_id, when = told.get(timeout=600)
        late.append(when - float(Path(wrote[job_id]).read_text()))
    return {'late': late, 'seconds': time.time() - began}


def psij_job(executable: str, arguments: list[str]) -> psij.Job:
    """Make a job of psij-python."""
    return psij.Job(psij.JobSpec(
        executable=executable, arguments=arguments, resources=psij.ResourceSpecV1(), attributes=psij.JobAttributes()))


def submitit_executor(at_once: int) -> submitit.AutoExecutor:
    """Make an executor of submitit that lets as many jobs of an array run as there is room for."""
    executor = submitit.AutoExecutor(folder=f'{FOLDER}/submitit', cluster='slurm')
    executor.update_parameters(timeout_min=10, slurm_array_parallelism=at_once)
    return executor


if __name__ == '__main__':
    measure = {'submissions': submissions, 'ends': ends}[sys.argv[1]]
    print(json.dumps(measure(*map(int, sys.argv[2:]))), flush=True)
    shutil.rmtree(FOLDER, ignore_errors=True)
    os._exit(0)  # psij-python's threads do not end by themselves
