"""Why a job died: the end of what it and its scheduler wrote."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from psij_ext.runtime.last_words import explanation, tail

CAPTURES = Path(__file__).parents[1] / 'data' / 'slurm'
LIMIT = 'slurmstepd-node1: error: *** JOB 12 ON node1 CANCELLED AT 2026-11-20T10:39:41 DUE TO TIME LIMIT ***'


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / 'stderr'


@pytest.fixture
def scheduler(tmp_path: Path) -> Path:
    return tmp_path / 'scheduler.out'


def test_nothing_is_said_where_nothing_is_known(own: Path, scheduler: Path) -> None:
    assert explanation(None, [own], scheduler) is None
    assert explanation('known', [own], scheduler) == 'known'


def test_the_jobs_last_words_come_with_their_place(own: Path, scheduler: Path) -> None:
    own.write_text(''.join(f'line {number}\n' for number in range(100)))
    assert explanation('known', [own], scheduler) == '\n'.join(
        ['known', *(f'line {number}' for number in range(80, 100)), f'(from {own})'])


def test_the_schedulers_words_stand_before_the_jobs(own: Path, scheduler: Path) -> None:
    own.write_text('Traceback\nno\n')
    scheduler.write_text(f'from pre_launch\n{LIMIT}\n{LIMIT}\n')
    assert explanation('The wall time of 60 s was over.', [own], scheduler) == (
        f'The wall time of 60 s was over.\n{LIMIT}\nTraceback\nno\n(from {own})')


def test_what_slurm_says_of_memory(own: Path, scheduler: Path) -> None:
    captured = (CAPTURES / 'acct-15-oom-nodefail.txt').read_text().splitlines()
    (event,) = [line for line in captured if 'oom-kill event' in line and 'StepId=142' in line]
    scheduler.write_text(f'{event}\n')
    own.write_text('Killed\n')
    assert explanation('OUT_OF_MEMORY', [own], scheduler) == f'OUT_OF_MEMORY\n{event}\nKilled\n(from {own})'


def test_nothing_is_said_twice(own: Path, scheduler: Path) -> None:
    scheduler.write_text(f'{LIMIT}\n')
    assert explanation(None, [own], scheduler) == f'{LIMIT}\n(from {scheduler})'
    assert explanation(LIMIT, [own], scheduler) == f'{LIMIT}\n(from {scheduler})'
    own.write_text(f'word\n{LIMIT}\n')  # the user sent standard error to where Slurm writes too
    assert explanation(None, [own], scheduler) == f'word\n{LIMIT}\n(from {own})'


def test_a_scheduler_that_talks_much_is_cut_short(own: Path, scheduler: Path) -> None:
    scheduler.write_text(''.join(f'slurmstepd: error: {number}\n' for number in range(50)))
    own.write_text('oops\n')
    assert explanation(None, [own], scheduler) == '\n'.join(
        [*(f'slurmstepd: error: {number}' for number in (47, 48, 49)), 'oops', f'(from {own})'])


def test_the_words_of_pbs(own: Path, scheduler: Path) -> None:
    scheduler.write_text('=>> PBS: job killed: walltime 62 exceeded limit 60\n')
    own.write_text('oops\n')
    assert explanation(None, [own], scheduler) == (
        f'=>> PBS: job killed: walltime 62 exceeded limit 60\noops\n(from {own})')


def test_the_tail_is_the_last_lines(tmp_path: Path) -> None:
    path = tmp_path / 'out'
    path.write_text(''.join(f'line {number}\n' for number in range(100)))
    assert tail(path, lines=3) == 'line 97\nline 98\nline 99'
    assert tail(path, lines=3, limit=11) == '98\nline 99'


def test_the_tail_of_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / 'out'
    path.write_bytes(b'\xff\xfe ok\n\n')
    assert tail(path) == '�� ok'


def test_the_tail_of_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'empty').write_text('')
    for path in (tmp_path / 'missing', tmp_path, tmp_path / 'empty', tmp_path / 'pipe', Path('/dev/null'),
                 Path('/dev/zero'), Path('/dev/tty')):
        assert tail(path) == ''
