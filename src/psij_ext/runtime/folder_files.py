"""The files of a job's private folder, and what its journal is known to say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from psij_ext.runtime.journal import Journal
from psij_ext.runtime.private import append_to_file, read_file, unreadable, write_file

_RECORD_LIMIT = 64 * 1024


class FolderFiles:
    """A folder whose files only its owner can read; they are never reached through a link."""

    __slots__ = ('__weakref__', '_foreign', '_native_id', '_nonce', '_submitted', 'path')

    def __init__(self, path: Path) -> None:
        self.path = path
        self._nonce: str | None = None
        self._submitted: float | None = None
        # Whether the script is a plugin's own, as far as that is known, and the native id where it is.
        self._foreign: bool | None = None
        self._native_id: str | None = None

    @property
    def nonce(self) -> str | None:
        """The latest submission's, as far as its journal was written or read here."""
        return self._nonce

    @property
    def submitted(self) -> float | None:
        """When it was about to be submitted the last time, in seconds since the epoch; as `nonce`."""
        return self._submitted

    @property
    def is_foreign(self) -> bool:
        """Whether the script is a plugin's own, as far as its journal was written or read here."""
        return bool(self._foreign)

    def path_of(self, name: str) -> Path:
        """Where a file of the job lies, such as `stdout`, or one that it shares with the others of its array."""
        return Path(self._file(name))

    def read_journal(self) -> Journal:
        """Read all that was kept of the job by those who submitted and followed it.

        :raises FolderUnreadable: if that cannot be read now.
        """
        journal = Journal.parse(self._read('journal', limit=None))
        self._nonce, self._submitted = journal.nonce, journal.submitted
        self._foreign, self._native_id = journal.is_foreign, journal.native_id
        return journal

    def _know(self, record: Mapping[str, object]) -> None:
        """Remember what a submission's record says that was just kept."""
        journal = Journal({'submission': record})
        self._nonce, self._submitted = journal.nonce, journal.submitted

    def _file(self, name: str) -> str:
        return f'{self.path}/{name}'

    def _write(self, name: str, content: bytes, mode: int = 0o600) -> None:
        write_file(self._file(name), content, mode)

    def _append(self, name: str, content: bytes) -> None:
        append_to_file(self._file(name), content)

    def _read(self, name: str, limit: int | None = _RECORD_LIMIT) -> bytes | None:
        """Read a file; None where there is none of ours.

        :raises FolderUnreadable: if it cannot be read now.
        """
        try:
            return read_file(self._file(name), limit)
        except OSError as error:
            raise unreadable(Path(self._file(name)), error) from error
