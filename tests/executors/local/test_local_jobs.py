"""What the local executor refuses, what its jobs see, and who follows them."""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable

import pytest
from local_machine import (
    Machine,
    end,
    leader,
    own_children,
    program,
    runs,
    until,
)

from psij_ext import (
    InvalidJobException,
    Job,
    JobAttributes,
    JobExecutorConfig,
    JobSpec,
    JobState,
    ResourceSpecV1,
    StageIn,
    StageOut,
    SubmitException,
)
from psij_ext.core.exit_info import ExitReason
from psij_ext.core.staging import StagingMode
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.executors.local import LocalExecutorConfig, LocalJobExecutor
from psij_ext.runtime import children, processes, supervisor
from psij_ext.runtime.slots import Slots

# -- what is refused, and what is not


@pytest.mark.parametrize(('spec', 'words'), [
    (JobSpec('/bin/true', resources=ResourceSpecV1(node_count=2)), 'node_count: 2'),
    (JobSpec('/bin/true', resources=ResourceSpecV1(gpu_cores_per_process=1)), 'GPU'),
    (JobSpec('/bin/true', resources=ResourceSpecV1(memory=2 ** 60)), 'memory'),
    (JobSpec('/bin/true', directory='/nonexistent/place'), '/nonexistent/place'),
    (JobSpec('/bin/true', directory='/bin/true'), '/bin/true'),
    (JobSpec('/bin/true', attributes=JobAttributes(custom_attributes={'nice': 5})), 'nice.*which scheduler'),
    (JobSpec('/bin/true', attributes=JobAttributes(custom_attributes={'local.nice': 5})), r'local\.nice'),
    (JobSpec('/bin/true', launcher='nosuch'), 'nosuch'),
])
def test_what_this_machine_cannot_do_is_refused(machine: Machine, spec: JobSpec, words: str) -> None:
    executor = machine.executor(max_processes=4)
    job = Job(spec)
    with pytest.raises(InvalidJobException, match=words):
        executor.submit(job)
    assert (job.status.state, job.native_id, job.executor) == (JobState.NEW, None, None)
    assert executor.list() == []


def test_what_only_schedulers_have_changes_nothing(machine: Machine) -> None:
    attributes = JobAttributes(queue_name='batch', account='physics', reservation_id='morning',
                               custom_attributes={'slurm.constraint': 'gpu', 'pbs.l': 'place=free'})
    resources = ResourceSpecV1(node_count=1, memory=1024, gpu_cores_per_process=0)
    spec = JobSpec('/bin/true', directory=machine.folder, attributes=attributes, resources=resources)
    assert end(machine.submit(machine.executor(), Job(spec)))[0] is JobState.COMPLETED


def test_configuration(machine: Machine) -> None:
    assert LocalJobExecutor().max_processes == len(os.sched_getaffinity(0))
    assert machine.executor(max_processes=7).max_processes == 7
    plain = LocalJobExecutor(config=JobExecutorConfig(work_directory=machine.folder))
    assert plain.work_directory == machine.folder / 'local'
    assert LocalExecutorConfig(cancel_grace=timedelta(minutes=1)).cancel_grace == 60.0
    with pytest.raises(TypeError, match='LocalExecutorConfig'):
        LocalJobExecutor(config=BatchSchedulerExecutorConfig())
    with pytest.raises(ValueError, match=r'LocalExecutorConfig\.max_processes'):
        LocalExecutorConfig(max_processes=0)
    with pytest.raises(ValueError, match=r'LocalExecutorConfig\.cancel_grace'):
        LocalExecutorConfig(cancel_grace=-1)


def test_fewer_cores_than_the_machine_has(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, 'sched_getaffinity', lambda pid: {0, 2, 5})
    assert machine.executor().max_processes == 3


# -- files and environment


def test_the_disk_holds_a_folder_when_the_executor_is_closed(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(os, 'fsync', lambda descriptor: synced.append(Path(os.readlink(f'/proc/self/fd/{descriptor}'))))
    executor = machine.executor()
    job = Job(JobSpec('/bin/true'))
    executor.submit(job)
    executor.close()
    assert synced == [executor.work_directory / job.id / 'journal', executor.work_directory / job.id, executor.work_directory]


def test_files_and_staging(machine: Machine) -> None:
    (machine.folder / 'in put').write_text('fetched\n')
    (machine.folder / 'words').write_text('from stdin\n')
    place = machine.folder / 'a place'
    place.mkdir()
    job = machine.shell(
        machine.executor(), 'cat; cat here; echo oops >&2; pwd > result', directory=place,
        stdin_path=machine.folder / 'words', stdout_path='out', stderr_path='err',
        stage_in={StageIn(machine.folder / 'in put', 'here', StagingMode.MOVE)},
        stage_out={StageOut('result', machine.folder / 'delivered', mode=StagingMode.MOVE)}, cleanup=['here'])
    assert end(job)[0] is JobState.COMPLETED
    assert ((place / 'out').read_text(), (place / 'err').read_text()) == ('from stdin\nfetched\n', 'oops\n')
    assert (machine.folder / 'delivered').read_text() == f'{place}\n'
    assert sorted(path.name for path in place.iterdir()) == ['err', 'out']


def environment_of(machine: Machine, executor: LocalJobExecutor, **fields: Any) -> dict[str, str]:
    job = machine.submit(executor, Job(JobSpec('/usr/bin/env', ['-0'], directory=machine.folder, **fields)))
    assert end(job)[0] is JobState.COMPLETED, job
    return dict(item.split('=', 1) for item in machine.output(job).split('\0') if item)


# What every shell sets for itself, and what is said to the job.
OF_THE_SHELL = {'_', 'OLDPWD', 'PWD', 'SHLVL', 'PSIJ_NODEFILE'}


def test_the_environment_is_inherited_as_it_is(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = {'folder': 'mine', 'slots': '3', 'limit': 'none', 'entry': 'x', 'line': 'two\nlines',
           'BASH_FUNC_f%%': '() {  echo f\n}', 'GLOBIGNORE': '*', 'CDPATH': '/',
           'a.b': 'dotted', 'PATH': '/nowhere', 'POSIXLY_CORRECT': '1'}
    for name, value in odd.items():
        monkeypatch.setenv(name, value)
    seen = environment_of(machine, machine.executor())
    expected = {name: value for name, value in os.environ.items() if name not in OF_THE_SHELL}
    assert {name: value for name, value in seen.items() if name not in OF_THE_SHELL} == expected


def test_options_of_the_submitters_shell_change_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SHELLOPTS', 'errexit:noglob:nounset:xtrace:noexec')
    monkeypatch.setenv('BASHOPTS', 'failglob')
    monkeypatch.setenv('BASH_FUNC_trap%%', '() {  echo stolen\n}')
    monkeypatch.setenv('BASH_FUNC_read%%', '() {  exit 9\n}')
    executor = machine.executor(max_processes=1)
    first = machine.running(executor, 'touch ready; await go', inherit_environment=False)
    second = machine.submit(executor, Job(JobSpec('/bin/true', directory=machine.folder)))
    until(lambda: Path(f'/proc/{leader(second)}/fd/9').exists())  # its supervisor works as far as to wait for cores
    second.cancel()
    assert end(second)[0] is JobState.CANCELED
    (machine.folder / 'go').touch()
    assert end(first)[0] is JobState.COMPLETED


def test_without_inheritance(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith('LC_'):
            monkeypatch.delenv(name)
    own = {'HOME': '/home/me', 'USER': 'me', 'LOGNAME': 'me', 'SHELL': '/bin/zsh', 'LANG': 'C', 'LC_TIME': 'C',
           'TZ': 'UTC'}
    for name, value in {**own, 'SECRET': 'x', 'PYTHONPATH': '/elsewhere', 'PATH': '/elsewhere'}.items():
        monkeypatch.setenv(name, value)
    seen = environment_of(
        machine, machine.executor(), inherit_environment=False, environment={'UID': '7', 'MINE': 'yes'})
    left = {name: value for name, value in seen.items() if name not in OF_THE_SHELL}
    assert left == {**own, 'PATH': '/usr/local/bin:/usr/bin:/bin', 'UID': '7', 'MINE': 'yes'}


def test_open_files_are_not_inherited(machine: Machine) -> None:
    read, written = os.pipe()
    os.set_inheritable(written, True)
    try:
        job = machine.running(machine.executor(), 'touch ready; await go')
        os.close(written)
        assert os.read(read, 1) == b''  # at its end although the job runs
    finally:
        os.close(read)
    assert job.status.state is not JobState.COMPLETED
    (machine.folder / 'go').touch()
    assert end(job)[0] is JobState.COMPLETED


def test_signals_that_the_program_blocks_or_ignores(machine: Machine) -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    jobs: list[Job] = []

    def submit() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGCHLD, signal.SIGINT})
        jobs.append(machine.running(machine.executor(cancel_grace=20), 'touch ready; await never'))

    try:
        thread = threading.Thread(target=submit)
        thread.start()
        thread.join()
    finally:
        signal.signal(signal.SIGTERM, before)
    jobs[0].cancel()
    assert end(jobs[0]) == (JobState.CANCELED, 143, ExitReason.CANCELED, 15)


# -- other programs


def test_jobs_outlive_a_killed_program(machine: Machine) -> None:
    other = program(machine, (
        'executor = make(max_processes=1, work_directory=machine / "work")\n'
        'jobs = [job("touch ready; await go; exit 3"), job("echo second >> order"),\n'
        '        job("echo third >> order; exit 4")]\n'
        'for each in jobs: executor.submit(each)\n'
        'jobs[0].wait(target_states=JobState.ACTIVE)\n'
        'print(*(each.native_id for each in jobs), flush=True)\n'
        'os.kill(os.getpid(), signal.SIGKILL)\n'))
    ids = other.communicate(timeout=60)[0].split()
    assert other.returncode == -9
    executor = machine.executor(max_processes=1)
    assert executor.list() == ids
    jobs = [Job() for _ in ids]
    for job, native_id in zip(jobs, ids):
        executor.attach(job, native_id)
        machine.jobs.append(job)
    until(lambda: [job.status.state for job in jobs] == [JobState.ACTIVE, JobState.QUEUED, JobState.QUEUED])
    (machine.folder / 'go').touch()
    assert [end(job)[:2] for job in jobs] == [(JobState.FAILED, 3), (JobState.COMPLETED, 0), (JobState.FAILED, 4)]
    assert (machine.folder / 'order').read_text().split() == ['second', 'third']
    until(lambda: executor.list() == [])


def test_another_program_lists_and_cancels(machine: Machine) -> None:
    executor = machine.one_core
    running = machine.running(executor, 'touch ready; await never')
    waiting = machine.shell(executor, 'true')
    other = program(machine, (
        'executor = make(work_directory=machine / "work")\n'
        'ids = executor.list()\n'
        'jobs = [Job() for _ in ids]\n'
        'for each, native_id in zip(jobs, ids): executor.attach(each, native_id)\n'
        'for each in reversed(jobs): each.cancel()\n'
        'print(*ids, *(each.wait() for each in jobs))\n'))
    printed = other.communicate(timeout=60)[0].split(None, 2)
    assert printed == [running.native_id, waiting.native_id, 'CANCELED, exit code 143 CANCELED, exit code 143\n']
    assert end(running)[0] is end(waiting)[0] is JobState.CANCELED


@pytest.mark.parametrize('native_id', [
    '', '12', '12.', '.5', '12.x', 'x.12', '-1.5', '1.5.2', '1234[]', '\u0661.\u0662'])
def test_attach_to_what_is_no_native_id(machine: Machine, native_id: str) -> None:
    job = Job()
    with pytest.raises(InvalidJobException, match='native id'):
        machine.executor().attach(job, native_id)
    assert (job.native_id, job.executor) == (None, None)


def test_attach_to_a_job_of_another_machine(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    job = machine.running(machine.executor(), 'touch ready; await go; exit 3')
    monkeypatch.setattr(processes, 'this_process', lambda: {'host': 'elsewhere'})
    executor = machine.executor()
    with pytest.raises(InvalidJobException, match=os.uname().nodename):
        executor.attach(Job(), str(job.native_id))
    (machine.folder / 'go').touch()
    end(job)
    attached = Job()
    executor.attach(attached, str(job.native_id))  # its end is on record, for every machine
    assert end(attached)[:2] == (JobState.FAILED, 3)


def test_zombies_of_a_closed_executor(machine: Machine) -> None:
    before = own_children()
    executor = machine.executor()
    job = machine.running(executor, 'touch ready; await go')
    executor.close()
    (machine.folder / 'go').touch()
    until(lambda: not runs(leader(job)))
    assert own_children() - before == {leader(job)}  # a zombie, which costs an entry in a table
    assert end(machine.shell(machine.executor(), 'true'))[0] is JobState.COMPLETED
    until(lambda: own_children() <= before)


# -- what fails


def test_a_job_that_cannot_be_started(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = machine.executor(submit_retry_time=0)
    job = Job(JobSpec('/bin/true'))
    with monkeypatch.context() as patch:
        patch.setattr(supervisor, 'spawn', failing(OSError(errno.EAGAIN, 'no more processes')))
        with pytest.raises(SubmitException, match='no more processes') as caught:
            executor.submit(job)
    assert caught.value.transient
    assert caught.value.script_path is not None
    assert (job.status.state, job.native_id, job.executor) == (JobState.NEW, None, None)
    assert end(machine.submit(executor, job))[0] is JobState.COMPLETED


def test_a_supervisor_without_a_place_ends(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = machine.executor()
    before = own_children()
    job = Job(JobSpec('/bin/touch', [str(machine.folder / 'trace')]))
    with monkeypatch.context() as patch:
        patch.setattr(Slots, 'take_place', failing(OSError(errno.ENOSPC, 'disk full')))
        with pytest.raises(SubmitException, match='disk full') as caught:
            executor.submit(job)
    assert not caught.value.transient
    until(lambda: own_children() <= before)
    assert not (machine.folder / 'trace').exists()
    assert end(machine.submit(executor, job))[0] is JobState.COMPLETED
    assert (machine.folder / 'trace').exists()


@pytest.mark.parametrize('late', [False, True])
def test_an_interrupted_submission_does_not_run(machine: Machine, monkeypatch: pytest.MonkeyPatch, late: bool) -> None:
    executor = machine.executor()
    before = own_children()
    job = Job(JobSpec('/bin/bash', ['-c', f'sleep 0.3; touch {machine.folder}/trace']))
    write = os.write

    def interrupted(descriptor: int, content: bytes) -> int:
        if re.fullmatch(rb'[0-9]{20}[.0-9]+\n', content) is None:
            return write(descriptor, content)
        if late:  # the supervisor learns of its place, and begins
            write(descriptor, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, 'write', interrupted)
        with pytest.raises(KeyboardInterrupt):
            executor.submit(job)
    until(lambda: own_children() <= before)
    assert (job.native_id, job.executor) == (None, None)
    assert end(machine.shell(executor, 'sleep 0.5'))[0] is JobState.COMPLETED
    assert not (machine.folder / 'trace').exists()
    until(lambda: executor.list() == [])


def failing(error: Exception) -> Callable[..., Any]:
    def fail(*arguments: object, **named: object) -> None:
        raise error

    return fail


def test_a_python_without_setsid(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    spawn = os.posix_spawn

    def old_spawn(*arguments: Any, setsid: bool = False, **named: Any) -> int:
        if setsid:
            raise NotImplementedError
        return spawn(*arguments, **named)

    monkeypatch.setattr(os, 'posix_spawn', old_spawn)
    job = machine.running(machine.executor(), 'touch ready; await never')
    assert os.getsid(leader(job)) == leader(job)
    job.cancel()
    assert end(job)[0] is JobState.CANCELED
    monkeypatch.setattr(children, 'find_program', lambda name: None)
    with pytest.raises(SubmitException, match='setsid'):
        machine.shell(machine.executor(), 'true')


def test_no_signal_handler_is_installed(machine: Machine) -> None:
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    assert end(machine.shell(machine.executor(), 'true'))[0] is JobState.COMPLETED
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


def test_a_preview_shows_what_would_run(machine: Machine) -> None:
    executor = machine.executor(max_processes=3)
    job = Job(JobSpec('/bin/echo', ['two words'], attributes=JobAttributes(duration=timedelta(seconds=90))))
    script, command = executor.preview(job)
    assert script.startswith('#!/bin/bash\n')
    assert "'two words'" in script
    assert '90.000000' in command
    assert not machine.work_directory.exists()
