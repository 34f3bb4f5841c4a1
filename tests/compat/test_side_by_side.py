"""An installed psij-python and this library, in one environment and in one process: neither disturbs the other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope='session')
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with psij-python, as pip installs it from PyPI, and with our package and its data, as a wheel has them."""
    folder = tmp_path_factory.mktemp('side-by-side')
    subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--no-warn-conflicts',
                    '--root-user-action=ignore', '--target', str(folder), 'psij-python==0.9.11'], check=True)
    shutil.copytree(ROOT / 'src' / 'psij_ext', folder / 'psij_ext', ignore=shutil.ignore_patterns('__pycache__'))
    for data in ('psij-descriptors', 'templates'):
        shutil.copytree(ROOT / data, folder / 'psij_ext' / '_data' / data, ignore=shutil.ignore_patterns('__pycache__'))
    return folder


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder with a plugin for each library: each is a local executor by another name."""
    folder = tmp_path / 'plugins'
    descriptors = folder / 'psij-descriptors'
    descriptors.mkdir(parents=True)
    for library, module, names in (('psij', 'psij.descriptor', '__PSI_J'), ('psij_ext', 'psij_ext.plugins', '__PSIJ_EXT')):
        (folder / f'for_{library}.py').write_text(
            f'from {library}.executors.local import LocalJobExecutor\nclass It(LocalJobExecutor): pass\n')
        (descriptors / f'{library}_plugin.py').write_text(
            f'from packaging.version import Version\nfrom {module} import Descriptor\n'
            f'{names}_EXECUTORS__ = [Descriptor("for_{library}", Version("1.0"), "for_{library}.It")]\n')
    return folder


PROGRAM = """
import logging, os, sys
logging.basicConfig(stream=sys.stdout, format='LOGGED %(name)s %(message)s')
for name in sys.argv[1:]:
    __import__(name)
import psij, psij_ext
for library in psij, psij_ext:
    names = library.JobExecutor.get_executor_names()
    print(library.__name__, sorted({'local', 'for_psij', 'for_psij_ext'} & names))
    for name in ('local', f'for_{library.__name__}'):
        executor = library.JobExecutor.get_instance(name)
        job = library.Job(library.JobSpec('/bin/sh', ['-c', 'exit 3'], stdout_path='out', directory=os.getcwd()))
        executor.submit(job)
        print(name, type(executor).__module__, job.wait().state, job.status.exit_code)
print(sorted(psij_ext.Launcher.get_launcher_names()), psij_ext.JobExecutor._registry.problems())
"""


def run(folder: Path, *words: str, paths: tuple[Path, ...]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, paths)), 'HOME': str(folder),
                   'XDG_STATE_HOME': str(folder / 'state')}
    return subprocess.run([sys.executable, '-W', 'error:::psij_ext', *words], cwd=folder, env=environment,
                          capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize('order', [('psij', 'psij_ext'), ('psij_ext', 'psij')], ids='-'.join)
def test_both_in_one_process(site: Path, plugins: Path, tmp_path: Path, order: tuple[str, str]) -> None:
    ended = run(tmp_path, '-c', PROGRAM, *order, paths=(site, plugins))
    assert ended.stderr == ''
    assert ended.stdout.splitlines() == [
        "psij ['for_psij', 'local']",
        'local psij.executors.local FAILED 3',
        'for_psij for_psij FAILED 3',
        "psij_ext ['for_psij_ext', 'local']",
        'local psij_ext.executors.local FAILED 3',
        'for_psij_ext for_psij_ext FAILED 3',
        "['mpirun', 'multiple', 'single', 'srun'] {}",
    ]


def test_a_checkout_of_ours_does_not_disturb_it(site: Path, tmp_path: Path) -> None:
    probe = 'import logging; logging.basicConfig(); import psij; print(psij.JobExecutor.get_instance("local").name)'
    ended = run(tmp_path, '-c', probe, paths=(site, ROOT))
    assert (ended.stdout, ended.stderr) == ('local\n', '')


def test_a_program_under_compat_has_ours_and_the_plugins_of_both(site: Path, plugins: Path, tmp_path: Path) -> None:
    (tmp_path / 'program.py').write_text(
        'import psij, psij_ext, sys\nassert psij.Job is psij_ext.Job\n'
        'executor = psij.JobExecutor.get_instance("for_psij")\njob = psij.Job(psij.JobSpec("/bin/true"))\n'
        'executor.submit(job)\nprint(job.wait().state, sorted(psij.JobExecutor.get_executor_names()))\n'
        'assert all("psij_ext" in str(getattr(module, "__doc__")) for name, module in sys.modules.items() '
        'if name.split(".")[0] == "psij")\n')
    ended = run(tmp_path, '-m', 'psij_ext.compat', 'program.py', paths=(site, plugins))
    assert (ended.stdout, ended.stderr) == ("COMPLETED ['for_psij', 'for_psij_ext', 'local', 'pbspro', 'slurm']\n", '')


def test_compat_comes_too_late_after_it(site: Path, tmp_path: Path) -> None:
    ended = run(tmp_path, '-c', 'import psij, psij_ext.compat', paths=(site,))
    assert ended.returncode == 1
    assert f'ImportError: psij-python is imported already, from {site / "psij" / "__init__.py"}' in ended.stderr
