"""A program that submits is killed at any moment, run after run: no job is lost, none runs twice, none is told of wrongly."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from crashes import Crashes

from psij_ext.testing.simulated import SimulatedPBS
from real_slurm import Cluster

EVERYWHERE = ('slurm', 'slurm-arrays', 'pbspro', 'pbspro-arrays', 'pbspro-no-history', 'local')
KILLS = 6
MANY_KILLS = 300


def on_slurm(folder: Path, together: bool = False) -> Iterator[Crashes]:
    cluster = Cluster()
    try:
        yield Crashes('slurm', folder / 'crashes', cluster.variables,
                      lambda: dict(line.split('|', 1) for line in cluster.run('squeue', '-h', '-o', '%i|%Z').splitlines()),
                      lambda: cluster.hung('slurmctld'), together=together)
    finally:
        cluster.stop()


def on_pbspro(folder: Path, history: bool, together: bool = False) -> Iterator[Crashes]:
    home = folder / 'home'
    home.mkdir()

    @contextlib.contextmanager
    def hung() -> Iterator[None]:
        pbs.hang()
        try:
            yield
        finally:
            pbs.resume()

    def alive() -> dict[str, str]:
        listed = pbs.run('qstat', '-f').stdout.decode().replace('\n\t', '')
        records = listed.split('Job Id: ')[1:]
        return {record.split()[0]: record.split('PBS_O_WORKDIR=')[1].split(',')[0].split()[0] for record in records}

    with SimulatedPBS(folder / 'pbs', history=history, cpus=64, home=str(home)) as pbs:
        yield Crashes('pbspro', folder / 'crashes', {'PATH': pbs.path}, alive, hung, together=together)


def on_local(folder: Path) -> Iterator[Crashes]:
    def alive() -> dict[str, str]:
        """The supervisors, which are told the folders of their jobs."""
        found = {}
        for process in Path('/proc').glob('[1-9]*'):
            with contextlib.suppress(OSError):
                words = (process / 'cmdline').read_bytes().split(b'\0')
                if len(words) > 3 and words[2].endswith(b'/supervisor.sh'):
                    found[process.name] = os.fsdecode(words[3])
        return found

    yield Crashes('local', folder / 'crashes', {}, alive)


@pytest.fixture
def crashes(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crashes]:
    makers = {'slurm': on_slurm, 'local': on_local, 'pbspro': lambda folder: on_pbspro(folder, True),
              'slurm-arrays': lambda folder: on_slurm(folder, together=True),
              'pbspro-arrays': lambda folder: on_pbspro(folder, True, together=True),
              'pbspro-no-history': lambda folder: on_pbspro(folder, False)}
    yield from makers[request.param](tmp_path)


@pytest.mark.parametrize(('crashes', 'kills'), [
    *((each, KILLS) for each in ('slurm', 'slurm-arrays', 'pbspro-no-history', 'local')),
    *(pytest.param(each, MANY_KILLS, marks=pytest.mark.soak) for each in EVERYWHERE)], indirect=['crashes'])
def test_kills_at_random_moments(crashes: Crashes, kills: int) -> None:
    tally = crashes.play(kills)
    print(tally)  # pytest shows it with -rP
    assert (tally.lost, tally.twice, tally.wrong) == ([], [], []), tally
    assert tally.kills >= kills // 2  # some programs come to their end first
    assert tally.runs >= kills
    assert tally.hung or not crashes.can_hang  # the submit command waited for a scheduler that did nothing


@pytest.mark.parametrize(('crashes', 'every'), [
    ('local', 3), ('pbspro-no-history', 5), ('pbspro-arrays', 5),
    *(pytest.param(each, 1, marks=pytest.mark.soak) for each in EVERYWHERE)], indirect=['crashes'])
def test_kills_before_each_operation(crashes: Crashes, every: int) -> None:
    tally = crashes.play_all(every)
    print(tally)
    assert (tally.lost, tally.twice, tally.wrong) == ([], [], []), tally
    assert tally.kills > 100 / every
