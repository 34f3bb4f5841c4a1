"""What this repository's own tests run on: all our executors, with schedulers that are started where there are none."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tempfile
from pathlib import Path

import pytest

from psij_ext.testing import Scheduler
from psij_ext.testing.simulated import SimulatedPBS

pytest_plugins = ['pytester']

ROOT = Path(__file__).resolve().parent.parent
EXECUTORS = 'local,local:multiple,local:mpirun,slurm,slurm:srun,pbspro'


def pytest_configure(config: pytest.Config) -> None:
    if config.option.executors is None:
        config.option.executors = EXECUTORS


def pytest_psij_ext_scheduler(executor_name: str, config: pytest.Config) -> Scheduler | None:
    if executor_name == 'slurm':
        partitions = answer('sinfo', '--noheader', '--format=%R')
        return Scheduler(queue_name=partitions.split()[0]) if partitions else start_slurm(config)
    if executor_name == 'pbspro':
        queue = re.search(r'default_queue = (\S+)', answer('qstat', '-B', '-f'))
        return Scheduler(queue_name=queue[1]) if queue else simulate_pbs(config)
    return None


def answer(*command: str) -> str:
    """Return what a command says; nothing where it is missing or fails, because the scheduler is not here."""
    try:
        asked = subprocess.run(command, capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        return ''
    return asked.stdout if asked.returncode == 0 else ''


def start_slurm(config: pytest.Config) -> Scheduler:
    folder = tempfile.mkdtemp(prefix='psij-slurm-', dir='/tmp')  # the names of its sockets have little room
    script = str(ROOT / 'scripts' / 'slurm')
    # It stops Slurm when its input ends, so also when somebody kills this process.
    keeper = subprocess.Popen(['/bin/sh', '-c', 'cat; exec "$0" stop "$1"', script, folder], stdin=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, start_new_session=True)
    config.add_cleanup(keeper.communicate)
    started = subprocess.run([script, 'start', folder], capture_output=True, text=True)
    if started.returncode != 0:
        raise pytest.UsageError(f'--executors=slurm: {started.stderr.strip().splitlines()[-1]}')
    name, _, value = shlex.split(started.stdout)[-1].partition('=')
    return Scheduler({name: value}, queue_name='debug')


def simulate_pbs(config: pytest.Config) -> Scheduler:
    folder = tempfile.TemporaryDirectory(prefix='psij-pbs-')
    config.add_cleanup(folder.cleanup)
    simulated = SimulatedPBS(Path(folder.name), cpus=64)
    config.add_cleanup(simulated.stop)
    simulated.start()
    return Scheduler({'PATH': f'{simulated.bin}{os.pathsep}{os.environ["PATH"]}'}, queue_name='workq')
