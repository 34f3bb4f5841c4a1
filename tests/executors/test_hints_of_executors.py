"""When an executor listens for hints: from its first job on, and until the last executor of its scheduler is closed."""

from __future__ import annotations

import socket
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor, folder_of

from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.executors.batch import BatchSchedulerExecutorConfig


def listening() -> int:
    return sum(thread.name == 'psij-ext hints' for thread in threading.enumerate())


def made(tmp_path: Path, runner: FakeRunner, hint_address: str | None = 'auto') -> SimpleExecutor:
    executor = SimpleExecutor(config=BatchSchedulerExecutorConfig(
        work_directory=tmp_path, queue_polling_interval=3600, initial_queue_polling_delay=3600,
        hint_address=hint_address))
    executor.runner = runner
    return executor


def submitted(executor: SimpleExecutor) -> Job:
    job = Job(JobSpec('/bin/date'))
    executor.submit(job)
    return job


def doors(tmp_path: Path) -> list[Path]:
    return sorted(tmp_path.rglob('.door'))


def test_from_the_first_job_on_and_until_the_last_executor_is_closed(tmp_path: Path, runner: FakeRunner) -> None:
    first, second = made(tmp_path, runner), made(tmp_path, runner)
    assert listening() == 0
    submitted(first)
    submitted(second)
    assert (listening(), len(doors(tmp_path))) == (1, 1)
    first.close()
    assert listening() == 1
    second.close()
    assert (listening(), doors(tmp_path)) == (0, [])


@pytest.mark.parametrize('address', [None, '192.0.2.1'])
def test_without_an_address_nobody_listens_and_jobs_are_submitted_all_the_same(
        tmp_path: Path, runner: FakeRunner, address: str | None) -> None:
    with made(tmp_path, runner, address) as executor:
        assert submitted(executor).native_id == '1'
        assert (listening(), doors(tmp_path)) == (0, [])


def test_a_jobs_secret_makes_its_folder_be_read(tmp_path: Path, runner: FakeRunner) -> None:
    with made(tmp_path, runner) as executor:
        job = submitted(executor)
        folder = folder_of(executor, job)
        (folder.path / 'progress').write_text('1 ACTIVE 5.0\n')
        secret = (folder.read_journal().submission or {})['nonce']
        assert f'psij_secret={secret}\n' in folder.script_path.read_text()
        host, port = doors(tmp_path)[0].read_text().split()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(str(secret).encode(), (host, int(port)))
        assert job.wait(timedelta(seconds=10), JobState.ACTIVE) is not None
        assert runner.of('status') == []


def test_secrets_differ_and_have_as_many_bits_as_nobody_guesses(tmp_path: Path, runner: FakeRunner) -> None:
    with made(tmp_path, runner) as executor:
        secrets = {str((folder_of(executor, submitted(executor)).read_journal().submission or {})['nonce']) for _ in range(50)}
    assert len(secrets) == 50
    assert {len(bytes.fromhex(secret)) for secret in secrets} == {16}
