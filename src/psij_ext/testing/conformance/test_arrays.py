"""Jobs that are submitted together are jobs of their own, also where they become elements of an array."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.conformance.test_depending import NO_JOB_WAITS, submit_after
from psij_ext.testing.conformance.test_following import ENDED_WELL, UNTIL, Listener
from psij_ext.testing.execparams import ExecParams

SUBMITS_AND_DIES = """
import os, sys
from pathlib import Path
from psij_ext.core.job import Job
from psij_ext.core.serialization import JSONSerializer
from psij_ext.testing.making import make_executor
name, work_directory, spec, go = sys.argv[1:]
executor = make_executor(name, work_directory=Path(work_directory), session='arrays')
jobs = []
for number in range(6):
    job = Job(JSONSerializer().loads(spec))
    job.spec.name, job.spec.arguments = f'left {number}', [*job.spec.arguments, go, str(number % 2)]
    jobs.append(job)
executor.submit_many(jobs)
print(*(job.id for job in jobs), flush=True)
os._exit(1)
"""


def together(execparams: ExecParams, script: str, words: Sequence[str], **fields: object) -> Sequence[Job]:
    """Submit a shell script once for each of some words, which it has as `$1`, in one call."""
    return execparams.submit_many([execparams.shell(script, [word], name=f'run {number:02}', **fields)
                                   for number, word in enumerate(words)])


@once
def test_each_has_its_own_end(execparams: ExecParams) -> None:
    """Dozens of jobs of one call end each in its own way, and callbacks are told of each state of each once."""
    executor, listener = execparams.executor(), Listener()
    executor.set_job_status_callback(listener)
    jobs = execparams.submit_many([
        execparams.shell('echo "out $1"; echo "err $1" >&2; exit "$2"', [str(number), '3' if number % 4 else '0'])
        for number in range(30)], executor)
    assert len({job.native_id for job in jobs}) == len(jobs)
    for number, job in enumerate(jobs):
        execparams.wait(job)
        execparams.expect(job, JobState.FAILED if number % 4 else JobState.COMPLETED, 3 if number % 4 else 0)
        assert execparams.output(job) == f'out {number}\n'
        assert execparams.output(job, 'stderr') == f'err {number}\n'
        assert job.exit_info is not None
        assert (job.exit_info.reason, job.exit_info.exit_code) == (ExitReason.EXITED, 3 if number % 4 else 0)
        assert job.exit_info.usage is not None and job.exit_info.usage.wall_time is not None
    executor.close()
    for job in jobs:
        assert listener.states(job) == [*ENDED_WELL[:2], job.status.state]


@once
def test_each_has_its_own_description(execparams: ExecParams) -> None:
    """Programs, arguments, environments, directories and files may all differ, and hold what they like."""
    odd = ['plain', 'two words', 'a"b', "a'b", '$HOME', '`date`', 'new\nline', 'back\\slash', 'ü', '*', '%a', '']
    jobs, places = [], []
    for number, word in enumerate(odd):
        place = execparams.folder / f'place {number}'
        place.mkdir()
        (place / 'in').write_text(f'input {number}')
        places.append(place)
        jobs.append(execparams.shell(
            'printf "%s|" "$1" "$WORD" "$PWD"; cat', [word], directory=place, environment={'WORD': f'{word}{number}'},
            stdin_path='in', stdout_path=f'out {number}'))
    jobs.append(execparams.job('/bin/echo', ['another program']))
    execparams.submit_many(jobs)
    for job in jobs:
        execparams.wait(job)
        execparams.expect(job, JobState.COMPLETED)
    for number, (word, place) in enumerate(zip(odd, places)):
        assert (place / f'out {number}').read_text() == f'{word}|{word}{number}|{place}|input {number}'
    assert execparams.output(jobs[-1]) == 'another program\n'


@once
def test_scripts_around_each(execparams: ExecParams) -> None:
    """Each job has its own scripts before and after the launch."""
    for number in range(3):
        (execparams.folder / f'pre {number}').write_text(f'export PREPARED="pre {number}"\n')
        (execparams.folder / f'post {number}').write_text(f'echo done > "{execparams.folder}/after {number}"\n')
    jobs = execparams.submit_many([
        execparams.shell('echo "$PREPARED"', pre_launch=execparams.folder / f'pre {number}',
                         post_launch=execparams.folder / f'post {number}') for number in range(3)])
    for number, job in enumerate(jobs):
        execparams.wait(job)
        execparams.expect(job, JobState.COMPLETED)
        assert execparams.output(job) == f'pre {number}\n'
        assert (execparams.folder / f'after {number}').exists()


@once
def test_one_is_cancelled_and_the_others_run_on(execparams: ExecParams) -> None:
    """A cancel ends the job that is meant, and no other."""
    go = execparams.folder / 'go'
    jobs = together(execparams, UNTIL, [str(go)] * 5)
    for job in jobs:
        execparams.reach(job, JobState.ACTIVE)
    jobs[2].cancel()
    execparams.wait(jobs[2])
    execparams.expect(jobs[2], JobState.CANCELED)
    assert [job.status.state for job in jobs if job is not jobs[2]] == [JobState.ACTIVE] * 4
    go.touch()
    for job in jobs:
        execparams.wait(job)
    assert [job.status.state for job in jobs] == [
        JobState.CANCELED if job is jobs[2] else JobState.COMPLETED for job in jobs]


@once
def test_all_are_cancelled(execparams: ExecParams) -> None:
    """All jobs of a call end when all are cancelled."""
    jobs = together(execparams, 'sleep 1000', [''] * 12)
    execparams.wait(jobs[0], JobState.ACTIVE)
    execparams.shared_executor.cancel_many(jobs)
    for job in jobs:
        execparams.wait(job)
        execparams.expect(job, JobState.CANCELED)


@once
def test_those_that_wait_are_cancelled(execparams: ExecParams) -> None:
    """One that is cancelled while it waits never runs, and then the others do not either."""
    trace = execparams.folder / 'trace'
    jobs = [execparams.job('/usr/bin/touch', [f'{trace} {number}']) for number in range(6)]
    executor = execparams.hold_many(jobs)
    jobs[2].cancel()
    execparams.wait(jobs[2])
    execparams.expect(jobs[2], JobState.CANCELED)
    assert {job.status.state for job in jobs if job is not jobs[2]} == {JobState.QUEUED}
    executor.cancel_many(jobs)
    for job in jobs:
        execparams.wait(job)
        execparams.expect(job, JobState.CANCELED)
    assert not list(execparams.folder.glob('trace*'))


@once
@pytest.mark.parametrize('code', [0, 3])
def test_attach_to_one(execparams: ExecParams, code: int) -> None:
    """A second executor follows one of the jobs, and knows its description."""
    go = execparams.folder / 'go'
    jobs = execparams.submit_many([
        execparams.shell(f'{UNTIL}; exit "$2"', [str(go), str(code), str(number)]) for number in range(4)])
    executor, attached = execparams.executor(), Job()
    executor.attach(attached, str(jobs[2].native_id))
    go.touch()
    execparams.wait(attached)
    execparams.expect(attached, JobState.FAILED if code else JobState.COMPLETED, code)
    assert attached.spec is not None and attached.spec.arguments is not None
    assert attached.spec.arguments[-1] == '2'
    for job in jobs:
        execparams.wait(job)


@once
def test_they_come_back_to_a_later_program(execparams: ExecParams) -> None:
    """What a program submitted and did not see the end of, the next one does, each with its id and its name."""
    go = execparams.folder / 'go'
    spec = execparams.shell('until [ -e "$1" ]; do sleep 0.05; done; exit "$2"').spec
    assert spec is not None
    done = subprocess.run(
        [sys.executable, '-c', SUBMITS_AND_DIES, execparams.executor_name, str(execparams.work_directory),
         JSONSerializer().dumps(spec), str(go)],
        capture_output=True, text=True, timeout=120, check=False)
    ids = done.stdout.split()
    assert len(ids) == 6, done.stderr
    executor = execparams.executor(session='arrays')
    assert hasattr(executor, 'recover')
    jobs = {job.id: job for job in executor.recover()}
    assert sorted(jobs) == sorted(ids)
    go.touch()
    for number, job_id in enumerate(ids):
        job = jobs[job_id]
        execparams.wait(job)
        execparams.expect(job, JobState.FAILED if number % 2 else JobState.COMPLETED, number % 2)
        assert job.spec is not None and job.spec.name == f'left {number}'
    assert executor.recover() == []


@once
def test_a_job_waits_for_one_of_them(execparams: ExecParams) -> None:
    """Another job may wait for the end of one of them, and is told of it where that is not as it should be."""
    trace = Path(execparams.folder / 'trace')
    jobs = together(execparams, 'sleep 0.5; exit "$1"', ['0', '3', '0'])
    second, third = execparams.job('/usr/bin/touch', [str(trace)]), execparams.job('/bin/date')
    if not (waits_or_is_refused(execparams, second, jobs[:1]) and waits_or_is_refused(execparams, third, jobs[1:2])):
        return
    execparams.wait(second)
    execparams.expect(second, JobState.COMPLETED)
    assert jobs[0].status.state is JobState.COMPLETED
    assert trace.exists()
    execparams.wait(third)
    execparams.expect(third, JobState.FAILED)
    assert third.exit_info is not None and third.exit_info.reason is ExitReason.DEPENDENCY_FAILED


def waits_or_is_refused(execparams: ExecParams, job: Job, others: Sequence[Job]) -> bool:
    """Submit a job that waits for others; an executor that cannot let it wait for them says so, and leaves it new."""
    try:
        execparams.submit(job, after_ok=others)
    except InvalidJobException as error:
        assert NO_JOB_WAITS in str(error) or any(str(other.native_id) in str(error) for other in others)
        assert (job.status.state, job.executor) == (JobState.NEW, None)
        return False
    return True


def ending_after(execparams: ExecParams, go: Path, code: str) -> Sequence[Job]:
    """Submit four jobs, of which the first has ended; the others end when a file is there, the third with a code."""
    script = f'[ "$2" = 0 ] || {{ {UNTIL}; }}; exit "$3"'
    jobs = execparams.submit_many([execparams.shell(script, [str(go), str(number), code if number == 2 else '0'])
                                   for number in range(4)])
    execparams.wait(jobs[0])
    return jobs


@once
def test_a_job_waits_for_all_to_end(execparams: ExecParams) -> None:
    """Another job may wait for the ends of all, of which some have come already."""
    go = execparams.folder / 'go'
    jobs = ending_after(execparams, go, '3')
    waiting = submit_after(execparams, execparams.job('/bin/date'), after_any=jobs)
    assert waiting.status.state is JobState.QUEUED
    go.touch()
    execparams.wait(waiting)
    execparams.expect(waiting, JobState.COMPLETED)
    for job in jobs:
        execparams.wait(job)


@once
@pytest.mark.parametrize('code', ['0', '3'])
def test_a_job_waits_for_all_to_complete(execparams: ExecParams, code: str) -> None:
    """It never begins where one of them fails."""
    go = execparams.folder / 'go'
    jobs = ending_after(execparams, go, code)
    waiting = execparams.job('/bin/date')
    waits = waits_or_is_refused(execparams, waiting, jobs)
    go.touch()
    if not waits:
        return
    execparams.wait(waiting)
    execparams.expect(waiting, JobState.FAILED if code == '3' else JobState.COMPLETED)
    assert waiting.exit_info is not None
    assert waiting.exit_info.reason is (ExitReason.DEPENDENCY_FAILED if code == '3' else ExitReason.EXITED)


@once
def test_one_that_cannot_be_run_ends_alone(execparams: ExecParams) -> None:
    """A program that is not there is that job's failure, and nobody else's."""
    jobs = execparams.submit_many([
        execparams.job(f'{execparams.folder}/missing' if number == 1 else '/bin/echo', [str(number)])
        for number in range(3)])
    for job in jobs:
        execparams.wait(job)
    assert [job.status.state for job in jobs] == [JobState.COMPLETED, JobState.FAILED, JobState.COMPLETED]
    assert jobs[1].status.exit_code == 127
    assert 'missing' in str(jobs[1].status.message)


@once
def test_the_record_is_that_of_the_job(execparams: ExecParams) -> None:
    """What the scheduler knows can be asked for of each."""
    go = execparams.folder / 'go'
    jobs = together(execparams, UNTIL, [str(go)] * 3)
    execparams.reach(jobs[1], JobState.ACTIVE)
    try:
        record = execparams.shared_executor.native_record(jobs[1])
    except InvalidJobException as error:
        pytest.skip(str(error))
    finally:
        go.touch()
    assert record
    for job in jobs:
        execparams.wait(job)
