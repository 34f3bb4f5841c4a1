"""From which folders jobs were submitted: by that each is known, whatever its id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

from psij_ext.executors.batch.control import RunCommand
from psij_ext.executors.batch.dialect import SchedulerDialect
from psij_ext.runtime.arrays import ARRAYS
from psij_ext.runtime.settlement import Origins

ReadRecord = Callable[[str, float], Mapping[str, str]]


class JobOrigins:
    """Asks a scheduler for the folders of jobs, and gives their names.

    :param dialect: builds the commands and reads what they print.
    :param ask: runs a command that only asks.
    :param record: gives the record of a job by its native id, and since when it may have been submitted; as
        `SchedulerControl.record`.
    """

    def __init__(self, dialect: SchedulerDialect, ask: RunCommand, record: ReadRecord) -> None:
        self._dialect = dialect
        self._ask = ask
        self._record = record

    def all(self) -> Origins:
        """Ask for all of the user's jobs.

        :return: their native ids by the names of the folders; empty where the scheduler cannot tell.
        :raises CommandError: if it does not answer.
        :raises ParseError: if its answer cannot be read.
        """
        command = self._dialect.get_origins_command()
        if command is None:
            return {}
        origins: dict[str, list[str]] = {}
        for native_id, folder in self._dialect.parse_origins(self._ask(command)).items():
            name = Path(folder).name
            if name.startswith(ARRAYS):  # of an array it may tell by its elements
                native_id = self._dialect.array_of(native_id) or native_id
            if native_id not in origins.setdefault(name, []):
                origins[name].append(native_id)
        return origins

    def folders_of(self, native_ids: Sequence[str]) -> Mapping[str, str | None]:
        """Ask from which folders jobs were submitted.

        :return: the folders' names, None for jobs that are unknown or other users'; jobs of which the scheduler cannot
            tell are left out.
        :raises CommandError: if it does not answer.
        :raises ParseError: if its answer cannot be read.
        """
        dialect = self._dialect
        # Jobs of other clusters would have to be asked for there.
        asked = [native_id for native_id in native_ids if dialect.command_group(native_id) == '']
        command = dialect.get_origins_command(asked) if asked else None
        if command is None:
            return {}
        told: dict[str, str] = {}
        for native_id, folder in dialect.parse_origins(self._ask(command)).items():
            told.update(dict.fromkeys((native_id, *dialect.spellings(native_id)), Path(folder).name))
        return {native_id: next(filter(None, map(told.get, (native_id, *dialect.spellings(native_id)))), None)
                for native_id in asked}

    def folder_on_record(self, native_id: str, since: float) -> str | None:
        """Ask for the record of a job, and return the name of the folder that it was submitted from.

        :param since: when it was submitted at the earliest, in seconds since the epoch.
        :return: None where the record does not tell it.
        :raises CommandError: if nothing is known of the job, or the scheduler does not answer.
        """
        folder = self._dialect.origin_on_record(self._record(native_id, since))
        return None if folder is None else Path(folder).name
