from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor

from psij_ext.executors.batch import BatchSchedulerExecutorConfig


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
        submit_timeout=7, command_timeout=timedelta(seconds=8), submit_retry_time=0)
    made = SimpleExecutor(config=config)
    made.runner = runner
    yield made
    made.close()
