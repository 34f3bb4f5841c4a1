"""What is read out of records that a real OpenPBS 23.06.06 printed (`qstat -E -f -x -F dsv -D $'\\x1e'`), and out of broken ones."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.exceptions import ParseError
from psij_ext.executors.batch import pbspro_states
from psij_ext.executors.batch.pbspro_records import parse_jobs, parse_server, parse_texts, short_id

DATA = Path(__file__).parents[2] / 'data' / 'pbspro'
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


# Capture qstat-qdel-running-at-once; qdel -W force of a manager names nobody (qstat-qdel-force-root).
@pytest.mark.parametrize('by', ['', ' by tester@pbshost1'])
@pytest.mark.parametrize(('letter', 'reason'), [('R', ExitReason.CANCELED), ('E', ExitReason.CANCELED), ('Q', None), ('H', None)])
def test_job_that_was_deleted_and_is_still_there(by: str, letter: str, reason: ExitReason | None) -> None:
    seen = only_job(record(job_state=letter, comment=f'Job run at Fri Nov 20 at 10:24 on (pbshost1:ncpus=1) and terminated{by}'))
    assert (seen.status.final, seen.reason) == (False, reason)


def test_job_that_runs_was_not_deleted() -> None:
    assert only_job(capture('running')).reason is None
    assert only_job(record(job_state='R', comment='Job run on (and terminated by:ncpus=1)')).reason is None


# OpenPBS, status_subjob in stat_job.c: the attributes of the array, but state and comment, stand for those that were not kept.
@pytest.mark.parametrize('state', ['X', 'F'])
@pytest.mark.parametrize('attributes', [{}, {'Exit_status': '0', 'stime': 'x', 'substate': '92'}, {'Exit_status': '1', 'substate': '70'}])
def test_element_of_which_no_more_is_kept_than_that_it_is_over(state: str, attributes: dict[str, str]) -> None:
    made_up = {'comment': 'Subjob finished', 'job_state': state, **attributes}
    assert not parse_jobs(record('7[2].host', **made_up), DELIMITER)
    assert not parse_texts('Job Id: 7[2].host\n' + ''.join(f'    {name} = {value}\n' for name, value in made_up.items()) + '\n')
    assert parse_jobs(record('7[2].host', **made_up, array_id='7[].host'), DELIMITER)
    assert parse_jobs(record('7[].host', **made_up), DELIMITER)
    assert parse_jobs(record('7[2].host', job_state='Q'), DELIMITER)


def test_finished_without_a_status_is_no_success() -> None:
    """It ran, and PBS does not say how it ended."""
    seen = only_job(record(job_state='F', substate='92', stime='x'))
    assert (seen.status.state, seen.reason) == (FAILED, ExitReason.LOST)


def test_an_unknown_state_is_logged_once_and_ends_nothing(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pbspro_states, '_unknown_states', set())
    with caplog.at_level(logging.WARNING):
        states = [only_job(record(job_state='~')).status.state for _ in range(3)]
    assert states == [JobState.NEW] * 3
    assert len(caplog.records) == 1


def test_garbled_states_do_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pbspro_states, '_unknown_states', set())
    for number in range(500):
        only_job(record(job_state=f'~{number}'))
    assert len(pbspro_states._unknown_states) <= 100


# -- arrays: the Exit_status of an array is that of its last element


@pytest.mark.parametrize(('substate', 'status', 'expected'), [
    ('92', '0', (COMPLETED, 0, ExitReason.EXITED)), ('93', '0', (FAILED, None, ExitReason.EXITED)), ('93', '1', (FAILED, None, ExitReason.EXITED)),
    ('91', '1', (CANCELED, None, ExitReason.CANCELED)), ('91', None, (CANCELED, None, ExitReason.CANCELED)),
    ('92', None, (FAILED, None, ExitReason.LOST)), ('', '7', (FAILED, None, ExitReason.EXITED)),
    # Neither says how the others ended.
    ('', '0', (JobState.NEW, None, None)), ('92', 'x', (JobState.NEW, None, None))])
def test_the_end_of_an_array(substate: str, status: str | None, expected: tuple[object, ...]) -> None:
    fields = {'job_state': 'F', 'substate': substate, 'stime': 'x', **({} if status is None else {'Exit_status': status})}
    seen = parse_jobs(record(**fields).replace('2.host', '2[].host'), DELIMITER)['2[].host']
    assert (seen.status.state, seen.status.exit_code, seen.reason) == expected
    assert seen.usage is None


# -- what cannot be read


@pytest.mark.parametrize('garbled', ['', f'{DELIMITER}queue=workq', f'{DELIMITER}job_state=', f'{DELIMITER}job_stat', DELIMITER, f'{DELIMITER}a\\{DELIMITER}job_state=F'])
def test_a_job_whose_record_cannot_be_read_is_neither_absent_nor_over(garbled: str) -> None:
    seen = parse_jobs(f'{record(job_state="R")}Job Id: 1.host{garbled}\n{record("3.host")}', DELIMITER)
    assert seen.unread == {'1', '1.host'}
    assert (seen['1.host'].status.state, seen['1.host'].reason) == (JobState.NEW, None)
    assert (seen['2.host'].status.state, seen['3.host'].status.state) == (ACTIVE, QUEUED)
    assert not seen.may_hide('9.host')


@pytest.mark.parametrize('line', [
    f'1.host{DELIMITER}job_state=F', f'Job Id: {DELIMITER}job_state=F', f'Job Id: x.host{DELIMITER}job_state=F', 'Job Id: ', f'Job Id: 1.host\\{DELIMITER}job_state=F',
    f'Job Id: 1 .host{DELIMITER}job_state=F', DELIMITER, f'Job Id: ²{DELIMITER}job_state=F'])
def test_a_record_without_an_id_may_be_about_anybody(line: str) -> None:
    seen = parse_jobs(f'{line}\n{record()}', DELIMITER)
    assert set(seen) == {'2', '2.host'}
    assert seen.may_hide('1.host')
    assert not seen.may_hide('2.host')


@pytest.mark.parametrize('line', ['', 'Welcome', '1.host|job_state=F', '=====', 'job_state=F'])
def test_a_line_without_a_delimiter_is_the_sites_own(line: str) -> None:
    seen = parse_jobs(f'{line}\n{record()}{line}\n', DELIMITER)
    assert set(seen) == {'2', '2.host'}
    assert not seen.may_hide('1.host')


@pytest.mark.parametrize('parse', [lambda text: parse_jobs(text, DELIMITER), parse_texts])
def test_an_answer_that_is_cut_is_none(parse: Callable[[str], object]) -> None:
    with pytest.raises(ParseError, match='middle'):
        parse(record() + record()[:-5])


def test_an_unreadable_record_does_not_replace_one_that_could_be_read() -> None:
    for text in ('Job Id: 2.host\n' + record(), record() + 'Job Id: 2.host\n'):
        seen = parse_jobs(text, DELIMITER)
        assert (seen['2.host'].status.state, seen.unread & {'2.host'}) == (QUEUED, set())


@pytest.mark.parametrize(('written', 'comment'), [
    ('plain', 'plain'), ('a\\\x1eb', 'a\\\x1eb'), ('ends in a backslash\\\\', 'ends in a backslash\\\\'),
    ('both\\\\\\\x1ejob_state=F', 'both\\\\\\\x1ejob_state=F')])
def test_a_backslash_before_the_delimiter(written: str, comment: str) -> None:
    """Seen: a backslash is doubled, and a delimiter in a value has one of its own before it."""
    for state in 'RF':
        seen = only_job(record(job_state='R', Account_Name='a\\\\', comment=written, run_count='3') if state == 'R' else
                        record(job_state='F', comment=written, run_count='3', Exit_status='1', stime='x'))
        assert (seen.status.message, seen.attempt, seen.status.final) == (comment, 3, state == 'F')


# -- ids


def test_ids_with_and_without_the_servers_name() -> None:
    seen = parse_jobs(record('7.a.site.org') + record('8[3].a') + record('9[].a.site.org'), DELIMITER)
    assert set(seen) == {'7.a.site.org', '7.a', '7', '8[3].a', '8[3]', '9[].a.site.org', '9[].a', '9[]'}


@pytest.mark.parametrize(('native_id', 'short'), [
    ('7', '7'), ('7.a', '7.a'), ('7.a.site.org', '7.a'), ('7[].a.site.org', '7[].a'), ('7.a@b', '7.a'), ('', '')])
def test_the_short_form_of_an_id(native_id: str, short: str) -> None:
    assert short_id(native_id) == short


# -- limits and expected starts


def test_the_limit_and_the_expected_start_of_a_waiting_job() -> None:
    seen = only_job(record(**{'Resource_List.walltime': '01:30:00', 'estimated.start_time': '1795260872'}))
    assert (seen.time_limit, (seen.status.metadata or {}).get('expected_start')) == (5400.0, 1795260872.0)
    running = only_job(record(job_state='R', **{'Resource_List.walltime': '100:00:00', 'estimated.start_time': '1795260872'}))
    assert (running.time_limit, (running.status.metadata or {}).get('expected_start')) == (360_000.0, None)
    assert only_job(record(**{'Resource_List.walltime': 'soon'})).time_limit is None


def test_records_that_say_the_same_share_what_is_read() -> None:
    seen = parse_jobs(record('1.a') + record('2.a') + record('3.a', comment='x'), DELIMITER)
    assert seen['1.a'] is seen['2.a']
    assert seen['3.a'] != seen['1.a']


# -- the format for people


def test_the_format_for_people_says_the_same() -> None:
    told = parse_texts((DATA / 'qstat-f-text.stdout').read_text())['39.pbshost1']
    same = parse_jobs((DATA / 'qstat-F-dsv.stdout').read_text(), '|')['39.pbshost1']
    assert told == same
    assert (told.status.state, told.status.exit_code, told.status.metadata) == (COMPLETED, 0, {
        'native_state': 'F', 'native_reason': 'Job run at Fri Nov 20 at 10:24 on (pbshost1:ncpus=1) and finished'})


def test_the_format_for_people_may_be_garbled() -> None:
    seen = parse_texts('Job Id: 1.host\n    job_state = R\n\nJob Id: 2.host\n    queue = workq\n\nJob Id: x\n    job_state = F\n\n')
    assert (seen['1'].status.state, seen.unread, seen.may_hide('5.host')) == (ACTIVE, {'2', '2.host'}, True)
    assert parse_texts('') == {}
    assert parse_texts('Welcome\n\n') == {}


def test_what_a_user_wrote_is_no_field_of_the_format_for_people() -> None:
    """A variable may hold newlines, and those stand there as they are."""
    text = 'Job Id: 1.host\n    job_state = R\n    Variable_List = A=x\n    job_state = F\n\n    Exit_status = 0\n\n'
    assert parse_texts(text)['1'].status.state is ACTIVE


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
    text = content.decode('utf-8', 'surrogateescape')
    for parse in (lambda text: parse_jobs(text, DELIMITER), parse_texts):
        try:
            assert not parse(text) or 'Job Id: ' in text
        except ParseError:
            assert not text.endswith('\n\n')
    parse_server(text)


NOISE = st.text(st.characters(codec='utf-8', exclude_characters='\x1e=FX\n'), max_size=20)


@given(st.sampled_from([name for name, state, *_ in CAPTURES if not state.final]), NOISE, st.data())
def test_a_mutilated_record_of_a_living_job_is_no_end(name: str, noise: str, data: st.DataObject) -> None:
    """Whatever piece is lost, and whatever is put in its place that is no field of its own, the job is not over."""
    text = capture(name)
    start = data.draw(st.integers(0, len(text)))
    end = start + data.draw(st.integers(0, 80))
    seen = parse_jobs(text[:start] + noise + text[end:].rstrip('\n') + '\n', DELIMITER)
    assert not any(each.status.final for each in seen.values())


@given(st.sampled_from([name for name, *_ in CAPTURES]), st.text(max_size=20) | st.sampled_from(['\x1e', '\x1ejob_state=F\x1e', 'Job Id: 3.host\x1e']), st.data())
def test_a_garbled_record_harms_no_other_and_hides_no_job(name: str, noise: str, data: st.DataObject) -> None:
    text = capture(name)
    start = data.draw(st.integers(0, len(text) - 1))
    garbled = (text[:start] + noise + text[start + data.draw(st.integers(0, 30)):]).replace('\n', '') + '\n'
    others = record('2.host', job_state='R', comment='x') + record('3.host', job_state='F', Exit_status='0', substate='92')
    seen = parse_jobs(others + garbled + record('4.host'), DELIMITER)
    assert (seen['2.host'].status.state, seen['3.host'].status.state, seen['4.host'].status.state) == (ACTIVE, COMPLETED, QUEUED) or 'Job Id: 3' in garbled
    native_id = text.partition(DELIMITER)[0][len('Job Id: '):]
    kept = native_id in garbled.partition(DELIMITER)[0] or DELIMITER not in garbled
    assert kept or native_id in seen or seen.may_hide(native_id) or re.match(r'Job Id: *\d', garbled)
    before = parse_jobs(text, DELIMITER)[native_id]
    if native_id in seen and seen[native_id].status.final and not before.status.final:
        assert 'job_state=F' in garbled


@given(st.text(max_size=20) | st.sampled_from(['\n', '\n\n', '\t', 'Job Id: ', ' = ']), st.data())
def test_a_garbled_record_in_the_format_for_people_ends_nothing(noise: str, data: st.DataObject) -> None:
    text = (DATA / 'qstat-f-text.stdout').read_text().replace('job_state = F', 'job_state = R')
    start = data.draw(st.integers(0, len(text)))
    garbled = text[:start] + noise + text[start + data.draw(st.integers(0, 30)):]
    try:
        seen = parse_texts(garbled)
    except ParseError:
        return
    assert not any(each.status.final for each in seen.values()) or re.search('job_state = *[FX]', garbled)


def record(native_id: str = '2.host', **fields: str) -> str:
    shown = {'job_state': 'Q', **fields}
    return f'Job Id: {native_id}' + ''.join(f'{DELIMITER}{name}={value}' for name, value in shown.items()) + '\n'
