"""Scenes that are the same for all schedulers: each fault of its commands in each phase of a job's life."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Sequence
from typing import Callable

from common_scenes import RAN, awaiting
from faulty_commands import FAULT_NAMES, FaultyRunner
from stage_of_truth import STAY, Play, Stage

from psij_ext import ExitReason, Job, JobState, PsijExtError, SubmitException, SubmitUncertain
from psij_ext.runtime import processes
from psij_ext.runtime.jobfolder import JobFolder, new_nonce
from psij_ext.runtime.script import make_absolute

DEAD = {**processes.this_process(), 'pid': 4_000_000, 'start_time': 1}
ROUNDS = 3


def submit(stage: Stage, fault: str) -> None:
    runner = faulty(stage)
    play = stage.plan('echo ran >> ledger; exit 3')
    refused = False
    with runner.on(fault, 'submit'):
        try:
            stage.executor.submit(play.job)
        except SubmitException as error:
            assert not isinstance(error, SubmitUncertain)
            refused = True
    if refused:
        assert (play.job.status.state, play.job.native_id) == (JobState.NEW, None)
        stage.executor.submit(play.job)
    play.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    ran_once(stage, play.job)


def poll(stage: Stage, fault: str) -> None:
    runner = faulty(stage)
    meanwhile, later = awaiting(stage, 3), awaiting(stage, 0)
    later.sees(RAN)
    with runner.on(fault, 'ask'):
        runner.await_faults(ROUNDS)
        meanwhile.let_go()
        runner.await_faults(ROUNDS)
        assert later.seen == RAN
    later.let_go()
    later.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    meanwhile.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)


def cancel(stage: Stage, fault: str) -> None:
    runner = faulty(stage)
    spared, cancelled = awaiting(stage, 0), stage.play_until_told(STAY)
    with runner.on(fault, 'cancel'), contextlib.suppress(SubmitException):
        cancelled.job.cancel()
    cancelled.job.cancel()
    cancelled.ends_for(f'{RAN} CANCELED', ExitReason.CANCELED)
    assert spared.seen == RAN
    spared.let_go()
    spared.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


def recover(stage: Stage, fault: str) -> None:
    over, alive = awaiting(stage, 3), awaiting(stage, 0)
    unheard, heard = cut_short(stage, 'echo unheard >> ledger'), cut_short(stage, 'echo ran >> ledger; exit 4')
    stage.executor.runner.run(heard[1], timeout=60, cwd=heard[0].path)
    stage.executor.close()
    for folder in (over.work_folder, alive.work_folder):
        folder.note_owner(DEAD)
    over.let_go()
    later = stage.sibling()
    try:
        runner = faulty(later)
        with runner.on(fault, 'submit', 'cancel', 'ask'):
            try:
                first = later.executor.recover()
            except PsijExtError:
                first = []
        second = later.executor.recover()
        jobs = {job.id: job for job in [*first, *second]}
        assert sorted(job.id for job in [*first, *second]) == sorted(
            [over.job.id, alive.job.id, unheard[0].job_id, heard[0].job_id])
        assert jobs[unheard[0].job_id].status.state is JobState.NEW
        last = jobs[heard[0].job_id]
        if last.status.state is JobState.NEW:  # it was revoked before its script began
            assert last.native_id is None
            later.executor.submit(last)
        follows(jobs[over.job.id], later).ends('.* FAILED', ExitReason.EXITED, 3)
        follows(last, later).ends('.* FAILED', ExitReason.EXITED, 4)
        ran_once(later, last)
        assert not jobs[alive.job.id].status.final
        alive.let_go()
        follows(jobs[alive.job.id], later).ends('.* COMPLETED', ExitReason.EXITED, 0)
    finally:
        later.close()


def faulty(stage: Stage) -> FaultyRunner:
    """Lead the commands of a stage over a runner that can fail."""
    runner = FaultyRunner(stage.variables, stage.folder)
    stage.executor.runner = runner
    return runner


def follows(job: Job, stage: Stage) -> Play:
    play = Play(stage, job, None)
    # Callbacks saw nothing of what was before.
    play._seen = [JobState.QUEUED, job.status.state]
    return play


def ran_once(stage: Stage, job: Job) -> None:
    """See that a job has run, once, and that no other job that the scheduler got from its folder will."""
    def alive() -> set[str]:
        return {*stage.executor._origins().get(job.id, ())} & {*stage.executor.list()}

    Play(stage, job, None).until(lambda: not alive(), 'jobs from its folder do not end')
    assert (stage.folder / 'ledger').read_text() == 'ran\n'


def cut_short(stage: Stage, script: str) -> tuple[JobFolder, Sequence[str]]:
    """Do what a process does until it dies just before it runs the submit command; return the folder and the command."""
    executor = stage.executor
    job = copy.copy(stage.plan(script).job)
    assert job.spec is not None
    job.spec = make_absolute(job.spec, stage.folder)
    folder, nonce = executor._make_folder(job.id), new_nonce()
    executor._write_record(folder, job.spec, nonce, None)
    text, command = executor.render(job, folder, nonce, executor._mailbox)
    folder.write_script(text)
    folder.note_owner(DEAD)
    return folder, command


def _scene(phase: Callable[[Stage, str], None], fault: str) -> Callable[[Stage], None]:
    def scene(stage: Stage) -> None:
        phase(stage, fault)

    scene.__name__ = f'{phase.__name__}-{fault}'
    return scene


TABLE = [_scene(phase, fault) for phase in (submit, poll, cancel, recover) for fault in FAULT_NAMES]
