"""What is read out of records that a real OpenPBS 23.06.06 printed (`qstat -E -f -x -F dsv -D $'\\x1e'`), and out of broken ones."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.executors.batch.pbspro_records import parse_jobs, parse_server

DATA = Path(__file__).parent.parent / 'data' / 'pbspro'
DELIMITER = '\x1e'
QUEUED, ACTIVE, COMPLETED, FAILED, CANCELED = (
    JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED, JobState.FAILED, JobState.CANCELED)


def capture(name: str) -> str:
    return (DATA / f'dsv-{name}.stdout').read_bytes().decode('utf-8', 'surrogateescape')


def only_job(text: str) -> Observation:
    observations = parse_jobs(text, DELIMITER)
    ((native_id, observation),) = ((key, value) for key, value in observations.items() if '.' in key)
    assert observations[native_id.partition('.')[0]] == observation
    return observation


# What each job was made to do is in the name of its file.
CAPTURES = [
    ('ok', COMPLETED, 0, None, ExitReason.EXITED),
    ('exit3', FAILED, 3, None, ExitReason.EXITED),
    ('kill9', FAILED, 137, 9, ExitReason.SIGNALED),
    ('kill15', FAILED, 143, 15, ExitReason.SIGNALED),
    ('killed-outside', FAILED, 137, 9, ExitReason.SIGNALED),
    ('walltime', FAILED, None, None, ExitReason.TIMEOUT),
    ('deleted-running', CANCELED, 143, 15, ExitReason.CANCELED),
    ('deleted-queued', CANCELED, None, None, ExitReason.CANCELED),
    ('dependency-failed', FAILED, None, None, ExitReason.DEPENDENCY_FAILED),
    ('array', COMPLETED, 0, None, ExitReason.EXITED),
    ('held', QUEUED, None, None, None),
    ('queued', QUEUED, None, None, None),
    ('waiting', QUEUED, None, None, None),
    ('running', ACTIVE, None, None, None),
    ('rerun', ACTIVE, None, None, None),
    ('hostile', QUEUED, None, None, None),
]


@pytest.mark.parametrize(('name', 'state', 'exit_code', 'signal', 'reason'), CAPTURES)
def test_capture(name: str, state: JobState, exit_code: int | None, signal: int | None, reason: ExitReason | None) -> None:
    seen = only_job(capture(name))
    assert (seen.status.state, seen.status.exit_code, seen.signal, seen.reason) == (state, exit_code, signal, reason)


def test_an_earlier_runs_exit_status_ends_nothing() -> None:
    """A job that runs again still has the Exit_status of its first run."""
    text = capture('rerun')
    assert f'{DELIMITER}Exit_status=-11{DELIMITER}' in text
    assert (only_job(text).status.state, only_job(text).attempt) == (ACTIVE, 2)


def test_each_element_of_an_array_is_a_job() -> None:
    observations = parse_jobs(capture('array-elements'), DELIMITER)
    numbers = [re.fullmatch(r'\d+\[(\d*)\]\..*', native_id) for native_id in observations if '.' in native_id]
    assert sorted(match[1] for match in numbers if match) == ['', '0', '1', '2']
    assert {seen.status.state for seen in observations.values()} == {COMPLETED}


def test_known_jobs_beside_an_unknown_one() -> None:
    states = {seen.status.state for seen in parse_jobs(capture('one-unknown'), DELIMITER).values()}
    assert states == {COMPLETED, ACTIVE}


def test_variables_that_look_like_fields_change_nothing() -> None:
    """The job's environment holds the delimiter, `Exit_status=0`, a newline, `Job Id: 1.pbshost1` and `job_state=F`."""
    text = capture('hostile')
    assert 'Exit_status=0' in text
    assert 'Job Id: 1.pbshost1' in text
    assert only_job(text).status.final is False


def test_native_words_are_kept() -> None:
    metadata = only_job(capture('walltime')).status.metadata
    assert metadata is not None
    assert metadata['native_state'] == 'F'
    assert 'exceeded resource walltime' in str(metadata['native_reason'])


# PBS Reference Guide, "Job States": all there are, for jobs that are not over.
@pytest.mark.parametrize(('letter', 'state'), [
    ('B', ACTIVE), ('E', ACTIVE), ('H', QUEUED), ('M', JobState.NEW), ('Q', QUEUED), ('R', ACTIVE), ('S', ACTIVE),
    ('T', QUEUED), ('U', ACTIVE), ('W', QUEUED)])
def test_living_state(letter: str, state: JobState) -> None:
    assert only_job(record(job_state=letter)).status.state is state


# PBS Reference Guide, "Job Exit Status Codes": negative ones are PBS's own, from 256 on it is 256 + a signal from outside.
@pytest.mark.parametrize(('status', 'reason', 'exit_code', 'signal'), [
    ('-1', ExitReason.LAUNCH_FAILED, None, None), ('-2', ExitReason.LAUNCH_FAILED, None, None),
    ('-26', ExitReason.OUT_OF_MEMORY, None, None), ('-27', ExitReason.OUT_OF_MEMORY, None, None),
    ('-28', ExitReason.TIMEOUT, None, None), ('-29', ExitReason.TIMEOUT, None, None),
    ('1', ExitReason.EXITED, 1, None), ('128', ExitReason.EXITED, 128, None), ('255', ExitReason.EXITED, 255, None),
    ('130', ExitReason.SIGNALED, 130, 2), ('257', ExitReason.SIGNALED, 129, 1), ('271', ExitReason.SIGNALED, 143, 15)])
def test_exit_status(status: str, reason: ExitReason, exit_code: int | None, signal: int | None) -> None:
    seen = only_job(record(job_state='F', substate='93', stime='x', Exit_status=status))
    assert (seen.status.state, seen.reason, seen.status.exit_code, seen.signal) == (FAILED, reason, exit_code, signal)


def test_finished_without_a_status_is_no_success() -> None:
    """It ran, and PBS does not say how it ended."""
    seen = only_job(record(job_state='F', substate='92', stime='x'))
    assert (seen.status.state, seen.reason) == (FAILED, ExitReason.LOST)


def test_an_unknown_state_is_logged_once_and_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        states = [only_job(record(job_state='~')).status.state for _ in range(3)]
    assert states == [JobState.NEW] * 3
    assert len(caplog.records) == 1


def test_a_record_without_a_state_harms_no_other() -> None:
    observations = parse_jobs(f'Job Id: 1.host{DELIMITER}queue=workq\n' + record(), DELIMITER)
    assert set(observations) == {'2', '2.host'}


def test_server() -> None:
    site = parse_server((DATA / 'qstat-server.stdout').read_text())
    assert (site.product, site.version, site.history, site.max_array_size) == ('pbspro', (23, 6, 6), True, 10000)


def test_server_without_history() -> None:
    """An attribute that was never set is not printed."""
    text = (DATA / 'qstat-server.stdout').read_text().replace('    job_history_enable = True\n', '')
    assert parse_server(text).history is False


def test_no_server() -> None:
    site = parse_server('')
    assert (site.product, site.history) == ('', None)


@given(st.binary(max_size=400))
def test_arbitrary_bytes_are_no_end(content: bytes) -> None:
    observations = parse_jobs(content.decode('utf-8', 'surrogateescape'), DELIMITER)
    assert not observations or b'Job Id: ' in content


@given(st.sampled_from([name for name, state, *_ in CAPTURES if not state.final]), st.data())
def test_a_mutilated_record_of_a_living_job_is_no_end(name: str, data: st.DataObject) -> None:
    """Whatever piece is lost, and whatever is put in its place that is no field of its own, the job is not over."""
    text = capture(name)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 80)))
    noise = data.draw(st.text(st.characters(codec='utf-8', exclude_characters='\x1e=FX\n'), max_size=20))
    for seen in parse_jobs(text[:start] + noise + text[end:], DELIMITER).values():
        assert not seen.status.final


def record(**fields: str) -> str:
    shown = {'job_state': 'Q', **fields}
    return 'Job Id: 2.host' + ''.join(f'{DELIMITER}{name}={value}' for name, value in shown.items()) + '\n'
