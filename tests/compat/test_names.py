"""Every public name of PSI/J's Python interface is an object of ours, or says that it is not shipped."""

from __future__ import annotations

import importlib
import pickle
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import psij_ext
from psij_ext.exceptions import InvalidJobException
from psij_ext.plugins.psij_names import TABLE

LINES = [line.split() for line in Path(__file__).with_name('psij_names.txt').read_text().splitlines()
         if line and not line.startswith('#')]
NAMES = [(line[0], name) for line in LINES for name in line[1:]]

pytestmark = pytest.mark.usefixtures('compat')


@pytest.mark.parametrize(('module', 'name'), [pair for pair in NAMES if not pair[1].startswith('-')])
def test_a_name_is_there(module: str, name: str) -> None:
    found = getattr(importlib.import_module(module), name)
    if isinstance(found, type):
        assert found.__module__.startswith('psij_ext.')
        assert getattr(psij_ext, name, found) is found


@pytest.mark.parametrize('module', [line[0][1:] for line in LINES if line[0].startswith('-')])
def test_a_module_that_is_not_shipped_says_so(module: str) -> None:
    with pytest.raises(ImportError, match=f'{module} is not shipped by psij_ext.*get_executor_names') as caught:
        importlib.import_module(module)
    assert caught.value.name == module


@pytest.mark.parametrize(('module', 'name'), [(module, name[1:]) for module, name in NAMES if name.startswith('-')])
def test_a_name_that_is_not_shipped_says_so(module: str, name: str) -> None:
    with pytest.raises(ImportError, match=f'{module}.{name} is not shipped by psij_ext.*What {module} has here: '):
        exec(f'from {module} import {name}')
    with pytest.raises(AttributeError, match='not shipped'):
        getattr(importlib.import_module(module), name)


def test_a_name_that_nobody_has_says_so_too() -> None:
    with pytest.raises(ImportError, match=r'psij\.Jobb is not shipped .*Job, JobAttributes'):
        exec('from psij import Jobb')


def test_each_name_of_the_table_leads_somewhere() -> None:
    for module, names in TABLE.items():
        for name in names:
            assert getattr(importlib.import_module(module), name) is not None


def test_everything_at_once() -> None:
    space: dict[str, object] = {}
    exec('from psij import *', space)
    assert space['Job'] is psij_ext.Job
    assert 'version' not in space


def test_submodules_are_reached_from_the_package_as_there() -> None:
    psij = importlib.import_module('psij')
    assert psij.executors.batch.slurm.SlurmJobExecutor is psij.executors.SlurmJobExecutor
    assert 'executors' not in psij.__all__


def test_the_version_is_that_of_the_interface() -> None:
    psij = importlib.import_module('psij')
    assert psij.__version__ == psij.version.VERSION == '0.9.11'


def test_what_was_pickled_under_an_old_name_is_read() -> None:
    # Protocol 0 is a text: c stands for a class, by its module and name.
    assert pickle.loads(b'cpsij.job_state\nJobState\n.') is psij_ext.JobState
    error = pickle.loads(b"cpsij.exceptions\nInvalidJobException\n(S'no'\ntR.")
    assert isinstance(error, InvalidJobException)


def test_modules_are_made_when_they_are_imported() -> None:
    psij = importlib.import_module('psij')
    assert isinstance(psij, ModuleType)
    assert 'Job' not in vars(psij)
    assert psij.Job is psij_ext.Job
    assert 'psij.serialize' not in sys.modules


def test_a_real_psij_that_is_there_already_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType('psij')
    other.__file__ = '/site/psij/__init__.py'
    monkeypatch.setitem(sys.modules, 'psij', other)
    with pytest.raises(ImportError, match=r'imported already, from /site/psij/__init__.py: import psij_ext.compat before'):
        importlib.import_module('psij_ext.compat')
    assert 'psij_ext.compat' not in sys.modules


def test_an_installed_psij_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'psij.py').write_text('raise AssertionError')
    monkeypatch.syspath_prepend(str(tmp_path))
    assert importlib.import_module('psij').Job is psij_ext.Job


def test_nothing_is_claimed_without_a_question() -> None:
    probe = 'import psij_ext, psij_ext.executors.local\ntry: import psij\nexcept ModuleNotFoundError: print("not there")'
    answer = subprocess.run([sys.executable, '-c', probe], capture_output=True, text=True, check=True)
    assert answer.stdout == 'not there\n'


def test_compat_is_a_plugin_of_pytest(pytester: pytest.Pytester) -> None:
    pytester.makepyfile('import psij, psij_ext\ndef test_it(): assert psij.Job is psij_ext.Job')
    pytester.runpytest_subprocess('-p', 'psij_ext.compat').assert_outcomes(passed=1)
