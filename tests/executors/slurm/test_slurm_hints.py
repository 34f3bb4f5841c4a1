"""An end is known at once on a real Slurm that nobody asks: by hints over the network, and by those in the mailbox."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from slurm_stage import SlurmStage

from psij_ext import Job, JobSpec, JobState, JobStatus
from psij_ext.runtime import events
from real_slurm import Cluster

AN_HOUR = 3600
COUNT = 20
# 0.05 s on a machine with nothing else to do; that of ten busy programs takes longer for the job's script alone.
AT_ONCE = 1.0


@pytest.fixture(scope='module')
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.stop()


def delays(stage: SlurmStage) -> list[float]:
    """How many seconds after their last acts the ends of jobs are told of."""
    told: dict[str, float] = {}
    all_told = threading.Event()

    def note(job: Job, status: JobStatus) -> None:
        if status.state is JobState.COMPLETED:
            told[job.id] = time.time()
            if len(told) == COUNT:
                all_told.set()

    stage.executor.set_job_status_callback(note)
    # One ends after the other, when all have been started: a machine that is busy with starting jobs tells of itself.
    jobs = [Job(JobSpec('/bin/sh', ['-c', f'sleep {3 + number / 10}; date +%s.%N'])) for number in range(COUNT)]
    for job in jobs:
        stage.executor.submit(job)
    assert all_told.wait(60), f'{len(told)} were told of'
    stage.close()
    return [told[job.id] - float((stage.executor.work_directory / job.id / 'stdout').read_text()) for job in jobs]


def stage_on(cluster: Cluster, folder: Path, hint_address: str | None) -> SlurmStage:
    return SlurmStage(cluster, folder, hint_address=hint_address, queue_polling_interval=AN_HOUR,
                      initial_queue_polling_delay=AN_HOUR)


def test_an_end_is_known_at_once_over_the_network(cluster: Cluster, tmp_path: Path, mocker: MockerFixture) -> None:
    """The folder is looked at seldom, as one on a network file system."""
    mocker.patch.object(events, 'is_on_network', return_value=True)
    mocker.patch.object(events, '_SECONDS_BETWEEN_REMOTE_LOOKS', 30.0)
    assert statistics.median(delays(stage_on(cluster, tmp_path, '127.0.0.1'))) < AT_ONCE


def test_an_end_is_known_soon_where_the_network_is_not_used(
        cluster: Cluster, tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(events, 'is_on_network', return_value=True)
    assert statistics.median(delays(stage_on(cluster, tmp_path, None))) < 3 * AT_ONCE


def test_an_end_is_known_at_once_on_this_hosts_own_disk(cluster: Cluster, tmp_path: Path) -> None:
    assert statistics.median(delays(stage_on(cluster, tmp_path, 'auto'))) < AT_ONCE
