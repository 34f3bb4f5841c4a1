"""What squeue and scontrol print; what sacct prints is read in `slurm_accounting`.

Formats were chosen so that no field a user can name is among them, and the reason, the only one of free form, comes
last.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Dict

from psij_ext.core.exit_info import ResourceUsage
from psij_ext.core.observation import Observation, Observations, Site
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import ParseError
from psij_ext.executors.batch.slurm_arrays import Array, is_raw_id, read_id
from psij_ext.executors.batch.slurm_rows import Rows, whole_lines
from psij_ext.executors.batch.slurm_states import Told, moment, number, observe, seconds

# A suffix separates the columns (squeue(1), --Format, since Slurm 20.02); without one, wide columns run into
# one another. What differs from job to job stands first: the rest is the same for most of them, and is read once.
QUEUE_COLUMNS = (
    'JobArrayID', 'JobID', 'StartTime', 'SubmitTime', 'EndTime', 'TimeUsed', 'NumNodes', 'NumCPUs', 'NodeList',
    'State', 'exit_code', 'RestartCnt', 'TimeLimit', 'Cluster', 'Reason')
_DIFFERING = QUEUE_COLUMNS.index('State')
QUEUE_FORMAT = ','.join(f'{column}:|' for column in QUEUE_COLUMNS)

# squeue(1): the folder in which the script runs, which is the one that sbatch was run in.
ORIGIN_FORMAT = 'JobArrayID:|,WorkDir:|'

_ORIGIN = re.compile(r'^(\d{1,18}(?:_(?:\d{1,18}|\[[\d,:.%-]*\]?))?)\|(.*)\|$', re.ASCII | re.MULTILINE)
_DIGITS = re.compile('[0-9]{1,18}')


def parse_origins(text: str) -> dict[str, str]:
    """Read squeue's rows in `ORIGIN_FORMAT`: folders by native id. What is no such row is passed over.

    :raises ParseError: if it ends in the middle of a line, or of a list of elements that wait.
    """
    if text and not text.endswith('\n'):
        raise ParseError(f'The answer of squeue ends in the middle of a line: {text[-80:]!r}')
    origins = {}
    for listed, folder in _ORIGIN.findall(text):
        row = read_id(listed)
        if row is not None and not row.whole:
            raise ParseError(f'squeue does not list all elements of an array: {listed[-80:]!r}')
        if row is not None:
            origins.update(dict.fromkeys(row.native_ids, folder))
    return origins


# What rows say that differ from job to job: of waiting jobs by their expected starts and their rests, of jobs that are
# over by themselves.
Differing = Dict[str, Observation]


def parse_queue(text: str, own_cluster: str | None = None, before: Differing | None = None) -> Observations:
    """Read squeue's rows in `QUEUE_FORMAT`.

    Of a job whose row cannot be read no more is known than that it is in the queue; a row whose very id cannot be read
    may be about any job. Lines that do not look like rows are a site's own words.

    :param text: what squeue printed.
    :param own_cluster: the cluster whose jobs have ids without a cluster's name; None if it is not known.
    :param before: what the answer before this one said that differs from job to job, which is not made anew; it becomes
        what this one says.
    :raises ParseError: if it ends in the middle of a line.
    """
    rows = Rows(own_cluster)
    before = {} if before is None else before
    seen = rows.observations
    # What the rests of the rows say: observation, cluster, and whether the job is over.
    known: dict[str, tuple[Observation, str, bool] | None] = {}
    differing: Differing = {}
    for line in whole_lines(text, 'squeue'):
        first = line.split('|', _DIFFERING)
        if len(first) <= _DIFFERING:
            if len(first) > 1:
                rows.add_unread(first[0], first[1] if len(first) > 3 else '', a_row_for_certain=False)
            continue
        native_id, raw_id, start, submitted, rest = first[0], first[1], first[2], first[3], first[-1]
        if rest not in known:
            known[rest] = _read_rest(rest)
        told = known[rest]
        if told is None:
            rows.add_unread(native_id, raw_id, line.endswith('|') and line.count('|') >= len(QUEUE_COLUMNS))
            continue
        observation, cluster, over = told
        if over:
            observation = differing[line] = before.get(line) or _with_usage(observation, line.split('|'))
        elif start != 'N/A' and observation.status.state is JobState.QUEUED:
            key = f'{start}|{rest}'
            if key not in differing:
                differing[key] = before.get(key) or _with_expected_start(observation, number(start.strip()))
            observation = differing[key]
        if native_id == raw_id and cluster == own_cluster and is_raw_id(native_id):
            # What `add` would do, too; nearly all rows are so.
            seen[native_id] = seen[f'{native_id};{cluster}'] = observation
        else:
            rows.add(native_id, raw_id, cluster, observation)
        seen.stamps[native_id] = submitted
    before.clear()
    before.update(differing)
    return rows.finish(Array.in_queue)


def parse_config(text: str) -> Site:
    """Read what `scontrol show config` tells of a site."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.partition('=')
        if equals:
            values.setdefault(name.strip(), value.strip())
    storage = values.get('AccountingStorageType', '')
    cluster = values.get('ClusterName')
    keeps_ended = _at_least(values.get('MinJobAge', ''))
    return Site(
        product='slurm',
        version=tuple(int(part) for part in _DIGITS.findall(values.get('SLURM_VERSION', ''))[:3]),
        accounting='slurmdbd' in storage if storage else None,
        history=None if keeps_ended is None else keeps_ended > 0.0,
        keeps_ended=keeps_ended,
        max_array_size=number(values.get('MaxArraySize', '')),
        max_script_size=_script_size(values.get('SchedulerParameters')),
        clusters=(cluster,) if cluster else None)


def _script_size(parameters: str | None) -> int | None:
    """Read max_script_size out of SchedulerParameters; 4 MiB where they are silent (slurm.conf(5))."""
    if parameters is None:
        return None
    named = dict(each.strip().partition('=')[::2] for each in parameters.split(','))
    return number(named.get('max_script_size', '')) or 4 * 1024 * 1024


def _read_rest(rest: str) -> tuple[Observation, str, bool] | None:
    """Read a row from its state on, and say whether the job is over; None if that cannot be read."""
    fields = [field.strip() for field in rest.split('|', 5)]
    if len(fields) != 6 or not fields[0] or not fields[5].endswith('|'):
        return None
    state, exit_status, restarts, limit, cluster, reason = fields
    code, signal = _wait_status(exit_status)
    said = observe(Told(state, code, signal, reason[:-1].strip()))
    count = number(restarts)
    return Observation(said.status, said.reason, said.signal, attempt=None if count is None else count + 1,
                       time_limit=seconds(limit)), cluster, said.status.state.final


def _at_least(text: str) -> float | None:
    """Read how long jobs are kept, such as `300 sec`; 0 stands for ever (slurm.conf(5), MinJobAge)."""
    kept = number(text.partition(' ')[0])
    # Slurm counts in whole seconds, so that it may be nearly one less.
    return None if kept is None else kept - 1.0 if kept else math.inf


def _wait_status(text: str) -> tuple[int | None, int | None]:
    """Split a raw wait status, as squeue's exit_code is, into exit code and signal."""
    status = number(text)
    if status is None:
        return None, None
    signal = status & 127
    # Where a signal ended it, the upper bits were seen to hold anything.
    return (None if signal else status >> 8), signal


def _with_usage(observation: Observation, fields: Sequence[str]) -> Observation:
    """Add what the row of a job that is over tells of its run; time in suspension is no time used."""
    record = {name: field.strip() for name, field in zip(QUEUE_COLUMNS, fields)}
    ran = bool(record['NodeList'])  # one that never ran has a start and processors all the same
    used, end = seconds(record['TimeUsed']), moment(record['EndTime'])
    usage = ResourceUsage(
        # Slurm counts in whole seconds: a zero says that it took less than one.
        wall_time=timedelta(seconds=used) if ran and used else None,
        cpus=number(record['NumCPUs']) or None if ran else None,
        nodes=number(record['NumNodes']) or None if ran else None,
        # That of a job that was requeued is the moment of its requeue.
        submit_time=moment(record['SubmitTime']) if observation.attempt == 1 else None,
        start_time=moment(record['StartTime']) if ran else None,
        end_time=end,
        raw={name: value for name, value in record.items() if value})
    status = observation.status
    ended = status.time if end is None else end.timestamp()
    return replace(observation, queue_usage=usage, status=JobStatus(
        status.state, ended, status.message, status.exit_code, status.metadata))


def _with_expected_start(observation: Observation, start: int | None) -> Observation:
    if start is None:
        return observation
    status = observation.status
    metadata = {**(status.metadata or {}), 'expected_start': float(start)}
    return Observation(JobStatus(status.state, status.time, status.message, metadata=metadata), observation.reason,
                       attempt=observation.attempt, time_limit=observation.time_limit)
