"""When the queue is asked: in a steady rhythm, and a few times earlier where a question cannot wait; other pauses."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import Callable

from psij_ext.runtime.forking import renew_in_children

NEVER = float('inf')
# Whatever is configured, a scheduler gets this much rest between two queries.
_SHORTEST_REST = 0.1
_LONGEST_BACKOFF = 600.0
# The cause of an end is asked for so many times between two regular queries, each time after twice the pause.
_EARLY_QUERIES = 4
_FIRST_PAUSE = 0.125


@dataclass(frozen=True)
class Rhythm:
    """When the queue is asked; all times in seconds.

    :param first: after a submission. A question that cannot wait, about a cancel or about an end whose cause
        only the scheduler knows, is asked after an eighth of it, and a few times more after longer pauses.
    :param interval: between two regular queries.
    :param failed_rounds: how many failed rounds in a row are passed over before a warning is logged.
    """

    first: float = 2.0
    interval: float = 30.0
    failed_rounds: int = 2


class Pauses:
    """The pauses between attempts at one thing: longer and longer, none after the time is up.

    :param seconds: how long to go on.
    :param clock: gives monotonic seconds.
    :param first: how long the first pause is, in seconds, give or take a fifth.
    :param longest: to what they grow, each to twice the one before.
    """

    def __init__(self, seconds: float, clock: Callable[[], float], first: float, longest: float) -> None:
        self._clock = clock
        self._until = clock() + seconds
        self._next = first
        self._longest = longest

    def next(self) -> float | None:
        """Return how long to wait before the next attempt; None if there should be none."""
        pause = self._next * random.uniform(0.8, 1.2)
        self._next = min(self._next * 2, self._longest)
        return pause if self._clock() + pause <= self._until else None


class Pace:
    """Keeps what is done to a rate: a token bucket. Safe for threads.

    :param rate: how often in a second in the long run; None for as often as one likes.
    :param burst: how often at once after a rest.
    :param clock: gives monotonic seconds.
    """

    def __init__(self, rate: float | None, burst: int, clock: Callable[[], float]) -> None:
        self._interval = 0.0 if rate is None else 1.0 / rate
        self._burst = burst
        self._clock = clock
        self._full_at = -NEVER
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        """Go on in a child; what the parent does is not counted there."""
        self._lock = threading.Lock()

    def take_turn(self) -> float:
        """Take the next turn; return in how many seconds it comes."""
        if not self._interval:
            return 0.0
        with self._lock:
            now = self._clock()
            self._full_at = max(self._full_at, now) + self._interval
            return max(self._full_at - now - self._burst * self._interval, 0.0)


class QuerySchedule:
    """The times of the queries to one scheduler. Not safe for threads by itself.

    :param rhythm: when to ask.
    """

    def __init__(self, rhythm: Rhythm) -> None:
        self._first, self._interval = _bounded(rhythm)
        self._asked_at = -NEVER
        self._regular = self._early = NEVER
        self._pause = max(self._first * _FIRST_PAUSE, _SHORTEST_REST)
        self._early_left = _EARLY_QUERIES
        # So many queries in a row were not answered, and so many since anything was.
        self.failures = self.silent_rounds = 0

    @property
    def next(self) -> float:
        """When the next query is due."""
        return min(self._regular, self._early)

    def set_rhythm(self, rhythm: Rhythm, now: float) -> None:
        """Ask in another rhythm from now on; a query that is due later than it allows comes sooner."""
        self._first, self._interval = _bounded(rhythm)
        if self._regular != NEVER and not self.failures:
            self._regular = min(self._regular, max(now, self._asked_at) + self._interval)

    def submitted(self, now: float) -> None:
        """There is a new job to ask for; so the scheduler answers, or did a moment ago.

        The first job is asked for soon; a later one, where others are asked for, has its turn with them: a program that
        submits all the time would ask all the time.
        """
        soon = max(now, self._asked_at) + self._first
        if self._regular == NEVER:
            self._regular = soon
        elif self.failures:
            self._resume(soon)

    def heard(self, now: float) -> None:
        """The scheduler answered a command that is none of these queries."""
        self.silent_rounds = 0
        if self.failures:
            self._resume(now + self._first)

    def _resume(self, soon: float) -> None:
        """End the long pauses. It may take jobs and answer no queries: these stay as seldom as in good times."""
        self._regular = min(self._regular, max(soon, self._asked_at + self._interval))

    def stop(self) -> None:
        """There is nothing to ask for any more."""
        self._regular = self._early = NEVER

    def hasten(self, now: float) -> None:
        """A question came up that cannot wait for its turn."""
        pause = max(self._first * _FIRST_PAUSE, _SHORTEST_REST)
        if self._bring_forward(max(now, self._asked_at) + pause):
            self._pause = pause

    def _bring_forward(self, moment: float) -> bool:
        """Ask at a moment before the regular one, unless that was done too often, or the scheduler does not answer."""
        if moment >= self._early or not self._early_left or self.failures:
            return False
        self._early = moment
        return True

    def answered(self, now: float, *, open_questions: bool) -> None:
        """The scheduler answered a query that began at `now`; whether questions that cannot wait are still open."""
        self.failures = self.silent_rounds = 0
        if now >= self._regular or self._regular == NEVER:
            self._early_left = _EARLY_QUERIES
            self._regular = now + self._interval
        else:
            self._early_left -= 1
        self._asked_at = now
        self._early = NEVER
        if open_questions and self._early_left:
            self._pause *= 2
            self._early = now + self._pause

    def failed(self, now: float) -> None:
        """A query that began at `now` gave no answer; the next one comes later and later, but comes."""
        self.failures += 1
        self.silent_rounds += 1
        self._asked_at = now
        delay = min(self._interval * 2.0 ** min(self.failures - 1, 10), max(self._interval, _LONGEST_BACKOFF))
        self._early = NEVER
        self._regular = now + delay * random.uniform(0.8, 1.2)


def _bounded(rhythm: Rhythm) -> tuple[float, float]:
    return max(min(rhythm.first, rhythm.interval), _SHORTEST_REST), max(rhythm.interval, _SHORTEST_REST)
