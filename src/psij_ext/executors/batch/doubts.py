"""What follows from an answer for jobs of which it says nothing that can be read."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Callable, Optional

from psij_ext.core.observation import Observation, Observations
from psij_ext.exceptions import CommandError, ParseError

logger = logging.getLogger(__name__)

AskAlone = Callable[[str], Optional[Mapping[str, Observation]]]

# So many jobs of each kind are asked for alone in one round.
_MOST_ASKED = 3
# Garbled answers could bring new ones for ever.
_MOST_NOTED = 1000
_MOST_NAMED = 10


class Doubts:
    """Sees to it that no job is taken for absent because its record could not be read.

    Such jobs are asked for alone, a few in each round, so that one that is really gone is found out in the end.
    """

    def __init__(self) -> None:
        # Those whose records cannot be read in the other format either.
        self._given_up: set[str] = set()
        # Those of which it was logged.
        self._noted: set[str] = set()

    def settle(
        self, answer: Mapping[str, Observation], native_ids: Sequence[str], spellings: Callable[[str], Sequence[str]],
        ask_alone: AskAlone | None = None,
    ) -> Mapping[str, Observation]:
        """Complete an answer for the jobs that it was asked for.

        :param answer: what was read; one that is no `Observations` is taken as it is.
        :param native_ids: the jobs that were asked for.
        :param spellings: gives other ways to write an id.
        :param ask_alone: asks for one job, and gives an answer of its own; None if that cannot be done.
        """
        if not isinstance(answer, Observations):
            return answer
        hidden = []
        for native_id in native_ids:
            if native_id in answer:
                continue
            known = _spelled_otherwise(answer, spellings(native_id))
            if known is not None:
                answer[native_id] = known
            elif answer.may_hide(native_id):
                hidden.append(native_id)
        unread = [native_id for native_id in native_ids if native_id in answer.unread] if answer.unread else []
        for native_id in hidden:
            answer.add_unread(native_id)
        if ask_alone is not None:
            self._given_up &= set(unread)
            for native_id in [each for each in unread if each not in self._given_up][:_MOST_ASKED]:
                self._ask(native_id, answer, spellings(native_id), ask_alone)
            for native_id in hidden[:_MOST_ASKED]:
                self._ask(native_id, answer, spellings(native_id), ask_alone, may_be_absent=True)
        if unread or hidden:
            self._note([each for each in (*unread, *hidden) if each in answer.unread])
        return answer

    def _note(self, native_ids: Sequence[str]) -> None:
        """Log, once, of which jobs nothing can be read."""
        new = [native_id for native_id in native_ids if native_id not in self._noted]
        if new and len(self._noted) < _MOST_NOTED:
            self._noted.update(new)
            logger.warning(
                'What the scheduler says of %d jobs cannot be read, and they are left as they were: %s%s',
                len(new), ', '.join(new[:_MOST_NAMED]), ', ...' if len(new) > _MOST_NAMED else '')

    def _ask(self, native_id: str, answer: Observations, spellings: Sequence[str], ask_alone: AskAlone,
             may_be_absent: bool = False) -> None:
        try:
            alone = ask_alone(native_id)
        except (CommandError, ParseError):
            return  # asked again in the next round
        if not isinstance(alone, Observations) or not alone.unread.isdisjoint((native_id, *spellings)):
            self._given_up.add(native_id)
            return
        known = _spelled_otherwise(alone, (native_id, *spellings))
        if known is not None:
            answer[native_id] = known
            answer.unread.discard(native_id)
        elif may_be_absent and not alone.may_hide(native_id):
            del answer[native_id]
            answer.unread.discard(native_id)


def _spelled_otherwise(answer: Mapping[str, Observation], spellings: Sequence[str]) -> Observation | None:
    return next((answer[each] for each in spellings if each in answer), None)
