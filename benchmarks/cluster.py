"""What the benchmarks do with the Slurm that they run on, besides submitting to it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from psij_ext.core.places import default_work_directory
from psij_ext.executors.batch.slurm import SlurmExecutorConfig, SlurmJobExecutor

COMMANDS = ('sbatch', 'squeue', 'sacct', 'scontrol', 'sinfo', 'scancel')
QUERIES = ('squeue', 'sacct', 'scontrol', 'sinfo')
_COUNTING = '#!/bin/sh\necho {name} >>{log}\nexec {command} "$@"\n'


@contextlib.contextmanager
def executor_of_its_own() -> Iterator[SlurmJobExecutor]:
    """Give an executor for Slurm that keeps the folders of its jobs where they usually are, among no others.

    ext4 passes over what was deleted there in the last minutes, which makes a new file cost 0.5 ms in a folder like
    /tmp where tests have run.
    """
    place = default_work_directory()
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='benchmark-', dir=place) as folder, SlurmJobExecutor(
            config=SlurmExecutorConfig(work_directory=folder, keep_files=True)) as executor:
        yield executor


@contextlib.contextmanager
def nothing_starts() -> Iterator[None]:
    """Let jobs be taken, and none begin: what is measured is the submission alone, whoever makes it."""
    set_partition('State=DOWN')
    try:
        yield
    finally:
        cancel_all()
        set_partition('State=UP')


def set_partition(setting: str) -> None:
    """Change the partition to which the jobs go."""
    subprocess.run(['scontrol', 'update', 'PartitionName=debug', setting], check=True)


def cancel_all() -> None:
    """End all jobs, and wait until none is left."""
    subprocess.run(['scancel', '--me'], check=True)
    while subprocess.run(['squeue', '--noheader'], check=True, capture_output=True).stdout:
        time.sleep(0.1)


class CountedCommands:
    """Counts the scheduler's commands, whoever runs them: stands before them on the PATH of a process and its jobs.

    :param folder: where to keep what that needs.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / 'commands'
        self._bin = folder / 'bin'
        self._bin.mkdir(parents=True)
        for name in COMMANDS:
            command = shutil.which(name)
            if command is not None:
                script = self._bin / name
                script.write_text(_COUNTING.format(name=name, log=self._log, command=command))
                script.chmod(0o755)

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which they are counted."""
        return {'PATH': f'{self._bin}:{os.environ["PATH"]}'}

    def count(self) -> Counter[str]:
        """Return how often each was run."""
        return Counter(self._log.read_text().split() if self._log.exists() else ())
