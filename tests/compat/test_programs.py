"""Programs in the style of PSI/J's user guide, each in a process of its own, on each executor."""

from __future__ import annotations

from pathlib import Path
from typing import Callable

import pytest

from psij_ext.testing.execparams import ExecParams

PROGRAMS = Path(__file__).parent / 'programs'

pytestmark = pytest.mark.conformance(not_on=('pbspro',), any_launcher=True)

Program = Callable[..., str]


@pytest.fixture
def run(execparams: ExecParams, program: Program) -> Program:
    """Returns a function that runs a program for the executor, and gives what it printed."""
    return lambda name, *words: program(str(PROGRAMS / name), execparams.executor_name, *words)


def test_a_plain_job_and_several(run: Program) -> None:
    assert run('hello.py') == "COMPLETED 0\n['COMPLETED', 'FAILED', 'FAILED']\n"


def test_callbacks(run: Program) -> None:
    assert run('callbacks.py') == 'True\n'


def test_what_a_spec_says(run: Program, execparams: ExecParams) -> None:
    said = run('described.py', execparams.known_queue or '')
    assert said == 'from the input\nhello yes two words\n2\nerror\n'


def test_attaching_from_another_process(run: Program) -> None:
    native_id = run('attaching.py').strip()
    assert native_id
    assert run('attaching.py', native_id) == 'FAILED 4\n'


def test_staging_and_serialization(run: Program) -> None:
    assert run('staging.py') == "COMPLETED STAGED\n ['inside', 'made']\n"


def test_waiting_and_cancelling(run: Program) -> None:
    assert run('cancelling.py') == 'True\nCANCELED True\nTrue\nTrue\n'
