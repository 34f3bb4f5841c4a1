"""Folders that are ours alone: made so whatever the umask, and refused where somebody else has a hand in them."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

from psij_ext.exceptions import PsijExtError

_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def make_folder(folder: Path | str) -> None:
    """Make a folder that only we can look into.

    :raises OSError: if it cannot be made, or something is there already.
    """
    os.mkdir(folder, 0o700)
    if stat.S_IMODE(os.stat(folder).st_mode) != 0o700:
        os.chmod(folder, 0o700)  # whatever the umask left of it


def make_folders(folder: Path) -> None:
    """Make a folder that only we can look into, if there is none, and so each folder above it that is missing.

    :raises OSError: if they cannot be made.
    """
    with contextlib.suppress(FileExistsError):
        try:
            make_folder(folder)
        except FileNotFoundError:
            make_folders(folder.parent)
            make_folder(folder)


def is_own_folder(folder: Path | str) -> bool:
    """Whether there is a folder of ours, and no link to one.

    :raises OSError: if that cannot be told.
    """
    try:
        facts = os.lstat(folder)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.geteuid()


def check_own_folder(folder: Path | str) -> None:
    """Make sure that a folder within one of ours is ours, and nobody else may write to it.

    :raises OSError: if it is a link or somebody else's, or others may write to it, or it cannot be looked at.
    """
    facts = os.lstat(folder)
    if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid() or facts.st_mode & _OF_OTHERS:
        raise PermissionError(errno.EPERM, 'It is no folder of yours that only you can write to', str(folder))


def check_private(folder: Path) -> None:
    """Make sure that a work directory is a folder of ours that nobody else may write to, or put another in place of.

    A link to it must be ours, too.

    :raises PsijExtError: if it is not so.
    """
    place = os.fspath(folder)  # every submission passes here, and a string is looked up in half the time
    user, facts = os.geteuid(), os.stat(place)
    if facts.st_uid != user or os.lstat(place).st_uid != user or facts.st_mode & _OF_OTHERS:
        raise PsijExtError(
            f'The work directory {folder} belongs to somebody else or can be written to by others. '
            'Choose another work_directory, or take the rights away with chmod go-w.')
    above = os.stat(os.path.dirname(place))
    if above.st_uid not in (user, 0) or above.st_mode & (stat.S_IWOTH | stat.S_ISVTX) == stat.S_IWOTH:
        raise PsijExtError(
            f'The work directory {folder} lies in a folder that belongs to somebody else or that anybody can write to, '
            'who could put another in its place. Choose another work_directory, such as a folder of your own in there.')
