"""Scenes that are the same for all schedulers: what goes wrong in each phase of a job's life, in its commands or around it."""

from __future__ import annotations

import contextlib
import copy
import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, ClassVar

import pytest
from common_scenes import RAN, awaiting, was_killed_without_a_word
from faulty_commands import FAULT_NAMES, FaultyRunner
from scenes_of_truth import Scene, Scenes
from stage_of_truth import STAY, Play, Stage
from troubles import TROUBLES, Trouble, trouble

from psij_ext import ExitReason, Job, JobState, PsijExtError, SubmitException, SubmitUncertain
from psij_ext.runtime import processes
from psij_ext.runtime.claims import new_nonce
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.script import make_absolute

Phase = Callable[[Stage, 'Fault'], None]
DEAD = {**processes.this_process(), 'pid': 4_000_000, 'start_time': 1}
# An answer of no words, or one that is cut between two lines, cannot be told from one about fewer jobs: only patience helps.
BELIEVABLE = ('empty', 'half', 'acts_and_says_nothing')
SETTINGS: dict[str, Any] = {'command_timeout': 5, 'submit_timeout': 5, 'submit_retry_time': 0, 'absence_grace': 1}


class Fault:
    """What goes wrong in a phase: commands of the scheduler.

    :param name: which fault.
    """

    all_kinds: ClassVar[tuple[str, ...]] = ('submit', 'cancel', 'ask')

    def __init__(self, name: str) -> None:
        self.name = name

    def at(self, stage: Stage) -> None:
        """Lead the commands of a stage over a runner that can fail."""
        self._runner = FaultyRunner(stage.variables, stage.folder)
        stage.executor.runner = self._runner
        if self.name in BELIEVABLE:
            stage.executor.config.absence_grace = 30

    @contextlib.contextmanager
    def on(self, *kinds: str) -> Iterator[None]:
        """Let it go wrong for a while, as far as these kinds of commands are concerned."""
        with self._runner.on(self.name, *kinds):
            yield

    def await_rounds(self) -> None:
        """Wait for more commands that go wrong, for longer than a job may be absent."""
        began = time.monotonic()
        while time.monotonic() < began + 1.5 * SETTINGS['absence_grace']:
            self._runner.await_fault()


class FaultAround(Fault):
    """What goes wrong around the commands, which themselves do what they should."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__('none')
        self._trouble = trouble

    @contextlib.contextmanager
    def on(self, *kinds: str) -> Iterator[None]:
        with super().on(*kinds), self._trouble():
            yield


def submit(stage: Stage, fault: Fault) -> None:
    play = stage.plan('echo ran >> ledger; exit 3')
    submit_for_certain(stage, play, fault)
    play.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    ran_once(stage, play.job)


def poll(stage: Stage, fault: Fault) -> None:
    fault.at(stage)
    meanwhile, later = awaiting(stage, 3), awaiting(stage, 0)
    later.sees(RAN)
    with fault.on('ask'):
        fault.await_rounds()
        meanwhile.let_go()
        fault.await_rounds()
        assert later.seen == RAN
    later.let_go()
    later.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    meanwhile.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)


def cancel(stage: Stage, fault: Fault) -> None:
    fault.at(stage)
    spared, cancelled = awaiting(stage, 0), stage.play_until_told(STAY)
    with fault.on('cancel'), contextlib.suppress(SubmitException):
        cancelled.job.cancel()
    cancelled.job.cancel()
    cancelled.ends_for(f'{RAN} CANCELED', ExitReason.CANCELED)
    assert spared.seen == RAN
    spared.let_go()
    spared.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


def recover(stage: Stage, fault: Fault) -> None:
    over, alive = awaiting(stage, 3), awaiting(stage, 0)
    unheard, heard = cut_short(stage, 'echo unheard >> ledger'), cut_short(stage, 'echo ran >> ledger; exit 4')
    stage.executor.runner.run(heard[1], timeout=60, cwd=heard[0].path)
    stage.executor.close()
    for folder in (over.work_folder, alive.work_folder):
        folder.note_owner(DEAD)
    over.let_go()
    later = stage.sibling(**SETTINGS)
    try:
        fault.at(later)
        with fault.on(*fault.all_kinds):
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


def unrecorded_end(stage: Stage, fault: Fault) -> None:
    """Submitted while it goes wrong; the script is killed and tells nothing, so that the scheduler must."""
    play = stage.plan(STAY)
    submit_for_certain(stage, play, fault)
    os.kill(stage.script_above(int(play.hear())), signal.SIGKILL)
    was_killed_without_a_word(play)


def submit_for_certain(stage: Stage, play: Play, fault: Fault) -> None:
    """Submit a job while it goes wrong, and again if that was refused."""
    fault.at(stage)
    refused = False
    with fault.on('submit'):
        try:
            stage.executor.submit(play.job)
        except SubmitException as error:
            assert not isinstance(error, SubmitUncertain)
            refused = True
    if refused:
        assert (play.job.status.state, play.job.native_id) == (JobState.NEW, None)
        stage.executor.submit(play.job)


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


def _scene(phase: Phase, fault: str) -> Scene:
    def scene(stage: Stage) -> None:
        phase(stage, Fault(fault))

    scene.__name__ = f'{phase.__name__}-{fault}'
    return scene


PHASES = (submit, poll, cancel, recover)
# One of each kind, for those who have little time.
SOME = {
    'submit-timed_out_after', 'submit-empty', 'submit-code_1_after', 'poll-timed_out_before', 'poll-half', 'poll-code_1_before',
    'cancel-timed_out_after', 'cancel-code_1_before', 'recover-half', 'recover-code_1_before'}
TABLE = [_scene(phase, fault) for phase in PHASES for fault in FAULT_NAMES]


def take_table(scenes: Scenes, worlds: Sequence[str]) -> None:
    """Take the whole table in; most of it is for those who have time."""
    for scene in TABLE:
        scenes(scene, worlds=worlds, soak=scene.__name__ not in SOME)


SOME_AROUND = ('EIO', 'back an hour')
AROUND = pytest.mark.parametrize(('phase', 'name'), [
    pytest.param(phase, name, id=f'{phase.__name__}-{name}', marks=() if name in SOME_AROUND and phase in PHASES else pytest.mark.soak)
    for phase in (*PHASES, unrecorded_end) for name in TROUBLES])


def trouble_at(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> FaultAround:
    """Make what goes wrong around a stage in this folder; its index is its own."""
    monkeypatch.setenv('XDG_STATE_HOME', str(folder / 'state'))
    return FaultAround(trouble(name, monkeypatch, folder / 'work', folder / 'state'))
