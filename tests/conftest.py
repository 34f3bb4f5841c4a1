"""What this repository's own tests run on: all our executors, with schedulers that are started where there are none."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from psij_ext.testing import Scheduler
from psij_ext.testing.simulated import SimulatedPBS
from real_slurm import Cluster

pytest_plugins = ['pytester']

# How long an example takes says how busy the machine is, and that of ten busy programs is no defect of ours.
settings.register_profile('busy machine', deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile('busy machine')

EXECUTORS = 'local,local:multiple,local:mpirun,slurm,slurm:srun,pbspro'


def pytest_configure(config: pytest.Config) -> None:
    # Shells let commands in the background ignore these, and all that they start does.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    # What the tests' own jobs leave behind is none of the user's.
    state = tempfile.TemporaryDirectory(prefix='psij-state-')
    config.add_cleanup(state.cleanup)
    os.environ['XDG_STATE_HOME'] = state.name
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
    try:
        cluster = Cluster()
    except RuntimeError as error:
        raise pytest.UsageError(f'--executors=slurm: {str(error).splitlines()[-1]}') from error
    config.add_cleanup(cluster.stop)
    return Scheduler(cluster.variables, queue_name='debug')


def simulate_pbs(config: pytest.Config) -> Scheduler:
    folder = tempfile.TemporaryDirectory(prefix='psij-pbs-')
    config.add_cleanup(folder.cleanup)
    # The login files of whoever runs the tests may take locks, and are not meant to be killed while they hold them.
    home = Path(folder.name, 'home')
    home.mkdir()
    simulated = SimulatedPBS(Path(folder.name, 'pbs'), cpus=64, home=str(home))
    config.add_cleanup(simulated.stop)
    simulated.start()
    return Scheduler({'PATH': f'{simulated.bin}{os.pathsep}{os.environ["PATH"]}'}, queue_name='workq')
