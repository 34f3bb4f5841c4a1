"""Waiting for many jobs that run, of several executors."""

from __future__ import annotations

import threading

from local_machine import PATIENCE, Machine

from psij_ext import Job, JobState, JobStatus, as_completed, wait


def test_jobs_of_several_executors_come_in_the_order_of_their_ends(machine: Machine) -> None:
    executors = [machine.executor(max_processes=100) for _ in range(3)]
    jobs = [machine.shell(executors[number % 3], f'await go.{number}; exit {number}') for number in range(6)]
    iterator = as_completed(jobs, PATIENCE)
    for number in (4, 0, 5, 2, 1, 3):
        (machine.folder / f'go.{number}').touch()
        ended = next(iterator)
        assert ended is jobs[number]
        assert ended.status.exit_code == number
    assert list(iterator) == []


def test_the_first_failure_of_many(machine: Machine) -> None:
    executor = machine.executor(max_processes=100)
    jobs = [machine.shell(executor, f'await go.{number}; exit {number}') for number in range(3)]
    (machine.folder / 'go.0').touch()
    assert wait(jobs, PATIENCE, 'FIRST_COMPLETED').done == {jobs[0]}
    (machine.folder / 'go.1').touch()
    assert wait(jobs, PATIENCE, 'FIRST_FAILED') == ({jobs[0], jobs[1]}, {jobs[2]})
    (machine.folder / 'go.2').touch()
    assert wait(jobs, PATIENCE) == ({*jobs}, set())


def test_executors_that_are_closed_meanwhile(machine: Machine) -> None:
    first, second = machine.executor(max_processes=100), machine.executor(max_processes=100)
    jobs = [machine.shell(executor, f'await go.{number}') for number, executor in enumerate((first, second, first))]
    first.close()
    iterator = as_completed(jobs, PATIENCE)
    (machine.folder / 'go.2').touch()
    assert next(iterator) is jobs[2]
    second.close()
    first.close()
    (machine.folder / 'go.1').touch()
    assert next(iterator) is jobs[1]
    (machine.folder / 'go.0').touch()
    assert wait(jobs, PATIENCE).done == {*jobs}
    assert list(iterator) == [jobs[0]]


def test_a_callback_waits_for_other_jobs(machine: Machine) -> None:
    executor = machine.executor(max_processes=100)
    others = [machine.shell(executor, 'await go') for _ in range(3)]
    waited: list[object] = []
    called = threading.Event()

    def wait_for_others(job: Job, status: JobStatus) -> None:
        if status.state is JobState.COMPLETED:
            (machine.folder / 'go').touch()
            waited.append(wait(others, PATIENCE))
            called.set()

    executor.set_job_status_callback(wait_for_others)
    machine.shell(executor, 'true')
    assert called.wait(PATIENCE.total_seconds())
    assert waited[0] == ({*others}, set())
