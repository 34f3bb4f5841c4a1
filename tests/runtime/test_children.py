"""Children are started with a clean slate, and none of them stays as a zombie."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import pytest

from psij_ext.runtime.children import Reaper, spawn


@pytest.fixture
def reaper() -> Iterator[Reaper]:
    made = Reaper('test reaper')
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Start a shell script as a child; its output goes to the file `out`."""
    started = []

    def start_shell(script: str) -> int:
        with open(os.devnull) as nothing:
            pid = spawn(['/bin/sh', '-c', script], {'A': 'b c'}, stdin=nothing.fileno(), output=tmp_path / 'out')
        started.append(pid)
        return pid

    yield start_shell
    for pid in started:
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def is_zombie(pid: int) -> bool:
    return Path(f'/proc/{pid}/stat').read_text().rpartition(') ')[2].startswith('Z')


def is_forgotten(pid: int) -> bool:
    return not Path(f'/proc/{pid}').exists()


def test_a_child_leads_a_session_and_has_the_given_environment(
        start: Callable[..., int], reaper: Reaper, tmp_path: Path) -> None:
    (tmp_path / 'out').write_text('before\n')
    pid = start('echo "$A" "${HOME-none}"; echo error >&2; cat')
    reaper.add(pid)
    until(lambda: reaper.exit_code(pid) == 0)
    assert (tmp_path / 'out').read_text() == 'before\nb c none\nerror\n'
    other = start('sleep 1000')
    assert os.getsid(other) == os.getpgid(other) == other


def test_signals_are_as_if_nobody_had_touched_them(start: Callable[..., int], tmp_path: Path) -> None:
    ignored = (signal.SIGINT, signal.SIGPIPE, signal.SIGUSR1)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in ignored}
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGHUP})
    try:
        pid = start('exec grep -E "Sig(Ign|Blk)" /proc/self/status')
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in before.items():
            signal.signal(number, handler)
    os.waitpid(pid, 0)
    masks = dict(line.split(':\t') for line in (tmp_path / 'out').read_text().splitlines())
    touched = {name: {number for number in signal.valid_signals() if int(mask, 16) >> (number - 1) & 1}
               for name, mask in masks.items()}
    assert touched == {'SigBlk': set(), 'SigIgn': set()}


def test_a_program_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        spawn(['/nonexistent'], {}, stdin=0, output=tmp_path / 'out')


def test_exit_codes_are_kept_until_nobody_needs_them(start: Callable[..., int], reaper: Reaper) -> None:
    exits, killed = start('exit 3'), start('kill -9 $$')
    for pid in (exits, killed):
        reaper.add(pid)
    until(lambda: reaper.exit_code(exits) is not None and reaper.exit_code(killed) is not None)
    assert [reaper.exit_code(exits), reaper.exit_code(killed)] * 2 == [3, -9] * 2
    assert is_forgotten(exits)
    reaper.expect_end(exits)
    assert reaper.exit_code(exits) is None


def test_running_children_and_strangers_have_no_exit_code(start: Callable[..., int], reaper: Reaper) -> None:
    pid = start('sleep 1000')
    reaper.add(pid)
    assert reaper.exit_code(pid) is None
    assert reaper.exit_code(os.getppid()) is None


def test_an_expected_end_is_waited_for_in_the_background(start: Callable[..., int], reaper: Reaper) -> None:
    pids = [start('sleep 0.05'), start('exit 1'), start('sleep 0.2')]
    for pid in pids:
        reaper.add(pid)
        reaper.expect_end(pid)
    until(lambda: all(map(is_forgotten, pids)))


def test_no_thread_without_need(start: Callable[..., int], reaper: Reaper) -> None:
    before = threading.active_count()
    pid = start('exit 0')
    reaper.add(pid)
    assert threading.active_count() == before
    reaper.expect_end(pid)
    reaper.expect_end(os.getppid())
    until(lambda: is_forgotten(pid))
    reaper.close()
    assert threading.active_count() == before
    reaper.close()
    reaper.expect_end(pid)
    assert threading.active_count() == before


def test_another_reaper_looks_after_those_left_behind(start: Callable[..., int], reaper: Reaper) -> None:
    pid, other = start('read _ < /dev/null; exec sleep 1000'), start('sleep 1000')
    reaper.add(pid)
    reaper.close()
    os.kill(pid, signal.SIGKILL)
    until(lambda: is_zombie(pid))
    second = Reaper('second')
    second.add(other)
    assert is_forgotten(pid)
    second.close()


def test_children_that_the_program_waited_for_itself(start: Callable[..., int], reaper: Reaper) -> None:
    pid = start('exit 3')
    reaper.add(pid)
    os.waitpid(pid, 0)
    assert reaper.exit_code(pid) == 0  # how it ended is not known, but that it did
