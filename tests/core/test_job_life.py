from __future__ import annotations

import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext import ExitInfo, ExitReason, Job, JobSpec, JobState, JobStatus, SubmitException
from psij_ext.core import job as job_module

NEW, QUEUED, STAGE_IN, ACTIVE = JobState.NEW, JobState.QUEUED, JobState.STAGE_IN, JobState.ACTIVE
STAGE_OUT, CLEANUP = JobState.STAGE_OUT, JobState.CLEANUP
COMPLETED, FAILED, CANCELED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELED
NOW = timedelta(0)
SOON = timedelta(seconds=30)


def _moved(job: Job, state: JobState, requeued: bool = False) -> list[JobState]:
    return [status.state for status in job._record(JobStatus(state), requeued)]


def _job_in(state: JobState) -> Job:
    job = Job()
    if state is not NEW:
        job._record(JobStatus(state))
    return job


def test_a_new_job() -> None:
    spec = JobSpec('/bin/date')
    job = Job(spec)
    assert (job.spec, job.status.state) == (spec, NEW)
    assert (job.native_id, job.executor, job.exit_info) == (None, None, None)
    assert str(uuid.UUID(job.id)) == job.id
    assert Job().id != Job().id


def test_a_spec_may_be_set_later_and_is_checked() -> None:
    job = Job()
    job.spec = JobSpec('/bin/date')
    with pytest.raises(TypeError, match=r'^Job\.spec: '):
        job.spec = '/bin/date'  # type: ignore[assignment]
    assert job.spec == JobSpec('/bin/date')


def test_what_executors_set() -> None:
    job = Job()
    info = ExitInfo(ExitReason.EXITED, 0)
    job._set_id('an earlier id')
    job._set_native_id('77.server')
    job._set_exit_info(info)
    assert (job.id, job.native_id) == ('an earlier id', '77.server')
    assert job.exit_info is info
    assert '77.server' in repr(job)


class TestTransitions:
    @pytest.mark.parametrize(
        ('before', 'seen', 'reported'),
        [
            (NEW, QUEUED, [QUEUED]),
            (NEW, STAGE_IN, [QUEUED, STAGE_IN]),
            (NEW, ACTIVE, [QUEUED, ACTIVE]),
            (NEW, STAGE_OUT, [QUEUED, ACTIVE, STAGE_OUT]),
            (NEW, CLEANUP, [QUEUED, ACTIVE, CLEANUP]),
            (NEW, COMPLETED, [QUEUED, ACTIVE, COMPLETED]),
            (NEW, FAILED, [FAILED]),
            (NEW, CANCELED, [CANCELED]),
            (QUEUED, COMPLETED, [ACTIVE, COMPLETED]),
            (QUEUED, FAILED, [FAILED]),
            (STAGE_IN, COMPLETED, [ACTIVE, COMPLETED]),
            (STAGE_IN, CLEANUP, [ACTIVE, CLEANUP]),
            (ACTIVE, COMPLETED, [COMPLETED]),
            (ACTIVE, CANCELED, [CANCELED]),
            (STAGE_OUT, CLEANUP, [CLEANUP]),
            (CLEANUP, COMPLETED, [COMPLETED]),
        ],
    )
    def test_missed_states_are_reported_in_order(
        self, before: JobState, seen: JobState, reported: list[JobState]
    ) -> None:
        job = _job_in(before)
        assert _moved(job, seen) == reported
        assert job.status.state is seen

    def test_missed_states_have_the_time_of_what_was_seen(self) -> None:
        reported = Job()._record(JobStatus(COMPLETED, 5.0, 'done', 0))
        assert reported == (
            JobStatus(QUEUED, 5.0), JobStatus(ACTIVE, 5.0), JobStatus(COMPLETED, 5.0, 'done', 0),
        )  # fmt: skip

    @pytest.mark.parametrize('final', [COMPLETED, FAILED, CANCELED])
    @pytest.mark.parametrize('later', list(JobState))
    @pytest.mark.parametrize('requeued', [False, True])
    def test_a_final_state_never_changes(self, final: JobState, later: JobState, requeued: bool) -> None:
        job = _job_in(final)
        before = job.status
        assert _moved(job, later, requeued) == []
        job._record(JobStatus(final, message='other'))
        assert job.status is before

    def test_an_earlier_state_is_taken_only_after_a_requeue(self) -> None:
        job = _job_in(ACTIVE)
        assert _moved(job, QUEUED) == []
        assert job.status.state is ACTIVE
        assert _moved(job, QUEUED, requeued=True) == [QUEUED]
        assert _moved(job, COMPLETED) == [ACTIVE, COMPLETED]

    @pytest.mark.parametrize('requeued', [False, True])
    def test_no_job_becomes_new_again(self, requeued: bool) -> None:
        assert _moved(_job_in(QUEUED), NEW, requeued) == []

    def test_a_requeue_that_moves_on_is_an_ordinary_transition(self) -> None:
        assert _moved(_job_in(QUEUED), COMPLETED, requeued=True) == [ACTIVE, COMPLETED]

    def test_the_same_state_is_no_transition(self) -> None:
        job = Job()
        job._record(JobStatus(QUEUED, 1.0, 'Priority', None, {'native_state': 'PD'}))
        before = job.status
        assert _moved(job, QUEUED) == []
        assert job.status is before

    def test_a_new_message_for_the_same_state_is_taken_silently(self) -> None:
        job = Job()
        job._record(JobStatus(QUEUED, 1.0, 'Priority'))
        assert job._record(JobStatus(QUEUED, 9.0, 'Resources')) == ()
        assert job.status == JobStatus(QUEUED, 1.0, 'Resources')

    def test_new_metadata_for_the_same_state_are_taken_silently(self) -> None:
        job = Job()
        job._record(JobStatus(ACTIVE, 1.0, 'held up', None, {'native_state': 'S'}))
        assert job._record(JobStatus(ACTIVE, 9.0, None, None, {'native_state': 'R'})) == ()
        assert job.status == JobStatus(ACTIVE, 1.0, None, None, {'native_state': 'R'})

    @given(st.lists(st.tuples(st.sampled_from(list(JobState)), st.booleans())))
    def test_whatever_is_seen_the_reports_make_a_life(self, seen: list[tuple[JobState, bool]]) -> None:
        job, life = Job(), [NEW]
        for state, requeued in seen:
            for moved in _moved(job, state, requeued):
                assert not life[-1].final
                assert moved is not life[-1]
                assert requeued or moved.is_greater_than(life[-1])
                life.append(moved)
        assert job.status.state is life[-1]
        if life[-1] is COMPLETED:
            assert ACTIVE in life
        assert life.count(NEW) == 1


@pytest.fixture
def waiting(monkeypatch: pytest.MonkeyPatch) -> threading.Semaphore:
    """Is released once for each thread that began to wait for a job."""
    semaphore = threading.Semaphore(0)

    class Announced(job_module._Waiter):
        def __init__(self, order: int) -> None:
            super().__init__(order)
            semaphore.release()

    monkeypatch.setattr(job_module, '_Waiter', Announced)
    return semaphore


class TestWait:
    def test_returns_none_when_the_time_is_up(self) -> None:
        job = _job_in(ACTIVE)
        assert job.wait(NOW) is None
        assert job.wait(timedelta(seconds=-1)) is None
        assert job.wait(timedelta(milliseconds=1), COMPLETED) is None

    def test_leaves_nothing_behind(self) -> None:
        job = Job()
        job.wait(NOW)
        assert job._waiters is None

    @pytest.mark.parametrize('state', [COMPLETED, FAILED, CANCELED])
    @pytest.mark.parametrize('targets', [None, [], ACTIVE, [COMPLETED], [FAILED, NEW], (STAGE_IN, CLEANUP)])
    def test_a_job_that_is_over_has_come_as_far_as_any(self, state: JobState, targets: Any) -> None:
        job = _job_in(state)
        assert job.wait(NOW, targets) is job.status

    @pytest.mark.parametrize(
        ('state', 'targets', 'satisfied'),
        [
            (QUEUED, [QUEUED], True),
            (QUEUED, QUEUED, True),
            (QUEUED, [ACTIVE], False),
            (QUEUED, [ACTIVE, NEW], True),
            (ACTIVE, [QUEUED], True),
            (ACTIVE, [STAGE_IN], True),
            (ACTIVE, [STAGE_OUT, COMPLETED], False),
            (ACTIVE, None, False),
            (ACTIVE, [], False),
        ],
    )
    def test_a_state_or_one_after_it(self, state: JobState, targets: Any, satisfied: bool) -> None:
        job = _job_in(state)
        assert job.wait(NOW, targets) is (job.status if satisfied else None)

    def test_a_state_once_reached_stays_reached(self) -> None:
        job = _job_in(ACTIVE)
        job._record(JobStatus(QUEUED), requeued=True)
        assert job.wait(NOW, ACTIVE) is job.status
        assert job.status.state is QUEUED
        assert job.wait(NOW, STAGE_OUT) is None

    @pytest.mark.parametrize(('target', 'recorded'), [(None, COMPLETED), (ACTIVE, ACTIVE), (QUEUED, FAILED)])
    def test_is_woken_by_a_record(
        self, target: JobState | None, recorded: JobState, waiting: threading.Semaphore
    ) -> None:
        job = Job()
        results: list[JobStatus | None] = []
        timeouts = [None, SOON, timedelta.max]
        threads = [
            threading.Thread(target=lambda span=span: results.append(job.wait(span, target)), daemon=True)
            for span in timeouts
        ]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert waiting.acquire(timeout=30)
        job._record(JobStatus(recorded))
        for thread in threads:
            thread.join(timeout=30)
        assert results == [job.status] * 3
        assert job._waiters is None

    def test_is_not_woken_by_an_earlier_state(self, waiting: threading.Semaphore) -> None:
        job = Job()
        results: list[JobStatus | None] = []
        thread = threading.Thread(target=lambda: results.append(job.wait(SOON)))
        thread.start()
        assert waiting.acquire(timeout=30)
        job._record(JobStatus(ACTIVE))
        assert job._waiters is not None
        assert not job._waiters[0].event.is_set()
        job._record(JobStatus(COMPLETED))
        thread.join()
        assert results == [job.status]

    @pytest.mark.parametrize('timeout', [0, 0.001, -1, timedelta(0), timedelta(seconds=-1)])
    def test_the_timeout_is_in_seconds_or_a_timedelta(self, timeout: Any) -> None:
        assert Job().wait(timeout) is None

    @pytest.mark.parametrize(('timeout', 'error'), [('x', TypeError), (True, TypeError), (float('nan'), ValueError)])
    def test_what_is_no_timeout(self, timeout: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match='timeout'):
            Job().wait(timeout)

    @pytest.mark.parametrize('targets', ['ACTIVE', ['ACTIVE'], [1]])
    def test_the_targets_are_states(self, targets: Any) -> None:
        with pytest.raises(TypeError, match='target states'):
            Job().wait(NOW, targets)


class TestCancel:
    def test_a_job_that_was_not_submitted_cannot_be_cancelled(self) -> None:
        with pytest.raises(SubmitException, match='not submitted'):
            Job().cancel()

    @pytest.mark.parametrize('state', [COMPLETED, FAILED, CANCELED])
    def test_nothing_happens_to_a_job_that_is_over(self, state: JobState) -> None:
        job = _job_in(state)
        job.cancel()
        assert job.status.state is state


@pytest.mark.parametrize('callback', [5, 'x', object()])
def test_a_callback_that_cannot_be_called_is_refused(callback: Any) -> None:
    with pytest.raises(TypeError, match='JobStatusCallback'):
        Job().set_job_status_callback(callback)


def test_two_jobs_may_be_given_the_same_status() -> None:
    """Schedulers say the same of many jobs; what a callback does to one job's status is nothing to the others."""
    shared, first, second = JobStatus(QUEUED, metadata={'native_state': 'PD'}), Job(), Job()
    for job in (first, second):
        job._record(shared)
    first.status.message = 'mine'
    (first.status.metadata or {})['native_state'] = 'mine'
    assert (second.status.message, second.status.metadata) == (None, {'native_state': 'PD'})
    assert shared == second.status
    assert first._record(JobStatus(ACTIVE))[-1] is first.status


def test_jobs_are_equal_only_to_themselves() -> None:
    job = Job(JobSpec('/bin/date'))
    assert job != Job(JobSpec('/bin/date'))
    assert len({job, job, Job()}) == 2
