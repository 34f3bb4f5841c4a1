"""Hints from running jobs that come over the network, and the addresses of this host at which they are heard."""

from __future__ import annotations

import fcntl
import ipaddress
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

from psij_ext.runtime.filesystems import is_on_network
from psij_ext.runtime.forking import renew_in_children

AUTOMATIC = 'auto'
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


class Listener:
    """Hears hints over the network, on a thread of its own, from when it is made until `close`.

    Whatever is sent to it, it does no more than tell of names that it was given. It reads so few messages at a time,
    and tells of so few names a second, that a flood costs a few percent of a core; the kernel drops what is left. It
    keeps nothing of a message.

    :param hosts: the addresses of this host to listen at, as numbers.
    :param names: the names of the jobs' folders, by the secrets of their submissions.
    :param heard: called with the names that were told.
    :raises OSError: if it can listen at none of the addresses.
    :raises RuntimeError: if no thread can be started.
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
        try:
            self._thread.start()
        except BaseException:
            self._abandon()
            raise

    def renew_after_fork(self) -> None:
        """Leave the hints to the parent, whose they are."""
        self._abandon()

    def _abandon(self) -> None:
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
