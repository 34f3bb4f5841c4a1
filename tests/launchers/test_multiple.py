"""The script of the launcher `multiple`, run by a real bash."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.launchers.multiple import MultipleLauncher
from psij_ext.runtime import processes

Start = Callable[..., 'subprocess.Popen[bytes]']
# Each copy waits for the others; the number of a copy is the rank of its process id.
RANKED = '''
import os, sys, time
folder, count, codes = sys.argv[1], int(sys.argv[2]), sys.argv[3].split(',')
open(f'{folder}/{os.getpid()}', 'w').close()
while len(os.listdir(folder)) < count: time.sleep(0.005)
code = int(codes[sorted(map(int, os.listdir(folder))).index(os.getpid())])
os.kill(os.getpid(), -code) if code < 0 else sys.exit(code)
'''


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def run(count: int, *command: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        spec = JobSpec(command[0], list(command[1:]), resources=ResourceSpecV1(process_count=count))
        started.append(subprocess.Popen(
            MultipleLauncher().get_launch_command(Job(spec)), stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=tmp_path, start_new_session=True))
        return started[-1]

    yield run
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.0002)


@pytest.mark.parametrize('count', [1, 2, 7])
def test_so_many_copies_run(start: Start, count: int) -> None:
    process = start(count, '/bin/echo', 'a  b', '*')
    assert process.communicate(timeout=30) == (b'a  b *\n' * count, b'')
    assert process.returncode == 0


@pytest.mark.parametrize(('codes', 'code'), [
    ('0,0,0', 0), ('0,3,5', 3), ('5,3,0', 5), ('0,0,7', 7), ('0,-9,5', 137), ('-15,0,0', 143), ('255,1,1', 255)])
def test_the_code_is_that_of_the_first_copy_that_failed(start: Start, tmp_path: Path, codes: str, code: int) -> None:
    (tmp_path / 'ranks').mkdir()
    process = start(3, sys.executable, '-c', RANKED, str(tmp_path / 'ranks'), '3', codes)
    process.communicate(timeout=30)
    assert process.returncode == code


@pytest.mark.parametrize(('command', 'code'), [('/nonexistent', 127), ('/etc/passwd', 126)])
def test_a_command_that_cannot_be_started(start: Start, command: str, code: int) -> None:
    process = start(2, command)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors.count(command.encode()) >= 2


def test_of_shells_in_between_that_were_killed_nothing_is_told(start: Start) -> None:
    process = start(20, '/bin/sh', '-c', 'kill -9 $PPID')
    assert process.communicate(timeout=30) == (b'', b'')
    assert process.returncode == 137


def test_all_copies_share_the_streams(start: Start) -> None:
    process = start(3, '/bin/sh', '-c', 'echo out; echo err >&2; cat', stdin=subprocess.PIPE)
    out, errors = process.communicate(b'only once\n', timeout=30)
    assert sorted(out.splitlines()) == [b'only once', b'out', b'out', b'out']
    assert errors == b'err\n' * 3


@pytest.mark.parametrize(('name', 'code'), [('TERM', 143), ('INT', 130), ('HUP', 129), ('USR1', 138), ('QUIT', 131)])
def test_a_signal_goes_on_to_all_copies(start: Start, tmp_path: Path, name: str, code: int) -> None:
    process = start(3, '/bin/sh', '-c', 'ulimit -c 0; touch ready.$$; exec sleep 100')
    until(lambda: len(list(tmp_path.glob('ready.*'))) == 3)

    def is_over() -> bool:
        # The last copy may be ready a moment before the launcher has its id; USR1 is not sent to it later.
        process.send_signal(getattr(signal, f'SIG{name}'))
        return process.poll() is not None

    until(is_over)
    process.communicate(timeout=10)
    assert process.returncode == code


@pytest.mark.parametrize('code', [0, 5])
def test_what_the_copies_make_of_term_counts(start: Start, tmp_path: Path, code: int) -> None:
    # A handler of Python's would have to wait for the end of a sleep that begins just after the signal came.
    script = ('import os, signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [15])\n'
              f'open(f"ready.{{os.getpid()}}", "w")\nsignal.sigwait([15])\nos._exit({code})')
    process = start(3, sys.executable, '-c', script)
    until(lambda: len(list(tmp_path.glob('ready.*'))) == 3)
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == code


def test_term_while_the_copies_start_ends_all(start: Start) -> None:
    running = []
    for number in range(20):
        running.append(start(3, '/bin/sleep', '100'))
        # A signal that comes while bash sets its trap is lost; the trap for this one is the last.
        until(lambda: processes.handles(running[-1].pid, signal.SIGUSR2))
        time.sleep(0.0005 * number)
        running[-1].terminate()
    for process in running:
        process.communicate(timeout=10)
        assert process.returncode in (143, -signal.SIGTERM)


def test_many_signals_do_not_change_the_code(start: Start, tmp_path: Path) -> None:
    process = start(2, '/bin/sh', '-c', 'trap : USR1; touch ready.$$; sleep 0.4; exit 42')
    until(lambda: len(list(tmp_path.glob('ready.*'))) == 2)
    while process.poll() is None:
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.001)
    assert process.returncode == 42


def test_the_copies_ignore_no_signal_and_have_no_other_files(start: Start) -> None:
    code = 'ls -l /proc/self/fd; grep -E "Sig(Ign|Blk)" /proc/self/status'
    process = start(2, '/bin/sh', '-c', code)
    out, _ = process.communicate(timeout=30)
    assert out.count(b'pipe:[') == 4  # standard output and error, twice
    assert out.count(b' -> ') == 8    # and input, and the listing itself
    assert [line.split()[1] for line in out.splitlines() if line.startswith(b'Sig')] == [b'0' * 16] * 4


def test_the_slowest_copy_is_waited_for(start: Start, tmp_path: Path) -> None:
    process = start(2, '/bin/sh', '-c', 'mkdir first 2>/dev/null && exit 3; sleep 0.3; touch done')
    process.communicate(timeout=30)
    assert process.returncode == 3
    assert (tmp_path / 'done').exists()


def test_the_copies_run_at_the_same_time(start: Start, tmp_path: Path) -> None:
    (tmp_path / 'ranks').mkdir()
    began = time.monotonic()
    process = start(4, sys.executable, '-c', RANKED, str(tmp_path / 'ranks'), '4', '0,0,0,0')
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, json.dumps(out.decode())) == (0, '""')
    assert time.monotonic() - began < 20
