"""Folders and files that are ours alone: made so whatever the umask, and refused where others have a hand in them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from psij_ext.exceptions import FolderUnreadable, PsijExtError

logger = logging.getLogger(__name__)

# No such file, or a link or something else in its place: it is not that it could not be read now.
NOTHING_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL)
_OF_OTHERS = stat.S_IWGRP | stat.S_IWOTH
# Links are not followed, and of a pipe in a file's place nobody waits for the other end.
_CAREFULLY = os.O_NOFOLLOW | os.O_NONBLOCK
_LOCK = '.lock'

# -- folders


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


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Be the only one of this user's processes that is here at this time, for the same folder; others wait.

    Where the file system knows no locks nobody waits.
    """
    with _alone(folder / _LOCK, os.O_RDWR | os.O_CREAT):
        yield


@contextlib.contextmanager
def alone_at(folder: Path) -> Iterator[None]:
    """As `alone_in`, without a file for it in the folder; there are network file systems where nobody waits then."""
    with _alone(folder, os.O_RDONLY | os.O_DIRECTORY):
        yield


@contextlib.contextmanager
def _alone(path: Path, flags: int) -> Iterator[None]:
    descriptor = None
    try:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, flags | _CAREFULLY, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            unlock(descriptor)


def unlock(descriptor: int) -> None:
    """Give up the lock on an open file, and close it; to close it is not enough where a forked child has it, too."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


# -- files


def write_file(name: str, content: bytes, mode: int = 0o600) -> None:
    """Write a file that nobody reads yet; a link in its place is not followed but removed.

    :raises OSError: if that cannot be done, or something that is not ours is in its place.
    """
    flags = os.O_WRONLY | os.O_CREAT | _CAREFULLY
    try:
        descriptor = os.open(name, flags, mode)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        os.unlink(name)
        descriptor = os.open(name, flags, mode)
    _fill(descriptor, content, mode, name, anew=True)


def append_to_file(name: str, content: bytes) -> None:
    """Add to a file, which is made where there is none.

    :raises OSError: if that cannot be done, or something that is not ours is in its place.
    """
    _fill(os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | _CAREFULLY, 0o600), content, 0o600, name)


def read_file(name: str, limit: int | None = None, begin: int = 0) -> bytes | None:
    """Read a file, or a part; None where there is none of ours, which is said where there is something else.

    :param limit: the most bytes to read; None for all.
    :param begin: how many bytes to pass over.
    :raises OSError: if it cannot be read now.
    """
    try:
        descriptor = os.open(name, os.O_RDONLY | _CAREFULLY)
    except OSError as error:
        if error.errno not in NOTHING_THERE:
            raise
        if not isinstance(error, FileNotFoundError):
            logger.warning('%s cannot be read: %s', name, error)
        return None
    try:
        facts = os.fstat(descriptor)
        if not _is_own_file(facts):
            logger.warning('%s is not a file of ours and is passed over.', name)
            return None
        if begin:
            os.lseek(descriptor, begin, os.SEEK_SET)
        there = facts.st_size - begin
        return _read_all(descriptor, there if limit is None else min(limit, there))
    finally:
        os.close(descriptor)


def link_anew(target: str, name: str) -> None:
    """Make a name of a file, or a copy where the file system has no such links, in place of what has that name.

    :raises OSError: if that cannot be done.
    """
    new = f'{name}.{secrets.token_hex(8)}'
    try:
        os.link(target, new)
    except OSError:
        shutil.copy(target, new, follow_symlinks=False)
    os.replace(new, name)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)  # where both were names of one file already, nothing was replaced (rename(2))


def unreadable(path: Path, error: OSError) -> FolderUnreadable:
    """Make of an error that a folder cannot be read now."""
    return FolderUnreadable(error.errno, f'{error.strerror} (it may be read later)', str(path))


def _is_own_file(facts: os.stat_result) -> bool:
    return facts.st_uid == os.geteuid() and stat.S_ISREG(facts.st_mode)


def _read_all(descriptor: int, size: int) -> bytes:
    content = b''
    while len(content) < size:
        chunk = os.read(descriptor, size - len(content))
        if not chunk:
            break
        content += chunk
    return content


def _fill(descriptor: int, content: bytes, mode: int, name: str, *, anew: bool = False) -> None:
    """Write to a file and close it. What is right already is left alone, since to set it again costs as much."""
    try:
        facts = os.fstat(descriptor)
        if not _is_own_file(facts):
            raise PermissionError(errno.EPERM, 'It is no file of yours', name)
        if stat.S_IMODE(facts.st_mode) != mode:
            os.fchmod(descriptor, mode)  # whatever the umask left of it
        if anew and facts.st_size:  # O_TRUNC, of an empty file too, makes ext4 go to the disk when it is closed
            os.ftruncate(descriptor, 0)
        while content:
            content = content[os.write(descriptor, content):]
    finally:
        os.close(descriptor)
