"""Local jobs wait for cores, in their order, and share them with those of other programs."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from local_machine import (
    Machine,
    end,
    kill_session,
    leader,
    own_children,
    program,
    until,
)

from psij_ext import (
    Job,
    JobSpec,
    JobState,
    ResourceSpecV1,
)
from psij_ext.core.exit_info import ExitReason


def test_jobs_run_in_the_order_of_their_submission(machine: Machine) -> None:
    executor = machine.one_core
    machine.shell(executor, 'await go')
    jobs = [machine.shell(executor, 'echo $1 >> order', number) for number in range(20)]
    (machine.folder / 'go').touch()
    assert {end(job)[0] for job in jobs} == {JobState.COMPLETED}
    assert (machine.folder / 'order').read_text().split() == [str(number) for number in range(20)]


def test_as_many_jobs_as_there_are_cores_run_at_once(machine: Machine) -> None:
    executor = machine.executor(max_processes=3)
    meet = 'touch here.$1; await here.1; await here.2; await here.3'
    jobs = [machine.shell(executor, meet, number) for number in (1, 2, 3)]
    assert [end(job)[0] for job in jobs] == [JobState.COMPLETED] * 3


def test_cores_are_counted(machine: Machine) -> None:
    executor = machine.executor(max_processes=3)
    wanted = [2, 2, 1, 3, 1, 1, 1, 2, 3, 1, 2, 1]
    script = 'echo start $1 $2 >> log; sleep 0.05; echo end $1 $2 >> log'
    jobs = [machine.shell(executor, script, number, cores, cores=cores) for number, cores in enumerate(wanted)]
    assert {end(job)[0] for job in jobs} == {JobState.COMPLETED}
    assert most_cores(machine.folder / 'log') == 3


def test_a_job_that_wants_more_cores_than_there_are_has_all(machine: Machine) -> None:
    executor = machine.executor(max_processes=3)
    script = 'echo start $1 3 >> log; sleep 0.05; echo end $1 3 >> log'
    jobs = [machine.shell(executor, script, number, cores=5) for number in range(3)]
    assert {end(job)[0] for job in jobs} == {JobState.COMPLETED}
    assert most_cores(machine.folder / 'log') == 3


def most_cores(log: Path) -> int:
    """The most cores that were taken at once, from lines `start NUMBER CORES` and `end NUMBER CORES`."""
    used = most = 0
    for line in log.read_text().splitlines():
        what, _, cores = line.split()
        used += int(cores) if what == 'start' else -int(cores)
        most = max(most, used)
    return most


@pytest.mark.parametrize('resources', [
    ResourceSpecV1(process_count=3), ResourceSpecV1(process_count=2, cpu_cores_per_process=2),
    ResourceSpecV1(processes_per_node=3), ResourceSpecV1(exclusive_node_use=True)])
def test_cores_are_processes_times_cores_of_each(machine: Machine, resources: ResourceSpecV1) -> None:
    """No two of these jobs fit into five cores."""
    executor = machine.executor(max_processes=5)
    script = 'echo start $1 1 >> log; sleep 0.05; echo end $1 1 >> log'
    jobs = [machine.shell(executor, script, number, resources=resources) for number in range(3)]
    assert {end(job)[0] for job in jobs} == {JobState.COMPLETED}
    assert most_cores(machine.folder / 'log') == 1


def test_a_small_job_does_not_overtake_a_large_one(machine: Machine) -> None:
    executor = machine.executor(max_processes=2)
    first = machine.running(executor, 'touch ready; await go; echo first >> order')
    large = machine.shell(executor, 'echo large >> order', cores=2)
    small = machine.shell(executor, 'echo small >> order')
    until(lambda: Path(f'/proc/{leader(small)}/fd/7').exists())  # it waits for the one before it
    assert not (machine.folder / 'order').exists()
    (machine.folder / 'go').touch()
    assert [end(job)[0] for job in (first, large, small)] == [JobState.COMPLETED] * 3
    assert (machine.folder / 'order').read_text().split() == ['first', 'large', 'small']


def test_a_job_with_exclusive_use_runs_alone(machine: Machine) -> None:
    executor = machine.executor(max_processes=3)
    log = 'echo start 0 1 >> log; sleep 0.05; echo end 0 1 >> log'
    jobs = [machine.shell(executor, log, resources=ResourceSpecV1(exclusive_node_use=True)) for _ in range(3)]
    assert {end(job)[0] for job in jobs} == {JobState.COMPLETED}
    assert most_cores(machine.folder / 'log') == 1


def test_programs_share_the_cores(machine: Machine) -> None:
    code = (
        'executor = make(max_processes=2, work_directory=machine / sys.argv[1])\n'
        'jobs = [job("echo start 0 1 >> log; sleep 0.02; echo end 0 1 >> log") for _ in range(15)]\n'
        'for each in jobs: executor.submit(each)\n'
        'print({str(each.wait()) for each in jobs})\n')
    others = [program(machine, code, name) for name in ('a', 'b')]
    assert [other.communicate(timeout=60)[0] for other in others] == ["{'COMPLETED, exit code 0'}\n"] * 2
    lines = (machine.folder / 'log').read_text().split('\n')
    assert len(lines) == 2 * 2 * 15 + 1
    assert most_cores(machine.folder / 'log') == 2


def test_a_waiting_job_is_queued_and_then_runs(machine: Machine) -> None:
    executor = machine.one_core
    seen: list[tuple[str, JobState]] = []
    executor.set_job_status_callback(lambda job, status: seen.append((job.id, status.state)))
    first = machine.running(executor, 'touch ready; await go')
    second = machine.shell(executor, 'true')
    until(lambda: (second.status.metadata or {}).get('native_state') == 'waiting')  # the monitor has asked
    assert (first.status.state, second.status.state) == (JobState.ACTIVE, JobState.QUEUED)
    (machine.folder / 'go').touch()
    assert end(second)[0] is JobState.COMPLETED
    executor.close()
    assert [state for job_id, state in seen if job_id == second.id] == [
        JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED]


def test_a_killed_job_gives_its_cores_back(machine: Machine) -> None:
    executor = machine.one_core
    first = machine.running(executor, 'touch ready; await never')
    second = machine.shell(executor, 'true')
    kill_session(first)
    assert end(second)[0] is JobState.COMPLETED


def test_a_job_killed_while_it_waits_lets_the_next_one_pass(machine: Machine) -> None:
    executor = machine.one_core
    machine.running(executor, 'touch ready; await go')
    second, third, fourth = (machine.shell(executor, 'echo $1 >> order', number) for number in (2, 3, 4))
    os.kill(leader(third), signal.SIGKILL)
    assert end(third)[:3] == (JobState.FAILED, 137, ExitReason.SIGNALED)
    (machine.folder / 'go').touch()
    assert end(second)[0] is end(fourth)[0] is JobState.COMPLETED
    assert (machine.folder / 'order').read_text().split() == ['2', '4']


def test_many_short_jobs(machine: Machine) -> None:
    run_many(machine, 150)


@pytest.mark.soak
def test_a_thousand_short_jobs(machine: Machine) -> None:
    run_many(machine, 1000)


def run_many(machine: Machine, count: int) -> None:
    executor = machine.executor(max_processes=2)
    jobs = [Job(JobSpec('/bin/bash', ['-c', f'exit {number % 2}'])) for number in range(count)]
    states: Counter[JobState] = Counter()
    executor.set_job_status_callback(lambda job, status: states.update([status.state]))
    before = own_children()
    for job in jobs:
        machine.submit(executor, job)
    for number, job in enumerate(jobs):
        assert end(job)[:2] == ((JobState.FAILED, 1) if number % 2 else (JobState.COMPLETED, 0))
    until(lambda: own_children() <= before)
    assert executor.list() == []
    executor.close()
    assert states == {JobState.QUEUED: count, JobState.ACTIVE: count,
                      JobState.COMPLETED: count // 2, JobState.FAILED: count // 2}


def test_the_state_folder_may_vanish(machine: Machine) -> None:
    executor = machine.executor()
    assert end(machine.shell(executor, 'true'))[0] is JobState.COMPLETED
    assert not (machine.folder / 'state' / 'psij-ext' / 'jobs').exists()
    until(lambda: not executor.list())
    subprocess.run(['rm', '-r', machine.folder / 'state'], check=True)
    assert executor.list() == []
    assert end(machine.shell(executor, 'true'))[0] is JobState.COMPLETED
