"""Which work directories this user has used: in a list of its own, so that the index can be made again from nothing.

The list is a file with a JSON text a line, only ever added to. The newline comes first, so that a line that was cut
short spoils no other.
"""

from __future__ import annotations

import json
from pathlib import Path

from psij_ext.core.places import default_work_directory, user_state_folder
from psij_ext.runtime.private import append_to_file, read_file

_NAME = 'work-directories'


def known_work_directories(folder: Path | None = None) -> list[Path]:
    """Return the work directories that are known, the usual one first; some may be gone.

    :param folder: where the list lies; the user's state folder if None.
    :return: what one gives to an executor's config as `work_directory`; it has a folder for each executor.
    """
    known = [default_work_directory(), *map(Path, _listed(_list_in(folder)))]
    return list(dict.fromkeys(known))


def remember_work_directory(work_directory: Path, folder: Path | None = None) -> None:
    """Put a work directory on the list if it is not there yet.

    :param work_directory: an absolute path.
    :param folder: where the list lies; the user's state folder if None.
    :raises OSError: if it cannot be kept.
    """
    path = _list_in(folder)
    if str(work_directory) in _listed(path):
        return
    append_to_file(str(path), b'\n' + json.dumps(str(work_directory)).encode())


def _list_in(folder: Path | None) -> Path:
    return (user_state_folder() if folder is None else folder) / _NAME


def _listed(path: Path) -> list[str]:
    try:
        content = read_file(str(path)) or b''
    except OSError:
        return []
    listed = []
    for line in content.splitlines():
        try:
            listed.append(json.loads(line))
        except ValueError:
            continue
    return [each for each in listed if isinstance(each, str) and each.startswith('/')]
