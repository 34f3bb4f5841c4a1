"""What cannot be run is refused, in words that help, and can be put right."""

from __future__ import annotations

import pytest

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException, SubmitException
from psij_ext.testing.conformance.marks import on_batch, once
from psij_ext.testing.execparams import ExecParams


def refusal(execparams: ExecParams, job: Job) -> SubmitException:
    """Submit a job that is refused, and return what is raised; the test is over where there are no queues."""
    with pytest.raises(SubmitException) as caught:
        try:
            execparams.submit(job)
        except InvalidJobException as error:
            assert 'queue_name' in str(error)
            pytest.skip(f'{execparams.executor_name} has no queues')
    return caught.value


@on_batch
def test_bad_queue(execparams: ExecParams) -> None:
    """A queue that is not there: the scheduler's own words, the command and the script reach the user."""
    job = execparams.job('/bin/date', attributes=JobAttributes(queue_name='nosuch'))
    error = refusal(execparams, job)
    assert error.stderr
    assert error.stderr.strip() in str(error)
    assert error.exit_code != 0
    assert error.script_path is not None
    assert error.script_path.read_text().startswith('#!')
    assert str(error.script_path) in error.argv
    assert not error.transient
    assert (job.status.state, job.native_id, job.executor) == (JobState.NEW, None, None)


@on_batch
def test_refused_job_is_submitted_again(execparams: ExecParams) -> None:
    """A job that was refused can be put right and submitted again."""
    job = execparams.job('/bin/echo', ['better'], attributes=JobAttributes(queue_name='nosuch'))
    refusal(execparams, job)
    refusal(execparams, job)
    assert job.spec is not None
    job.spec.attributes = execparams.spec('/bin/echo').attributes
    assert execparams.succeed(job) == 'better\n'


@once
def test_job_is_submitted_twice(execparams: ExecParams) -> None:
    """A job is submitted once; the second attempt is refused and changes nothing, at any time of its life."""
    job = execparams.submit(execparams.job('/bin/date'))
    native_id = job.native_id
    with pytest.raises(InvalidJobException):
        execparams.shared_executor.submit(job)
    execparams.wait(job)
    for executor in (execparams.shared_executor, execparams.executor()):
        with pytest.raises(InvalidJobException):
            executor.submit(job)
    assert (job.native_id, job.status.state) == (native_id, JobState.COMPLETED)


@once
def test_spec_is_a_snapshot(execparams: ExecParams) -> None:
    """What is changed in a spec after the submission does not reach the job, and the spec can be used again."""
    spec = execparams.spec('/bin/echo', ['first'])
    first = execparams.submit(Job(spec))
    spec.arguments = ['second']
    second = execparams.submit(Job(spec))
    for job, said in ((first, 'first\n'), (second, 'second\n')):
        execparams.wait(job)
        assert execparams.output(job) == said


@once
@pytest.mark.parametrize('job', [Job(), Job(JobSpec())], ids=['no spec', 'no executable'])
def test_incomplete_job(execparams: ExecParams, job: Job) -> None:
    """A job without a spec, or without an executable, is refused."""
    with pytest.raises(InvalidJobException):
        execparams.shared_executor.submit(job)
    assert job.status.state is JobState.NEW


@once
def test_unknown_launcher(execparams: ExecParams) -> None:
    """A launcher that is not there is refused by its name, and the job can be put right."""
    job = execparams.job('/bin/date', launcher='nosuch')
    with pytest.raises(InvalidJobException, match='nosuch'):
        execparams.submit(job)
    assert job.status.state is JobState.NEW
    assert job.spec is not None
    job.spec.launcher = execparams.launcher
    execparams.succeed(job)


@once
@pytest.mark.parametrize('path', ['../outside', '.', '/'])
def test_cleanup_outside_the_directory(execparams: ExecParams, path: str) -> None:
    """Only what lies in the job's directory is ever removed; anything else is refused."""
    job = execparams.job('/bin/date', directory=execparams.folder, cleanup=[path])
    with pytest.raises(InvalidJobException, match='cleanup'):
        execparams.submit(job)


@once
def test_attach_twice(execparams: ExecParams) -> None:
    """A job that was submitted or attached is not attached again."""
    job = execparams.submit(execparams.job('/bin/date'))
    with pytest.raises(InvalidJobException):
        execparams.shared_executor.attach(job, str(job.native_id))
    execparams.wait(job)
