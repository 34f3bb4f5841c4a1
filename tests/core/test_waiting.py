"""Waiting for many jobs, which are moved by hand here; tests of jobs that run are in tests/executors/local."""

from __future__ import annotations

import concurrent.futures
import random
import signal
import threading
import tracemalloc
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Callable

import pytest

from psij_ext import (
    InvalidJobException,
    Job,
    JobExecutor,
    JobSpec,
    JobState,
    JobStatus,
    ReturnWhen,
    as_completed,
    wait,
)

QUEUED, ACTIVE = JobState.QUEUED, JobState.ACTIVE
COMPLETED, FAILED, CANCELED = JobState.COMPLETED, JobState.FAILED, JobState.CANCELED
PATIENCE = 30


class Attendant(JobExecutor):
    """An executor that does nothing but what it is told to when somebody begins to wait for a job of it."""

    name, version = 'attendant', '1.0'

    def __init__(self, attend: Callable[[Job], object] = lambda job: None) -> None:
        super().__init__()
        self.attend = attend

    def _look_after(self, job: Job) -> None:
        self.attend(job)

    def submit(self, job: Job) -> None:
        raise NotImplementedError

    def attach(self, job: Job, native_id: str) -> None:
        raise NotImplementedError

    def list(self) -> list[str]:
        return []

    def cancel(self, job: Job, **_: object) -> None:
        raise NotImplementedError


def queued(count: int, executor: JobExecutor | None = None) -> list[Job]:
    jobs = [Job() for _ in range(count)]
    for job in jobs:
        job._bind(executor)
        job._record(JobStatus(QUEUED))
    return jobs


def end(job: Job, state: JobState = COMPLETED, time: float | None = None) -> None:
    job._record(JobStatus(state, time))


def is_waited_for(jobs: Sequence[Job]) -> bool:
    return any(job._waiters is not None for job in jobs)


class Sleeper:
    """A thread that waits; when this is made, it has registered with all the jobs."""

    def __init__(self, jobs: Sequence[Job], call: Callable[[], Any]) -> None:
        seen = threading.Semaphore(0)
        for job in jobs:
            job._bind(Attendant(lambda job: seen.release()))
        self.result: Any = None
        self._thread = threading.Thread(target=self._run, args=[call], daemon=True)
        self._thread.start()
        for _ in jobs:
            assert seen.acquire(timeout=PATIENCE)

    def _run(self, call: Callable[[], Any]) -> None:
        try:
            self.result = call()
        except Exception as error:
            self.result = error

    def wakes(self) -> Any:
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        return self.result


class TestWait:
    @pytest.mark.parametrize('timeout', [None, 0, -1, 0.0, timedelta(0), timedelta(seconds=-1), PATIENCE])
    def test_jobs_that_are_over_already(self, timeout: Any) -> None:
        jobs = queued(3)
        for job, state in zip(jobs, (COMPLETED, FAILED, CANCELED)):
            end(job, state)
        assert wait(jobs, timeout) == ({*jobs}, set())

    def test_no_jobs(self) -> None:
        assert wait([]) == (set(), set())
        assert list(as_completed([])) == []

    @pytest.mark.parametrize('timeout', [0, -1, 0.001, timedelta(0), timedelta(microseconds=1), timedelta.min])
    def test_the_time_is_up(self, timeout: Any) -> None:
        over, alive = queued(2)
        end(over)
        result = wait([over, alive], timeout)
        assert (result.done, result.not_done) == ({over}, {alive})
        assert not is_waited_for([over, alive])

    @pytest.mark.parametrize(
        ('return_when', 'ends', 'wakes_after'),
        [
            ('ALL_COMPLETED', [FAILED, COMPLETED, CANCELED], 3),
            ('FIRST_COMPLETED', [COMPLETED], 1),
            ('FIRST_COMPLETED', [FAILED], 1),
            ('FIRST_COMPLETED', [CANCELED], 1),
            ('FIRST_FAILED', [COMPLETED, FAILED], 2),
            ('FIRST_FAILED', [COMPLETED, CANCELED], 2),
            ('FIRST_FAILED', [COMPLETED, COMPLETED, COMPLETED], 3),
        ],
    )
    @pytest.mark.parametrize('timeout', [None, PATIENCE, timedelta.max])
    def test_what_it_waits_for(
        self, return_when: str, ends: list[JobState], wakes_after: int, timeout: Any
    ) -> None:
        jobs = queued(3)
        sleeper = Sleeper(jobs, lambda: wait(jobs, timeout, return_when))
        for number, state in enumerate(ends):
            assert sleeper.result is None, f'woken before end {number}'
            jobs[number]._record(JobStatus(ACTIVE))
            end(jobs[number], state)
        assert sleeper.wakes() == ({*jobs[:wakes_after]}, {*jobs[wakes_after:]})
        assert not is_waited_for(jobs)

    @pytest.mark.parametrize('return_when', [ReturnWhen.FIRST_FAILED, 'FIRST_FAILED'])
    def test_a_job_that_failed_before_counts(self, return_when: Any) -> None:
        failed, alive = queued(2)
        end(failed, FAILED)
        assert wait([alive, failed], return_when=return_when) == ({failed}, {alive})

    def test_jobs_that_succeeded_before_are_no_failures(self) -> None:
        over, alive = queued(2)
        end(over)
        assert wait([over, alive], 0, ReturnWhen.FIRST_FAILED) == ({over}, {alive})
        sleeper = Sleeper([alive], lambda: wait([over, alive], return_when=ReturnWhen.FIRST_FAILED))
        end(alive)
        assert sleeper.wakes() == ({over, alive}, set())

    def test_all_that_are_over_are_done_not_the_first_alone(self) -> None:
        jobs = queued(4)

        def end_two(job: Job) -> None:
            end(jobs[1])
            end(jobs[2])

        jobs[0]._bind(Attendant(end_two))
        assert wait(jobs, return_when='FIRST_COMPLETED') == ({jobs[1], jobs[2]}, {jobs[0], jobs[3]})

    def test_the_names_of_futures_are_understood(self) -> None:
        over, alive = queued(2)
        end(over)
        assert wait([over, alive], return_when=concurrent.futures.FIRST_COMPLETED) == ({over}, {alive})

    def test_the_same_job_twice_counts_once(self) -> None:
        first, second = queued(2)
        sleeper = Sleeper([first, second], lambda: wait([first, second, first, first]))
        end(first)
        end(second)
        assert sleeper.wakes() == ({first, second}, set())

    def test_jobs_may_come_from_an_iterator(self) -> None:
        jobs = queued(2)
        for job in jobs:
            end(job)
        assert wait(iter(jobs)).done == {*jobs}

    def test_an_end_while_it_begins_to_wait_is_not_missed(self) -> None:
        """A job may end between the look at it and the registration, and after that."""
        jobs = queued(3)
        jobs[0]._bind(Attendant(lambda job: [end(each) for each in jobs]))
        assert wait(jobs) == ({*jobs}, set())


class TestWhoIsWaitedFor:
    @pytest.mark.parametrize('call', [wait, as_completed])
    def test_a_job_that_was_not_submitted_is_refused(self, call: Callable[[Any], object]) -> None:
        job, other = Job(JobSpec('/bin/date')), queued(1)[0]
        with pytest.raises(InvalidJobException, match=f'{job.id} was not submitted'):
            call([other, job])
        assert not is_waited_for([job, other])

    @pytest.mark.parametrize('call', [wait, lambda jobs: list(as_completed(jobs))])
    def test_a_job_whose_submission_is_refused_meanwhile(self, call: Callable[[Any], object]) -> None:
        job = Job()
        sleeper = Sleeper([job], lambda: call([job]))
        job._unbind()
        assert isinstance(sleeper.wakes(), InvalidJobException)
        assert not is_waited_for([job])

    @pytest.mark.parametrize('jobs', [None, 5, Job(), 'x', [None], [Job, 1], [[]]])
    @pytest.mark.parametrize('call', [wait, as_completed])
    def test_only_jobs_can_be_waited_for(self, call: Callable[[Any], object], jobs: Any) -> None:
        with pytest.raises(TypeError, match=r'(wait|as_completed): jobs: expected'):
            call(jobs)

    @pytest.mark.parametrize('timeout', ['1', True, b''])
    @pytest.mark.parametrize('call', [wait, as_completed])
    def test_the_timeout_is_a_time(self, call: Callable[[Any, Any], object], timeout: Any) -> None:
        with pytest.raises(TypeError, match=r'(wait|as_completed): timeout'):
            call([], timeout)

    @pytest.mark.parametrize('return_when', ['FIRST_EXCEPTION', 'first_failed', None, 1])
    def test_what_to_wait_for_is_checked(self, return_when: Any) -> None:
        with pytest.raises(ValueError, match='ALL_COMPLETED, FIRST_COMPLETED, FIRST_FAILED'):
            wait([], return_when=return_when)

    @pytest.mark.parametrize('call', [wait, lambda jobs: list(as_completed(jobs))])
    def test_a_job_that_is_left_alone_is_followed_again(self, call: Callable[[Any], object]) -> None:
        """An executor that is closed lets go of its jobs; each is looked after once more, by whoever waits."""
        alone, other = queued(2)
        looks = threading.Semaphore(0)
        sleeper = Sleeper([alone, other], lambda: call([alone, other]))
        alone._bind(Attendant(lambda job: looks.release()))
        alone._wake_waiters()
        assert looks.acquire(timeout=PATIENCE)
        assert sleeper.result is None
        end(alone)
        end(other)
        assert sleeper.wakes()


class TestAsCompleted:
    def test_the_order_is_that_of_the_ends(self) -> None:
        jobs = queued(5)
        order = random.Random(7).sample(jobs, 5)
        sleeper = Sleeper(jobs, lambda: list(as_completed(jobs)))
        for job in order:
            end(job)
        assert sleeper.wakes() == order

    def test_those_that_are_over_come_first_by_the_times_of_their_ends(self) -> None:
        second, third, alive, first = jobs = queued(4)
        for job, time in ((second, 20.0), (third, 30.0), (first, 10.0)):
            end(job, time=time)
        iterator = as_completed(jobs)
        assert [next(iterator), next(iterator), next(iterator)] == [first, second, third]
        end(alive, time=5.0)
        assert list(iterator) == [alive]

    def test_each_comes_as_soon_as_it_is_over(self) -> None:
        slow, fast = queued(2)
        iterator = as_completed([slow, fast], PATIENCE)
        end(fast)
        assert next(iterator) is fast
        assert slow.status.state is QUEUED
        end(slow)
        assert list(iterator) == [slow]

    def test_the_same_job_twice_comes_once(self) -> None:
        job = queued(1)[0]
        end(job)
        assert list(as_completed([job, job])) == [job]

    def test_the_time_is_up(self) -> None:
        over, *alive = jobs = queued(3)
        end(over)
        iterator = as_completed(jobs, 0)
        assert next(iterator) is over
        with pytest.raises(TimeoutError, match='2 of 3 jobs'):
            next(iterator)
        assert not is_waited_for(alive)

    def test_the_time_counts_from_the_call(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr('time.monotonic', lambda: 1000.0)
        iterator = as_completed(queued(1), 3600)
        monkeypatch.setattr('time.monotonic', lambda: 4601.0)
        with pytest.raises(TimeoutError):
            next(iterator)

    def test_whoever_stops_early_leaves_nothing_behind(self) -> None:
        jobs = queued(3)
        end(jobs[1])
        for _ in as_completed(jobs):
            assert is_waited_for(jobs)
            break
        assert not is_waited_for(jobs)


@pytest.mark.parametrize('call', [wait, lambda jobs: list(as_completed(jobs))])
def test_an_interrupt_leaves_nothing_behind(call: Callable[[Any], object]) -> None:
    jobs = queued(3)
    main = threading.main_thread().ident
    assert main is not None
    # Comes while the main thread waits for the third job, or just before it does.
    jobs[2]._bind(Attendant(lambda job: signal.pthread_kill(main, signal.SIGINT)))
    with pytest.raises(KeyboardInterrupt):
        call(jobs)
    assert not is_waited_for(jobs)


def test_a_signal_handler_may_end_a_job_that_is_waited_for() -> None:
    job = queued(1)[0]
    before = signal.signal(signal.SIGUSR1, lambda *_: end(job))
    try:
        job._bind(Attendant(lambda job: signal.raise_signal(signal.SIGUSR1)))
        assert wait([job]) == ({job}, set())
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_many_threads_wait_for_the_same_jobs() -> None:
    jobs = queued(20)
    ready = threading.Semaphore(0)
    for job in jobs:
        job._bind(Attendant(lambda job: ready.release()))
    results: list[Any] = []
    calls = [lambda: wait(jobs).done, lambda: {*as_completed(jobs)}, lambda: {job for job in jobs if job.wait()}]
    threads = [threading.Thread(target=lambda call=call: results.append(call()), daemon=True) for call in calls * 5]
    for thread in threads:
        thread.start()
    # Ten threads register with all of them at once, five with the first.
    for _ in range(10 * len(jobs) + 5):
        assert ready.acquire(timeout=PATIENCE)
    for job in jobs:
        end(job)
    for thread in threads:
        thread.join(PATIENCE)
    assert results == [{*jobs}] * 15
    assert not is_waited_for(jobs)


class TestMany:
    COUNT = 10_000

    def test_there_is_one_registration_and_no_thread_for_a_job(self) -> None:
        looks: list[Job] = []
        jobs = queued(self.COUNT, Attendant(looks.append))
        before = threading.active_count()
        iterator = as_completed(jobs)
        end(jobs[0])
        assert next(iterator) is jobs[0]
        assert threading.active_count() == before
        assert looks == jobs[1:]
        assert {len(job._waiters or ()) for job in jobs[1:]} == {1}
        assert len({id(waiter) for job in jobs[1:] for waiter in job._waiters or ()}) == 1

    def test_it_takes_little_memory(self) -> None:
        jobs = queued(self.COUNT)
        iterator = as_completed(jobs)
        end(jobs[0])
        tracemalloc.start()
        try:
            next(iterator)
            used, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert used < 300 * self.COUNT
        iterator.close()  # type: ignore[attr-defined]
        assert not is_waited_for(jobs)

    def test_what_is_over_is_not_registered_with_any_more(self) -> None:
        jobs = queued(self.COUNT)
        iterator = as_completed(jobs)
        end(jobs[0])
        next(iterator)
        for job in jobs:
            end(job)
        assert not is_waited_for(jobs)
        assert list(iterator) == jobs[1:]
