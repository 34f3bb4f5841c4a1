"""The names that the folders of jobs and arrays have by their native ids, so that none is searched for.

A name lies in the folder `.native` beside the folders. It is one more name of a journal, or a copy of it where the file
system has no such links; so what it leads to is read from its content, and whether it still does from that folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote as percent_encode

from psij_ext.runtime.journal import Journal
from psij_ext.runtime.private import alone_at, check_own_folder, link_anew, make_folders, read_file, unreadable

NAMES = '.native'
# In a native id, so that an array has one name for all of its elements.
ANY_INDEX = '*'
# So much of a journal is read to find out whether it is an array's.
_FIRST_LINE = 256


def native_name(work_directory: Path | str, native_id: str) -> str:
    """Tell where the name lies that belongs to a native id.

    :param work_directory: where the folders lie.
    """
    plain = native_id.isascii() and native_id.isalnum()  # the usual case, which need not be looked at by letters
    name = native_id if plain else percent_encode(native_id, safe='', errors='surrogateescape')
    return f'{work_directory}/{NAMES}/{name}'


def give_name(name: str, journal: str) -> None:
    """Let a name lead to a folder.

    :param name: what `native_name` returns.
    :param journal: the journal in that folder.
    :raises OSError: if that cannot be done.
    """
    try:
        check_own_folder(os.path.dirname(name))
        os.link(journal, name)
    except OSError:
        make_folders(Path(name).parent)
        check_own_folder(Path(name).parent)
        # A scheduler that lost its state may give an id twice: the newer job has it. And some network file
        # systems have no links from one folder to another.
        with alone_at(Path(name).parent):  # who removes the older one's name looks first whose it is
            link_anew(journal, name)


def holder_of(name: str, *, is_of_elements: bool = False) -> str | None:
    """Return the name of the folder to which a native name leads; None if there is none.

    :param name: what `native_name` returns.
    :param is_of_elements: whether only an array can have it; then less is read.
    :raises FolderUnreadable: if that cannot be told now.
    """
    try:
        content = read_file(name, _FIRST_LINE if is_of_elements else None) or b''
    except OSError as error:
        raise unreadable(Path(name), error) from error
    journal = Journal.parse(content[:_FIRST_LINE])
    if journal.array is None:
        journal = Journal.parse(content)
    folder = journal.array or (journal.submission or {}).get('job_id')
    return Path(folder).name if isinstance(folder, str) else None
