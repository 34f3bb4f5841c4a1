"""`psij-ext executors`: what is installed, and what this machine has."""

from __future__ import annotations

import re

import pytest
from cli_shell import SOURCES, fake_program

OURS = ('local', 'pbspro', 'slurm')


def without_schedulers(shell):
    """Take every program off PATH but those that Python and bash need."""
    shell.environment['PATH'] = str(shell.folder / 'bin')
    (shell.folder / 'bin').mkdir()
    return shell


def test_all_of_ours_are_installed(shell):
    without_schedulers(shell)
    found = {executor['name']: executor for executor in shell.json('executors')['executors']}
    assert set(OURS) <= set(found)
    assert {name: found[name]['broken'] for name in OURS} == dict.fromkeys(OURS)
    assert found['pbspro']['aliases'] == ['pbs']
    assert [found[name]['command'] for name in ('slurm', 'pbspro')] == [None, None]
    assert [name for name in OURS if found[name]['default']] == ['local']
    assert found['local']['answers'] is True


@pytest.mark.conformance(any_launcher=True, not_on=('local',))
def test_a_scheduler_that_answers(execparams, shell):
    found = {executor['name']: executor for executor in shell.json('executors')['executors']}[execparams.executor_name]
    assert found['answers'] is True
    assert found['command'].startswith('/')
    assert re.fullmatch(r'(Slurm|OpenPBS|PBS Pro) [0-9.]+', found['scheduler_version'])
    assert found['trouble'] is None


def test_a_scheduler_that_does_not_answer(shell):
    without_schedulers(shell)
    fake_program(shell.folder / 'bin', 'sbatch', 'exit 1')
    fake_program(shell.folder / 'bin', 'scontrol', 'echo "Unable to contact slurm controller" >&2; exit 1')
    done = shell('executors')
    (row,) = [line.split() for line in done.stdout.decode().splitlines() if line.startswith('slurm')]
    assert row[3:5] == [str(shell.folder / 'bin' / 'sbatch'), 'no']
    assert 'slurm: ' in done.stderr.decode() and 'Unable to contact slurm controller' in done.stderr.decode()


def test_broken_plugins_are_shown_in_a_line_each(shell):
    without_schedulers(shell)
    plugins = shell.folder / 'plugins' / 'psij-descriptors'
    plugins.mkdir(parents=True)
    shell.environment['PYTHONPATH'] = f'{SOURCES}:{plugins.parent}'
    (plugins / 'first.py').write_text(
        'from psij_ext.plugins import Descriptor\n'
        "__PSI_J_EXECUTORS__ = [Descriptor('absent', '1.0', 'no_such_module.Executor'),\n"
        "                       Descriptor('explodes', '1.0', 'explodes.Executor')]\n")
    (plugins.parent / 'explodes.py').write_text(
        'from psij_ext.core.interfaces import JobExecutor\n'
        'class Executor(JobExecutor):\n'
        "    def __init__(self, url=None, config=None): raise RuntimeError('it exploded')\n"
        '    submit = cancel = attach = list = None\n')
    (plugins / 'second.py').write_text('import there_is_no_such_thing\n')
    done = shell('executors')
    said = done.stderr.decode().splitlines()
    assert [line for line in said if 'absent' in line and 'no_such_module' in line]
    assert [line for line in said if 'explodes' in line and 'it exploded' in line]
    assert [line for line in said if 'second.py' in line and 'there_is_no_such_thing' in line]
    assert len(said) == 3
    broken = {executor['name'] for executor in shell.json('executors')['executors'] if executor['broken']}
    assert broken == {'absent', 'explodes'}
