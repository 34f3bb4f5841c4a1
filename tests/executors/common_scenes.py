"""Scenes that are the same for all schedulers, about ends: each ends with the truth about its job."""

from __future__ import annotations

import os
import shutil
import signal
from datetime import datetime, timedelta, timezone
from shlex import quote

from stage_of_truth import STAY, STAY_POLITE, STAY_STUBBORN, Play, Stage

from psij_ext import ExitReason
from psij_ext.runtime.ending import kept_end

RAN = 'QUEUED ACTIVE'
AN_HOUR = 3600


def awaiting(stage: Stage, code: int, **options: str) -> Play:
    """Play a job that runs until it is let go, and then ends with this code."""
    return stage.play_until_told(f'tell $$; await; exit {code}', **options)


def was_killed_without_a_word(play: Play) -> None:
    """Where the scheduler does not tell how it ended, nobody can."""
    if play.stage.remembers:
        play.ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)
    else:
        play.ends(f'{RAN} FAILED', ExitReason.LOST)


# -- by itself


def success(stage: Stage) -> None:
    stage.play('exit 0').ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


def success_and_its_usage(stage: Stage) -> None:
    """The end is not put off for what the scheduler has to tell, and the job's folder keeps that, too."""
    play = stage.play('exit 0')
    play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    play.until(lambda: play.usage.raw, 'the scheduler does not tell what it used')
    assert play.usage.wall_time
    play.until(lambda: (kept := kept_end(play.work_folder)) is not None and kept[1] == play.job.exit_info, 'it is not kept')
    assert play.seen == f'{RAN} COMPLETED'


def usage_of_jobs_that_tell_nothing_themselves(stage: Stage) -> None:
    """A job whose script was killed, and others' jobs."""
    killed = stage.play(STAY)
    os.kill(stage.script_above(int(killed.hear())), signal.SIGKILL)
    killed.ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)
    _, (native_id, _) = stage.submit_array(2, 'sleep 2')
    theirs = stage.attach(native_id)
    theirs.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    theirs.until(lambda: theirs.usage.raw and killed.usage.raw, 'the scheduler does not tell what they used')
    assert theirs.usage.wall_time is not None
    assert timedelta(seconds=1) < theirs.usage.wall_time < timedelta(seconds=10)
    for usage in (killed.usage, theirs.usage):
        assert usage.submit_time is not None and usage.start_time is not None and usage.end_time is not None
        assert usage.submit_time <= usage.start_time <= usage.end_time <= datetime.now(timezone.utc) + timedelta(seconds=1)
        assert (usage.cpus, usage.nodes) == (1, 1)


def exit_code(stage: Stage) -> None:
    stage.play('exit 3').ends(f'{RAN} FAILED', ExitReason.EXITED, 3)


def exit_code_of_a_signal(stage: Stage) -> None:
    """Nothing tells it from the end by a signal: the scheduler does not either."""
    stage.play('exec bash -c "exit 143"').ends(f'{RAN} FAILED', ExitReason.SIGNALED, 143, signal.SIGTERM)


# -- by a signal


def child_killed(stage: Stage) -> None:
    play = stage.play(STAY)
    os.kill(int(play.hear()), signal.SIGKILL)
    play.ends(f'{RAN} FAILED', ExitReason.SIGNALED, 137, signal.SIGKILL)


def script_killed(stage: Stage) -> None:
    play = stage.play(STAY)
    os.kill(stage.script_above(int(play.hear())), signal.SIGKILL)
    was_killed_without_a_word(play)


# -- by a cancel, of somebody else at the shell, and of ours


def cancel_by_others_while_pending(stage: Stage) -> None:
    play = stage.play('exit 0', **stage.not_before(AN_HOUR))
    play.sees('QUEUED')
    stage.cancel(play.native_id)
    if stage.remembers:
        play.ends('QUEUED CANCELED', ExitReason.CANCELED)
    else:
        # A server that lost it, or a dependency that cannot hold, would look the same.
        play.ends('QUEUED FAILED', ExitReason.LOST)


def cancel_while_pending(stage: Stage) -> None:
    play = stage.play('exit 0', **stage.not_before(AN_HOUR))
    play.job.cancel()
    play.ends('QUEUED CANCELED', ExitReason.CANCELED)


def cancel_by_others_while_running(stage: Stage) -> None:
    play = stage.play_until_told(STAY)
    stage.cancel(play.native_id)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)


def cancel_while_running(stage: Stage) -> None:
    play = stage.play_until_told(STAY)
    play.job.cancel()
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)


def cancel_by_others_of_one_that_calls_it_a_success(stage: Stage) -> None:
    play = stage.play_until_told(STAY_POLITE)
    stage.cancel(play.native_id)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 0)


def cancel_of_one_that_calls_it_a_success(stage: Stage) -> None:
    play = stage.play_until_told(STAY_POLITE)
    play.job.cancel()
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 0)


def cancel_by_others_of_one_that_ignores_it(stage: Stage) -> None:
    play = stage.play_until_told(STAY_STUBBORN)
    stage.cancel(play.native_id)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, *stage.killed_after_cancel)


def cancel_of_one_that_ignores_it(stage: Stage) -> None:
    play = stage.play_until_told(STAY_STUBBORN)
    play.job.cancel()
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, *stage.killed_after_cancel)


def cancel_by_others_after_the_command_and_before_the_record(stage: Stage) -> None:
    """The scheduler cancelled a job that had not ended yet, although its command had."""
    play = stage.plan('exit 0')
    assert play.job.spec is not None
    play.job.spec.post_launch = stage.folder / 'after'
    play.job.spec.post_launch.write_text(f'sleep 600 & echo > {play.pipes.variables["TOLD"]}; wait $!; kill $!')
    stage.executor.submit(play.job)
    play.hear()
    stage.cancel(play.native_id)
    play.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 0)


def cancel_after_the_end(stage: Stage) -> None:
    play = stage.play('exit 0')
    stage.wait_until_over(play)
    play.job.cancel()
    play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


def element_of_an_array_cancelled_by_others_while_running(stage: Stage) -> None:
    # Slurm calls an element running before its node has started it.
    array, elements = stage.submit_array(3, f': > {quote(str(stage.folder))}/began.$$; exec sleep 600')
    first, second, third = map(stage.attach, elements)
    for element in (first, second, third):
        element.sees(RAN)
    third.until(lambda: len([*stage.folder.glob('began.*')]) == 3, 'the elements did not begin')
    stage.cancel(second.native_id)
    second.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)
    assert (first.seen, third.seen) == (RAN, RAN)
    stage.cancel(array)
    first.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)
    third.ends(f'{RAN} CANCELED', ExitReason.CANCELED, 143, signal.SIGTERM)


# -- by its time limit


def time_limit(stage: Stage) -> None:
    stage.play_to_the_limit(STAY).ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 143, signal.SIGTERM)


def time_limit_of_one_that_calls_it_a_success(stage: Stage) -> None:
    stage.play_to_the_limit(STAY_POLITE).ends(f'{RAN} FAILED', ExitReason.TIMEOUT, 0)


def time_limit_of_one_that_ignores_it(stage: Stage) -> None:
    stage.play_to_the_limit(STAY_STUBBORN).ends(f'{RAN} FAILED', ExitReason.TIMEOUT, *stage.killed_at_limit)


# -- later than first thought


def requeue_while_running(stage: Stage) -> None:
    """The exit record of the first attempt, a success even, does not count."""
    play = stage.play_until_told(f'mkdir once || exit 4; {STAY_POLITE}')
    play.sees(RAN)
    stage.requeue(play.native_id)
    play.ends(f'{RAN} {RAN} FAILED', ExitReason.EXITED, 4)
    record = play.work_folder.read_exit()
    assert record is not None
    assert record.attempt == 2
    assert (play.job.status.metadata or {})['attempt'] == 2


def hold_and_release(stage: Stage) -> None:
    """One is held by somebody else, one by us."""
    plays = theirs, ours = [stage.play('exit 0', **stage.not_before(4)) for _ in range(2)]
    stage.hold(theirs.native_id)
    stage.executor.hold(ours.job)
    for play in plays:
        play.reads(*stage.held)
    stage.release(theirs.native_id)
    stage.executor.release(ours.job)
    for play in plays:
        play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


def suspend_and_resume(stage: Stage) -> None:
    play = stage.play_until_told('tell; await')
    play.reads(*stage.running)
    stage.suspend(play.native_id)
    play.reads(*stage.suspended)
    stage.resume(play.native_id)
    play.reads(*stage.running)
    play.let_go()
    play.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)


# -- without its folder


def folder_removed_while_it_runs(stage: Stage) -> None:
    """Then the scheduler alone says what became of it."""
    successful, failing = (awaiting(stage, code) for code in (0, 3))
    for play in (successful, failing):
        play.sees(RAN)
        shutil.rmtree(play.work_folder.path)
        play.let_go()
    if stage.remembers:
        successful.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
        failing.ends(f'{RAN} FAILED', ExitReason.EXITED, 3)
    else:
        successful.ends(f'{RAN} FAILED', ExitReason.LOST)
        failing.ends(f'{RAN} FAILED', ExitReason.LOST)


ENDS = (
    success, exit_code, exit_code_of_a_signal, child_killed, script_killed,
    cancel_by_others_while_pending, cancel_while_pending, cancel_by_others_while_running, cancel_while_running,
    cancel_by_others_of_one_that_calls_it_a_success, cancel_of_one_that_calls_it_a_success,
    cancel_by_others_of_one_that_ignores_it, cancel_of_one_that_ignores_it,
    cancel_by_others_after_the_command_and_before_the_record, cancel_after_the_end,
    time_limit, time_limit_of_one_that_calls_it_a_success, time_limit_of_one_that_ignores_it,
    requeue_while_running, hold_and_release, suspend_and_resume, folder_removed_while_it_runs)
