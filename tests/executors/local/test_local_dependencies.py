"""Local jobs that wait for others: nobody but their own supervisors sees to it."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from local_machine import PATIENCE, Machine, end, kill_session, leader, program, runs, until

from psij_ext import ExitReason, InvalidJobException, Job, JobSpec, JobState
from psij_ext.installation import data_folder
from psij_ext.runtime import processes

QUEUED, ACTIVE, COMPLETED, FAILED = JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED, JobState.FAILED
IN_VAIN = (FAILED, None, ExitReason.DEPENDENCY_FAILED, None)


def submit_after(machine: Machine, executor: object, script: str, **others: list[Job]) -> Job:
    job = Job(JobSpec('/bin/bash', ['-c', script], directory=machine.folder))
    executor.submit(job, **others)  # type: ignore[attr-defined]
    machine.jobs.append(job)
    return job


def held(machine: Machine) -> list[Path]:
    return list((machine.folder / 'state').rglob('slots/*/*/held/*'))


def test_a_job_that_waits_for_another_keeps_no_core(machine: Machine) -> None:
    """It does not stand in the line for cores: those who came later go first."""
    executor = machine.one_core
    first = machine.running(executor, 'touch ready; await go')
    second = submit_after(machine, executor, 'echo second >> log', after_ok=[first])
    third = machine.shell(executor, 'echo third >> log; await on')
    fourth = machine.shell(executor, 'echo fourth >> log')
    assert len(held(machine)) == 1
    assert executor.list() == [str(job.native_id) for job in (first, second, third, fourth)]
    (machine.folder / 'go').touch()
    assert end(first)[0] is COMPLETED
    assert third.wait(PATIENCE, ACTIVE)
    until(lambda: not held(machine))
    assert second.status.state is QUEUED
    (machine.folder / 'on').touch()
    assert end(second)[0] is COMPLETED
    assert (machine.folder / 'log').read_text().split() == ['third', 'fourth', 'second']


def test_those_that_are_let_go_at_once_share_the_cores(machine: Machine) -> None:
    executor = machine.executor(max_processes=2)
    first = machine.running(executor, 'touch ready; await go')
    script = 'mkdir here.$$; ls -d here.* | wc -l >> log; sleep 0.03; rmdir here.$$'
    jobs = [submit_after(machine, executor, script, after_any=[first]) for _ in range(12)]
    others = [machine.shell(executor, script) for _ in range(3)]
    (machine.folder / 'go').touch()
    assert {end(job)[0] for job in [*jobs, *others]} == {COMPLETED}
    at_once = (machine.folder / 'log').read_text().split()
    assert len(at_once) == 15
    assert {*at_once} <= {'1', '2'}


def test_a_long_chain(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is woken by the end of the one before; it would look by itself, but here not in time."""
    templates = shutil.copytree(data_folder('templates'), machine.folder / 'templates')
    supervisor = templates / 'local' / 'supervisor.sh'
    patient = supervisor.read_text().replace('read -r -t 2 -u 8', 'read -r -t 1000 -u 8')
    assert patient != supervisor.read_text()
    supervisor.write_text(patient)
    monkeypatch.setattr('psij_ext.executors.local._TEMPLATES', templates)
    executor = machine.executor(max_processes=4)
    jobs = [machine.running(executor, 'touch ready; await go')]
    for number in range(15):
        jobs.append(submit_after(machine, executor, f'echo {number} >> log', after_ok=[jobs[-1]]))
    (machine.folder / 'go').touch()
    assert end(jobs[-1])[0] is COMPLETED
    assert (machine.folder / 'log').read_text().split() == [str(number) for number in range(15)]


def test_a_job_that_is_killed_with_its_supervisor_did_not_complete(machine: Machine) -> None:
    """It leaves no record, and wakes nobody."""
    executor = machine.executor(max_processes=4)
    first = machine.running(executor, 'touch ready; await go')
    vain = submit_after(machine, executor, 'touch vain', after_ok=[first])
    after_failure = submit_after(machine, executor, 'touch after', after_not_ok=[first])
    kill_session(first)
    assert end(vain) == IN_VAIN
    assert end(after_failure)[0] is COMPLETED
    assert not (machine.folder / 'vain').exists()


def test_a_job_that_has_lost_its_supervisor_is_not_over(machine: Machine) -> None:
    executor = machine.executor(max_processes=4)
    first = machine.running(executor, 'touch ready; await go; exit 3')
    second = submit_after(machine, executor, 'cat log', after_not_ok=[first])
    os.kill(leader(first), signal.SIGKILL)
    until(lambda: not runs(leader(first)))
    assert runs(script_of_orphan(first))
    for _ in range(5):  # whoever ends lets it look at what it waits for
        assert end(machine.shell(executor, 'true'))[0] is COMPLETED
    assert second.status.state is QUEUED
    (machine.folder / 'log').touch()
    (machine.folder / 'go').touch()
    assert end(second)[0] is COMPLETED


def script_of_orphan(job: Job) -> int:
    return next(pid for pid in processes.in_session(leader(job)) if os.getpgid(pid) == pid)


def test_a_supervisor_that_is_killed_while_it_waits(machine: Machine) -> None:
    """It is lost, and neither keeps others from running nor leaves its place behind."""
    executor = machine.executor(max_processes=4)
    first = machine.running(executor, 'touch ready; await go')
    killed = submit_after(machine, executor, 'touch killed', after_any=[first])
    second = submit_after(machine, executor, 'true', after_any=[first])
    os.kill(leader(killed), signal.SIGKILL)
    (machine.folder / 'go').touch()
    assert end(second)[0] is COMPLETED
    assert end(killed)[0] is FAILED
    until(lambda: not held(machine))
    assert not (machine.folder / 'killed').exists()


def test_the_job_of_a_program_that_has_ended(machine: Machine) -> None:
    """Its dependencies are in its journal, and its supervisor waits on."""
    executor = machine.executor(max_processes=4)
    first = machine.running(executor, 'touch ready; await go; exit 3')
    done = program(machine, '''
executor, first = make(max_processes=4, work_directory=machine / 'work'), Job()
executor.attach(first, sys.argv[1])
for kind in ('after_ok', 'after_any'):
    waiting = job(f'touch {kind}')
    executor.submit(waiting, **{kind: [first]})
    print(waiting.native_id, flush=True)
''', first.native_id)
    output, _ = done.communicate(timeout=30)
    vain, second = output.split()
    (machine.folder / 'go').touch()
    recovered = {job.native_id: job for job in executor.recover()}
    machine.jobs += recovered.values()
    assert end(recovered[vain]) == IN_VAIN
    assert str(first.native_id) in str(recovered[vain].status.message)
    assert end(recovered[second])[0] is COMPLETED
    assert not (machine.folder / 'after_ok').exists()


def test_a_job_without_a_folder_here(machine: Machine, tmp_path: Path) -> None:
    """Nobody can tell how it ends."""
    elsewhere = machine.executor(max_processes=4, work_directory=tmp_path / 'elsewhere')
    there = machine.running(elsewhere, 'touch ready; await go')
    executor, seen = machine.executor(max_processes=4), Job()
    executor.attach(seen, str(there.native_id))
    with pytest.raises(InvalidJobException, match=f'{there.native_id}, which has no folder'):
        submit_after(machine, executor, 'true', after_any=[seen])
    (machine.folder / 'go').touch()


def test_a_signal_with_a_grace_ends_a_job_that_waits(machine: Machine) -> None:
    executor = machine.executor(max_processes=4)
    first = machine.running(executor, 'touch ready; await go')
    second = submit_after(machine, executor, 'touch ran', after_any=[first])
    second.cancel(signal='USR1', grace=3600)
    assert end(second)[0] is JobState.CANCELED
    (machine.folder / 'go').touch()
    assert end(first)[0] is COMPLETED
    assert not (machine.folder / 'ran').exists()
