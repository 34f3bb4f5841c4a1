"""Jobs that have the ids of ours after a controller came back without its state."""

from __future__ import annotations

from common_strangers import (
    comes_back_as_lost,
    is_lost,
    left_by_a_dead_process,
    nothing_is_done_to_it,
    who_attaches_to_the_id_follows_the_other,
)
from lost_state import restart_with, save_state
from scenes_of_truth import Played, Scene
from slurm_stage import SlurmScenes, SlurmStage

from psij_ext import ExitReason

scene = SlurmScenes(apart=True, command_timeout=10, submit_timeout=10, submit_retry_time=0, absence_grace=30)


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene(soak=True)  # a job is lost after half a minute; the scene of PBS is the short form
def jobs_of_others_with_our_ids(stage: SlurmStage) -> None:
    saved = save_state(stage, stage.play('exit 0', hold=None))
    stage.play('exit 0')  # its id goes to the question of scripts/slurm whether the controller takes jobs
    gone = stage.sibling(session='gone')
    lost = stage.play('exit 7', hold=None)
    left = left_by_a_dead_process(gone, gone.play('exit 7', hold=None))
    lost.reads(*stage.held)  # the scheduler was asked
    restart_with(stage, saved)
    others = [stage.slurm('sbatch', '--parsable', '--hold', '--output=/dev/null', '--wrap=exit 3') for _ in range(2)]
    assert others == [lost.native_id, left.native_id]
    nothing_is_done_to_it(lost)
    later = stage.sibling(session='gone', absence_grace=5)
    other = who_attaches_to_the_id_follows_the_other(later, lost)
    comes_back_as_lost(later, left)
    is_lost(lost)
    assert stage.slurm('squeue', '-h', '-t', 'pending', '-o', '%i', '-S', 'i').split()[-2:] == others
    stage.release(other.native_id)
    other.ends_for('QUEUED( ACTIVE)? FAILED', ExitReason.EXITED)
    assert other.job.status.exit_code == 3
    who_attaches_to_the_id_follows_the_other(later, left).job.cancel()
    stage.wait_for_state(left, 'CANCELLED')
    later.close()
