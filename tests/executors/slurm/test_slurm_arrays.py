"""Job arrays of Slurm as wholes: never over by guess."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from slurm_rows import account_row, queue_row, result

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observations
from psij_ext.core.state import JobState
from psij_ext.executors.batch.slurm_accounting import parse_accounting
from psij_ext.executors.batch.slurm_arrays import read_id
from psij_ext.executors.batch.slurm_records import parse_queue

DATA = Path(__file__).parents[2] / 'data' / 'slurm'
NEW, QUEUED, ACTIVE = JobState.NEW, JobState.QUEUED, JobState.ACTIVE
COMPLETED, FAILED, CANCELED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELED


# -- ids


@pytest.mark.parametrize(('text', 'indices', 'whole'), [
    ('12_[4-9]', [4, 5, 6, 7, 8, 9], True), ('12_[4-9%2]', [4, 5, 6, 7, 8, 9], True), ('12_[1,3,5-7]', [1, 3, 5, 6, 7], True),
    ('12_[0-21:7]', [0, 7, 14, 21], True), ('12_[7]', [7], True), ('12_[0]', [0], True),
    # Seen without SLURM_BITSTR_LEN=0; where the list ends, a number may be cut.
    ('12_[0-1,3,33,35,37,39', [0, 1, 3, 33, 35, 37], False), ('12_[0-1,3,...', [0, 1, 3], False), ('12_[0-1,3,...]', [0, 1, 3], False),
    ('12_[1', [], False), ('12_[]', [], False), ('12_[9-4]', [], True), ('12_[1--3]', [], False), ('12_[1-9:0]', [1, 2, 3, 4, 5, 6, 7, 8, 9], True)])
def test_elements_that_wait_share_a_row(text: str, indices: list[int], whole: bool) -> None:
    row = read_id(text)
    assert row is not None
    assert (list(row.indices), row.whole, row.array) == (indices, whole, '12')
    assert list(row.native_ids) == [f'12_{index}' for index in indices]


def test_no_list_is_too_long() -> None:
    row = read_id('12_[0-999999999999,7]')
    assert row is not None
    assert (len(row.indices), row.whole) == (100_000, False)


@pytest.mark.parametrize('text', ['', '12_', '_3', '12_3_4', '12_[1]x', '12.batch', '12_3.0', 'x', '12 3', '１２'])
def test_what_is_no_id(text: str) -> None:
    assert read_id(text) is None


def test_an_element_beyond_the_end_of_a_list_is_not_absent() -> None:
    for seen in (parse_queue(queue_row('12_[1,3,50,6', 'PENDING', raw_id='12')), parse_accounting(account_row('12_[1,3,50,6', 'PENDING', raw_id='12'))):
        assert seen['12_3'].status.state is QUEUED
        assert seen.may_hide('12_60')
        assert seen.may_hide('12_60;far')
        assert not seen.may_hide('13_60')


# -- arrays as wholes


def state_of_array(parse: Callable[[str], Observations], row: Callable[..., str], elements: list[tuple[str, str, str]]) -> JobState | None:
    """What is said of array 12; of each element are given index, state and raw id."""
    seen = parse(''.join(row(f'12_{index}', state, raw_id=raw_id) for index, state, raw_id in elements)).get('12')
    return None if seen is None else seen.status.state


@pytest.mark.parametrize(('elements', 'state'), [
    ([('0', 'RUNNING', '20'), ('[1-9]', 'PENDING', '12')], ACTIVE),
    ([('[0-9]', 'PENDING', '12')], QUEUED),
    ([('0', 'COMPLETED', '20'), ('[1-9]', 'PENDING', '12')], ACTIVE),      # it has begun
    ([('0', 'FAILED', '20'), ('1', 'RUNNING', '12')], ACTIVE),
    ([('0', 'FAILED', '20'), ('1', 'NODE_FAIL', '12')], NEW),              # it may be requeued
    ([('0', 'CANCELLED', '20'), ('1', 'COMPLETING', '12')], ACTIVE),
    ([('0', 'UNHEARD_OF', '12')], NEW),
    # None is left to run, and one failed.
    ([('7', 'FAILED', '20'), ('8', 'COMPLETED', '12')], FAILED),
    ([('7', 'FAILED', '20'), ('8', 'CANCELLED', '12')], FAILED),
    # All are there: from 0 without a gap, and the last has begun.
    ([('0', 'COMPLETED', '20'), ('1', 'COMPLETED', '12')], COMPLETED),
    ([('0', 'COMPLETED', '20'), ('1', 'CANCELLED', '12')], CANCELED),
    # Those that waited at last were cancelled, or the last one of all.
    ([('[1-3]', 'CANCELLED', '12')], CANCELED),
    ([('1', 'CANCELLED', '12'), ('3', 'CANCELLED', '12')], CANCELED),
    ([('1', 'COMPLETED', '20'), ('3', 'CANCELLED', '12')], CANCELED),
    ([('1', 'RUNNING', '20'), ('[2-3]', 'CANCELLED', '12')], ACTIVE),
    ([('1', 'CANCELLED', '20'), ('3', 'COMPLETED', '12')], NEW),
    # One that failed may have left the queue.
    ([('1', 'COMPLETED', '20'), ('2', 'COMPLETED', '12')], NEW),
    ([('0', 'COMPLETED', '20'), ('2', 'COMPLETED', '12')], NEW),
    ([('0', 'COMPLETED', '20'), ('1', 'COMPLETED', '21')], NEW)])
def test_what_the_queue_says_of_an_array(elements: list[tuple[str, str, str]], state: JobState) -> None:
    assert state_of_array(parse_queue, queue_row, elements) is state


REST = queue_row('12', 'CANCELLED')


@pytest.mark.parametrize(('elements', 'state', 'message'), [
    ([('1', 'RUNNING'), ('2', 'COMPLETED')], ACTIVE, None),
    ([('1', 'COMPLETING')], ACTIVE, None),
    ([('1', 'UNHEARD_OF')], NEW, None),
    ([('1', 'COMPLETED'), ('4', 'COMPLETED')], CANCELED, '1 of its 3 elements'),
    ([('1', 'COMPLETED'), ('4', 'FAILED')], FAILED, '1 of its 3 elements'),
    ([], CANCELED, None)])
@pytest.mark.parametrize('first', [True, False])
def test_an_array_whose_waiting_elements_were_cancelled_one_by_one(
        elements: list[tuple[str, str]], state: JobState, message: str | None, first: bool) -> None:
    """Its own row is over before its elements are."""
    rows = ''.join(queue_row(f'12_{index}', each, raw_id=f'2{index}') for index, each in elements)
    seen = parse_queue(REST + rows if first else rows + REST)
    assert (seen['12'].status.state, seen['12'].status.message) == (state, message)
    assert seen.arrays == ({'12', '12;c'} if elements else set())


def test_a_rest_that_cannot_be_read_is_no_end() -> None:
    seen = parse_queue(queue_row('12_1', 'COMPLETED', raw_id='21') + '12|12|garbled\n')
    assert seen['12'].status.state is NEW


def test_how_an_array_failed() -> None:
    seen = parse_queue(''.join(queue_row(f'12_{index}', state, status, raw_id=raw_id) for index, state, status, raw_id in (
        (0, 'COMPLETED', 0, '20'), (1, 'FAILED', 768, '21'), (2, 'FAILED', 768, '22'), (3, 'COMPLETED', 0, '12'))))['12']
    assert (*result(seen), seen.status.message) == (FAILED, ExitReason.EXITED, 3, None, '2 of its 4 elements')
    assert seen.status.metadata == {'native_state': 'COMPLETED,FAILED'}
    mixed = parse_queue(queue_row('12_0', 'FAILED', 768, raw_id='20') + queue_row('12_1', 'FAILED', 9, raw_id='12'))['12']
    assert result(mixed) == (FAILED, ExitReason.EXITED, None, None)
    timeouts = parse_queue(queue_row('12_0', 'TIMEOUT', 15, raw_id='20') + queue_row('12_1', 'TIMEOUT', 15, raw_id='12'))['12']
    assert result(timeouts) == (FAILED, ExitReason.TIMEOUT, 143, 15)


def test_an_element_that_cannot_be_read_keeps_an_array_from_its_end() -> None:
    rows = queue_row('12_0', 'COMPLETED', raw_id='20') + queue_row('12_1', 'COMPLETED', raw_id='12')
    assert parse_queue(rows)['12'].status.state is COMPLETED
    assert parse_queue(rows + '12_2|garbled\n')['12'].status.state is NEW
    assert parse_queue('12_2|garbled\n')['12'].status.state is NEW


@pytest.mark.parametrize(('elements', 'state'), [
    ([('1', 'COMPLETED', '20'), ('2', 'COMPLETED', '12')], COMPLETED),
    ([('0', 'COMPLETED', '20'), ('7', 'COMPLETED', '21'), ('14', 'COMPLETED', '12')], COMPLETED),
    ([('1', 'COMPLETED', '20'), ('2', 'FAILED', '12')], FAILED),
    ([('1', 'COMPLETED', '20'), ('2', 'NODE_FAIL', '12')], FAILED),
    ([('1', 'COMPLETED', '20'), ('2', 'CANCELLED by 7', '12')], CANCELED),
    ([('1', 'COMPLETED', '20'), ('[2-9]', 'CANCELLED by 7', '12')], CANCELED),
    ([('1', 'COMPLETED', '20'), ('[2-9]', 'PENDING', '12')], ACTIVE),
    ([('1', 'COMPLETED', '20'), ('2', 'RUNNING', '12')], ACTIVE),
    # Seen while accounting lagged behind: later elements were over, and had no rows yet.
    ([('1', 'COMPLETED', '20'), ('2', 'COMPLETED', '21')], None),
    ([('1', 'COMPLETED', '20'), ('2', 'COMPLETED', '21'), ('9', 'COMPLETED', '12')], None)])
def test_what_accounting_says_of_an_array(elements: list[tuple[str, str, str]], state: JobState | None) -> None:
    assert state_of_array(parse_accounting, account_row, elements) is state


def test_an_array_uses_what_its_elements_use_and_says_nothing_of_it() -> None:
    seen = parse_accounting(account_row('12_0', 'COMPLETED', raw_id='20') + account_row('12_1', 'COMPLETED', raw_id='12'))
    assert seen['12'].usage is None
    assert seen['12_1'].usage is not None


def test_arrays_of_two_clusters_are_two() -> None:
    seen = parse_queue(queue_row('12_0', 'RUNNING', raw_id='12', cluster='far') + queue_row('12_0', 'FAILED', 256, raw_id='12', cluster='near'), 'near')
    assert {key: seen[key].status.state for key in ('12', '12;near', '12;far')} == {'12': FAILED, '12;near': FAILED, '12;far': ACTIVE}


def test_a_real_array_whose_third_element_failed() -> None:
    for seen in (parse_queue((DATA / 'squeue-cases.txt').read_text())['18'], parse_accounting((DATA / 'sacct-cases.txt').read_text())['18']):
        assert (result(seen), seen.status.message) == ((FAILED, ExitReason.EXITED, 1, None), '1 of its 4 elements')
