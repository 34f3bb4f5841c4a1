"""The script of a job is stopped before each of its first commands, and its submission is given up, or claimed, meanwhile."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_scripts import Scripted, shell, until

# So many commands come until the claim is made, and some after it.
COMMANDS = 30
NOTHING_RUN = 125


@pytest.fixture
def scripted(tmp_path: Path) -> Iterator[Scripted]:
    made = Scripted(shell('echo ran'), tmp_path)
    yield made
    made.kill()


class Stopped:
    """A script that stops before one of its commands until it is told to go on."""

    def __init__(self, scripted: Scripted, before: int, folder: Path) -> None:
        go_on, stopped = folder / 'go on', folder / 'stopped'
        os.mkfifo(go_on)
        self._go_on = os.open(go_on, os.O_RDWR)  # so that it need not be waited for that the other end is opened
        (folder / 'environment').write_text(
            'set -T\ncommands_seen=0\n'
            f"trap '((++commands_seen != {before})) || {{ : > \"{stopped}\"; read < \"{go_on}\"; }}' DEBUG\n")
        self._process = scripted.start('12', {'BASH_ENV': str(folder / 'environment')})
        until(lambda: stopped.exists() or self._process.poll() is not None)
        assert stopped.exists(), scripted.words

    def end(self) -> int:
        """Let it go on; return its exit code."""
        os.write(self._go_on, b'\n')
        code = self._process.wait(30)
        os.close(self._go_on)
        return code


commands = pytest.mark.parametrize('before', [
    *range(1, COMMANDS, 7), *(pytest.param(number, marks=pytest.mark.soak) for number in range(1, COMMANDS))])


@commands
def test_it_runs_or_it_is_given_up(scripted: Scripted, tmp_path: Path, before: int) -> None:
    stopped = Stopped(scripted, before, tmp_path)
    holder = scripted.folder.revoke('n')
    code = stopped.end()
    if holder is None:
        assert (code, scripted.states, scripted.folder.read_exit()) == (NOTHING_RUN, [], None)
    else:
        assert (holder, code, scripted.stdout) == ('12', 0, 'ran\n')


@commands
def test_of_two_that_the_scheduler_has_one_runs(scripted: Scripted, tmp_path: Path, before: int) -> None:
    stopped = Stopped(scripted, before, tmp_path)
    codes = scripted.run('13'), stopped.end()
    assert sorted(codes) == [0, NOTHING_RUN]
    assert scripted.folder.claimed_by('n') == ('13' if codes[0] == 0 else '12')
    assert len(scripted.states) == 1


def test_the_claim_is_among_the_commands(scripted: Scripted, tmp_path: Path) -> None:
    """So that neither of the tests above plays one half alone."""
    claimed = set()
    for before in (1, COMMANDS - 1):
        folder = tmp_path / str(before)
        other = Scripted(shell('echo ran'), folder)
        stopped = Stopped(other, before, folder)
        claimed.add(other.folder.claimed_by('n'))
        stopped.end()
    assert claimed == {None, '12'}
