"""Who holds a submission: the script that began under it, or whoever saw to it that none ever does.

That is a symbolic link whose target is the holder: made in one step by whoever comes first, never half written, and
kept by network file systems. It is read, never followed.
"""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from psij_ext.runtime.folder_files import FolderFiles
from psij_ext.runtime.foreign import begun_as
from psij_ext.runtime.private import NOTHING_THERE, unreadable

REVOKED = 'revoked'


def new_nonce() -> str:
    """Make the name of one submission: no two have the same, and nobody can guess it who may not read the folder.

    By it the job's script makes itself known when it sends hints.
    """
    return secrets.token_hex(16)


class Claims(FolderFiles):
    """The claims in a job's folder."""

    __slots__ = ()

    def claimed_by(self, nonce: str) -> str | None:
        """Tell who holds a submission: a native id, `revoked`, or None while nobody does.

        :raises FolderUnreadable: if that cannot be read now, or somebody else put something there.
        """
        claim = self._file(f'claim.{nonce}')
        try:
            holder = os.readlink(claim)
            if os.lstat(claim).st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, 'It is no link of yours', claim)
            return holder
        except OSError as error:
            if error.errno in NOTHING_THERE:
                return None
            raise unreadable(Path(claim), error) from error

    def was_submitted_before(self, nonce: str) -> bool:
        """Whether an earlier submission of the job was revoked: the scheduler may have a job of that one, too.

        :raises FolderUnreadable: if that cannot be read now.
        """
        try:
            return any(name.startswith('claim.') and name != f'claim.{nonce}' for name in os.listdir(self.path))
        except OSError as error:
            raise unreadable(self.path, error) from error

    def revoke(self, nonce: str) -> str | None:
        """Give up a submission whose outcome is unknown: its script, should it ever start, runs nothing.

        :return: None, or the native id of the script that had claimed it already: then the job runs, and this
            is its id.
        :raises OSError: if that cannot be done, or it cannot be read who holds it.
        """
        try:
            os.symlink(REVOKED, self._file(f'claim.{nonce}'))
        except FileExistsError:
            holder = self.claimed_by(nonce)
            return None if holder == REVOKED else holder
        return None

    def decide(self, nonce: str, verdict: str) -> str:
        """Decide for all who find out at the same time what becomes of a submission whose process is gone.

        :param verdict: the native id that the scheduler tells, or `revoked`.
        :return: the verdict of whoever came first.
        :raises OSError: if it cannot be kept or read.
        """
        name = self._file(f'verdict.{nonce}')
        try:
            os.symlink(verdict, name)
        except FileExistsError:
            return os.readlink(name)
        return verdict

    def begun_as(self) -> str | None:
        """Tell under which native id a plugin's own script has begun; None while it has left no trace.

        :raises FolderUnreadable: if that cannot be told now.
        """
        try:
            return begun_as(self.path)
        except OSError as error:
            raise unreadable(self.path, error) from error
