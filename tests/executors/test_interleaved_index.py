"""Whatever another process does between any two operations of one that writes, rebuilds or prunes the index."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from interleaving import KEY, PLAYS, Known, Scene, Stage, known, play, warm_up

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime import index_rows
from psij_ext.runtime.ending import keep_end
from psij_ext.runtime.finding import find_folder
from psij_ext.runtime.index import Index
from psij_ext.runtime.index_rebuild import rebuild
from psij_ext.runtime.index_writer import IndexWriter
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.retention import prune

# Python warns of forks where there are threads (since 3.12); these begin anew.
pytestmark = pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')



def end(stage: Stage, native_id: str, *, reported: bool = True) -> None:
    """Let a job end, and be known to have done so."""
    stage.scheduler.begin(native_id)
    folder = find_folder(stage.jobs_folder, native_id)
    assert folder is not None
    keep_end(folder, JobStatus(JobState.COMPLETED, time=1.0, exit_code=0), ExitInfo(ExitReason.EXITED, 0), reported=reported)


def submitted(stage: Stage, *keys: str | None) -> list[Job]:
    with stage.opened() as executor:
        jobs = [stage.job() for _ in keys]
        for job, key in zip(jobs, keys):
            executor.submit(job, key=key)
    return jobs


class Prunes(Scene):
    """A job has ended and may go."""

    has_index = prunes = True

    def prepare(self, stage: Stage) -> None:
        submitted(stage, KEY)
        end(stage, '1')

    def prune(self, stage: Stage) -> Any:
        stage.begin()
        pruned = prune([stage.work], timedelta(0), time.time())
        return {**pruned.troubles, **({} if pruned.index_trouble is None else {'index': pruned.index_trouble})}

    first = second = prune

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if first or second:
            yield f'{first}, {second}'
        if Index(stage.folder / 'state' / 'psij-ext').jobs():
            yield 'it is in the index'


class PrunedWhileOthersSubmit(Prunes):
    """The scheduler has lost its state, and gives its ids once more."""

    def prepare(self, stage: Stage) -> None:
        super().prepare(stage)
        stage.scheduler.forget()

    def second(self, stage: Stage) -> Any:
        return known(*submitted(stage, None, None))

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if first or second != left:
            yield f'{first}, {second}, left: {left}'


class SubmittedWhilePruned(PrunedWhileOthersSubmit):
    def first(self, stage: Stage) -> Any:
        with stage.opened() as executor:
            jobs = [stage.job() for _ in range(2)]
            stage.begin()
            for job in jobs:
                executor.submit(job)
            return known(*jobs)

    def second(self, stage: Stage) -> Any:
        return self.prune(stage)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        return super().check(stage, second, first, left)


class KeyTakenWhilePruned(Prunes):
    """The job that has the key is over, and goes: it is followed, or the key is free."""

    most_runs_under_key = 2

    def first(self, stage: Stage) -> Any:
        with stage.opened() as executor:
            job = stage.job()
            stage.begin()
            executor.submit(job, key=KEY)
            return job.native_id, str(job.status.state)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if first not in (('1', 'COMPLETED'), ('2', 'QUEUED')) or second:
            yield f'{first}, {second}'


class PrunedWhileItsKeyIsTaken(KeyTakenWhilePruned):
    def first(self, stage: Stage) -> Any:
        return self.prune(stage)

    def second(self, stage: Stage) -> Any:
        return super().first(stage)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        return super().check(stage, second, first, left)


class AttachedWhilePruned(Prunes):
    def first(self, stage: Stage) -> Any:
        with stage.opened() as executor:
            job = Job()
            stage.begin()
            executor.attach(job, '1')
            return str(job.status.state)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        # One that is gone is a job of which nothing is known yet.
        if first not in ('COMPLETED', 'QUEUED') or second:
            yield f'{first}, {second}'


class RecoveredWhilePruned(Prunes):
    """The end of another job was not reported yet."""

    def prepare(self, stage: Stage) -> None:
        submitted(stage, None, None)
        end(stage, '1')
        end(stage, '2', reported=False)

    def first(self, stage: Stage) -> Any:
        with stage.opened() as executor:
            stage.begin()
            return [(job.native_id, str(job.status.state)) for job in executor.recover()]

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if first != [('2', 'COMPLETED')] or second:
            yield f'{first}, {second}'


class PrunedWhileRecovered(RecoveredWhilePruned):
    def first(self, stage: Stage) -> Any:
        return self.prune(stage)

    def second(self, stage: Stage) -> Any:
        return super().first(stage)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        return super().check(stage, second, first, left)


# -- the index


class RebuiltWhileWritten(Scene):
    """A job's end is written into the index while that is made anew."""

    has_index = True

    def prepare(self, stage: Stage) -> None:
        job, = submitted(stage, None)
        (stage.folder / 'id').write_text(job.id)

    def write(self, stage: Stage) -> Any:
        folder = JobFolder(stage.jobs_folder / (stage.folder / 'id').read_text())
        status, info = JobStatus(JobState.COMPLETED, exit_code=0), ExitInfo(ExitReason.EXITED, 0)
        writer = IndexWriter()
        stage.begin()
        keep_end(folder, status, info, reported=True)
        writer._write([index_rows.ended(folder.job_id, status, info), index_rows.reported(folder.job_id, time.time())])
        return writer.dropped

    def rebuild(self, stage: Stage) -> Any:
        stage.begin()
        return len(rebuild([stage.work]).unreadable)

    first, second = rebuild, write

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        jobs = Index(stage.folder / 'state' / 'psij-ext').jobs()
        said = [(job.state, job.reported is not None) for job in jobs]
        if said != [(JobState.COMPLETED, True)] or first or second:
            yield f'{first}, {second}, {said}'


class WrittenWhileRebuilt(RebuiltWhileWritten):
    first, second = RebuiltWhileWritten.write, RebuiltWhileWritten.rebuild


class BrokenAndRebuilt(RebuiltWhileWritten):
    def prepare(self, stage: Stage) -> None:
        super().prepare(stage)
        (stage.folder / 'state' / 'psij-ext' / 'index.sqlite').write_bytes(b'broken' * 1000)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        kept = [*(stage.folder / 'state' / 'psij-ext').glob('*.broken-*')]
        if len(kept) != 1:
            yield f'kept: {kept}'
        yield from super().check(stage, first, second, left)


class BrokenAndWritten(BrokenAndRebuilt):
    first, second = RebuiltWhileWritten.write, RebuiltWhileWritten.rebuild


class RebuiltWhilePruned(Prunes):
    def first(self, stage: Stage) -> Any:
        stage.begin()
        return rebuild([stage.work]).unreadable


class PrunedWhileRebuilt(Prunes):
    def second(self, stage: Stage) -> Any:
        return rebuild([stage.work]).unreadable


SCENES = [Prunes, PrunedWhileOthersSubmit, SubmittedWhilePruned, KeyTakenWhilePruned, PrunedWhileItsKeyIsTaken,
          AttachedWhilePruned, RecoveredWhilePruned, PrunedWhileRecovered, RebuiltWhileWritten, WrittenWhileRebuilt,
          BrokenAndRebuilt, BrokenAndWritten, RebuiltWhilePruned, PrunedWhileRebuilt]


@pytest.fixture(scope='module', autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    warm_up(tmp_path_factory.mktemp('warm'))


@pytest.mark.parametrize(('scene', 'plays'), [
    *((scene, PLAYS) for scene in SCENES), *(pytest.param(scene, None, marks=pytest.mark.soak) for scene in SCENES)])
def test_whatever_happens_in_between(scene: type[Scene], plays: int | None, tmp_path: Path) -> None:
    operations, problems = play(scene(), tmp_path, plays)
    assert not problems, '\n'.join(problems)
    assert operations > 10
