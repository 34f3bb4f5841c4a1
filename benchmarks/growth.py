"""How the cost of following grows: `python benchmarks/growth.py COUNT` follows that many jobs, and prints JSON.

The scheduler is one that answers what was recorded. The jobs are elements of arrays, each with a row of its own.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from following import ReplayedSlurm, time_of_a_round
from measure import Row, in_a_process, resident_memory

from psij_ext import Job, JobExecutor, JobSpec
from psij_ext.executors.batch import BatchSchedulerExecutor, BatchSchedulerExecutorConfig
from psij_ext.runtime.command import CommandResult

FEW, MANY = 1_000, 100_000


class ReplayedArrays(ReplayedSlurm):
    """A `ReplayedSlurm` that takes arrays, too."""

    def __init__(self, executor: BatchSchedulerExecutor) -> None:
        super().__init__(executor)
        self._elements: list[str] = []

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        indices = [word.partition('0-')[2] for word in argv if word.startswith('--array=')]
        if argv[0] != self.submit_command or not indices:
            return super().run(argv, timeout=timeout, cwd=cwd, env=env, once_started=once_started)
        count = int(indices[0]) + 1
        array = len(self.running) + 1
        self.running += [False] * count
        self.submitted += [(time.time(), cwd or Path())] * count
        self._elements += [f'{array}_{index}' for index in range(count)]
        return CommandResult(tuple(argv), 0, f'{array}\n'.encode())

    def array_id(self, number: int) -> str:
        return self._elements[number - 1]


def rows() -> list[Row]:
    """Compare the cost of many jobs with that of few."""
    few, many = (in_a_process('growth.py', count) for count in (FEW, MANY))
    return [
        Row(f'{what} of a job, {MANY} followed', f'{many[key] / MANY * factor:.2f} {unit}',
            f'{few[key] / FEW * factor:.2f} {unit} with {FEW}', many[key] / MANY / (few[key] / FEW), 1.0)
        for what, key, factor, unit in (
            ('CPU time of a round', 'round', 1e6, 'us'), ('memory', 'memory', 1e-3, 'kB'))]


def follow(count: int) -> dict[str, float]:
    """Follow jobs in rounds of our own making; give the CPU time of a round and the memory that all of them take."""
    with tempfile.TemporaryDirectory() as folder:
        config = BatchSchedulerExecutorConfig(
            work_directory=folder, initial_queue_polling_delay=3600, queue_polling_interval=3600)
        with JobExecutor.get_instance('slurm', config=config) as executor:
            assert isinstance(executor, BatchSchedulerExecutor)
            scheduler = executor.runner = ReplayedArrays(executor)
            before = resident_memory()
            jobs = [Job(JobSpec('/usr/bin/simulate', ['--seed', str(number)], name=f'sim-{number}'))
                    for number in range(count)]
            executor.submit_many(jobs)
            monitor = executor._get_monitor()
            now = time.monotonic()
            monitor.poll_once(now + 3600)  # the first one looks at every job
            gc.collect()
            memory = resident_memory() - before
            return {'round': time_of_a_round(scheduler, monitor, now), 'memory': memory}


if __name__ == '__main__':
    print(json.dumps(follow(int(sys.argv[1]))))
