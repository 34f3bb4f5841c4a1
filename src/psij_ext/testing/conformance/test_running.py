"""Programs run, and their ends are told truthfully."""

from __future__ import annotations

import os
import signal
import time

import pytest

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.execparams import ExecParams

# Launchers that start the program as it is; the others put programs of their own between it and the job.
DIRECT = (None, 'single', 'multiple')


def test_simple_job(execparams: ExecParams) -> None:
    """A program runs to its end, and the job has an id, times and an exit code."""
    before = time.time()
    job = execparams.job('/bin/date')
    status = execparams.run(job)
    execparams.expect(job, JobState.COMPLETED, exit_code=0)
    assert job.native_id
    # The scheduler's clock may be another machine's, and coarse.
    assert before - 60 < status.time < time.time() + 60
    assert job.exit_info is not None
    assert (job.exit_info.reason, job.exit_info.exit_code, job.exit_info.signal) == (ExitReason.EXITED, 0, None)


def test_exit_codes(execparams: ExecParams) -> None:
    """The job's exit code is the program's, and any but zero is a failure."""
    jobs = {code: execparams.submit(execparams.shell(f'exit {code}')) for code in (0, 1, 3, 127, 255)}
    for code, job in jobs.items():
        execparams.wait(job)
        execparams.expect(job, JobState.FAILED if code else JobState.COMPLETED, exit_code=code)
        assert job.exit_info is not None
        assert (job.exit_info.reason, job.exit_info.exit_code) == (ExitReason.EXITED, code)


def test_signals(execparams: ExecParams) -> None:
    """A program that a signal ended has the exit code 128 + n, and failed: nobody cancelled it."""
    numbers = (signal.SIGINT, signal.SIGKILL, signal.SIGUSR1, signal.SIGSEGV, signal.SIGTERM)
    script = 'ulimit -c 0; kill -s "$1" $$; sleep 1000'
    jobs = {number: execparams.submit(execparams.shell(script, [str(number.value)])) for number in numbers}
    for number, job in jobs.items():
        execparams.wait(job)
        execparams.expect(job, JobState.FAILED, exit_code=128 + number)
        assert job.exit_info is not None
        assert (job.exit_info.reason, job.exit_info.signal) == (ExitReason.SIGNALED, number)


def test_missing_executable(execparams: ExecParams) -> None:
    """A program that is not there fails the job, and the message names it."""
    job = execparams.job('/nonexistent/program')
    status = execparams.run(job)
    execparams.expect(job, JobState.FAILED, exit_code=127 if execparams.launcher in DIRECT else None)
    assert '/nonexistent/program' in str(status.message)
    _expect_no_launch(execparams, job)


def test_executable_that_may_not_run(execparams: ExecParams) -> None:
    """A file without the right to run it fails the job, and the message names it."""
    program = execparams.folder / 'program'
    program.write_text('#!/bin/sh\n')
    job = execparams.job(str(program))
    status = execparams.run(job)
    execparams.expect(job, JobState.FAILED, exit_code=126 if execparams.launcher in DIRECT else None)
    assert str(program) in str(status.message)
    _expect_no_launch(execparams, job)


def _expect_no_launch(execparams: ExecParams, job: Job) -> None:
    """A launcher that starts programs elsewhere ends in its own ways where it cannot."""
    assert job.exit_info is not None
    if execparams.launcher in DIRECT:
        assert job.exit_info.reason is ExitReason.LAUNCH_FAILED


def test_executable_on_path(execparams: ExecParams) -> None:
    """A program without a slash is looked for on PATH."""
    assert execparams.succeed(execparams.job('echo', ['found'])) == 'found\n'


def test_last_words(execparams: ExecParams) -> None:
    """What a failed program wrote last on standard error is in the message."""
    job = execparams.shell('echo nothing of interest; echo "the disk is full" >&2; exit 4')
    status = execparams.run(job)
    execparams.expect(job, JobState.FAILED, exit_code=4)
    assert 'the disk is full' in str(status.message)


@once
def test_missing_directory(execparams: ExecParams) -> None:
    """A directory that is not there is named in a refusal or in a failure; the program does not run elsewhere."""
    trace, missing = execparams.folder / 'trace', execparams.folder / 'missing'
    job = execparams.job('/usr/bin/touch', [str(trace)], directory=missing)
    try:
        execparams.run(job)
    except InvalidJobException as error:
        words = str(error)
    else:
        words = str(execparams.expect(job, JobState.FAILED).message)
    assert str(missing) in words
    assert not trace.exists()


def test_directory(execparams: ExecParams) -> None:
    """The program runs in the job's directory."""
    place = execparams.folder / 'place'
    place.mkdir()
    assert execparams.succeed(execparams.job('/bin/pwd', directory=place)) == f'{place}\n'


@once
def test_submitters_directory(execparams: ExecParams, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a directory, the program runs where it was submitted."""
    monkeypatch.chdir(execparams.folder)
    assert execparams.succeed(execparams.job('/bin/pwd')) == f'{execparams.folder}\n'


def test_signal_dispositions(execparams: ExecParams) -> None:
    """No signal that ends a program is ignored or blocked when it starts.

    HUP is left out: PBS starts its jobs so that they ignore it, and a shell cannot undo that (bash(1), "SIGNALS").
    """
    job = execparams.job('/bin/grep', ['-E', '^Sig(Ign|Blk)', '/proc/self/status'])
    masks = dict(line.split(':\t') for line in execparams.succeed(job).splitlines())
    for name, mask in masks.items():
        missed = {number for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGPIPE, signal.SIGTERM)
                  if int(mask, 16) >> (number - 1) & 1}
        assert not missed, name


@pytest.mark.conformance(not_on=('pbspro',))  # PBS gives jobs a umask of its own: qsub(1B), -W umask
def test_umask(execparams: ExecParams) -> None:
    """The program has the submitter's umask, however private the job's folder is."""
    job = execparams.shell('umask')
    before = os.umask(0o027)
    try:
        execparams.submit(job)
    finally:
        os.umask(before)
    execparams.wait(job)
    execparams.expect(job, JobState.COMPLETED)
    assert execparams.output(job) == '0027\n'


@once
def test_private_folder(execparams: ExecParams) -> None:
    """Nobody else may look into a job's folder."""
    job = execparams.job('/bin/date')
    execparams.succeed(job)
    folder = execparams.work_directory / execparams.executor_name / job.id
    assert folder.stat().st_mode & 0o777 == 0o700


# -- scripts around the launch


def test_pre_launch(execparams: ExecParams) -> None:
    """What the pre-launch script exports reaches the program."""
    script = execparams.folder / 'pre'
    script.write_text("export FROM_PRE_LAUNCH='two words'\n")
    job = execparams.shell('echo "$FROM_PRE_LAUNCH"', pre_launch=script)
    assert execparams.succeed(job) == 'two words\n'


@once
def test_failing_pre_launch(execparams: ExecParams) -> None:
    """Nothing is launched after a pre-launch script that failed, in whatever way, and the job fails."""
    trace = execparams.folder / 'trace'
    jobs = []
    for number, ending in enumerate(('false', 'return 3', 'exit 3', 'set -e\nfalse\ntrue', 'kill -TERM $$')):
        script = execparams.folder / f'pre{number}'
        script.write_text(f'{ending}\n')
        jobs.append(execparams.submit(execparams.job('/usr/bin/touch', [str(trace)], pre_launch=script)))
    for job in jobs:
        execparams.wait(job)
        assert job.status.state is not JobState.COMPLETED, execparams.describe(job)
    assert not trace.exists()


@once
def test_pre_launch_that_ends_the_shell(execparams: ExecParams) -> None:
    """A pre-launch script that replaces the job's shell makes no success of a job that was not launched."""
    script, trace = execparams.folder / 'pre', execparams.folder / 'trace'
    script.write_text('exec true\n')
    job = execparams.job('/usr/bin/touch', [str(trace)], pre_launch=script)
    status = execparams.run(job, execparams.executor(absence_grace=1))
    execparams.expect(job, JobState.FAILED)
    assert job.exit_info is not None
    # A scheduler that keeps nothing of what is over cannot tell it from a job that was killed.
    assert job.exit_info.reason in (ExitReason.LAUNCH_FAILED, ExitReason.LOST)
    assert 'pre-launch' in str(status.message)
    assert not trace.exists()


@once
def test_post_launch_that_ends_the_shell(execparams: ExecParams) -> None:
    """What the post-launch script does to its shell changes nothing of how the job ended."""
    jobs = []
    for number, text in enumerate(('exec true', 'trap - EXIT; exit 0')):
        script = execparams.folder / f'post{number}'
        script.write_text(text)
        jobs.append(execparams.submit(execparams.shell('exit 3', post_launch=script)))
    for job in jobs:
        execparams.wait(job)
        execparams.expect(job, JobState.FAILED, exit_code=3)


@once
def test_missing_pre_launch(execparams: ExecParams) -> None:
    """A pre-launch script that is not there fails the job, and the message names it."""
    trace = execparams.folder / 'trace'
    job = execparams.job('/usr/bin/touch', [str(trace)], pre_launch=execparams.folder / 'missing')
    status = execparams.run(job)
    execparams.expect(job, JobState.FAILED)
    assert str(execparams.folder / 'missing') in str(status.message)
    assert not trace.exists()


@once
def test_post_launch(execparams: ExecParams) -> None:
    """The post-launch script runs once after the program, however that ended, and does not change its exit code."""
    script = execparams.folder / 'post'
    trace = execparams.folder / 'trace'
    script.write_text(f"echo over >> '{trace}'\n")
    job = execparams.shell('exit 3', post_launch=script)
    execparams.run(job)
    execparams.expect(job, JobState.FAILED, exit_code=3)
    assert trace.read_text() == 'over\n'
