"""What is done to jobs after their submission, through the commands of a dialect that does not exist."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, TellingExecutor, folder_of, result

from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import (
    CommandError,
    CommandNotFound,
    CommandTimeout,
    ControlUncertain,
    InvalidJobException,
    NotAllCancelled,
    ParseError,
    SubmitException,
)
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.executors.batch.dialect import Refusal
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.monitor import StatusMonitor


class AbleExecutor(SimpleExecutor):
    """A dialect with all that is optional. Ids with a letter before them belong to another cluster."""

    def command_group(self, native_id: str) -> str:
        return native_id.rstrip('0123456789')

    def get_cancel_many_command(self, native_ids: Sequence[str]) -> list[str]:
        return ['cancel', *native_ids]

    def get_signal_command(self, native_ids: Sequence[str], signal: signal.Signals) -> list[str]:
        return ['kill', signal.name, *native_ids]

    def get_hold_command(self, native_id: str) -> list[str]:
        return ['hold', native_id]

    def get_release_command(self, native_id: str) -> list[str]:
        return ['release', native_id]

    def is_without_answer(self, result: CommandResult) -> bool:
        return 'no contact' in result.error_text

    def parse_refusals(self, result: CommandResult, native_ids: Sequence[str]) -> Mapping[str, Refusal] | None:
        if result.exit_code == 99:
            return None
        lines = [line.split(': ', 1) for line in result.error_text.splitlines()]
        return {native_id: Refusal(result.exit_code, words) for native_id, words in lines}

    def get_record_commands(self, native_id: str, since: float) -> list[list[str]]:
        return [['show', native_id], ['accounts', native_id, str(since > 1e9)]]

    def parse_record(self, result: CommandResult, native_id: str) -> dict[str, str]:
        if b'?' in result.stdout:
            raise ParseError('odd')
        return dict(word.split('=', 1) for word in result.text.split())

    def get_version_command(self) -> list[str]:
        return ['version']

    def parse_version(self, result: CommandResult) -> str:
        if not result.stdout:
            raise ParseError('empty')
        return f'Able {result.text.strip()}'


class KnowingExecutor(TellingExecutor):
    """Its scheduler tells of given jobs, too, from which folders they were submitted."""

    def get_origins_command(self, native_ids: Sequence[str] = ()) -> list[str]:
        return ['origins', *native_ids]

    def get_cancel_many_command(self, native_ids: Sequence[str]) -> list[str]:
        return ['cancel', *native_ids]


def made(kind: type[SimpleExecutor], tmp_path: Path, runner: FakeRunner) -> SimpleExecutor:
    executor = kind(config=BatchSchedulerExecutorConfig(
        work_directory=tmp_path / 'work', initial_queue_polling_delay=1000, queue_polling_interval=1000))
    executor.runner = runner
    return executor


@pytest.fixture
def able(tmp_path: Path, runner: FakeRunner) -> SimpleExecutor:
    return made(AbleExecutor, tmp_path, runner)


def submitted(executor: SimpleExecutor, runner: FakeRunner, *native_ids: str) -> list[Job]:
    jobs = []
    for native_id in native_ids:
        runner.answers['submit'] = result(f'job {native_id}\n'.encode())
        jobs.append(Job(JobSpec('/bin/date')))
        executor.submit(jobs[-1])
    return jobs


def commands(runner: FakeRunner, kind: str) -> list[list[str]]:
    return [run[0][1:] for run in runner.of(kind)]


def noted(executor: SimpleExecutor, jobs: Sequence[Job]) -> list[str | None]:
    return [job.native_id for job in jobs if folder_of(executor, job).read_journal().cancel_noted]


def answering(table: Mapping[str, CommandResult]) -> Callable[[Sequence[str], Path], CommandResult]:
    """Answer by the command's last word."""
    return lambda argv, folder: table.get(argv[-1], result())


def test_a_cancel_of_jobs_that_the_scheduler_has_forgotten_is_none(tmp_path: Path, runner: FakeRunner) -> None:
    """It says nothing against it, as scancel does; and they did not end by it."""
    with made(KnowingExecutor, tmp_path, runner) as executor:
        jobs = submitted(executor, runner, '1', '2', '3')
        runner.answers.update(cancel=result(), origins=result(f'2 {folder_of(executor, jobs[1]).path}\n'.encode()))
        executor.cancel_many(jobs)
        assert commands(runner, 'cancel') == [['2']]
    assert noted(executor, jobs) == ['2']


@pytest.mark.parametrize('given', [None, 7, 'x', [None]])
def test_what_is_no_job_is_refused(able: SimpleExecutor, given: Any) -> None:
    for act in (able.cancel, able.hold, able.release, able.native_record, able.cancel_many):
        with pytest.raises(TypeError):
            act(given)


# -- many at once


def test_many_are_cancelled_in_one_command(able: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        jobs = submitted(able, runner, '1', '2', '3')
        able.cancel_many([*jobs, jobs[0]])
        assert commands(runner, 'cancel') == [['1', '2', '3']]
        assert noted(able, jobs) == ['1', '2', '3']
        able.cancel_many([])
        assert len(runner.of('cancel')) == 1


def test_each_cluster_has_a_command_of_its_own(able: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        able.cancel_many(submitted(able, runner, '1', 'b2', '3', 'b4'))
        assert commands(runner, 'cancel') == [['1', '3'], ['b2', 'b4']]


def test_a_dialect_that_knows_no_such_command_cancels_one_by_one(executor: SimpleExecutor, runner: FakeRunner) -> None:
    jobs = submitted(executor, runner, '1', '2')
    executor.cancel_many(jobs)
    assert commands(runner, 'cancel') == [['1'], ['2']]
    assert noted(executor, jobs) == ['1', '2']


def test_a_command_is_no_longer_than_the_kernel_takes(able: SimpleExecutor, runner: FakeRunner) -> None:
    ids = [str(number) for number in range(10**9, 10**9 + 30_000)]
    assert able._end(ids) == {}
    parts = commands(runner, 'cancel')
    assert [native_id for part in parts for native_id in part] == ids
    assert len(parts) > 1
    # execve(2): all together may have 128 KiB at least, of which the environment takes a part.
    assert max(sum(len(native_id) + 1 for native_id in part) for part in parts) <= 100_000
    assert min(len(part) for part in parts[:-1]) > 9000


def test_the_good_ones_are_cancelled_where_one_is_refused(able: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        jobs = submitted(able, runner, '1', '2', '3')
        runner.answers['cancel'] = result(b'', 159, b'2: not yours\n3: it is over')
        stranger = Job(JobSpec('/bin/date'))
        with pytest.raises(NotAllCancelled) as caught:
            able.cancel_many([*jobs, stranger])
        error = caught.value
        assert set(error.failures) == {jobs[1].id, stranger.id}
        failure = error.failures[jobs[1].id]
        assert (failure.argv, failure.exit_code, failure.stderr, failure.transient) == (
            ('some', 'command'), 159, 'not yours', False)
        assert all(word in str(error) for word in ('2 of 4', 'Job 2', 'not yours', stranger.id))
        assert noted(able, jobs) == ['1', '3']


def test_what_a_command_does_not_tell_apart_is_tried_one_by_one(able: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        jobs = submitted(able, runner, '1', '2', '3')
        refused = result(b'', 99, b'bad')
        runner.answers['cancel'] = lambda argv, folder: refused if '2' in argv else result()
        with pytest.raises(NotAllCancelled) as caught:
            able.cancel_many(jobs)
        assert commands(runner, 'cancel') == [['1', '2', '3'], ['1'], ['2'], ['3']]
        assert list(caught.value.failures) == [jobs[1].id]
        assert noted(able, jobs) == ['1', '3']


# -- nobody knows


@pytest.fixture
def hastened(monkeypatch: pytest.MonkeyPatch) -> list[StatusMonitor]:
    """The monitors that were asked to look soon."""
    monitors: list[StatusMonitor] = []
    monkeypatch.setattr(StatusMonitor, 'ask_soon', lambda self: monitors.append(self))
    return monitors


@pytest.mark.parametrize('trouble', [
    CommandTimeout('No answer.', argv=('cancel', '1'), stderr='words'), result(b'', 7, b'no contact'), result(b'', -9)])
def test_a_cancel_of_which_nobody_knows_is_verified(
        able: SimpleExecutor, runner: FakeRunner, hastened: list[StatusMonitor],
        trouble: CommandError | CommandResult) -> None:
    with able:
        (job,) = submitted(able, runner, '1')
        runner.answers['cancel'] = trouble
        with pytest.raises(SubmitException, match=r'(?s)not known.*stays followed.*no harm') as caught:
            job.cancel()
        assert caught.value.transient
        assert noted(able, [job]) == []
        assert hastened == [able._get_monitor()]
        runner.answers['cancel'] = result()
        job.cancel()
        assert noted(able, [job]) == ['1']


def test_a_cancel_of_which_nobody_knows_has_an_error_of_its_own(able: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        jobs = submitted(able, runner, '1', '2', 'a1')
        silent = result(b'', 7, b'no contact')
        runner.answers['cancel'] = silent
        with pytest.raises(ControlUncertain):
            jobs[0].cancel()
        with pytest.raises(NotAllCancelled, match='2 of 2 jobs are not known to be cancelled'):
            able.cancel_many(jobs[:2])
        runner.answers['cancel'] = lambda argv, folder: silent if argv[1][0] == 'a' else result(b'', 1, b'1: no right\n2: no right')
        with pytest.raises(NotAllCancelled, match='3 of 3 jobs could not be cancelled, or are not known to be') as caught:
            able.cancel_many(jobs)
        assert {jobs.index(job): type(caught.value.failures[job.id]) for job in jobs} == {0: SubmitException, 1: SubmitException, 2: ControlUncertain}


@pytest.mark.parametrize('kind', ['cancel', 'hold', 'kill', 'show', 'submit'])
def test_health_comes_back_with_an_answer_to_whatever_command(able: SimpleExecutor, runner: FakeRunner, kind: str) -> None:
    def act() -> None:
        {'cancel': job.cancel, 'hold': lambda: able.hold(job), 'kill': lambda: able.cancel(job, signal='TERM'),
         'show': lambda: able.native_record(job), 'submit': lambda: able.submit(Job(JobSpec('/bin/date')))}[kind]()

    with able:
        (job,) = submitted(able, runner, '1')
        runner.answers['status'] = result(b'', 1)
        monitor = able._get_monitor()
        for number in range(1, 4):
            monitor.poll_once(monitor._clock() + 10_000.0 * number)
        assert able.health == 'degraded'
        runner.answers[kind] = result(b'', 7, b'no contact')
        with pytest.raises((SubmitException, CommandError)):
            act()
        assert able.health == 'degraded'
        runner.answers[kind] = result(b'job 2\n' if kind == 'submit' else b'a=b')
        act()
        assert able.health == 'ok'


def test_no_time_is_lost_on_a_scheduler_that_does_not_answer(able: SimpleExecutor, runner: FakeRunner) -> None:
    ids = [f'a{number}' for number in range(10**9, 10**9 + 20_000)]
    runner.answers['cancel'] = lambda argv, folder: result(b'', 7, b'no contact') if argv[1][0] == 'a' else result()
    failures = able._end([*ids, 'b1'])
    assert len(commands(runner, 'cancel')) == 2  # one for each cluster, though the first needs several
    assert set(failures) == set(ids)
    assert all(failure.transient for failure in failures.values())
    assert max(len(failure.message) for failure in failures.values()) < 1000
    assert len(str(NotAllCancelled(failures, 20_001)).splitlines()) == 12


def test_a_command_that_is_not_there_has_no_effect(able: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        (job,) = submitted(able, runner, '1')
        runner.answers['cancel'] = CommandNotFound('not found', argv=('cancel', '1'))
        with pytest.raises(SubmitException, match='could not be cancelled: not found') as caught:
            job.cancel()
        assert not caught.value.transient


# -- signals


def test_a_signal_is_sent_to_many_and_is_no_cancel(able: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        jobs = submitted(able, runner, '1', '2')
        runner.answers.update(kill=result(), status=result(b'1 running\n2 running\n'))
        able.cancel_many(jobs, signal=signal.SIGUSR1)
        for given in ('USR1', 'sigusr1', 10):
            jobs[0].cancel(signal=given)
        assert commands(runner, 'kill') == [['SIGUSR1', '1', '2'], *[['SIGUSR1', '1']] * 3]
        assert noted(able, jobs) == []
        assert commands(runner, 'cancel') == []


@pytest.mark.parametrize('state', [b'1 done\n', b''])
@pytest.mark.parametrize('meanwhile', [True, False])
def test_a_signal_to_a_job_that_is_over_is_no_error(
        able: SimpleExecutor, runner: FakeRunner, state: bytes, meanwhile: bool) -> None:
    with able:
        (job,) = submitted(able, runner, '1')

        def refuse(argv: Sequence[str], folder: Path) -> CommandResult:
            runner.answers['status'] = result(state)
            return result(b'', 1, b'not now')

        runner.answers.update(kill=refuse, status=result(b'1 running\n' if meanwhile else state))
        able.cancel(job, signal='USR1')
        assert len(commands(runner, 'kill')) == meanwhile


def test_a_signal_to_a_waiting_job_is_refused_without_a_command(able: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        jobs = submitted(able, runner, '1', '2')
        runner.answers.update(kill=result(), status=result(b'1 waiting\n2 running\n'))
        with pytest.raises(NotAllCancelled, match='Job 1 could not be sent SIGUSR1: it does not run') as caught:
            able.cancel_many(jobs, signal='USR1')
        assert list(caught.value.failures) == [jobs[0].id]
        assert commands(runner, 'kill') == [['SIGUSR1', '2']]


@pytest.mark.parametrize('status', [result(b'1 running\n'), result(b'', 1)])
def test_a_refused_signal(able: SimpleExecutor, runner: FakeRunner, status: CommandResult) -> None:
    with able:
        (job,) = submitted(able, runner, '1')
        runner.answers.update(kill=result(b'', 1, b'not now'), status=status)
        with pytest.raises(SubmitException, match='Job 1 could not be sent SIGUSR1: not now') as caught:
            able.cancel(job, signal='USR1')
        assert (caught.value.exit_code, caught.value.stderr) == (1, 'not now')


@pytest.mark.parametrize(('keywords', 'error'), [
    ({'signal': 'NOSUCH'}, ValueError), ({'signal': 999}, ValueError), ({'signal': 1.5}, TypeError), ({'signal': True}, TypeError),
    ({'grace': 5}, ValueError), ({'signal': 'USR1', 'grace': -1}, ValueError), ({'signal': 'USR1', 'grace': 'x'}, TypeError)])
def test_odd_keywords(able: SimpleExecutor, runner: FakeRunner, keywords: dict[str, object], error: type[Exception]) -> None:
    with able:
        (job,) = submitted(able, runner, '1')
        for cancel in (job.cancel, lambda **words: able.cancel_many([job], **words)):
            with pytest.raises(error, match=r'^cancel: '):
                cancel(**keywords)  # type: ignore[operator]
        assert runner.of('kill') == runner.of('cancel') == []


def test_what_a_scheduler_cannot_is_refused(able: SimpleExecutor, executor: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        (job,) = submitted(able, runner, '1')
        with pytest.raises(InvalidJobException, match='some time after a signal'):
            job.cancel(signal='USR1', grace=5)
    (job,) = submitted(executor, runner, '2')
    for attempt in (lambda: job.cancel(signal='USR1'), lambda: executor.hold(job), lambda: executor.release(job),
                    lambda: executor.native_record(job), executor.scheduler_version):
        with pytest.raises(InvalidJobException, match='SimpleExecutor'):
            attempt()


# -- holding


def test_holding_and_releasing(able: SimpleExecutor, runner: FakeRunner, hastened: list[StatusMonitor]) -> None:
    with able:
        (job,) = submitted(able, runner, '1')
        runner.answers.update(hold=result(), release=result(b'', 1, b'not held'))
        able.hold(job)
        assert len(hastened) == 1
        with pytest.raises(SubmitException, match='Job 1 could not be released: not held') as caught:
            able.release(job)
        assert (caught.value.exit_code, caught.value.stderr) == (1, 'not held')
        assert (commands(runner, 'hold'), commands(runner, 'release')) == ([['1']], [['1']])
        with pytest.raises(InvalidJobException, match='not submitted'):
            able.hold(Job(JobSpec('/bin/date')))


# -- records and versions


def test_the_next_command_is_asked_where_one_does_not_know_a_job(able: SimpleExecutor, runner: FakeRunner) -> None:
    with able:
        (job,) = submitted(able, runner, '1')
        runner.answers.update(show=result(b'State=ok'), accounts=result(b'State=old'))
        assert able.native_record(job) == {'State': 'ok'}
        for unknown in (result(), result(b'?')):
            runner.answers['show'] = unknown
            assert able.native_record(job) == {'State': 'old'}
        assert commands(runner, 'accounts')[0] == ['1', 'True']
        runner.answers.update(show=result(b'', 1, b'unknown id'), accounts=result())
        with pytest.raises(CommandError, match='knows nothing of job 1: unknown id'):
            able.native_record(job)
        # Accounting would answer, with what was true some time ago.
        runner.answers.update(show=result(b'', 1, b'no contact'), accounts=result(b'State=old'))
        with pytest.raises(CommandError, match='no contact'):
            able.native_record(job)


def test_the_version(able: SimpleExecutor, runner: FakeRunner) -> None:
    runner.answers['version'] = result(b'1.2.3\n')
    assert able.scheduler_version() == 'Able 1.2.3'
    runner.answers['version'] = result(b'', 1, b'what?')
    with pytest.raises(CommandError, match=r'what\?'):
        able.scheduler_version()
