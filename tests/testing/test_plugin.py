"""The pytest plugin: which executors tests run on, and what is said where one is not there."""

from __future__ import annotations

import pytest

from psij_ext.testing.plugin import select
from psij_ext.testing.schedulers import Choice, read_choices

CHOICES = [Choice('slurm'), Choice('slurm', 'srun'), Choice('pbspro'), Choice('local', 'multiple'), Choice('local')]
TEST = 'def test_name(execparams): print("runs on", execparams.executor_name, execparams.launcher)'


@pytest.fixture
def run(pytester: pytest.Pytester):
    """Run pytest on `TEST`, with our plugin as an ordinary user loads it."""
    def run(*options: str) -> pytest.RunResult:
        pytester.makepyfile(TEST)
        return pytester.runpytest_inprocess('-p', 'psij_ext.testing', '-s', *options)

    return run


def test_names_launchers_and_aliases_are_read():
    assert read_choices('slurm, pbs,slurm:srun,slurm') == [Choice('slurm'), Choice('pbspro'), Choice('slurm', 'srun')]


@pytest.mark.parametrize('text', ['sulrm', 'slurm:', 'slurm:srum', 'local,,slurm'])
def test_an_unknown_name_is_refused(text):
    with pytest.raises(pytest.UsageError, match='There is no'):
        read_choices(text)


def test_auto_is_what_answers(monkeypatch):
    monkeypatch.setattr('psij_ext.testing.schedulers.why_silent', lambda name: None if name == 'local' else 'not here')
    assert read_choices('auto') == [Choice('local')]


@pytest.mark.parametrize(('mark', 'selected'), [
    ({}, CHOICES),
    ({'not_on': ('slurm',)}, CHOICES[2:]),
    ({'launchers': ('srun',)}, [CHOICES[1]]),
    ({'launchers': (None, 'single')}, [CHOICES[0], CHOICES[2], CHOICES[4]]),
    ({'any_launcher': True}, [CHOICES[0], CHOICES[2], CHOICES[3]]),
    ({'any_launcher': True, 'not_on': ('slurm', 'local')}, [CHOICES[2]]),
])
def test_a_mark_selects(mark, selected):
    assert select(CHOICES, **mark) == selected


def usage_error(result):
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    errors = [line for line in result.outlines + result.errlines if 'ERROR' in line]
    assert len(errors) == 1
    return errors[0]


def test_a_scheduler_that_does_not_answer_is_one_clear_error(run, monkeypatch):
    monkeypatch.setenv('PATH', '/nonexistent')
    error = usage_error(run('--executors=slurm'))
    assert 'slurm was asked for and does not answer' in error
    assert 'squeue' in error


def test_an_unknown_executor_is_one_clear_error(run, pytester):
    pytester.makepyfile(test_another_file=TEST)
    error = usage_error(run('--executors=slurm,sulrm'))
    assert "no executor 'sulrm'" in error
    assert 'slurm' in error


def test_nothing_is_started_to_collect(run, pytester):
    pytester.makeconftest('def pytest_psij_ext_scheduler(executor_name, config): raise RuntimeError("started")')
    assert run('--executors=slurm', '--collect-only').ret == pytest.ExitCode.OK


def test_a_conftest_may_start_a_scheduler(run, pytester):
    pytester.makeconftest('''
        import os, stat
        from pathlib import Path
        from psij_ext.testing import Scheduler

        def pytest_psij_ext_scheduler(executor_name, config):
            config.add_cleanup(lambda: print('stopped', executor_name))
            folder = Path(__file__).parent
            squeue = folder / 'squeue'
            squeue.write_text('#!/bin/sh\\necho "asked for $VARIABLE" >> "$(dirname "$0")/trace"')
            squeue.chmod(0o755)
            return Scheduler({'PATH': f'{folder}:{os.environ["PATH"]}', 'VARIABLE': executor_name})
    ''')
    result = run('--executors=slurm:srun')
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(['*runs on slurm srun*', '*stopped slurm*'])
    assert (pytester.path / 'trace').read_text() == 'asked for slurm\n'


def test_options_reach_every_job(pytester):
    pytester.makepyfile('''
        from datetime import timedelta
        from psij_ext.core.attributes import JobAttributes

        def test_name(execparams, tmp_path, request):
            attributes = execparams.spec('/bin/date', attributes=JobAttributes(
                duration=timedelta(hours=3), custom_attributes={'slurm.b': '2'})).attributes
            assert attributes.queue_name == 'fast'
            assert attributes.account == 'physics'
            assert attributes.custom_attributes == {'slurm.a': None, 'slurm.b': '2'}
            assert attributes.duration == timedelta(hours=1)
            shared = request.config.invocation_params.dir / 'shared'
            assert str(execparams.folder).startswith(f'{shared}/psij-ext-tests-')
    ''')
    pytester.makeconftest('''
        from psij_ext.testing import plugin
        plugin.why_silent = lambda name: None
    ''')
    (pytester.path / 'shared').mkdir()
    result = pytester.runpytest_inprocess(
        '-p', 'psij_ext.testing', '--executors=slurm', '--queue-name=fast', '--account=physics', '--max-walltime=1:00',
        '--custom-attributes={"slurm.a": null}', f'--work-directory={pytester.path}/shared')
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize('option', ['--custom-attributes=[]', '--custom-attributes=x', '--max-walltime=soon'])
def test_a_wrong_option_is_refused(run, option):
    assert run('--executors=slurm', option).ret == pytest.ExitCode.USAGE_ERROR
