"""What becomes of jobs on a simulated PBS: state, exit code, signal and reason, and what callbacks saw."""

from __future__ import annotations

import os
import signal

import common_dependencies
import common_scenes
from common_absences import unfollowed, usage_of_a_success_that_nobody_followed
from common_scenes import RAN, awaiting
from pbspro_stage import PBSProScenes, PBSProStage
from scenes_of_truth import Played, Scene
from stage_of_truth import STAY, STAY_STUBBORN

from psij_ext import ExitReason

scene = PBSProScenes()
scene.take_all(common_scenes.ENDS)
scene.take_all(common_dependencies.DEPENDENCIES)
# Without history nothing is left that could tell, since the element's script is not ours.
scene(common_scenes.success_and_its_usage, worlds=('history',))
scene(common_scenes.usage_of_jobs_that_tell_nothing_themselves, worlds=('history',))
scene(usage_of_a_success_that_nobody_followed, worlds=('history',))
scene(common_scenes.element_of_an_array_cancelled_by_others_while_running, worlds=('history',))


@scene.test()
def test_end(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


# -- by a signal


@scene
def login_shell_killed(stage: PBSProStage) -> None:
    """PBS runs the script below a login shell, and ends by KILL whatever that leaves behind."""
    play = stage.play(STAY)
    os.kill(os.getsid(int(play.hear())), signal.SIGKILL)
    common_scenes.was_killed_without_a_word(play)


@scene
def signal_by_others(stage: PBSProStage) -> None:
    """`qsig` reaches the login shell too, which dies of TERM; PBS kills the rest before it can tell of its end."""
    play = stage.play_until_told(STAY_STUBBORN)
    play.reads(*stage.running)
    stage.pbs.wait(play.native_id, '42')
    stage.shell('qsig', '-s', 'SIGTERM', play.native_id)
    if stage.remembers:
        play.ends(f'{RAN} FAILED', ExitReason.SIGNALED, 143, signal.SIGTERM)
    else:
        play.ends(f'{RAN} CANCELED', ExitReason.CANCELED)


# -- by a cancel


@scene(worlds=('history',))
def forced_deletion(stage: PBSProStage) -> None:
    """`qdel -W force` begins with KILL; without history hardly anybody sees the job between that and its end."""
    play = stage.play_until_told(STAY)
    play.sees(RAN)
    stage.shell('qdel', '-W', 'force', play.native_id)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 137, signal.SIGKILL)


@scene
def deletion_with_history(stage: PBSProStage) -> None:
    """`qdel -x` takes a job out of the history, too; the script alone tells of its end."""
    play = stage.play_until_told(STAY)
    stage.shell('qdel', '-x', play.native_id)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)


@scene
def deletion_of_a_foreign_job_that_ignores_it(stage: PBSProStage) -> None:
    """Without history the comment tells of the deletion, as long as the job takes to end."""
    play = stage.attach(stage.shell('qsub', '-j', 'oe', '-o', '/dev/null', stdin=b"trap '' TERM; sleep 600"))
    play.sees(RAN)
    stage.pbs.wait(play.native_id, '42')
    stage.cancel(play.native_id)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, *stage.killed_after_cancel)
    assert 'terminated by root@pbshost1' in (play.job.status.message or '')


@scene
def element_of_an_array_deleted_while_pending(stage: PBSProStage) -> None:
    """Of an element that never began PBS tells no more than that it is over, and so it does of others."""
    array, elements = stage.submit_array(3, 'exit 0', **stage.not_before(common_scenes.AN_HOUR))
    first, second, third = map(stage.attach, elements)
    for element in (first, second, third):
        element.sees('QUEUED')
    second.job.cancel()
    stage.cancel(third.native_id)
    second.ends('QUEUED CANCELED', ExitReason.CANCELED)
    third.ends('QUEUED FAILED', ExitReason.LOST)
    assert first.seen == 'QUEUED'
    stage.cancel(array)


@scene
def element_of_an_array_that_ended_before_the_others(stage: PBSProStage) -> None:
    """Without history PBS shows the exit status of whichever element ended last as that of all."""
    array, elements = stage.submit_array(2, '[ "$PBS_ARRAY_INDEX" = 1 ] || exec sleep 600; exit 3')
    first, second = map(stage.attach, elements)
    first.ends('QUEUED( ACTIVE)? FAILED', *((ExitReason.EXITED, 3) if stage.remembers else (ExitReason.LOST,)))
    second.sees(RAN)
    stage.cancel(array)


# -- not at all


@scene
def bad_output_directory(stage: PBSProStage) -> None:
    """The job runs all the same, and is called finished when PBS gives the delivery up (capture qstat-fin-badout)."""
    play = stage.attach(stage.shell('qsub', '-o', '/nonexistent/output', '-j', 'oe', stdin=b'exit 0'))
    if stage.remembers:
        play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    else:
        play.ends('QUEUED( ACTIVE)? FAILED', ExitReason.LOST)


@scene
def output_that_cannot_be_opened(stage: PBSProStage) -> None:
    """A job that is to write directly is tried, held, and stays in the queue until somebody takes it out."""
    play = stage.attach(stage.shell('qsub', '-o', '/nonexistent/output', '-koed', '-j', 'oe', stdin=b'exit 0'))
    play.reads('native_reason', 'job held, too many failed attempts to run')
    play.sees('QUEUED')
    play.job.cancel()
    play.ends('QUEUED CANCELED', ExitReason.CANCELED)


@scene
def dependency_that_can_never_be_satisfied(stage: PBSProStage) -> None:
    """PBS deletes the job; without history that looks like any other absence."""
    before = awaiting(stage, 3)
    play = stage.play('exit 0', W=f'depend=afterok:{before.native_id}')
    play.sees('QUEUED')
    before.let_go()
    before.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    if stage.remembers:
        play.ends('QUEUED FAILED', ExitReason.DEPENDENCY_FAILED)
    else:
        play.ends('QUEUED FAILED', ExitReason.LOST)


@scene
def dependency_that_is_satisfied(stage: PBSProStage) -> None:
    before = awaiting(stage, 0)
    play = stage.play('exit 0', W=f'depend=afterok:{before.native_id}')
    play.sees('QUEUED')
    before.let_go()
    play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


# -- later than first thought


@scene
def requeue_into_a_hold(stage: PBSProStage) -> None:
    """A running job can be held: it goes on, and waits when it comes back to the queue."""
    play = stage.play_until_told(f'mkdir once || exit 0; {STAY}')
    play.sees(RAN)
    stage.hold(play.native_id)
    stage.requeue(play.native_id)
    play.sees(f'{RAN} QUEUED')
    play.reads(*stage.held)
    assert (play.job.status.metadata or {})['attempt'] == 2
    stage.release(play.native_id)
    play.ends(f'{RAN} {RAN} COMPLETED', ExitReason.EXITED, 0)


@scene
def requeue_of_a_job_that_is_followed_later(stage: PBSProStage) -> None:
    """Whoever comes to it in its second run is told of that run alone."""
    play = unfollowed(stage, 'mkdir once; tell; await; exit 4')
    play.hear()
    stage.requeue(play.native_id)
    play.hear()
    again = stage.attach(play.native_id)
    again.sees(RAN)
    play.let_go()
    again.ends(f'{RAN} FAILED', ExitReason.EXITED, 4)
    assert (again.job.status.metadata or {})['attempt'] == 2
