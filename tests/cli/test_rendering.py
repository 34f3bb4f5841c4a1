"""`psij-ext render`: the script and the command, and nothing else."""

from __future__ import annotations

import subprocess

import pytest

OPTIONS = ['--name', 'it\'s a "job"', '--duration', '90', '--env', 'ODD=a\nb', '--stdin', 'in put']


@pytest.mark.parametrize('executor', ['local', 'slurm', 'pbspro'])
def test_a_script_that_bash_can_read_and_nothing_written(shell, executor):
    shell.environment['PATH'] = '/usr/bin:/bin'
    done = shell('render', '--executor', executor, *OPTIONS, '--', 'my program', '$HOME', "it's")
    assert done.stdout.startswith(b'#!/bin/bash\n')
    subprocess.run(['bash', '-n'], input=done.stdout, check=True)
    assert done.stderr.startswith(b'# ') and done.stderr.count(b'\n') == 1
    assert list((shell.folder / 'home').iterdir()) == []


def test_directives(shell):
    options = ['--nodes', '2', '--processes', '4', '--memory', '4G', '--queue', 'q', '--duration', '90']
    script = shell('render', '--executor', 'slurm', *options, '--', 'true').stdout.decode()
    # sbatch(1): --mem is for each node; 4 GiB on two nodes are 2048M on each.
    for directive in ('--nodes=2', '--ntasks=4', '--time=01:30:00', '--mem=2048M', '--partition=q'):
        assert f'#SBATCH {directive}\n' in script


def test_json(shell):
    rendered = shell.json('render', '--executor', 'slurm', '--name', 'a b', '--', 'true')
    assert rendered['executor'] == 'slurm'
    assert rendered['command'][0] == 'sbatch' and rendered['command'][-1].endswith('/script')
    assert rendered['script'].startswith('#!/bin/bash\n')


def test_a_spec_from_standard_input(shell):
    done = subprocess.run(
        shell.argv('render', '--executor', 'slurm', '--spec', '-'), env=shell.environment, cwd=shell.folder,
        input=b'{"format_version": 1, "executable": "from-stdin"}', capture_output=True, check=True)
    assert b'from-stdin' in done.stdout
