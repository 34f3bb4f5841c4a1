"""Coming back to jobs that were submitted earlier."""

from __future__ import annotations

import time
from datetime import timedelta

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, begins, folder_of, result

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import CommandTimeout, InvalidJobException


def test_attaching_to_a_job_of_ours(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['submit'] = begins
    submitted = Job(JobSpec('/bin/date', ['-u'], name='first'))
    executor.submit(submitted)
    job = Job()
    executor.attach(job, '1')
    assert job.spec is not None
    assert (job.spec.name, job.spec.arguments, job.native_id) == ('first', ['-u'], '1')
    assert job.status.state in (JobState.QUEUED, JobState.ACTIVE)
    runner.answers['status'] = result(b'1 failed\n')
    assert job.wait(timedelta(seconds=10)) is not None
    assert job.status.state is JobState.FAILED


def test_attaching_to_a_job_of_others(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['status'] = result(b'5 done\n')
    job = Job()
    executor.attach(job, '5')
    assert job.wait(timedelta(seconds=10)) is not None
    assert (job.status.state, job.spec) == (JobState.COMPLETED, None)


def test_what_cannot_be_attached(executor: SimpleExecutor) -> None:
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    for wrong_job, native_id in ((job, '2'), (Job(), ''), (Job(), 5)):
        with pytest.raises(InvalidJobException):
            executor.attach(wrong_job, native_id)  # type: ignore[arg-type]
    twice = Job()
    executor.attach(twice, '1')
    with pytest.raises(InvalidJobException, match='before'):
        executor.attach(twice, '1')


@pytest.mark.parametrize('odd', ['a b', '-x', '1,2', '1\n2', ' 1'])
def test_what_can_be_no_native_id_is_not_attached(executor: SimpleExecutor, odd: str) -> None:
    job = Job()
    with pytest.raises(InvalidJobException, match='no native id'):
        executor.attach(job, odd)
    assert (job.native_id, job.executor) == (None, None)


# -- the first look


def seen_by(job: Job) -> list[JobState]:
    seen: list[JobState] = []
    job.set_job_status_callback(lambda _, status: seen.append(status.state))
    return seen


def test_a_job_that_is_over_is_over_at_once(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['status'] = result(b'7 failed\n')
    job = Job()
    seen = seen_by(job)
    executor.attach(job, '7')
    assert job.exit_info is not None
    assert (job.status.state, job.exit_info.reason) == (JobState.FAILED, ExitReason.EXITED)
    executor.close()
    assert seen == [JobState.QUEUED, JobState.FAILED]


def test_many_jobs_are_looked_at_with_one_query(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['status'] = result(b'1 done\n2 running\n3 failed\n')
    jobs = [Job() for _ in range(3)]
    executor.attach_many([(job, str(number)) for number, job in enumerate(jobs, 1)])
    assert [job.status.state for job in jobs] == [JobState.COMPLETED, JobState.ACTIVE, JobState.FAILED]
    asked = [argv for argv, *_ in runner.of('status')]
    assert asked[0] == ['status', '1', '2', '3']
    assert all(argv == ['status', '2'] for argv in asked[1:])  # the rest is the monitor's


def test_all_are_attached_to_or_none(executor: SimpleExecutor) -> None:
    submitted = Job(JobSpec('/bin/date'))
    executor.submit(submitted)
    first, second = Job(), Job()
    for jobs in ([(first, '1'), (second, '2'), (submitted, '3')], [(first, '1'), (second, '2'), (first, '3')],
                 [(first, '1'), (second, 'a b')]):
        with pytest.raises(InvalidJobException):
            executor.attach_many(jobs)
        assert [(job.executor, job.native_id) for job in (first, second)] == [(None, None), (None, None)]


def test_an_end_whose_cause_may_still_be_told_is_not_reported_at_once(
        executor: SimpleExecutor, runner: FakeRunner) -> None:
    submitted = Job(JobSpec('/bin/false'))
    executor.submit(submitted)
    executor.close()
    (folder_of(executor, submitted).path / 'exit').write_text(
        f'attempt=1\nnative_id=1\nexit_code=3\nphase=done\nterm=\nended={time.time()}\n')
    runner.answers['status'] = CommandTimeout('no answer', argv=('status',))
    job = Job()
    executor.attach(job, '1')
    assert not job.status.final
    runner.answers['status'] = result(b'1 failed\n')
    assert job.wait(timedelta(seconds=20)) is not None
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 3)


def test_jobs_of_a_scheduler_that_does_not_answer_are_followed_all_the_same(
        executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['status'] = CommandTimeout('no answer', argv=('status',))
    job = Job()
    executor.attach(job, '8')
    assert job.status.state is JobState.QUEUED
    runner.answers['status'] = result(b'8 done\n')
    assert job.wait(timedelta(seconds=10)) is not None
    assert job.status.state is JobState.COMPLETED
