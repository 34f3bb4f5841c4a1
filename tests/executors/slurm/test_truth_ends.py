"""What becomes of jobs on a real Slurm: state, exit code, signal and reason, and what callbacks saw."""

from __future__ import annotations

import os
import signal

import common_dependencies
import common_scenes
from common_absences import usage_of_a_success_that_nobody_followed
from scenes_of_truth import Played, Scene
from slurm_stage import SlurmScenes, SlurmStage
from stage_of_truth import STAY

from psij_ext import ExitReason

RAN = common_scenes.RAN

scene = SlurmScenes()
scene.take_all(common_scenes.ENDS)
scene.take_all(common_dependencies.DEPENDENCIES)
scene(common_scenes.success_and_its_usage)
scene(common_scenes.usage_of_jobs_that_tell_nothing_themselves)
scene(usage_of_a_success_that_nobody_followed)
scene(common_scenes.element_of_an_array_cancelled_by_others_while_running)


@scene.test()
def test_end(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


@scene
def element_of_an_array_scancelled_while_pending(stage: SlurmStage) -> None:
    hasty = stage.sibling(absence_grace=1)
    array, (one, other) = stage.submit_array(2, 'exit 0', **stage.not_before(common_scenes.AN_HOUR))
    first, second = hasty.attach(one), hasty.attach(other)
    second.reads('native_state', 'PENDING')
    stage.cancel(second.native_id)
    try:
        second.ends('QUEUED CANCELED', ExitReason.CANCELED)
        first.sees('QUEUED')
    finally:
        stage.cancel(array)
        hasty.close()


@scene
def elements_of_an_array_scancelled_while_others_run(stage: SlurmStage) -> None:
    """Two wait. With the second one, all that is left of them is a row of the array, which is cancelled."""
    array = stage.slurm('sbatch', '--parsable', '--array=1-4%2', '--output=/dev/null', '--wrap=exec sleep 600')
    whole, running, third, fourth = map(stage.attach, (array, *(f'{array}_{number}' for number in (1, 3, 4))))
    for each in (whole, running):
        each.sees(common_scenes.RAN)
    for element in (third, fourth):
        element.reads('native_reason', 'JobArrayTaskLimit')
        stage.cancel(element.native_id)
        element.ends('QUEUED CANCELED', ExitReason.CANCELED)
    whole.reads('native_state', 'CANCELLED,RUNNING')
    assert (whole.seen, running.seen) == (common_scenes.RAN, common_scenes.RAN)
    stage.cancel(array)
    running.ends(f'{common_scenes.RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)
    # One of those that ran has the exit code of a signal, one that waited has none.
    whole.ends(f'{common_scenes.RAN} CANCELED', ExitReason.CANCELED)


@scene
def array_scancelled_while_pending(stage: SlurmStage) -> None:
    array, (_, second, _) = stage.submit_array(3, 'exit 0', **stage.not_before(common_scenes.AN_HOUR))
    whole, element = stage.attach(array), stage.attach(second)
    element.reads('native_state', 'PENDING')
    stage.cancel(array)
    for each in (element, whole):
        each.ends('QUEUED CANCELED', ExitReason.CANCELED)


@scene(worlds=['accounts'])
def who_cancelled_is_told(stage: SlurmStage) -> None:
    """squeue does not say that."""
    native_id = stage.slurm('sbatch', '--parsable', '--hold', '--output=/dev/null', '--wrap=true')
    stage.cancel(native_id)
    play = stage.attach(native_id)
    play.until(lambda: ' by ' in stage.slurm('sacct', '-nXPoState', f'-j{native_id}'), 'sacct does not say who')
    told = stage.sibling()
    again = told.attach(native_id)
    again.ends('QUEUED CANCELED', ExitReason.CANCELED)
    assert again.job.exit_info is not None
    assert again.job.exit_info.message == f'It was cancelled by the user with the id {os.getuid()}.'
    told.close()


@scene
def bad_output_directory(stage: SlurmStage) -> None:
    play = stage.attach(stage.slurm('sbatch', '--parsable', '--output=/nonexistent/output', '--wrap=true'))
    play.ends('QUEUED( ACTIVE)? FAILED', ExitReason.LAUNCH_FAILED)  # Slurm calls it RUNNING for a moment


@scene
def dependency_that_can_never_be_satisfied(stage: SlurmStage) -> None:
    """It stays in the queue until somebody takes it out."""
    before = stage.play('exit 0')
    play = stage.play('exit 0', dependency=f'afternotok:{before.native_id}')
    play.reads('native_reason', 'DependencyNeverSatisfied')
    play.sees('QUEUED')
    play.job.cancel()
    play.ends('QUEUED CANCELED', ExitReason.CANCELED)


@scene
def dependency_that_ends_a_job(stage: SlurmStage) -> None:
    before = stage.play('exit 0')
    play = stage.play('exit 0', dependency=f'afternotok:{before.native_id}', kill_on_invalid_dep='yes')
    play.ends('QUEUED FAILED', ExitReason.DEPENDENCY_FAILED)


@scene
def dependency_on_elements_of_an_array(stage: SlurmStage) -> None:
    _, (good, bad) = stage.submit_array(2, '#!/bin/bash\nsleep 1; exit $((SLURM_ARRAY_TASK_ID == SLURM_ARRAY_TASK_MAX))')
    first, second = stage.attach(good), stage.attach(bad)
    common_dependencies.play_after(stage, 'exit 0', after_ok=[first], after_not_ok=[second]).ends(
        f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    vain = stage.plan('exit 0')
    stage.executor.submit(vain.job, after_ok=[stage.attach(stage.slurm(
        'sbatch', '--parsable', '--output=/dev/null', '--wrap=sleep 1; exit 1')).job])
    vain.ends('QUEUED FAILED', ExitReason.DEPENDENCY_FAILED)


@scene
def requeue_after_a_failure_in_hold(stage: SlurmStage) -> None:
    """`scontrol requeuehold` while it runs; it waits until it is released."""
    play = stage.play_until_told(f'mkdir once || exit 0; {STAY}')
    stage.slurm('scontrol', 'requeuehold', play.native_id)
    play.sees(f'{RAN} QUEUED')
    play.reads('native_reason', 'job requeued in held state')
    stage.slurm('scontrol', 'release', play.native_id)
    play.ends(f'{RAN} {RAN} COMPLETED', ExitReason.EXITED, 0)
