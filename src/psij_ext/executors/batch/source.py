"""Where the monitor of a batch scheduler's jobs asks: its commands, by way of its dialect."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from psij_ext.core.observation import Observation
from psij_ext.exceptions import ParseError
from psij_ext.executors.batch.doubts import Doubts

if TYPE_CHECKING:
    from psij_ext.executors.batch.base import BatchSchedulerExecutor


class SchedulerSource:
    """Asks a scheduler through its dialect's commands."""

    def __init__(self, executor: BatchSchedulerExecutor) -> None:
        # The monitor's thread alone must not keep an executor alive that everybody else has forgotten.
        self._reference = weakref.ref(executor)
        # Until the site has been asked, an absent job may still be found in accounting.
        self.has_accounting = True
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
        return self._doubts.settle(answer, native_ids, executor.spellings, self._ask_alone)

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        executor = self._executor
        command = executor.get_accounting_command(native_ids, since)
        if command is None:
            return {}
        answer = executor.parse_accounting(executor.run_query(command))
        return self._doubts.settle(answer, native_ids, executor.spellings)

    def _ask_alone(self, native_id: str) -> Mapping[str, Observation] | None:
        executor = self._executor
        command = executor.get_single_status_command(native_id)
        return None if command is None else executor.parse_single_status(executor.run_query(command))
