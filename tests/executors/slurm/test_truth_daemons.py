"""What is true about jobs while the controller is away, hangs or has lost its memory, and when a node fails."""

from __future__ import annotations

import signal

from common_absences import server_away, server_hung
from common_scenes import RAN, awaiting
from lost_state import await_abort, restart_with, save_state
from scenes_of_truth import Played, Scene
from slurm_stage import SlurmScenes, SlurmStage
from stage_of_truth import STAY

from psij_ext import ExitReason

scene = SlurmScenes(apart=True, command_timeout=1, submit_timeout=1, submit_retry_time=0, absence_grace=10)
scene.take_all((server_away, server_hung))


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene
def controller_that_lost_its_memory(stage: SlurmStage) -> None:
    """It is killed and comes back with an older state, in which a job waits that runs.

    It ends the job by KILL when the node tells of it, and then runs it once more. Slurm does not count that as a
    requeue, but the first run is over before the second begins.
    """
    known = awaiting(stage, 3)
    again = stage.play('echo >> began; tell $$; await; echo >> ended; exit 4', hold=None)
    saved = save_state(stage, again)
    stage.slurm('scontrol', 'release', again.native_id)
    first_run = int(again.hear())
    again.sees(RAN)
    restart_with(stage, saved)
    await_abort(again, first_run)
    again.sees(f'{RAN} QUEUED')
    stage.slurm('scontrol', 'release', again.native_id)
    again.hear()
    again.let_go()
    again.ends(f'{RAN} {RAN} FAILED', ExitReason.EXITED, 4)
    began, ended = ((stage.folder / name).read_text().count('\n') for name in ('began', 'ended'))
    assert (began, ended) == (2, 1)
    known.let_go()
    known.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)


@scene
def job_that_ended_before_the_controller_lost_its_memory(stage: SlurmStage) -> None:
    """The controller starts it again, and counts no requeue; it runs nothing, and stays what it was."""
    ends = {0: 'COMPLETED', 3: 'FAILED'}
    plays = {code: stage.play(f'echo >> began{code}; exit {code}', hold=None) for code in ends}
    saved = save_state(stage, plays[3])
    for code, play in plays.items():
        stage.slurm('scontrol', 'release', play.native_id)
        play.ends(f'{RAN} {ends[code]}', ExitReason.EXITED, code)
        stage.wait_for_state(play, ends[code])
    restart_with(stage, saved)
    # Who did not see its end may see that it waits again.
    later = stage.sibling(absence_grace=10)
    for code, play in plays.items():
        stage.wait_for_state(play, 'PENDING')
        again = later.attach(play.native_id)
        stage.slurm('scontrol', 'release', play.native_id)
        again.ends(f'{RAN}( {RAN})? {ends[code]}', ExitReason.EXITED, code)
        stage.wait_for_state(play, ends[code])
        assert (stage.folder / f'began{code}').read_text() == '\n'
        assert play.seen == f'{RAN} {ends[code]}'
    later.close()


@scene
def job_that_the_controller_lost(stage: SlurmStage) -> None:
    """The controller ends it by KILL, since it does not know it; no exit record is written, and no accounts are kept."""
    hasty = stage.sibling(absence_grace=3)
    saved = save_state(stage, stage.play('exit 0', hold=None))
    lost = hasty.play_until_told(STAY)
    lost.sees(RAN)
    restart_with(stage, saved)
    lost.ends(f'{RAN} FAILED', ExitReason.LOST)
    hasty.close()


@scene
def id_given_twice(stage: SlurmStage) -> None:
    """A controller that lost a job gives its id to the next one."""
    hasty = stage.sibling(absence_grace=3)
    saved = save_state(stage, stage.play('exit 0', hold=None))
    stage.play('exit 0')  # its id goes to the question of scripts/slurm whether the controller takes jobs
    lost = hasty.play('tell $$; await; exit 5')
    process = int(lost.hear())
    lost.sees(RAN)
    restart_with(stage, saved)
    await_abort(lost, process)
    heir = awaiting(stage, 6, **stage.not_before(3))  # slurmd may be slow to take in that it ended the other
    assert heir.native_id == lost.native_id
    heir.let_go()
    heir.ends(f'{RAN} FAILED', ExitReason.EXITED, 6)
    lost.ends(f'{RAN} FAILED', ExitReason.LOST)
    hasty.close()


@scene
def node_failure(stage: SlurmStage) -> None:
    """A job that may be requeued waits for its next attempt; the other one is over."""
    over = stage.play_until_told(STAY, nodelist='node2', no_requeue=None)
    again = stage.play_until_told(f'mkdir once || exit 4; {STAY}', nodelist='node2')
    elsewhere = awaiting(stage, 0, nodelist='node1')
    over.sees(RAN)
    again.sees(RAN)
    stage.slurm('scontrol', 'update', 'NodeName=node2', 'State=DOWN', 'Reason=test')
    over.ends(f'{RAN} FAILED', ExitReason.NODE_FAILURE, 143, signal.SIGTERM)
    again.sees(f'{RAN} QUEUED')
    again.ends(f'{RAN} {RAN} FAILED', ExitReason.EXITED, 4)
    elsewhere.let_go()
    elsewhere.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
