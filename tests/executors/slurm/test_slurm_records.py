"""What is read out of squeue's rows and scontrol's configuration, and out of broken ones."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from slurm_rows import account_row, queue_row, queued, result

from psij_ext.core.exit_info import ExitReason, ResourceUsage
from psij_ext.core.observation import Observation, Site
from psij_ext.core.state import JobState
from psij_ext.exceptions import ParseError
from psij_ext.executors.batch import slurm_states
from psij_ext.executors.batch.slurm_accounting import parse_accounting
from psij_ext.executors.batch.slurm_records import parse_config, parse_queue

DATA = Path(__file__).parents[2] / 'data' / 'slurm'
NEW, QUEUED, ACTIVE = JobState.NEW, JobState.QUEUED, JobState.ACTIVE
COMPLETED, FAILED, CANCELED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELED


def moment(stamp: int) -> datetime:
    return datetime.fromtimestamp(stamp, timezone.utc)


# -- ids and clusters


@pytest.mark.parametrize(('native_id', 'raw_id', 'ids'), [
    ('12', '12', {'12'}), (' 12 ', '12', {'12'}), ('12_3', '31', {'12_3', '31', '12'}), ('12_3', '12', {'12_3', '12'}),
    ('12+0', '12', {'12+0', '12'}), ('12+1', '13', {'12+1', '13'}), ('12_[4-6%2]', '12', {'12_4', '12_5', '12_6', '12'})])
def test_the_ids_of_a_row(native_id: str, raw_id: str, ids: set[str]) -> None:
    for cluster in ('', 'N/A'):
        assert set(parse_queue(queue_row(native_id, raw_id=raw_id, cluster=cluster))) == ids
    assert set(parse_queue(queue_row(native_id, raw_id=raw_id, cluster='c'))) == ids | {f'{each};c' for each in ids}
    assert set(parse_accounting(account_row(native_id, raw_id=raw_id, cluster=''))) == ids


def test_what_a_waiting_job_said_before_is_not_made_anew() -> None:
    before: dict[str, Observation] = {}
    waiting, other = queue_row('12', 'PENDING', start=1795260900), queue_row('13', 'PENDING', start=1795260901)
    first = parse_queue(waiting + other, 'c', before)
    again = parse_queue(waiting + queue_row('13', 'PENDING', start=1795269999), 'c', before)
    assert again['12'] is first['12']
    assert (again['13'].status.metadata or {})['expected_start'] == 1795269999.0
    assert parse_queue('', 'c', before) == before == {}


def test_each_cluster_counts_for_itself() -> None:
    rows = [queue_row('12', cluster='near'), queue_row('12', 'FAILED', 256, cluster='far'), queue_row('13', 'PENDING', cluster='far')]
    for text in (''.join(rows), 'CLUSTER: far\n' + ''.join(reversed(rows))):
        seen = parse_queue(text, 'near')
        assert {native_id: each.status.state for native_id, each in seen.items()} == {
            '12': ACTIVE, '12;near': ACTIVE, '12;far': FAILED, '13;far': QUEUED}
    accounted = parse_accounting(account_row(state='COMPLETED', cluster='far') + account_row(cluster='near'), 'near')
    assert {native_id: each.status.state for native_id, each in accounted.items()} == {
        '12': ACTIVE, '12;near': ACTIVE, '12;far': COMPLETED}


def test_rows_that_say_the_same_share_what_is_read() -> None:
    """Ten thousand jobs are mostly in a few states."""
    seen = parse_queue(queue_row('1', start=5) + queue_row('2', start=6) + queue_row('3', 'PENDING', start=7) + queue_row('4', 'PENDING', start=7))
    assert seen['1'] is seen['2']
    assert seen['3'] is seen['4']
    assert seen['3'] != parse_queue(queue_row('3', 'PENDING', start=8))['3']


def test_the_limit_is_known() -> None:
    assert parse_queue(queue_row(limit='2-00:00:00'))['12'].time_limit == 172_800
    assert parse_queue(queue_row(state='PENDING', start='1795183291', limit='5:00'))['12'].time_limit == 300
    assert parse_queue(queue_row(limit='UNLIMITED'))['12'].time_limit is None


# -- what a job used


RAN = '1795260860|1795260905|0:04|2|6|node[1-2]'


def test_what_a_job_that_is_over_used() -> None:
    seen = parse_queue(queue_row('12', 'FAILED', 768, start=1795260900, used=RAN))['12']
    assert seen.usage is None  # a queue is no accounting
    assert seen.queue_usage == ResourceUsage(
        wall_time=timedelta(seconds=4), cpus=6, nodes=2, submit_time=moment(1795260860), start_time=moment(1795260900),
        end_time=moment(1795260905), raw={
            'JobArrayID': '12', 'JobID': '12', 'StartTime': '1795260900', 'SubmitTime': '1795260860', 'EndTime': '1795260905', 'TimeUsed': '0:04',
            'NumNodes': '2', 'NumCPUs': '6', 'NodeList': 'node[1-2]', 'State': 'FAILED', 'exit_code': '768', 'RestartCnt': '0', 'TimeLimit': '1:00:00',
            'Cluster': 'c', 'Reason': 'None'})
    assert seen.status.time == 1795260905


@pytest.mark.parametrize('state', ['RUNNING', 'PENDING', 'SUSPENDED', 'COMPLETING', 'NODE_FAIL', 'UNHEARD_OF'])
def test_a_job_that_is_not_over_has_used_nothing_yet(state: str) -> None:
    assert queued(state, used=RAN).queue_usage is None


def test_a_job_that_never_ran_used_nothing() -> None:
    used = queued('CANCELLED', start=1795260905, used='1795260860|1795260905|0:00|1|6|').queue_usage
    assert used is not None
    assert (used.wall_time, used.cpus, used.nodes, used.start_time) == (None,) * 4
    assert (used.submit_time, used.end_time) == (moment(1795260860), moment(1795260905))


@pytest.mark.parametrize('used', ['N/A|N/A|N/A|N/A|N/A|n', '||||| ', 'x|-1|INVALID|0|0|n', '9999999999999|9999999999999|0:00|99999999999999999999|x|n'])
def test_what_a_queue_does_not_tell_is_not_known(used: str) -> None:
    seen = queued('COMPLETED', start='N/A', used=used).queue_usage
    assert seen is not None
    assert seen == ResourceUsage(raw=seen.raw)


def test_a_requeue_is_no_submission() -> None:
    used = queued('COMPLETED', restarts=1, start=1795260900, used=RAN).queue_usage
    assert used is not None
    assert (used.submit_time, used.start_time) == (None, moment(1795260900))


def test_what_an_end_said_before_is_not_made_anew() -> None:
    before: dict[str, Observation] = {}
    rows = [queue_row(native_id, 'COMPLETED', start=1795260900, used=RAN) for native_id in ('12', '13')]
    first, again = (parse_queue(''.join(rows), 'c', before) for _ in range(2))
    assert again['12'] is first['12'] is not first['13']
    assert (first['13'].queue_usage or ResourceUsage()).raw != (first['12'].queue_usage or ResourceUsage()).raw


# -- what cannot be read


@pytest.mark.parametrize('row', [
    '', '|', 'slurm_load_jobs error: Socket timed out', 'CLUSTER: far', '12', '| Welcome to the cluster | have fun |', '+------+', '|=|=|=|=|=|=|=|=|x',
    'Quota: 17|20', 'x|COMPLETED|0|0|N/A|c|None|'])
def test_what_looks_like_no_row_is_none(row: str) -> None:
    for parse, good in ((parse_queue, queue_row('13')), (parse_accounting, account_row('13'))):
        seen = parse(f'{row}\n{good}{row}\n')
        assert set(seen) == {'13', '13;c'}
        assert not seen.may_hide('12')


@pytest.mark.parametrize('row', [
    '12|', '12|12', '12|12|N/A|', '12|COMPLETED|0|0', '12|12|N/A|N/A|N/A|0:00|1|1|', '12|12|N/A|N/A|N/A|0:00|1|1||COMPLETED', queue_row(state='')[:-1],
    queue_row(state='COMPLETED')[:-2], queue_row(state='COMPLETED', raw_id='13')[:-1], queue_row(state='COMPLETED', raw_id='')[:-1]])
def test_a_job_whose_row_cannot_be_read_is_neither_absent_nor_over(row: str) -> None:
    seen = parse_queue(queue_row('11') + f'{row}\n' + queue_row('14', 'FAILED'))
    assert '12' in seen.unread
    assert (seen['12'].status.state, seen['12'].reason) == (NEW, None)
    assert (seen['11'].status.state, seen['14'].status.state) == (ACTIVE, FAILED)
    assert seen.may_hide('12;far')
    assert not seen.may_hide('99')


def test_an_unreadable_row_does_not_replace_one_that_could_be_read() -> None:
    for text in ('12|garbled\n' + queue_row('12'), queue_row('12') + '12|garbled\n'):
        assert (parse_queue(text)['12'].status.state, parse_queue(text).unread) == (ACTIVE, set())


@pytest.mark.parametrize('native_id', ['', 'x', '-1', '1x', '12_', '12_x', '²', '12;c', 'JOBID', '9' * 19])
def test_a_row_without_an_id_may_be_about_anybody(native_id: str) -> None:
    for seen in (parse_queue(queue_row(native_id, 'COMPLETED') + queue_row('13')), parse_accounting(account_row(native_id, 'COMPLETED') + account_row('13'))):
        assert seen.may_hide('12')
        assert not seen.may_hide('13')
        assert not any(each.status.final for each in seen.values())


def test_the_raw_id_of_an_element_that_cannot_be_read_may_be_anybodys() -> None:
    assert parse_queue('12_3|31|garbled\n').may_hide('31')
    assert '31' in parse_queue('12_3|31|N/A|garbled\n').unread
    assert not parse_queue('12|12|N/A|garbled\n').may_hide('31')


@pytest.mark.parametrize('cut', [1, 5, 30])
def test_an_answer_that_is_cut_is_none(cut: int) -> None:
    text = queue_row('12') + queue_row('13')
    with pytest.raises(ParseError, match='middle of a line'):
        parse_queue(text[:-cut])
    with pytest.raises(ParseError, match='middle of a line'):
        parse_accounting((account_row('12') + account_row('13'))[:-cut])


def test_a_line_ends_at_a_newline_and_nowhere_else() -> None:
    assert queued('PENDING', reason='a\x0bb\x1ec\x85d\u2028e').status.message == 'a\x0bb\x1ec\x85d\u2028e'


def test_nothing_is_nothing() -> None:
    assert parse_queue('') == {}
    assert parse_accounting('') == {}
    assert not parse_queue('').may_hide('12')


# -- what a real one printed


EXPECTED = {
    '2': (FAILED, ExitReason.EXITED, 3, None), '3': (COMPLETED, ExitReason.EXITED, 0, None),
    '4': (COMPLETED, ExitReason.EXITED, 0, None), '5': (FAILED, ExitReason.EXITED, 3, None),
    '6': (FAILED, ExitReason.SIGNALED, 137, 9), '7': (FAILED, ExitReason.EXITED, 137, None),
    '8': (FAILED, ExitReason.SIGNALED, 143, 15), '9': (FAILED, ExitReason.LAUNCH_FAILED, None, None),
    '10': (QUEUED, None, None, None), '11': (CANCELED, ExitReason.CANCELED, None, None),
    '12': (CANCELED, ExitReason.CANCELED, 143, None), '13': (CANCELED, ExitReason.CANCELED, None, None),
    '14': (ACTIVE, None, None, None), '15': (ACTIVE, None, None, None), '16': (QUEUED, None, None, None),
    '17': (QUEUED, None, None, None), '18_1': (COMPLETED, ExitReason.EXITED, 0, None),
    '18_2': (COMPLETED, ExitReason.EXITED, 0, None), '18_3': (FAILED, ExitReason.EXITED, 1, None),
    '18_4': (COMPLETED, ExitReason.EXITED, 0, None), '18': (FAILED, ExitReason.EXITED, 1, None),
    '19': (QUEUED, None, None, None), '20': (QUEUED, None, None, None), '21': (QUEUED, None, None, None),
    '22': (QUEUED, None, None, None), '23': (ACTIVE, None, None, None), '24': (COMPLETED, ExitReason.EXITED, 0, None),
    '25': (COMPLETED, ExitReason.EXITED, 0, None), '26': (COMPLETED, ExitReason.EXITED, 0, None),
    '26+0': (COMPLETED, ExitReason.EXITED, 0, None), '26+1': (COMPLETED, ExitReason.EXITED, 0, None),
    '28': (QUEUED, None, None, None),
    # The raw ids of elements, and of the second part of 26.
    '27': (COMPLETED, ExitReason.EXITED, 0, None), '29': (COMPLETED, ExitReason.EXITED, 0, None),
    '30': (COMPLETED, ExitReason.EXITED, 0, None), '31': (FAILED, ExitReason.EXITED, 1, None),
    **{f'19_{number}': (QUEUED, None, None, None) for number in range(6, 100)},
    **{f'28_{number}': (QUEUED, None, None, None) for number in (1, 3, 5, 6, 7)}}


@pytest.mark.parametrize('name', ['squeue-cases.txt', 'squeue-cases-not-expanded.txt'])
def test_our_own_query_of_the_queue(name: str) -> None:
    seen = parse_queue((DATA / name).read_text())
    assert {native_id: result(each) for native_id, each in seen.items() if ';' not in native_id} == EXPECTED
    assert (seen['16'].attempt, seen['14'].attempt) == (2, 1)
    assert seen['21'].status.message == 'DependencyNeverSatisfied'
    assert seen['17'].status.message == 'job requeued in held state'
    assert seen['4'] == seen['4;psij']
    assert {each: seen[each].time_limit for each in ('10', '22', '23', '24')} == {'10': None, '22': 86_400, '23': 300, '24': 600}


def test_what_the_queue_tells_of_real_jobs() -> None:
    """24 and 25 as in the test of accounting; 11 and 6 are those of which no script of ours could tell."""
    seen = parse_queue((DATA / 'squeue-cases.txt').read_text())
    busy, two, never, killed = (seen[native_id].queue_usage or ResourceUsage() for native_id in ('24', '25', '11', '6'))
    assert busy.wall_time is not None and killed.start_time is not None and killed.end_time is not None
    assert timedelta(seconds=4) <= busy.wall_time < timedelta(seconds=7)
    assert (two.nodes, two.cpus, killed.nodes, killed.cpus) == (2, 2, 1, 1)
    assert (never.wall_time, never.start_time, never.cpus, never.nodes) == (None,) * 4
    assert killed.submit_time is not None and never.submit_time is not None and never.end_time is not None
    assert killed.submit_time <= killed.start_time <= killed.end_time <= killed.start_time + timedelta(seconds=2)
    assert never.end_time - never.submit_time >= timedelta(seconds=4)
    assert [native_id for native_id in EXPECTED if (seen[native_id].queue_usage is None) is EXPECTED[native_id][0].final] == ['18']


# -- the site


def test_the_configuration_of_a_site() -> None:
    site = parse_config((DATA / 'config-accounting.txt').read_text())
    assert site == Site('slurm', (22, 5, 8), accounting=True, history=True, keeps_ended=29.0, max_array_size=10001,
                        max_script_size=4 * 2**20, clusters=('psij',))
    assert parse_config((DATA / 'config-no-accounting.txt').read_text()).accounting is False


@pytest.mark.parametrize(('told', 'seconds'), [('300 sec', 299.0), ('2', 1.0), ('1 sec', 0.0), ('0 sec', math.inf), ('long', None), ('-1 sec', None)])
def test_how_long_jobs_that_are_over_are_kept(told: str, seconds: float | None) -> None:
    site = parse_config(f'MinJobAge = {told}\n')
    assert site.keeps_ended == seconds
    assert site.history is (None if seconds is None else seconds > 0)


# slurm.conf(5), SchedulerParameters
@pytest.mark.parametrize(('told', 'size'), [
    ('max_script_size=100', 100), ('bf_interval=1, max_script_size=8388608,x', 8388608), ('(null)', 4 * 2**20), ('bf_interval=1', 4 * 2**20),
    ('max_script_size=much', 4 * 2**20)])
def test_how_long_a_script_may_be(told: str, size: int) -> None:
    assert parse_config(f'SchedulerParameters     = {told}\n').max_script_size == size


@pytest.mark.parametrize('text', ['', 'nonsense', '=', 'SLURM_VERSION = \n', 'MaxArraySize = many\nSLURM_VERSION = new'])
def test_what_a_site_does_not_tell_is_not_known(text: str) -> None:
    assert parse_config(text) == Site('slurm')


def test_a_version_may_have_a_suffix() -> None:
    assert parse_config('SLURM_VERSION           = 23.11.0-0rc1').version == (23, 11, 0)


# -- properties


QUEUE, ACCOUNTS = ((DATA / name).read_text() for name in ('squeue-cases.txt', 'sacct-cases.txt'))
JUNK = st.text(st.characters(exclude_categories=()) | st.sampled_from('|\n\r:+,_[]%;. 0123456789'), max_size=12)
ENDS = [word for word, (state, reason) in slurm_states._STATES.items() if state.final or reason]
ENDS += [short for short, word in slurm_states._SHORT.items() if word in ENDS]


@st.composite
def mutated(draw: st.DrawFn, text: str) -> str:
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 30))
        text = text[:start] + draw(JUNK) + text[end:]
    return text


@given(mutated(QUEUE) | mutated(ACCOUNTS) | JUNK | st.binary(max_size=200).map(lambda raw: raw.decode('utf-8', 'surrogateescape')),
       st.none() | st.just('psij'))
def test_whatever_is_printed_is_read_or_refused(text: str, own_cluster: str | None) -> None:
    """Only a job with a row of its own that names an end is over; an array is if one of its elements is."""
    assert isinstance(parse_config(text), Site)
    for parse in (parse_queue, parse_accounting):
        try:
            seen = parse(text, own_cluster)
        except ParseError:
            assert not text.endswith('\n')
            continue
        for native_id, each in seen.items():
            number = native_id.partition(';')[0]
            rows = [line for line in text.split('\n') if re.search(rf'(^|[|]) *{re.escape(number.partition("_")[0])}([_+ ][^|]*)?([|]|$)', line)]
            assert rows, 'a job that no row is about'
            if each.status.final:
                assert any(end in line.upper() for line in rows for end in ENDS)


@pytest.mark.parametrize(('parse', 'text'), [(parse_queue, QUEUE), (parse_accounting, ACCOUNTS)])
@given(data=st.data())
def test_a_garbled_row_harms_no_other(parse: type, text: str, data: st.DataObject) -> None:
    lines = text.split('\n')[:-1]
    place = data.draw(st.integers(0, len(lines) - 1))
    row = lines[place]
    start = data.draw(st.integers(0, len(row)))
    lines[place] = row[:start] + data.draw(JUNK).replace('\n', '') + row[start + data.draw(st.integers(0, 12)):]
    before, after = parse(text, 'psij'), parse('\n'.join(lines) + '\n', 'psij')
    native_id, raw_id = row.split('|')[:2]
    own = {native_id.partition('.')[0], raw_id.partition('.')[0], native_id.partition('_')[0].partition('+')[0]}
    own |= {key for key in after if lines[place].startswith((key.partition(';')[0] + '|', key.partition('_')[0] + '_'))}
    own |= set(lines[place].split('|')[:2])
    for key, seen in before.items():
        if key.partition(';')[0] not in own and key.partition('_')[0] not in own:
            assert (result(seen), seen.status.message) == (result(after[key]), after[key].status.message)


@given(st.text(st.characters(exclude_characters='|\n', exclude_categories=('Cc', 'Cs', 'Zl', 'Zp')), max_size=20))
def test_a_word_that_is_no_state_ends_nothing(word: str) -> None:
    known = {*slurm_states._STATES, *slurm_states._SHORT}
    if not set(re.split(r'[+, ]', word.strip().upper())) & known:
        assert not queued(word).status.final
        assert not parse_accounting(account_row('12', word))['12'].status.final
