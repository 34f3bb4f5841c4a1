"""Jobs that have the ids of ours after a server was created anew."""

from __future__ import annotations

from common_strangers import (
    comes_back_as_lost,
    is_lost,
    left_by_a_dead_process,
    nothing_is_done_to_it,
    who_attaches_to_the_id_follows_the_other,
)
from pbspro_stage import PBSProScenes, PBSProStage
from scenes_of_truth import Played, Scene

from psij_ext import ExitReason

scene = PBSProScenes(apart=True, command_timeout=10, submit_timeout=10, submit_retry_time=0)


@scene.test()
def test_truth(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene
def jobs_of_others_with_our_ids(stage: PBSProStage) -> None:
    gone = stage.sibling(session='gone')
    lost = stage.play('exit 7', h=None)
    left = left_by_a_dead_process(gone, gone.play('exit 7', h=None))
    lost.reads(*stage.held)  # the scheduler was asked
    stage.pbs.lose_state()
    others = [stage.shell('qsub', '-h', '-j', 'oe', '-o', '/dev/null', stdin=b'exit 3') for _ in range(2)]
    assert others == [lost.native_id, left.native_id]
    nothing_is_done_to_it(lost)
    later = stage.sibling(session='gone')
    other = who_attaches_to_the_id_follows_the_other(later, lost)
    comes_back_as_lost(later, left)
    is_lost(lost)
    assert stage.shell('qselect').split() == others
    stage.release(other.native_id)
    if stage.remembers:
        other.ends_for('QUEUED( ACTIVE)? FAILED', ExitReason.EXITED)
        assert other.job.status.exit_code == 3
    who_attaches_to_the_id_follows_the_other(later, left).job.cancel()
    stage.wait_until_over(left)
    later.close()
