"""What the scripts of the jobs that a monitor follows tell: by files in mailboxes, and over the network."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Callable

from psij_ext.runtime.events import Mailbox
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.listener import Listener, hosts_for_hints

logger = logging.getLogger(__name__)


class Hints:
    """The folders to look at now, by the names that their scripts give. Safe for threads.

    :param name: whose they are, for the log.
    :param wake: called when something was heard over the network.
    """

    def __init__(self, name: str, wake: Callable[[], None]) -> None:
        self._name = name
        self._wake = wake
        self._lock = threading.Lock()
        self._mailboxes: dict[tuple[Path, str | None], Mailbox] = {}
        self._names: dict[bytes, str] = {}  # of the folders, by the secrets of their submissions
        self._heard: set[str] = set()

    def mailbox(self, work_directory: Path, hint_address: str | None = None) -> Path:
        """Give the folder in which scripts below this work directory drop their hints.

        :param hint_address: the address of this host at which it hears hints over the network too, or `auto`.
        :raises OSError: if there is none yet and it cannot be made.
        """
        key = work_directory, hint_address
        with self._lock:
            if key not in self._mailboxes:
                listener = self._listener(work_directory, hint_address)
                try:
                    self._mailboxes[key] = Mailbox(work_directory, listener)
                except BaseException:
                    if listener is not None:
                        listener.close()
                    raise
            return self._mailboxes[key].path

    def expect(self, folder: JobFolder) -> None:
        """Heed what the script of a submission says over the network."""
        secret = folder.secret
        if secret is not None:
            self._names[secret] = folder.hint_name

    def forget(self, folder: JobFolder) -> None:
        """Heed it no longer."""
        secret = folder.secret
        if secret is not None:
            self._names.pop(secret, None)

    def hear(self, names: set[str]) -> None:
        """Take note that the folders of these names are to be looked at."""
        with self._lock:
            self._heard |= names
        self._wake()

    def take(self) -> set[str]:
        """Take the names of the folders that are to be looked at."""
        with self._lock:
            names, self._heard = self._heard, set()
            boxes = list(self._mailboxes.values())
        return names.union(*(box.empty() for box in boxes))

    @property
    def seconds_between_looks(self) -> float:
        """How long `take` may wait until it is called again."""
        with self._lock:
            return min((box.seconds_between_looks for box in self._mailboxes.values()), default=float('inf'))

    def close(self) -> None:
        """Remove the mailboxes, and hear nothing any more."""
        with self._lock:
            boxes = list(self._mailboxes.values())
            self._mailboxes.clear()
        for box in boxes:
            box.close()

    def _listener(self, work_directory: Path, hint_address: str | None) -> Listener | None:
        if hint_address is None:
            return None
        try:
            return Listener(hosts_for_hints(work_directory, hint_address), self._names, self.hear)
        except (OSError, RuntimeError) as error:  # no address, or no thread any more
            logger.debug('%s: no hints come over the network: %s', self._name, error)
            return None
