"""What the states, exit codes and reasons of Slurm mean."""

from __future__ import annotations

import logging

import pytest
from slurm_rows import accounted, queued, result

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.state import JobState
from psij_ext.executors.batch import slurm_states

NEW, QUEUED, ACTIVE = JobState.NEW, JobState.QUEUED, JobState.ACTIVE
COMPLETED, FAILED, CANCELED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELED

# squeue(1), "JOB STATE CODES", of Slurm 22.05, and what later versions add: state, its short form, what it is to us.
STATES = [
    ('BOOT_FAIL', 'BF', NEW), ('CANCELLED', 'CA', CANCELED), ('COMPLETED', 'CD', COMPLETED), ('CONFIGURING', 'CF', QUEUED),
    ('COMPLETING', 'CG', ACTIVE), ('DEADLINE', 'DL', FAILED), ('FAILED', 'F', FAILED), ('NODE_FAIL', 'NF', NEW),
    ('OUT_OF_MEMORY', 'OOM', FAILED), ('PENDING', 'PD', QUEUED), ('PREEMPTED', 'PR', NEW), ('RUNNING', 'R', ACTIVE),
    ('RESV_DEL_HOLD', 'RD', QUEUED), ('REQUEUE_FED', 'RF', QUEUED), ('REQUEUE_HOLD', 'RH', QUEUED), ('REQUEUED', 'RQ', QUEUED),
    ('RESIZING', 'RS', ACTIVE), ('REVOKED', 'RV', NEW), ('SIGNALING', 'SI', ACTIVE), ('SPECIAL_EXIT', 'SE', QUEUED),
    ('STAGE_OUT', 'SO', ACTIVE), ('STOPPED', 'ST', ACTIVE), ('SUSPENDED', 'S', ACTIVE), ('TIMEOUT', 'TO', FAILED),
    ('LAUNCH_FAILED', None, FAILED), ('RECONFIG_FAIL', None, FAILED), ('POWER_UP_NODE', None, QUEUED),
    ('UPDATE_DB', None, NEW), ('EXPEDITING', None, QUEUED),
]
REASONS = {
    'BOOT_FAIL': ExitReason.NODE_FAILURE, 'CANCELLED': ExitReason.CANCELED, 'COMPLETED': ExitReason.EXITED,
    'DEADLINE': ExitReason.TIMEOUT, 'FAILED': ExitReason.EXITED, 'NODE_FAIL': ExitReason.NODE_FAILURE,
    'OUT_OF_MEMORY': ExitReason.OUT_OF_MEMORY, 'PREEMPTED': ExitReason.PREEMPTED, 'TIMEOUT': ExitReason.TIMEOUT,
    'LAUNCH_FAILED': ExitReason.LAUNCH_FAILED, 'RECONFIG_FAIL': ExitReason.LAUNCH_FAILED,
}


# -- states


@pytest.mark.parametrize(('long', 'short', 'state'), STATES)
def test_every_documented_state_is_known(long: str, short: str | None, state: JobState, caplog: pytest.LogCaptureFixture) -> None:
    seen = queued(long)
    assert (seen.status.state, seen.reason) == (state, REASONS.get(long))
    assert (seen.status.metadata or {})['native_state'] == long
    if short is not None:
        assert (queued(short).status.state, queued(short).reason) == (state, REASONS.get(long))
    assert caplog.records == []


def test_the_tables_hold_nothing_that_is_not_documented() -> None:
    assert set(slurm_states._STATES) == {long for long, _, _ in STATES}
    assert {short: long for long, short, _ in STATES if short is not None}.items() <= slurm_states._SHORT.items()
    assert set(slurm_states._SHORT.values()) <= set(slurm_states._STATES)


@pytest.mark.parametrize('state', ['BOOT_FAIL', 'NODE_FAIL', 'PREEMPTED'])
def test_in_accounting_these_are_ends(state: str) -> None:
    assert result(accounted(state)) == (FAILED, REASONS[state], None, None)


@pytest.mark.parametrize('state', ['REVOKED', 'UPDATE_DB', 'UNHEARD_OF'])
def test_these_are_no_ends_even_in_accounting(state: str) -> None:
    assert accounted(state).status.state is NEW


def test_an_unknown_state_is_logged_once_and_kept(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_states, '_unknown_states', set())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            seen = queued('HIBERNATING_ONCE')
            assert (seen.status.state, seen.reason) == (NEW, None)
            assert seen.status.metadata == {'native_state': 'HIBERNATING_ONCE'}
    assert len(caplog.records) == 1
    assert 'HIBERNATING_ONCE' in caplog.text


@pytest.mark.parametrize(('states', 'state'), [
    ('PENDING,REQUEUED', QUEUED), ('RUNNING,COMPLETING', ACTIVE), ('COMPLETED,COMPLETING', ACTIVE), ('FAILED+COMPLETING', ACTIVE),
    ('CANCELLED,COMPLETING', ACTIVE), ('COMPLETED,REQUEUED', QUEUED), ('PENDING,LAUNCH_FAILED,REQUEUE_HOLD', QUEUED),
    ('RUNNING,CONFIGURING', ACTIVE), ('RUNNING,SUSPENDED', ACTIVE), ('CANCELLED+', CANCELED), ('running', ACTIVE), ('FAILED,LAUNCH_FAILED', FAILED),
    ('COMPLETED,HIBERNATING', NEW), ('HIBERNATING,COMPLETED', NEW), ('', NEW), (',', NEW), ('+', NEW), (' ', NEW)])
def test_several_states_at_once(states: str, state: JobState) -> None:
    assert queued(states).status.state is state


# -- exit codes and signals


@pytest.mark.parametrize(('state', 'status', 'expected'), [
    ('COMPLETED', 0, (COMPLETED, ExitReason.EXITED, 0, None)),
    ('FAILED', 768, (FAILED, ExitReason.EXITED, 3, None)),
    ('FAILED', 65280, (FAILED, ExitReason.EXITED, 255, None)),
    ('FAILED', 9, (FAILED, ExitReason.SIGNALED, 137, 9)),
    ('FAILED', 139, (FAILED, ExitReason.SIGNALED, 139, 11)),  # 128 is the flag of a core dump
    ('FAILED', 35072, (FAILED, ExitReason.EXITED, 137, None)),
    ('FAILED', 4021, (FAILED, ExitReason.LAUNCH_FAILED, None, None)),  # seen with a bad output folder
    ('FAILED', 53, (FAILED, ExitReason.LAUNCH_FAILED, None, None)),
    ('CANCELLED', 0, (CANCELED, ExitReason.CANCELED, None, None)),
    ('CANCELLED', 15, (CANCELED, ExitReason.CANCELED, 143, 15)),
    ('CANCELLED', 36608, (CANCELED, ExitReason.CANCELED, 143, None)),
    ('TIMEOUT', 0, (FAILED, ExitReason.TIMEOUT, None, None)),
    ('TIMEOUT', 15, (FAILED, ExitReason.TIMEOUT, 143, 15)),
    ('OUT_OF_MEMORY', 125, (FAILED, ExitReason.OUT_OF_MEMORY, None, None)),
    ('RUNNING', 768, (ACTIVE, None, None, None)),
    ('FAILED', 'N/A', (FAILED, ExitReason.EXITED, None, None)),
    ('FAILED', '', (FAILED, ExitReason.EXITED, None, None)),
    ('FAILED', '9' * 5000, (FAILED, ExitReason.EXITED, None, None)),
    ('FAILED', '²', (FAILED, ExitReason.EXITED, None, None)),
])
def test_a_raw_wait_status(state: str, status: str | int, expected: tuple[object, ...]) -> None:
    assert result(queued(state, status)) == expected


@pytest.mark.parametrize(('state', 'code', 'expected'), [
    ('COMPLETED', '0:0', (COMPLETED, ExitReason.EXITED, 0, None)),
    ('FAILED', '3:0', (FAILED, ExitReason.EXITED, 3, None)),
    ('FAILED', '0:9', (FAILED, ExitReason.SIGNALED, 137, 9)),
    ('FAILED', '0:53', (FAILED, ExitReason.LAUNCH_FAILED, None, None)),
    ('CANCELLED by 1500', '0:0', (CANCELED, ExitReason.CANCELED, None, None)),
    ('CANCELLED by 1500', '0:15', (CANCELED, ExitReason.CANCELED, 143, 15)),
    ('TIMEOUT', '0:0', (FAILED, ExitReason.TIMEOUT, None, None)),
    ('OUT_OF_MEMORY', '0:125', (FAILED, ExitReason.OUT_OF_MEMORY, None, None)),
    ('FAILED', '', (FAILED, ExitReason.EXITED, None, None)),
    ('FAILED', 'x:y', (FAILED, ExitReason.EXITED, None, None)),
    ('FAILED', '3', (FAILED, ExitReason.EXITED, 3, None)),
])
def test_a_code_and_a_signal(state: str, code: str, expected: tuple[object, ...]) -> None:
    assert result(accounted(state, code)) == expected


def test_who_cancelled_is_told() -> None:
    seen = accounted('CANCELLED by 1500')
    assert seen.status.message == 'It was cancelled by the user with the id 1500.'
    assert (seen.status.metadata or {})['native_state'] == 'CANCELLED by 1500'


# -- reasons, restarts, starts


def test_the_reason_is_the_message_and_may_hold_anything() -> None:
    reason = 'Nodes required for job are DOWN, DRAINED or reserved|for (others)'
    seen = queued('PENDING', reason=reason)
    assert seen.status.message == reason
    assert seen.status.metadata == {'native_state': 'PENDING', 'native_reason': reason}


@pytest.mark.parametrize('reason', ['None', '', ' '])
def test_no_reason_is_no_message(reason: str) -> None:
    assert queued('RUNNING', reason=reason).status.message is None


def test_the_reason_of_an_end_is_its_message() -> None:
    assert queued('TIMEOUT', reason='TimeLimit').status.message == 'TimeLimit'
    assert queued('CANCELLED').status.message is None
    # What squeue prints is why it waited, and no reason of its end.
    waited = queued('CANCELLED', reason='Priority').status
    assert (waited.message, (waited.metadata or {})['native_reason']) == (None, 'Priority')


@pytest.mark.parametrize(('status', 'reason', 'message'), [
    (768, 'NonZeroExitCode', None), (9, 'JobLaunchFailure', 'Its script was ended by signal 9.'),
    (4021, 'JobLaunchFailure', 'JobLaunchFailure')])
def test_a_message_says_what_is_not_said_elsewhere_and_is_true(status: int, reason: str, message: str | None) -> None:
    """Slurm calls it a launch failure, too, when a script is killed that has run for long."""
    seen = queued('FAILED', status, reason=reason).status
    assert (seen.message, (seen.metadata or {})['native_reason']) == (message, reason)


def test_a_success_has_no_message() -> None:
    assert queued('COMPLETED', reason='JobHeldUser').status.message is None


@pytest.mark.parametrize(('restarts', 'attempt'), [('0', 1), ('1', 2), ('17', 18), ('', None), ('N/A', None), ('-1', None)])
def test_restarts_count_attempts(restarts: str, attempt: int | None) -> None:
    assert queued('RUNNING', restarts=restarts).attempt == attempt


def test_the_expected_start_of_a_waiting_job_is_kept() -> None:
    assert (queued('PENDING', start='1795183291').status.metadata or {}).get('expected_start') == 1795183291.0
    assert 'expected_start' not in (queued('PENDING', start='N/A').status.metadata or {})
    assert 'expected_start' not in (queued('RUNNING', start='1795183291').status.metadata or {})
    assert 'expected_start' not in (queued('PENDING', start='²').status.metadata or {})


def test_a_dependency_that_can_never_hold_is_told_from_a_cancel() -> None:
    """Seen with `sbatch --kill-on-invalid-dep=yes`; what a person cancelled while it was held keeps that reason, too."""
    assert result(queued('CANCELLED', reason='DependencyNeverSatisfied')) == (CANCELED, ExitReason.DEPENDENCY_FAILED, None, None)
    assert result(queued('CANCELLED', reason='JobHeldUser')) == (CANCELED, ExitReason.CANCELED, None, None)
    assert result(queued('PENDING', reason='DependencyNeverSatisfied')) == (QUEUED, None, None, None)


def test_a_job_that_sbatch_refused_never_ran() -> None:
    """It stands in the queue with the raw exit status 1, which would be a signal."""
    assert result(queued('FAILED', 1, reason='BadConstraints')) == (FAILED, ExitReason.NEVER_STARTED, None, None)


# squeue(1), "TimeLimit"; sacct(1), "TotalCPU"
@pytest.mark.parametrize(('text', 'seconds'), [
    ('5:00', 300), ('0:30', 30), ('1:00:00', 3600), ('2-03:05:00', 183_900), ('365-00:00:00', 31_536_000), ('00:02.143', 2.143), ('01:00:00.5', 3600.5),
    ('UNLIMITED', None), ('INVALID', None), ('NOT_SET', None), ('Partition_Limit', None), ('N/A', None), ('', None), ('5', None), ('-5:00', None),
    ('²:00', None), ('1:2:3:4', None), ('9999999:00', None)])
def test_spans_of_time(text: str, seconds: float | None) -> None:
    assert slurm_states.seconds(text) == seconds


def test_garbled_states_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_states, '_unknown_states', set())
    for number in range(500):
        queued(f'GARBLED{number}')
    assert len(slurm_states._unknown_states) <= 100
