"""Many jobs that are submitted in one call, to a scheduler that does not exist."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, result

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException, NotAllSubmitted, SubmitException
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime.command import CommandResult


class Scheduler:
    """Takes jobs and counts them; refuses those whose names say so."""

    def __init__(self, runner: FakeRunner) -> None:
        self.taken: list[str] = []
        self.tried = 0
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        runner.answers['submit'] = self.answer
        runner.answers['status'] = result(b'')

    def answer(self, argv: Sequence[str], folder: Path) -> CommandResult:
        name = next(word for word in argv if word.endswith(' job'))  # a folder's may have any hexadecimal digits in it
        with self._lock:
            self.tried += 1
            if name.startswith('bad'):
                return result(b'', 1, b'no such queue')
            if name.startswith('busy'):
                return result(b'', 1, b'busy')
            self.taken.append(folder.name)
            return result(b'job %d\n' % next(self._numbers))


@pytest.fixture
def scheduler(runner: FakeRunner) -> Scheduler:
    return Scheduler(runner)


def named(*names: str) -> list[Job]:
    # A name that no directive holds stands in the submit command.
    return [Job(JobSpec('/bin/date', name=f'{name} job')) for name in names]


def test_each_job_is_submitted_once(executor: SimpleExecutor, scheduler: Scheduler) -> None:
    jobs = named(*map(str, range(50)))
    executor.submit_many(iter(jobs))
    assert sorted(scheduler.taken) == sorted(job.id for job in jobs)
    assert len({job.native_id for job in jobs}) == 50
    assert {job.status.state for job in jobs} == {JobState.QUEUED}
    assert {job.executor for job in jobs} == {executor}


def test_no_jobs_are_no_error(executor: SimpleExecutor, scheduler: Scheduler) -> None:
    executor.submit_many([])
    assert scheduler.tried == 0


@pytest.mark.parametrize(('given', 'words'), [
    (None, 'expected a list of Job, got None'), (Job(), 'expected a list of Job, got'), ([Job(), 5], 'expected Job, got 5')])
def test_what_is_no_list_of_jobs_is_refused(executor: SimpleExecutor, scheduler: Scheduler, given: object, words: str) -> None:
    with pytest.raises(TypeError, match=f'submit_many: jobs: {words}'):
        executor.submit_many(given)  # type: ignore[arg-type]
    assert scheduler.tried == 0


def test_a_few_commands_run_at_a_time(executor: SimpleExecutor, runner: FakeRunner) -> None:
    at_once = threading.Barrier(SimpleExecutor.commands_at_once, timeout=20)
    running, most, lock, numbers = 0, 0, threading.Lock(), itertools.count(1)

    def answer(argv: Sequence[str], folder: Path) -> CommandResult:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        at_once.wait()
        with lock:
            running -= 1
            return result(b'job %d\n' % next(numbers))

    runner.answers.update(submit=answer, status=result(b''))
    executor.submit_many(named(*map(str, range(3 * SimpleExecutor.commands_at_once))))
    assert most == SimpleExecutor.commands_at_once == 4


def test_what_was_refused_is_told_and_the_others_are_submitted(executor: SimpleExecutor, scheduler: Scheduler) -> None:
    jobs = named('a', 'bad b', 'c', 'bad d', 'e')
    with pytest.raises(NotAllSubmitted) as caught:
        executor.submit_many(jobs)
    error = caught.value
    assert list(error.failures) == [jobs[1].id, jobs[3].id]
    assert 'no such queue' in str(error.failures[jobs[1].id])
    assert str(error).startswith('2 of 5 jobs were not submitted:\n')
    assert 'no such queue' in str(error)
    assert not error.transient
    assert set(scheduler.taken) == {jobs[0].id, jobs[2].id, jobs[4].id}
    for job in (jobs[1], jobs[3]):
        assert (job.status.state, job.native_id) == (JobState.FAILED, None)
        assert job.exit_info is not None
        assert job.exit_info.reason is ExitReason.SUBMIT_FAILED
        assert 'no such queue' in (job.status.message or '')
        assert job.wait() is job.status  # nobody waits for it in vain


def test_a_busy_scheduler_gets_no_more_of_them(executor: SimpleExecutor, scheduler: Scheduler) -> None:
    jobs = named(*['busy'] * 100)
    with pytest.raises(NotAllSubmitted) as caught:
        executor.submit_many(jobs)
    assert caught.value.transient
    assert len(caught.value.failures) == 100
    assert scheduler.tried <= SimpleExecutor.commands_at_once
    assert any('was not tried' in str(error) for error in caught.value.failures.values())
    assert all(job.status.final for job in jobs)


def test_same_reasons_are_told_once() -> None:
    failures = {str(number): SubmitException('The queue is closed.') for number in range(100)}
    assert str(NotAllSubmitted(failures, 100)) == '100 of 100 jobs were not submitted:\nThe queue is closed.'
    differing = {str(number): SubmitException(f'No {number}.') for number in range(12)}
    assert str(NotAllSubmitted(differing, 20)).splitlines()[-2:] == ['No 9.', '... and 2 more']


def test_of_a_batch_with_a_wrong_job_nothing_is_submitted(executor: SimpleExecutor, scheduler: Scheduler) -> None:
    good, wrong = named('a', 'b')
    assert wrong.spec is not None
    wrong.spec.executable = None
    with pytest.raises(InvalidJobException, match=r'Job 2 of 2: JobSpec\.executable: is missing\. Nothing was submitted\.'):
        executor.submit_many([good, wrong])
    with pytest.raises(InvalidJobException, match=f'Job 2 of 2: Job {good.id} is given twice'):
        executor.submit_many([good, good])
    executor.submit(good)
    with pytest.raises(InvalidJobException, match=r'Job 1 of 1: .* was submitted before'):
        executor.submit_many([good])
    assert (scheduler.tried, wrong.status.state) == (1, JobState.NEW)


def test_what_only_the_dialect_refuses_is_told_of_that_job(executor: SimpleExecutor, scheduler: Scheduler) -> None:
    good, odd = named('a', 'b')
    assert odd.spec is not None
    odd.spec.launcher = 'no-such-launcher'
    with pytest.raises(NotAllSubmitted) as caught:
        executor.submit_many([odd, good])
    assert isinstance(caught.value.failures[odd.id], InvalidJobException)
    assert not caught.value.transient
    assert scheduler.taken == [good.id]


def test_an_interrupt_leaves_alone_what_was_not_begun(executor: SimpleExecutor, runner: FakeRunner) -> None:
    def answer(argv: Sequence[str], folder: Path) -> CommandResult:
        raise KeyboardInterrupt

    runner.answers['submit'] = answer
    jobs = named(*map(str, range(200)))
    with pytest.raises(KeyboardInterrupt):
        executor.submit_many(jobs)
    assert jobs[-1].status.state is JobState.NEW
    runner.answers['submit'] = result(b'job 1\n')
    executor.submit(jobs[-1])
    assert jobs[-1].native_id == '1'


def test_submissions_keep_to_a_rate(tmp_path: Path, runner: FakeRunner, scheduler: Scheduler) -> None:
    config = BatchSchedulerExecutorConfig(work_directory=tmp_path, max_submit_rate=0.5)
    with SimpleExecutor(config=config) as executor:
        executor.runner = runner
        now, slept = 100.0, []
        executor.clock, executor.sleep = lambda: now, slept.append
        for job in named('a', 'b', 'c'):
            executor.submit(job)
        assert slept == [2.0, 4.0]  # the clock stands still


def test_a_rate_is_a_number_above_zero() -> None:
    with pytest.raises(ValueError, match='max_submit_rate: must be above zero, got 0'):
        BatchSchedulerExecutorConfig(max_submit_rate=0)
    with pytest.raises(TypeError, match='max_submit_rate: expected a number'):
        BatchSchedulerExecutorConfig(max_submit_rate='fast')  # type: ignore[arg-type]
