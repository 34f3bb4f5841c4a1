"""The package as users get it: a wheel in an empty environment, and an editable install, each of which runs a job."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*argv: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command that knows nothing of this test's own environment, and give what it printed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(('PYTHON', 'VIRTUAL_ENV'))}
    result = subprocess.run([str(word) for word in argv], cwd=cwd, env={**environment, **variables},
                            capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope='module')
def commands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of commands of a virtual environment that was empty; one installation replaces the other."""
    folder = tmp_path_factory.mktemp('environment')
    venv.create(folder, with_pip=True)
    return folder / 'bin'


def assert_runs_a_job(commands: Path, folder: Path) -> None:
    """Run a job and the list of jobs through the installed command, away from the checkout."""
    state = {'XDG_STATE_HOME': str(folder / 'state'), 'HOME': str(folder)}
    output = run(commands / 'psij-ext', 'run', '--executor', 'local', '--', 'echo', 'hello', cwd=folder, **state)
    assert output == 'hello\n'
    assert 'COMPLETED' in run(commands / 'psij-ext', 'ls', cwd=folder, **state)


@pytest.fixture(scope='module')
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp('wheel')
    run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '-w', folder, ROOT, cwd=folder)
    (built,) = folder.glob('*.whl')
    return built


def test_wheel_carries_its_data_inside_the_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split('/')[0] for name in names} == {'psij_ext', '-'.join(wheel.name.split('-')[:2]) + '.dist-info'}
    for inside in ('psij-descriptors/psij_ext_descriptors.py', 'templates/batch/slurm.mustache',
                   'templates/common/prologue.mustache', 'templates/launchers/multiple.sh'):
        assert f'psij_ext/_data/{inside}' in names


def package_lies_in(commands: Path, folder: Path) -> bool:
    place = run(commands / 'python', '-c', 'import psij_ext; print(psij_ext.__file__)', cwd=commands).strip()
    return folder in Path(place).parents


def test_wheel_in_an_empty_environment(commands: Path, wheel: Path, tmp_path: Path) -> None:
    run(commands / 'pip', 'install', '-q', wheel, cwd=tmp_path)
    assert package_lies_in(commands, commands.parent)
    assert_runs_a_job(commands, tmp_path)


def test_editable_install(commands: Path, tmp_path: Path) -> None:
    run(commands / 'pip', 'install', '-q', '-e', ROOT, cwd=tmp_path)
    assert package_lies_in(commands, ROOT)
    assert_runs_a_job(commands, tmp_path)
