"""How late the ends of jobs are told: `python benchmarks/flight.py COUNT [at_once]` submits some, and prints JSON."""

from __future__ import annotations

import json
import queue
import statistics
import sys
import tempfile
import time
from pathlib import Path

from cluster import QUERIES, CountedCommands, cancel_all, executor_of_its_own, set_partition
from measure import Row, in_a_process
from paced import programs

from psij_ext import Job, JobSpec, JobStatus
from psij_ext.executors.batch import BatchSchedulerExecutorConfig

MEDIAN_LIMIT = 0.050
P99_LIMIT = 0.500
SIZES = (100, 1_000)
INTERVAL = BatchSchedulerExecutorConfig().queue_polling_interval


def rows(others: str) -> list[Row]:
    """Measure it for us and for psij-python, and count the commands of the scheduler in the same runs.

    :param others: the Python that has the other libraries.
    """
    measured = []
    set_partition('OverSubscribe=NO')
    theirs = Flight('others.py', 'ends', SIZES[0], python=others)
    for size in SIZES:
        ours = Flight('flight.py', size)
        what = f'end of a job to its callback, {size} in flight'
        for name, value, limit in (('median', ours.median, MEDIAN_LIMIT), ('p99', ours.p99, P99_LIMIT)):
            measured.append(Row(
                f'{what}, {name}', f'{value * 1000:.0f} ms', f'{limit * 1000:.0f} ms', value / limit, 1.0))
        allowed = 2 + int(ours.seconds / INTERVAL)
        measured.append(Row(
            f'queries from the submission of {size} jobs to the last callback',
            f'{ours.queries} in {ours.seconds:.0f} s ({ours.asked})', f'{allowed}: 2 and one each {INTERVAL:.0f} s',
            ours.queries / allowed, 1.0))
        if size == SIZES[0]:
            crowd = Flight('flight.py', size, 'at_once')
            measured += [
                Row(f'{what}, median', f'{ours.median * 1000:.0f} ms', f'{theirs.median:.1f} s with psij-python',
                    ours.median / theirs.median),
                Row(f'{what}, all started and ended at once, median', f'{crowd.median * 1000:.0f} ms',
                    f'{theirs.median:.1f} s with psij-python', crowd.median / theirs.median),
                Row(f'commands of the scheduler for {size} jobs, those of their scripts included',
                    str(ours.commands), f'{theirs.commands} with psij-python', ours.commands / theirs.commands)]
    return measured


class Flight:
    """What came of jobs that were in flight.

    :param script: the file that submits them and waits for them.
    :param arguments: what it is given.
    :param python: with which it is run.
    """

    def __init__(self, script: str, *arguments: object, python: str = sys.executable) -> None:
        with tempfile.TemporaryDirectory(prefix='psij-bench-') as folder:
            counted = CountedCommands(Path(folder))
            told = in_a_process(script, *arguments, python=python, environment=counted.environment)
            commands = counted.count()
        cancel_all()
        self.seconds: float = told['seconds']
        self.median = statistics.median(told['late'])
        self.p99 = statistics.quantiles(told['late'], n=100)[98]
        self.commands = sum(commands.values())
        self.queries = sum(commands[name] for name in QUERIES)
        self.asked = ', '.join(f'{name} {commands[name]}' for name in QUERIES if commands[name])


def ends(count: int, is_paced: bool) -> dict[str, object]:
    """Submit some jobs; give for each the seconds from its last act to the callback, and those of all of it."""
    told: queue.SimpleQueue[tuple[str, float]] = queue.SimpleQueue()

    def tell(job: Job, status: JobStatus) -> None:
        if status.final:
            told.put((job.id, time.time()))

    with tempfile.TemporaryDirectory() as folder, executor_of_its_own() as executor:
        began = time.time()
        wrote = {}
        jobs = []
        for path, arguments in programs(count, folder, is_paced).items():
            job = Job(JobSpec('/bin/bash', arguments))
            job.set_job_status_callback(tell)
            wrote[job.id] = Path(path)
            jobs.append(job)
        executor.submit_many(jobs)
        late = []
        for _ in jobs:
            job_id, when = told.get(timeout=600)
            late.append(when - float(wrote[job_id].read_text()))
        return {'late': late, 'seconds': time.time() - began}


if __name__ == '__main__':
    print(json.dumps(ends(int(sys.argv[1]), is_paced=sys.argv[2:] != ['at_once'])))
