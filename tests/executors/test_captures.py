"""What must come out of every capture of a real scheduler, as the tables beside them say.

`tests/data/slurm/table.tsv` and `tests/data/pbspro/table.tsv` hold a line for each, written from what the job was made to do and
from what the scheduler's manual says of its states and exit codes. Where nothing is read, the line says why.
"""

from __future__ import annotations

import captured_pbs
import captured_slurm
import pytest
from captured_events import summary

SLURM = [line.split('\t') for line in (captured_slurm.FOLDER / 'table.tsv').read_text().splitlines()[1:]]
PBS = [line.split('\t') for line in (captured_pbs.FOLDER / 'table.tsv').read_text().splitlines()[1:]]


@pytest.mark.parametrize(('name', 'what', 'full', 'states', 'submissions'), SLURM, ids=[row[0] for row in SLURM])
def test_a_capture_of_slurm(name: str, what: str, full: str, states: str, submissions: str) -> None:
    told = captured_slurm.read_capture(name)
    assert (summary(told.full) or '-', summary(told.states, states_only=True) or '-', ' '.join(told.submissions) or '-') == (
        full, states, submissions), what


@pytest.mark.parametrize(('name', 'what', 'expected'), PBS, ids=[row[0] for row in PBS])
def test_a_capture_of_pbs(name: str, what: str, expected: str) -> None:
    assert captured_pbs.read_capture(name) == expected, what


def test_no_capture_is_left_out() -> None:
    files = {path.name for path in captured_slurm.FOLDER.iterdir()} - {'README.md', 'table.tsv'}
    assert files == {row[0] for row in SLURM}
    assert len(files) == len(SLURM)
    assert captured_pbs.capture_names() == {row[0] for row in PBS}
    assert {path.name for path in captured_pbs.FOLDER.iterdir() if path.suffix not in ('.txt', '.stdout')} == {'table.tsv'}
    assert len({row[0] for row in PBS}) == len(PBS)


def test_what_is_not_read_has_a_reason() -> None:
    for name, what, *told in [*SLURM, *PBS]:
        if set(told) == {'-'}:
            assert 'not read' in what or ', and no job' in what, name
