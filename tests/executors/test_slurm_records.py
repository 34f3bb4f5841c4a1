from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation, Site
from psij_ext.core.state import JobState
from psij_ext.executors.batch import slurm_records
from psij_ext.executors.batch.slurm_records import parse_accounting, parse_config, parse_queue

DATA = Path(__file__).parent.parent / 'data' / 'slurm'
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


def queued(state: str, status: str | int = 0, restarts: str | int = 0, start: str = 'N/A', cluster: str = 'c',
           reason: str = 'None', native_id: str = '12') -> Observation:
    text = f'{native_id}|{state}|{status}|{restarts}|{start}|{cluster}|{reason}|\n'
    return parse_queue(text)[native_id]


def accounted(state: str, exit_code: str = '0:0', cluster: str = 'c', reason: str = 'None', native_id: str = '12') -> Observation:
    return parse_accounting(f'{native_id}|{state}|{exit_code}|{cluster}|{reason}\n')[native_id]


def result(observation: Observation) -> tuple[JobState, ExitReason | None, int | None, int | None]:
    return observation.status.state, observation.reason, observation.status.exit_code, observation.signal


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
    assert set(slurm_records._STATES) == {long for long, _, _ in STATES}
    assert {short: long for long, short, _ in STATES if short is not None}.items() <= slurm_records._SHORT.items()
    assert set(slurm_records._SHORT.values()) <= set(slurm_records._STATES)


@pytest.mark.parametrize('state', ['BOOT_FAIL', 'NODE_FAIL', 'PREEMPTED'])
def test_in_accounting_these_are_ends(state: str) -> None:
    assert result(accounted(state)) == (FAILED, REASONS[state], None, None)


@pytest.mark.parametrize('state', ['REVOKED', 'UPDATE_DB', 'UNHEARD_OF'])
def test_these_are_no_ends_even_in_accounting(state: str) -> None:
    assert accounted(state).status.state is NEW


def test_an_unknown_state_is_logged_once_and_kept(caplog: pytest.LogCaptureFixture) -> None:
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
    assert seen.status.message == 'CANCELLED by 1500'
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


# -- ids and clusters


@pytest.mark.parametrize('native_id', ['12', '12_3', '12_[4-9%2]', '12_[1,3,5-7', '12+0'])
def test_ids_are_kept_as_they_are(native_id: str) -> None:
    assert set(parse_queue(f'{native_id}|RUNNING|0|0|N/A||None|')) == {native_id}
    assert set(parse_accounting(f'{native_id}|RUNNING|0:0||None')) == {native_id}


def test_steps_have_ids_of_their_own() -> None:
    rows = parse_accounting('12|COMPLETED|0:0|c|None\n12.batch|FAILED|1:0|c|\n12.0|OUT_OF_MEMORY|0:125|c|\n')
    assert rows['12'].status.state is COMPLETED


@pytest.mark.parametrize('cluster', ['', 'N/A'])
def test_without_a_cluster_a_job_has_one_id(cluster: str) -> None:
    assert set(parse_queue(f'12|RUNNING|0|0|N/A|{cluster}|None|')) == {'12'}


def test_each_cluster_counts_for_itself() -> None:
    text = '12|RUNNING|0|0|N/A|near|None|\n12|FAILED|256|0|N/A|far|None|\n13|PENDING|0|0|N/A|far|None|\n'
    for rows in (text, 'CLUSTER: far\n' + ''.join(reversed(text.splitlines(keepends=True)))):
        seen = parse_queue(rows, 'near')
        assert {native_id: each.status.state for native_id, each in seen.items()} == {
            '12': ACTIVE, '12;near': ACTIVE, '12;far': FAILED, '13;far': QUEUED}
    seen = parse_accounting('12|COMPLETED|0:0|far|None\n12|RUNNING|0:0|near|None\n', 'near')
    assert {native_id: each.status.state for native_id, each in seen.items()} == {
        '12': ACTIVE, '12;near': ACTIVE, '12;far': COMPLETED}


def test_where_the_own_cluster_is_not_known_the_plain_id_will_do() -> None:
    assert set(parse_queue('12|RUNNING|0|0|N/A|some|None|')) == {'12', '12;some'}


# -- rows that cannot be read


@pytest.mark.parametrize('row', [
    '', '|', '||||||', 'slurm_load_jobs error: Socket timed out', 'CLUSTER: far', '12', '12|COMPLETED', '12|COMPLETED|0', '12|COMPLETED|0|0',
    'x|COMPLETED|0|0|N/A|c|None|', ' |COMPLETED|0|0|N/A|c|None|', '-1|COMPLETED|0|0|N/A|c|None|', 'JOBID|STATE|0|0|N/A|c|None|'])
def test_a_row_that_cannot_be_read_harms_itself_alone(row: str) -> None:
    good = '13|RUNNING|0|0|N/A|c|None|'
    assert set(parse_queue(f'{row}\n{good}\n{row}')) == {'13', '13;c'}
    assert set(parse_accounting(f'{row}\n13|RUNNING|0:0|c|None\n{row}')) == {'13', '13;c'}


def test_nothing_is_nothing() -> None:
    assert parse_queue('') == {}
    assert parse_accounting('') == {}


# -- what a real one printed


def test_our_own_query_of_the_queue() -> None:
    seen = parse_queue((DATA / 'squeue-cases.txt').read_text())
    assert {native_id: result(each) for native_id, each in seen.items() if ';' not in native_id and '19_' not in native_id} == {
        '4': (COMPLETED, ExitReason.EXITED, 0, None), '5': (FAILED, ExitReason.EXITED, 3, None),
        '6': (FAILED, ExitReason.SIGNALED, 137, 9), '7': (FAILED, ExitReason.EXITED, 137, None),
        '8': (FAILED, ExitReason.SIGNALED, 143, 15), '9': (FAILED, ExitReason.LAUNCH_FAILED, None, None),
        '10': (QUEUED, None, None, None), '11': (CANCELED, ExitReason.CANCELED, None, None),
        '12': (CANCELED, ExitReason.CANCELED, 143, 15), '13': (CANCELED, ExitReason.CANCELED, None, None),
        '14': (ACTIVE, None, None, None), '15': (ACTIVE, None, None, None), '16': (QUEUED, None, None, None),
        '17': (QUEUED, None, None, None), '18_1': (COMPLETED, ExitReason.EXITED, 0, None),
        '18_2': (COMPLETED, ExitReason.EXITED, 0, None), '18_3': (FAILED, ExitReason.EXITED, 1, None),
        '18_4': (COMPLETED, ExitReason.EXITED, 0, None), '20': (QUEUED, None, None, None), '21': (QUEUED, None, None, None),
        '22': (QUEUED, None, None, None), '23': (ACTIVE, None, None, None)}
    assert {f'19_{number}' for number in range(6, 100)} <= set(seen)
    assert (seen['16'].attempt, seen['14'].attempt) == (2, 1)
    assert seen['21'].status.message == 'DependencyNeverSatisfied'
    assert seen['17'].status.message == 'job requeued in held state'
    assert seen['4'] == seen['4;psij']


def test_our_own_query_of_accounting() -> None:
    seen = parse_accounting((DATA / 'sacct-cases.txt').read_text())
    assert {native_id: result(each) for native_id, each in seen.items() if ';' not in native_id} == {
        '2': (FAILED, ExitReason.EXITED, 3, None), '3': (COMPLETED, ExitReason.EXITED, 0, None),
        '4': (COMPLETED, ExitReason.EXITED, 0, None), '5': (FAILED, ExitReason.EXITED, 3, None),
        '6': (FAILED, ExitReason.SIGNALED, 137, 9),
        '7': (FAILED, ExitReason.EXITED, 9, None),  # here Slurm itself takes 137 for 9
        '8': (FAILED, ExitReason.SIGNALED, 143, 15), '9': (FAILED, ExitReason.LAUNCH_FAILED, None, None),
        '12': (CANCELED, ExitReason.CANCELED, None, None), '13': (CANCELED, ExitReason.CANCELED, None, None),
        '14': (ACTIVE, None, None, None), '15': (ACTIVE, None, None, None), '16': (QUEUED, None, None, None),
        '17': (QUEUED, None, None, None), '20': (QUEUED, None, None, None), '23': (ACTIVE, None, None, None),
        '18_1': (COMPLETED, ExitReason.EXITED, 0, None), '18_2': (COMPLETED, ExitReason.EXITED, 0, None),
        '18_3': (FAILED, ExitReason.EXITED, 1, None), '18_4': (COMPLETED, ExitReason.EXITED, 0, None)}


def shown_jobs(name: str) -> Iterator[Observation]:
    """What `scontrol show job` printed in a capture, as squeue would have told it to us."""
    for block in re.split(r'^JobId=', (DATA / name).read_text(), flags=re.MULTILINE)[1:]:
        found = re.search(r'JobState=(\S+) Reason=(\S+).*?Restarts=(\d+).*?ExitCode=(\d+):(\d+)', block, re.DOTALL)
        assert found is not None
        state, reason, restarts, code, signal = found.groups()
        yield queued(state, (int(code) << 8) + int(signal), restarts, reason=reason)


@pytest.mark.parametrize(('case', 'last'), [
    ('ok', (QUEUED, None, None, None)), ('exit3', (FAILED, ExitReason.EXITED, 3, None)),
    ('kill9', (FAILED, ExitReason.SIGNALED, 137, 9)), ('kill15', (FAILED, ExitReason.SIGNALED, 143, 15)),
    ('kill9child', (FAILED, ExitReason.EXITED, 137, None)), ('srunkill9', (FAILED, ExitReason.EXITED, 137, None)),
    ('cancel_pending', (CANCELED, ExitReason.CANCELED, None, None)), ('cancel_polite', (CANCELED, ExitReason.CANCELED, None, None)),
    ('cancel_running', (CANCELED, ExitReason.CANCELED, 143, None)), ('cancel_stubborn', (CANCELED, ExitReason.CANCELED, 137, 9)),
    ('held', (COMPLETED, ExitReason.EXITED, 0, None)), ('begin', (QUEUED, None, None, None)),
    ('dep_never', (QUEUED, None, None, None)), ('dep_wait', (QUEUED, None, None, None)), ('requeue', (QUEUED, None, None, None)),
    ('requeuehold', (QUEUED, None, None, None)), ('stopsig', (ACTIVE, None, None, None)), ('suspend', (ACTIVE, None, None, None))])
def test_the_last_moment_of_a_case(case: str, last: tuple[object, ...]) -> None:
    assert result(list(shown_jobs(f'noacct-10-{case}.txt'))[-1]) == last


def test_a_requeue_is_the_second_attempt() -> None:
    assert {(each.attempt, each.status.state) for each in shown_jobs('noacct-10-requeue.txt')} == {(2, QUEUED)}


def test_the_elements_of_an_array_end_for_themselves() -> None:
    states = {each.status.state for each in shown_jobs('noacct-10-array_part_cancel.txt')}
    assert states == {ACTIVE, CANCELED}


def tables(name: str) -> Iterator[tuple[list[str], list[list[str]]]]:
    """The tables with a header that sacct printed in a capture; rows that a name has broken are left out."""
    for block in (DATA / name).read_text().split('--- stdout\n')[1:]:
        lines = block.split('--- stderr')[0].splitlines()
        if lines and lines[0].startswith('JobID|'):
            header = lines[0].split('|')
            yield header, [row for row in (line.split('|') for line in lines[1:]) if len(row) == len(header)]


def as_we_ask(name: str) -> dict[str, Observation]:
    seen: dict[str, Observation] = {}
    for header, rows in tables(name):
        for row in rows:
            fields = dict(zip(header, row))
            line = '|'.join((fields['JobID'], fields['State'], fields['ExitCode'], 'cluster1', fields.get('Reason', '')))
            seen.update(parse_accounting(line))
    return seen


def test_what_accounting_said_of_all_cases() -> None:
    seen = as_we_ask('acct-30-sacct.txt')
    expected = {
        '1': (FAILED, ExitReason.TIMEOUT, None, None), '2': (FAILED, ExitReason.TIMEOUT, None, None),
        '3': (FAILED, ExitReason.TIMEOUT, None, None), '5': (FAILED, ExitReason.EXITED, 3, None),
        '6': (FAILED, ExitReason.SIGNALED, 137, 9), '8': (FAILED, ExitReason.SIGNALED, 143, 15),
        '10': (CANCELED, ExitReason.CANCELED, None, None), '13': (CANCELED, ExitReason.CANCELED, None, None),
        '14': (COMPLETED, ExitReason.EXITED, 0, None), '15_1': (FAILED, ExitReason.EXITED, 1, None),
        '15_2': (COMPLETED, ExitReason.EXITED, 0, None), '16_[24-99%2]': (QUEUED, None, None, None),
        '17_1': (CANCELED, ExitReason.CANCELED, None, None), '18': (QUEUED, None, None, None),
        '20': (CANCELED, ExitReason.CANCELED, None, None), '23': (ACTIVE, None, None, None), '24': (ACTIVE, None, None, None)}
    assert {native_id: result(seen[native_id]) for native_id in expected} == expected


def test_what_accounting_said_of_memory() -> None:
    seen = as_we_ask('acct-15-oom-nodefail.txt')
    assert {native_id: result(seen[native_id]) for native_id in ('142', '143', '144', '145', '146', '147')} == {
        '142': (FAILED, ExitReason.OUT_OF_MEMORY, None, None), '143': (FAILED, ExitReason.OUT_OF_MEMORY, None, None),
        '144': (COMPLETED, ExitReason.EXITED, 0, None), '145': (COMPLETED, ExitReason.EXITED, 0, None),
        '146': (FAILED, ExitReason.NODE_FAILURE, None, None), '147': (FAILED, ExitReason.NODE_FAILURE, None, None)}


# -- the site


def test_the_configuration_of_a_site() -> None:
    site = parse_config((DATA / 'config-accounting.txt').read_text())
    assert site == Site('slurm', (22, 5, 8), accounting=True, max_array_size=10001, clusters=('psij',))
    assert parse_config((DATA / 'config-no-accounting.txt').read_text()).accounting is False


@pytest.mark.parametrize('text', ['', 'nonsense', '=', 'SLURM_VERSION = \n', 'MaxArraySize = many\nSLURM_VERSION = new'])
def test_what_a_site_does_not_tell_is_not_known(text: str) -> None:
    assert parse_config(text) == Site('slurm')


def test_a_version_may_have_a_suffix() -> None:
    assert parse_config('SLURM_VERSION           = 23.11.0-0rc1').version == (23, 11, 0)


# -- properties


CAPTURES = [(DATA / name).read_text() for name in ('squeue-cases.txt', 'sacct-cases.txt')]
JUNK = st.text(st.characters(exclude_categories=()) | st.sampled_from('|\n\r:+,_[]%;. 0123456789'), max_size=12)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    text = draw(st.sampled_from(CAPTURES))
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 30))
        text = text[:start] + draw(JUNK) + text[end:]
    return text


@settings(deadline=None)
@given(mutated() | JUNK | st.binary(max_size=200).map(lambda raw: raw.decode('utf-8', 'surrogateescape')), st.none() | st.just('psij'))
def test_whatever_is_printed_is_read_or_passed_over(text: str, own_cluster: str | None) -> None:
    for parse in (parse_queue, parse_accounting):
        for native_id, seen in parse(text, own_cluster).items():
            number = native_id.partition(';')[0]
            words = [line for line in text.splitlines() if line.partition('|')[0].strip() == number]
            assert words, 'a job that no row is about'
            if seen.status.final:
                assert any(known in line.upper() for line in words for known in (*slurm_records._STATES, *slurm_records._SHORT))
    assert isinstance(parse_config(text), Site)


@given(st.text(st.characters(exclude_characters='|', exclude_categories=('Cc', 'Cs', 'Zl', 'Zp')), max_size=20))
def test_a_word_that_is_no_state_ends_nothing(word: str) -> None:
    known = {*slurm_records._STATES, *slurm_records._SHORT}
    if not set(re.split(r'[+, ]', word.strip().upper())) & known:
        assert not queued(word).status.final
        assert not accounted(word).status.final
