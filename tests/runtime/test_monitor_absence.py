from __future__ import annotations

from pathlib import Path

import pytest
from scenes import ACTIVE, CANCELED, COMPLETED, FAILED, QUEUED, STAGE_OUT, TIMED_OUT, Scene, row

from faulty_files import FaultyFiles
from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.observation import Observations
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageIn
from psij_ext.core.state import JobState
from psij_ext.runtime.answers import Answer
from psij_ext.runtime.evidence import Presence
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.jobfolder import JobFolder

# -- absence


def test_a_lost_job_needs_time(scene: Scene) -> None:
    job = scene.follow('1')
    scene.pass_time(120)
    assert job.status.state is QUEUED
    scene.pass_time(60)
    assert job.status.state is FAILED
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LOST


def test_an_answer_about_one_users_jobs_makes_no_job_of_others_lost(tmp_path: Path) -> None:
    seen = Observations()
    seen.of_user_alone = True
    answer = Answer(1.0, seen, frozenset({'1'}))
    attached = Followed(Job(), '1', None, lambda *told: None)
    ours = Followed(Job(), '1', JobFolder(tmp_path), lambda *told: None)
    assert (answer.about(attached), answer.about(ours)) == ((Presence.UNKNOWN, None), (Presence.ABSENT, None))


def test_a_job_that_is_seen_again_was_not_lost(scene: Scene) -> None:
    job = scene.follow('1')
    for _ in range(10):
        scene.pass_time(100)
        scene.source.rows['1'] = row(QUEUED)
        scene.pass_time(31)
        del scene.source.rows['1']
    assert job.status.state is QUEUED


def test_absence_counts_in_answers_without_a_gap(scene: Scene) -> None:
    job = scene.follow('1')
    for _ in range(20):
        scene.source.failure = None
        while not scene.source.asked or scene.monitor.trouble is not None:
            scene.pass_time(1)
        scene.pass_time(65)
        scene.source.failure = TIMED_OUT
        scene.pass_time(100)
        scene.hint(job)
        scene.pass_time(1)
    assert job.status.state is QUEUED


def test_old_answers_do_not_make_a_job_lost(scene: Scene) -> None:
    job = scene.follow('1')
    scene.pass_time(40)
    scene.source.failure = TIMED_OUT
    for _ in range(60):
        scene.hint(job)
        scene.pass_time(10)
    assert job.status.state is QUEUED


def test_absence_counts_while_accounting_answers_too(accounted: Scene) -> None:
    job = accounted.follow('1')
    accounted.source.accounting_failure = TIMED_OUT
    accounted.pass_time(600)
    accounted.source.accounting_failure = None
    accounted.pass_time(100)
    assert job.status.state is QUEUED
    accounted.pass_time(100)
    assert job.status.state is FAILED


def test_a_job_that_is_not_in_accounting_yet_may_still_come(accounted: Scene) -> None:
    job = accounted.follow('1')
    accounted.pass_time(60)
    accounted.source.accounts['1'] = row(CANCELED, ExitReason.CANCELED)
    accounted.pass_time(31)
    assert job.status.state is CANCELED


def test_a_preempted_job_is_over_when_it_is_gone(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(31)
    scene.source.rows['1'] = row(JobState.NEW, ExitReason.PREEMPTED, native='PREEMPTED')
    scene.pass_time(31)
    assert job.status.state is ACTIVE
    assert job.status.metadata == {'native_state': 'PREEMPTED', 'attempt': 1}
    del scene.source.rows['1']
    scene.pass_time(31)
    assert job.exit_info is not None
    assert (job.status.state, job.exit_info.reason) == (FAILED, ExitReason.PREEMPTED)


def test_a_cancelled_job_is_over_when_it_is_gone(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(120)
    scene.followed(job).cancel_acknowledged = True
    scene.monitor.ask_soon()
    scene.pass_time(1)
    assert job.status.state is ACTIVE
    del scene.source.rows['1']
    scene.pass_time(2)
    assert job.status.state is CANCELED


def test_an_unknown_state_leaves_a_job_as_it_was_and_is_kept(scene: Scene) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(31)
    scene.source.rows['1'] = row(JobState.NEW, native='HIBERNATING')
    scene.pass_time(31)
    assert job.status.state is ACTIVE
    assert job.status.metadata == {'native_state': 'HIBERNATING', 'attempt': 1}


def test_a_job_that_stages_in_is_active_when_its_script_says_so(scene: Scene) -> None:
    job = scene.follow('1', JobSpec('/bin/date', stage_in={StageIn('/a', 'b')}))
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(31)
    assert job.status.state is QUEUED
    scene.enter(job, 'STAGE_IN')
    scene.pass_time(31)
    scene.enter(job, 'ACTIVE')
    scene.pass_time(31)
    assert scene.seen[job.id] == [QUEUED, JobState.STAGE_IN, ACTIVE]


# -- jobs that were attached under another id than their folder's


def test_hints_reach_all_that_follow_one_folder(scene: Scene) -> None:
    first = scene.follow('1')
    folder = JobFolder(scene.work / first.id)
    second = scene.follow('1', folder=folder)
    third = scene.follow('1', folder=folder)
    scene.poll()
    scene.enter(first, 'ACTIVE')
    scene.poll()
    assert [job.status.state for job in (first, second, third)] == [ACTIVE] * 3
    scene.end(first)
    scene.poll()
    assert [job.status.state for job in (first, second, third)] == [COMPLETED] * 3
    assert scene.source.asked == []


def test_the_end_of_one_follower_does_not_cut_off_the_others(scene: Scene) -> None:
    first = scene.follow('1')
    folder = JobFolder(scene.work / first.id)
    second, third = scene.follow('2', folder=folder), scene.follow('3', folder=folder)
    scene.source.rows = {'1': row(ACTIVE), '2': row(CANCELED, ExitReason.CANCELED), '3': row(ACTIVE)}
    scene.pass_time(3)
    assert (second.status.state, third.status.state) == (CANCELED, ACTIVE)
    scene.enter(first, 'STAGE_OUT')
    scene.poll()
    assert (first.status.state, third.status.state) == (STAGE_OUT, STAGE_OUT)


def test_a_job_whose_id_was_given_again_is_told_nothing_of_the_younger_one(scene: Scene) -> None:
    """A controller that lost its state counts its ids once more (SCHEDULER-FACTS, Slurm 3)."""
    lost, younger = scene.follow('1'), Job(JobSpec('/bin/date'))
    keep_native_id(JobFolder(scene.work / lost.id), '1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(30)
    assert lost.status.state is ACTIVE
    folder = JobFolder.create(scene.work, younger.id)
    keep_native_id(folder, '1')
    scene.follow('1', job=younger, folder=folder)
    scene.source.rows['1'] = row(COMPLETED, ExitReason.EXITED, code=0)
    scene.pass_time(31)
    assert (younger.status.state, lost.status.state) == (COMPLETED, ACTIVE)
    scene.pass_time(180)
    assert lost.exit_info is not None
    assert lost.exit_info.reason is ExitReason.LOST


def test_a_job_whose_id_was_given_again_between_two_queries_is_lost(scene: Scene) -> None:
    """No query shows its absence: the younger job is in the same state."""
    lost, younger = scene.follow('1'), Job(JobSpec('/bin/date'))
    keep_native_id(JobFolder(scene.work / lost.id), '1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.pass_time(30)
    folder = JobFolder.create(scene.work, younger.id)
    keep_native_id(folder, '1')
    scene.follow('1', job=younger, folder=folder)
    scene.pass_time(200)
    assert lost.exit_info is not None
    assert (lost.exit_info.reason, younger.status.state) == (ExitReason.LOST, ACTIVE)


@pytest.mark.parametrize(('noted', 'reason'), [(1, ExitReason.LOST), (2, ExitReason.CANCELED)])
def test_a_note_of_term_is_about_the_run_that_wrote_it(scene: Scene, noted: int, reason: ExitReason) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.enter(job, 'ACTIVE')
    scene.enter(job, 'ACTIVE', attempt=2)
    scene.pass_time(31)
    (scene.work / job.id / 'term').write_text(f'attempt={noted}\nbegan=900\nseen=1000\n')
    del scene.source.rows['1']
    scene.pass_time(200)
    assert job.exit_info is not None
    assert job.exit_info.reason is reason


@pytest.mark.parametrize('content', ['', 'attempt=1\n', 'attempt=one\nbegan=1\nseen=2\n', '\0=\xff\n'])
def test_a_note_of_term_that_cannot_be_read_says_nothing(scene: Scene, content: str) -> None:
    job = scene.follow('1')
    (scene.work / job.id / 'term').write_text(content)
    scene.pass_time(200)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LOST


def keep_native_id(folder: JobFolder, native_id: str) -> None:
    folder.open_journal({'job_id': folder.job_id}, '')
    folder.set_native_id(native_id)


def test_a_job_that_only_accounting_calls_alive_is_lost_in_the_end(accounted: Scene) -> None:
    """A controller that lost a job never tells accounting of its end."""
    job = accounted.follow('1')
    accounted.source.rows['1'] = accounted.source.accounts['1'] = row(ACTIVE)
    accounted.pass_time(60)
    del accounted.source.rows['1']
    accounted.pass_time(90)
    assert job.status.state is ACTIVE
    accounted.pass_time(90)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LOST


def test_what_was_said_of_an_id_before_a_job_had_it_is_not_about_that_job(accounted: Scene) -> None:
    accounted.follow('1')
    accounted.source.accounts['1'] = row(CANCELED, ExitReason.CANCELED)
    accounted.pass_time(30)
    younger = accounted.follow('1')
    accounted.poll()
    assert younger.status.state is QUEUED


# -- folders that cannot be read


@pytest.mark.parametrize('fault', ['EIO', 'EIO on read', 'ESTALE', 'EACCES'])
def test_nobody_is_lost_whose_folder_cannot_be_read(
        scene: Scene, monkeypatch: pytest.MonkeyPatch, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    job = scene.follow('1')
    scene.enter(job, 'ACTIVE')
    scene.pass_time(1)
    scene.end(job, 3, hint=False)
    files = FaultyFiles(monkeypatch)
    with files.on(scene.work / job.id, fault):
        scene.hint(job)
        scene.pass_time(300)
        assert (job.status.state, files.failed == set()) == (ACTIVE, False)
    scene.pass_time(60)
    assert (job.status.state, job.status.exit_code) == (FAILED, 3)
    assert caplog.text == ''


def test_what_was_read_counts_on_when_it_cannot_be_read_any_more(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    job = scene.follow('1')
    scene.source.rows['1'] = row(ACTIVE)
    scene.enter(job, 'ACTIVE')
    scene.end(job, 3)
    scene.pass_time(1)
    with FaultyFiles(monkeypatch).on(scene.work / job.id, 'EIO'):
        scene.hint(job)
        scene.source.rows['1'] = row(FAILED, ExitReason.OUT_OF_MEMORY, code=137)
        scene.pass_time(60)
    assert (job.status.state, job.status.exit_code) == (FAILED, 3)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.OUT_OF_MEMORY


def test_the_word_of_the_scheduler_stands_where_the_folder_cannot_be_read(
        scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    job = scene.follow('1')
    with FaultyFiles(monkeypatch).on(scene.work / job.id, 'EACCES'):
        scene.source.rows['1'] = row(FAILED, ExitReason.OUT_OF_MEMORY, code=137)
        scene.pass_time(60)
    assert (job.status.state, job.status.exit_code) == (FAILED, 137)


def test_a_cancelled_job_that_is_gone_may_have_ended_before(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    job = scene.follow('1')
    scene.followed(job).cancel_acknowledged = True
    scene.end(job, 0, hint=False)
    with FaultyFiles(monkeypatch).on(scene.work / job.id, 'EIO'):
        scene.pass_time(100)
        assert job.status.state is QUEUED
    scene.pass_time(60)
    assert (job.status.state, job.status.exit_code) == (COMPLETED, 0)


def test_absence_counts_from_when_the_folder_could_be_read(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    job = scene.follow('1')
    with FaultyFiles(monkeypatch).on(scene.work / job.id, 'EIO'):
        scene.hint(job)
        scene.pass_time(300)
    scene.pass_time(100)
    assert job.status.state is QUEUED
    scene.pass_time(100)
    assert job.status.state is FAILED
