"""What local jobs used."""

from __future__ import annotations

import os
import signal
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
from local_machine import Machine, end, kill_session, leader, script_of, until

from psij_ext import Job, JobExecutor, JobSpec, JobState, ResourceSpecV1, ResourceUsage
from psij_ext.runtime.ending import kept_end
from psij_ext.runtime.jobfolder import JobFolder

MEGABYTE = 10 ** 6
TAKE_200_MB = 'taken = b"x" * 200_000_000'


def python(machine: Machine, executor: JobExecutor, code: str, **fields: object) -> Job:
    spec = JobSpec(sys.executable, ['-c', code], directory=machine.folder, **fields)  # type: ignore[arg-type]
    return machine.submit(executor, Job(spec))  # type: ignore[arg-type]


def used(job: Job) -> ResourceUsage:
    end(job)
    assert job.exit_info is not None
    assert job.exit_info.usage is not None
    return job.exit_info.usage


def test_all_that_can_be_known_is_there(machine: Machine) -> None:
    executor = machine.executor(max_processes=8)
    before = time.time()
    job = python(machine, executor, f'import time\n{TAKE_200_MB}\nwhile time.process_time() < 1: pass',
                 resources=ResourceSpecV1(process_count=1, cpu_cores_per_process=2))
    usage = used(job)
    after = time.time()
    assert job.status.state is JobState.COMPLETED
    assert usage.max_rss is not None
    assert 200 * MEGABYTE < usage.max_rss < 230 * MEGABYTE
    assert usage.wall_time is not None
    assert usage.cpu_time is not None
    assert timedelta(seconds=1) <= usage.cpu_time < timedelta(seconds=1.5)
    assert usage.wall_time.total_seconds() <= after - before
    assert usage.cpu_percent == pytest.approx(100 * (usage.cpu_time / usage.wall_time), abs=0.1)
    assert (usage.cpus, usage.nodes, usage.max_vmem, usage.raw) == (2, 1, None, None)
    assert usage.submit_time is not None
    assert usage.start_time is not None
    assert usage.end_time is not None
    assert before <= usage.submit_time.timestamp() <= usage.start_time.timestamp() < usage.end_time.timestamp() <= after
    assert usage.end_time - usage.start_time == usage.wall_time
    assert usage.end_time.utcoffset() is not None


def test_two_copies(machine: Machine) -> None:
    code = f'import time\n{TAKE_200_MB}\nwhile time.process_time() < 0.5: pass'
    usage = used(python(machine, machine.executor(max_processes=2), code, launcher='multiple',
                        resources=ResourceSpecV1(process_count=2)))
    assert 200 * MEGABYTE < (usage.max_rss or 0) < 230 * MEGABYTE
    assert usage.cpu_time is not None
    assert 1.0 <= usage.cpu_time.total_seconds() < 1.5
    assert usage.cpus == 2


def test_it_survives_the_program_that_submitted_the_job(machine: Machine) -> None:
    job = machine.shell(machine.executor(), 'exit 3')
    usage = used(job)
    folder = JobFolder(machine.work_directory / 'local' / job.id)
    kept = kept_end(folder)
    assert kept is not None
    assert kept[1].usage == usage
    attached = Job()
    machine.executor().attach(attached, str(job.native_id))
    assert used(attached) == usage


def test_a_failed_and_a_cancelled_job_have_it_too(machine: Machine) -> None:
    assert (used(machine.shell(machine.executor(), 'exit 3')).max_rss or 0) > 0
    job = machine.running(machine.executor(), 'touch ready; await never')
    job.cancel()
    usage = used(job)
    assert usage.wall_time is not None
    assert (usage.max_rss or 0) > 0


def test_a_script_that_was_killed_measured_nothing_but_its_time_is_known(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never')
    os.kill(script_of(job), signal.SIGKILL)
    usage = used(job)
    assert (usage.cpu_time, usage.max_rss, usage.cpu_percent) == (None, None, None)
    assert usage.wall_time is not None
    assert usage.start_time is not None
    assert (usage.cpus, usage.nodes) == (1, 1)


def test_a_killed_session_has_what_was_asked_for(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'touch ready; await never')
    kill_session(job)
    usage = used(job)
    assert (usage.cpus, usage.nodes, usage.wall_time, usage.end_time) == (1, 1, None, None)
    assert usage.submit_time is not None


def test_a_job_that_was_cancelled_while_it_waited_used_nothing(machine: Machine) -> None:
    executor = machine.one_core
    machine.running(executor, 'touch ready; await never')
    job = machine.shell(executor, 'true')
    until(lambda: Path(f'/proc/{leader(job)}/fd/9').exists())
    job.cancel()
    usage = used(job)
    assert (usage.wall_time, usage.start_time, usage.cpu_time, usage.max_rss, usage.cpus) == (None, None, None, None, None)
    assert usage.submit_time is not None
