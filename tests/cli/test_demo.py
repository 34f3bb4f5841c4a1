"""The demonstration, which is the first thing that a newcomer runs."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from psij_ext import Job, JobSpec, JobState, JobStatus

DEMO = Path(__file__).resolve().parents[2] / 'examples' / 'demo.py'


@pytest.mark.conformance(any_launcher=True)
def test_all_ends_as_it_should(execparams, shell):
    done = subprocess.run([sys.executable, str(DEMO), execparams.executor_name], env=shell.environment,
                          capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head[0] == 'executor'
    assert len(rows) >= 5
    assert {row[0] for row in rows} == {execparams.executor_name}
    assert {row[-1] for row in rows} == {'yes'}


def test_an_executor_that_is_not_there_fails_and_is_named(shell):
    done = subprocess.run([sys.executable, str(DEMO), 'nonsense'], env=shell.environment, capture_output=True,
                          text=True)
    assert done.returncode == 1
    assert "NO: There is no executor 'nonsense'" in done.stdout


@pytest.mark.parametrize(('state', 'code', 'output', 'good'), [
    (JobState.COMPLETED, 0, b'right', True), (JobState.COMPLETED, 0, b'wrong', False),
    (JobState.FAILED, 0, b'right', False), (JobState.COMPLETED, 1, b'right', False)])
def test_what_is_not_as_expected_is_seen(tmp_path, state, code, output, good):
    found = importlib.util.spec_from_file_location('demo', DEMO)
    assert found is not None and found.loader is not None
    demo = importlib.util.module_from_spec(found)
    sys.modules['demo'] = demo
    found.loader.exec_module(demo)
    (tmp_path / 'out').write_bytes(output)
    step = demo.Step('a step', JobSpec('true', stdout_path=tmp_path / 'out'), wanted=lambda said: said == b'right')
    job = Job(step.spec)
    job._record(JobStatus(state, exit_code=code))
    assert (demo.row('somewhere', step, job, 0.0)[-1] == 'yes') is good
