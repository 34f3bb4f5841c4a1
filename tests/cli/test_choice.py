"""Which executor a job goes to when nothing is said."""

from __future__ import annotations

import pytest
from cli_shell import fake_program

from psij_ext.cli.choice import choose

PBS_PRO, TORQUE = 'echo pbs_version = 23.06.06', 'echo Version: 6.1.2 >&2'
GRID_ENGINE = 'echo "Unknown option" >&2; exit 2'


@pytest.fixture
def programs(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    monkeypatch.delenv('PSIJ_EXT_EXECUTOR', raising=False)
    return tmp_path / 'bin'


@pytest.mark.parametrize(('found', 'expected'), [
    ({}, 'local'),
    ({'sbatch': 'exit 1'}, 'slurm'),
    ({'qsub': PBS_PRO}, 'pbspro'),
    ({'qsub': TORQUE}, 'local'),
    ({'qsub': GRID_ENGINE}, 'local'),
    ({'sbatch': 'exit 1', 'qsub': PBS_PRO}, 'slurm'),
])
def test_the_scheduler_of_this_machine(programs, found, expected):
    for name, script in found.items():
        fake_program(programs, name, script)
    assert choose(None).name == expected


def test_the_environment_goes_over_what_is_found(programs, monkeypatch):
    fake_program(programs, 'sbatch', 'exit 1')
    monkeypatch.setenv('PSIJ_EXT_EXECUTOR', 'local')
    choice = choose(None)
    assert choice.name == 'local'
    assert choice.why is not None and 'PSIJ_EXT_EXECUTOR' in choice.why


def test_the_command_line_goes_over_all(programs, monkeypatch):
    monkeypatch.setenv('PSIJ_EXT_EXECUTOR', 'local')
    assert choose('slurm').name == 'slurm'
    assert choose('slurm').why is None


def test_a_program_in_the_present_folder_is_not_a_scheduler(programs, monkeypatch):
    fake_program(programs, 'sbatch', 'exit 1')
    monkeypatch.chdir(programs)
    monkeypatch.setenv('PATH', f'.:{programs.parent}')
    assert choose(None).name == 'local'
