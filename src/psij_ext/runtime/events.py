"""Hints from running jobs. A hint says "look at this job's folder now" and nothing else.

A process that follows jobs has a mailbox: a folder beside the job folders. The scripts of its jobs put empty
files with the jobs' names there. One directory read finds all news, however many jobs there are, and a
forged, repeated or lost hint can at worst cause one needless look or a later one.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
from pathlib import Path

from psij_ext.runtime.private import check_own_folder, make_folder, make_folders

logger = logging.getLogger(__name__)

_MAILBOXES = '.mailboxes'
_NETWORK_FILE_SYSTEMS = frozenset(
    ('9p', 'afs', 'beegfs', 'ceph', 'cifs', 'fuse.sshfs', 'glusterfs', 'gpfs', 'lustre', 'nfs', 'nfs4',
     'panfs', 'smb3', 'wekafs'))
_OCTAL = re.compile(r'\\([0-7]{3})')
# A folder on a local disk is read in microseconds; each read of a remote one may be a message to a busy
# server.
_SECONDS_BETWEEN_LOCAL_LOOKS = 0.02
_SECONDS_BETWEEN_REMOTE_LOOKS = 1.0


class Mailbox:
    """Where the scripts of the jobs that this process follows leave their hints."""

    def __init__(self, work_directory: Path) -> None:
        name = f'{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}'
        self.path = work_directory / _MAILBOXES / name
        make_folders(self.path.parent)
        check_own_folder(self.path.parent)
        make_folder(self.path)
        self.seconds_between_looks = (
            _SECONDS_BETWEEN_REMOTE_LOOKS if is_on_network(self.path) else _SECONDS_BETWEEN_LOCAL_LOOKS)

    def empty(self) -> list[str]:
        """Take out the hints: the ids of the jobs whose folders should be looked at. Never raises."""
        try:
            names = [entry.name for entry in self.path.iterdir()]
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
        shutil.rmtree(self.path, ignore_errors=True)


def is_on_network(path: Path) -> bool:
    """Tell whether a path lies on a network file system, as far as Linux says (proc(5), mountinfo)."""
    try:
        content = Path('/proc/self/mountinfo').read_text(encoding='utf-8', errors='surrogateescape')
    except OSError:
        return False
    resolved = path.resolve()
    best, best_type = Path('/'), ''
    for line in content.splitlines():
        fields, _, rest = line.partition(' - ')
        mount_point = Path(_OCTAL.sub(lambda match: chr(int(match[1], 8)), fields.split()[4]))
        if resolved.is_relative_to(mount_point) and len(mount_point.parts) >= len(best.parts):
            best, best_type = mount_point, rest.split()[0]
    return best_type in _NETWORK_FILE_SYSTEMS
