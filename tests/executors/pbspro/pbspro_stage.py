"""Stages on simulated PBSs, and the scenes that are played there."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from scenes_of_truth import Scenes
from stage_of_truth import SECONDS, Play, Stage, parent_of

from psij_ext.executors.batch.pbspro import PBSProExecutorConfig, PBSProJobExecutor
from psij_ext.testing.simulated import SimulatedPBS


class PBSProStage(Stage):
    options = 'pbs'
    held = ('native_state', 'H')
    suspended = ('native_state', 'S')
    running = ('native_state', 'R')

    def __init__(self, pbs: SimulatedPBS, folder: Path, remembers: bool, **settings: Any) -> None:
        self.pbs = pbs
        folder.mkdir(parents=True, exist_ok=True)
        executor = PBSProJobExecutor(config=PBSProExecutorConfig(**{
            'work_directory': folder / 'work', 'initial_queue_polling_delay': 0.1, 'queue_polling_interval': 0.3,
            'absence_grace': 1, **settings}))
        super().__init__(executor, folder, {'PATH': pbs.path}, remembers)
        # Without history nobody knows by what signal it ended. With it, PBS tells of TERM, to which the login shell fell
        # that runs the script, and of the walltime (captures qstat-qdel-running-trap and qstat-walltime-walltrap).
        self.killed_after_cancel = (143, signal.SIGTERM) if remembers else (None, None)
        self.killed_at_limit = (None, None)

    def shell(self, *words: str, stdin: bytes = b'') -> str:
        """Run a command as somebody else would."""
        done = self.pbs.run(*words, stdin=stdin, cwd=self.folder)
        assert done.returncode == 0, f'{words} ended with {done.returncode}: {done.stderr.decode()}'
        return done.stdout.decode().strip()

    def sibling(self, **settings: Any) -> PBSProStage:
        return PBSProStage(self.pbs, self.folder, self.remembers, **settings)

    def not_before(self, seconds: float) -> dict[str, str]:
        return {'a': time.strftime('%Y%m%d%H%M.%S', time.localtime(time.time() + seconds))}

    def submit_array(self, size: int, script: str, **options: str) -> tuple[str, list[str]]:
        given = [word for name, value in options.items() for word in (f'-{name}', value)]
        array = self.shell(
            'qsub', '-J', f'1-{size}', '-j', 'oe', '-o', '/dev/null', *given, stdin=script.encode())
        return array, [array.replace('[]', f'[{number}]') for number in range(1, size + 1)]

    def play_to_the_limit(self, script: str) -> Play:
        return self.play_until_told(script, duration=timedelta(seconds=1))

    def cancel(self, native_id: str) -> None:
        self.shell('qdel', native_id)

    def requeue(self, native_id: str) -> None:
        self.shell('qrerun', native_id)

    def hold(self, native_id: str) -> None:
        self.shell('qhold', native_id)

    def release(self, native_id: str) -> None:
        self.shell('qrls', native_id)

    def suspend(self, native_id: str) -> None:
        self.shell('qsig', '-s', 'suspend', native_id)

    def resume(self, native_id: str) -> None:
        self.shell('qsig', '-s', 'resume', native_id)

    def script_above(self, process: int) -> int:
        parent = parent_of(process)
        return process if parent == os.getsid(process) else self.script_above(parent)

    def wait_until_over(self, play: Play, seconds: float = SECONDS) -> None:
        play.until(lambda: self.pbs.state(play.native_id)[:1] in ((), ('F',)), 'PBS does not call it finished', seconds)

    def wait_until_forgotten(self, play: Play, seconds: float = SECONDS) -> None:
        play.until(lambda: not self.pbs.state(play.native_id), 'PBS does not forget it', seconds)

    def stop_server(self) -> None:
        self.pbs.down()

    def start_server(self) -> None:
        self.pbs.up()

    @contextlib.contextmanager
    def server_hung(self) -> Iterator[None]:
        self.pbs.hang()
        try:
            yield
        finally:
            self.pbs.resume()

    def see_what_came_of_unheard_submission(self, before: Play) -> None:
        """A qsub that is killed before the server hears it has submitted nothing, but its number is spent."""
        number, _, server = before.native_id.partition('.')
        assert self.pbs.state(before.native_id)
        assert not self.pbs.state(f'{int(number) + 1}.{server}')


class PBSProScenes(Scenes):
    """Scenes that are played on a PBS with history and on one without.

    :param forgets: whether the one with history forgets jobs soon as well.
    :param settings: settings of the simulated PBS; the other parameters are those of `Scenes`.
    """

    worlds = ('history', 'no-history')

    def __init__(self, *, forgets: bool = False, apart: bool = False, settings: dict[str, Any] | None = None,
                 **executor: Any) -> None:
        super().__init__(apart=apart, **executor)
        self._settings = {**(settings or {}), **({'history_duration': 0.3} if forgets else {})}
        self._forgets = forgets

    def build(self, world: str, folder: Path) -> SimulatedPBS:
        home = folder / 'home'
        home.mkdir(parents=True)
        # The default home may have a profile that takes its time.
        pbs = SimulatedPBS(folder, **{
            'history': world == 'history', 'cpus': 64, 'home': str(home), 'shell': '/bin/bash', 'kill_delay': 1.5,
            **self._settings})
        return pbs.start()

    def stage(self, place: SimulatedPBS, world: str, folder: Path) -> PBSProStage:
        return PBSProStage(place, folder, world == 'history' and not self._forgets, **self.executor)
