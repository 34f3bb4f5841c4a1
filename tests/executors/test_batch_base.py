from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, begins, folder_of, result

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.observation import Observation, Site
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import (
    CommandError,
    CommandNotFound,
    CommandTimeout,
    ParseError,
    SubmitException,
)
from psij_ext.executors.batch import BatchSchedulerExecutorConfig

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


class AccountingExecutor(SimpleExecutor):
    def get_accounting_command(self, native_ids: Sequence[str], since: float) -> list[str] | None:
        return ['accounts', *native_ids]


def made(kind: type[SimpleExecutor], tmp_path: Path, runner: FakeRunner, **settings: object) -> SimpleExecutor:
    config = BatchSchedulerExecutorConfig(
        work_directory=tmp_path / 'work', initial_queue_polling_delay=0.05, queue_polling_interval=0.1,
        **settings)  # type: ignore[arg-type]
    executor = kind(config=config)
    executor.runner = runner
    return executor


def test_accounting_is_asked_for_what_the_queue_does_not_know(tmp_path: Path, runner: FakeRunner) -> None:
    runner.answers.update(submit=begins, status=result(), accounts=result(b'1 failed\n'))
    with made(AccountingExecutor, tmp_path, runner, absence_grace=0) as executor:
        job = Job(JobSpec('/bin/date'))
        executor.submit(job)
        assert job.wait(timedelta(seconds=10)) is not None
    assert job.exit_info is not None
    assert (job.status.state, job.exit_info.reason) == (JobState.FAILED, ExitReason.EXITED)
    assert runner.of('accounts')[0][0] == ['accounts', '1']


@pytest.mark.parametrize('kind', [SimpleExecutor, AccountingExecutor])
def test_a_job_is_lost_after_the_configured_time(tmp_path: Path, runner: FakeRunner, kind: type[SimpleExecutor]) -> None:
    runner.answers.update(status=result(), accounts=result())
    with made(kind, tmp_path, runner, absence_grace=0.5) as executor:
        job, began = Job(JobSpec('/bin/date')), time.monotonic()
        executor.submit(job)
        assert job.wait(timedelta(seconds=10)) is not None
    assert time.monotonic() - began >= 0.5
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LOST


@pytest.mark.parametrize('keep_files', [True, False])
def test_the_script_of_a_success_is_kept_where_it_is_asked_for(tmp_path: Path, runner: FakeRunner, keep_files: bool) -> None:
    runner.answers['status'] = result(b'1 done\n')
    with made(SimpleExecutor, tmp_path, runner, keep_files=keep_files) as executor:
        job = Job(JobSpec('/bin/date'))
        executor.submit(job)
        assert job.wait(timedelta(seconds=10)) is not None
    deadline = time.monotonic() + 10
    while folder_of(executor, job).script_path.exists() is not keep_files:
        assert time.monotonic() < deadline
        time.sleep(0.01)


class CarryingExecutor(SimpleExecutor):
    carries_environment = True


@pytest.mark.parametrize('inherits', [True, False])
def test_a_dialect_may_carry_the_environment_in_a_file(
        tmp_path: Path, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch, inherits: bool) -> None:
    monkeypatch.setenv('GIVEN', "it's")
    monkeypatch.setenv('SIMPLE_OPTIONS', '--hold')
    with made(CarryingExecutor, tmp_path, runner) as executor:
        job = Job(JobSpec('/bin/date', inherit_environment=inherits))
        executor.submit(job)
        folder = folder_of(executor, job).path
        assert ('source "$psij_folder/environment"' in (folder / 'script').read_text()) is inherits
        assert (folder / 'environment').exists() is inherits
        if inherits:
            lines = (folder / 'environment').read_text()
            assert "export GIVEN='it'\"'\"'s'\n" in lines
            assert 'SIMPLE_OPTIONS' not in lines


# -- cancelling


def test_cancelling(executor: SimpleExecutor, runner: FakeRunner) -> None:
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    job.cancel()
    job.cancel()
    assert [run[:2] for run in runner.of('cancel')] == [(['cancel', '1'], 8)] * 2
    assert not job.status.final
    assert folder_of(executor, job).read_journal().cancel_noted
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
    assert not folder_of(executor, job).read_journal().cancel_noted
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
    assert not folder_of(executor, job).read_journal().cancel_noted


def test_what_was_not_submitted_here_is_not_cancelled(executor: SimpleExecutor, runner: FakeRunner) -> None:
    with pytest.raises(SubmitException, match='not submitted'):
        executor.cancel(Job(JobSpec('/bin/date')))
    assert runner.of('cancel') == []


# -- listing, and the site


def test_listing(executor: SimpleExecutor, runner: FakeRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SimpleExecutor, 'get_list_command', lambda self: ['status', '-u'])
    runner.answers['status'] = result(b'1\n 2 \n\n')
    assert executor.list() == ['1', '2']
    assert runner.of('status')[-1][0] == ['status', '-u']
    runner.answers['status'] = result(b'', 3, b'down')
    with pytest.raises(CommandError, match='down') as caught:
        executor.list()
    assert caught.value.exit_code == 3


def test_without_a_command_for_it_the_jobs_are_listed_that_were_submitted_here(
    executor: SimpleExecutor, runner: FakeRunner
) -> None:
    assert executor.list() == []
    assert runner.of('status') == []
    for number in (b'1', b'2', b'3'):
        runner.answers['submit'] = result(b'job %b\n' % number)
        executor.submit(Job(JobSpec('/bin/date')))
    runner.answers['status'] = result(b'1 running\n2 done\n9 running\n')
    assert executor.list() == ['1']
    runner.answers['status'] = result(b'', 3, b'down')
    with pytest.raises(ParseError, match='down'):
        executor.list()


def test_the_site_is_asked_once(executor: SimpleExecutor, runner: FakeRunner) -> None:
    now = 100.0
    executor.clock = lambda: now
    runner.answers['site'] = result(b'', 1)
    assert executor.site == Site()
    runner.answers['site'] = result(b'2.5\n')
    assert executor.site == Site()  # if it hangs, each of many steps would wait for it
    now += 10.0
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
