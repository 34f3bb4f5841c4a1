"""Job folders that are made in advance, while a submit command runs.

Making a folder and its files is the dear part of what a submission costs us, on network file systems above all; to
rename and fill what is there already is cheap.
"""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
from pathlib import Path

from psij_ext.runtime.forking import renew_in_children
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.private import make_folder, write_file

logger = logging.getLogger(__name__)

# Such folders are called so, with something random after it.
SPARES = '.spare-'


class SpareFolders:
    """At most one spare folder at a time, in one work directory."""

    def __init__(self) -> None:
        self.renew_after_fork()
        renew_in_children(self)

    def renew_after_fork(self) -> None:
        """Begin with none; one that the parent has stays the parent's."""
        self._lock = threading.Lock()
        self._spare: Path | None = None

    def take(self) -> Path | None:
        """Give away the spare folder, if there is one."""
        with self._lock:
            spare, self._spare = self._spare, None
        return spare

    def add(self, work_directory: Path) -> None:
        """Make a spare folder if there is none. Never raises."""
        with self._lock:
            if self._spare is not None:
                return
            try:
                self._spare = make_spare(work_directory)
            except OSError as error:
                logger.debug('No folder can be made in advance in %s: %s', work_directory, error)

    def close(self) -> None:
        """Remove the spare folder."""
        spare = self.take()
        if spare is not None:
            shutil.rmtree(spare, ignore_errors=True)


def make_spare(work_directory: Path) -> Path:
    """Make a folder for a job that may come, with the files in it that every job has.

    :raises OSError: if it cannot be made.
    """
    spare = JobFolder(work_directory / f'{SPARES}{secrets.token_hex(8)}')
    make_folder(spare.path)
    write_file(str(spare.path_of('journal')), b'')
    spare.write_script('')
    return spare.path
