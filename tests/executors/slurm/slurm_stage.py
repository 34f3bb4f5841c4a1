"""Stages on Slurms of the tests' own, and the scenes that are played there."""

from __future__ import annotations

import signal
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path
from typing import Any

from scenes_of_truth import Scenes
from stage_of_truth import SECONDS, Play, Stage, parent_of

from psij_ext import ExitReason
from psij_ext.executors.batch.slurm import SlurmExecutorConfig, SlurmJobExecutor
from real_slurm import Cluster

CONTROLLER = 'slurmctld'


class SlurmStage(Stage):
    options = 'slurm'
    held = ('native_reason', 'JobHeldUser')
    suspended = ('native_state', 'SUSPENDED')
    running = ('native_state', 'RUNNING')
    killed_after_cancel = killed_at_limit = (137, signal.SIGKILL)

    def __init__(self, cluster: Cluster, folder: Path, remembers: bool = True, **settings: Any) -> None:
        self.cluster = cluster
        folder.mkdir(parents=True, exist_ok=True)
        executor = SlurmJobExecutor(config=SlurmExecutorConfig(**{
            'work_directory': folder / 'work', 'initial_queue_polling_delay': 0.2, 'queue_polling_interval': 0.5,
            **settings}))
        super().__init__(executor, folder, cluster.variables, remembers)

    def slurm(self, *argv: str | Path) -> str:
        """Run a command as somebody else would."""
        return self.cluster.run(*argv)

    def sibling(self, **settings: Any) -> SlurmStage:
        return SlurmStage(self.cluster, self.folder, self.remembers, **settings)

    def not_before(self, seconds: float) -> dict[str, str]:
        return {'begin': f'now+{seconds:.0f}'}

    def submit_array(self, size: int, script: str, **options: str) -> tuple[str, list[str]]:
        given = [f'--{name}={value}' for name, value in options.items()]
        array = self.slurm(
            'sbatch', '--parsable', f'--array=1-{size}', '--output=/dev/null', *given, f'--wrap={script}')
        return array, [f'{array}_{number}' for number in range(1, size + 1)]

    def play_to_the_limit(self, script: str) -> Play:
        """The limit of a running job is put to a moment from now; Slurm looks at limits every 30 s."""
        play = self.play_until_told(script, duration=timedelta(hours=1))
        self.slurm('scontrol', 'update', f'JobId={play.native_id}', 'EndTime=now+2')
        return play

    def cancel(self, native_id: str) -> None:
        self.slurm('scancel', native_id)

    def requeue(self, native_id: str) -> None:
        self.slurm('scontrol', 'requeue', native_id)

    def hold(self, native_id: str) -> None:
        self.slurm('scontrol', 'uhold', native_id)

    def release(self, native_id: str) -> None:
        self.slurm('scontrol', 'release', native_id)

    def suspend(self, native_id: str) -> None:
        self.slurm('scontrol', 'suspend', native_id)

    def resume(self, native_id: str) -> None:
        self.slurm('scontrol', 'resume', native_id)

    def script_above(self, process: int) -> int:
        parent = parent_of(process)
        return process if Path(f'/proc/{parent}/comm').read_text() == 'slurmstepd\n' else self.script_above(parent)

    def wait_until_over(self, play: Play, seconds: float = SECONDS) -> None:
        play.until(lambda: self._state(play) in ('', 'COMPLETED', 'FAILED'), 'Slurm does not call it over', seconds)

    def wait_until_forgotten(self, play: Play, seconds: float = SECONDS) -> None:
        play.until(lambda: not self._state(play), 'Slurm does not forget it', seconds)

    def wait_for_state(self, play: Play, state: str) -> None:
        """Wait until Slurm calls a job so."""
        play.until(lambda: self._state(play) == state, f'Slurm does not call it {state}')

    def _state(self, play: Play) -> str:
        # Asked for twice, an id that Slurm does not know is no error.
        return self.slurm('squeue', '-h', '-t', 'all', '-o', '%T', '-j', f'{play.native_id},{play.native_id}')

    def stop_server(self) -> None:
        self.cluster.end(CONTROLLER)

    def start_server(self) -> None:
        self.cluster.revive()

    def server_hung(self) -> AbstractContextManager[None]:
        return self.cluster.hung(CONTROLLER)

    def see_what_came_of_unheard_submission(self, before: Play) -> None:
        """It was heard all the same: Slurm runs the script, and that runs nothing."""
        revoked = str(int(before.native_id) + 1)
        self.attach(revoked).ends('QUEUED( ACTIVE)? FAILED', ExitReason.EXITED, 125)


class SlurmScenes(Scenes):
    """Scenes that are played without and with accounting.

    :param settings: lines of slurm.conf for its clusters.
    :param forgets: whether these make Slurm forget jobs soon; the other parameters are those of `Scenes`.
    """

    worlds = ('plain', 'accounts')

    def __init__(self, *settings: str, forgets: bool = False, apart: bool = False, **executor: Any) -> None:
        super().__init__(apart=apart, **executor)
        self._settings = settings
        self._forgets = forgets

    @property
    def place(self) -> object:
        return self._settings

    def build(self, world: str, folder: Path) -> Cluster:
        return Cluster(*self._settings, accounting=world == 'accounts')

    def stage(self, place: Cluster, world: str, folder: Path) -> SlurmStage:
        return SlurmStage(place, folder, world == 'accounts' or not self._forgets, **self.executor)
