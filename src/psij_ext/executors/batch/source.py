"""Where the monitor of a batch scheduler's jobs asks: its commands, by way of its dialect."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from psij_ext.core.observation import Observation, Observations
from psij_ext.core.state import JobState
from psij_ext.exceptions import CommandError, ParseError
from psij_ext.executors.batch.doubts import Doubts

if TYPE_CHECKING:
    from psij_ext.executors.batch.base import BatchSchedulerExecutor


class SchedulerSource:
    """Asks a scheduler through its dialect's commands."""

    def __init__(self, executor: BatchSchedulerExecutor) -> None:
        # The monitor's thread alone must not keep an executor alive that everybody else has forgotten.
        self._reference = weakref.ref(executor)
        # Until the site has been asked, an absent job may still be found in accounting.
        self.has_accounting = self.tells_usage = True
        self._doubts = Doubts()

    @property
    def _executor(self) -> BatchSchedulerExecutor:
        executor = self._reference()
        if executor is None:
            raise ParseError('The executor is gone.')
        return executor

    def queue(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        executor = self._executor
        answer = executor.parse_status(executor.run_query(executor.get_status_command(native_ids)))
        self.has_accounting = executor.get_accounting_command(native_ids, 0.0) is not None
        self.tells_usage = self.has_accounting or executor.site.history is True
        settled = self._doubts.settle(answer, native_ids, executor.spellings, self._ask_alone)
        if isinstance(settled, Observations):
            settled.of_user_alone = executor.asks_by_user(native_ids)
            self._find_missing_elements(settled, native_ids)
        return settled

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        executor = self._executor
        command = executor.get_accounting_command(native_ids, since)
        if command is None:
            return {}
        answer = executor.parse_accounting(executor.run_query(command))
        settled = self._doubts.settle(answer, native_ids, executor.spellings)
        if isinstance(settled, Observations):
            settled.of_user_alone = executor.asks_by_user(native_ids)
        return settled

    def folders(self, native_ids: Sequence[str]) -> Mapping[str, str | None]:
        return self._executor.origins.folders_of(native_ids)

    def accounted_folder(self, native_id: str, since: float) -> str | None:
        return self._executor.origins.folder_on_record(native_id, since)

    def _find_missing_elements(self, answer: Observations, native_ids: Sequence[str]) -> None:
        """Note which of the absent jobs are elements of arrays that the scheduler knows; such arrays are asked for."""
        executor = self._executor
        arrays = {native_id: array for native_id in native_ids if native_id not in answer
                  and (array := executor.array_of(native_id)) is not None}
        if not arrays or executor.site.keeps_ended is None:
            return
        answer.keeps_ended = executor.site.keeps_ended
        others = sorted({*arrays.values()} - answer.arrays)
        try:
            of_others = executor.parse_status(executor.run_query(executor.get_status_command(others))) if others else {}
        except (CommandError, ParseError):
            of_others = {}  # asked for again in the next round
        for known in (answer, of_others):
            if isinstance(known, Observations):
                answer.missing_elements |= {
                    native_id for native_id, array in arrays.items()
                    if native_id not in known and not known.may_hide(native_id) and _is_known(array, known)}

    def _ask_alone(self, native_id: str) -> Mapping[str, Observation] | None:
        executor = self._executor
        command = executor.get_single_status_command(native_id)
        return None if command is None else executor.parse_single_status(executor.run_query(command))


def _is_known(array: str, answer: Observations) -> bool:
    """Whether an answer tells of an array by its elements, or by a rest of which nothing but the end is left."""
    return array in answer.arrays or (array in answer and answer[array].status.state is JobState.CANCELED)
