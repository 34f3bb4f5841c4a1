"""A simulated PBS that looks like the one of the captures: one node with 64 processors, host pbshost1, user tester."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Iterator

import pytest
from pbs_captures import ENVIRONMENT, HOME, SUBMITTED_IN, comparable, load
from pbs_jobs import FAST

from psij_ext.testing.simulated import SimulatedPBS

STANDARD = {
    'output': '23.06',
    'history': True,
    'down': False,
    'scheduling': True,
    'queue_enabled': True,
    'queue_started': True,
    'max_queued': None,
    'max_walltime': None,
    'start_delay': 0.0,
    'finish_delay': 0.0,
    'kill_delay': 0.3,
    'delivery_timeout': 0.1,
}


class Site:
    """A simulated PBS, and how the captures' jobs are submitted to it."""

    def __init__(self, pbs: SimulatedPBS, folder: Path, home: Path) -> None:
        self.pbs, self.folder, self.home = pbs, folder, home

    def run(self, *words: str, stdin: str = '', user: str = 'tester', **variables: str) -> tuple[int, str, str]:
        environment = {**ENVIRONMENT, 'SIMULATED_PBS_USER': user, 'PWD': str(self.folder), **variables}
        if user == 'root':
            environment.update(HOME='/root', LOGNAME='root')
        encoded = [word.encode('latin-1') for word in words]
        done = self.pbs.run(*encoded, stdin=stdin.encode('latin-1'), cwd=self.folder, environment=environment)
        return done.returncode, done.stdout.decode('latin-1'), done.stderr.decode('latin-1')

    def submit(self, *words: str, script: str = 'true', user: str = 'tester', **variables: str) -> str:
        code, out, error = self.run('qsub', *words, stdin=script, user=user, **variables)
        assert (code, error) == (0, '')
        return out.strip()

    def comparable(self, text: str) -> str:
        return comparable(text, self.folder, self.home)

    def agree(self, name: str, identifier: str, *options: str, outputs: tuple[str, ...] = ('23.06', 'head')) -> None:
        """Compare `qstat` on a job with a capture, as both versions of the client write it."""
        for output in outputs:
            self.pbs.set(output=output)
            suffix = '.head' if output == 'head' else ''
            self.answers(name + suffix, 'qstat', '-f', '-F', 'json', '-x', *options, identifier)

    def answers(self, name: str, *words: str, stdin: str = '', user: str = 'tester', **variables: str) -> None:
        """Compare the answer to a command with a capture of the same command."""
        capture, here = load(name), (Path(SUBMITTED_IN), Path(HOME))
        told = [word.encode('utf-8', 'surrogateescape').decode('latin-1') for word in capture.command[1:]]
        assert self.comparable(' '.join(words[1:])) == comparable(' '.join(told), *here)
        code, out, error = self.run(*words, stdin=stdin, user=user, **variables)
        assert self.comparable(error) == comparable(capture.error, *here)
        assert (code, self.comparable(out)) == (capture.code, comparable(capture.out, *here))


@pytest.fixture(scope='session')
def running_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One PBS for all tests."""
    root = tmp_path_factory.mktemp('pbs')
    folder, home = root / 'submit', root / 'home'
    folder.mkdir()
    home.mkdir()
    shape = {'nodes': 1, 'cpus': 64, 'home': str(home), 'shell': '/bin/bash'}
    with SimulatedPBS(root / 'simulation', **shape, **STANDARD) as pbs:
        yield Site(pbs, folder, home)


@pytest.fixture
def site(running_site: Site) -> Iterator[Site]:
    running_site.pbs.set(session_delay=0.0)
    yield running_site
    running_site.pbs.set(**STANDARD, home=str(running_site.home))
    for identifier in running_site.run('qselect', user='root')[1].split():
        running_site.run('qdel', '-W', 'force', identifier, user='root')
    # What was running may take a moment to end; the next test must not meet it.
    deadline = time.monotonic() + 10
    while running_site.run('qselect', user='root')[1] and time.monotonic() < deadline:
        pass


@pytest.fixture
def pbs(tmp_path: Path) -> Iterator[SimulatedPBS]:
    """A PBS of a test's own: two nodes with four processors each."""
    (tmp_path / 'home').mkdir()
    with SimulatedPBS(tmp_path / 'pbs', home=str(tmp_path / 'home'), nodes=2, cpus=4, **FAST) as simulated:
        yield simulated
