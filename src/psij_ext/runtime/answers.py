"""What the queue and accounting of one scheduler last said of the jobs that are followed."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Callable, Protocol

from psij_ext.core.observation import Observation, Observations
from psij_ext.exceptions import CommandError, ParseError
from psij_ext.runtime.evidence import Presence
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.unaccounted import UnaccountedJob

logger = logging.getLogger(__name__)

# How a source says that it does not know now; whatever else it raises is a mistake in it.
NO_ANSWER = (CommandError, ParseError)
# In one round so many jobs are asked for by themselves; others have their turn in the next one.
_MOST_RECORDS = 8


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


@dataclass
class Answer:
    """What one source said in its latest round, for which jobs it was asked, when, and when it had answered."""

    asked_at: float = float('-inf')
    observations: Mapping[str, Observation] = field(default_factory=dict)
    asked_for: frozenset[str] = frozenset()
    answered_at: float = float('-inf')

    @property
    def stamps(self) -> Mapping[str, str]:
        """What tells jobs apart that had one id, by the ids; see `Observations`."""
        return self.observations.stamps if isinstance(self.observations, Observations) else {}

    @property
    def of_user_alone(self) -> bool:
        """Whether it tells of the present user's jobs only; see `Observations`."""
        return isinstance(self.observations, Observations) and self.observations.of_user_alone

    def about(self, followed: Followed) -> tuple[Presence, Observation | None]:
        """What it said of one job; UNKNOWN where the job's folder has told something newer since.

        A job that was seen alive in the same round in which its folder told something new may have been seen
        just before that: only the next round can tell a requeue from it. An end or an absence does not go out
        of date so.
        """
        if self.asked_at < followed.read_at or followed.native_id not in self.asked_for:
            return Presence.UNKNOWN, None
        observation = self.observations.get(followed.native_id)
        if observation is None:
            # A job that was attached to may be another user's.
            unasked = followed.folder is None and self.of_user_alone
            return Presence.UNKNOWN if unasked else Presence.ABSENT, None
        if not observation.status.final and self.asked_at == followed.read_at:
            return Presence.UNKNOWN, None
        return Presence.FOUND, observation


class Answers:
    """The last answer of the queue and of accounting, and the next ones.

    :param source: the scheduler.
    :param name: who asks, for the log.
    """

    def __init__(self, source: StatusSource, name: str) -> None:
        self._source = source
        self._name = name
        self.queue = Answer()
        self.accounting = Answer()

    def ask_queue(self, native_ids: Sequence[str], now: float, clock: Callable[[], float]) -> Answer:
        """Ask the queue, and return what it had said before.

        :param now: when this begins.
        :param clock: tells when it ended.
        :raises Exception: whatever the source raises; the last answer stands then, until it is distrusted.
        """
        last = self.queue
        self.queue = Answer(now, self._source.queue(native_ids), frozenset(native_ids), clock())
        return last

    def distrust_queue(self) -> None:
        """Take what the queue said before for no evidence any more: its next answer may be another one."""
        self.queue = replace(self.queue, asked_for=frozenset())

    def identify(self, jobs: Sequence[Followed]) -> set[str]:
        """Find out whether the queue tells of these very jobs, where a scheduler may have given their ids to others.

        :return: those of which that was asked.
        """
        doubted = []
        stamps = self.queue.stamps
        for followed in jobs:
            stamp = stamps.get(followed.native_id)
            if stamp is not None and stamp != followed.identity.stamp:
                followed.identity.take_stamp(stamp)
            observation = self.queue.observations.get(followed.native_id)
            # The script of a job that ended leaves a record, as a rule.
            if observation is not None and observation.status.final and followed.exit_record is None:
                followed.identity.doubt()
            if observation is not None and followed.identity.doubted:
                doubted.append(followed)
        if not doubted:
            return set()
        try:
            folders = self._source.folders([followed.native_id for followed in doubted])
        except Exception as error:  # as for the queue
            logger.debug('%s: whose jobs these are is not known: %s', self._name, error)
        else:
            for followed in doubted:
                followed.identity.take_origins(folders)
        return {followed.job.id for followed in doubted}

    def identify_accounted(self, jobs: Sequence[Followed]) -> None:
        """Find out whether accounting tells of these very jobs: it does so of the latest that had an id."""
        asked = 0
        for followed in jobs:
            told = self.accounting.observations.get(followed.native_id)
            known = followed.native_id not in self.queue.observations and told is not None and told.status.final
            submitted = told.usage.submit_time if known and told is not None and told.usage is not None else None
            if submitted is None or followed.exit_record is not None or (
                    not followed.identity.is_accounted_later(submitted.timestamp())):
                continue
            asked += 1
            followed.identity.accounting_doubted = True
            if asked > _MOST_RECORDS:
                continue
            try:
                name = self._source.accounted_folder(followed.native_id, followed.submitted)
            except Exception as error:  # as for the queue
                logger.debug('%s: whose job %s is is not known: %s', self._name, followed.native_id, error)
            else:
                followed.identity.take_accounted_origin(name, submitted.timestamp())

    def ask_accounting(self, jobs: Iterable[Followed | UnaccountedJob], now: float) -> None:
        """Ask accounting for those jobs of which the queue does not tell all that it may know."""
        jobs = [job for job in jobs if self._wants_accounting(job)]
        if not jobs or not self._source.has_accounting:
            return
        ids = list(dict.fromkeys(followed.native_id for followed in jobs))
        since = min(followed.submitted for followed in jobs)
        try:
            self.accounting = Answer(now, self._source.accounting(ids, since), frozenset(ids))
        except Exception as error:  # as for the queue
            level = logging.DEBUG if isinstance(error, NO_ANSWER) else logging.ERROR
            logger.log(level, '%s: accounting gave no answer: %s', self._name, error, exc_info=level > logging.DEBUG)
            self.accounting = Answer()

    def _wants_accounting(self, followed: Followed | UnaccountedJob) -> bool:
        """Whether a job is not in the queue, or over there without all that accounting may know: why, and its usage."""
        observation = self.queue.observations.get(followed.native_id)
        return observation is None or (
            observation.status.final and (observation.reason is None or observation.usage is None))

    def has_news(self, before: Mapping[str, Observation], native_id: str) -> bool:
        """Whether a job must be looked at after a query; one that lives on as before need not be."""
        old, new = before.get(native_id), self.queue.observations.get(native_id)
        if old is None or new is None or new.status.final:
            return True
        if old is new:  # a dialect may keep what it has read
            return False
        return ((old.status.state, old.status.message, old.status.metadata)
                != (new.status.state, new.status.message, new.status.metadata))

    def has_told_usage(self, followed: Followed) -> bool:
        """Whether nothing better is to come on what a job used that is over."""
        in_accounting, in_queue = self.accounting.about(followed)[1], self.queue.about(followed)[1]
        if in_queue is not None and not self._source.has_accounting and in_queue.queue_usage is not None:
            return True
        return any(said is not None and said.status.final and said.usage is not None
                   for said in (in_accounting, in_queue))
