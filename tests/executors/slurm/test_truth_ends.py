"""What becomes of jobs on a real Slurm: state, exit code, signal and reason, and what callbacks saw."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import timedelta

from scenes_of_truth import Played, Scene, Scenes
from stage import STAY, STAY_POLITE, STAY_STUBBORN, Play, Stage, script_above

from psij_ext import ExitReason

RAN = 'QUEUED ACTIVE'
LATER = 'now+1hour'

scene = Scenes()


@scene.test()
def test_end(played: Played, scene: Scene, world: str) -> None:
    played(scene, world)


# -- by itself


@scene
def success(stage: Stage) -> None:
    stage.play('exit 0').ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


@scene
def exit_code(stage: Stage) -> None:
    stage.play('exit 3').ends(f'{RAN} FAILED', ExitReason.EXITED, 3)


@scene
def exit_code_of_a_signal(stage: Stage) -> None:
    """Nothing tells it from the end by a signal: the scheduler does not either."""
    stage.play('exec bash -c "exit 143"').ends(f'{RAN} FAILED', ExitReason.SIGNALED, 143, signal.SIGTERM)


# -- by a signal


@scene
def child_killed(stage: Stage) -> None:
    play = stage.play(STAY)
    os.kill(int(play.hear()), signal.SIGKILL)
    play.ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)


@scene
def script_killed(stage: Stage) -> None:
    play = stage.play(STAY)
    os.kill(script_above(int(play.hear())), signal.SIGKILL)
    play.ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)


# -- by a cancel, of somebody else at the shell, and of ours


def _scancel(play: Play) -> None:
    play.stage.slurm('scancel', play.native_id)


def _cancel(play: Play) -> None:
    play.job.cancel()


@scene
def scancel_while_pending(stage: Stage) -> None:
    play = stage.play('exit 0', begin=LATER)
    _scancel(play)
    play.ends('QUEUED CANCELED', ExitReason.CANCELED)


@scene
def cancel_while_pending(stage: Stage) -> None:
    play = stage.play('exit 0', begin=LATER)
    _cancel(play)
    play.ends('QUEUED CANCELED', ExitReason.CANCELED)


@scene
def scancel_while_running(stage: Stage) -> None:
    play = stage.play_until_told(STAY)
    _scancel(play)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)


@scene
def cancel_while_running(stage: Stage) -> None:
    play = stage.play_until_told(STAY)
    _cancel(play)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)


@scene
def scancel_of_one_that_calls_it_a_success(stage: Stage) -> None:
    play = stage.play_until_told(STAY_POLITE)
    _scancel(play)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 0)


@scene
def cancel_of_one_that_calls_it_a_success(stage: Stage) -> None:
    play = stage.play_until_told(STAY_POLITE)
    _cancel(play)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 0)


@scene
def scancel_of_one_that_ignores_it(stage: Stage) -> None:
    play = stage.play_until_told(STAY_STUBBORN)
    _scancel(play)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 137, signal.SIGKILL)


@scene
def cancel_of_one_that_ignores_it(stage: Stage) -> None:
    play = stage.play_until_told(STAY_STUBBORN)
    _cancel(play)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 137, signal.SIGKILL)


@scene
def scancel_after_the_command_and_before_the_record(stage: Stage) -> None:
    """The scheduler cancelled a job that had not ended yet, although its command had."""
    play = stage.plan('exit 0')
    assert play.job.spec is not None
    play.job.spec.post_launch = stage.folder / 'after'
    play.job.spec.post_launch.write_text(f'sleep 600 & echo > {play.pipes.variables["TOLD"]}; wait $!; kill $!')
    stage.executor.submit(play.job)
    play.hear()
    _scancel(play)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 0)


@scene
def cancel_after_the_end(stage: Stage) -> None:
    play = stage.play('exit 0')
    play.slurm_says('COMPLETED')
    _cancel(play)
    _scancel(play)
    play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


@scene
def element_of_an_array_scancelled_while_running(stage: Stage) -> None:
    array = stage.slurm('sbatch', '--parsable', '--array=1-3', '--output=/dev/null', '--wrap=exec sleep 600')
    first, second, third = (stage.attach(f'{array}_{number}') for number in (1, 2, 3))
    for element in (first, second, third):
        element.sees(RAN)
    _scancel(second)
    second.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)
    assert (first.seen, third.seen) == (RAN, RAN)
    stage.slurm('scancel', array)
    first.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)
    third.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)


@scene
def element_of_an_array_scancelled_while_pending(stage: Stage) -> None:
    hasty = Stage(stage.cluster, stage.folder, absence_grace=1)
    array = stage.slurm('sbatch', '--parsable', '--array=1-3', '--output=/dev/null', f'--begin={LATER}', '--wrap=exit 0')
    first, second = (hasty.attach(f'{array}_{number}') for number in (1, 2))
    second.reads('native_state', 'PENDING')
    _scancel(second)
    try:
        second.ends('QUEUED CANCELED', ExitReason.CANCELED)
        first.sees('QUEUED')
    finally:
        stage.slurm('scancel', array)
        hasty.close()


@scene
def elements_of_an_array_scancelled_while_others_run(stage: Stage) -> None:
    """Two wait. With the second one, all that is left of them is a row of the array, which is cancelled."""
    array = stage.slurm('sbatch', '--parsable', '--array=1-4%2', '--output=/dev/null', '--wrap=exec sleep 600')
    whole, running, third, fourth = map(stage.attach, (array, *(f'{array}_{number}' for number in (1, 3, 4))))
    for each in (whole, running):
        each.sees(RAN)
    for element in (third, fourth):
        element.reads('native_reason', 'JobArrayTaskLimit')
        _scancel(element)
        element.ends('QUEUED CANCELED', ExitReason.CANCELED)
    whole.reads('native_state', 'CANCELLED,RUNNING')
    assert (whole.seen, running.seen) == (RAN, RAN)
    stage.slurm('scancel', array)
    running.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)
    # One of those that ran has the exit code of a signal, one that waited has none.
    whole.ends(f'{RAN} CANCELED', ExitReason.CANCELED)


@scene
def array_scancelled_while_pending(stage: Stage) -> None:
    array = stage.slurm('sbatch', '--parsable', '--array=1-3', '--output=/dev/null', f'--begin={LATER}', '--wrap=exit 0')
    whole, element = stage.attach(array), stage.attach(f'{array}_2')
    element.reads('native_state', 'PENDING')
    stage.slurm('scancel', array)
    for each in (element, whole):
        each.ends('QUEUED CANCELED', ExitReason.CANCELED)


# -- by its time limit


@scene
def time_limit(stage: Stage) -> None:
    """The limit of a running job is put to a moment from now; Slurm looks at limits every 30 s."""
    play = stage.play_until_told(STAY, duration=timedelta(hours=1))
    stage.slurm('scontrol', 'update', f'JobId={play.native_id}', 'EndTime=now+2')
    play.ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 143, signal.SIGTERM)


@scene
def time_limit_of_one_that_calls_it_a_success(stage: Stage) -> None:
    play = stage.play_until_told(STAY_POLITE, duration=timedelta(hours=1))
    stage.slurm('scontrol', 'update', f'JobId={play.native_id}', 'EndTime=now+2')
    play.ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 0)


@scene
def time_limit_of_one_that_ignores_it(stage: Stage) -> None:
    play = stage.play_until_told(STAY_STUBBORN, duration=timedelta(hours=1))
    stage.slurm('scontrol', 'update', f'JobId={play.native_id}', 'EndTime=now+2')
    play.ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 137, signal.SIGKILL)


# -- not at all


@scene
def bad_output_directory(stage: Stage) -> None:
    play = stage.attach(stage.slurm('sbatch', '--parsable', '--output=/nonexistent/output', '--wrap=true'))
    play.ends('QUEUED( ACTIVE)? FAILED', ExitReason.LAUNCH_FAILED)  # Slurm calls it RUNNING for a moment


@scene
def dependency_that_can_never_be_satisfied(stage: Stage) -> None:
    """It stays in the queue until somebody takes it out."""
    before = stage.play('exit 0')
    play = stage.play('exit 0', dependency=f'afternotok:{before.native_id}')
    play.reads('native_reason', 'DependencyNeverSatisfied')
    play.sees('QUEUED')
    _cancel(play)
    play.ends('QUEUED CANCELED', ExitReason.CANCELED)


@scene
def dependency_that_ends_a_job(stage: Stage) -> None:
    before = stage.play('exit 0')
    play = stage.play('exit 0', dependency=f'afternotok:{before.native_id}', kill_on_invalid_dep='yes')
    play.ends('QUEUED CANCELED', ExitReason.DEPENDENCY_FAILED)


# -- later than first thought


@scene
def requeue_while_running(stage: Stage) -> None:
    """The exit record of the first attempt, a success even, does not count."""
    play = stage.play_until_told(f'mkdir once || exit 4; {STAY_POLITE}')
    stage.slurm('scontrol', 'requeue', play.native_id)
    play.ends(f'{RAN} {RAN} FAILED', ExitReason.EXITED, 4)
    record = play.work_folder.read_exit()
    assert record is not None
    assert record.attempt == 2


@scene
def requeue_after_a_failure_in_hold(stage: Stage) -> None:
    """`scontrol requeuehold` while it runs; it waits until it is released."""
    play = stage.play_until_told(f'mkdir once || exit 0; {STAY}')
    stage.slurm('scontrol', 'requeuehold', play.native_id)
    play.sees(f'{RAN} QUEUED')
    play.reads('native_reason', 'job requeued in held state')
    stage.slurm('scontrol', 'release', play.native_id)
    play.ends(f'{RAN} {RAN} COMPLETED', ExitReason.EXITED, 0)


@scene
def hold_and_release(stage: Stage) -> None:
    play = stage.play('exit 0', begin=LATER)
    stage.slurm('scontrol', 'uhold', play.native_id)
    play.reads('native_reason', 'JobHeldUser')
    stage.slurm('scontrol', 'update', f'JobId={play.native_id}', 'StartTime=now')
    stage.slurm('scontrol', 'release', play.native_id)
    play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


@scene
def suspend_and_resume(stage: Stage) -> None:
    play = stage.play_until_told('tell; await')
    stage.slurm('scontrol', 'suspend', play.native_id)
    play.reads('native_state', 'SUSPENDED')
    stage.slurm('scontrol', 'resume', play.native_id)
    play.reads('native_state', 'RUNNING')
    play.let_go()
    play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


# -- without its folder


@scene
def folder_removed_while_it_runs(stage: Stage) -> None:
    """Then Slurm alone says what became of it."""
    successful, failing = (stage.play_until_told(f'tell; await; exit {code}') for code in (0, 3))
    for play in (successful, failing):
        play.sees(RAN)
        shutil.rmtree(play.work_folder.path)
        play.let_go()
    successful.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    failing.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
