"""The directory that is the queue.

A job is a folder, `waiting/12`, then `running/12`, then `ended/12`. It moves by being renamed, which happens once
whoever tries, and never backwards: who looks for it in this order finds it. Each job has a process, its shepherd, which
holds a lock on the file `alive` in the folder from the submission to the end; a job whose lock is free is lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WAITING, RUNNING, ENDED = 'waiting', 'running', 'ended'
_PLACES = (WAITING, RUNNING, ENDED)
# What a site may change in the file site.json: processors, jobs that may wait, and the longest time in each queue.
_SITE = {'cpus': 16, 'most_waiting': 1000, 'queues': {'normal': 86400, 'short': 600}}


class Queue:
    """A queue; its directory is made where there is none.

    :param home: the directory.
    :raises OSError: if it cannot be used.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        for place in (*_PLACES, 'new'):
            (home / place).mkdir(parents=True, exist_ok=True, mode=0o700)

    @property
    def site(self) -> dict[str, Any]:
        """What the site allows."""
        with contextlib.suppress(FileNotFoundError):
            return {**_SITE, **json.loads((self.home / 'site.json').read_text())}
        return dict(_SITE)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep others from giving out ids and processors."""
        with (self.home / 'lock').open('w') as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    # -- jobs

    def add(self, script: bytes, options: dict[str, Any]) -> tuple[str, int]:
        """Put a job into the queue; return its id, and the lock that shows that it is alive, for its shepherd."""
        with self.locked():
            counter = self.home / 'last'
            native_id = str(int(counter.read_text() if counter.exists() else 0) + 1)
            write(counter, native_id)
        folder = self.home / 'new' / native_id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        (folder / 'script').write_bytes(script)
        (folder / 'options').write_text(json.dumps(options))
        if options.get('hold'):
            (folder / 'held').touch()
        alive = os.open(folder / 'alive', os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(alive, fcntl.LOCK_EX)
        folder.rename(self.home / WAITING / native_id)
        return native_id, alive

    def ids(self, place: str) -> list[str]:
        """Return the ids of the jobs in a place, the oldest first."""
        return sorted(os.listdir(self.home / place), key=int)  # noqa: PTH208

    def options(self, place: str, native_id: str) -> dict[str, Any]:
        """Return what a job asked for; nothing where it has left the place."""
        with contextlib.suppress(FileNotFoundError):
            return dict(json.loads((self.home / place / native_id / 'options').read_text()))
        return {}

    def state(self, native_id: str) -> str | None:
        """Return what `dirq status` says of a job, such as `ended 3`; None where there is none."""
        for place in _PLACES:
            folder = self.home / place / native_id
            if place != ENDED and folder.is_dir():
                self._bury(place, native_id)
            if not folder.is_dir():
                continue
            if place == WAITING:
                return 'held' if (folder / 'held').exists() else WAITING
            # A job that was cancelled before it began has no file with its end.
            end = folder / 'end'
            return RUNNING if place == RUNNING else end.read_text() if end.exists() else 'cancelled'
        return None

    def move(self, native_id: str, start: str, end: str) -> bool:
        """Move a job; tell whether it was there, and nobody else moved it."""
        try:
            (self.home / start / native_id).rename(self.home / end / native_id)
        except FileNotFoundError:
            return False
        return True

    def _bury(self, place: str, native_id: str) -> None:
        """End a job whose shepherd has died."""
        folder = self.home / place / native_id
        with contextlib.suppress(OSError), (folder / 'alive').open('r+') as alive:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises while the shepherd holds it
            write(folder / 'end', 'lost')
            self.move(native_id, place, ENDED)

    # -- turns

    def take_turn(self, native_id: str) -> bool:
        """Start a waiting job if it is the oldest of those that could start, and if there is room."""
        for other in self.ids(WAITING):
            if other == native_id:
                break
            if self.state(other) == WAITING:
                return False
        with self.locked():
            used = sum(self.options(RUNNING, other).get('cpus', 0) for other in self.ids(RUNNING)
                       if self.state(other) == RUNNING)
            return (used + self.options(WAITING, native_id).get('cpus', 1) <= self.site['cpus']
                    and self.move(native_id, WAITING, RUNNING))


def write(path: Path, text: str) -> None:
    """Write a file so that nobody sees a part of it."""
    new = path.with_name(f'{path.name}.{os.getpid()}')
    new.write_text(text)
    new.replace(path)
