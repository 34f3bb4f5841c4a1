"""Follows jobs: joins what their folders, the queue and accounting say, and reports each change once.

`StatusMonitor.poll_once(now)` does all the work over what it is given; the thread around it only waits and
calls it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Sequence
from typing import Callable

from psij_ext.core.interfaces import JobExecutor
from psij_ext.core.job import Job
from psij_ext.exceptions import FolderUnreadable
from psij_ext.runtime.answers import NO_ANSWER, Answers, StatusSource
from psij_ext.runtime.changes import changes_of
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.hints import Hints
from psij_ext.runtime.judgement import Judgement, judge
from psij_ext.runtime.schedule import QuerySchedule, Rhythm
from psij_ext.runtime.settlement import Asker, OpenSubmission, OpenSubmissions, Question
from psij_ext.runtime.unaccounted import Unaccounted, UnaccountedJob

logger = logging.getLogger(__name__)

_LONGEST_SLEEP = 60.0


def seconds_since_boot() -> float:
    """Tell the time by a clock that goes on while the machine sleeps: what was said before is old then."""
    return time.clock_gettime(getattr(time, 'CLOCK_BOOTTIME', time.CLOCK_MONOTONIC))


class StatusMonitor:
    """Follows the jobs of one scheduler.

    :param source: the scheduler.
    :param rhythm: when to ask.
    :param name: what the thread is called.
    :param clock: gives monotonic seconds; tests pass their own.
    :param asks_afterwards: whether to ask what jobs used whose ends were certain without the scheduler.
    """

    def __init__(self, source: StatusSource, rhythm: Rhythm, name: str,
                 clock: Callable[[], float] = seconds_since_boot, asks_afterwards: bool = True) -> None:
        self._source = source
        self._rhythm = rhythm
        self._name = name
        self._clock = clock
        self._asks_afterwards = asks_afterwards
        self._lock = threading.Lock()  # over the tables below; never held during I/O or a callback
        self._round = threading.Lock()  # one round at a time
        self._woken = threading.Event()
        self._followed: dict[str, Followed] = {}
        self._unaccounted = Unaccounted()
        self._open = OpenSubmissions()
        self._unread: set[str] = set()
        self._named: dict[str, tuple[str, ...]] = {}  # by their scripts' names, the jobs whose ids are others
        self._cause_deadlines: dict[str, float] = {}
        self.hints = Hints(name, self._woken.set)
        self._answers = Answers(source, name)
        self._schedule = QuerySchedule(rhythm)
        self._trouble: Exception | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    @property
    def health(self) -> str:
        """`ok`, or `degraded` while the scheduler has not answered for several rounds, nor any other command since."""
        return 'degraded' if self._schedule.silent_rounds > self._rhythm.failed_rounds else 'ok'

    @property
    def trouble(self) -> Exception | None:
        """Why the scheduler gave no answer when it was last asked; None if it gave one."""
        return self._trouble

    def has_told_usage(self, followed: Followed) -> bool:
        """Whether nothing better is to come on what a job used that is over."""
        return self._answers.has_told_usage(followed)

    def set_rhythm(self, rhythm: Rhythm) -> None:
        """Ask in another rhythm from now on."""
        with self._lock:
            self._rhythm = rhythm
            self._schedule.set_rhythm(rhythm, self._clock())
        self._woken.set()

    def follow(self, *followed: Followed) -> None:
        """Follow jobs from now on, until they are over."""
        with self._lock:
            idle = not self._followed
        self.take(*followed)
        self._begin()
        if idle:  # else the thread comes by soon, and need not disturb somebody who submits one job after the other
            self._woken.set()

    def settle(self, submission: OpenSubmission, asker: Asker) -> None:
        """Find out in the next rounds what became of a submission.

        :param asker: the executor that it was made with.
        """
        self._open.add(submission, asker)
        with self._lock:
            self._schedule.submitted(self._clock())
        self._begin()
        self._woken.set()

    def ask_usage(self, followed: Followed) -> None:
        """Ask, in the next rounds, what a job used that is over."""
        job = followed.job
        if job.exit_info is None or not self._source.tells_usage:
            return
        with self._lock:
            self._unaccounted.add(followed, job.status, job.exit_info)
            self._schedule.submitted(self._clock())
        self._begin()
        self._woken.set()

    def take(self, *followed: Followed) -> None:
        """Take jobs in for the next `poll_once`, without a thread that calls it."""
        with self._lock:
            now = self._clock()
            for each in followed:
                self._followed[each.job.id] = each
                # What was said before is about another job of this id, if about any.
                each.read_at = max(each.read_at, now)
                self._unread.add(each.job.id)
                if each.folder is not None:
                    name = each.folder.hint_name
                    if name != each.job.id:
                        self._named[name] = (*self._named.get(name, ()), each.job.id)
                    self.hints.expect(each.folder)
            self._schedule.submitted(now)

    def followed(self, job: Job) -> Followed | None:
        """What is known of a job that is followed; None once it is over."""
        with self._lock:
            return self._followed.get(job.id)

    def jobs_of(self, executor: JobExecutor) -> list[Followed]:
        """What is known of the jobs of one executor that are followed."""
        # Without the lock: in a process that was forked off, a thread may hold it that is not there.
        return [followed for followed in list(self._followed.values()) if followed.job.executor is executor]

    def forget(self, executor: JobExecutor) -> list[Followed]:
        """Follow the jobs of one executor no longer, and return what is known of them; they run on."""
        self._open.forget(executor)
        with self._lock:
            forgotten = self.jobs_of(executor)
            for followed in forgotten:
                self._forget(followed)
        return forgotten

    def ask_soon(self) -> None:
        """Ask the queue soon: something was done that it will show."""
        with self._lock:
            self._schedule.hasten(self._clock())
        self._woken.set()

    def heard(self) -> None:
        """Take note that the scheduler has answered a command of somebody else."""
        with self._lock:
            is_news = self._schedule.failures > 0
            self._schedule.heard(self._clock())
        if is_news:
            self._woken.set()

    def close(self) -> None:
        """End the thread and forget the jobs; they run on."""
        with self._lock:
            self._closed = True
            thread, self._thread = self._thread, None
        self._woken.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        with self._lock:
            self._followed.clear()
            self._unaccounted.clear()
            self._open = OpenSubmissions()
        self.hints.close()

    # -- one round

    def poll_once(self, now: float) -> None:
        """Look at what is due at `now`: hints always, the queue when its time has come; judge, report."""
        with self._round:
            with self._lock:
                if self._closed:
                    return
                touched, self._unread = self._unread, set()
                overdue = {job_id for job_id, deadline in self._cause_deadlines.items() if deadline <= now}
                for job_id in overdue:
                    del self._cause_deadlines[job_id]
                touched |= overdue
                is_due = now >= self._schedule.next
                jobs = list(self._followed.values()) if is_due else []
                over = self._unaccounted.jobs if is_due else ()
            for name in self.hints.take():
                touched.add(name)
                touched.update(self._named.get(name, ()))
            question = self._open.question(touched, is_due, others_ask=bool(jobs or over))
            if question is not None:
                self._ask(question, jobs, now)
            elif jobs or over:
                touched |= self._query(jobs, over, now)
            elif is_due and self._open:  # their folders cannot be read now
                with self._lock:
                    self._schedule.answered(now, open_questions=False)
            for job_id in touched:
                with self._lock:
                    followed = self._followed.get(job_id)
                if followed is not None:
                    self._look_safely(followed, now)
            with self._lock:
                if self._is_idle:
                    self._schedule.stop()

    @property
    def _is_idle(self) -> bool:
        return not self._followed and not self._unaccounted.jobs and not self._open

    def _ask(self, question: Question, jobs: Sequence[Followed], now: float) -> None:
        """Ask what became of submissions, in place of a query; that about the jobs has its turn soon."""
        try:
            question.answer()
        except Exception as error:  # as for the queue
            self._query_failed(jobs, error, now)
            return
        self._trouble = None
        with self._lock:
            self._schedule.answered(now, open_questions=bool(jobs))

    def _query(self, jobs: Sequence[Followed], over: Sequence[UnaccountedJob], now: float) -> set[str]:
        """Ask the queue for all jobs, accounting for those it does not explain; give those to look at."""
        asked: list[Followed | UnaccountedJob] = [*jobs, *over]
        ids = list(dict.fromkeys(job.native_id for job in asked))
        try:
            last = self._answers.ask_queue(ids, now, self._clock)
        except Exception as error:
            # Whatever a dialect or a plugin does wrong: the folders are looked at all the same.
            self._query_failed(jobs, error, now)
            self._unaccounted.take()
            return {followed.job.id for followed in jobs if followed.gives_no_hints}
        self._trouble = None
        identified = self._answers.identify(jobs)
        for followed in jobs:
            if followed.native_id not in self._answers.queue.observations:
                followed.note_absence(self._answers.queue, last)
        with self._lock:
            self._schedule.answered(now, open_questions=bool(self._cause_deadlines) or any(
                followed.cancel_acknowledged for followed in jobs))
        self._answers.ask_accounting(asked, now)
        self._answers.identify_accounted(jobs)
        if not self._source.tells_usage:  # known since it was asked
            self._unaccounted.clear()
        self._unaccounted.take(
            self._answers.accounting, self._answers.queue, has_accounting=self._source.has_accounting)
        # A scheduler that lost its state gave the id of one of them to another.
        shared = _shared_ids(jobs) if len(ids) < len(asked) else ()
        # What the last answer said of a job whose folder told something new at the same time was put aside.
        return {followed.job.id for followed in jobs
                if followed.job.id in self._cause_deadlines or followed.read_at >= last.asked_at
                or followed.absent_since is not None or followed.gives_no_hints
                or followed.native_id in shared or followed.job.id in identified
                or self._answers.has_news(last.observations, followed.native_id)}

    def _query_failed(self, jobs: Sequence[Followed], error: Exception, now: float) -> None:
        """A failed query says nothing about any job; the next one comes later and later, but comes."""
        with self._lock:
            self._schedule.failed(now)
        failures = self._schedule.failures
        self._answers.distrust_queue()
        for followed in jobs:
            followed.absent_since = None
            followed.identity.doubt()  # it may come back without its state
        if not isinstance(error, NO_ANSWER):
            logger.error('%s: the answer of the scheduler was read wrongly.', self._name, exc_info=error)
        level = logging.WARNING if failures == self._rhythm.failed_rounds + 1 else logging.DEBUG
        logger.log(level, '%s: the scheduler has not answered for %d rounds; no job is given up. %s',
                   self._name, failures, error)
        # Without the frames, which would keep an executor alive that nobody needs any more.
        self._trouble = error.with_traceback(None)

    def _look_safely(self, followed: Followed, now: float) -> None:
        try:
            self._look(followed, now)
        except FolderUnreadable as error:
            logger.debug('%s: job %s is looked at later: %s', self._name, followed.job.id, error)
        except Exception:
            # What is wrong with one job must be seen, and must not keep the others from being looked at.
            logger.exception('%s: job %s could not be looked at.', self._name, followed.job.id)

    def _look(self, followed: Followed, now: float) -> None:
        """Read a job's folder, judge, and report what follows."""
        followed.read_folder(now)
        evidence = followed.evidence(
            self._answers.queue, self._answers.accounting, has_accounting=self._source.has_accounting, now=now)
        judgement = judge(evidence, followed.patience)
        job_id = followed.job.id
        with self._lock:
            if not judgement.wants_cause:
                self._cause_deadlines.pop(job_id, None)
            elif job_id not in self._cause_deadlines:
                self._cause_deadlines[job_id] = now + followed.patience.for_cause
                self._schedule.hasten(now)
        self._report(followed, judgement)

    def _report(self, followed: Followed, judgement: Judgement) -> None:
        """Hand on what a judgement changes."""
        changes, exit_info = changes_of(followed, judgement), judgement.exit_info
        if exit_info is not None:
            with self._lock:
                self._forget(followed)
        for status, told_of_end, requeued in changes:
            followed.report(followed.job, status, told_of_end, requeued)
        if exit_info is not None and self._asks_afterwards and self._source.tells_usage and (
                not self.has_told_usage(followed)):
            self._unaccounted.add(followed, changes[-1].status, exit_info)

    def _forget(self, followed: Followed) -> None:
        self._followed.pop(followed.job.id, None)
        if followed.folder is None:
            return
        self.hints.forget(followed.folder)
        name = followed.folder.hint_name
        others = tuple(job_id for job_id in self._named.pop(name, ()) if job_id != followed.job.id)
        if others:
            self._named[name] = others

    # -- time

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            self._woken.clear()
            with self._lock:
                if self._closed:
                    return
            try:
                self.poll_once(self._clock())
            except Exception:
                # A defect of ours or of a plugin's must be seen, and must not end the following of all other
                # jobs.
                logger.exception('%s: a round failed and will be repeated.', self._name)
                with self._lock:
                    self._schedule.failed(self._clock())
            self._woken.wait(self._seconds_to_sleep())

    def _seconds_to_sleep(self) -> float:
        with self._lock:
            if self._is_idle:
                return _LONGEST_SLEEP
            wake_ups = [self._schedule.next, *self._cause_deadlines.values()]
            return min(max(0.0, min(wake_ups) - self._clock()), self.hints.seconds_between_looks, _LONGEST_SLEEP)


def _shared_ids(jobs: Sequence[Followed]) -> set[str]:
    counts = Counter(followed.native_id for followed in jobs)
    return {native_id for native_id, count in counts.items() if count > 1}
