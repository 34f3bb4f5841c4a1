"""What the table of processes tells of local jobs."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.state import JobState
from psij_ext.runtime import processes
from psij_ext.runtime.process_table import ProcessTable, parse_native_id, running_scripts
from psij_ext.runtime.slots import Slots


@pytest.mark.parametrize('text', [
    '', '.', '1', '1.', '.1', 'a.1', '1.a', '+1.2', '1. 2', '1.2.3', '\u0661.2', None, 12])
def test_what_is_no_native_id(text: object) -> None:
    assert parse_native_id(text) is None


@given(st.integers(0, 2 ** 64), st.integers(0, 2 ** 64))
def test_a_native_id_is_a_pid_and_a_start_time(pid: int, start_time: int) -> None:
    assert parse_native_id(f'{pid}.{start_time}') == (pid, start_time)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    parsed = parse_native_id(text)
    assert parsed is None or text.replace('.', '', 1).isdigit()


def test_what_is_told(tmp_path: Path) -> None:
    start_time = processes.start_time(os.getpid())
    assert start_time is not None
    own = f'{os.getpid()}.{start_time}'
    slots = Slots(tmp_path)
    table = ProcessTable(slots, {101: 0, 102: 1, 103: -9, 104: -15}.get)
    asked = [own, '101.5', '102.5', '103.5', '104.5', '105.5', f'{os.getpid()}.{start_time - 1}', 'nonsense']
    seen = table.queue(asked)
    assert {native_id: each.status.state for native_id, each in seen.items()} == {
        own: JobState.ACTIVE, '103.5': JobState.FAILED, '104.5': JobState.FAILED}
    killed = seen['103.5']
    assert (killed.reason, killed.signal, killed.status.exit_code) == (ExitReason.SIGNALED, 9, 137)
    slots.take_place(os.getpid(), start_time, 1)
    assert table.queue([own])[own].status.state is JobState.QUEUED
    assert (table.has_accounting, table.accounting(asked, 0.0)) == (False, {})


def test_a_script_without_supervisor_is_found_by_its_environment(tmp_path: Path) -> None:
    environment = {'psij_native_id': '103.5', 'x': 'psij_native_id=104.5'}
    with subprocess.Popen(['/bin/sleep', '1000'], env=environment) as script:
        try:
            scripts = running_scripts()
            assert '103.5' in scripts
            assert '104.5' not in scripts
            seen = ProcessTable(Slots(tmp_path), {103: -9, 104: -9}.get).queue(['103.5', '104.5'])
            assert seen['103.5'].status.state is JobState.ACTIVE
            assert seen['104.5'].status.state is JobState.FAILED
        finally:
            script.kill()
