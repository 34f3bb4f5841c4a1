"""What is made anew in a process that was forked off: locks that nobody will release, threads that are not there."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

from psij_ext.core import job


class Renewable(Protocol):
    """Something with locks, threads or files of its own."""

    def renew_after_fork(self) -> None:
        """Begin anew in a child process; what belongs to the parent is left alone."""


_renewables: weakref.WeakSet[Renewable] = weakref.WeakSet()
_registered = False


def renew_in_children(thing: Renewable) -> None:
    """See to it that `thing` begins anew in each process that is forked off this one."""
    global _registered
    _renewables.add(thing)
    if not _registered:  # not on import, which changes nothing in the process
        os.register_at_fork(after_in_child=_renew_all)
        _registered = True


def _renew_all() -> None:
    job.renew_lock()
    for thing in list(_renewables):
        thing.renew_after_fork()
