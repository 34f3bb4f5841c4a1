"""Keys: names that programs give to their submissions, so that none is submitted twice.

Who has a key is a symbolic link whose target is the job: made in one step by whoever comes first, never half written,
and kept by network file systems. It is read, never followed. A key can be taken again, in a next *generation*, once its
job is known to be none, or has failed; of those who find that at the same time, one takes it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from psij_ext.runtime.private import check_own_folder, make_folders

_FOLDER = '.keys'


class Keys:
    """The keys of the jobs whose folders lie in a work directory.

    :param work_directory: where the folders lie.
    """

    def __init__(self, work_directory: Path) -> None:
        self._folder = work_directory / _FOLDER

    def holder(self, key: str) -> tuple[int, str | None]:
        """Return the latest generation of a key and the job that has it; 0 and None while nobody does.

        :raises OSError: if that cannot be read.
        """
        generation, holder = 0, None
        while True:
            try:
                check_own_folder(self._folder)
                target = self._link(key, generation + 1).readlink()
            except FileNotFoundError:
                return generation, holder
            generation, holder = generation + 1, target.name

    def take(self, key: str, generation: int, job_id: str) -> bool:
        """Take the next generation of a key; return whether nobody else came first.

        :param key: any text.
        :param generation: the one that `holder` told of.
        :param job_id: the job that is to have it.
        :raises OSError: if it cannot be written.
        """
        make_folders(self._folder)
        check_own_folder(self._folder)
        try:
            self._link(key, generation + 1).symlink_to(job_id)
        except FileExistsError:
            return False
        return True

    def _link(self, key: str, generation: int) -> Path:
        # A key may hold what no file name can, and be longer than one.
        digest = hashlib.sha256(key.encode('utf-8', 'surrogateescape')).hexdigest()
        return self._folder / f'{digest}.{generation}'
