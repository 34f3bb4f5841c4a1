"""What a job's script leaves in its folder: how far it came, how it ended, what it was sent."""

from __future__ import annotations

import logging
from dataclasses import replace

from psij_ext.runtime.folder_files import FolderFiles
from psij_ext.runtime.foreign import leaves_exit_code, read_exit_code
from psij_ext.runtime.private import unreadable
from psij_ext.runtime.records import (
    ExitRecord,
    ProgressEntry,
    TermNote,
    parse_exit_record,
    parse_progress,
    parse_term_note,
)

logger = logging.getLogger(__name__)


class ScriptRecords(FolderFiles):
    """The records in a job's folder."""

    __slots__ = ()

    def read_progress(self) -> list[ProgressEntry]:
        """Read which states the job's script entered, oldest first; unreadable lines are passed over.

        :raises FolderUnreadable: if the file cannot be read now.
        """
        entries = []
        for line in (self._read('progress') or b'').decode('ascii', 'replace').splitlines():
            try:
                entries.append(parse_progress(line))
            except (ValueError, KeyError):
                logger.warning('The line %r of %s cannot be read and is passed over.',
                               line, self._file('progress'))
        return entries

    def read_exit(self) -> ExitRecord | None:
        """Read the exit record of the latest attempt; None while there is none, or none that makes sense.

        :raises FolderUnreadable: if the file cannot be read now.
        """
        content = self._read('exit')
        if content is None:
            return self._read_foreign_exit()
        record = parse_exit_record(content.decode('utf-8', 'replace'))
        if record is None:
            logger.warning('The exit record %s cannot be read and is passed over.', self._file('exit'))
        elif record.term_seen:
            ended_by, _, _ = (self._read('ended_by') or b'').partition(b'\n')
            record = replace(record, ended_by=ended_by.decode('ascii', 'replace').strip() or None)
        return record

    def _read_foreign_exit(self) -> ExitRecord | None:
        if self._foreign is None:
            self.read_journal()
        if not self._foreign or self._native_id is None:
            return None
        try:
            return read_exit_code(str(self.path), self._native_id)
        except OSError as error:
            raise unreadable(self.path, error) from error

    @property
    def owes_exit_code(self) -> bool:
        """Whether the script is a plugin's own that leaves its exit code as its last act.

        :raises FolderUnreadable: if that cannot be told now.
        """
        return self.is_foreign and leaves_exit_code(self._read('script', limit=None) or b'')

    @property
    def is_preparing(self) -> bool:
        """Whether the pre-launch script has begun, and the job's script has not gone on after it.

        :raises FolderUnreadable: if that cannot be told now.
        """
        return self._read('preparing') is not None

    def read_term_note(self) -> TermNote | None:
        """Read what the script wrote when it was last sent TERM; None where it was not, or it cannot be read."""
        content = self._read('term')
        return None if content is None else parse_term_note(content.decode('ascii', 'replace'))
