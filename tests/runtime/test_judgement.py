from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.evidence import Evidence, Patience, Presence
from psij_ext.runtime.judgement import Judgement, judge
from psij_ext.runtime.records import ExitRecord, ProgressEntry, TermNote

PATIENCE = Patience(for_cause=5.0, for_absent=120.0)
ABSENT, FOUND, UNKNOWN = Presence.ABSENT, Presence.FOUND, Presence.UNKNOWN
STEPS_BEFORE_LAUNCH = ['task', 'directory', 'stage_in', 'pre_launch']
STEPS_AFTER_LAUNCH = ['stage_out', 'cleanup']


def record(code: int = 0, phase: str = 'done', term: bool = False, attempt: int = 1, ended: float = 1000.0,
           began: float | None = None) -> ExitRecord:
    return ExitRecord(attempt, '12', code, phase, term, ended, began=began)


def seen(state: JobState, reason: ExitReason | None = None, *, message: str | None = None,
         code: int | None = None, attempt: int | None = None, signal: int | None = None) -> Observation:
    status = JobStatus(state, 500.0, message, code, {'native_state': 'as it says'})
    return Observation(status, reason, signal, None, attempt)


def entered(state: JobState = JobState.ACTIVE, attempt: int = 1, time: float = 900.0) -> ProgressEntry:
    return ProgressEntry(attempt, state, time)


def evidence(queue: Observation | None = None, accounting: Observation | None = None, **known: Any) -> Evidence:
    """What is found is present; what is not mentioned was not asked for."""
    if queue is not None:
        known.setdefault('queue_presence', FOUND)
    if accounting is not None:
        known.setdefault('accounting_presence', FOUND)
        known.setdefault('has_accounting', True)
    return Evidence(queue=queue, accounting=accounting, **known)


def judged(given: Evidence) -> Judgement:
    return judge(given, PATIENCE)


def assert_ended(given: Evidence, state: JobState, reason: ExitReason, code: int | None = None) -> Judgement:
    judgement = judged(given)
    assert judgement.status is not None
    assert judgement.exit_info is not None
    assert (judgement.status.state, judgement.exit_info.reason) == (state, reason)
    assert judgement.status.exit_code == judgement.exit_info.exit_code == code
    assert not judgement.wants_cause
    return judgement


def assert_lives(given: Evidence, state: JobState | None, *, requeued: bool = False, wants_cause: bool = False) -> None:
    judgement = judged(given)
    assert judgement.exit_info is None
    assert (None if judgement.status is None else judgement.status.state) is state
    assert (judgement.requeued, judgement.wants_cause) == (requeued, wants_cause)


# -- the exit record of this attempt, code 0, no TERM, no cancel of ours: COMPLETED, at once


@pytest.mark.parametrize('elsewhere', [
    {},
    {'queue': seen(JobState.ACTIVE)},
    {'queue': seen(JobState.NEW, ExitReason.NODE_FAILURE)},
    {'queue': seen(JobState.FAILED, ExitReason.OUT_OF_MEMORY)},
    {'accounting': seen(JobState.FAILED, ExitReason.OUT_OF_MEMORY)},
    {'accounting': seen(JobState.ACTIVE)},
    {'queue_presence': ABSENT},
    {'queue_presence': ABSENT, 'has_accounting': True, 'accounting_presence': ABSENT, 'absent_for': 1e6},
    {'time_limit': 10.0, 'exit_record': record(began=900.0)},
    {'last_seen': seen(JobState.NEW, ExitReason.PREEMPTED)},
])
def test_a_clean_record_completes_at_once(elsewhere: dict[str, Any]) -> None:
    assert_ended(evidence(**{'exit_record': record(), 'progress': [entered()], **elsewhere}),
                 JobState.COMPLETED, ExitReason.EXITED, 0)


def test_the_end_of_a_clean_record_is_when_it_says() -> None:
    judgement = judged(evidence(exit_record=record(ended=1234.5), progress=[entered(time=1200.0)]))
    assert judgement.status is not None
    assert judgement.status.time == 1234.5


def test_a_failing_post_launch_does_not_spoil_a_success() -> None:
    assert_ended(evidence(exit_record=record(phase='post_launch')), JobState.COMPLETED, ExitReason.EXITED, 0)


# -- the exit record of this attempt, anything else: it ended; the cause is asked for, for some 5 s


BAD_RECORDS = [
    record(code=3),
    record(code=137),
    record(code=143, term=True),
    record(code=0, term=True),
    record(code=0, phase='pre_launch'),
    record(code=1, phase='stage_out'),
]


@pytest.mark.parametrize('bad', BAD_RECORDS)
@pytest.mark.parametrize('elsewhere', [
    {},
    {'queue': seen(JobState.ACTIVE)},
    {'queue': seen(JobState.NEW)},
    {'queue_presence': ABSENT, 'has_accounting': True},
    {'queue_presence': ABSENT, 'has_accounting': True, 'accounting_presence': ABSENT},
    {'queue_presence': ABSENT, 'accounting': seen(JobState.ACTIVE)},
])
def test_a_bad_record_waits_for_its_cause(bad: ExitRecord, elsewhere: dict[str, Any]) -> None:
    given = evidence(exit_record=bad, progress=[entered()], waited_for_cause=4.9, **elsewhere)
    assert_lives(given, JobState.ACTIVE, wants_cause=True)
    assert judged(dataclasses.replace(given, waited_for_cause=5.0)).exit_info is not None


@pytest.mark.parametrize('bad', BAD_RECORDS)
def test_a_bad_record_needs_no_cause_where_nobody_else_can_know(bad: ExitRecord) -> None:
    given = evidence(exit_record=bad, queue_presence=ABSENT, has_accounting=False, waited_for_cause=0.0)
    assert judged(given).exit_info is not None


def test_a_cause_is_waited_for_before_anything_is_reported_of_a_job_whose_progress_is_not_seen() -> None:
    assert_lives(evidence(exit_record=record(code=3), waited_for_cause=0.0), None, wants_cause=True)


@pytest.mark.parametrize('bad', BAD_RECORDS)
def test_a_requeued_job_lives_on(bad: ExitRecord) -> None:
    given = evidence(seen(JobState.QUEUED), exit_record=bad, progress=[entered()], waited_for_cause=1.0)
    assert_lives(given, JobState.QUEUED, requeued=True)


@pytest.mark.parametrize(('cause', 'state', 'reason'), [
    (seen(JobState.FAILED, ExitReason.TIMEOUT), JobState.FAILED, ExitReason.TIMEOUT),
    (seen(JobState.FAILED, ExitReason.OUT_OF_MEMORY), JobState.FAILED, ExitReason.OUT_OF_MEMORY),
    (seen(JobState.FAILED, ExitReason.NODE_FAILURE), JobState.FAILED, ExitReason.NODE_FAILURE),
    (seen(JobState.CANCELED, ExitReason.CANCELED), JobState.CANCELED, ExitReason.CANCELED),
    (seen(JobState.CANCELED), JobState.CANCELED, ExitReason.CANCELED),
])
@pytest.mark.parametrize('place', ['queue', 'accounting'])
def test_the_scheduler_knows_the_cause(place: str, cause: Observation, state: JobState, reason: ExitReason) -> None:
    given = evidence(exit_record=record(143, term=True), waited_for_cause=0.0, **{place: cause})
    judgement = assert_ended(given, state, reason, 143)
    assert judgement.status is not None
    assert judgement.status.metadata == {'native_state': 'as it says'}


def test_the_queue_is_believed_before_accounting() -> None:
    given = evidence(seen(JobState.CANCELED, ExitReason.CANCELED), seen(JobState.FAILED, ExitReason.TIMEOUT),
                     exit_record=record(143, term=True), waited_for_cause=0.0)
    assert_ended(given, JobState.CANCELED, ExitReason.CANCELED, 143)


def test_a_cause_without_a_reason_leaves_it_to_the_record() -> None:
    given = evidence(seen(JobState.FAILED, message='NonZeroExitCode'), exit_record=record(3), waited_for_cause=0.0)
    judgement = assert_ended(given, JobState.FAILED, ExitReason.EXITED, 3)
    assert judgement.exit_info is not None
    assert judgement.exit_info.message == 'NonZeroExitCode'


@pytest.mark.parametrize(('code', 'reason', 'signal'), [
    (1, ExitReason.EXITED, None), (127, ExitReason.EXITED, None), (128, ExitReason.EXITED, None),
    (129, ExitReason.SIGNALED, 1), (137, ExitReason.SIGNALED, 9), (192, ExitReason.SIGNALED, 64),
    (193, ExitReason.EXITED, None), (255, ExitReason.EXITED, None),
])
def test_a_code_from_129_to_192_is_a_signal(code: int, reason: ExitReason, signal: int | None) -> None:
    judgement = assert_ended(evidence(exit_record=record(code), waited_for_cause=5.0), JobState.FAILED, reason, code)
    assert judgement.exit_info is not None
    assert judgement.exit_info.signal == signal


@pytest.mark.parametrize(('code', 'signal'), [(143, 15), (137, 9), (0, None), (1, None)])
@pytest.mark.parametrize('said', [None, 15])
@pytest.mark.parametrize(('state', 'reason'), [
    (JobState.CANCELED, ExitReason.CANCELED), (JobState.FAILED, ExitReason.TIMEOUT),
    (JobState.FAILED, ExitReason.OUT_OF_MEMORY)])
def test_the_signal_is_that_of_the_code_that_is_told_whatever_the_scheduler_says_of_one(
        state: JobState, reason: ExitReason, said: int | None, code: int, signal: int | None) -> None:
    given = evidence(seen(state, reason, signal=said), exit_record=record(code, term=True), waited_for_cause=0.0)
    judgement = assert_ended(given, state, reason, code)
    assert judgement.exit_info is not None
    assert judgement.exit_info.signal == signal


@pytest.mark.parametrize('phase', STEPS_BEFORE_LAUNCH)
@pytest.mark.parametrize('code', [0, 1, 7])
def test_a_step_before_the_launch_failed(phase: str, code: int) -> None:
    judgement = assert_ended(evidence(exit_record=record(code, phase), waited_for_cause=5.0),
                             JobState.FAILED, ExitReason.LAUNCH_FAILED, code)
    assert judgement.status is not None
    assert phase.replace('_', '-') in (judgement.status.message or '').replace('_', '-')


@pytest.mark.parametrize(('code', 'message'), [
    (127, 'The command no-such could not be started.'), (126, 'The command no-such could not be started.'),
    (1, 'The command was not started: no-such could not be opened.')])
@pytest.mark.parametrize('cause', [None, seen(JobState.FAILED, ExitReason.EXITED, message='said', code=1)])
def test_a_command_that_could_not_begin_is_told_from_one_that_ended_so(code: int, message: str, cause: Observation | None) -> None:
    unbegun = dataclasses.replace(record(code), unbegun='no-such')
    judgement = assert_ended(evidence(cause, exit_record=unbegun, waited_for_cause=5.0), JobState.FAILED, ExitReason.LAUNCH_FAILED, code)
    assert judgement.exit_info is not None
    assert judgement.exit_info.message == message
    assert_ended(evidence(exit_record=record(code), waited_for_cause=5.0), JobState.FAILED, ExitReason.EXITED, code)
    assert_ended(evidence(exit_record=unbegun, waited_for_cause=5.0, cancel_acknowledged=True), JobState.CANCELED, ExitReason.CANCELED, code)
    assert_lives(evidence(seen(JobState.QUEUED), exit_record=unbegun, waited_for_cause=0.0), JobState.QUEUED, requeued=True)


@pytest.mark.parametrize('phase', STEPS_AFTER_LAUNCH)
def test_a_step_after_the_launch_failed(phase: str) -> None:
    judgement = assert_ended(evidence(exit_record=record(1, phase), waited_for_cause=5.0),
                             JobState.FAILED, ExitReason.EXITED, 1)
    assert judgement.status is not None
    assert phase in (judgement.status.message or '')


@pytest.mark.parametrize('phase', [*STEPS_BEFORE_LAUNCH, *STEPS_AFTER_LAUNCH])
@pytest.mark.parametrize('cause', [seen(JobState.COMPLETED, ExitReason.EXITED, code=0), seen(JobState.COMPLETED)])
def test_a_job_whose_command_did_not_run_is_not_completed_because_the_scheduler_says_so(
        phase: str, cause: Observation) -> None:
    judgement = judged(evidence(cause, exit_record=record(0, phase), waited_for_cause=0.0))
    assert judgement.status is not None
    assert judgement.status.state is JobState.FAILED


def test_a_trapped_term_is_a_success_if_the_scheduler_says_so() -> None:
    given = evidence(seen(JobState.COMPLETED, ExitReason.EXITED, code=0), exit_record=record(0, term=True),
                     waited_for_cause=0.0)
    assert_ended(given, JobState.COMPLETED, ExitReason.EXITED, 0)


@pytest.mark.parametrize('bad', [record(0, term=True), record(0)])
def test_a_success_that_the_scheduler_saw_fail_is_a_failure(bad: ExitRecord) -> None:
    given = evidence(seen(JobState.FAILED, ExitReason.SIGNALED, code=137, signal=9), exit_record=bad,
                     cancel_acknowledged=not bad.term_seen, waited_for_cause=0.0)
    judgement = assert_ended(given, JobState.FAILED, ExitReason.SIGNALED, 137)
    assert judgement.exit_info is not None
    assert judgement.exit_info.signal == 9


# TERM


def test_term_alone_is_a_cancel_by_somebody() -> None:
    judgement = assert_ended(evidence(exit_record=record(143, term=True), waited_for_cause=5.0),
                             JobState.CANCELED, ExitReason.CANCELED, 143)
    assert judgement.status is not None
    assert 'TERM' in (judgement.status.message or '')


def test_a_stubborn_child_that_exits_with_0_after_term_was_cancelled() -> None:
    assert_ended(evidence(exit_record=record(0, term=True), waited_for_cause=5.0),
                 JobState.CANCELED, ExitReason.CANCELED, 0)


@pytest.mark.parametrize(('started', 'reason', 'state'), [
    (940.0, ExitReason.TIMEOUT, JobState.FAILED),
    (940.5, ExitReason.TIMEOUT, JobState.FAILED),  # a scheduler's clock, and its patience, differ a little
    (900.0, ExitReason.TIMEOUT, JobState.FAILED),  # Slurm kills some 15 s late
    (970.0, ExitReason.CANCELED, JobState.CANCELED),
])
def test_term_at_the_time_limit_is_a_timeout(started: float, reason: ExitReason, state: JobState) -> None:
    given = evidence(exit_record=record(143, term=True, ended=1000.0, began=started),
                     progress=[entered(time=started + 0.1)], time_limit=60.0, waited_for_cause=5.0)
    assert_ended(given, state, reason, 143)


def test_the_time_limit_counts_from_the_beginning_of_the_script() -> None:
    given = evidence(exit_record=record(143, term=True, began=939.0), progress=[entered(time=990.0)], time_limit=60.0,
                     waited_for_cause=5.0)
    assert_ended(given, JobState.FAILED, ExitReason.TIMEOUT, 143)


def test_a_time_limit_that_was_reached_without_term_is_no_timeout() -> None:
    given = evidence(exit_record=record(3, began=0.0), progress=[entered(time=0.0)], time_limit=60.0, waited_for_cause=5.0)
    assert_ended(given, JobState.FAILED, ExitReason.EXITED, 3)


def test_the_time_limit_counts_from_the_start_of_this_attempt() -> None:
    given = evidence(exit_record=record(143, term=True, attempt=2, began=989.9),
                     progress=[entered(time=0.0), entered(attempt=2, time=990)],
                     time_limit=60.0, waited_for_cause=5.0)
    assert_ended(given, JobState.CANCELED, ExitReason.CANCELED, 143)


@pytest.mark.parametrize(('ended_by', 'state', 'reason'), [
    ('limit', JobState.FAILED, ExitReason.TIMEOUT), ('cancel', JobState.CANCELED, ExitReason.CANCELED)])
@pytest.mark.parametrize('started', [0.0, 999.0])
def test_who_sent_term_may_have_said_so(ended_by: str, state: JobState, reason: ExitReason, started: float) -> None:
    told = dataclasses.replace(record(143, term=True, began=started), ended_by=ended_by)
    given = evidence(exit_record=told, progress=[entered(time=started)], time_limit=60.0, waited_for_cause=5.0)
    judgement = assert_ended(given, state, reason, 143)
    assert judgement.status is not None
    assert judgement.status.message == ('The wall time of 60 s was over.' if ended_by == 'limit' else None)
    assert_ended(dataclasses.replace(given, time_limit=None), state, reason, 143)


# our own cancel


@pytest.mark.parametrize('bad', [record(143, term=True), record(0, term=True), record(137), record(3)])
def test_a_cancel_of_ours_that_was_taken_cancels(bad: ExitRecord) -> None:
    given = evidence(exit_record=bad, cancel_acknowledged=True, waited_for_cause=5.0)
    assert_ended(given, JobState.CANCELED, ExitReason.CANCELED, bad.exit_code)


def test_a_success_that_a_cancel_came_too_late_for_keeps_its_end() -> None:
    given = evidence(exit_record=record(), cancel_acknowledged=True, waited_for_cause=0.0)
    assert_lives(given, None, wants_cause=True)
    assert_ended(dataclasses.replace(given, waited_for_cause=5.0), JobState.COMPLETED, ExitReason.EXITED, 0)
    assert_ended(dataclasses.replace(given, queue=seen(JobState.COMPLETED), queue_presence=FOUND),
                 JobState.COMPLETED, ExitReason.EXITED, 0)


def test_a_failure_that_a_cancel_came_too_late_for_keeps_its_end() -> None:
    given = evidence(seen(JobState.FAILED, ExitReason.EXITED, code=3), exit_record=record(3),
                     cancel_acknowledged=True, waited_for_cause=0.0)
    assert_ended(given, JobState.FAILED, ExitReason.EXITED, 3)


def test_a_cancel_that_the_scheduler_confirms() -> None:
    given = evidence(seen(JobState.CANCELED, ExitReason.CANCELED), exit_record=record(),
                     cancel_acknowledged=True, waited_for_cause=0.0)
    assert_ended(given, JobState.CANCELED, ExitReason.CANCELED, 0)


@pytest.mark.parametrize('known', [
    {}, {'exit_record': record(143, term=True)}, {'cancel_acknowledged': True, 'leaves_record': True},
    {'exit_record': record(143, term=True), 'cancel_acknowledged': True}])
def test_who_cancelled_is_told_where_accounting_knows_it(known: dict[str, Any]) -> None:
    given = evidence(seen(JobState.CANCELED, ExitReason.CANCELED),
                     seen(JobState.CANCELED, ExitReason.CANCELED, message='by somebody'), waited_for_cause=0.0, **known)
    judgement = judged(given)
    assert judgement.status is not None
    assert judgement.exit_info is not None
    assert judgement.status.message == judgement.exit_info.message == 'by somebody'


def test_the_words_of_an_accounting_that_knows_another_end_are_not_told() -> None:
    given = evidence(seen(JobState.CANCELED, ExitReason.CANCELED), seen(JobState.FAILED, ExitReason.EXITED, message='other'))
    judgement = judged(given)
    assert judgement.status is not None
    assert judgement.status.message is None


# preemption and node failure: the queue's last words


@pytest.mark.parametrize('reason', [ExitReason.PREEMPTED, ExitReason.NODE_FAILURE])
@pytest.mark.parametrize('bad', [record(143, term=True), record(137)])
def test_why_the_queue_last_said_is_why_it_ended(reason: ExitReason, bad: ExitRecord) -> None:
    said = seen(JobState.NEW, reason)
    waiting = evidence(said, exit_record=bad, waited_for_cause=1.0)
    assert_lives(waiting, None, wants_cause=True)
    assert_ended(dataclasses.replace(waiting, waited_for_cause=5.0), JobState.FAILED, reason, bad.exit_code)
    gone = evidence(exit_record=bad, queue_presence=ABSENT, last_seen=said, waited_for_cause=1.0)
    assert_ended(gone, JobState.FAILED, reason, bad.exit_code)


def test_why_an_earlier_attempt_ended_is_no_news() -> None:
    said = seen(JobState.NEW, ExitReason.NODE_FAILURE, attempt=1)
    given = evidence(exit_record=record(3, attempt=2), progress=[entered(attempt=2)], queue_presence=ABSENT,
                     last_seen=said, waited_for_cause=5.0)
    assert_ended(given, JobState.FAILED, ExitReason.EXITED, 3)


# -- attempts: the record of an earlier one says nothing


@pytest.mark.parametrize('old', [record(), *BAD_RECORDS])
def test_the_record_of_an_earlier_attempt_says_nothing(old: ExitRecord) -> None:
    given = evidence(exit_record=old, progress=[entered(), entered(attempt=2, time=950)], waited_for_cause=60.0)
    assert_lives(given, JobState.ACTIVE)
    by_queue = evidence(seen(JobState.ACTIVE, attempt=2), exit_record=old, waited_for_cause=60.0)
    assert_lives(by_queue, JobState.ACTIVE)


def test_the_record_of_a_later_attempt_counts() -> None:
    given = evidence(seen(JobState.ACTIVE, attempt=2), exit_record=record(attempt=2),
                     progress=[entered(), entered(attempt=2)])
    assert_ended(given, JobState.COMPLETED, ExitReason.EXITED, 0)


def test_accounting_of_an_earlier_attempt_says_nothing() -> None:
    stale = seen(JobState.FAILED, ExitReason.NODE_FAILURE, attempt=1)
    progress = [entered(), entered(attempt=2)]
    assert_lives(evidence(accounting=stale, queue_presence=ABSENT, progress=progress), JobState.ACTIVE)
    ended = evidence(accounting=stale, queue_presence=ABSENT, progress=progress, exit_record=record(3, attempt=2),
                     waited_for_cause=5.0)
    assert_ended(ended, JobState.FAILED, ExitReason.EXITED, 3)


# -- present in the live queue and not over: alive


@pytest.mark.parametrize('state', [JobState.QUEUED, JobState.ACTIVE])
def test_the_queue_says_that_it_lives(state: JobState) -> None:
    assert_lives(evidence(seen(state)), state, requeued=state is JobState.QUEUED)


@pytest.mark.parametrize('alive', [JobState.QUEUED, JobState.ACTIVE, JobState.NEW])
@pytest.mark.parametrize('lagging', [
    seen(JobState.FAILED, ExitReason.NODE_FAILURE), seen(JobState.COMPLETED, ExitReason.EXITED, code=0),
    seen(JobState.CANCELED, ExitReason.CANCELED)])
def test_the_live_queue_is_believed_before_a_lagging_accounting(alive: JobState, lagging: Observation) -> None:
    assert judged(evidence(seen(alive), lagging)).exit_info is None


def test_the_script_knows_better_than_the_queue_what_a_running_job_does() -> None:
    given = evidence(seen(JobState.ACTIVE), progress=[entered(), entered(JobState.STAGE_OUT, time=950.0)])
    judgement = judged(given)
    assert judgement.status is not None
    assert (judgement.status.state, judgement.status.time) == (JobState.STAGE_OUT, 950.0)
    assert judgement.status.metadata == {'native_state': 'as it says'}


def test_a_job_that_stages_in_is_not_active_before_its_script_says_so() -> None:
    assert_lives(evidence(seen(JobState.ACTIVE), stages_in=True), JobState.QUEUED)
    assert_lives(evidence(seen(JobState.ACTIVE), stages_in=True, progress=[entered(JobState.STAGE_IN)]),
                 JobState.STAGE_IN)


def test_a_running_job_that_waits_again_was_requeued() -> None:
    assert_lives(evidence(seen(JobState.QUEUED), progress=[entered()]), JobState.QUEUED, requeued=True)


def test_a_state_that_says_nothing_leaves_the_job_as_it_was() -> None:
    assert_lives(evidence(seen(JobState.NEW)), JobState.NEW)
    assert_lives(evidence(seen(JobState.NEW, ExitReason.PREEMPTED), progress=[entered()]), JobState.ACTIVE)


# -- a final state in the queue, or accounting of this attempt


FINAL = [
    (seen(JobState.COMPLETED, ExitReason.EXITED, code=0), JobState.COMPLETED, ExitReason.EXITED, 0),
    (seen(JobState.COMPLETED, code=0), JobState.COMPLETED, ExitReason.EXITED, 0),
    (seen(JobState.FAILED, ExitReason.EXITED, code=3), JobState.FAILED, ExitReason.EXITED, 3),
    (seen(JobState.FAILED, code=3), JobState.FAILED, ExitReason.EXITED, 3),
    (seen(JobState.FAILED, ExitReason.TIMEOUT), JobState.FAILED, ExitReason.TIMEOUT, None),
    (seen(JobState.CANCELED), JobState.CANCELED, ExitReason.CANCELED, None),
]


@pytest.mark.parametrize('place', ['queue', 'accounting'])
@pytest.mark.parametrize(('source', 'state', 'reason', 'code'), FINAL)
def test_a_final_state_of_the_scheduler(
        place: str, source: Observation, state: JobState, reason: ExitReason, code: int | None) -> None:
    assert_ended(evidence(**{place: source}, progress=[entered()]), state, reason, code)
    absent = {'queue_presence': ABSENT} if place == 'accounting' else {}
    assert_ended(evidence(**{place: source}, **absent), state, reason, code)


def test_signal_and_message_come_from_the_scheduler() -> None:
    source = Observation(JobStatus(JobState.FAILED, message='because', exit_code=137), ExitReason.SIGNALED, 9)
    judgement = judged(evidence(source))
    assert judgement.exit_info is not None
    assert (judgement.exit_info.signal, judgement.exit_info.message) == (9, 'because')


@pytest.mark.parametrize(('acknowledged', 'state', 'reason'), [
    (True, JobState.CANCELED, ExitReason.CANCELED), (False, JobState.FAILED, ExitReason.DEPENDENCY_FAILED)])
def test_a_cancel_of_a_job_that_waited_in_vain(acknowledged: bool, state: JobState, reason: ExitReason) -> None:
    given = evidence(seen(JobState.CANCELED, ExitReason.DEPENDENCY_FAILED), cancel_acknowledged=acknowledged, leaves_record=True)
    assert_ended(given, state, reason)


# -- over because another job ended otherwise than it was to


WHY = 'Job 12, which was to complete before it, is FAILED.'


@pytest.mark.parametrize('said', [
    seen(JobState.CANCELED), seen(JobState.CANCELED, ExitReason.CANCELED), seen(JobState.FAILED, ExitReason.NEVER_STARTED),
    seen(JobState.CANCELED, ExitReason.DEPENDENCY_FAILED), seen(JobState.FAILED, ExitReason.DEPENDENCY_FAILED)])
def test_a_job_that_waited_in_vain_has_failed(said: Observation) -> None:
    """Whatever the scheduler calls it; accounting, for one, may know no more than that it was cancelled."""
    judgement = judged(evidence(said, in_vain=WHY, leaves_record=True))
    assert_ended(evidence(said, in_vain=WHY, leaves_record=True), JobState.FAILED, ExitReason.DEPENDENCY_FAILED)
    assert judgement.status is not None
    assert (judgement.status.message, judgement.status.exit_code) == (WHY, None)


@pytest.mark.parametrize('said', [
    seen(JobState.COMPLETED, code=0), seen(JobState.FAILED, ExitReason.TIMEOUT), seen(JobState.FAILED, ExitReason.EXITED, code=3)])
def test_a_job_that_has_run_has_not_waited_in_vain(said: Observation) -> None:
    judgement = judged(evidence(said, in_vain=WHY))
    assert judgement.exit_info is not None
    assert judgement.exit_info.reason is not ExitReason.DEPENDENCY_FAILED


def test_a_job_that_waits_in_vain_and_is_in_the_queue_is_not_over() -> None:
    assert judged(evidence(seen(JobState.QUEUED), in_vain=WHY)).exit_info is None


@pytest.mark.parametrize(('acknowledged', 'state', 'reason'), [
    (True, JobState.CANCELED, ExitReason.CANCELED), (False, JobState.FAILED, ExitReason.DEPENDENCY_FAILED)])
def test_a_job_that_waited_in_vain_and_is_forgotten(acknowledged: bool, state: JobState, reason: ExitReason) -> None:
    gone = Evidence(queue_presence=Presence.ABSENT, in_vain=WHY, cancel_acknowledged=acknowledged)
    assert_ended(gone, state, reason)


def test_the_record_of_a_job_that_waited_in_vain() -> None:
    record = ExitRecord(1, '12.34', 1, 'dependency', False, 50.0)
    for why in (WHY, None):
        judgement = judged(Evidence(exit_record=record, in_vain=why))
        assert judgement.status is not None
        assert (judgement.status.state, judgement.status.exit_code, judgement.status.time) == (JobState.FAILED, None, 50.0)
        assert judgement.exit_info is not None
        assert (judgement.exit_info.reason, judgement.exit_info.exit_code) == (ExitReason.DEPENDENCY_FAILED, None)
        assert judgement.status.message == (why or 'A job that it was to wait for ended otherwise than it was to.')


# -- over without a trace of its script: it never began


BY_EXIT = [seen(JobState.FAILED, ExitReason.EXITED, code=1), seen(JobState.FAILED, code=1)]


@pytest.mark.parametrize('place', ['queue', 'accounting', 'last_seen'])
@pytest.mark.parametrize('said', BY_EXIT)
def test_a_script_that_left_no_trace_never_began(place: str, said: Observation) -> None:
    given = evidence(**{'queue_presence': FOUND if place == 'queue' else ABSENT, place: said}, leaves_record=True, traceless_for=0.0)
    assert_lives(given, None)
    assert_lives(dataclasses.replace(given, traceless_for=119.9), None)
    judgement = assert_ended(dataclasses.replace(given, traceless_for=120.0), JobState.FAILED, ExitReason.LAUNCH_FAILED)
    assert judgement.exit_info is not None
    assert judgement.exit_info.message == 'The script of the job never began.'


@pytest.mark.parametrize('said', [*BY_EXIT, seen(JobState.COMPLETED, ExitReason.EXITED, code=0), seen(JobState.COMPLETED, code=0)])
def test_a_script_that_ended_before_the_launch_launched_nothing(said: Observation) -> None:
    given = evidence(said, leaves_record=True, traceless_for=119.9, left_preparing=True, progress=[entered(JobState.STAGE_IN)])
    assert_lives(given, None)
    judgement = assert_ended(dataclasses.replace(given, traceless_for=120.0), JobState.FAILED, ExitReason.LAUNCH_FAILED)
    assert judgement.status is not None
    assert str(judgement.status.message).startswith('The pre-launch script ended or replaced the shell of the job')


def test_what_the_scheduler_says_of_a_script_that_never_began_is_told() -> None:
    judgement = judged(evidence(seen(JobState.FAILED, message='why', code=1), traceless_for=120.0))
    assert judgement.status is not None
    assert judgement.status.message == "The script of the job never began. The scheduler says 'why'."
    assert judgement.status.metadata == {'native_state': 'as it says'}


@pytest.mark.parametrize(('said', 'state', 'reason', 'code'), [
    (seen(JobState.FAILED, ExitReason.NODE_FAILURE), JobState.FAILED, ExitReason.NODE_FAILURE, None),
    (seen(JobState.FAILED, ExitReason.TIMEOUT), JobState.FAILED, ExitReason.TIMEOUT, None),
    (seen(JobState.FAILED, ExitReason.SIGNALED, code=137, signal=9), JobState.FAILED, ExitReason.SIGNALED, 137),
    (seen(JobState.CANCELED, ExitReason.CANCELED), JobState.CANCELED, ExitReason.CANCELED, None),
    (seen(JobState.COMPLETED, ExitReason.EXITED, code=0), JobState.COMPLETED, ExitReason.EXITED, 0)])
def test_any_other_end_without_a_trace_is_the_schedulers(
        said: Observation, state: JobState, reason: ExitReason, code: int | None) -> None:
    assert_ended(evidence(said, traceless_for=0.0), state, reason, code)


def test_a_cancel_ends_a_job_before_its_script_began() -> None:
    assert_ended(evidence(BY_EXIT[0], traceless_for=0.0, cancel_acknowledged=True, leaves_record=True),
                 JobState.CANCELED, ExitReason.CANCELED)


# -- our own acknowledged cancel, and absence: CANCELED


def test_a_cancelled_job_that_is_gone_was_cancelled() -> None:
    assert_ended(evidence(queue_presence=ABSENT, cancel_acknowledged=True), JobState.CANCELED, ExitReason.CANCELED)
    with_accounting = evidence(queue_presence=ABSENT, cancel_acknowledged=True, has_accounting=True)
    assert_lives(with_accounting, None)
    assert_ended(dataclasses.replace(with_accounting, accounting_presence=ABSENT),
                 JobState.CANCELED, ExitReason.CANCELED)


def test_a_cancelled_job_that_is_still_there_is_not_cancelled_yet() -> None:
    assert_lives(evidence(seen(JobState.ACTIVE), cancel_acknowledged=True), JobState.ACTIVE)
    assert_lives(evidence(cancel_acknowledged=True), None)


@pytest.mark.parametrize(('time_limit', 'acknowledged', 'state', 'reason', 'told'), [
    (None, False, JobState.CANCELED, ExitReason.CANCELED, 'does not say by whom'),
    (None, True, JobState.CANCELED, ExitReason.CANCELED, None),
    (100.0, False, JobState.CANCELED, ExitReason.CANCELED, 'does not say by whom'),
    (60.0, False, JobState.FAILED, ExitReason.TIMEOUT, 'The wall time of 60 s was over.'),
    (60.0, True, JobState.FAILED, ExitReason.TIMEOUT, 'The wall time of 60 s was over.')])
def test_a_job_that_is_gone_after_term_without_a_record_was_killed(
        time_limit: float | None, acknowledged: bool, state: JobState, reason: ExitReason, told: str | None) -> None:
    """It ignored TERM, and nobody knows the code with which KILL ended it."""
    given = evidence(progress=[entered()], term_note=TermNote(1, 900.0, 959.5), time_limit=time_limit,
                     cancel_acknowledged=acknowledged)
    assert_lives(given, JobState.ACTIVE)
    judgement = assert_ended(dataclasses.replace(given, queue_presence=ABSENT), state, reason)
    assert judgement.status is not None
    assert (told or '') in (judgement.status.message or '')
    assert (judgement.status.message is None) is (told is None)


def test_a_scheduler_that_tells_of_an_end_is_believed_before_a_note_of_term() -> None:
    given = evidence(seen(JobState.FAILED, ExitReason.OUT_OF_MEMORY), term_note=TermNote(1, 900.0, 959.5))
    assert_ended(given, JobState.FAILED, ExitReason.OUT_OF_MEMORY)


def test_a_job_that_the_queue_saw_deleted_is_cancelled_when_it_is_gone() -> None:
    said = seen(JobState.ACTIVE, ExitReason.CANCELED, message='terminated by somebody')
    assert_lives(evidence(said, last_seen=said), JobState.ACTIVE)
    gone = evidence(queue_presence=ABSENT, last_seen=said)
    assert_ended(gone, JobState.CANCELED, ExitReason.CANCELED)
    assert_ended(dataclasses.replace(gone, exit_record=record(3)), JobState.CANCELED, ExitReason.CANCELED, 3)


# -- taken out of its array while it waited


def test_an_element_that_was_taken_out_of_its_array_was_cancelled() -> None:
    given = evidence(queue_presence=ABSENT, taken_out=True)
    judgement = assert_ended(given, JobState.CANCELED, ExitReason.CANCELED)
    assert judgement.exit_info is not None
    assert judgement.exit_info.message == 'It was taken out of its array while it waited.'


@pytest.mark.parametrize('otherwise', [
    {'queue_presence': UNKNOWN}, {'has_accounting': True}, {'progress': [entered()]}, {'accounting': seen(JobState.ACTIVE)}])
def test_an_element_that_something_else_tells_of_was_not(otherwise: dict[str, Any]) -> None:
    assert judged(evidence(**{'queue_presence': ABSENT, 'taken_out': True, **otherwise})).exit_info is None


def test_an_element_that_accounting_saw_end_ended_so() -> None:
    given = evidence(accounting=seen(JobState.FAILED, code=3), queue_presence=ABSENT, taken_out=True, has_accounting=True)
    assert_ended(given, JobState.FAILED, ExitReason.EXITED, 3)


# -- absence from everywhere


def test_a_job_that_is_nowhere_for_long_is_lost() -> None:
    given = evidence(queue_presence=ABSENT, absent_for=119.9)
    assert_lives(given, None)
    judgement = assert_ended(dataclasses.replace(given, absent_for=120.0), JobState.FAILED, ExitReason.LOST)
    assert judgement.status is not None
    assert '120 s' in (judgement.status.message or '')


def test_a_running_job_that_is_nowhere_runs_until_it_is_lost() -> None:
    given = evidence(queue_presence=ABSENT, absent_for=10.0, progress=[entered()])
    assert_lives(given, JobState.ACTIVE)
    assert_ended(dataclasses.replace(given, absent_for=120.0), JobState.FAILED, ExitReason.LOST)


@pytest.mark.parametrize('elsewhere', [
    {'has_accounting': True},
    {'accounting': seen(JobState.ACTIVE)},
    {'accounting': seen(JobState.QUEUED)},
])
def test_a_job_is_not_lost_while_accounting_may_know_it(elsewhere: dict[str, Any]) -> None:
    assert_lives(evidence(queue_presence=ABSENT, absent_for=1e6, **elsewhere), None)


def test_a_job_that_is_in_neither_is_lost() -> None:
    given = evidence(queue_presence=ABSENT, has_accounting=True, accounting_presence=ABSENT, absent_for=120.0)
    assert_ended(given, JobState.FAILED, ExitReason.LOST)


@pytest.mark.parametrize('reason', [ExitReason.PREEMPTED, ExitReason.NODE_FAILURE])
def test_a_preempted_job_or_one_whose_node_failed_is_over_when_it_is_gone(reason: ExitReason) -> None:
    said = seen(JobState.NEW, reason)
    assert_lives(evidence(said, last_seen=said), JobState.NEW)
    judgement = assert_ended(evidence(queue_presence=ABSENT, last_seen=said), JobState.FAILED, reason)
    assert judgement.status is not None
    assert judgement.status.message
    assert judgement.status.metadata == {'native_state': 'as it says'}


def test_a_job_that_went_on_after_a_preemption_did_not_end_by_it() -> None:
    said = seen(JobState.NEW, ExitReason.PREEMPTED, attempt=1)
    given = evidence(queue_presence=ABSENT, last_seen=said, progress=[entered(attempt=2)], absent_for=1.0)
    assert_lives(given, JobState.ACTIVE)


# -- nothing is known


def test_nothing_known_says_nothing() -> None:
    assert judged(Evidence()) == Judgement()


@pytest.mark.parametrize('state', [JobState.STAGE_IN, JobState.ACTIVE, JobState.STAGE_OUT, JobState.CLEANUP])
def test_the_script_alone_tells_what_it_does(state: JobState) -> None:
    assert_lives(evidence(progress=[entered(state)]), state)


# -- properties


def observations() -> st.SearchStrategy[Observation]:
    return st.builds(seen, st.sampled_from(JobState), st.none() | st.sampled_from(ExitReason),
                     message=st.none() | st.just('why'), code=st.none() | st.integers(0, 255),
                     attempt=st.none() | st.integers(1, 3), signal=st.none() | st.integers(1, 64))


def records() -> st.SearchStrategy[ExitRecord]:
    return st.builds(record, st.integers(0, 255),
                     st.sampled_from(['done', 'launch', 'post_launch', 'claim', *STEPS_BEFORE_LAUNCH, *STEPS_AFTER_LAUNCH]),
                     st.booleans(), st.integers(1, 3), st.floats(0, 1e6), st.none() | st.floats(0, 1e6))


def entries() -> st.SearchStrategy[ProgressEntry]:
    states = [JobState.STAGE_IN, JobState.ACTIVE, JobState.STAGE_OUT, JobState.CLEANUP]
    return st.builds(entered, st.sampled_from(states), st.integers(1, 3), st.floats(0, 1e6))


@st.composite
def all_evidence(draw: st.DrawFn, answers: bool = True) -> Evidence:
    queue = draw(st.none() | observations()) if answers else None
    accounting = draw(st.none() | observations()) if answers else None
    silent = st.sampled_from([ABSENT, UNKNOWN]) if answers else st.just(UNKNOWN)
    return Evidence(
        exit_record=draw(st.none() | records()), progress=draw(st.lists(entries(), max_size=4)),
        queue=queue, queue_presence=FOUND if queue else draw(silent),
        accounting=accounting, accounting_presence=FOUND if accounting else draw(silent),
        has_accounting=draw(st.booleans()), last_seen=draw(st.none() | observations()), taken_out=answers and draw(st.booleans()),
        cancel_acknowledged=draw(st.booleans()), time_limit=draw(st.none() | st.floats(1, 1e5)),
        stages_in=draw(st.booleans()), waited_for_cause=draw(st.none() | st.floats(0, 1e4)),
        absent_for=draw(st.none() | st.floats(0, 1e4)), traceless_for=draw(st.none() | st.floats(0, 1e4)))


@given(all_evidence())
def test_never_completed_by_guess(given: Evidence) -> None:
    judgement = judged(given)
    if judgement.status is not None and judgement.status.state is JobState.COMPLETED:
        end = given.exit_record
        by_record = end is not None and end.exit_code == 0 and end.launched
        by_source = any(source is not None and source.status.state is JobState.COMPLETED
                        for source in (given.queue, given.accounting))
        assert by_record or by_source


@given(all_evidence())
def test_a_final_state_and_exit_information_come_together(given: Evidence) -> None:
    judgement = judged(given)
    final = judgement.status is not None and judgement.status.final
    assert final is (judgement.exit_info is not None)
    assert not (final and (judgement.requeued or judgement.wants_cause))


@given(all_evidence(answers=False))
def test_without_any_answer_nothing_but_a_record_ends_a_job(given: Evidence) -> None:
    if given.exit_record is None:
        assert judged(given).exit_info is None


@given(all_evidence())
def test_a_job_that_is_in_the_queue_and_not_over_ends_by_its_own_record_alone(given: Evidence) -> None:
    if given.queue is not None and not given.queue.status.final and given.exit_record is None:
        assert judged(given).exit_info is None


@given(all_evidence())
def test_lost_needs_long_absence_from_everywhere(given: Evidence) -> None:
    judgement = judged(given)
    if judgement.exit_info is not None and judgement.exit_info.reason is ExitReason.LOST:
        said = [source.reason for source in (given.queue, given.accounting, given.last_seen) if source is not None]
        if ExitReason.LOST not in said:
            assert given.queue_presence is ABSENT
            assert given.accounting_presence is ABSENT or not given.has_accounting
            assert (given.absent_for or 0.0) >= PATIENCE.for_absent


@given(all_evidence())
def test_a_record_of_this_attempt_never_leaves_a_job_alive_for_longer_than_its_cause_is_asked_for(given: Evidence) -> None:
    if given.exit_record is None or given.progress or (given.queue is not None and not given.queue.status.final):
        return
    patient = dataclasses.replace(given, waited_for_cause=PATIENCE.for_cause)
    assert judged(patient).exit_info is not None
