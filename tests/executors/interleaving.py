"""Two processes at a time: one is stopped before each of its operations in turn, and another does its work meanwhile.

A scene is played once for each operation of its first process. A process that comes to wait for the other one is no
longer waited for.
"""

from __future__ import annotations

import fcntl
import functools
import gc
import os
import pickle
import select
import shutil
import signal
import sqlite3
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable, ClassVar, Optional, Tuple

from shared_scheduler import SharedScheduler, StagedExecutor

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime.finding import find_folder, job_folders, submission_folders
from psij_ext.runtime.index_rebuild import rebuild
from psij_ext.runtime.native_names import holder_of
from psij_ext.runtime.retention import prune

# What others may see, or what shows what they did.
OPERATIONS = ('open', 'write', 'read', 'link', 'symlink', 'readlink', 'replace', 'rename', 'mkdir', 'unlink', 'rmdir',
              'scandir', 'listdir', 'stat', 'lstat', 'chmod', 'ftruncate', 'posix_spawn')
SECONDS = 30
# How often a scene is played by those with little time.
PLAYS = 2
NEVER = 0
KEY = 'k'
Known = Sequence[Tuple[str, Optional[str]]]  # jobs, with their native ids


_launchers: dict[str, Launcher] = {}


class Points:
    """Counts the operations of this process's main thread, and stops before one of them until it is told to go on."""

    def __init__(self, last: int, stop: Callable[[], object]) -> None:
        self.count = 0
        self._last = last
        self._stop = stop
        self._thread: int | None = None

    def begin(self) -> None:
        self._thread = threading.get_ident()
        for name in OPERATIONS:
            setattr(os, name, self._counted(getattr(os, name)))
        fcntl.flock = self._counted(fcntl.flock)
        connect = sqlite3.connect

        def connected(*arguments: Any, **options: Any) -> Any:
            self.here()
            connection = connect(*arguments, **options)
            connection.set_trace_callback(lambda _: self.here())
            return connection

        sqlite3.connect = connected  # type: ignore[assignment]

    def end(self) -> None:
        self._thread = None

    def here(self) -> None:
        # Several jobs are submitted on threads of their own.
        if self._thread is not None and (threading.get_ident() == self._thread or threading.current_thread().name.startswith(
                'psij-ext submitting')):
            self.count += 1
            if self.count == self._last:
                self._stop()

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.here()
            return operation(*arguments, **options)

        return counted


class Stage:
    """Where a scene is played once: a work directory, a scheduler, and what is in one process alone."""

    def __init__(self, folder: Path, has_index: bool = False) -> None:
        self.folder = folder
        self.has_index = has_index
        self.work = folder / 'work'
        self.scheduler = SharedScheduler(folder / 'scheduler')
        self.scheduler.folder.mkdir(parents=True)
        # What the present process does when its dangerous part begins, and when it waits for another.
        self.begin: Callable[[], None] = lambda: None
        self.executor: StagedExecutor | None = None  # for those that are forked off
        self.waits: Callable[[], object] = lambda: None

    def opened(self, session: str | None = None, **settings: Any) -> StagedExecutor:
        executor = StagedExecutor(config=BatchSchedulerExecutorConfig(
            work_directory=self.work, initial_queue_polling_delay=30, queue_polling_interval=30, submit_timeout=SECONDS,
            session=session, **{'submit_retry_time': 0, **settings}))
        executor.runner = self.scheduler
        executor._launchers = _launchers  # to look for them takes longer than all else
        if not self.has_index:
            executor._index._write = lambda rows: None  # type: ignore[method-assign]
        sleep = executor.sleep

        def sleep_patiently(seconds: float) -> None:
            self.waits()
            sleep(min(seconds, 0.005))

        executor.sleep = sleep_patiently
        return executor

    @property
    def jobs_folder(self) -> Path:
        return self.work / 'StagedExecutor'

    def job(self) -> Job:
        return Job(JobSpec('/bin/date', directory=self.folder))

    def waits_for_locks(self) -> None:
        """See to it that it is told when this process waits for a lock."""
        flock, sleep = fcntl.flock, time.sleep

        def sleep_told(seconds: float) -> None:
            self.waits()
            sleep(seconds)


        def told(descriptor: int, operation: int) -> None:
            try:
                flock(descriptor, operation | fcntl.LOCK_NB)
            except BlockingIOError:
                self.waits()
                flock(descriptor, operation)

        fcntl.flock, time.sleep = told, sleep_told


@dataclass
class Told:
    """What a process tells of its part."""

    value: Any = None
    error: str | None = None
    trace: str = ''


class Scene:
    """What is done, each in a process of its own; `prepare` by one that is gone when the others begin.

    What the others return is for `check`.
    """

    # The exceptions that their users may see.
    allowed: ClassVar[tuple[str, ...]] = ()
    most_runs_under_key = 1
    has_index = False
    # Whether jobs are pruned.
    prunes = False
    # Whether the second one is forked off by the first.
    forks = False

    def prepare(self, stage: Stage) -> None:
        """Do what was done before."""

    def first(self, stage: Stage) -> Any:
        """Do what is stopped before each of its operations, from `stage.begin()` on."""

    def second(self, stage: Stage) -> Any:
        """Do what is done meanwhile."""

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        """Tell what is wrong.

        :param left: the ids and native ids of the jobs that a third process recovered after the ends of both.
        """
        return iter(())


def warm_up(folder: Path) -> None:
    """Do once what a process does once, so that those that are forked off need not do it again."""
    stage = Stage(folder, has_index=True)
    with stage.opened() as executor:
        executor.submit(stage.job(), key=KEY)
        executor.submit_many([stage.job() for _ in range(3)])
        executor.recover()
        executor._index.flush(SECONDS)
    rebuild([stage.work], folder / 'state')
    prune([stage.work], timedelta(0), time.time(), folder=folder / 'state')


def play(scene: Scene, folder: Path, plays: int | None = None) -> tuple[int, list[str]]:
    """Play a scene for each operation of its first process, or for so many of them at even distances.

    :return: how many operations its first process has, and what was wrong.
    """
    last, problems = _play_once(scene, Stage(folder / 'whole', scene.has_index), NEVER)
    step = 1 if plays is None else max(last // plays, 1)
    for number in range(1 + last % step, last + 1, step):
        stage = Stage(folder / str(number), scene.has_index)
        _, found = _play_once(scene, stage, number)
        problems += [f'{type(scene).__name__}, stopped before operation {number}: {each}' for each in found]
        if not found:
            shutil.rmtree(stage.folder)
    return last, problems


def _play_once(scene: Scene, stage: Stage, number: int) -> tuple[int, list[str]]:
    """Return the number of operations until the end or the stop, and what was wrong."""
    _Process(stage, 'prepare', scene.prepare).result()
    before = {*_litter(stage)}  # of one that was killed
    stopped, go_on, waits, go = (os.pipe() for _ in range(4))

    def fork() -> None:
        # From another thread, so that what this one holds at the moment nobody in the child gives back.
        thread = threading.Thread(target=lambda: _Process(stage, 'second', scene.second).result())
        thread.start()
        thread.join()

    def stop(write: Callable[[int, bytes], int] = os.write, read: Callable[[int, int], bytes] = os.read) -> None:
        write(stopped[1], b's')
        read(go_on[0], 1)

    def first(stage: Stage) -> Any:
        points = Points(number, fork if scene.forks else stop)
        stage.scheduler.here = points.here
        stage.begin = points.begin
        told = scene.first(stage)
        points.end()
        if number == NEVER:
            return points.count
        return told

    def second(stage: Stage) -> Any:
        stage.waits = functools.partial(os.write, waits[1], b'w')
        stage.waits_for_locks()
        try:
            return scene.second(stage)
        finally:  # it lives on until the first one has done its part
            stage.waits()
            os.read(go[0], 1)

    def third(stage: Stage) -> Any:
        stage.scheduler.begin_all()
        with stage.opened() as executor:
            return [(job.id, job.native_id) for session in (None, 'another')
                    for job in (executor.recover() if session is None else executor.recover(session))]

    try:
        one = _Process(stage, 'first', first)
        if one.ended_or(stopped[0]) == 'ended':
            told = one.result()
            if told.error is not None or number == NEVER:
                return (0, [f'first: {told.error}\n{told.trace}']) if told.error else (told.value, [])
            both = told, _told_in(stage.folder / 'second')
        else:
            other = _Process(stage, 'second', second)
            other.ended_or(waits[0])
            os.write(go_on[1], b'g')
            told = one.result()
            os.write(go[1], b'g')
            both = told, other.result()
        left = _Process(stage, 'third', third).result()
    finally:
        for descriptor in (*stopped, *go_on, *waits, *go):
            os.close(descriptor)
    problems = [f'{name}: {each.error}\n{each.trace}' for name, each in zip(('first', 'second', 'third'), (*both, left))
                if each.error is not None and (name == 'third' or each.error.partition(':')[0] not in scene.allowed)]
    if not problems:
        problems = [*_common_problems(scene, stage), *sorted({*_litter(stage)} - before),
                    *scene.check(stage, both[0].value, both[1].value, left.value)]
    return number, problems


class _Process:
    """A process that does its part and ends without ado."""

    def __init__(self, stage: Stage, name: str, part: Callable[[Stage], Any]) -> None:
        self._outcome = stage.folder / name
        self._pid = os.fork()
        if self._pid == 0:
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                signal.alarm(SECONDS)
                gc.disable()  # it would touch, and so copy, all that is here
                os.environ['XDG_STATE_HOME'] = str(stage.folder / 'state')
                os.fsync = lambda descriptor: None  # there is no loss of power here
                write = self._outcome.write_bytes
                told = _tell(part, stage)
                write(pickle.dumps(told))
            finally:
                os._exit(0)
        self._descriptor = os.pidfd_open(self._pid)

    def ended_or(self, descriptor: int) -> str:
        """Wait until it has ended, or something can be read there."""
        ready, _, _ = select.select([self._descriptor, descriptor], [], [], 2 * SECONDS)
        return 'told' if descriptor in ready else 'ended'

    def result(self) -> Told:
        os.waitpid(self._pid, 0)
        os.close(self._descriptor)
        return _told_in(self._outcome)


def _told_in(outcome: Path) -> Told:
    if not outcome.exists():
        return Told(error='killed: it did not come to its end')
    told = pickle.loads(outcome.read_bytes())
    assert isinstance(told, Told)
    return told


def _tell(part: Callable[[Stage], Any], stage: Stage) -> Told:
    try:
        return Told(part(stage))
    except BaseException as error:
        return Told(error=f'{type(error).__name__}: {error}', trace=traceback.format_exc())


def known(*jobs: Job) -> Known:
    return [(job.id, job.native_id) for job in jobs]


def _common_problems(scene: Scene, stage: Stage) -> Iterator[str]:
    """Tell what is wrong whatever was played."""
    runs = dict(stage.scheduler.runs)
    journals = {folder.path.name if not folder.is_shared else f'{folder.path.name}/{folder.job_id}': (folder, folder.read_journal())
                for folder in job_folders(stage.jobs_folder)}
    known = {journal.native_id: folder.path.name for folder, journal in journals.values() if journal.native_id is not None}
    for folder, count in Counter((name, native_id.partition('_')[2]) for native_id, name in stage.scheduler.runs).items():
        if count > 1:
            yield f'{folder} ran {count} times'
    for native_id, name in runs.items():
        if known.get(native_id) != name and not (scene.prunes and not (stage.jobs_folder / name).exists()):
            yield f'{native_id} ran in {name}, and is known there as {[each for each, at in known.items() if at == name]}'
    for name, (folder, journal) in journals.items():
        if journal.native_id is not None and journal.not_submitted is not None:
            yield f'{name} was submitted as {journal.native_id}, and was not: {journal.not_submitted}'
        if journal.native_id is not None and journal.native_id not in runs and journal.native_id not in _canceled(stage):
            yield f'{name} was submitted as {journal.native_id}, which ran nothing'
        if journal.is_open:
            yield f'nobody knows what became of {name}'
        if journal.native_id is not None:
            found = find_folder(stage.jobs_folder, journal.native_id)
            if found is None or found.job_id != folder.job_id:
                yield f'{journal.native_id} does not lead to {name}'
    keyed = sum((journal.submission or {}).get('key') == KEY and journal.native_id in runs for _, journal in journals.values())
    if keyed > scene.most_runs_under_key:
        yield f'{keyed} jobs ran under the key'


def _canceled(stage: Stage) -> set[str]:
    """The ids of the jobs that were cancelled."""
    return {path.name.partition('.')[2] for path in stage.scheduler.folder.glob('gone.*')}


def _litter(stage: Stage) -> Iterator[str]:
    if not stage.jobs_folder.exists():
        return
    there = {folder.path.name for folder in submission_folders(stage.jobs_folder)}
    for path in stage.jobs_folder.iterdir():
        if path.name.startswith('.') and path.name not in ('.keys', '.native', '.lock', '.mailboxes'):
            yield f'{path.name} was left behind'
    for path in (*(stage.jobs_folder / '.native').glob('*.*'), *(stage.jobs_folder / '.mailboxes').glob('*')):
        yield f'{path.parent.name}/{path.name} was left behind'
    for path in (stage.jobs_folder / '.native').glob('*'):
        if holder_of(str(path)) not in there:
            yield f'{path.parent.name}/{path.name} leads nowhere'
