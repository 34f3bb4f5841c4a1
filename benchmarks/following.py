"""What it costs to follow 10,000 jobs: the CPU time of a round, its commands, and the memory of a job."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from measure import Row

from psij_ext import Job, JobAttributes, JobExecutor, JobSpec, JobState, ResourceSpecV1
from psij_ext.executors.batch import BatchSchedulerExecutor, BatchSchedulerExecutorConfig
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.monitor import StatusMonitor

ROUND_LIMIT = 0.150
MEMORY_LIMIT = 6000.0
JOBS = 10_000
ROUNDS = 7
CHANGES_A_ROUND = 100
DATA = Path(__file__).parents[1] / 'tests' / 'data'


class ReplayedScheduler:
    """A `CommandRunner` that answers as a scheduler did whose output was recorded, with other ids."""

    submit_command: str
    status_command: str
    site = CommandResult(('site',), 0)

    def __init__(self) -> None:
        self.running: list[bool] = []
        self.submitted: list[tuple[float, Path]] = []  # when, and from which folder: so jobs are told apart
        self.queries = 0

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        if argv[0] == self.submit_command:
            self.running.append(False)
            self.submitted.append((time.time(), cwd or Path()))
            return CommandResult(tuple(argv), 0, f'{self.native_id(len(self.running))}\n'.encode())
        if self.is_status(argv):
            self.queries += 1
            return CommandResult(tuple(argv), 0, b''.join(
                self.row(number, running) for number, running in enumerate(self.running, 1)))
        return self.site

    def is_status(self, argv: Sequence[str]) -> bool:
        return argv[0] == self.status_command

    def native_id(self, number: int) -> str:
        return str(number)

    def row(self, number: int, running: bool) -> bytes:
        raise NotImplementedError

    def start_some(self, count: int) -> None:
        for _ in range(count):
            self.running[self.running.index(False)] = True


class ReplayedSlurm(ReplayedScheduler):
    submit_command, status_command = 'sbatch', 'squeue'
    site = CommandResult(('scontrol',), 0, (DATA / 'slurm' / 'config-no-accounting.txt').read_bytes())

    def __init__(self, executor: BatchSchedulerExecutor) -> None:
        super().__init__()
        asked = next(word for word in executor.get_status_command(['1']) if word.startswith('--Format='))
        self._columns = [column.split(':')[0] for column in asked.removeprefix('--Format=').split(',')]

    def array_id(self, number: int) -> str:
        return str(number)

    def row(self, number: int, running: bool) -> bytes:
        values = {
            'JobID': str(number), 'JobArrayID': self.array_id(number),
            'State': 'RUNNING' if running else 'PENDING',
            'exit_code': '0', 'RestartCnt': '0', 'StartTime': str(1795179691 + number), 'Cluster': 'psij',
            'TimeLimit': '10:00', 'SubmitTime': f'{self.submitted[number - 1][0]:.0f}',
            'EndTime': str(1795180291 + number), 'TimeUsed': f'{number % 10}:{number % 60:02}' if running else '0:00',
            'NumNodes': '1', 'NumCPUs': '1', 'NodeList': f'node{number % 900}' if running else '',
            'Reason': 'None' if running else 'Priority'}
        return ('|'.join(values[column] for column in self._columns) + '|\n').encode()


class ReplayedPBS(ReplayedScheduler):
    submit_command, status_command = 'qsub', 'qstat'

    def __init__(self, executor: BatchSchedulerExecutor) -> None:
        super().__init__()
        recorded = (DATA / 'pbspro' / 'dsv-running.stdout').read_bytes()
        self._running = recorded.partition(b'\x1e')[2]
        self._queued = self._running.replace(b'job_state=R', b'job_state=Q')

    def is_status(self, argv: Sequence[str]) -> bool:
        return super().is_status(argv) and '-B' not in argv

    def native_id(self, number: int) -> str:
        return f'{number}.pbshost1'

    def row(self, number: int, running: bool) -> bytes:
        record = (self._running if running else self._queued).replace(
            b'Output_Path=pbshost1:/dev/null',
            b'Output_Path=pbshost1:%s/scheduler.out' % os.fsencode(self.submitted[number - 1][1]))
        return b'Job Id: %s\x1e%s' % (self.native_id(number).encode(), record)


def rows() -> list[Row]:
    measured = []
    for name, kind in (('slurm', ReplayedSlurm), ('pbspro', ReplayedPBS)):
        with tempfile.TemporaryDirectory() as folder:
            measured += _follow(name, kind, folder)
    return measured


def _follow(name: str, kind: type[ReplayedSlurm] | type[ReplayedPBS], folder: str) -> list[Row]:
    """Follow jobs in rounds of our own making: the monitor's thread has nothing to ask for an hour."""
    config = BatchSchedulerExecutorConfig(
        work_directory=folder, initial_queue_polling_delay=3600, queue_polling_interval=3600, max_submit_rate=1e9)
    with JobExecutor.get_instance(name, config=config) as executor:
        assert isinstance(executor, BatchSchedulerExecutor)
        scheduler = executor.runner = kind(executor)
        tracemalloc.start()
        jobs = [_submitted(executor, number) for number in range(JOBS)]
        monitor = executor._get_monitor()
        now = time.monotonic()
        monitor.poll_once(now + 3600)  # the first one looks into every folder
        memory = tracemalloc.get_traced_memory()[0] / JOBS
        tracemalloc.stop()
        scheduler.queries = 0
        seconds = time_of_a_round(scheduler, monitor, now)
        assert sum(job.status.state is JobState.ACTIVE for job in jobs) == ROUNDS * CHANGES_A_ROUND
    return [
        Row(f'a round of following {JOBS} jobs on {name}', f'{seconds * 1000:.0f} ms of CPU',
            f'{ROUND_LIMIT * 1000:.0f} ms', seconds / ROUND_LIMIT, 1.0),
        Row(f'queries a round on {name}', f'{scheduler.queries / ROUNDS:g}', '1', scheduler.queries / ROUNDS, 1.0),
        Row(f'memory of a job that is followed on {name}', f'{memory:.0f} bytes', f'{MEMORY_LIMIT:.0f} bytes',
            memory / MEMORY_LIMIT, 1.0)]


def time_of_a_round(scheduler: ReplayedSlurm | ReplayedPBS, monitor: StatusMonitor, now: float) -> float:
    """Give the CPU time of a round in which some more jobs begin to run, without that of making the answer.

    :param now: when the first round was, less an hour.
    """
    times = []
    for number in range(ROUNDS):
        scheduler.start_some(CHANGES_A_ROUND)
        answer_began = time.process_time()
        b''.join(scheduler.row(*each) for each in enumerate(scheduler.running, 1))
        began = time.process_time()
        monitor.poll_once(now + 7200.0 * (number + 2))
        times.append(time.process_time() - began - (began - answer_began))
    return statistics.median(times)


def _submitted(executor: JobExecutor, number: int) -> Job:
    job = Job(JobSpec(
        '/usr/bin/simulate', ['--seed', str(number)], name=f'sim-{number}',
        resources=ResourceSpecV1(node_count=1, processes_per_node=1),
        attributes=JobAttributes(duration=timedelta(minutes=10), queue_name='debug')))
    executor.submit(job)
    return job
