"""A real Slurm of the tests' own: `scripts/slurm` in a folder of its own, and what may be done to its daemons."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from signal import SIGCONT, SIGSTOP, SIGTERM, Signals

SCRIPT = str(Path(__file__).resolve().parent.parent / 'scripts' / 'slurm')


class Cluster:
    """A Slurm with two nodes; every daemon and job of it ends with `stop`, or when this process is killed.

    :param accounting: whether it keeps accounts in a database.
    :param settings: lines of slurm.conf in place of those of the same name.
    """

    def __init__(self, *settings: str, accounting: bool = False) -> None:
        self.accounting = accounting
        self.folder = Path(tempfile.mkdtemp(prefix='psij-slurm-', dir='/tmp'))  # the names of its sockets have little room
        # It stops Slurm when its input ends, so also when somebody kills this process.
        self._keeper = subprocess.Popen(
            ['/bin/sh', '-c', 'cat; exec "$0" stop "$1"', SCRIPT, str(self.folder)], stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            self._start(*['--accounting'] * accounting, *(word for line in settings for word in ('--set', line)))
        except RuntimeError:
            self.stop()
            raise

    @property
    def variables(self) -> dict[str, str]:
        """What leads Slurm's commands to it."""
        return {'SLURM_CONF': str(self.folder / 'slurm.conf')}

    def stop(self) -> None:
        self._keeper.communicate(timeout=60)
        shutil.rmtree(self.folder, ignore_errors=True)  # where it never started

    def run(self, *argv: str | Path) -> str:
        """Run a command as a person at a shell would, and return what it printed."""
        done = subprocess.run([str(word) for word in argv], env={**os.environ, **self.variables}, cwd=self.folder,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f'{argv} ended with {done.returncode}: {done.stderr}'
        return done.stdout.strip()

    # -- its daemons: slurmctld, slurmd.node1, slurmd.node2, slurmdbd, ...

    def signal(self, daemon: str, number: Signals) -> None:
        os.kill(self._process_of(daemon), number)

    def end(self, daemon: str, number: Signals = SIGTERM) -> None:
        """End a daemon by a signal; `revive` starts it again."""
        process = self._process_of(daemon)
        os.kill(process, number)
        deadline = time.monotonic() + 30
        while _lives(process):
            assert time.monotonic() < deadline, f'{daemon} does not end'
            time.sleep(0.01)

    def revive(self) -> None:
        """Start what is dead of it, and wait until it takes jobs."""
        self._start()

    @contextlib.contextmanager
    def hung(self, daemon: str) -> Iterator[None]:
        """Keep a daemon from doing anything for a while; what it is asked meanwhile, it may do afterwards."""
        self.signal(daemon, SIGSTOP)
        try:
            yield
        finally:
            self.signal(daemon, SIGCONT)

    def _process_of(self, daemon: str) -> int:
        said = subprocess.run([SCRIPT, 'status', str(self.folder)], capture_output=True, text=True).stdout
        found = re.search(rf'^{re.escape(daemon)} runs as process (\d+)$', said, re.MULTILINE)
        assert found, said
        return int(found[1])

    def _start(self, *options: str) -> None:
        started = subprocess.run([SCRIPT, 'start', *options, str(self.folder)], capture_output=True, text=True)
        if started.returncode != 0:
            raise RuntimeError(started.stderr.strip())


def _lives(process: int) -> bool:
    """Whether a process runs; one that PID 1 has not taken notice of yet does not."""
    try:
        return 'State:\tZ' not in Path(f'/proc/{process}/status').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
