from __future__ import annotations

import pytest

from psij_ext import JobState

FINAL = [JobState.COMPLETED, JobState.FAILED, JobState.CANCELED]
ORDERED = [
    JobState.NEW, JobState.QUEUED, JobState.STAGE_IN, JobState.ACTIVE, JobState.STAGE_OUT, JobState.CLEANUP,
]  # fmt: skip


@pytest.mark.parametrize('state', list(JobState))
def test_a_state_is_printed_as_its_name(state: JobState) -> None:
    assert str(state) == state.name
    assert f'{state}' == state.name


def test_the_final_states() -> None:
    assert [state for state in JobState if state.final] == FINAL


@pytest.mark.parametrize('earlier', range(len(ORDERED)))
def test_a_state_follows_all_before_it(earlier: int) -> None:
    for later in [*ORDERED[earlier + 1 :], *FINAL]:
        assert later.is_greater_than(ORDERED[earlier]) is True
        assert ORDERED[earlier].is_greater_than(later) is False


@pytest.mark.parametrize('state', list(JobState))
def test_no_state_follows_itself(state: JobState) -> None:
    assert state.is_greater_than(state) is False


@pytest.mark.parametrize('one', FINAL)
@pytest.mark.parametrize('other', FINAL)
def test_neither_of_two_final_states_follows_the_other(one: JobState, other: JobState) -> None:
    if one is not other:
        assert one.is_greater_than(other) is None
