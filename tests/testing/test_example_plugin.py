"""The example of a plugin, as a stranger has it: installed, found, used, and passing its own tests."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = ROOT / 'examples' / 'plugin'
COMMAND = (sys.executable, '-m', 'psij_ext')
# One of each kind; all of them take longer than is well spent on every change.
PART = ('TestDialect or test_simple_job or test_exit_codes or test_cancel_running_job or test_cancel_queued_job or '
        'test_attach_to_running_job or test_list or test_umask or test_bad_queue or test_walltime_of_seconds or '
        'test_environment_of_its_own')


class Stranger:
    """Somebody with the example installed beside psij_ext, and a queue.

    :param place: the folder that it is installed in, as into any other that is on sys.path.
    :param folder: where the queue and all else lies.
    """

    def __init__(self, place: Path, folder: Path) -> None:
        self.folder = folder
        path = f'{place / "bin"}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}'
        self.environment = {**os.environ, 'PYTHONPATH': f'{place}{os.pathsep}{ROOT / "src"}', 'PATH': path,
                            'DIRQ_HOME': str(folder / 'queue'), 'XDG_STATE_HOME': str(folder / 'state')}

    def run(self, *argv: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(argv, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=timeout)

    def says(self, *argv: str) -> str:
        done = self.run(*argv)
        assert (done.returncode, done.stderr) == (0, '')
        return done.stdout

    def submit(self, script: str, *options: str) -> str:
        path = self.folder / f'script.{threading.get_ident()}'
        path.write_text(f'#!/bin/bash\n{script}\n')
        return self.says('dirq', 'submit', *options, str(path)).split()[1]

    def wait(self, *ids: str) -> list[str]:
        """Wait until jobs are over; return what became of them."""
        deadline = time.monotonic() + 60
        while True:
            lines = self.says('dirq', 'status', *ids).splitlines()
            if not any(re.search('waiting|held|running', line) for line in lines):
                return lines
            assert time.monotonic() < deadline, lines


@pytest.fixture(scope='module')
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example, installed without a network and without touching the environment of these tests."""
    folder = tmp_path_factory.mktemp('plugin')
    subprocess.run([sys.executable, '-m', 'pip', 'install', '-qq', '--disable-pip-version-check', '--no-deps',
                    '--no-build-isolation', '--target', str(folder), str(EXAMPLE)], check=True, timeout=120)
    return folder


@pytest.fixture
def stranger(place: Path, tmp_path: Path) -> Iterator[Stranger]:
    somebody = Stranger(place, tmp_path)
    yield somebody
    for line in somebody.says('dirq', 'status').splitlines():
        somebody.run('dirq', 'cancel', line.split()[0])


def own_tests(stranger: Stranger, *options: str) -> str:
    """Run the tests of the example, as they stand; return what pytest said."""
    shutil.copytree(EXAMPLE / 'tests', stranger.folder / 'tests')
    shutil.copy(EXAMPLE / 'pyproject.toml', stranger.folder)
    done = stranger.run(sys.executable, '-m', 'pytest', '-p', 'no:cacheprovider', *options, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_its_tests_pass(stranger: Stranger) -> None:
    told = own_tests(stranger, '-k', PART)
    assert re.search(r'\ndirq: \d+ passed', told)
    assert 'scheduler: Dirq 1.0' in told


@pytest.mark.soak
def test_all_of_its_tests_pass(stranger: Stranger) -> None:
    assert re.search(r'\ndirq: 1\d\d passed, \d+ skipped\n', own_tests(stranger))


@pytest.mark.parametrize('lacking', ['psij-descriptors', 'psij_dirq-1.0.dist-info'])
def test_each_way_to_announce_it_is_enough(place: Path, tmp_path: Path, lacking: str) -> None:
    shutil.copytree(place, tmp_path / 'site', ignore=shutil.ignore_patterns(lacking))
    somebody = Stranger(tmp_path / 'site', tmp_path)
    told = json.loads(somebody.says(*COMMAND, 'executors', '--json'))
    (found,) = (each for each in told['executors'] if each['name'] == 'dirq')
    assert (found['answers'], found['scheduler_version'], told['unreadable']) == (True, 'Dirq 1.0', {})


def test_both_ways_to_announce_it_are_one_executor(stranger: Stranger) -> None:
    told = json.loads(stranger.says(*COMMAND, 'executors', '--json'))
    assert [each['name'] for each in told['executors']].count('dirq') == 1
    done = stranger.run(*COMMAND, 'run', '--executor', 'dirq', '--', 'echo', 'hello')
    assert (done.returncode, done.stdout) == (0, 'hello\n'), done.stderr


def test_its_scheduler_bears_many_commands_at_once(stranger: Stranger) -> None:
    """Ids are given once, each job runs once, and whoever asks is told of all of them."""
    ids: list[str] = []
    lost: list[str] = []

    def submit() -> None:
        for _ in range(3):
            native_id = stranger.submit(f'echo $DIRQ_JOB >> {stranger.folder}/ran')
            if native_id not in stranger.says('dirq', 'status', native_id):
                lost.append(native_id)
            ids.append(native_id)

    threads = [threading.Thread(target=submit) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(int, ids)) == [*range(1, 19)]
    assert stranger.wait(*ids) == [f'{native_id} ended 0' for native_id in ids]
    assert sorted((stranger.folder / 'ran').read_text().split()) == sorted(ids)
    assert lost == []


def test_its_scheduler_has_so_many_processors(stranger: Stranger) -> None:
    (stranger.folder / 'queue').mkdir()
    (stranger.folder / 'queue' / 'site.json').write_text('{"cpus": 2, "most_waiting": 3}')
    begin = 'ln -s x running || echo too many >> trouble; sleep 0.1; rm -f running'
    ids = [stranger.submit(begin, '--cpus=2') for _ in range(3)]
    assert stranger.run('dirq', 'submit', '--cpus=3', __file__).returncode == 2
    assert stranger.wait(*ids) == [f'{native_id} ended 0' for native_id in ids]
    held = [stranger.submit('true', '--hold') for _ in range(3)]
    assert not (stranger.folder / 'trouble').exists()
    assert stranger.run('dirq', 'submit', __file__).returncode == 75
    assert stranger.says('dirq', 'status') == ''.join(f'{native_id} held\n' for native_id in held)


def test_a_job_of_its_scheduler_is_lost_with_its_shepherd(stranger: Stranger) -> None:
    running = stranger.submit(f'cd {stranger.folder}; echo $$ > new; mv new pid; exec sleep 1000')
    held = stranger.submit('true', '--hold')
    while len(shepherds := [*stranger.folder.glob('queue/*/*/shepherd')]) < 2 or not (stranger.folder / 'pid').exists():
        stranger.says('dirq', 'status')
    for path in shepherds:
        os.kill(int(path.read_text()), signal.SIGKILL)
    os.kill(int((stranger.folder / 'pid').read_text()), signal.SIGKILL)
    assert stranger.wait(running, held) == [f'{running} lost', f'{held} lost']
    assert stranger.run('dirq', 'cancel', running).returncode == 3
