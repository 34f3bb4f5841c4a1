"""Rows as squeue and sacct print them for us, and what is read out of one."""

from __future__ import annotations

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.executors.batch.slurm_accounting import parse_accounting
from psij_ext.executors.batch.slurm_records import parse_queue


# JobArrayID, JobID, StartTime, SubmitTime, EndTime, TimeUsed, NumNodes, NumCPUs, NodeList, State, exit_code, RestartCnt, TimeLimit, Cluster, Reason
def queue_row(native_id: str = '12', state: str = 'RUNNING', status: str | int = 0, restarts: str | int = 0, start: str | int = 'N/A',
              cluster: str = 'c', reason: str = 'None', raw_id: str | None = None, limit: str = '1:00:00',
              used: str = '1795260860|N/A|0:00|1|1|') -> str:
    raw_id = native_id if raw_id is None else raw_id
    return f'{native_id}|{raw_id}|{start}|{used}|{state}|{status}|{restarts}|{limit}|{cluster}|{reason}|\n'


# JobID, JobIDRaw, State, ExitCode, Cluster, Submit, Start, End, ElapsedRaw, TotalCPU, AllocCPUS, NNodes, NodeList, MaxRSS, MaxVMSize
def account_row(native_id: str = '12', state: str = 'RUNNING', exit_code: str = '0:0', cluster: str = 'c', raw_id: str | None = None,
                used: str = '1795260872|1795260873|1795260878|5|00:02.500|2|1|node1||') -> str:
    return f'{native_id}|{native_id if raw_id is None else raw_id}|{state}|{exit_code}|{cluster}|{used}\n'


def queued(state: str, status: str | int = 0, restarts: str | int = 0, start: str | int = 'N/A', reason: str = 'None',
           used: str = '1795260860|N/A|0:00|1|1|') -> Observation:
    return parse_queue(queue_row('12', state, status, restarts, start, reason=reason, used=used))['12']


def accounted(state: str, exit_code: str = '0:0', used: str | None = None) -> Observation:
    row = account_row('12', state, exit_code) if used is None else account_row('12', state, exit_code, used=used)
    return parse_accounting(row)['12']


def result(observation: Observation) -> tuple[JobState, ExitReason | None, int | None, int | None]:
    return observation.status.state, observation.reason, observation.status.exit_code, observation.signal
