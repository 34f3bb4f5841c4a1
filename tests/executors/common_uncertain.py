"""A server that hangs while a job is submitted, and a file system that is away for that time, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from stage_of_truth import Play, Stage

from psij_ext import ExitReason, JobState, SubmitUncertain
from psij_ext.exceptions import CommandTimeout
from psij_ext.runtime.command import CommandResult


class Breaking:
    """Runs commands; takes the folder of a job away as soon as its submit command was killed for the server's silence."""

    def __init__(self, stage: Stage) -> None:
        self._inner = stage.executor.runner
        self._folder = Path()
        stage.executor.runner = self

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        try:
            return self._inner.run(argv, timeout=timeout, cwd=cwd, env=env, once_started=once_started)
        except CommandTimeout:
            if cwd is not None:
                self._folder = cwd
                cwd.rename(self._away)
            raise

    def mend(self) -> None:
        self._away.rename(self._folder)

    @property
    def _away(self) -> Path:
        return self._folder.parent / f'.{self._folder.name}'


def submit_into_silence(stage: Stage, play: Play, breaking: Breaking) -> None:
    with pytest.raises(SubmitUncertain):
        stage.executor.submit(play.job)
    assert (play.job.native_id, play.job.status.state) == (None, JobState.NEW)
    breaking.mend()
    play.until(lambda: stage.executor.health == 'degraded', 'the server is not missed')
    assert (play.job.native_id, play.seen) == (None, '')


def is_found(play: Play) -> None:
    """It is followed to its end, and has run once."""
    play.ends('QUEUED ACTIVE FAILED', ExitReason.EXITED, 3)
    assert (play.stage.folder / 'ran').read_text() == '\n'
    assert play.work_folder.read_journal().native_id == play.native_id


def never_runs(play: Play) -> None:
    play.ends_for('FAILED', ExitReason.SUBMIT_FAILED)
    assert play.job.native_id is None
    assert play.work_folder.read_journal().not_submitted is not None
    assert not (play.stage.folder / 'ran').exists()
