"""Signals to local jobs, ends that follow some time after one, and what is known of a job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from local_machine import Machine, end, leader, until

from psij_ext import Job, JobState, NotAllCancelled, SubmitException, __version__
from psij_ext.core.exit_info import ExitReason
from psij_ext.exceptions import CommandError
from psij_ext.runtime.jobfolder import JobFolder

HEEDS = 'trap "echo USR1" USR1; touch ready; await go'


def seen(machine: Machine, job: Job) -> str:
    until(lambda: machine.output(job))
    return machine.output(job)


def test_a_signal_reaches_the_program_once_and_nobody_else(machine: Machine) -> None:
    job = machine.running(machine.executor(), HEEDS)
    job.cancel(signal=signal.SIGUSR1)
    assert seen(machine, job) == 'USR1\n'
    (machine.folder / 'go').touch()
    assert end(job)[0] is JobState.COMPLETED
    assert machine.output(job) == 'USR1\n'
    assert not JobFolder(machine.work_directory / 'local' / job.id).read_journal().cancel_noted


def test_the_time_limit_outlasts_a_signal(machine: Machine) -> None:
    job = machine.running(machine.executor(), HEEDS.replace('go', 'never'), seconds=1.5)
    job.cancel(signal='USR1')
    assert end(job)[::2] == (JobState.FAILED, ExitReason.TIMEOUT)
    assert machine.output(job) == 'USR1\n'


def test_a_signal_reaches_what_the_program_started(machine: Machine) -> None:
    job = machine.running(machine.executor(), (
        '(set -m; (trap "echo inner" USR1; touch inner; await go) & wait; wait) & trap "echo outer" USR1; '
        'await inner; touch ready; await go; wait'))
    job.cancel(signal='USR1')
    until(lambda: machine.output(job).count('\n') == 2)
    (machine.folder / 'go').touch()
    end(job)
    assert sorted(machine.output(job).split()) == ['inner', 'outer']


@pytest.mark.parametrize(('name', 'number'), [('ALRM', 14), ('KILL', 9)])
def test_a_signal_that_ends_the_program_is_told_as_it_is(machine: Machine, name: str, number: int) -> None:
    job = machine.running(machine.executor(), 'touch ready; await go')
    job.cancel(signal=name)
    assert end(job) == (JobState.FAILED, 128 + number, ExitReason.SIGNALED, number)


def test_a_signal_in_the_moment_of_the_start(machine: Machine) -> None:
    executor = machine.executor()
    job = machine.shell(executor, 'await never')
    until(lambda: job.native_id not in executor._slots.waiting())
    job.cancel(signal='KILL')
    assert end(job)[:2] == (JobState.FAILED, 137)


def test_what_comes_before_the_program_gets_no_signal(machine: Machine) -> None:
    before = machine.folder / 'before'
    before.write_text('touch preparing; until [ -e prepared ]; do sleep 0.05; done')
    job = machine.shell(machine.executor(), HEEDS, pre_launch=before)
    until((machine.folder / 'preparing').exists)
    with ThreadPoolExecutor() as others:
        signalled = others.submit(job.cancel, signal='USR1')
        (machine.folder / 'prepared').touch()
        signalled.result()
    (machine.folder / 'go').touch()
    # It may come before the program has its trap; then it is the program that it ends.
    assert end(job)[:2] in ((JobState.COMPLETED, 0), (JobState.FAILED, 128 + signal.SIGUSR1))


def test_what_waits_gets_no_signal(machine: Machine) -> None:
    executor = machine.one_core
    running = machine.running(executor, HEEDS)
    waiting = machine.shell(executor, 'true')
    with pytest.raises(NotAllCancelled, match='could not be sent SIGUSR1: it waits for cores') as caught:
        executor.cancel_many([waiting, running], signal='USR1')
    assert list(caught.value.failures) == [waiting.id]
    assert seen(machine, running) == 'USR1\n'
    (machine.folder / 'go').touch()
    assert end(waiting)[0] is JobState.COMPLETED
    waiting.cancel(signal='USR1')


def test_the_end_follows_after_the_grace(machine: Machine) -> None:
    job = machine.running(machine.executor(), HEEDS.replace('go', 'never'))
    began = time.monotonic()
    job.cancel(signal='USR1', grace=1.5)
    assert end(job)[::2] == (JobState.CANCELED, ExitReason.CANCELED)
    assert time.monotonic() - began >= 1.5
    assert machine.output(job) == 'USR1\n'


def test_the_end_follows_though_the_asking_program_is_gone(machine: Machine) -> None:
    job = machine.running(machine.executor(), HEEDS.replace('go', 'never'))
    program = (
        'import sys\n'
        'from psij_ext import Job\n'
        'from psij_ext.executors.local import LocalExecutorConfig, LocalJobExecutor\n'
        'job = Job()\n'
        'LocalJobExecutor(config=LocalExecutorConfig(work_directory=sys.argv[1])).attach(job, sys.argv[2])\n'
        'job.cancel(signal="USR1", grace=0.5)\n')
    subprocess.run([sys.executable, '-c', program, str(machine.work_directory), str(job.native_id)], check=True)
    assert end(job)[::2] == (JobState.CANCELED, ExitReason.CANCELED)
    assert machine.output(job) == 'USR1\n'


def test_who_ends_within_the_grace_keeps_the_own_end(machine: Machine) -> None:
    job = machine.running(machine.executor(), 'trap "echo saved; exit 0" USR1; touch ready; await never')
    job.cancel(signal='USR1', grace=1000)
    assert end(job)[:2] == (JobState.COMPLETED, 0)
    assert machine.output(job) == 'saved\n'
    until(lambda: not Path(f'/proc/{leader(job)}').exists())  # nothing of it waits for the rest of the time


def test_an_earlier_end_wins(machine: Machine) -> None:
    job = machine.running(machine.executor(), HEEDS.replace('go', 'never'))
    for grace in (1000, 0.3, 500):
        job.cancel(signal='USR1', grace=grace)
    assert end(job)[0] is JobState.CANCELED


def test_what_waits_is_ended_at_once(machine: Machine) -> None:
    executor = machine.one_core
    machine.running(executor, 'touch ready; await go')
    waiting = machine.shell(executor, 'true')
    waiting.cancel(signal='USR1', grace=1000)
    assert end(waiting)[0] is JobState.CANCELED


def test_without_a_supervisor_nobody_ends_a_job_later(machine: Machine) -> None:
    job = machine.running(machine.executor(), HEEDS)
    os.kill(leader(job), signal.SIGKILL)
    until(lambda: not Path(f'/proc/{leader(job)}').exists())
    with pytest.raises(SubmitException, match='nobody supervises'):
        job.cancel(signal='USR1', grace=5)
    job.cancel(signal='USR1')
    assert seen(machine, job) == 'USR1\n'
    (machine.folder / 'go').touch()
    assert end(job)[0] is JobState.COMPLETED


# -- what is known


def test_the_record_of_a_job(machine: Machine) -> None:
    executor = machine.executor()
    job = machine.running(executor, 'touch ready; await go', name='a=b\nc')
    record = executor.native_record(job)
    assert record['native_id'] == job.native_id
    assert (record['state'], record['job_id'], record['executor']) == ('running', job.id, 'local')
    assert any('await go' in value for name, value in record.items() if name.startswith('process.'))
    (machine.folder / 'go').touch()
    end(job)
    until(lambda: 'state' not in executor.native_record(job))
    record = executor.native_record(job)
    assert (record['exit.exit_code'], record['exit.phase']) == ('0', 'done')
    assert 'nonce' not in record


def test_the_record_of_a_job_that_nobody_knows(machine: Machine) -> None:
    executor, job = machine.executor(), Job()
    executor.attach(job, '1.1')
    with pytest.raises(CommandError, match=r'1\.1'):
        executor.native_record(job)


def test_the_version_is_our_own(machine: Machine) -> None:
    assert machine.executor().scheduler_version() == f'psij-ext {__version__}'
