"""Hints from running jobs. A hint says "look at this job's folder now" and nothing else.

A process that follows jobs has a mailbox: a folder beside the job folders. The scripts of its jobs put empty
files with the jobs' names there. One directory read finds all news, however many jobs there are, and a
forged, repeated or lost hint can at worst cause one needless look or a later one.

In a mailbox may lie a file `.door`, which tells where a `Listener` hears hints at once: the scripts send it the secrets
of their submissions in datagrams. What cannot be sent, is lost, or comes when too much does is in the mailbox all the
same.
"""

from __future__ import annotations

import fcntl
import ipaddress
import logging
import os
import re
import secrets
import select
import shutil
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

from psij_ext.runtime.forking import renew_in_children
from psij_ext.runtime.private import check_own_folder, make_folder, make_folders, write_file

logger = logging.getLogger(__name__)

AUTOMATIC = 'auto'
_MAILBOXES = '.mailboxes'
_DOOR = '.door'
_NETWORK_FILE_SYSTEMS = frozenset(
    ('9p', 'afs', 'beegfs', 'ceph', 'cifs', 'fuse.sshfs', 'glusterfs', 'gpfs', 'lustre', 'nfs', 'nfs4',
     'panfs', 'smb3', 'wekafs'))
_OCTAL = re.compile(r'\\([0-7]{3})')
# A folder on a local disk is read in microseconds; each read of a remote one may be a message to a busy
# server.
_SECONDS_BETWEEN_LOCAL_LOOKS = 0.02
_SECONDS_BETWEEN_REMOTE_LOOKS = 1.0
# Messages are read at once when they come after a pause, and in portions when they come fast: 12,800 a second.
_SECONDS_BETWEEN_READS = 0.01
_MESSAGES_AT_A_TIME = 128
_LONGEST_MESSAGE = 64
# Folders are looked at so often for messages; what is above that is found in the mailbox. As many jobs may end at once.
_MOST_NAMES = 2000.0
_NAMES_A_SECOND = 500.0
_MOST_ADDRESSES = 4
# netdevice(7), <linux/sockios.h>, <net/if.h>
_SIOCGIFFLAGS, _SIOCGIFADDR = 0x8913, 0x8915
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8
_LONGEST_INTERFACE = 15


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
            _SECONDS_BETWEEN_REMOTE_LOOKS if is_on_network(self.path) else _SECONDS_BETWEEN_LOCAL_LOOKS)
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
        shutil.rmtree(self.path, ignore_errors=True)


class Listener:
    """Hears hints over the network, on a thread of its own, from when it is made until `close`.

    Whatever is sent to it, it does no more than tell of names that it was given. It reads so few messages at a time,
    and tells of so few names a second, that a flood costs a few percent of a core; the kernel drops what is left. It
    keeps nothing of a message.

    :param hosts: the addresses of this host to listen at, as numbers.
    :param names: the names of the jobs' folders, by the secrets of their submissions.
    :param heard: called with the names that were told.
    :raises OSError: if it can listen at none of the addresses.
    """

    def __init__(self, hosts: Sequence[str], names: Mapping[bytes, str], heard: Callable[[set[str]], None]) -> None:
        self._names = names
        self._heard = heard
        self._credit, self._credited_at = _MOST_NAMES, time.monotonic()
        self._sockets = _bind(hosts)
        self.addresses = [socket_.getsockname()[:2] for socket_ in self._sockets]
        self._closing = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._thread: threading.Thread | None = threading.Thread(
            target=self._run, name='psij-ext hints', daemon=True)
        renew_in_children(self)
        self._thread.start()

    def renew_after_fork(self) -> None:
        """Leave the hints to the parent, whose they are."""
        self._thread = None
        self._release()

    def close(self) -> None:
        """End the thread. May be called more than once."""
        thread, self._thread = self._thread, None
        if thread is not None:
            self._closing.set()
            self._wake.send(b'.')
            thread.join()
            self._release()

    def _release(self) -> None:
        for socket_ in (*self._sockets, self._wake, self._woken):
            socket_.close()

    def _run(self) -> None:
        poll = select.poll()
        for socket_ in (*self._sockets, self._woken):
            poll.register(socket_, select.POLLIN)
        while not self._closing.is_set():
            poll.poll()
            names = {name for socket_ in self._sockets for name in self._read(socket_)}
            if names:
                self._heard(names)
            self._closing.wait(_SECONDS_BETWEEN_READS)

    def _read(self, socket_: socket.socket) -> set[str]:
        """Read a few messages, and return the names that they tell."""
        names: set[str] = set()
        self._earn()
        for _ in range(_MESSAGES_AT_A_TIME):
            try:
                message = socket_.recv(_LONGEST_MESSAGE)
            except OSError:  # mostly because there is none
                break
            name = self._names.get(message)
            if name is not None and name not in names and self._credit >= 1.0:
                self._credit -= 1.0
                names.add(name)
        return names

    def _earn(self) -> None:
        now = time.monotonic()
        self._credit = min(_MOST_NAMES, self._credit + (now - self._credited_at) * _NAMES_A_SECOND)
        self._credited_at = now


def hosts_for_hints(path: Path, wanted: str | None) -> Sequence[str]:
    """Return the addresses of this host at which it can hear of those who see a folder.

    :param path: the folder; what is on no network file system is seen by this host alone.
    :param wanted: the address that was configured, `auto` where one is to be found, None for none.
    """
    if wanted != AUTOMATIC:
        return () if wanted is None else (wanted,)
    return _interface_addresses() if is_on_network(path) else ('127.0.0.1',)


def _interface_addresses() -> list[str]:
    """Return the addresses of the interfaces that are up, without the loopback (netdevice(7)).

    At which of them the nodes of a cluster reach this host, nobody here knows; mostly at a private one (RFC 1918), so
    public ones are taken only where there are no others.
    """
    addresses = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            request = struct.pack('40s', os.fsencode(name)[:_LONGEST_INTERFACE])
            try:
                flags, = struct.unpack_from('=H', fcntl.ioctl(asked, _SIOCGIFFLAGS, request), 16)
                address = socket.inet_ntoa(fcntl.ioctl(asked, _SIOCGIFADDR, request)[20:24])
            except OSError:  # it has none of this family
                continue
            if flags & _IFF_UP and not flags & _IFF_LOOPBACK:
                addresses.append(address)
    private = [address for address in addresses if ipaddress.ip_address(address).is_private]
    return (private or addresses)[:_MOST_ADDRESSES]


def _bind(hosts: Sequence[str]) -> list[socket.socket]:
    sockets, trouble = [], OSError('There is no address to listen at.')
    for host in hosts:
        family = socket.AF_INET6 if ':' in host else socket.AF_INET
        socket_ = socket.socket(family, socket.SOCK_DGRAM)
        try:
            socket_.bind((host, 0))
        except OSError as error:
            socket_.close()
            trouble = error
            continue
        socket_.setblocking(False)
        sockets.append(socket_)
    if not sockets:
        raise trouble
    return sockets


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
