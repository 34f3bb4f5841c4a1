"""File systems that fail, an index in trouble, clocks that jump: no job is lost, runs twice or is told of wrongly; our exceptions alone come through."""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta
from pathlib import Path
from typing import Any, Tuple

import pytest
from local_machine import PATIENCE, Machine, leader, until
from troubles import SOME, TROUBLES, Trouble, trouble

from psij_ext import Job, JobSpec, JobState, PsijExtError, SubmitException
from psij_ext.core.serialization import JSONSerializer
from psij_ext.executors.local import LocalJobExecutor
from psij_ext.runtime import processes
from psij_ext.runtime.jobfolder import JobFolder

DEAD = {**processes.this_process(), 'pid': 4_000_000, 'start_time': 1}


@pytest.fixture(params=[pytest.param(each, marks=() if each in SOME else pytest.mark.soak) for each in TROUBLES])
def goes_wrong(request: pytest.FixtureRequest, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Trouble:
    """What goes wrong in a phase."""
    return trouble(request.param, monkeypatch, machine.work_directory, machine.folder / 'state')


@pytest.fixture
def executor(machine: Machine) -> LocalJobExecutor:
    first = machine.executor()
    machine.shell(first, 'exit 0').wait(PATIENCE)
    first.close()  # folders and index are there
    return watched(machine)


def watched(machine: Machine, **settings: Any) -> LocalJobExecutor:
    """An executor whose callbacks are told no end but the true one."""
    executor = machine.executor(max_processes=8, **settings)
    executor.set_job_status_callback(lambda job, status: ends.append((job.id, status.state, status.exit_code)) if status.final else None)
    ends: list[Tuple[str, JobState, int | None]] = []
    executor.ends = ends  # type: ignore[attr-defined]
    return executor


def ends_of(executor: LocalJobExecutor) -> list[Tuple[str, JobState, int | None]]:
    executor._callbacks.close()  # it finishes what it was given
    return executor.ends  # type: ignore[attr-defined, no-any-return]


def held(machine: Machine, executor: LocalJobExecutor, name: str, code: int) -> Job:
    """A job that runs until `name` is there, and then ends with a code."""
    job = machine.shell(executor, 'touch "$1-began"; await "$1"; exit "$2"', machine.folder / name, code)
    until((machine.folder / f'{name}-began').exists)
    return job


def test_submit(machine: Machine, executor: LocalJobExecutor, goes_wrong: Trouble) -> None:
    job = Job(JobSpec('/bin/sh', ['-c', 'echo ran >> ledger; exit 3'], directory=machine.folder))
    with goes_wrong(), contextlib.suppress(SubmitException):
        executor.submit(job)
    if job.native_id is None:
        assert job.status.state is JobState.NEW
        executor.submit(job)
    machine.jobs.append(job)
    job.wait(PATIENCE)
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 3)
    until(lambda: not executor.list())
    assert (machine.folder / 'ledger').read_text() == 'ran\n'
    assert ends_of(executor) == [(job.id, JobState.FAILED, 3)]


def test_poll(machine: Machine, executor: LocalJobExecutor, goes_wrong: Trouble) -> None:
    meanwhile, later = held(machine, executor, 'a', 3), held(machine, executor, 'b', 0)
    with goes_wrong():
        (machine.folder / 'a').touch()
        until(lambda: not processes.in_session(leader(meanwhile)))
        meanwhile.wait(timedelta(seconds=3))  # for longer than the monitor takes to ask
        assert not later.status.final
    (machine.folder / 'b').touch()
    for job in (meanwhile, later):
        job.wait(PATIENCE)
    assert sorted(ends_of(executor)) == sorted(
        [(meanwhile.id, JobState.FAILED, 3), (later.id, JobState.COMPLETED, 0)])


def test_cancel(machine: Machine, executor: LocalJobExecutor, goes_wrong: Trouble) -> None:
    cancelled, spared = held(machine, executor, 'a', 3), held(machine, executor, 'b', 0)
    with goes_wrong(), contextlib.suppress(SubmitException):
        cancelled.cancel()
    cancelled.cancel()
    cancelled.wait(PATIENCE)
    (machine.folder / 'b').touch()
    spared.wait(PATIENCE)
    assert ends_of(executor) == [(cancelled.id, JobState.CANCELED, 143), (spared.id, JobState.COMPLETED, 0)]


def test_recover(machine: Machine, executor: LocalJobExecutor, goes_wrong: Trouble) -> None:
    over, alive = held(machine, executor, 'a', 3), held(machine, executor, 'b', 0)
    cut_short = JobFolder.create(executor.work_directory, Job().id)
    cut_short.open_journal(
        {'job_id': cut_short.job_id, 'executor': 'local', 'url': None, 'nonce': 'n', 'session': None,
         'submitted': time.time()}, JSONSerializer().dumps(JobSpec('/bin/date')))
    executor.close()
    for folder in (cut_short, *(JobFolder(executor.work_directory / job.id) for job in (over, alive))):
        folder.note_owner(DEAD)
    (machine.folder / 'a').touch()
    until(lambda: not processes.in_session(leader(over)))
    later = watched(machine)
    first: list[Job] = []
    with goes_wrong(), contextlib.suppress(PsijExtError):
        first = later.recover()
    jobs = [*first, *later.recover()]
    assert sorted(job.id for job in jobs) == sorted([over.id, alive.id, cut_short.job_id])
    assert {job.id: job.status.state for job in jobs}[cut_short.job_id] is JobState.NEW
    (machine.folder / 'b').touch()
    for job in jobs:
        if job.native_id is not None:
            job.wait(PATIENCE)
    assert sorted(ends_of(later)) == sorted([(over.id, JobState.FAILED, 3), (alive.id, JobState.COMPLETED, 0)])
    assert Path(cut_short.path / 'claim.n').readlink() == Path('revoked')
