from __future__ import annotations

import gc
import logging
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Union

import pytest

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.exit_info import ExitReason
from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation, Site
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import (
    CommandError,
    CommandNotFound,
    CommandTimeout,
    InvalidJobException,
    ParseError,
    SubmitException,
    SubmitUncertain,
)
from psij_ext.executors.batch import BatchSchedulerExecutor, BatchSchedulerExecutorConfig
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.jobfolder import REVOKED, JobFolder

Answer = Union[CommandResult, BaseException, Callable[[Sequence[str], Path], CommandResult]]


class FakeRunner:
    """Answers each kind of command in its own way; the first word of a command is its kind."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {
            'submit': result(b'job 1\n'), 'status': result(b'1 running\n'), 'cancel': result(), 'site': result(b'2.5\n')}
        self.runs: list[tuple[list[str], float, Path | None, dict[str, str]]] = []

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None) -> CommandResult:
        self.runs.append((list(argv), timeout, cwd, dict(env or {})))
        answer = self.answers[argv[0]]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, CommandResult) else answer(argv, cwd or Path())

    def of(self, kind: str) -> list[tuple[list[str], float, Path | None, dict[str, str]]]:
        return [run for run in self.runs if run[0][0] == kind]


def result(stdout: bytes = b'', exit_code: int = 0, stderr: bytes = b'') -> CommandResult:
    return CommandResult(('some', 'command'), exit_code, stdout, stderr)


class SimpleExecutor(BatchSchedulerExecutor):
    """All that a dialect needs: the methods of PSI/J's plugin interface, and a template."""

    template = Path(__file__).parent / 'simple.mustache'
    custom_attribute_prefixes = ('simple', 'smp')
    label_options = {'name': '-N', 'queue_name': '--queue'}
    native_variables = ('SIMPLE_',)
    kept_variables = ('SIMPLE_HOME',)
    command_variables = {'SIMPLE_LONG': '1'}
    environment_defaults = {'queue_name': 'SIMPLE_QUEUE'}

    def get_submit_command(self, job: Job, submit_file_path: Path) -> list[str]:
        return ['submit', str(submit_file_path)]

    def job_id_from_submit_output(self, out: str) -> str:
        word, _, native_id = out.strip().partition(' ')
        if word != 'job' or not native_id:
            raise ParseError(f'No id in {out!r}')
        return native_id

    def get_status_command(self, native_ids: Sequence[str]) -> list[str]:
        return ['status', *native_ids]

    def parse_status_output(self, exit_code: int, out: str) -> dict[str, JobStatus]:
        if exit_code != 0:
            raise ParseError(out)
        states = {'waiting': JobState.QUEUED, 'running': JobState.ACTIVE, 'done': JobState.COMPLETED, 'failed': JobState.FAILED}
        return {native_id: JobStatus(states[word]) for native_id, word in (line.split() for line in out.splitlines())}

    def get_cancel_command(self, native_id: str) -> list[str]:
        return ['cancel', native_id]

    def process_cancel_command_output(self, exit_code: int, out: str) -> None:
        if 'over' not in out:
            raise SubmitException(out, exit_code=exit_code)

    def get_site_command(self) -> list[str]:
        return ['site']

    def parse_site(self, result: CommandResult) -> Site:
        if result.exit_code != 0:
            raise CommandError('no site', argv=result.argv)
        return Site('simple', tuple(int(part) for part in result.text.strip().split('.')))


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner()


@pytest.fixture
def executor(tmp_path: Path, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleExecutor]:
    for name in [name for name in os.environ if name.startswith('SIMPLE_')]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    config = BatchSchedulerExecutorConfig(
        work_directory=tmp_path / 'work', initial_queue_polling_delay=0.05, queue_polling_interval=timedelta(seconds=0.2),
        submit_timeout=7, command_timeout=timedelta(seconds=8))
    made = SimpleExecutor(config=config)
    made.runner = runner
    yield made
    made.close()


def folder_of(executor: SimpleExecutor, job: Job) -> JobFolder:
    return JobFolder(executor.work_directory / job.id)


def claims(executor: SimpleExecutor, job: Job) -> list[str]:
    return [os.readlink(path) for path in folder_of(executor, job).path.glob('claim.*')]


def claim(native_id: str) -> Callable[[Sequence[str], Path], None]:
    """What a job's script does first: it reads the nonce out of itself."""

    def act(argv: Sequence[str], folder: Path) -> None:
        script = (folder / 'script').read_text()
        nonce = script.split('psij_claim=$psij_folder/claim.')[1].split()[0]
        (folder / f'claim.{nonce}').symlink_to(native_id)

    return act


# -- a submission that succeeds


def test_a_submitted_job_has_its_native_id_and_waits(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['status'] = result(b'1 waiting\n')
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert (job.native_id, job.executor, job.status.state) == ('1', executor, JobState.QUEUED)
    assert folder_of(executor, job).native_id == '1'
    assert claims(executor, job) == []
    record = folder_of(executor, job).read_record()
    assert record is not None
    assert (record['job_id'], record['executor']) == (job.id, 'SimpleExecutor')


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


def test_the_script_is_the_templates_and_every_jobs(executor: SimpleExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    job = Job(JobSpec('/bin/date', name='plain', attributes=JobAttributes(custom_attributes={'smp.a': 1, 'other.b': 2, 'simple.c': None})))
    executor.submit(job)
    script = folder_of(executor, job).script_path.read_text()
    assert script.startswith('#!/bin/bash\n#SIMPLE name plain\n#SIMPLE a=1\n#SIMPLE c\npsij_native_id=$SIMPLE_ID\n\n# ---- psij-ext')


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
    assert folder_of(executor, job).native_id == '2'


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


def test_a_refused_submission_that_runs_all_the_same_is_followed(executor: SimpleExecutor, runner: FakeRunner) -> None:
    def refuse(argv: Sequence[str], folder: Path) -> CommandResult:
        claim('77')(argv, folder)
        return result(b'', 1, b'Socket timed out on send/recv operation')

    runner.answers['submit'] = refuse
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert (job.native_id, folder_of(executor, job).native_id) == ('77', '77')


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
    with caplog.at_level(logging.WARNING), pytest.raises(KeyboardInterrupt):
        executor.submit(Job(JobSpec('/bin/date')))
    assert '99' in caplog.text


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


# -- following


def test_a_job_is_followed_to_its_end(executor: SimpleExecutor, runner: FakeRunner) -> None:
    seen: list[tuple[str | None, JobState]] = []
    executor.set_job_status_callback(lambda job, status: seen.append((job.native_id, status.state)))
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert job.wait(timedelta(seconds=10), JobState.ACTIVE) is not None
    runner.answers['status'] = result(b'1 done\n')
    assert job.wait(timedelta(seconds=10)) is not None
    assert job.exit_info is not None
    assert (job.status.state, job.exit_info.reason) == (JobState.COMPLETED, ExitReason.EXITED)
    executor.close()
    assert seen == [('1', JobState.QUEUED), ('1', JobState.ACTIVE), ('1', JobState.COMPLETED)]


def test_the_simple_interface_gets_both_outputs(executor: SimpleExecutor) -> None:
    assert executor.parse_status(result(b'1 failed\n')).keys() == {'1'}
    with pytest.raises(ParseError, match=r'(?s)out.*err'):
        executor.parse_status(result(b'out', 1, b'err'))
    assert executor.get_accounting_command(['1'], 0.0) is None
    assert isinstance(executor.parse_accounting(result(b'1 done\n'))['1'], Observation)


def test_attaching_to_a_job_of_ours(executor: SimpleExecutor, runner: FakeRunner) -> None:
    submitted = Job(JobSpec('/bin/date', ['-u'], name='first'))
    executor.submit(submitted)
    job = Job()
    executor.attach(job, '1')
    assert job.spec is not None
    assert (job.spec.name, job.spec.arguments, job.native_id) == ('first', ['-u'], '1')
    assert job.status.state in (JobState.QUEUED, JobState.ACTIVE)
    runner.answers['status'] = result(b'1 failed\n')
    assert job.wait(timedelta(seconds=10)) is not None
    assert job.status.state is JobState.FAILED


def test_attaching_to_a_job_of_others(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['status'] = result(b'5 done\n')
    job = Job()
    executor.attach(job, '5')
    assert job.wait(timedelta(seconds=10)) is not None
    assert (job.status.state, job.spec) == (JobState.COMPLETED, None)


def test_what_cannot_be_attached(executor: SimpleExecutor) -> None:
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    for wrong_job, native_id in ((job, '2'), (Job(), ''), (Job(), 5)):
        with pytest.raises(InvalidJobException):
            executor.attach(wrong_job, native_id)  # type: ignore[arg-type]
    twice = Job()
    executor.attach(twice, '1')
    with pytest.raises(InvalidJobException, match='before'):
        executor.attach(twice, '1')


# -- cancelling


def test_cancelling(executor: SimpleExecutor, runner: FakeRunner) -> None:
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    job.cancel()
    job.cancel()
    assert [run[:2] for run in runner.of('cancel')] == [(['cancel', '1'], 8)] * 2
    assert not job.status.final
    assert folder_of(executor, job).cancel_noted
    runner.answers['status'] = result()
    assert job.wait(timedelta(seconds=10)) is not None
    assert job.status.state is JobState.CANCELED
    job.cancel()
    assert len(runner.of('cancel')) == 2


def test_a_cancel_that_is_refused(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['cancel'] = result(b'', 159, b'Unauthorized')
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    with pytest.raises(SubmitException, match='Unauthorized') as caught:
        job.cancel()
    assert caught.value.exit_code == 159
    assert not folder_of(executor, job).cancel_noted
    runner.answers['cancel'] = result(b'', 35, b'it is over')
    job.cancel()


@pytest.mark.parametrize('trouble', [
    CommandTimeout('no answer', argv=('cancel', '1'), stderr='words'), CommandNotFound('not found', argv=('cancel', '1'), stderr='words')])
def test_a_cancel_that_fails(executor: SimpleExecutor, runner: FakeRunner, trouble: CommandError) -> None:
    runner.answers['cancel'] = trouble
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    with pytest.raises(SubmitException) as caught:
        job.cancel()
    assert (tuple(caught.value.argv), caught.value.stderr, caught.value.__cause__) == (('cancel', '1'), 'words', trouble)
    assert not folder_of(executor, job).cancel_noted


def test_what_was_not_submitted_here_is_not_cancelled(executor: SimpleExecutor, runner: FakeRunner) -> None:
    with pytest.raises(SubmitException, match='not submitted'):
        executor.cancel(Job(JobSpec('/bin/date')))
    assert runner.of('cancel') == []


# -- listing, and the site


def test_listing(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['status'] = result(b'1\n 2 \n\n')
    assert executor.list() == ['1', '2']
    assert runner.of('status')[-1][0] == ['status']
    runner.answers['status'] = result(b'', 3, b'down')
    with pytest.raises(CommandError, match='down') as caught:
        executor.list()
    assert caught.value.exit_code == 3


def test_the_site_is_asked_once(executor: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['site'] = result(b'', 1)
    assert executor.site == Site()
    runner.answers['site'] = result(b'2.5\n')
    assert executor.site == executor.site == Site('simple', (2, 5))
    assert len(runner.of('site')) == 2


# -- configurations


def test_configurations(tmp_path: Path) -> None:
    assert isinstance(SimpleExecutor().config, BatchSchedulerExecutorConfig)
    shared = SimpleExecutor(config=JobExecutorConfig(work_directory=tmp_path, launcher_log_file=tmp_path / 'log'))
    assert isinstance(shared.config, BatchSchedulerExecutorConfig)
    assert (shared.config.launcher_log_file, shared.work_directory) == (tmp_path / 'log', tmp_path / 'SimpleExecutor')
    with pytest.raises(TypeError, match='config'):
        SimpleExecutor(config='fast')  # type: ignore[arg-type]


class OtherConfig(JobExecutorConfig):
    pass


def test_a_configuration_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match='BatchSchedulerExecutorConfig'):
        SimpleExecutor(config=OtherConfig())


@pytest.mark.parametrize(('field', 'value', 'error'), [
    ('queue_polling_interval', -1, ValueError), ('queue_polling_interval', 'often', TypeError), ('command_timeout', float('nan'), ValueError),
    ('keep_files', 1, TypeError), ('queue_polling_error_threshold', -1, ValueError), ('queue_polling_error_threshold', 1.5, TypeError),
    ('absence_grace', None, TypeError)])
def test_a_wrong_setting_is_refused(field: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf'^BatchSchedulerExecutorConfig\.{field}: '):
        BatchSchedulerExecutorConfig(**{field: value})  # type: ignore[arg-type]


# -- the end


def our_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if 'SimpleExecutor' in thread.name]


def test_closing_ends_the_threads_and_leaves_the_job(executor: SimpleExecutor, runner: FakeRunner) -> None:
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert our_threads()
    executor.close()
    executor.close()
    assert our_threads() == []
    assert runner.of('cancel') == []
    assert not job.status.final


def test_an_executor_that_is_forgotten_ends_its_threads(tmp_path: Path, runner: FakeRunner) -> None:
    executor = SimpleExecutor(config=BatchSchedulerExecutorConfig(work_directory=tmp_path, initial_queue_polling_delay=0.05))
    executor.runner = runner
    runner.answers['status'] = result(b'1 done\n')
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    assert job.wait(timedelta(seconds=10)) is not None
    gone = weakref.ref(executor)
    job._bind(None)
    del executor
    deadline = time.monotonic() + 10
    while gone() is not None or our_threads():
        gc.collect()
        assert time.monotonic() < deadline, our_threads()
        time.sleep(0.01)
