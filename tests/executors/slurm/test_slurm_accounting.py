"""How jobs ended and what they used, as sacct tells it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from slurm_rows import account_row, accounted, result

from psij_ext.core.exit_info import ExitReason, ResourceUsage
from psij_ext.core.state import JobState
from psij_ext.executors.batch.slurm_accounting import ACCOUNTING_COLUMNS, parse_accounting

DATA = Path(__file__).parents[2] / 'data' / 'slurm'
QUEUED, ACTIVE = JobState.QUEUED, JobState.ACTIVE
COMPLETED, FAILED, CANCELED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELED


def moment(stamp: int) -> datetime:
    return datetime.fromtimestamp(stamp, timezone.utc)


def usage(text: str, native_id: str = '12') -> ResourceUsage:
    used = parse_accounting(text)[native_id].usage
    assert used is not None
    return used


def test_what_a_job_used() -> None:
    text = (account_row('12', 'COMPLETED', used='1795260870|1795260872|1795260876|4|00:02.148|2|1|node1||')
            + account_row('12.batch', 'COMPLETED', used='1795260872|1795260872|1795260876|4|00:00.008|2|1|node1|10828K|1.5M')
            + account_row('12.extern', 'COMPLETED', used='1795260872|1795260872|1795260876|4|00:00:00|2|1|node1|0|0')
            + account_row('12.0', 'COMPLETED', used='1795260873|1795260873|1795260876|3|00:02.140|2|1|node1|1.5G|305492K'))
    used = usage(text)
    assert used.raw is not None
    assert used == ResourceUsage(
        wall_time=timedelta(seconds=4), cpu_time=timedelta(seconds=2.148), cpu_percent=pytest.approx(53.7), max_rss=1_610_612_736,
        max_vmem=312_823_808, cpus=2, nodes=1, submit_time=moment(1795260870), start_time=moment(1795260872), end_time=moment(1795260876),
        raw=used.raw)
    assert used.raw['TotalCPU'] == '00:02.148'
    assert set(used.raw) <= set(ACCOUNTING_COLUMNS)
    assert parse_accounting(text)['12'].status.time == 1795260876


def test_steps_may_come_first_and_belong_to_their_own_job() -> None:
    text = ''.join(account_row(native_id, 'COMPLETED', used=f'1|1|2|1|00:00.001|1|1|n|{size}|', raw_id=raw_id) for native_id, raw_id, size in (
        ('12_3.batch', '31.batch', '7K'), ('12_3', '31', ''), ('12_4', '12', ''), ('12_4.0', '12.0', '9K'), ('1', '1', ''), ('12_4.1', '12.1', '8K')))
    assert [usage(text, native_id).max_rss for native_id in ('12_3', '12_4', '1')] == [7168, 9216, None]
    parts = account_row('7+0', 'COMPLETED', raw_id='7') + account_row('7+0.batch', 'COMPLETED', used='1|1|2|1|00:00.001|1|1|n|5K|', raw_id='7.batch')
    assert usage(parts, '7').max_rss == 5120


def test_the_state_of_a_step_is_not_the_jobs() -> None:
    rows = parse_accounting(account_row('12', 'COMPLETED') + account_row('12.batch', 'FAILED', '1:0') + account_row('12.0', 'OUT_OF_MEMORY', '0:125'))
    assert set(rows) == {'12', '12;c'}
    assert rows['12'].status.state is COMPLETED


def test_a_row_that_lost_the_name_of_its_step_is_not_the_jobs() -> None:
    assert parse_accounting(account_row('12', 'FAILED', raw_id='12.batch'))['12'].status.state is JobState.NEW


@pytest.mark.parametrize('used', [
    'Unknown|Unknown|Unknown||||||||'.replace('||||||||', '|||||||'), '||||||||||'[:-1], '0|0|0|x|x|x|x|n|x|x', 'None|None|None|-1|INVALID|-|0|None assigned||',
    '99999999999999999|99999999999999999|99999999999999999|99999999999999999999|9|9999999999999999999|9999999999999999999|n||'])
def test_what_is_not_known_is_none(used: str) -> None:
    job = parse_accounting(account_row('12', 'CANCELLED by 7', used=used))['12']
    assert job.status.state is CANCELED
    assert job.usage is not None
    assert (job.usage.wall_time, job.usage.cpu_time, job.usage.cpu_percent, job.usage.max_rss, job.usage.max_vmem, job.usage.cpus, job.usage.nodes,
            job.usage.submit_time, job.usage.start_time, job.usage.end_time) == (None,) * 10


def test_a_zero_is_not_known() -> None:
    used = usage(account_row('12', 'COMPLETED', used='1795260870|1795260872|1795260872|0|00:00:00|0|0|node1||')
                 + account_row('12.batch', 'COMPLETED', used='1795260872|1795260872|1795260872|0|00:00:00|1|1|node1|0|0'))
    assert (used.cpu_time, used.cpu_percent, used.max_rss, used.max_vmem, used.cpus, used.nodes) == (None,) * 6
    assert used.wall_time is None  # it began and ended within a second, and its script knows better


def test_a_job_that_never_ran_had_nothing() -> None:
    """Seen on a job that --kill-on-invalid-dep ended: Slurm gives it a start, processors and nodes all the same."""
    used = usage(account_row('12', 'CANCELLED', used='1795260870|1795260872|1795260872|0|00:00:00|1|1|None assigned||'))
    assert (used.wall_time, used.start_time, used.cpus, used.nodes) == (None,) * 4
    assert (used.submit_time, used.end_time) == (moment(1795260870), moment(1795260872))


@pytest.mark.parametrize('state', ['RUNNING', 'PENDING', 'REQUEUED', 'SUSPENDED', 'UNHEARD_OF'])
def test_a_job_that_is_not_over_has_used_nothing_yet(state: str) -> None:
    assert accounted(state).usage is None


def test_a_size_in_every_unit() -> None:
    sizes = {'5': 5, '5K': 5120, '1.5M': 1_572_864, '3M': 3_145_728, '2G': 2 ** 31, '1T': 2 ** 40, '1P': 2 ** 50, '5X': None, 'K': None, '-5K': None, '': None}
    for text, size in sizes.items():
        assert usage(account_row('12', 'FAILED') + account_row('12.0', 'FAILED', used=f'1|1|2|1|00:00.001|1|1|n|{text}|')).max_rss == size


def test_our_own_query_of_accounting() -> None:
    seen = parse_accounting((DATA / 'sacct-cases.txt').read_text())
    plain = {native_id: result(each) for native_id, each in seen.items() if ';' not in native_id}
    done, failed = (COMPLETED, ExitReason.EXITED, 0, None), (FAILED, ExitReason.EXITED, 1, None)
    assert plain == {
        '2': (FAILED, ExitReason.EXITED, 3, None), '3': done, '4': done, '5': (FAILED, ExitReason.EXITED, 3, None),
        '6': (FAILED, ExitReason.SIGNALED, 137, 9),
        '7': (FAILED, ExitReason.EXITED, 9, None),  # here Slurm itself takes 137 for 9
        '8': (FAILED, ExitReason.SIGNALED, 143, 15), '9': (FAILED, ExitReason.LAUNCH_FAILED, None, None),
        '12': (CANCELED, ExitReason.CANCELED, None, None), '13': (CANCELED, ExitReason.CANCELED, None, None),
        '14': (ACTIVE, None, None, None), '15': (ACTIVE, None, None, None), '16': (QUEUED, None, None, None),
        '17': (QUEUED, None, None, None), '20': (QUEUED, None, None, None), '23': (ACTIVE, None, None, None),
        '18_1': done, '18_2': done, '18_3': failed, '18_4': done, '18': failed, '29': done, '30': done, '31': failed,
        '24': done, '25': done, '26': done, '26+0': done, '26+1': done, '27': done}


def test_what_real_jobs_used() -> None:
    """24 computed for two seconds and slept for two with 300 MB; 25 slept on two nodes; 9 could not be set up."""
    seen = parse_accounting((DATA / 'sacct-cases.txt').read_text())
    busy, two, unset = seen['24'].usage, seen['25'].usage, seen['9'].usage
    assert busy is not None and two is not None and unset is not None
    assert busy.cpu_time is not None and busy.wall_time is not None and busy.max_rss is not None and busy.cpu_percent is not None
    assert timedelta(seconds=2) <= busy.cpu_time < timedelta(seconds=3)
    assert timedelta(seconds=4) <= busy.wall_time < timedelta(seconds=7)
    assert 300_000_000 <= busy.max_rss < 320_000_000
    assert 30 < busy.cpu_percent < 60
    assert (two.nodes, two.cpus) == (2, 2)
    assert (unset.cpu_time, unset.max_rss, unset.nodes) == (None, None, 1)
