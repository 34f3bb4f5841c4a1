"""An executor that was written for PSI/J and is none of a batch scheduler."""

from __future__ import annotations

from datetime import timedelta

import pytest

from psij_ext import Job, JobExecutor, JobSpec, JobState, JobStatus, SubmitException, wait

WAIT = timedelta(seconds=10)

pytestmark = pytest.mark.usefixtures('oldpbs')


def test_its_jobs_are_followed() -> None:
    executor = JobExecutor.get_instance('threaded')
    seen: list[tuple[Job, JobState]] = []
    executor.set_job_status_callback(lambda job, status: seen.append((job, status.state)))
    job = Job(JobSpec('/bin/sh', ['-c', 'exit 3']))
    executor.submit(job)
    assert job.native_id is not None
    assert job.executor is executor
    status = job.wait(WAIT)
    assert status is not None
    assert (status.state, status.exit_code) == (JobState.FAILED, 3)
    assert seen == [(job, JobState.QUEUED), (job, JobState.ACTIVE), (job, JobState.FAILED)]
    assert executor.list() == []


def test_it_cancels_and_refuses() -> None:
    executor = JobExecutor.get_instance('threaded')
    job = Job(JobSpec('/bin/sleep', ['100'], launcher='bare'))
    executor.submit(job)
    assert executor.list() == [job.native_id]
    job.cancel()
    wait([job], 10)
    assert job.status.state is JobState.CANCELED
    with pytest.raises(SubmitException, match='no room') as caught:
        executor.submit(Job(JobSpec('/nowhere')))
    assert caught.value.transient


def test_a_status_of_a_job_of_no_executor_moves_it_on() -> None:
    job = Job()
    job.status = JobStatus(JobState.ACTIVE)
    job.status = JobStatus(JobState.QUEUED)
    assert job.status.state is JobState.ACTIVE
