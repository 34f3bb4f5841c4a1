"""A job whose record cannot be read is neither absent nor over, and is asked for alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from simple_dialect import FakeRunner, result
from slurm_rows import queue_row

from psij_ext.core.observation import Observation, Observations, Site
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandTimeout, ParseError
from psij_ext.executors.batch.doubts import Doubts
from psij_ext.executors.batch.pbspro import PBSProJobExecutor
from psij_ext.executors.batch.slurm import SlurmJobExecutor

NEW, ACTIVE = JobState.NEW, JobState.ACTIVE


def answer(*known: str, unread: Sequence[str] = (), complete: bool = True, cut: Sequence[str] = ()) -> Observations:
    seen = Observations()
    for native_id in known:
        seen[native_id] = Observation(JobStatus(ACTIVE))
    for native_id in unread:
        seen.add_unread(native_id)
    seen.complete = complete
    seen.cut.update(cut)
    return seen


class Alone:
    """Answers for single jobs, and remembers for which."""

    def __init__(self, **answers: Mapping[str, Observation] | Exception | None) -> None:
        self.answers = {name.lstrip('_'): given for name, given in answers.items()}
        self.asked: list[str] = []

    def __call__(self, native_id: str) -> Mapping[str, Observation] | None:
        self.asked.append(native_id)
        given = self.answers.get(native_id, answer())
        if isinstance(given, Exception):
            raise given
        return given


def no_spellings(native_id: str) -> Sequence[str]:
    return ()


def states(seen: Mapping[str, Observation]) -> dict[str, JobState]:
    return {native_id: each.status.state for native_id, each in seen.items()}


def test_a_whole_answer_is_left_as_it_is() -> None:
    alone = Alone()
    assert states(Doubts().settle(answer('1'), ['1', '2'], no_spellings, alone)) == {'1': ACTIVE}
    plain = {'1': Observation(JobStatus(ACTIVE))}
    assert Doubts().settle(plain, ['1', '2'], no_spellings, alone) is plain
    assert alone.asked == []


def test_what_an_answer_may_hide_is_not_absent() -> None:
    assert states(Doubts().settle(answer('1', complete=False), ['1', '2'], no_spellings)) == {'1': ACTIVE, '2': NEW}
    assert states(Doubts().settle(answer(cut=['12_']), ['12_3', '13_3'], no_spellings)) == {'12_3': NEW}


def test_a_job_is_found_under_another_spelling() -> None:
    seen = Doubts().settle(answer('7.a', complete=False), ['7.a.site.org'], lambda native_id: [native_id.partition('.site')[0]])
    assert seen['7.a.site.org'] is seen['7.a']


def test_who_cannot_be_read_is_asked_for_alone() -> None:
    alone = Alone(_1=answer('1'), _2=answer())
    seen = Doubts().settle(answer(unread=['1', '2']), ['1', '2'], no_spellings, alone)
    assert alone.asked == ['1', '2']
    assert states(seen) == {'1': ACTIVE, '2': NEW}  # that 2 is gone, the next common answer will say


def test_who_may_be_hidden_and_is_really_gone_is_absent() -> None:
    alone = Alone(_1=answer('1'), _3=answer(complete=False), _4=answer(unread=['4']))
    doubts = Doubts()
    assert states(doubts.settle(answer(complete=False), ['1', '2', '3'], no_spellings, alone)) == {'1': ACTIVE, '3': NEW}
    assert states(doubts.settle(answer(complete=False), ['4'], no_spellings, alone)) == {'4': NEW}


def test_no_more_than_a_few_are_asked_for_in_a_round() -> None:
    alone = Alone()
    seen = Doubts().settle(answer(unread=[f'u{n}' for n in range(9)], complete=False), [*(f'u{n}' for n in range(9)), *(f'h{n}' for n in range(9))],
                           no_spellings, alone)
    assert alone.asked == ['u0', 'u1', 'u2', 'h0', 'h1', 'h2']
    assert set(seen) == {*(f'u{n}' for n in range(9)), *(f'h{n}' for n in range(3, 9))}


def test_who_cannot_be_read_in_the_other_format_either_leaves_room_for_others() -> None:
    alone = Alone(**{f'_{n}': answer(unread=[str(n)]) for n in range(6)}, _6=answer('6'))
    doubts, ids = Doubts(), [str(n) for n in range(7)]
    rounds = [states(doubts.settle(answer(unread=ids), ids, no_spellings, alone)) for _ in range(3)]
    assert alone.asked == ['0', '1', '2', '3', '4', '5', '6']
    assert rounds[2]['6'] is ACTIVE
    doubts.settle(answer('0'), ids, no_spellings, alone)
    doubts.settle(answer(unread=['0']), ids, no_spellings, alone)
    assert alone.asked[-1] == '0'  # it could be read in between


@pytest.mark.parametrize('failure', [CommandTimeout('No answer.', argv=('qstat',)), ParseError('Unreadable.')])
def test_no_answer_is_waited_for(failure: Exception) -> None:
    alone, doubts = Alone(_1=failure), Doubts()
    for _ in range(2):
        assert states(doubts.settle(answer(unread=['1']), ['1'], no_spellings, alone)) == {'1': NEW}
        assert states(doubts.settle(answer(complete=False), ['1'], no_spellings, alone)) == {'1': NEW}
    assert alone.asked == ['1'] * 4


def test_a_dialect_without_another_format_leaves_the_job_as_it_was() -> None:
    assert states(Doubts().settle(answer(unread=['1']), ['1', '2'], no_spellings, lambda native_id: None)) == {'1': NEW}


def test_who_cannot_be_read_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    alone, doubts = Alone(_1=answer('1'), _2=answer(unread=['2']), _3=answer(complete=False)), Doubts()
    for _ in range(3):
        doubts.settle(answer(unread=['1', '2']), ['1', '2'], no_spellings, alone)
        doubts.settle(answer(complete=False), ['3'], no_spellings, alone)
    assert [record.getMessage().partition(': ')[2] for record in caplog.records] == ['2', '3']
    many = [f'u{number}' for number in range(5000)]
    for _ in range(3):
        doubts.settle(answer(unread=many), many, no_spellings)
    assert len(caplog.records) == 3
    assert 'of 5000 jobs' in caplog.text and len(caplog.records[-1].getMessage()) < 200


# -- the dialects


def test_pbs_is_asked_again_in_another_format() -> None:
    executor, runner = PBSProJobExecutor(), FakeRunner()
    executor.runner, executor._site = runner, Site(product='pbspro', history=True)

    def qstat(argv: Sequence[str], cwd: object) -> object:
        if '-F' in argv:
            return result(b'Job Id: 1.host\x1egarbled\nJob Id: 2.host\x1ejob_state=R\n')
        return result(b'Job Id: 1.host\n    job_state = R\n    run_count = 2\n\n')

    runner.answers['qstat'] = qstat  # type: ignore[assignment]
    seen = executor._make_source().queue(['1.host', '2.host', '3.host', '2.host.site.org'])
    assert {native_id: seen[native_id].status.state for native_id in ('1.host', '2.host', '2.host.site.org')} == dict.fromkeys(
        ('1.host', '2.host', '2.host.site.org'), ACTIVE)
    assert seen['1.host'].attempt == 2
    assert '3.host' not in seen
    assert [run[0][-1] for run in runner.of('qstat')] == ['2.host.site.org', '1.host']
    executor.close()


def test_slurm_is_asked_again_for_a_job_that_a_garbled_row_may_be_about() -> None:
    executor, runner = SlurmJobExecutor(), FakeRunner()
    executor.runner, executor._site = runner, Site(product='slurm', accounting=False, clusters=('c',))

    def squeue(argv: Sequence[str], cwd: object) -> object:
        return result() if argv[-1] == '--jobs=3,3' else result((queue_row('x', raw_id='3') + queue_row('2')).encode())

    runner.answers['squeue'] = squeue  # type: ignore[assignment]
    seen = executor._make_source().queue(['2', '3'])
    assert set(seen) == {'2', '2;c'}
    assert len(runner.of('squeue')) == 2
    executor.close()


def test_a_row_of_accounting_that_cannot_be_read_is_not_asked_for_again() -> None:
    executor, runner = SlurmJobExecutor(), FakeRunner()
    executor.runner, executor._site = runner, Site(product='slurm', accounting=True, clusters=('c',))
    runner.answers['sacct'] = result(b'12|12|garbled\n')
    assert executor._make_source().accounting(['12', '13'], 0.0)['12'].status.state is NEW
    assert [run[0][0] for run in runner.runs] == ['sacct']
    executor.close()
