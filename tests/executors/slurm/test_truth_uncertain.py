"""What becomes of a job whose submission the controller did not answer, and whose folder was away, when both are there again."""

from __future__ import annotations

import signal

from common_uncertain import Breaking, is_found, never_runs, submit_into_silence
from scenes_of_truth import Played, Scene
from slurm_stage import CONTROLLER, SlurmScenes, SlurmStage

scene = SlurmScenes(apart=True, command_timeout=1, submit_timeout=1, submit_retry_time=0)


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene(worlds=['plain'])
def controller_that_heard_the_submission(stage: SlurmStage) -> None:
    """sbatch was killed, and the controller takes the job all the same as soon as it wakes (SCHEDULER-FACTS: Slurm 2)."""
    play = stage.plan('echo >> ran; exit 3')
    breaking = Breaking(stage)
    with stage.server_hung():
        submit_into_silence(stage, play, breaking)
    is_found(play)


@scene(worlds=['plain'])
def controller_that_heard_the_submission_of_a_job_that_waits(stage: SlurmStage) -> None:
    """No script tells of it: it is found by the folder that it was submitted from."""
    play = stage.plan('echo >> ran; exit 3', hold=None)
    breaking = Breaking(stage)
    with stage.server_hung():
        submit_into_silence(stage, play, breaking)
    play.sees('QUEUED')
    stage.release(play.native_id)
    is_found(play)


@scene(worlds=['plain'])
def controller_that_did_not_hear_the_submission(stage: SlurmStage) -> None:
    """It is killed before it wakes, and what sbatch said to it is lost."""
    play = stage.plan('echo >> ran; exit 3')
    breaking = Breaking(stage)
    stage.cluster.signal(CONTROLLER, signal.SIGSTOP)
    submit_into_silence(stage, play, breaking)
    stage.cluster.end(CONTROLLER, signal.SIGKILL)
    stage.cluster.revive()
    never_runs(play)
