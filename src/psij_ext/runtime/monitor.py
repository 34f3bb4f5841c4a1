"""Follows jobs: joins what their folders, the queue and accounting say, and reports each change once.

`StatusMonitor.poll_once(now)` does all the work over what it is given; the thread around it only waits and
calls it.
"""

from __future__ import annotations

import copy
import logging
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Callable, Protocol

from psij_ext.core.interfaces import JobExecutor
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import CommandError, FolderUnreadable, ParseError
from psij_ext.runtime.events import Listener, Mailbox, hosts_for_hints
from psij_ext.runtime.followed import Answer, Followed
from psij_ext.runtime.judgement import Judgement, judge
from psij_ext.runtime.schedule import QuerySchedule, Rhythm
from psij_ext.runtime.settlement import Asker, OpenSubmission, OpenSubmissions, Question
from psij_ext.runtime.unaccounted import Unaccounted, UnaccountedJob

logger = logging.getLogger(__name__)

_LONGEST_SLEEP = 60.0
_NO_ANSWER = (CommandError, ParseError)
# In one round so many jobs are asked for by themselves; others have their turn in the next one.
_MOST_RECORDS = 8


def seconds_since_boot() -> float:
    """Tell the time by a clock that goes on while the machine sleeps: what was said before is old then."""
    return time.clock_gettime(getattr(time, 'CLOCK_BOOTTIME', time.CLOCK_MONOTONIC))


class StatusSource(Protocol):
    """Where the states of many jobs are asked for at once."""

    @property
    def has_accounting(self) -> bool:
        """Whether `accounting` can know more than `queue`."""

    @property
    def tells_usage(self) -> bool:
        """Whether one of them tells what jobs used that are over."""

    def queue(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        """Tell what the live queue says of these jobs; those it does not know are left out.

        :raises CommandError: if it gave no answer.
        :raises ParseError: if its answer cannot be read.
        """

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        """The same for accounting, for jobs submitted after `since` (seconds since the epoch)."""

    def folders(self, native_ids: Sequence[str]) -> Mapping[str, str | None]:
        """Tell the names of the folders that these jobs were submitted from.

        :return: None for jobs that the queue does not know, and for those of other users; jobs of which that cannot be
            told are left out.
        :raises CommandError: if it gave no answer; and as `queue`.
        """

    def accounted_folder(self, native_id: str, since: float) -> str | None:
        """Tell the same of one job that accounting knows, submitted after `since`; None where it cannot tell.

        :raises CommandError: if it gave no answer.
        """


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
        self._attached: dict[str, set[str]] = {}  # folder name -> jobs that have another id than their folder
        self._cause_deadlines: dict[str, float] = {}
        self._mailboxes: dict[tuple[Path, str | None], Mailbox] = {}
        self._secrets: dict[bytes, str] = {}  # of the submissions of followed jobs -> folder names
        self._heard: set[str] = set()
        self._queue = Answer()
        self._accounting = Answer()
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

    def set_rhythm(self, rhythm: Rhythm) -> None:
        """Ask in another rhythm from now on."""
        with self._lock:
            self._rhythm = rhythm
            self._schedule.set_rhythm(rhythm, self._clock())
        self._woken.set()

    def mailbox(self, work_directory: Path, hint_address: str | None = None) -> Path:
        """Give the folder in which scripts below this work directory drop their hints.

        :param hint_address: the address of this host at which it hears hints over the network too, or `auto`.
        """
        key = work_directory, hint_address
        with self._lock:
            if key not in self._mailboxes:
                self._mailboxes[key] = Mailbox(work_directory, self._listener(work_directory, hint_address))
            return self._mailboxes[key].path

    def _listener(self, work_directory: Path, hint_address: str | None) -> Listener | None:
        if hint_address is None:
            return None
        try:
            return Listener(hosts_for_hints(work_directory, hint_address), self._secrets, self._hear)
        except (OSError, RuntimeError) as error:  # no address, or no thread any more
            logger.debug('%s: no hints come over the network: %s', self._name, error)
            return None

    def _hear(self, names: set[str]) -> None:
        """Look at the folders of these names soon."""
        with self._lock:
            self._heard |= names
        self._woken.set()

    def follow(self, followed: Followed) -> None:
        """Follow a job from now on, until it is over."""
        with self._lock:
            idle = not self._followed
        self.take(followed)
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

    def take(self, followed: Followed) -> None:
        """Take a job in for the next `poll_once`, without a thread that calls it."""
        with self._lock:
            self._followed[followed.job.id] = followed
            # What was said before is about another job of this id, if about any.
            followed.read_at = max(followed.read_at, self._clock())
            self._unread.add(followed.job.id)
            if followed.folder is not None and followed.folder.job_id != followed.job.id:
                self._attached.setdefault(followed.folder.job_id, set()).add(followed.job.id)
            if followed.folder is not None and followed.folder.nonce is not None:
                self._secrets[followed.folder.nonce.encode()] = followed.folder.job_id
            self._schedule.submitted(self._clock())

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
            boxes = list(self._mailboxes.values())
            self._mailboxes.clear()
            self._followed.clear()
            self._unaccounted.clear()
            self._open = OpenSubmissions()
        for box in boxes:
            box.close()

    # -- one round

    def poll_once(self, now: float) -> None:
        """Look at what is due at `now`: hints always, the queue when its time has come; judge, report."""
        with self._round:
            with self._lock:
                if self._closed:
                    return
                touched, self._unread = self._unread, set()
                heard, self._heard = self._heard, set()
                overdue = {job_id for job_id, deadline in self._cause_deadlines.items() if deadline <= now}
                for job_id in overdue:
                    del self._cause_deadlines[job_id]
                touched |= overdue
                boxes = list(self._mailboxes.values())
                is_due = now >= self._schedule.next
                jobs = list(self._followed.values()) if is_due else []
                over = self._unaccounted.jobs if is_due else ()
            for name in [*heard, *(name for box in boxes for name in box.empty())]:
                touched.add(name)
                touched |= self._attached.get(name, set())
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
        last = self._queue
        try:
            self._queue = Answer(now, self._source.queue(ids), frozenset(ids), self._clock())
        except Exception as error:
            # Whatever a dialect or a plugin does wrong: the folders are looked at all the same.
            self._query_failed(jobs, error, now)
            self._unaccounted.take()
            return set()
        self._trouble = None
        identified = self._identify(jobs)
        for followed in jobs:
            if followed.native_id not in self._queue.observations:
                followed.is_absent(self._queue, last)
        with self._lock:
            self._schedule.answered(now, open_questions=bool(self._cause_deadlines) or any(
                followed.cancel_acknowledged for followed in jobs))
        self._ask_accounting([job for job in asked if self._wants_accounting(job)], now)
        self._identify_accounted(jobs)
        if not self._source.tells_usage:  # known since it was asked
            self._unaccounted.clear()
        self._unaccounted.take(self._accounting, self._queue, has_accounting=self._source.has_accounting)
        # A scheduler that lost its state gave the id of one of them to another.
        shared = _shared_ids(jobs) if len(ids) < len(asked) else ()
        # What the last answer said of a job whose folder told something new at the same time was put aside.
        return {followed.job.id for followed in jobs
                if followed.job.id in self._cause_deadlines or followed.read_at >= last.asked_at
                or followed.absent_since is not None or followed.native_id in shared or followed.job.id in identified
                or self._has_news(last.observations, followed.native_id)}

    def _identify(self, jobs: Sequence[Followed]) -> set[str]:
        """Find out whether the queue tells of these very jobs, where a scheduler may have given their ids to others.

        :return: those of which that was asked.
        """
        doubted = []
        stamps = getattr(self._queue.observations, 'stamps', {})
        for followed in jobs:
            stamp = stamps.get(followed.native_id)
            if stamp is not None and stamp != followed.stamp:
                followed.is_stamped(stamp)
            observation = self._queue.observations.get(followed.native_id)
            # The script of a job that ended leaves a record, as a rule.
            if observation is not None and observation.status.final and followed.exit_record is None:
                followed.doubt()
            if observation is not None and followed.doubted:
                doubted.append(followed)
        if not doubted:
            return set()
        try:
            folders = self._source.folders([followed.native_id for followed in doubted])
        except Exception as error:  # as for the queue
            logger.debug('%s: whose jobs these are is not known: %s', self._name, error)
        else:
            for followed in doubted:
                followed.identify(folders)
        return {followed.job.id for followed in doubted}

    def _identify_accounted(self, jobs: Sequence[Followed]) -> None:
        """Find out whether accounting tells of these very jobs: it does so of the latest that had an id."""
        asked = 0
        for followed in jobs:
            told = self._accounting.observations.get(followed.native_id)
            known = followed.native_id not in self._queue.observations and told is not None and told.status.final
            submitted = told.usage.submit_time if known and told is not None and told.usage is not None else None
            if submitted is None or not followed.is_accounted_later(submitted.timestamp()):
                continue
            asked += 1
            followed.accounting_doubted = True
            if asked > _MOST_RECORDS:
                continue
            try:
                name = self._source.accounted_folder(followed.native_id, followed.submitted)
            except Exception as error:  # as for the queue
                logger.debug('%s: whose job %s is is not known: %s', self._name, followed.native_id, error)
            else:
                followed.identify_accounted(name, submitted.timestamp())

    def _ask_accounting(self, jobs: Sequence[Followed | UnaccountedJob], now: float) -> None:
        if not jobs or not self._source.has_accounting:
            return
        ids = list(dict.fromkeys(followed.native_id for followed in jobs))
        since = min(followed.submitted for followed in jobs)
        try:
            self._accounting = Answer(now, self._source.accounting(ids, since), frozenset(ids))
        except Exception as error:  # as for the queue
            level = logging.DEBUG if isinstance(error, _NO_ANSWER) else logging.ERROR
            logger.log(level, '%s: accounting gave no answer: %s', self._name, error, exc_info=level > logging.DEBUG)
            self._accounting = Answer()

    def _wants_accounting(self, followed: Followed | UnaccountedJob) -> bool:
        """Whether a job is not in the queue, or over there without all that accounting may know: why, and its usage."""
        observation = self._queue.observations.get(followed.native_id)
        return observation is None or (
            observation.status.final and (observation.reason is None or observation.usage is None))

    def _has_news(self, before: Mapping[str, Observation], native_id: str) -> bool:
        """Whether a job must be looked at after a query; one that lives on as before need not be."""
        old, new = before.get(native_id), self._queue.observations.get(native_id)
        if old is None or new is None or new.status.final:
            return True
        if old is new:  # a dialect may keep what it has read
            return False
        return ((old.status.state, old.status.message, old.status.metadata)
                != (new.status.state, new.status.message, new.status.metadata))

    def _query_failed(self, jobs: Sequence[Followed], error: Exception, now: float) -> None:
        """A failed query says nothing about any job; the next one comes later and later, but comes."""
        with self._lock:
            self._schedule.failed(now)
        failures = self._schedule.failures
        # What it said before is no evidence any more: the next answer may be another one.
        self._queue = replace(self._queue, asked_for=frozenset())
        for followed in jobs:
            followed.absent_since = None
            followed.doubt()  # it may come back without its state
        if not isinstance(error, _NO_ANSWER):
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
            self._queue, self._accounting, has_accounting=self._source.has_accounting, now=now)
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
        """Hand a status on; before an end, the states that were missed."""
        if judgement.status is None:
            return
        self._report_missed_requeue(followed, judgement.status.state)
        # A copy: what a source said may be said of many jobs at once, and is compared with what it says next.
        status = copy.copy(judgement.status)
        status.metadata = {**(status.metadata or {}), 'attempt': followed.attempt}
        if judgement.exit_info is None:
            if status.state is JobState.NEW:
                status = JobStatus(
                    followed.job.status.state, message=status.message, metadata=status.metadata)
            # Between two looks a job may have gone through several states.
            for passed in followed.states_of_this_attempt():
                if passed.state.order < status.state.order:
                    followed.report(followed.job, passed, None, False)
            followed.report(followed.job, status, None, judgement.requeued)
            return
        entered, status = followed.states_of_this_attempt(), followed.explained(status)
        with self._lock:
            self._forget(followed)
        for passed in entered:
            followed.report(followed.job, passed, None, False)
        followed.report(followed.job, status, judgement.exit_info, False)
        if self._asks_afterwards and self._source.tells_usage and not self._has_told_usage(followed):
            self._unaccounted.add(followed, status, judgement.exit_info)

    def _has_told_usage(self, followed: Followed) -> bool:
        """Whether nothing better is to come on what a job used that is over."""
        in_accounting, in_queue = self._accounting.about(followed)[1], self._queue.about(followed)[1]
        if in_queue is not None and not self._source.has_accounting and in_queue.queue_usage is not None:
            return True
        return any(said is not None and said.status.final and said.usage is not None
                   for said in (in_accounting, in_queue))

    def _report_missed_requeue(self, followed: Followed, state: JobState) -> None:
        """Report that a job waited once more: a scheduler may start it before anybody sees it wait (OpenPBS does).

        The word of its script counts: Slurm was seen to count the next run while the last one was still ending.
        """
        before, followed.reported_run = followed.reported_run, followed.latest_run
        has_begun = followed.job.status.state.order > JobState.QUEUED.order
        if followed.latest_run > before and has_begun and state is not JobState.QUEUED:
            waited = JobStatus(JobState.QUEUED, metadata={'attempt': followed.attempt})
            followed.report(followed.job, waited, None, True)

    def _forget(self, followed: Followed) -> None:
        self._followed.pop(followed.job.id, None)
        if followed.folder is not None and followed.folder.nonce is not None:
            self._secrets.pop(followed.folder.nonce.encode(), None)
        if followed.folder is not None and followed.folder.job_id in self._attached:
            others = self._attached[followed.folder.job_id] - {followed.job.id}
            if others:
                self._attached[followed.folder.job_id] = others
            else:
                del self._attached[followed.folder.job_id]

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
            looks = [box.seconds_between_looks for box in self._mailboxes.values()]
            return min([max(0.0, min(wake_ups) - self._clock()), *looks, _LONGEST_SLEEP])


def _shared_ids(jobs: Sequence[Followed]) -> set[str]:
    counts = Counter(followed.native_id for followed in jobs)
    return {native_id for native_id, count in counts.items() if count > 1}
