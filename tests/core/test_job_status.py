from __future__ import annotations

import time
from typing import Any

import pytest

from psij_ext import JobState, JobStatus


def test_the_time_is_the_present_unless_given() -> None:
    before = time.time()
    status = JobStatus(JobState.ACTIVE)
    assert before <= status.time <= time.time()
    assert JobStatus(JobState.ACTIVE, time=12).time == 12.0


@pytest.mark.parametrize('state', list(JobState))
def test_a_status_is_final_if_its_state_is(state: JobState) -> None:
    assert JobStatus(state).final is state.final


def test_statuses_are_equal_by_content() -> None:
    one = JobStatus(JobState.FAILED, 5.0, 'no', 3, {'native_state': 'F'})
    assert one == JobStatus(JobState.FAILED, 5.0, 'no', 3, {'native_state': 'F'})
    assert one != JobStatus(JobState.FAILED, 5.0, 'no', 4, {'native_state': 'F'})
    assert one != JobStatus(JobState.FAILED, 5.0, 'no', 3)


def test_a_status_is_readable() -> None:
    status = JobStatus(JobState.FAILED, 5.0, 'no disk', 3)
    assert str(status) == 'FAILED, exit code 3, no disk'
    assert repr(status) == "JobStatus(state=<JobState.FAILED: 7>, time=5.0, message='no disk', exit_code=3)"


@pytest.mark.parametrize(
    ('field', 'value', 'error'),
    [
        ('state', 'ACTIVE', TypeError),
        ('time', 'now', TypeError),
        ('time', True, TypeError),
        ('time', float('nan'), ValueError),
        ('message', 5, TypeError),
        ('exit_code', True, TypeError),
        ('exit_code', '0', TypeError),
        ('metadata', ['x'], TypeError),
        ('metadata', {1: 'x'}, TypeError),
    ],
)
def test_a_wrong_value_is_refused(field: str, value: Any, error: type[Exception]) -> None:
    status = JobStatus(JobState.ACTIVE, 1.0)
    with pytest.raises(error, match=rf'^JobStatus\.{field}: '):
        setattr(status, field, value)
    assert status == JobStatus(JobState.ACTIVE, 1.0)


def test_a_message_may_hold_whatever_a_scheduler_printed() -> None:
    assert JobStatus(JobState.FAILED, message='a\0b\udcff').message == 'a\0b\udcff'
