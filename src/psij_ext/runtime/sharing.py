"""One monitor for each scheduler in a process, however many executors there are for it."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence

from psij_ext.core.observation import Observation
from psij_ext.runtime.answers import StatusSource
from psij_ext.runtime.forking import renew_in_children
from psij_ext.runtime.monitor import StatusMonitor
from psij_ext.runtime.schedule import Rhythm


class Membership:
    """One executor's part in the monitor of its scheduler.

    :param source: where that executor would ask for states.
    :param rhythm: when it would ask.
    """

    def __init__(self, source: StatusSource, rhythm: Rhythm) -> None:
        self.source = source
        self.rhythm = rhythm
        self._shared: _Shared | None = None

    @property
    def monitor(self) -> StatusMonitor:
        """The monitor of the scheduler."""
        if self._shared is None:
            raise RuntimeError('This membership has ended.')
        return self._shared.monitor

    def join(self, key: Hashable, name: str) -> None:
        """Take part in the monitor of the scheduler `key`; the first who does makes it.

        :param name: what the monitor's thread is called.
        """
        renew_in_children(_monitors)
        with _monitors.lock:
            shared = _monitors.by_key.get(key)
            if shared is None:
                shared = _monitors.by_key[key] = _Shared(key, self, name)
            else:
                shared.members.append(self)
            self._shared = shared
        shared.agree()

    def close(self) -> None:
        """Leave the monitor; who leaves as the last one ends it. May be called more than once."""
        with _monitors.lock:
            shared, self._shared = self._shared, None
            if shared is None:
                return
            others = len(shared.members) > 1
            if others:
                shared.members.remove(self)
            # The last one stays a member: a round may be on that asks through it.
            elif _monitors.by_key.get(shared.key) is shared:
                del _monitors.by_key[shared.key]
        if others:
            shared.agree()
        else:
            shared.monitor.close()


class _Shared:
    """A monitor and those who take part in it: it asks through any of them, in the rhythm of the most impatient."""

    def __init__(self, key: Hashable, first: Membership, name: str) -> None:
        self.key = key
        self.members = [first]
        self.monitor = StatusMonitor(_AnyOf(self), first.rhythm, name)

    def agree(self) -> None:
        rhythms = [member.rhythm for member in list(self.members)]
        self.monitor.set_rhythm(Rhythm(
            first=min(rhythm.first for rhythm in rhythms), interval=min(rhythm.interval for rhythm in rhythms),
            failed_rounds=min(rhythm.failed_rounds for rhythm in rhythms)))


class _AnyOf:
    """Asks as the member would who has been there for the longest time."""

    def __init__(self, shared: _Shared) -> None:
        self._shared = shared

    @property
    def has_accounting(self) -> bool:
        return self._shared.members[0].source.has_accounting

    @property
    def tells_usage(self) -> bool:
        return self._shared.members[0].source.tells_usage

    def queue(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        return self._shared.members[0].source.queue(native_ids)

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        return self._shared.members[0].source.accounting(native_ids, since)

    def folders(self, native_ids: Sequence[str]) -> Mapping[str, str | None]:
        return self._shared.members[0].source.folders(native_ids)

    def accounted_folder(self, native_id: str, since: float) -> str | None:
        return self._shared.members[0].source.accounted_folder(native_id, since)


class _Monitors:
    """The monitors of this process."""

    def __init__(self) -> None:
        self.renew_after_fork()

    def renew_after_fork(self) -> None:
        """Begin with none; the threads of the parent's are not here."""
        self.lock = threading.Lock()
        self.by_key: dict[Hashable, _Shared] = {}


_monitors = _Monitors()
