from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from scenes import ACTIVE, CANCELED, COMPLETED, FAILED, QUEUED, STAGE_OUT, TIMED_OUT, Scene, row

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.exit_info import ExitReason, ResourceUsage
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.runtime.jobfolder import JobFolder

# -- from the folder


def test_a_hint_leads_to_the_folder_without_a_query(scene: Scene) -> None:
    job = scene.follow('1')
    scene.poll()
    scene.enter(job, 'ACTIVE')
    scene.poll()
    assert job.status.state is ACTIVE
    scene.end(job)
    scene.poll()
    assert job.status.state is COMPLETED
    assert scene.source.asked == []
    assert scene.seen[job.id] == [QUEUED, ACTIVE, COMPLETED]


def test_without_a_hint_a_folder_is_not_read(scene: Scene) -> None:
    job = scene.follow('1')
    scene.poll()
    scene.end(job, hint=False)
    scene.poll()
    assert job.status.state is QUEUED
    scene.pass_time(5)
    assert job.status.state is COMPLETED


def test_what_happened_before_it_was_followed_is_found_at_once(scene: Scene) -> None:
    job = Job(JobSpec('/bin/date'))
    folder = JobFolder.create(scene.work, job.id)
    job._set_native_id('1')
    scene.enter(job, 'ACTIVE', hint=False)
    scene.end(job, hint=False)
    scene.follow('1', job=job, folder=folder)
    scene.poll()
    assert job.status.state is COMPLETED
    assert scene.source.asked == []


def test_missed_states_are_reported_before_the_end(scene: Scene) -> None:
    job = scene.follow('1')
    for state in ('STAGE_IN', 'ACTIVE', 'STAGE_OUT', 'CLEANUP'):
        scene.enter(job, state, hint=False)
    scene.end(job)
    scene.poll()
    assert scene.seen[job.id] == [
        QUEUED, JobState.STAGE_IN, ACTIVE, STAGE_OUT, JobState.CLEANUP, COMPLETED]


def test_an_end_that_the_scheduler_alone_saw_has_its_missed_states(scene: Scene) -> None:
    job = scene.follow('1', has_folder=False)
    scene.source.rows['1'] = row(COMPLETED, ExitReason.EXITED, code=0)
    scene.pass_time(3)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, COMPLETED]
    assert job.exit_info is not None
    assert (job.exit_info.reason, job.exit_info.exit_code) == (ExitReason.EXITED, 0)


def test_a_failed_job_explains_itself(scene: Scene) -> None:
    job = scene.follow('1')
    (scene.work / job.id / 'stderr').write_text('Traceback\nValueError: no\n')
    scene.enter(job, 'ACTIVE', hint=False)
    scene.end(job, code=3)
    scene.pass_time(10)
    assert job.status.state is FAILED
    assert job.status.exit_code == 3
    assert 'ValueError: no' in (job.status.message or '')
    assert str(scene.work / job.id / 'stderr') in (job.status.message or '')


def test_a_job_that_was_not_launched_explains_itself_by_what_the_script_wrote(scene: Scene) -> None:
    job = scene.follow('1')
    (scene.work / job.id / 'stderr').write_text('of an earlier attempt\n')
    (scene.work / job.id / 'scheduler.out').write_text('psij-ext: staging in failed\n')
    scene.end(job, code=1, phase='stage_in')
    scene.pass_time(10)
    assert 'staging in failed' in (job.status.message or '')
    assert 'earlier' not in (job.status.message or '')


def test_a_success_needs_no_explanation(scene: Scene) -> None:
    job = scene.follow('1')
    (scene.work / job.id / 'stderr').write_text('a warning\n')
    scene.end(job)
    scene.poll()
    assert (job.status.state, job.status.message) == (COMPLETED, None)


def test_standard_error_is_read_where_the_user_sent_it(scene: Scene, tmp_path: Path) -> None:
    (tmp_path / 'err').write_text('oops\n')
    job = scene.follow('1')
    scene.followed(job).stderr_path = tmp_path / 'err'
    scene.end(job, code=3)
    scene.pass_time(10)
    assert job.status.message == f'oops\n(from {tmp_path}/err)'


def test_the_time_limit_is_the_specs(scene: Scene) -> None:
    spec = JobSpec('/bin/date', attributes=JobAttributes(duration=timedelta(minutes=1)))
    timed, unlimited = scene.follow('1', spec), scene.follow('2')
    for job in (timed, unlimited):
        scene.enter(job, 'ACTIVE')
    scene.source.rows = {'1': row(ACTIVE), '2': row(ACTIVE)}
    scene.pass_time(61)
    for job in (timed, unlimited):
        scene.end(job, code=143, term=True, began=scene.clock.now - 61)
    scene.source.rows = {}
    scene.pass_time(10)
    assert timed.exit_info is not None
    assert timed.exit_info.reason is ExitReason.TIMEOUT
    assert unlimited.status.state is CANCELED


def test_a_job_without_a_description_is_followed_too(scene: Scene) -> None:
    job = scene.follow('1', job=Job(), has_folder=False)
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(31)
    assert job.status.state is ACTIVE
    scene.source.rows['1'] = row(FAILED, ExitReason.EXITED, code=3)
    scene.pass_time(31)
    assert (job.status.state, job.status.exit_code) == (FAILED, 3)


@pytest.mark.parametrize('answer', [row(FAILED, ExitReason.OUT_OF_MEMORY), None])
def test_an_end_and_an_absence_do_not_go_out_of_date(scene: Scene, answer: Observation | None) -> None:
    job = scene.follow('1')
    if answer is not None:
        scene.source.rows['1'] = answer
    scene.pass_time(1.5)
    scene.end(job, code=137)
    scene.pass_time(0.5)
    assert scene.source.asked == [scene.clock.now]
    assert job.exit_info is not None
    assert job.exit_info.reason is (ExitReason.SIGNALED if answer is None else ExitReason.OUT_OF_MEMORY)


def test_an_unreadable_record_harms_that_job_alone(scene: Scene) -> None:
    bad, good = scene.follow('1'), scene.follow('2')
    scene.source.rows = {'1': row(ACTIVE), '2': row(ACTIVE)}
    (scene.work / bad.id / 'exit').write_bytes(b'\xff\0attempt=9' * 100)
    (scene.work / bad.id / 'progress').write_bytes(b'1 ACTIVE nan\n1 COMPLETED 5\n\xff\n')
    scene.hint(bad)
    scene.enter(good, 'ACTIVE')
    scene.poll()
    assert (bad.status.state, good.status.state) == (QUEUED, ACTIVE)
    scene.source.rows['1'] = row(FAILED, ExitReason.EXITED, code=2)
    scene.pass_time(60)
    assert (bad.status.state, bad.status.exit_code) == (FAILED, 2)


def test_a_job_whose_report_fails_harms_itself_alone(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    jobs = [scene.follow(str(number)) for number in range(4)]
    report = scene.followed(jobs[1]).report

    def fail(*args: object) -> None:
        raise RuntimeError('a defect')

    scene.followed(jobs[1]).report = fail
    for job in jobs:
        scene.enter(job, 'ACTIVE')
    scene.poll()
    assert [job.status.state for job in jobs] == [ACTIVE, QUEUED, ACTIVE, ACTIVE]
    assert 'a defect' in caplog.text
    scene.followed(jobs[1]).report = report
    scene.hint(jobs[1])
    scene.poll()
    assert jobs[1].status.state is ACTIVE


@pytest.mark.parametrize(('asked', 'known', 'reason'), [
    (None, 60.0, ExitReason.TIMEOUT),                    # the default of a partition, or of a job that was attached
    (timedelta(seconds=1), 60.0, ExitReason.TIMEOUT),    # Slurm rounds up to a minute
    (timedelta(seconds=1), 600.0, ExitReason.CANCELED),  # an administrator gave it more; TERM came from somebody
    (timedelta(seconds=60), None, ExitReason.TIMEOUT)])
def test_the_time_limit_is_the_schedulers(scene: Scene, asked: timedelta | None, known: float | None, reason: ExitReason) -> None:
    job = scene.follow('1', JobSpec('/bin/date', attributes=JobAttributes(duration=asked)))
    scene.enter(job, 'ACTIVE')
    scene.source.rows = {'1': replace(row(ACTIVE), time_limit=known)}
    scene.pass_time(61)
    scene.end(job, code=143, term=True, began=scene.clock.now - 61)
    scene.source.rows = {}
    scene.pass_time(10)
    assert job.exit_info is not None
    assert job.exit_info.reason is reason


# -- the cause of an end


def test_the_cause_is_asked_for_and_taken(scene: Scene) -> None:
    job = scene.follow('1', JobSpec('/bin/date', attributes=JobAttributes(duration=timedelta(seconds=60))))
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(120)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(1)
    began = scene.clock.now
    scene.end(job, code=137)
    scene.source.rows['1'] = row(FAILED, ExitReason.OUT_OF_MEMORY, native='OUT_OF_MEMORY')
    scene.poll()
    assert job.status.state is ACTIVE
    scene.pass_time(2)
    assert job.status.state is FAILED
    assert job.exit_info is not None
    assert (job.exit_info.reason, job.exit_info.exit_code) == (ExitReason.OUT_OF_MEMORY, 137)
    assert job.status.metadata == {'native_state': 'OUT_OF_MEMORY', 'attempt': 1}
    assert scene.queries(since=began) == 1


@pytest.mark.parametrize('answer', [None, row(ACTIVE), TIMED_OUT])
def test_the_cause_is_waited_for_within_bounds(accounted: Scene, answer: Observation | Exception | None) -> None:
    job = accounted.follow('1')
    if isinstance(answer, Exception):
        accounted.source.failure = answer
    elif answer is not None:
        accounted.source.rows['1'] = answer
    accounted.pass_time(40)
    began = accounted.clock.now
    accounted.end(job, code=3)
    accounted.pass_time(4.5)
    assert not job.status.final
    accounted.pass_time(1)
    assert (job.status.state, job.status.exit_code) == (FAILED, 3)
    assert accounted.queries(since=began) <= 4 + 1  # early ones, and a regular one


def test_a_job_that_nobody_else_can_know_ends_with_the_next_answer(scene: Scene) -> None:
    job = scene.follow('1')
    scene.pass_time(1)
    scene.end(job, code=3)
    scene.pass_time(1.5)
    assert job.status.state is FAILED
    assert len(scene.source.asked) == 1


def test_an_absent_job_is_not_asked_for_more_often_while_accounting_fails(accounted: Scene) -> None:
    job = accounted.follow('1')
    accounted.source.accounting_failure = TIMED_OUT
    accounted.pass_time(3600)
    assert job.status.state is QUEUED
    assert len(accounted.source.asked) <= 125


def test_accounting_is_asked_for_those_that_the_queue_does_not_explain(accounted: Scene) -> None:
    gone, waiting, unclear, clear = (accounted.follow(str(number)) for number in range(4))
    known = replace(row(FAILED, ExitReason.TIMEOUT), usage=ResourceUsage(max_rss=1))
    accounted.source.rows = {'1': row(QUEUED), '2': row(FAILED), '3': known}
    accounted.source.accounts = {
        '0': row(COMPLETED, ExitReason.EXITED, code=0), '1': row(FAILED, ExitReason.NODE_FAILURE),
        '2': row(FAILED, ExitReason.OUT_OF_MEMORY)}
    accounted.pass_time(3)
    assert accounted.source.accounting_asked_for == [['0', '2']]
    assert accounted.source.since == [1000.0]
    assert [job.status.state for job in (gone, waiting, unclear, clear)] == [COMPLETED, QUEUED, FAILED, FAILED]


def test_accounting_tells_the_usage_of_a_job_whose_end_the_queue_explains(accounted: Scene) -> None:
    job = accounted.follow('1')
    accounted.source.rows = {'1': row(FAILED, ExitReason.TIMEOUT)}
    accounted.source.accounts = {'1': replace(row(FAILED, ExitReason.EXITED), usage=ResourceUsage(max_rss=5))}
    accounted.pass_time(3)
    assert job.exit_info is not None and job.exit_info.usage is not None
    assert (job.exit_info.reason, job.exit_info.usage.max_rss) == (ExitReason.TIMEOUT, 5)


def test_without_accounting_it_is_not_asked(scene: Scene) -> None:
    scene.follow('1')
    scene.pass_time(60)
    assert scene.source.asked
    assert scene.source.accounting_asked_for == []


# -- requeues


@pytest.mark.parametrize('has_folder', [True, False])
def test_a_requeue_is_seen(scene: Scene, has_folder: bool) -> None:
    job = scene.follow('1', has_folder=has_folder)
    for state in (ACTIVE, QUEUED, ACTIVE, QUEUED, ACTIVE):
        scene.source.rows['1'] = row(state)
        scene.pass_time(31)
    scene.source.rows['1'] = row(COMPLETED, ExitReason.EXITED, code=0)
    scene.pass_time(31)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED, ACTIVE, QUEUED, ACTIVE, COMPLETED]


def test_the_first_run_is_number_one_in_every_state(scene: Scene) -> None:
    job = scene.follow('1')
    for state in (QUEUED, ACTIVE):
        scene.source.rows['1'] = row(state)
        scene.pass_time(31)
        assert (job.status.state, attempt(job)) == (state, 1)
    scene.enter(job, 'ACTIVE')
    scene.end(job)
    scene.poll()
    assert (job.status.state, attempt(job)) == (COMPLETED, 1)


def test_runs_are_counted_as_the_scheduler_does(scene: Scene) -> None:
    job = scene.follow('1', has_folder=False)
    scene.source.rows['1'] = row(ACTIVE, attempt=3)
    scene.pass_time(31)
    assert attempt(job) == 3


def test_what_a_source_says_is_not_changed(scene: Scene) -> None:
    scene.source.rows['1'] = said = row(ACTIVE)
    job = scene.follow('1')
    scene.pass_time(31)
    assert job.status.state is ACTIVE
    assert said.status.metadata == {'native_state': 'ACTIVE'}


def requeued(scene: Scene) -> Job:
    """A job that ran, was killed, and waits for its second run."""
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(60)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(10)
    scene.end(job, code=143, term=True)
    scene.source.rows['1'] = row(QUEUED, attempt=2)
    scene.pass_time(10)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED]
    assert attempt(job) == 2
    return job


@pytest.mark.parametrize('ended', [False, True])
def test_a_requeue_that_nobody_saw_is_reported_when_the_script_tells_of_the_next_run(scene: Scene, ended: bool) -> None:
    """OpenPBS starts a job again before a query shows it waiting (capture qstat-requeued)."""
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE, attempt=1)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(31)
    scene.source.rows['1'] = row(ACTIVE, attempt=2)
    scene.pass_time(31)
    assert scene.seen[job.id] == [QUEUED, ACTIVE]
    scene.enter(job, 'ACTIVE', attempt=2)
    if ended:
        scene.end(job, attempt=2)
    scene.poll()
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED, ACTIVE, *[COMPLETED] * ended]
    assert attempt(job) == 2


def test_a_requeue_that_was_seen_is_not_reported_again(scene: Scene) -> None:
    job = requeued(scene)
    scene.source.rows['1'] = row(ACTIVE, attempt=2)
    scene.pass_time(31)
    scene.enter(job, 'ACTIVE', attempt=2)
    scene.pass_time(31)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED, ACTIVE]


def test_a_scheduler_that_counts_the_next_run_while_the_last_one_ends_requeues_once(scene: Scene) -> None:
    """Slurm was seen to call such a job completing."""
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE, attempt=1)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(31)
    for state in (ACTIVE, QUEUED):
        scene.source.rows['1'] = row(state, attempt=2)
        scene.pass_time(31)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED]


def attempt(job: Job) -> object:
    return (job.status.metadata or {}).get('attempt')


def test_a_requeue_after_an_end_is_seen(scene: Scene) -> None:
    job = requeued(scene)
    scene.pass_time(600)
    (scene.work / job.id / 'exit').rename(scene.work / job.id / 'exit.1')
    scene.source.rows['1'] = row(ACTIVE, attempt=2)
    scene.enter(job, 'ACTIVE', attempt=2)
    scene.pass_time(60)
    scene.end(job, attempt=2)
    scene.pass_time(1)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED, ACTIVE, COMPLETED]
    assert attempt(job) == 2


@pytest.mark.parametrize('failure', [TIMED_OUT, None])
def test_the_record_of_the_earlier_run_does_not_end_a_job_that_waits_again(
        scene: Scene, failure: Exception | None) -> None:
    job = requeued(scene)
    scene.source.failure = failure
    for _ in range(30):
        scene.hint(job)
        scene.pass_time(20)
    assert scene.seen[job.id] == [QUEUED, ACTIVE, QUEUED]


def test_a_job_that_is_cancelled_while_it_waits_again(scene: Scene) -> None:
    job = requeued(scene)
    del scene.source.rows['1']
    scene.followed(job).cancel_acknowledged = True
    scene.monitor.ask_soon()
    scene.pass_time(5)
    assert (scene.seen[job.id][-1], job.exit_info and job.exit_info.reason) == (CANCELED, ExitReason.CANCELED)


def test_a_stale_answer_is_not_taken_for_a_requeue(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(QUEUED)
    scene.pass_time(3)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(0.5)
    assert job.status.state is ACTIVE
    scene.hint(job)
    scene.pass_time(0.5)
    assert scene.seen[job.id] == [QUEUED, ACTIVE]


def test_an_answer_of_the_same_moment_is_not_taken_for_a_requeue(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(QUEUED)
    scene.pass_time(1.5)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(0.5)
    assert scene.source.asked == [scene.clock.now]
    assert job.status.state is ACTIVE


def test_what_was_said_at_the_same_moment_is_made_up_for(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(1.5)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(0.5)
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(60)
    assert job.status.metadata == {'native_state': 'ACTIVE', 'attempt': 1}
