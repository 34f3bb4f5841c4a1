"""What sacct is asked for, and what it prints: how jobs ended, and what they used."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from psij_ext.core.exit_info import ResourceUsage
from psij_ext.core.observation import Observation, Observations
from psij_ext.core.status import JobStatus
from psij_ext.executors.batch.slurm_arrays import Array
from psij_ext.executors.batch.slurm_rows import Rows, whole_lines
from psij_ext.executors.batch.slurm_states import Told, as_end, moment, number, observe, seconds

# Fields that sacct(1) has had since before 20.02. None is named by a user; sacct's Reason says why a job waited, and
# nothing of its end.
ACCOUNTING_COLUMNS = (
    'JobID', 'JobIDRaw', 'State', 'ExitCode', 'Cluster', 'Submit', 'Start', 'End', 'ElapsedRaw', 'TotalCPU',
    'AllocCPUS', 'NNodes', 'NodeList', 'MaxRSS', 'MaxVMSize')
ACCOUNTING_FORMAT = ','.join(ACCOUNTING_COLUMNS)

_NO_NODES = ('', 'None assigned')
_STEP = re.compile(r'(\d[\d_+]*)\.[\w.+-]+', re.ASCII)
_SIZE = re.compile(r'(\d{1,18}(?:\.\d{1,9})?)([KMGTPE]?)', re.ASCII)
_UNITS = {unit: 1024 ** power for power, unit in enumerate(('', 'K', 'M', 'G', 'T', 'P', 'E'))}

Record = Mapping[str, str]


def start_time(since: float) -> str:
    """Write when accounts are to begin, a little before a job's submission, because clocks differ."""
    return datetime.fromtimestamp(max(since - 60.0, 0.0)).strftime('%Y-%m-%dT%H:%M:%S')


def parse_accounting(text: str, own_cluster: str | None = None) -> Observations:
    """Read sacct's rows in `ACCOUNTING_FORMAT`: those of jobs, and what their steps used.

    :param text: what sacct printed.
    :param own_cluster: the cluster whose jobs have ids without a cluster's name; None if it is not known.
    :raises ParseError: if it ends in the middle of a line.
    """
    rows = Rows(own_cluster)
    jobs: list[Record] = []
    steps: dict[tuple[str, str], list[Record]] = {}
    for line in whole_lines(text, 'sacct'):
        fields = [field.strip() for field in line.split('|')]
        step = _STEP.fullmatch(fields[0])
        record = dict(zip(ACCOUNTING_COLUMNS, fields))
        if len(fields) != len(ACCOUNTING_COLUMNS) or not record['State']:
            if step is None and len(fields) > 1:
                rows.add_unread(fields[0], fields[1], len(fields) >= len(ACCOUNTING_COLUMNS))
        elif step is not None:
            steps.setdefault((step[1], record['Cluster']), []).append(record)
        else:
            jobs.append(record)
    for job in jobs:
        of_job = steps.get((job['JobID'], job['Cluster']), ())
        rows.add(job['JobID'], job['JobIDRaw'], job['Cluster'], _read_job(job, of_job))
    return rows.finish(Array.in_accounting)


def _read_job(record: Record, steps: Sequence[Record]) -> Observation:
    code, _, signal = record['ExitCode'].partition(':')
    observation = as_end(observe(Told(record['State'], number(code), number(signal))))
    status = observation.status
    if not status.final:
        return observation
    usage = _usage(record, steps)
    ended = status.time if usage.end_time is None else usage.end_time.timestamp()
    return replace(observation, usage=usage, status=JobStatus(
        status.state, ended, status.message, status.exit_code, status.metadata))


def _usage(record: Record, steps: Sequence[Record]) -> ResourceUsage:
    """Read what a job used. sacct measures steps alone; peaks of memory are those of the largest single task.

    A zero was seen to stand for what was not measured or took less than a second, and what a job that never ran would
    have had for what it had.
    """
    ran = record['NodeList'] not in _NO_NODES
    start, elapsed = moment(record['Start']) if ran else None, number(record['ElapsedRaw'])
    cpu_time = seconds(record['TotalCPU'])
    return ResourceUsage(
        wall_time=timedelta(seconds=elapsed) if start is not None and elapsed else None,
        cpu_time=timedelta(seconds=cpu_time) if cpu_time else None,
        cpu_percent=round(100.0 * cpu_time / elapsed, 1) if ran and cpu_time and elapsed else None,
        max_rss=_largest(steps, 'MaxRSS'),
        max_vmem=_largest(steps, 'MaxVMSize'),
        cpus=number(record['AllocCPUS']) or None if ran else None,
        nodes=number(record['NNodes']) or None if ran else None,
        submit_time=moment(record['Submit']),
        start_time=start,
        end_time=moment(record['End']),
        raw={name: value for name, value in record.items() if value})


def _largest(steps: Sequence[Record], name: str) -> int | None:
    return max(filter(None, (_size(step[name]) for step in steps)), default=None)


def _size(text: str) -> int | None:
    """Read a size, such as `1080K` or `1.5M`, in bytes; None if it is none."""
    match = _SIZE.fullmatch(text)
    return None if match is None else int(float(match[1]) * _UNITS[match[2]])
