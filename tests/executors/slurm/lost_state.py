"""What is done to a controller so that it comes back with an older state, and knows nothing of what was since."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

from slurm_stage import CONTROLLER, SlurmStage
from stage_of_truth import Play


def save_state(stage: SlurmStage, latest: Play) -> Path:
    """Keep the state that the controller has on disk, as soon as it knows the latest job there."""
    job_state = stage.cluster.folder / 'state' / 'job_state'
    latest.until(lambda: latest.job.id.encode() in _content(job_state), 'the state is not saved')
    with stage.cluster.hung(CONTROLLER):
        return shutil.copytree(stage.cluster.folder / 'state', stage.folder / 'saved')


def restart_with(stage: SlurmStage, saved: Path) -> None:
    """Kill the controller, and start it with a state that it had earlier."""
    state = stage.cluster.folder / 'state'
    stage.cluster.end(CONTROLLER, signal.SIGKILL)
    shutil.rmtree(state)
    shutil.copytree(saved, state)
    stage.cluster.revive()


def await_abort(play: Play, process: int) -> None:
    """Wait until a job is aborted, and its id may be launched again: not in the same second of the clock.

    slurmd remembers in which second it ended an id, and refuses what is not launched later; Slurm calls that FAILED.
    """
    play.until(lambda: _state(process) in 'XZ', 'it is not aborted')
    time.sleep(1.0 - time.time() % 1.0)


def _state(process: int) -> str:
    """The state of a process (proc(5)); X where there is none."""
    try:
        return Path(f'/proc/{process}/stat').read_text().rpartition(')')[2].split()[0]
    except FileNotFoundError:
        return 'X'


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b''
