"""Many jobs of one call on a real Slurm: as arrays, with one command each, and known by their elements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from psij_ext import Job, JobAttributes, JobSpec, JobState
from psij_ext.executors.batch.slurm import SlurmExecutorConfig, SlurmJobExecutor
from psij_ext.runtime.command import CommandResult, SubprocessRunner
from psij_ext.runtime.finding import submission_folders
from real_slurm import Cluster

SOON = timedelta(seconds=60)
AN_HOUR = 3600
HELD = JobAttributes(custom_attributes={'slurm.hold': None})


class NotingRunner(SubprocessRunner):
    """Notes what it runs. No other executor has it, so that its executor has a monitor of its own."""

    def __init__(self, ran: list[str]) -> None:
        self._ran = ran

    def run(self, argv: Sequence[str], **options: Any) -> CommandResult:
        self._ran.append(argv[0])
        return super().run(argv, **options)


@pytest.fixture(scope='module')
def cluster() -> Iterator[Cluster]:
    made = Cluster('MaxArraySize=11')
    yield made
    made.stop()


@pytest.fixture
def ran() -> list[str]:
    """The names of the commands that were run, in their order."""
    return []


@pytest.fixture
def executor(
        cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ran: list[str]) -> Iterator[SlurmJobExecutor]:
    for name, value in cluster.variables.items():
        monkeypatch.setenv(name, value)
    with SlurmJobExecutor(config=SlurmExecutorConfig(
            work_directory=tmp_path, queue_polling_interval=AN_HOUR, initial_queue_polling_delay=AN_HOUR)) as made:
        made.runner = NotingRunner(ran)
        yield made


def held(count: int) -> list[Job]:
    return [Job(JobSpec('/bin/echo', [str(number)], name=f'held {number}', attributes=HELD)) for number in range(count)]


def test_arrays_are_as_large_as_the_site_allows(executor: SlurmJobExecutor, cluster: Cluster, ran: list[str]) -> None:
    jobs = held(25)
    executor.submit_many(jobs)
    assert ran.count('sbatch') == 3
    listed = cluster.run('squeue', '--noheader', '--array', '--format=%F_%K').split()
    assert sorted(listed) == sorted(job.native_id or '' for job in jobs)
    assert sorted(Counter(native_id.partition('_')[0] for native_id in listed).values()) == [8, 8, 9]
    executor.cancel_many(jobs)
    assert cluster.run('squeue', '--noheader') == ''


def test_elements_are_known_by_the_folder_that_the_array_was_submitted_from(executor: SlurmJobExecutor) -> None:
    jobs = held(5)
    executor.submit_many(jobs)
    folder, = submission_folders(executor.work_directory)
    ids = [job.native_id or '' for job in jobs]
    assert executor.origins.folders_of(ids) == dict.fromkeys(ids, folder.path.name)
    assert executor.origins.all()[folder.path.name] == [ids[0].partition('_')[0]]
    jobs[3].cancel()
    assert executor.origins.folders_of(ids[:2]) == dict.fromkeys(ids[:2], folder.path.name)
    executor.cancel_many(jobs)


def test_ends_are_told_by_the_elements_themselves(executor: SlurmJobExecutor, ran: list[str]) -> None:
    """Nobody asks Slurm for an hour."""
    jobs = [Job(JobSpec('/bin/echo', [str(number)])) for number in range(20)]
    executor.submit_many(jobs)
    for job in jobs:
        assert job.wait(SOON) is not None
    assert {job.status.state for job in jobs} == {JobState.COMPLETED}
    assert 'squeue' not in ran
    executor.close()
    for folder in submission_folders(executor.work_directory):
        left = {path.name.partition('.')[2] or path.name for path in folder.path.iterdir()}
        assert left.isdisjoint({'script', 'tasks', 'environment', 'nodes', 'exit.new'})


def test_who_waits_for_an_hour_is_told_of_a_cancel(executor: SlurmJobExecutor) -> None:
    jobs = [Job(JobSpec('/bin/sleep', ['1000'])) for _ in range(4)]
    executor.submit_many(jobs)
    for job in jobs:
        assert job.wait(SOON, JobState.ACTIVE) is not None
    executor.cancel_many(jobs)
    for job in jobs:
        assert job.wait(SOON) is not None
        assert job.status.state is JobState.CANCELED
