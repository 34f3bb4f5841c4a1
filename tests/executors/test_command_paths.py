"""The commands of a scheduler at paths that the configuration names, and nothing from the current folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from simple_dialect import FakeRunner, SimpleExecutor

from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import SubmitException
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.runtime.command import SubprocessRunner

PINNED = {'submit': '/opt/simple/bin/submit-it', 'status': Path('/opt/simple/bin/status'), 'cancel': '/opt/simple/bin/cancel'}


def program(folder: Path, name: str, script: str) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f'#!/bin/sh\n{script}\n')
    path.chmod(0o755)
    return path


def test_commands_are_run_where_the_configuration_says(tmp_path: Path, runner: FakeRunner) -> None:
    runner.answers.update({str(path): runner.answers[name] for name, path in PINNED.items()})
    config = BatchSchedulerExecutorConfig(
        work_directory=tmp_path, initial_queue_polling_delay=0.05, command_paths=PINNED)
    with SimpleExecutor(config=config) as executor:
        executor.runner = runner
        job = Job(JobSpec('/bin/date'))
        assert executor.preview(job)[1][0] == '/opt/simple/bin/submit-it'
        executor.submit(job)
        executor.list()
        job.cancel()
        assert str(executor.site.version) == '(2, 5)'
    assert {run[0][0] for run in runner.runs} == {*map(str, PINNED.values()), 'site'}


def test_a_dialect_sees_its_commands_by_their_names(tmp_path: Path, runner: FakeRunner) -> None:
    pinned = program(tmp_path / 'bin', 'another-name', 'echo here')
    config = BatchSchedulerExecutorConfig(work_directory=tmp_path, command_paths={'status': pinned})
    with SimpleExecutor(config=config) as executor:
        done = executor.run_query(['status', '1'])
        assert (done.argv, done.text) == (('status', '1'), 'here\n')


@pytest.mark.parametrize('path', ['', '.', 'bin', './bin', '..', '~/bin'])
def test_no_command_comes_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    for folder in (tmp_path, tmp_path / 'bin', tmp_path / '~'):
        program(folder, 'submit', f'touch {tmp_path}/was-run; echo job 1')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PATH', os.pathsep.join([path, '/nowhere', path]))
    with SimpleExecutor(config=BatchSchedulerExecutorConfig(work_directory=tmp_path / 'work')) as executor:
        assert isinstance(executor.runner, SubprocessRunner)
        with pytest.raises(SubmitException, match='was not found on PATH'):
            executor.submit(Job(JobSpec('/bin/date')))
    assert not (tmp_path / 'was-run').exists()


@pytest.mark.parametrize(('value', 'error', 'words'), [
    ({'submit': 'bin/submit'}, ValueError, 'absolute'), ({'submit': ''}, ValueError, 'empty'),
    ({'': '/bin/submit'}, ValueError, 'empty'), ({'submit': 5}, TypeError, 'path'), (['submit'], TypeError, 'mapping')])
def test_what_is_no_path_of_a_command_is_refused(value: object, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        BatchSchedulerExecutorConfig(command_paths=value)  # type: ignore[arg-type]


@pytest.mark.parametrize('value', ['localhost', '10.0.0', '10.0.0.1:80', '', 'AUTO'])
def test_what_is_no_address_for_hints_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match='hint_address'):
        BatchSchedulerExecutorConfig(hint_address=value)


def test_addresses_for_hints() -> None:
    assert [BatchSchedulerExecutorConfig(hint_address=value).hint_address for value in ('auto', '10.0.0.1', '::1', None)] == [
        'auto', '10.0.0.1', '::1', None]
