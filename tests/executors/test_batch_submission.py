from __future__ import annotations

import contextlib
import errno
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from simple_dialect import ArrayExecutor, FakeRunner, SimpleExecutor, claim, claims, folder_of, result

from faulty_files import FaultyFiles
from psij_ext.core.attributes import JobAttributes
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import (
    CommandNotFound,
    CommandTimeout,
    InvalidJobException,
    SubmitException,
    SubmitUncertain,
)
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.jobfolder import JobFolder

# -- a submission that succeeds


def test_a_submitted_job_has_its_native_id_and_waits(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['status'] = result(b'1 waiting\n')
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert (job.native_id, job.executor, job.status.state) == ('1', executor, JobState.QUEUED)
    assert folder_of(executor, job).read_journal().native_id == '1'
    assert claims(executor, job) == []
    record = folder_of(executor, job).read_journal().submission
    assert record is not None
    assert (record['job_id'], record['executor']) == (job.id, 'SimpleExecutor')


@pytest.mark.parametrize('count', [1, 3])
def test_it_waits_since_before_the_scheduler_had_it(tmp_path: Path, runner: FakeRunner, count: int) -> None:
    """What a scheduler starts at once is not running before it waits."""
    started = []

    def answer(argv: Sequence[str], cwd: Path) -> CommandResult:
        started.append(time.time())
        return result(b'job 1\n')

    runner.answers['submit'] = answer
    waits: list[JobStatus] = []
    with ArrayExecutor(config=BatchSchedulerExecutorConfig(
            work_directory=tmp_path / 'work', initial_queue_polling_delay=1000, queue_polling_interval=1000)) as executor:
        executor.runner = runner
        executor.set_job_status_callback(lambda _, status: waits.append(status))
        before = time.time()
        executor.submit_many(Job(JobSpec('/bin/date')) for _ in range(count))
    assert len(started) == 1
    assert [status.state for status in waits] == [JobState.QUEUED] * count
    assert all(before <= status.time <= started[0] for status in waits)


def test_how_the_command_is_run(executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SIMPLE_OPTIONS', '--hold')
    monkeypatch.setenv('SIMPLE_HOME', '/opt/simple')
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    executor.list()
    folder = folder_of(executor, job)
    (argv, timeout, cwd, env), = runner.of('submit')
    assert (argv, timeout, cwd) == (['submit', str(folder.script_path)], 7, folder.path)
    assert (env['SIMPLE_HOME'], env['PATH']) == ('/opt/simple', os.environ['PATH'])
    assert not {'SIMPLE_OPTIONS', 'SIMPLE_LONG'} & set(env)
    _, timeout, _, env = runner.of('status')[0]
    assert (timeout, env['SIMPLE_LONG'], 'SIMPLE_OPTIONS' in env) == (8, '1', False)


def test_the_folder_of_a_next_job_is_made_while_the_submit_command_runs(
        executor: SimpleExecutor, runner: FakeRunner) -> None:
    made = []

    def answer(argv: Sequence[str], cwd: Path) -> CommandResult:
        assert runner.once_started is not None
        runner.once_started()
        executor._keeping.close()  # it finishes what it was given
        made.extend(executor.work_directory.glob('.spare-*'))
        return result(b'job 1\n')

    runner.answers['submit'] = answer
    executor.submit(Job(JobSpec('/bin/date')))
    spare, = made
    inode = spare.stat().st_ino
    runner.answers['submit'] = result(b'job 2\n')
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert folder_of(executor, job).path.stat().st_ino == inode


def test_the_disk_holds_a_folder_while_the_submit_command_runs(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, kept = [], []
    monkeypatch.setattr(os, 'fsync', lambda descriptor: synced.append(Path(os.readlink(f'/proc/self/fd/{descriptor}'))))

    def answer(argv: Sequence[str], cwd: Path) -> CommandResult:
        assert runner.once_started is not None
        runner.once_started()
        executor._keeping.close()
        kept.extend(synced)
        return result(b'job 1\n')

    runner.answers['submit'] = answer
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    folder = folder_of(executor, job).path
    assert kept == [folder / 'journal', folder, folder.parent]


def test_a_disk_that_cannot_be_sure_of_a_folder_stops_no_submission(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, 'Input/output error')

    def answer(argv: Sequence[str], cwd: Path) -> CommandResult:
        assert runner.once_started is not None
        runner.once_started()
        return result(b'job 1\n')

    monkeypatch.setattr(os, 'fsync', fail)
    runner.answers['submit'] = answer
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    executor.close()
    assert job.native_id == '1'
    assert f'The folder of job {job.id} may not outlast a loss of power: [Errno 5] Input/output error' in caplog.text


def test_the_script_is_the_templates_and_every_jobs(executor: SimpleExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(JobSpec('/bin/date', name='plain', attributes=JobAttributes(custom_attributes={'smp.a': 1, 'other.b': 2, 'simple.c': None})))
    executor.submit(job)
    script = folder_of(executor, job).script_path.read_text()
    assert script.startswith('#!/bin/bash\n#SIMPLE name plain\n#SIMPLE a=1\n#SIMPLE c\npsij_native_id=$SIMPLE_ID\n\n# ---- psij-ext')


@pytest.mark.parametrize('template', ['{{#name}}', '{{/name}}', '#SIMPLE {{nothing_known}}'])
def test_a_template_at_fault_is_named_with_its_plugin(
        executor: SimpleExecutor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, template: str) -> None:
    path = tmp_path / 'bad.mustache'
    path.write_text(template)
    monkeypatch.setattr(SimpleExecutor, 'template', path)
    with pytest.raises(InvalidJobException) as caught:
        executor.submit(Job(JobSpec('/bin/date')))
    assert str(caught.value).startswith(f'simple_dialect.SimpleExecutor in {sys.modules["simple_dialect"].__file__}: ')
    assert f'The template {path} cannot be filled in: ' in str(caught.value)


def test_odd_labels_go_on_the_command_line(executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('SIMPLE_QUEUE', 'a queue')
    job = Job(JobSpec('/bin/date', name='two\nlines'))
    executor.submit(job)
    script = folder_of(executor, job).script_path
    assert runner.of('submit')[0][0] == ['submit', '-N', 'two\nlines', '--queue=a queue', str(script)]
    assert '#SIMPLE name' not in script.read_text()


def test_a_job_is_submitted_once(executor: SimpleExecutor, runner: FakeRunner) -> None:
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    with pytest.raises(InvalidJobException, match='submitted before'):
        executor.submit(job)
    assert len(runner.of('submit')) == 1


def test_of_many_threads_one_submits(executor: SimpleExecutor, runner: FakeRunner) -> None:
    job, refused = Job(JobSpec('/bin/date')), []

    def submit() -> None:
        try:
            executor.submit(job)
        except InvalidJobException as error:
            refused.append(error)

    threads = [threading.Thread(target=submit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(refused), len(runner.of('submit'))) == (7, 1)


# -- submissions that fail


def assert_can_be_submitted_again(executor: SimpleExecutor, runner: FakeRunner, job: Job) -> None:
    assert (job.status.state, job.native_id, job.executor, job.exit_info) == (JobState.NEW, None, None, None)
    runner.answers['submit'] = result(b'job 2\n')
    executor.submit(job)
    assert (job.status.state is JobState.NEW, job.native_id) == (False, '2')
    assert folder_of(executor, job).read_journal().native_id == '2'


def test_a_refused_job(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['submit'] = result(b'', 170, b'submit: Unknown queue\n')
    job = Job(JobSpec('/bin/date'))
    script = folder_of(executor, job).script_path
    with pytest.raises(SubmitException, match='submit: Unknown queue') as caught:
        executor.submit(job)
    assert not isinstance(caught.value, SubmitUncertain)
    assert tuple(caught.value.argv) == ('submit', str(script))
    assert (caught.value.exit_code, caught.value.stderr, caught.value.script_path, caught.value.transient) == (
        170, 'submit: Unknown queue', script, False)
    assert str(script) in str(caught.value)
    assert '170' in str(caught.value)
    assert script.exists()
    assert_can_be_submitted_again(executor, runner, job)


def test_a_refused_submission_never_runs(executor: SimpleExecutor, runner: FakeRunner) -> None:
    # Slurm: a failed sbatch may be a submitted job, where the controller was slow.
    runner.answers['submit'] = result(b'', 1, b'Socket timed out on send/recv operation')
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(SubmitException):
        executor.submit(job)
    assert claims(executor, job) == [REVOKED]
    assert_can_be_submitted_again(executor, runner, job)
    assert claims(executor, job) == [REVOKED]  # of the first submission; the second has a nonce of its own


class Patience:
    """A clock that only sleeping moves."""

    def __init__(self, executor: SimpleExecutor, seconds: float) -> None:
        self.slept: list[float] = []
        executor.config.submit_retry_time = seconds
        executor.clock = lambda: sum(self.slept)
        executor.sleep = self.slept.append


BUSY = result(b'', 1, b'submit: busy')


def test_a_refusal_that_may_pass_is_tried_again(
        executor: SimpleExecutor, runner: FakeRunner, caplog: pytest.LogCaptureFixture) -> None:
    patience = Patience(executor, 100)
    answers = [BUSY, BUSY, CommandTimeout('no answer', argv=('submit',)), result(b'job 5\n')]
    nonces: list[object] = []

    def answer(argv: Sequence[str], cwd: Path) -> CommandResult:
        folder = JobFolder(cwd)
        nonces.append((folder.read_journal().submission or {})['nonce'])
        assert str(nonces[-1]) in folder.script_path.read_text()
        given = answers.pop(0)
        if isinstance(given, CommandTimeout):
            raise given
        return given

    runner.answers['submit'] = answer
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    folder = folder_of(executor, job)
    assert (job.native_id, folder.read_journal().native_id) == ('5', '5')
    # What was refused runs nothing, should it come to run all the same.
    assert len({*nonces}) == 4
    assert [folder.claimed_by(str(nonce)) for nonce in nonces] == [REVOKED, REVOKED, REVOKED, None]
    assert [round(pause / doubled) for pause, doubled in zip(patience.slept, (1, 2, 4))] == [1, 1, 1]
    told = [record for record in caplog.records if 'submitted again' in record.message]
    assert [record.levelname for record in told if record.levelno >= logging.INFO] == ['WARNING']


def test_it_is_tried_no_longer_than_was_said(executor: SimpleExecutor, runner: FakeRunner) -> None:
    patience = Patience(executor, 10)
    runner.answers['submit'] = BUSY
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(SubmitException, match='busy') as caught:
        executor.submit(job)
    assert caught.value.transient
    assert 5 < sum(patience.slept) <= 10
    assert len(runner.of('submit')) == len(patience.slept) + 1
    assert_can_be_submitted_again(executor, runner, job)


def test_a_refusal_that_does_not_pass_is_not_tried_again(executor: SimpleExecutor, runner: FakeRunner) -> None:
    patience = Patience(executor, 100)
    runner.answers['submit'] = result(b'', 170, b'submit: Unknown queue\n')
    with pytest.raises(SubmitException):
        executor.submit(Job(JobSpec('/bin/date')))
    assert (patience.slept, len(runner.of('submit'))) == ([], 1)


def test_a_refused_submission_that_runs_all_the_same_is_followed(executor: SimpleExecutor, runner: FakeRunner) -> None:
    def refuse(argv: Sequence[str], folder: Path) -> CommandResult:
        claim('77')(argv, folder)
        return result(b'', 1, b'Socket timed out on send/recv operation')

    runner.answers['submit'] = refuse
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert (job.native_id, folder_of(executor, job).read_journal().native_id) == ('77', '77')


@pytest.mark.parametrize('stdout', [b'refused for a reason\n', b''])
def test_a_refusal_without_standard_error(executor: SimpleExecutor, runner: FakeRunner, stdout: bytes) -> None:
    runner.answers['submit'] = result(stdout, 2)
    with pytest.raises(SubmitException, match='refused for a reason' if stdout else 'does not say why'):
        executor.submit(Job(JobSpec('/bin/date')))


def test_a_scheduler_that_is_not_installed(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['submit'] = CommandNotFound("'submit' was not found", argv=('submit', 'x'))
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(SubmitException, match='was not found') as caught:
        executor.submit(job)
    assert tuple(caught.value.argv) == ('submit', 'x')
    assert caught.value.script_path == folder_of(executor, job).script_path
    assert caught.value.__cause__ is runner.answers['submit']
    assert_can_be_submitted_again(executor, runner, job)


def test_a_timeout_before_the_script_began(executor: SimpleExecutor, runner: FakeRunner) -> None:
    timeout = CommandTimeout('no answer within 7 s', argv=('submit', 'x'), stderr='half a word')
    runner.answers['submit'] = timeout
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(SubmitException, match='no answer within 7 s') as caught:
        executor.submit(job)
    assert not isinstance(caught.value, SubmitUncertain)
    assert (tuple(caught.value.argv), caught.value.stderr, caught.value.transient) == (('submit', 'x'), 'half a word', True)
    assert caught.value.script_path == folder_of(executor, job).script_path
    assert caught.value.__cause__ is timeout
    assert claims(executor, job) == [REVOKED]
    assert_can_be_submitted_again(executor, runner, job)


def test_a_timeout_after_the_script_began(executor: SimpleExecutor, runner: FakeRunner) -> None:
    def time_out(argv: Sequence[str], folder: Path) -> CommandResult:
        claim('88')(argv, folder)
        raise CommandTimeout('no answer', argv=argv)

    runner.answers['submit'] = time_out
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert (job.native_id, job.executor) == ('88', executor)
    assert claims(executor, job) == ['88']


@pytest.mark.parametrize('stdout', [b'', b'Thank you!\n', b'\xff\xfe'])
def test_an_answer_that_names_no_job(executor: SimpleExecutor, runner: FakeRunner, stdout: bytes) -> None:
    runner.answers['submit'] = result(stdout, 0, b'a warning')
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(SubmitException, match='names no job') as caught:
        executor.submit(job)
    assert (caught.value.exit_code, caught.value.stderr) == (0, 'a warning')
    assert 'a warning' in str(caught.value)
    assert claims(executor, job) == [REVOKED]
    assert_can_be_submitted_again(executor, runner, job)


@pytest.mark.parametrize('interrupt', [KeyboardInterrupt(), SystemExit(), MemoryError()])
def test_an_interrupted_submission_never_runs(executor: SimpleExecutor, runner: FakeRunner, interrupt: BaseException) -> None:
    runner.answers['submit'] = interrupt
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(type(interrupt)):
        executor.submit(job)
    assert claims(executor, job) == [REVOKED]
    assert_can_be_submitted_again(executor, runner, job)


def test_an_interrupted_submission_that_runs_already_is_told_of(
        executor: SimpleExecutor, runner: FakeRunner, caplog: pytest.LogCaptureFixture) -> None:
    def interrupt(argv: Sequence[str], folder: Path) -> CommandResult:
        claim('99')(argv, folder)
        raise KeyboardInterrupt

    runner.answers['submit'] = interrupt
    job = Job(JobSpec('/bin/date'))
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        executor.submit(job)
    assert '99' in caplog.text
    assert (job.native_id, folder_of(executor, job).read_journal().native_id) == ('99', '99')
    with pytest.raises(InvalidJobException, match='submitted before'):
        executor.submit(job)


def test_an_interrupted_submission_that_cannot_be_revoked_stays_open(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FaultyFiles(monkeypatch)

    def interrupt(argv: Sequence[str], folder: Path) -> CommandResult:
        stack.enter_context(files.on(folder, 'EIO'))
        raise KeyboardInterrupt

    runner.answers['submit'] = interrupt
    job = Job(JobSpec('/bin/date'))
    with contextlib.ExitStack() as stack, pytest.raises(KeyboardInterrupt):
        executor.submit(job)
    assert folder_of(executor, job).read_journal().is_open  # whoever comes later settles it
    with pytest.raises(InvalidJobException, match='submitted before'):
        executor.submit(job)


def test_a_folder_that_fills_up(executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    files = FaultyFiles(monkeypatch)
    job = Job(JobSpec('/bin/date'))
    with files.on(executor.work_directory, 'ENOSPC on write'), pytest.raises(SubmitException, match='No space left'):
        executor.submit(job)
    assert (files.failed, runner.of('submit')) == ({'write'}, [])
    assert_can_be_submitted_again(executor, runner, job)


def test_a_submission_that_cannot_be_settled_is_uncertain(
        executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: JobFolder, nonce: str) -> None:
        raise OSError(5, 'Input/output error')

    monkeypatch.setattr(JobFolder, 'revoke', fail)
    runner.answers['submit'] = CommandTimeout('no answer', argv=('submit', 'x'))
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(SubmitUncertain, match='Input/output error') as caught:
        executor.submit(job)
    assert caught.value.script_path == folder_of(executor, job).script_path
    monkeypatch.undo()
    with pytest.raises(InvalidJobException, match='submitted before'):
        executor.submit(job)
    assert len(runner.of('submit')) == 1


def test_a_folder_that_cannot_be_made(executor: SimpleExecutor, runner: FakeRunner, tmp_path: Path) -> None:
    (tmp_path / 'work').write_text('in the way')
    job = Job(JobSpec('/bin/date'))
    with pytest.raises(SubmitException, match='work') as caught:
        executor.submit(job)
    assert isinstance(caught.value.__cause__, OSError)
    assert runner.of('submit') == []
    (tmp_path / 'work').unlink()
    assert_can_be_submitted_again(executor, runner, job)


def test_a_folder_that_others_may_write_to(executor: SimpleExecutor, runner: FakeRunner) -> None:
    executor.work_directory.mkdir(parents=True)
    executor.work_directory.chmod(0o777)
    with pytest.raises(Exception, match='can be written to by others'):
        executor.submit(Job(JobSpec('/bin/date')))
    assert runner.of('submit') == []


@pytest.mark.parametrize('spec', [
    None, JobSpec(), JobSpec('/bin/date', launcher='no-such-launcher'),
    JobSpec('/bin/date', attributes=JobAttributes(custom_attributes={'unprefixed': 1})),
    JobSpec('/bin/date', attributes=JobAttributes(custom_attributes={'simple.x': 'a b'})),
    JobSpec('/bin/date', cleanup={Path('..')})])
def test_a_job_that_cannot_be_run_as_written(executor: SimpleExecutor, runner: FakeRunner, spec: JobSpec | None) -> None:
    job = Job(spec)
    with pytest.raises(InvalidJobException):
        executor.submit(job)
    assert runner.of('submit') == []
    job.spec = JobSpec('/bin/date')
    assert_can_be_submitted_again(executor, runner, job)


def test_a_dialect_without_a_template(executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimpleExecutor, 'template', None)
    with pytest.raises(InvalidJobException, match='neither a template nor'):
        executor.submit(Job(JobSpec('/bin/date')))


def test_rendering_writes_and_runs_nothing(executor: SimpleExecutor, runner: FakeRunner, tmp_path: Path) -> None:
    job = Job(JobSpec('/bin/date'))
    script, command = executor.preview(job)
    assert script.startswith('#!/bin/bash\n#SIMPLE name /bin/date\n')
    assert command[0] == 'submit'
    assert (runner.runs, list(tmp_path.iterdir()), job.executor) == ([], [], None)
