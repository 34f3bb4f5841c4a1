"""What becomes of a job whose submission the server did not answer, and whose folder was away, when both are there again."""

from __future__ import annotations

from common_uncertain import Breaking, is_found, never_runs, submit_into_silence
from pbspro_stage import PBSProScenes, PBSProStage
from scenes_of_truth import Played, Scene

scene = PBSProScenes(apart=True, command_timeout=1, submit_timeout=1, submit_retry_time=0)


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene
def server_that_answers_too_late(stage: PBSProStage) -> None:
    """It has taken the job, which waits: it is found by the folder that it was submitted from."""
    play = stage.plan('echo >> ran; exit 3', h=None)
    breaking = Breaking(stage)
    stage.pbs.set(reply_delay=30.0)
    submit_into_silence(stage, play, breaking)
    stage.pbs.set(reply_delay=0.0)
    play.sees('QUEUED')
    stage.release(play.native_id)
    is_found(play)


@scene
def server_that_did_not_hear_the_submission(stage: PBSProStage) -> None:
    """A qsub that is killed before the server hears it has submitted nothing."""
    play = stage.plan('echo >> ran; exit 3')
    breaking = Breaking(stage)
    with stage.server_hung():
        submit_into_silence(stage, play, breaking)
    never_runs(play)
