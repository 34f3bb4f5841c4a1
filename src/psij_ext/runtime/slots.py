"""The places of a user's local jobs on this machine: of those that wait, in their order, and those that run.

A place is an empty file `TICKET.PID.START.CORES` in the folder `held`, of jobs that wait for others, `waiting` or
`running`. It counts as long as
the process of that pid and start runs, so that a program that dies leaves nothing to be put right, and no
daemon is needed. A ticket is higher than all earlier ones. How a job waits for its turn and takes its cores
is written in `templates/local/supervisor.sh`.

There is one folder for each boot of a machine and each namespace of pids (namespaces(7)) on it: pids mean
nothing elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from psij_ext.runtime import processes
from psij_ext.runtime.private import check_own_folder, make_folders, unlock

# In the order in which a place goes from one to the next.
_KINDS = ('held', 'waiting', 'running')


class Slots:
    """The places of the present user's jobs on this machine since it was started.

    :param state: the user's folder for what lasts; the same for all programs that are to share the machine.
    """

    def __init__(self, state: Path) -> None:
        namespace = os.stat('/proc/self/ns/pid').st_ino
        self.path = state / 'slots' / os.uname().nodename / f'{processes.boot_id()}-{namespace}'

    def take_place(self, pid: int, start_time: int, cores: int, *, is_held: bool = False) -> str:
        """Take the last place of those that wait, and return its name.

        :param pid: the process that waits for its turn.
        :param start_time: when it was started, as `processes.start_time` has it.
        :param cores: how many cores it will take.
        :param is_held: whether it takes one of those that wait for other jobs, who are not in that line yet.
        :raises OSError: if the folder cannot be made or written.
        """
        with self._locked():
            # Chosen and shown under the lock, so that nobody sees a ticket before all lower ones.
            name = f'{time.monotonic_ns():020d}.{pid}.{start_time}.{cores}'
            line = self.path / ('held' if is_held else 'waiting')
            if is_held:  # the other folders may be those of an older version
                make_folders(line)
            descriptor = os.open(line / name, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            os.fchmod(descriptor, 0o600)  # whatever the umask left of it
            os.close(descriptor)
        return name

    def waiting(self) -> frozenset[str]:
        """Return the native ids, `pid.start`, of the jobs that wait; some may have died since."""
        return frozenset(map(_native_id, [*self._names('held'), *self._names('waiting')]))

    def alive(self) -> list[str]:
        """Return the native ids of the jobs that wait or run, in the order in which they came."""
        ids = dict.fromkeys(map(_native_id, sorted(name for kind in _KINDS for name in self._names(kind))))
        return [native_id for native_id in ids if _is_alive(native_id)]

    def _names(self, kind: str) -> list[str]:
        try:
            return os.listdir(self.path / kind)
        except FileNotFoundError:
            return []

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            descriptor = self._open_lock()
        except FileNotFoundError:
            try:
                self._make()
            except OSError as error:
                raise OSError(
                    error.errno, f'{error.strerror} (local jobs take their places there; XDG_STATE_HOME can name '
                    'another folder)', error.filename) from error
            descriptor = self._open_lock()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            unlock(descriptor)

    def _open_lock(self) -> int:
        descriptor = os.open(self.path / 'lock', os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            # Whose places these are, the supervisors of jobs believe.
            for folder in (self.path, self.path / 'waiting', self.path / 'running'):
                check_own_folder(folder)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _make(self) -> None:
        """Make what is missing; the lock comes last, so that where it is, all is."""
        state = self.path.parents[2]
        make_folders(state)
        check_own_folder(state.resolve())
        for folder in (self.path.parent.parent, self.path.parent, self.path, *(self.path / kind for kind in _KINDS)):
            make_folders(folder)
            check_own_folder(folder)
        with contextlib.suppress(FileExistsError):
            os.mkfifo(self.path / 'wake', 0o600)
            os.chmod(self.path / 'wake', 0o600)  # whatever the umask left of it
        descriptor = os.open(self.path / 'lock', os.O_CREAT | os.O_NOFOLLOW | os.O_RDWR, 0o600)
        os.fchmod(descriptor, 0o600)
        os.close(descriptor)
        self._remove_old()

    def _remove_old(self) -> None:
        """Remove the folders of earlier boots of this machine.

        Another machine of the same name may share the file system; its folder is newer than our boot.
        """
        booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
        for other in self.path.parent.iterdir():
            if not other.name.startswith(processes.boot_id()) and _last_used(other) < booted:
                shutil.rmtree(other, ignore_errors=True)


def _native_id(place: str) -> str:
    return place.partition('.')[2].rpartition('.')[0]


def _is_alive(native_id: str) -> bool:
    pid, _, start_time = native_id.partition('.')
    return str(processes.start_time(int(pid))) == start_time


def _last_used(folder: Path) -> float:
    try:
        return max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
    except OSError:
        return float('inf')  # somebody else is removing it
