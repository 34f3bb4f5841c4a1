"""An element of an array that was cancelled while it waited leaves no trace but its absence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from simple_dialect import FakeRunner, result
from slurm_rows import queue_row

from psij_ext.core.observation import Observations, Site
from psij_ext.exceptions import CommandTimeout
from psij_ext.executors.batch.slurm import SlurmJobExecutor
from psij_ext.runtime.command import CommandResult


@pytest.fixture
def executor() -> Iterator[SlurmJobExecutor]:
    made = SlurmJobExecutor()
    made._site = Site(product='slurm', accounting=False, keeps_ended=29.0, clusters=('c',))
    yield made
    made.close()


class Squeue(FakeRunner):
    """Knows rows by the array or job that they are of."""

    def __init__(self, **rows: str) -> None:
        super().__init__()
        self.rows = {name.strip('_'): text for name, text in rows.items()}
        self.answers['squeue'] = self.answer  # type: ignore[assignment]

    def answer(self, argv: Sequence[str], cwd: object) -> CommandResult:
        asked = argv[-1].removeprefix('--jobs=').split(',')
        lines = [line for job, text in self.rows.items() for line in text.splitlines(keepends=True)
                 if job in asked or line.partition('|')[0] in asked]
        return result(''.join(lines).encode())

    @property
    def asked(self) -> list[str]:
        return [run[0][-1] for run in self.of('squeue')]


def queue(executor: SlurmJobExecutor, squeue: Squeue, *native_ids: str) -> Observations:
    executor.runner = squeue
    answer = executor._make_source().queue(native_ids)
    assert isinstance(answer, Observations)
    return answer


ELEMENTS = queue_row('12_1', 'PENDING', raw_id='12') + queue_row('12_3', 'PENDING', raw_id='12')


def test_the_array_is_asked_for(executor: SlurmJobExecutor) -> None:
    squeue = Squeue(_12=ELEMENTS)
    seen = queue(executor, squeue, '12_2', '7')
    assert (seen.missing_elements, seen.keeps_ended) == ({'12_2'}, 29.0)
    assert squeue.asked == ['--jobs=12_2,7', '--jobs=12,12']
    assert set(seen) == set()


def test_one_query_does_where_other_elements_are_followed(executor: SlurmJobExecutor) -> None:
    squeue = Squeue(_12=ELEMENTS)
    assert queue(executor, squeue, '12_1', '12_2').missing_elements == {'12_2'}
    assert len(squeue.asked) == 1


def test_one_query_does_for_all_arrays(executor: SlurmJobExecutor) -> None:
    squeue = Squeue(_12=ELEMENTS, _13=queue_row('13_1', raw_id='20'))
    assert queue(executor, squeue, '12_2', '13_2', '13_3', '14_1').missing_elements == {'12_2', '13_2', '13_3'}
    assert squeue.asked[1:] == ['--jobs=12,13,14']


def test_no_query_where_none_is_missing(executor: SlurmJobExecutor) -> None:
    squeue = Squeue(_12=ELEMENTS)
    assert queue(executor, squeue, '12_1', '12_3', '99').missing_elements == set()
    assert len(squeue.asked) == 1


def test_the_rest_of_an_array_tells_of_it(executor: SlurmJobExecutor) -> None:
    assert queue(executor, Squeue(_12=queue_row('12', 'CANCELLED')), '12_2').missing_elements == {'12_2'}


@pytest.mark.parametrize('rows', [
    '',
    queue_row('12', 'RUNNING'),                                          # the id is another job's now
    queue_row('12_2', 'PENDING', raw_id='12'),                           # it is there after all
    queue_row('12_[1,3,', 'PENDING', raw_id='12'),                       # it may be
    queue_row('12_1', 'PENDING', raw_id='12') + queue_row('x'),
    queue_row('12_1', 'PENDING', raw_id='12', cluster='far')])
def test_what_is_no_evidence(executor: SlurmJobExecutor, rows: str) -> None:
    class Later(Squeue):
        def answer(self, argv: Sequence[str], cwd: object) -> CommandResult:
            return result() if '12_2' in argv[-1] else result(rows.encode())

    squeue = Later()
    assert queue(executor, squeue, '12_2').missing_elements == set()
    assert len(squeue.asked) == 2


def test_no_answer_is_no_evidence(executor: SlurmJobExecutor) -> None:
    class Hung(Squeue):
        def answer(self, argv: Sequence[str], cwd: object) -> CommandResult:
            if '12_2' in argv[-1]:
                return result(queue_row('7').encode())
            raise CommandTimeout('No answer.', argv=argv)

    seen = queue(executor, Hung(), '7', '12_2')
    assert ('7' in seen, seen.missing_elements) == (True, set())


@pytest.mark.parametrize('native_id', ['12', '12+1', '12_2;far'])
def test_others_are_in_no_array_that_is_known(executor: SlurmJobExecutor, native_id: str) -> None:
    squeue = Squeue(_12=ELEMENTS)
    assert queue(executor, squeue, native_id, '99;c').missing_elements == set()
    assert len(squeue.asked) == 1


def test_an_element_with_the_name_of_the_own_cluster(executor: SlurmJobExecutor) -> None:
    squeue = Squeue(_12=ELEMENTS)
    assert queue(executor, squeue, '12_1;c', '12_2;c').missing_elements == {'12_2;c'}


def test_where_it_is_not_known_how_long_jobs_are_kept_nothing_is_asked(executor: SlurmJobExecutor) -> None:
    executor._site = Site(product='slurm', accounting=False, clusters=('c',))
    squeue = Squeue(_12=ELEMENTS)
    assert queue(executor, squeue, '12_2').missing_elements == set()
    assert len(squeue.asked) == 1
