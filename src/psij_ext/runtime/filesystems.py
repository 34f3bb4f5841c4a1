"""On what kind of file system something lies."""

from __future__ import annotations

import re
from pathlib import Path

_MOUNTS = Path('/proc/self/mountinfo')
# Those that only this machine can write to. What is not here is taken for a network file system: filesystems(5) names
# the common ones, and FUSE, 9p and virtiofs may have anything behind them.
_LOCAL = frozenset({
    'bcachefs', 'btrfs', 'ext2', 'ext3', 'ext4', 'f2fs', 'jfs', 'nilfs2', 'overlay', 'ramfs', 'reiserfs', 'tmpfs',
    'ubifs', 'xfs', 'zfs'})
# Those that are made for many machines.
_NETWORK = frozenset({
    '9p', 'afs', 'beegfs', 'ceph', 'cifs', 'fuse.sshfs', 'glusterfs', 'gpfs', 'lustre', 'nfs', 'nfs4', 'panfs', 'smb3',
    'wekafs'})


def is_local(path: Path) -> bool:
    """Tell whether a path lies on a disk of this machine alone; False where that is not known."""
    return _type_of(path) in _LOCAL


def is_on_network(path: Path) -> bool:
    """Tell whether a path lies on a network file system; False where that is not known."""
    return _type_of(path) in _NETWORK


def _type_of(path: Path) -> str | None:
    try:
        mounts = _MOUNTS.read_text(encoding='utf-8', errors='surrogateescape')
        return file_system_type(path.resolve(), mounts)
    except OSError:
        return None


def file_system_type(path: Path, mounts: str) -> str | None:
    """Find the type of the file system that a path lies on; None where it is on none of those that are mounted.

    :param path: an absolute path without links.
    :param mounts: what /proc/self/mountinfo holds (proc(5)): the mount point is the fifth field, the type of the file
        system the first after a hyphen that stands alone. Of two mounts on one point, the later hides the earlier.
    """
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        before, hyphen, after = line.partition(' - ')
        fields, kinds = before.split(' '), after.split(' ')
        if not hyphen or len(fields) < 5:
            continue
        point = Path(_unescape(fields[4]))
        depth = len(point.parts)
        if (point == path or point in path.parents) and (best is None or depth >= best[0]):
            best = depth, kinds[0]
    return None if best is None else best[1]


def _unescape(text: str) -> str:
    """Put back the characters that stand as octal numbers: blank, tab, newline and backslash."""
    return re.sub(r'\\([0-7]{3})', lambda match: chr(int(match[1], 8)), text)
