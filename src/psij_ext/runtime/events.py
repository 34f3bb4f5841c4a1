"""Hints from running jobs. A hint says "look at this job's folder now" and nothing else.

A process that follows jobs has a mailbox: a folder beside the job folders. The scripts of its jobs put empty
files with the jobs' names there. One directory read finds all news, however many jobs there are, and a
forged, repeated or lost hint can at worst cause one needless look or a later one.

In a mailbox may lie a file `.door`, which tells where a `Listener` hears hints at once: the scripts send it the secrets
of their submissions in datagrams. What cannot be sent, is lost, or comes when too much does is in the mailbox all the
same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from psij_ext.runtime.filesystems import is_on_network
from psij_ext.runtime.listener import Listener
from psij_ext.runtime.private import check_own_folder, make_folder, make_folders, write_file

logger = logging.getLogger(__name__)

_MAILBOXES = '.mailboxes'
_DOOR = '.door'
# A folder on a local disk is read in microseconds; each read of a remote one may be a message to a busy
# server.
_SECONDS_BETWEEN_LOCAL_LOOKS = 0.02
# Where hints are heard as well, only what was lost of them is found so; to look for it 50 times a second took 1.5 % of
# a core (measured with 10,000 jobs that wait).
_SECONDS_BETWEEN_LOOKS_WHILE_LISTENING = 0.1
_SECONDS_BETWEEN_REMOTE_LOOKS = 1.0


class Mailbox:
    """Where the scripts of the jobs that this process follows leave their hints."""

    def __init__(self, work_directory: Path, listener: Listener | None = None) -> None:
        self._listener = listener
        name = f'{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}'
        self.path = work_directory / _MAILBOXES / name
        make_folders(self.path.parent)
        check_own_folder(self.path.parent)
        make_folder(self.path)
        self.seconds_between_looks = (
            _SECONDS_BETWEEN_REMOTE_LOOKS if is_on_network(self.path)
            else _SECONDS_BETWEEN_LOCAL_LOOKS if listener is None else _SECONDS_BETWEEN_LOOKS_WHILE_LISTENING)
        if listener is not None:
            self._show_door(listener.addresses)

    def _show_door(self, addresses: Sequence[tuple[str, int]]) -> None:
        try:
            door = ''.join(f'{host} {port}\n' for host, port in addresses)
            write_file(f'{self.path}/{_DOOR}', door.encode('ascii'))
        except OSError as error:
            logger.debug('No hints come over the network: %s', error)

    def empty(self) -> list[str]:
        """Take out the hints: the ids of the jobs whose folders should be looked at. Never raises."""
        try:
            names = [entry.name for entry in self.path.iterdir() if entry.name != _DOOR]
        except OSError as error:
            # The queue still tells when something happens to a job, so a lost mailbox only makes us slower.
            logger.debug('The mailbox %s cannot be read: %s', self.path, error)
            return []
        for name in names:
            try:
                (self.path / name).unlink()
            except OSError as error:
                logger.debug('The hint %s cannot be removed: %s', name, error)
        return names

    def close(self) -> None:
        """Remove the mailbox; scripts then pass it over."""
        if self._listener is not None:
            self._listener.close()
        closed = self.path.with_name(f'.closed-{self.path.name}')
        with contextlib.suppress(OSError):
            self.path.rename(closed)  # no script puts anything there while it is removed
        shutil.rmtree(closed, ignore_errors=True)
