"""Jobs that wait for others: what is refused, what a dialect is asked for, and what is kept."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, folder_of, result

from psij_ext import (
    ExitInfo,
    ExitReason,
    InvalidJobException,
    Job,
    JobAttributes,
    JobSpec,
    JobState,
    JobStatus,
    SubmitException,
)
from psij_ext.core.dependencies import Dependencies
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.dependencies import why_in_vain
from psij_ext.runtime.ending import keep_end

PATIENCE = timedelta(seconds=30)
OTHERS = ('after_ok', 'after_any', 'after_not_ok')


class WaitingExecutor(SimpleExecutor):
    """The simple scheduler, whose submit command knows other jobs."""

    dependency_attributes = ('after=',)

    def get_dependency_option(
        self, after_ok: Sequence[str], after_any: Sequence[str], after_not_ok: Sequence[str]
    ) -> list[str]:
        return [f'--ok={",".join(after_ok)}', f'--any={",".join(after_any)}', f'--not-ok={",".join(after_not_ok)}']


@pytest.fixture
def states(runner: FakeRunner) -> dict[str, str]:
    """What the scheduler says of its jobs, by their native ids: 1, 2, ...; `running` of those that are not here."""
    told: dict[str, str] = {}
    ids = iter(range(1, 1000))
    runner.answers['submit'] = lambda argv, folder: result(b'job %d\n' % next(ids))

    def status(argv: Sequence[str], folder: Path) -> CommandResult:
        lines = [f'{each} {told.get(each, "running")}\n' for each in argv[1:] if told.get(each) != 'gone']
        return result(''.join(lines).encode())

    runner.answers['status'] = status
    return told


@pytest.fixture
def waiting(tmp_path: Path, runner: FakeRunner, states: dict[str, str], executor: SimpleExecutor) -> Any:
    config = BatchSchedulerExecutorConfig(
        work_directory=tmp_path / 'waiting', initial_queue_polling_delay=0.05, queue_polling_interval=0.1,
        submit_retry_time=60)
    made = WaitingExecutor(config=config)
    made.runner = runner
    yield made
    made.close()


def job() -> Job:
    return Job(JobSpec('/bin/date'))


def submitted(executor: SimpleExecutor, **others: Any) -> Job:
    made = job()
    executor.submit(made, **others)
    return made


def options_of(runner: FakeRunner) -> list[str]:
    return runner.of('submit')[-1][0][1:-1]


def end(states: dict[str, str], other: Job, executor: SimpleExecutor, code: int = 0) -> None:
    """Let a job end: its script leaves a record, and the scheduler says so."""
    folder_of(executor, other).path.joinpath('exit').write_text(
        f'attempt=1\nnative_id={other.native_id}\nexit_code={code}\nphase=done\nterm=\nended=1.5\n')
    states[str(other.native_id)] = 'done' if code == 0 else 'failed'
    assert other.wait(PATIENCE)


def test_a_dialect_is_given_the_native_ids(waiting: WaitingExecutor, runner: FakeRunner) -> None:
    first, second, third = (submitted(waiting) for _ in range(3))
    last = submitted(waiting, after_ok=[first, second, first], after_any=iter([third]), after_not_ok=(third,))
    assert options_of(runner) == ['--ok=1,2', '--any=3', '--not-ok=3']
    assert folder_of(waiting, last).read_journal().dependencies == Dependencies(('1', '2'), ('3',), ('3',))


def test_a_job_that_waits_for_nobody(waiting: WaitingExecutor, runner: FakeRunner) -> None:
    alone = submitted(waiting, after_ok=[], after_any=(), after_not_ok=iter(()))
    assert options_of(runner) == []
    assert folder_of(waiting, alone).read_journal().dependencies == Dependencies()
    assert 'dependencies' not in (folder_of(waiting, alone).read_journal().submission or {})


def test_a_scheduler_is_not_asked_about_jobs_that_are_over(
    waiting: WaitingExecutor, runner: FakeRunner, states: dict[str, str],
) -> None:
    good, bad, alive = (submitted(waiting) for _ in range(3))
    end(states, good, waiting)
    end(states, bad, waiting, 3)
    assert bad.status.state is JobState.FAILED
    last = submitted(waiting, after_ok=[good, alive], after_any=[good, bad], after_not_ok=[bad])
    assert options_of(runner) == ['--ok=3', '--any=', '--not-ok=']
    assert folder_of(waiting, last).read_journal().dependencies == Dependencies(('1', '3'), ('1', '2'), ('2',))
    submitted(waiting, after_ok=[good])
    assert options_of(runner) == []


@pytest.mark.parametrize(('kind', 'code'), [('after_ok', 3), ('after_not_ok', 0)])
def test_a_job_that_can_never_begin_is_not_submitted(
    waiting: WaitingExecutor, runner: FakeRunner, states: dict[str, str], kind: str, code: int,
) -> None:
    other, alive, made = submitted(waiting), submitted(waiting), job()
    end(states, other, waiting, code)
    before = len(runner.of('submit'))
    with pytest.raises(SubmitException, match=rf'can never run.*job 1.*\({kind}\)') as raised:
        waiting.submit(made, **{kind: [alive, other]})
    assert not raised.value.transient
    assert len(runner.of('submit')) == before
    assert (made.status.state, made.executor) == (JobState.NEW, None)
    assert folder_of(waiting, made).read_journal().not_submitted
    waiting.submit(made, after_any=[other])
    assert made.native_id == '3'


def test_a_job_that_nobody_follows_is_looked_at(
    waiting: WaitingExecutor, runner: FakeRunner, states: dict[str, str],
) -> None:
    """Its executor was closed, so that its status is an old one; the scheduler may have forgotten how it ended."""
    other = submitted(waiting)
    assert other.wait(PATIENCE, JobState.ACTIVE)
    waiting.close()
    folder_of(waiting, other).path.joinpath('exit').write_text(
        'attempt=1\nnative_id=1\nexit_code=0\nphase=done\nterm=\nended=1.5\n')
    states['1'] = 'gone'
    with pytest.raises(SubmitException, match='can never run'):
        submitted(waiting, after_not_ok=[other])
    submitted(waiting, after_ok=[other])
    assert options_of(runner) == []


def test_a_submission_that_is_tried_again_decides_anew(
    waiting: WaitingExecutor, runner: FakeRunner, states: dict[str, str],
) -> None:
    """Until a busy scheduler takes the job, the others may have ended."""
    other = submitted(waiting)
    answers = iter([result(exit_code=1, stderr=b'busy'), result(b'job 2\n')])
    runner.answers['submit'] = lambda argv, folder: next(answers)
    waiting.sleep = lambda seconds: end(states, other, waiting)
    submitted(waiting, after_ok=[other])
    first, second = runner.of('submit')[-2:]
    assert ('--ok=1' in first[0], '--ok=1' in second[0]) == (True, False)


@pytest.mark.parametrize('kind', OTHERS)
def test_an_executor_that_cannot_refuses(executor: SimpleExecutor, states: dict[str, str], kind: str) -> None:
    """Also where the other job is over: whoever wrote the program would be surprised one day."""
    other, made = submitted(executor), job()
    for _ in range(2):
        with pytest.raises(InvalidJobException, match='cannot let a job wait'):
            executor.submit(made, **{kind: [other]})
        assert (made.status.state, made.executor) == (JobState.NEW, None)
        end(states, other, executor)
    executor.submit(made)


@pytest.mark.parametrize('kind', OTHERS)
def test_what_no_job_can_wait_for(
    waiting: WaitingExecutor, executor: SimpleExecutor, runner: FakeRunner, kind: str,
) -> None:
    made, elsewhere = job(), submitted(executor)
    uncertain = job()
    uncertain._bind(waiting)
    for other, words in ((made, 'itself'), (job(), 'was not submitted'), (uncertain, 'was not submitted'),
                         (elsewhere, 'another executor')):
        with pytest.raises(InvalidJobException, match=f'{kind}: .*{words}'):
            waiting.submit(made, **{kind: [other]})
    uncertain._unbind()
    for wrong in (elsewhere, None, 5, ['1'], [None]):
        with pytest.raises(TypeError, match=f'{kind}: expected'):
            waiting.submit(made, **{kind: wrong})
    assert len(runner.of('submit')) == 1
    assert (made.status.state, made.executor) == (JobState.NEW, None)


def test_no_job_can_both_complete_and_fail(waiting: WaitingExecutor) -> None:
    other = submitted(waiting)
    with pytest.raises(InvalidJobException, match='both'):
        submitted(waiting, after_ok=[other], after_not_ok=[other])


def test_a_custom_attribute_says_no_more(waiting: WaitingExecutor, runner: FakeRunner) -> None:
    """Of two lists of jobs, a submit command takes one and drops the other."""
    other = submitted(waiting)
    made = Job(JobSpec('/bin/date', attributes=JobAttributes(custom_attributes={'simple.after': '7'})))
    with pytest.raises(InvalidJobException, match='after=7'):
        waiting.submit(made, after_ok=[other])
    waiting.submit(made)


def test_a_job_that_vanishes_waited_in_vain(waiting: WaitingExecutor, states: dict[str, str]) -> None:
    """A scheduler may end it and tell nobody why; our own records know."""
    bad = submitted(waiting)
    vain = submitted(waiting, after_ok=[bad])
    states['2'] = 'waiting'
    assert bad.wait(PATIENCE, JobState.ACTIVE)
    end(states, bad, waiting, 3)
    states['2'] = 'gone'
    assert vain.wait(PATIENCE)
    assert vain.exit_info is not None
    assert (vain.status.state, vain.exit_info.reason) == (JobState.FAILED, ExitReason.DEPENDENCY_FAILED)
    assert 'Job 1, which was to complete' in str(vain.status.message)


def test_a_later_program_knows_it_too(waiting: WaitingExecutor, runner: FakeRunner, states: dict[str, str]) -> None:
    bad = submitted(waiting)
    vain = submitted(waiting, after_any=[bad], after_not_ok=[bad])
    waiting.close()
    folder_of(waiting, bad).path.joinpath('exit').write_text(
        'attempt=1\nnative_id=1\nexit_code=0\nphase=done\nterm=\nended=1.5\n')
    states.update({'1': 'gone', '2': 'gone'})
    later = WaitingExecutor(config=waiting.config)
    later.runner = runner
    with later:
        attached = Job()
        later.attach(attached, str(vain.native_id))
        assert attached.wait(PATIENCE)
    assert attached.exit_info is not None
    assert attached.exit_info.reason is ExitReason.DEPENDENCY_FAILED


@pytest.mark.parametrize(('state', 'why'), [('COMPLETED', None), ('CANCELED', 'is CANCELED'), ('FAILED', 'is FAILED')])
def test_what_was_found_out_of_an_end_counts_more_than_its_record(
    waiting: WaitingExecutor, states: dict[str, str], state: str, why: str | None,
) -> None:
    """A job that is cancelled may call that a success; one that is killed leaves no record."""
    other = submitted(waiting)
    vain = folder_of(waiting, submitted(waiting, after_ok=[other]))
    assert why_in_vain(vain) is None
    folder = folder_of(waiting, other)
    reason = ExitReason.CANCELED if state == 'CANCELED' else ExitReason.EXITED
    keep_end(folder, JobStatus(JobState[state], 5.0), ExitInfo(reason))
    assert (why in str(why_in_vain(vain))) if why else (why_in_vain(vain) is None)
    (folder.path / 'exit').write_text('attempt=1\nnative_id=1\nexit_code=0\nphase=done\nterm=1\nended=1.5\n')
    assert (why in str(why_in_vain(vain))) if why else (why_in_vain(vain) is None)


@pytest.mark.parametrize('record', [None, 5, [], 'x', {'after_ok': '1'}, {'after_ok': None}, {'other': ['1']}])
def test_what_is_no_record_of_dependencies(record: object) -> None:
    assert Dependencies.read(record) == Dependencies()


def test_a_record_comes_back() -> None:
    dependencies = Dependencies(('1', '2[3].host'), (), ('3_4',))
    assert Dependencies.read(dependencies.record()) == dependencies
    assert Dependencies.read({'after_ok': ['1', 2, None]}) == Dependencies(('1',))
