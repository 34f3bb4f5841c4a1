"""When the queue is asked: how often at most, whatever jobs do, and never so seldom that an answer is missed for long."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext.runtime.schedule import NEVER, Pace, QuerySchedule, Rhythm

FIRST, INTERVAL = 2.0, 30.0
EARLY = 4  # questions that cannot wait, between two regular ones


def started(now: float = 0.0) -> QuerySchedule:
    schedule = QuerySchedule(Rhythm(first=FIRST, interval=INTERVAL))
    schedule.submitted(now)
    return schedule


def queries(schedule: QuerySchedule, until: float, *, open_questions: bool = False) -> list[float]:
    """Answer every query as it comes due; give the times."""
    times = []
    while schedule.next <= until:
        times.append(schedule.next)
        schedule.answered(schedule.next, open_questions=open_questions)
    return times


def test_nothing_is_asked_without_a_job() -> None:
    assert QuerySchedule(Rhythm()).next == NEVER


def test_one_query_comes_soon_and_then_one_an_interval() -> None:
    assert queries(started(), 150.0) == [2.0, 32.0, 62.0, 92.0, 122.0]


def test_a_second_job_at_the_beginning_changes_nothing() -> None:
    schedule = started()
    schedule.submitted(1.5)
    assert schedule.next == 2.0


def test_a_later_job_has_its_turn_with_the_others() -> None:
    schedule = started()
    queries(schedule, 50.0)
    schedule.submitted(50.0)
    assert queries(schedule, 100.0) == [62.0, 92.0]


def test_the_first_job_after_a_rest_is_asked_for_soon() -> None:
    schedule = started()
    queries(schedule, 50.0)
    schedule.stop()
    schedule.submitted(55.0)
    assert queries(schedule, 100.0) == [57.0, 87.0]


def test_a_program_that_submits_all_the_time_does_not_ask_all_the_time() -> None:
    schedule, asked = started(), []
    for second in range(3600):
        asked += queries(schedule, float(second))
        schedule.submitted(float(second))
    assert len(asked) <= 1 + 3600 / INTERVAL


def test_a_quicker_rhythm_counts_at_once() -> None:
    schedule = started()
    queries(schedule, 50.0)
    schedule.set_rhythm(Rhythm(first=1.0, interval=5.0), 50.0)
    assert queries(schedule, 66.0) == [55.0, 60.0, 65.0]


def test_a_slower_rhythm_counts_after_the_next_query() -> None:
    schedule = started()
    queries(schedule, 50.0)
    schedule.set_rhythm(Rhythm(first=1.0, interval=300.0), 50.0)
    assert queries(schedule, 1000.0) == [62.0, 362.0, 662.0, 962.0]


def test_an_open_question_is_asked_soon_and_then_less_often() -> None:
    schedule = started()
    assert queries(schedule, 50.0)[-1] == 32.0
    schedule.hasten(50.0)
    assert queries(schedule, 61.9, open_questions=True) == [50.25, 50.75, 51.75, 53.75]


def test_an_answered_question_is_not_asked_again() -> None:
    schedule = started()
    queries(schedule, 50.0)
    schedule.hasten(50.0)
    assert queries(schedule, 80.0) == [50.25, 62.0]


def test_questions_that_cannot_wait_do_not_come_faster_when_there_are_many() -> None:
    schedule = started()
    queries(schedule, 50.0)
    for hundredth in range(100):
        schedule.hasten(50.0 + hundredth / 100)
    assert schedule.next == 50.25


@given(st.lists(st.floats(0.0, 600.0), max_size=200))
def test_a_flood_of_questions_is_bounded(moments: list[float]) -> None:
    schedule, asked = started(), []
    for moment in sorted(moments):
        asked += queries(schedule, moment, open_questions=True)
        schedule.hasten(moment)
    asked += queries(schedule, 600.0, open_questions=True)
    regular = 2 + 600.0 / INTERVAL
    assert len(asked) <= (1 + EARLY) * regular
    assert all(later > earlier for earlier, later in zip(asked, asked[1:]))


def test_a_silent_scheduler_is_asked_less_and_less_and_never_given_up() -> None:
    schedule, now, pauses = started(), 0.0, []
    for _ in range(20):
        pauses.append(schedule.next - now)
        now = schedule.next
        schedule.failed(now)
        schedule.hasten(now)  # no question is so urgent that it would help to ask sooner
    assert pauses[0] == FIRST
    assert all(INTERVAL * 0.8 * 2**number <= pause <= INTERVAL * 1.2 * 2**number
               for number, pause in enumerate(pauses[1:5]))
    assert all(600.0 * 0.8 <= pause <= 600.0 * 1.2 for pause in pauses[7:])


def test_programs_that_failed_together_do_not_come_back_together() -> None:
    schedules = [started() for _ in range(10)]
    for schedule in schedules:
        schedule.failed(FIRST)
    assert len({schedule.next for schedule in schedules}) > 1


def test_a_job_that_was_submitted_shows_that_the_scheduler_is_back() -> None:
    schedule = started()
    for _ in range(8):
        schedule.failed(schedule.next)
    failed_at = schedule._asked_at
    schedule.submitted(failed_at + 100.0)
    assert schedule.next == failed_at + 100.0 + FIRST
    # It may take jobs and still not answer.
    schedule.failed(schedule.next)
    asked_at = schedule._asked_at
    for second in range(10):
        schedule.submitted(asked_at + second)
    assert schedule.next == asked_at + INTERVAL


def test_an_answer_to_another_command_ends_the_long_pauses_and_is_no_answer_to_a_query() -> None:
    schedule = started()
    before = schedule.next
    schedule.heard(0.1)
    assert schedule.next == before  # in good times it changes nothing
    for _ in range(8):
        schedule.failed(schedule.next)
    failed_at = schedule._asked_at
    schedule.heard(failed_at + 100.0)
    assert (schedule.next, schedule.failures, schedule.silent_rounds) == (failed_at + 100.0 + FIRST, 8, 0)
    schedule.failed(schedule.next)
    asked_at = schedule._asked_at
    for second in range(10):
        schedule.heard(asked_at + second)
    assert (schedule.next, schedule.failures) == (asked_at + INTERVAL, 9)


def test_an_answer_ends_the_backoff() -> None:
    schedule = started()
    for _ in range(8):
        schedule.failed(schedule.next)
    now = schedule.next
    schedule.answered(now, open_questions=False)
    assert schedule.failures == 0
    assert schedule.next <= now + INTERVAL


def test_a_rhythm_of_zero_still_rests() -> None:
    schedule = QuerySchedule(Rhythm(first=0.0, interval=0.0))
    schedule.submitted(0.0)
    assert len(queries(schedule, 1.0, open_questions=True)) <= 11


class TestPace:
    def test_turns_come_at_a_rate_after_a_burst(self) -> None:
        now = 100.0
        pace = Pace(5.0, 3, lambda: now)
        assert [pace.take_turn() for _ in range(5)] == pytest.approx([0, 0, 0, 0.2, 0.4])
        now += 0.4
        assert pace.take_turn() == pytest.approx(0.2)

    def test_a_rest_gives_back_the_burst_and_no_more(self) -> None:
        now = 100.0
        pace = Pace(5.0, 3, lambda: now)
        for _ in range(3):
            pace.take_turn()
        now += 1000.0
        assert [pace.take_turn() for _ in range(4)] == pytest.approx([0, 0, 0, 0.2])

    def test_without_a_rate_nobody_waits(self) -> None:
        pace = Pace(None, 1, lambda: 100.0)
        assert [pace.take_turn() for _ in range(1000)] == [0.0] * 1000
