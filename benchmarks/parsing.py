"""Measures what it costs to read an answer about 10,000 live jobs: `python benchmarks/parsing.py [JSON]`.

The rows and records have the shape of those in `tests/data`. Counted is the CPU time of this process.
"""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Callable

from measure import Row, report

from psij_ext.core.observation import Observation
from psij_ext.executors.batch.pbspro import PBSProJobExecutor
from psij_ext.executors.batch.slurm import SlurmJobExecutor
from psij_ext.runtime.command import CommandResult

JOBS = 10_000
ROUNDS = 7
CPU_LIMIT = 0.080
# What a first answer says of the jobs has to be made, once.
FIRST_LIMIT = 0.110
MEMORY_LIMIT = 1000
RECORD = Path(__file__).parent.parent / 'tests' / 'data' / 'pbspro' / 'dsv-running.stdout'
RECORD_SIZE = 2000

Parse = Callable[[CommandResult], Mapping[str, Observation]]


def parsing() -> list[Row]:
    """The CPU time of one answer of each dialect, and the memory that what was read takes."""
    slurm = SlurmJobExecutor()
    slurm._site = slurm.parse_site(CommandResult(('scontrol',), 0, b'ClusterName = psij\nSLURM_VERSION = 22.05.8\n'))
    qstat = qstat_answer()
    return [
        cpu_time('squeue, half of the jobs waiting', slurm.parse_status, squeue_answer(lambda number: 'N/A')),
        cpu_time('squeue, each waiting job with a start of its own', slurm.parse_status, squeue_answer(str)),
        memory('squeue, each waiting job with a start of its own', slurm.parse_status, squeue_answer(str)),
        cpu_time('qstat, a first time', lambda result: PBSProJobExecutor().parse_status(result), qstat, FIRST_LIMIT),
        cpu_time('qstat, every other time', PBSProJobExecutor().parse_status, qstat),
        memory('qstat', PBSProJobExecutor().parse_status, qstat),
    ]


def cpu_time(what: str, parse: Parse, answer: bytes, limit: float = CPU_LIMIT) -> Row:
    """Measure how long it takes to read an answer, at best."""
    result = CommandResult(('query',), 0, answer)
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        seen = parse(result)
        times.append(time.process_time() - started)
        assert len(seen) == 2 * JOBS, 'each job has two ids'
        del seen
    best = min(times)
    return Row(f'CPU time of reading {len(answer) / 1e6:.1f} MB of {what}', f'{best * 1000:.1f} ms',
               f'{limit * 1000:.0f} ms', best / limit, 1.0)


def memory(what: str, parse: Parse, answer: bytes) -> Row:
    """Measure how much memory what was read takes, with what the reader keeps for the next time."""
    result = CommandResult(('query',), 0, answer)
    tracemalloc.start()
    kept = parse(result)
    used = tracemalloc.get_traced_memory()[0] / len(kept) * 2
    tracemalloc.stop()
    return Row(
        f'memory of what was read of {what}', f'{used:.0f} B a job', f'{MEMORY_LIMIT} B', used / MEMORY_LIMIT, 1.0)


def squeue_answer(start: Callable[[int], str]) -> bytes:
    """Rows of jobs of which every other one runs."""
    rows = []
    for number in range(1_795_260_000, 1_795_260_000 + JOBS):
        id_ = number - 1_794_000_000
        begun, state, reason = (number, 'RUNNING', 'None') if number % 2 else (start(number), 'PENDING', 'Priority')
        used = f'1795259999|{begun}|{number % 9}:{number % 60:02}|1|4|' + f'node{number % 900}' * (number % 2)
        rows.append(f'{id_}|{id_}|{begun}|{used}|{state}|0|0|1:00:00|psij|{reason}|\n')
    return ''.join(rows).encode()


def qstat_answer() -> bytes:
    """Records of running jobs, each on a node of its own, of the size of those of a site's users."""
    record = RECORD.read_text()
    record = record.replace('PBS_O_SYSTEM', 'A=' + 'x' * (RECORD_SIZE - len(record)) + ',PBS_O_SYSTEM')
    return ''.join(record.replace('Job Id: 2929', f'Job Id: {number}').replace('on (pbshost1', f'on (node{number}')
                   for number in range(100_000, 100_000 + JOBS)).encode()


if __name__ == '__main__':
    rows = parsing()
    report(rows, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
    sys.exit(0 if all(row.met for row in rows) else 1)
