"""The pytest plugin: which executors tests run on, and what is said where one is not there."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest

import psij_ext
from psij_ext.testing import ExecutorConformance, conformance
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


def test_options_reach_every_job(pytester, monkeypatch):
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
    monkeypatch.setattr('psij_ext.testing.plugin.why_silent', lambda name: None)
    (pytester.path / 'shared').mkdir()
    result = pytester.runpytest_inprocess(
        '-p', 'psij_ext.testing', '--executors=slurm', '--queue-name=fast', '--account=physics', '--max-walltime=1:00',
        '--custom-attributes={"slurm.a": null}', f'--work-directory={pytester.path}/shared')
    result.assert_outcomes(passed=1)


@pytest.mark.parametrize('option', ['--custom-attributes=[]', '--custom-attributes=x', '--max-walltime=soon'])
def test_a_wrong_option_is_refused(run, option):
    assert run('--executors=slurm', option).ret == pytest.ExitCode.USAGE_ERROR


def test_all_that_a_stranger_needs_is_reported(pytester):
    pytester.makepyfile(test_name='''
        import pytest

        def test_good(execparams): pass
        def test_bad(execparams): assert 'this' == 'that'
        def test_left_out(execparams): pytest.skip('not on a Sunday')
        def test_of_something_else(): assert False, 'nobody asked'
    ''')
    result = pytester.runpytest_inprocess('-p', 'psij_ext.testing', '--executors=local,local:multiple', '--max-wait=7')
    told = result.stdout.str().partition('psij-ext, for a bug report')[2].partition('short test summary')[0]
    assert f'psij-ext {psij_ext.__version__}, Python {platform.python_version()}, pytest {pytest.__version__}' in told
    assert f'host {platform.node()}' in told
    assert 'command: pytest -p psij_ext.testing --executors=local,local:multiple --max-wait=7' in told
    assert 'options: --executors=local,local:multiple --max-wait=7.0' in told
    assert f'local {psij_ext.__version__}: psij_ext.executors.local.LocalJobExecutor (' in told
    assert f'scheduler: psij-ext {psij_ext.__version__}\n' in told
    assert '\nlocal: 1 passed, 1 failed, 1 skipped\n' in told
    assert '\nlocal:multiple: 1 passed, 1 failed, 1 skipped\n' in told
    assert "\nFAILED test_name.py::test_bad[local:multiple]\n    AssertionError: assert 'this' == 'that'\n" in told
    assert '\nSKIPPED test_left_out[local], test_left_out[local:multiple]: not on a Sunday\n' in told
    assert 'nobody asked' not in told


def test_nothing_is_reported_where_no_executor_was_tested(pytester):
    pytester.makepyfile('def test_name(): pass')
    assert 'bug report' not in pytester.runpytest_inprocess('-p', 'psij_ext.testing').stdout.str()


def test_a_class_may_name_its_executors(pytester):
    pytester.makepyfile('''
        from psij_ext.testing import ExecutorConformance

        class TestMine(ExecutorConformance):
            executor = 'local,local:multiple'
            test_umask = None
    ''')
    result = pytester.runpytest_inprocess(
        '-p', 'psij_ext.testing', '--executors=slurm', '-k', 'test_simple_job or test_umask or test_cancel_twice', '-v')
    result.assert_outcomes(passed=3)
    for test in ('test_simple_job[local]', 'test_simple_job[local:multiple]', 'test_cancel_twice[local]'):
        assert f'TestMine::{test} PASSED' in result.stdout.str()


def test_the_class_has_all_tests_of_the_suite():
    modules = [import_module(f'{conformance.__name__}.{each.name}') for each in iter_modules(conformance.__path__)]
    names = {name for module in modules for name in vars(module) if name.startswith('test_')}
    assert len(names) > 100
    assert names <= {*dir(ExecutorConformance)}


def test_a_scheduler_is_simulated_for_one_test(pytester):
    pytester.makepyfile('''
        import shutil, os
        import pytest
        from psij_ext import Job, JobExecutor, JobSpec, JobState
        path = os.environ['PATH']

        def test_workflow(simulated_scheduler, tmp_path):
            pbs = simulated_scheduler('pbspro', history=True, cpus=3)
            assert shutil.which('qsub') == str(pbs.bin / 'qsub')
            with JobExecutor.get_instance('pbspro') as executor:
                assert tmp_path in executor.work_directory.parents
                job = Job(JobSpec('/bin/pwd', stdout_path=tmp_path / 'out'))
                executor.submit(job)
                assert job.wait(60).state is JobState.COMPLETED
            pbs.down()

        def test_nothing_is_left():
            assert os.environ['PATH'] == path

        def test_another(simulated_scheduler):
            with pytest.raises(ValueError, match='one of pbspro is expected, not .slurm.'):
                simulated_scheduler('slurm')
    ''')
    pytester.runpytest_inprocess('-p', 'psij_ext.testing').assert_outcomes(passed=3)


def test_simulated_schedulers_do_without_pytest():
    program = ('import sys; sys.modules["pytest"] = None\n'
               'from psij_ext.testing.simulated import SimulatedPBS\n'
               'import psij_ext.testing\n'
               'try: psij_ext.testing.ExecutorConformance\n'
               'except ImportError as error: print(error)\n')
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (
        "psij_ext.testing.ExecutorConformance needs pytest: pip install 'psij-ext[testing]'\n", '')


@pytest.mark.parametrize(('code', 'why'), [
    ('from psij_ext.executors.batch import BatchSchedulerExecutor\nclass Mine(BatchSchedulerExecutor): pass', 'get_cancel_command'),
    ('class Mine: pass', 'Mine'), ('class Other: pass', 'Mine'), ('import nosuch', 'nosuch'), ('class Mine(', 'mine.py')])
def test_a_plugin_that_is_not_finished_is_named_and_the_others_work(pytester, code, why):
    (pytester.path / 'psij-descriptors').mkdir()
    (pytester.path / 'psij-descriptors' / 'mine.py').write_text(
        'from psij_ext import Descriptor\n__PSI_J_EXECUTORS__ = [Descriptor("mine", "1", "mine.Mine")]\n')
    pytester.makepyfile(mine=code, test_name=TEST)
    pytester.syspathinsert()
    error = usage_error(pytester.runpytest_inprocess('-p', 'psij_ext.testing', '--executors=mine'))
    assert 'mine' in error and why in error
    result = pytester.runpytest_inprocess('-p', 'psij_ext.testing', '-v', '--executors=auto')
    assert 'test_name[local] PASSED' in result.stdout.str()
    assert 'mine' not in result.stdout.str().partition('collected')[2].replace('psij_ext', '')


@pytest.mark.parametrize(('executor', 'options', 'said'), [
    ("'nosuch'", ['-p', 'psij_ext.testing'], "TestMine.executor: There is no executor 'nosuch'. Known: *"),
    ('dict', ['-p', 'psij_ext.testing'], 'TestMine.executor is the name of an installed executor, not *dict*'),
    ("'local'", [], 'TestMine needs a plugin of pytest: addopts = "-p psij_ext.testing"')])
def test_a_class_that_cannot_run_says_why_once(pytester, executor, options, said):
    pytester.makepyfile('from psij_ext.testing import ExecutorConformance\n'
                        f'class TestMine(ExecutorConformance): executor = {executor}')
    result = pytester.runpytest_inprocess(*options)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([said])
