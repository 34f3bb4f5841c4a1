from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from psij_ext.exceptions import CommandError, CommandNotFound, CommandTimeout
from psij_ext.runtime import processes
from psij_ext.runtime.command import CommandResult, SubprocessRunner, command_error, find_program, scrubbed_environment

RUNNER = SubprocessRunner()
Program = Callable[[str, str], Path]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    def make(name: str, script: str) -> Path:
        path = tmp_path / name
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)
        return path

    return make


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 10
    while any(processes.start_time(pid) is not None for pid in pids):
        assert time.monotonic() < deadline, 'a process lives on'
        time.sleep(0.01)


def test_the_log_tells_of_each_command(program: Program, caplog: pytest.LogCaptureFixture) -> None:
    path, slow = str(program('say', 'exit 7')), str(program('stay', 'exec sleep 600'))
    with caplog.at_level('DEBUG', 'psij_ext'):
        RUNNER.run([path, 'two words'], timeout=10)
        with pytest.raises(CommandTimeout):
            RUNNER.run([slow], timeout=0.1)
    ended, killed = caplog.messages
    assert ended.startswith(f"{path} 'two words': exit code 7 after 0.")
    assert killed == f'The command {slow} gave no answer within 0.1 s and was killed.'


def test_the_result_is_what_the_command_gave(program: Program) -> None:
    path = program('say', 'printf "%s|" "$@"; printf "oops" >&2; exit 7')
    result = RUNNER.run([str(path), 'a b', '', '$HOME', "'"], timeout=10)
    assert result == CommandResult((str(path), 'a b', '', '$HOME', "'"), 7, b"a b||$HOME|'|", b'oops')


def test_what_is_to_be_done_once_it_has_started_is_done_while_it_runs(tmp_path: Path) -> None:
    started = tmp_path / 'started'
    command = ['sh', '-c', f'while ! [ -e {started} ]; do sleep 0.01; done; echo done']
    assert RUNNER.run(command, timeout=20, once_started=started.touch).text == 'done\n'


def test_a_command_that_cannot_be_started_starts_nothing() -> None:
    def fail() -> None:
        raise AssertionError('it was called')

    with pytest.raises(CommandNotFound):
        RUNNER.run(['/no/such/program'], timeout=20, once_started=fail)


def test_bytes_come_through_unchanged() -> None:
    content = bytes(range(256)) * 1000
    code = 'import os, sys; os.write(1, b"x" * 0 + bytes(range(256)) * 1000); os.write(2, bytes(range(256)) * 1000)'
    result = RUNNER.run([sys.executable, '-c', code], timeout=30)
    assert (result.stdout, result.stderr) == (content, content)


def test_text_keeps_every_byte_and_error_text_can_be_shown() -> None:
    result = CommandResult(('x',), 0, b'a\xffb\r\n', b' c\xffd\n')
    assert result.text.encode('utf-8', 'surrogateescape') == b'a\xffb\r\n'
    assert result.error_text == 'c\ufffdd'
    assert CommandResult(('x',), 0, b' out\n', b'err\n').combined_text == 'out\nerr'
    assert CommandResult(('x',), 0, b'', b'err\n').combined_text == 'err'
    assert CommandResult(('x',), 0).combined_text == ''


def test_standard_input_is_empty() -> None:
    assert RUNNER.run(['cat'], timeout=10) == CommandResult(('cat',), 0)


def test_a_command_that_a_signal_ended_has_a_negative_code(program: Program) -> None:
    assert RUNNER.run([str(program('die', 'kill -9 $$'))], timeout=10).exit_code == -signal.SIGKILL


def test_a_command_runs_where_it_is_told(program: Program, tmp_path: Path) -> None:
    assert RUNNER.run(['pwd'], timeout=10, cwd=tmp_path).text.strip() == str(tmp_path)


def test_a_command_has_the_environment_that_it_is_given(program: Program, tmp_path: Path) -> None:
    program('show', 'echo "$GIVEN,$HOME"')
    result = RUNNER.run(['show'], timeout=10, env={'PATH': str(tmp_path), 'GIVEN': 'ü'})
    assert result.text == 'ü,\n'


def test_a_command_has_a_session_of_its_own() -> None:
    result = RUNNER.run([sys.executable, '-c', 'import os; print(os.getsid(0) == os.getpid())'], timeout=30)
    assert result.text == 'True\n'


# -- timeouts


def test_a_timeout_ends_all_that_the_command_started(tmp_path: Path) -> None:
    # A child, a grandchild, and one in a process group of its own, as the jobs of an interactive shell are.
    script = f'''
        sleep 100 & echo $! >> {tmp_path}/pids
        sh -c 'sleep 100 & echo $! >> {tmp_path}/pids; wait' &
        set -m
        sleep 100 & echo $! >> {tmp_path}/pids
        echo $$ >> {tmp_path}/pids
        echo partial; echo words >&2
        wait
    '''
    started = time.monotonic()
    with pytest.raises(CommandTimeout, match='within 1 s') as caught:
        RUNNER.run(['/bin/bash', '-c', script], timeout=1)
    assert time.monotonic() - started < 5
    assert (caught.value.stdout, caught.value.stderr) == ('partial\n', 'words\n')
    assert caught.value.argv == ('/bin/bash', '-c', script)
    pids = [int(line) for line in (tmp_path / 'pids').read_text().split()]
    assert len(pids) == 4
    wait_until_gone(pids)


def test_a_command_that_ignores_term_is_killed_too() -> None:
    with pytest.raises(CommandTimeout):
        RUNNER.run(['/bin/bash', '-c', 'trap "" TERM INT HUP; while :; do sleep 1; done'], timeout=0.2)


def test_what_left_the_session_does_not_hold_us(tmp_path: Path) -> None:
    pid_file = tmp_path / 'pid'
    script = f'setsid sh -c \'echo $$ > {pid_file}; exec sleep 100\' & sleep 100'
    started = time.monotonic()
    with pytest.raises(CommandTimeout):
        RUNNER.run(['/bin/sh', '-c', script], timeout=0.5)
    assert time.monotonic() - started < 5
    os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_a_command_that_ended_is_no_timeout_whatever_it_left_behind(tmp_path: Path) -> None:
    pid_file = tmp_path / 'pid'
    script = f'sleep 100 & echo $! > {pid_file}; echo 42; exit 3'
    result = RUNNER.run(['/bin/sh', '-c', script], timeout=0.5)
    assert (result.exit_code, result.stdout) == (3, b'42\n')
    os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_an_interrupt_leaves_no_command_behind(tmp_path: Path) -> None:
    code = f'''
import signal, threading
from psij_ext.runtime.command import SubprocessRunner
def interrupt(*args): raise KeyboardInterrupt
signal.signal(signal.SIGALRM, interrupt)
signal.setitimer(signal.ITIMER_REAL, 0.5)
try:
    SubprocessRunner().run(['/bin/sh', '-c', 'echo $$ > {tmp_path}/pid; exec sleep 100'], timeout=60)
except KeyboardInterrupt:
    print('interrupted')
'''
    result = subprocess.run([sys.executable, '-c', code], capture_output=True, timeout=30, check=True, text=True)
    assert result.stdout == 'interrupted\n'
    wait_until_gone([int((tmp_path / 'pid').read_text())])


def test_a_timeout_leaves_no_file_open(tmp_path: Path) -> None:
    before = len(os.listdir('/proc/self/fd'))
    for _ in range(3):
        with pytest.raises(CommandTimeout):
            RUNNER.run(['sleep', '100'], timeout=0.05)
    assert len(os.listdir('/proc/self/fd')) == before


# -- finding programs


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandNotFound, match=r"'qsub'.*not found on PATH") as caught:
        RUNNER.run(['qsub', '-x'], timeout=1, env={'PATH': str(tmp_path)})
    assert caught.value.argv == ('qsub', '-x')


def test_a_program_that_cannot_be_started_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / 'broken'
    path.write_text('#!/nonexistent/interpreter\n')
    path.chmod(0o755)
    with pytest.raises(CommandNotFound, match='could not be started'):
        RUNNER.run([str(path)], timeout=1)
    with pytest.raises(CommandNotFound, match='could not be started'):
        RUNNER.run(['true', 'x' * 200_000], timeout=1)
    with pytest.raises(CommandNotFound, match='could not be started'):
        RUNNER.run(['true'], timeout=1, cwd=tmp_path / 'nowhere')


@pytest.mark.parametrize('path', ['', '.', ':', '.:', '::', 'here', './here', '..', 'here:.:'])
def test_the_current_folder_is_never_searched(
        program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    (tmp_path / 'here').mkdir()
    program('squeue', 'echo bad')
    program('here/squeue', 'echo bad')
    monkeypatch.chdir(tmp_path)
    assert find_program('squeue', path) is None
    monkeypatch.setenv('PATH', path)
    assert find_program('squeue') is None
    with pytest.raises(CommandNotFound):
        RUNNER.run(['squeue'], timeout=1)
    assert find_program('./squeue', str(tmp_path)) is None
    assert find_program('here/squeue', str(tmp_path)) is None


def test_the_first_program_that_can_be_run_is_found(program: Program, tmp_path: Path) -> None:
    (tmp_path / 'a' / 'tool').mkdir(parents=True)
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b' / 'tool').write_text('not executable')
    (tmp_path / 'c').mkdir()
    found = program('c/tool', '')
    search = os.pathsep.join(str(tmp_path / folder) for folder in 'abc')
    assert find_program('tool', search) == found
    assert find_program(str(found), '') == found
    assert find_program(str(tmp_path / 'b' / 'tool'), '') is None
    assert find_program(str(tmp_path / 'missing'), '') is None


def test_a_program_that_went_away_is_looked_for_again(program: Program, tmp_path: Path) -> None:
    for folder in 'ab':
        (tmp_path / folder).mkdir()
    first, second = program('a/tool', ''), program('b/tool', '')
    search = f'{tmp_path}/a:{tmp_path}/b'
    assert find_program('tool', search) == first
    first.unlink()
    assert find_program('tool', search) == second


# -- environments


def test_what_changes_the_commands_is_left_out() -> None:
    environ = {'SBATCH_PARTITION': 'x', 'SLURM_JOB_ID': '5', 'SLURM_CONF': '/etc/slurm.conf', 'SLURMX': 'y', 'PATH': '/bin',
               'MY_SLURM_THING': 'z'}
    assert scrubbed_environment(environ, ('SBATCH_', 'SLURM_'), ('SLURM_CONF', 'SLURM_JWT')) == {
        'SLURM_CONF': '/etc/slurm.conf', 'SLURMX': 'y', 'PATH': '/bin', 'MY_SLURM_THING': 'z'}
    assert scrubbed_environment(environ, (), ()) == environ
    assert len(environ) == 6


# -- errors


def test_the_error_of_a_command_holds_what_is_needed() -> None:
    error = command_error('It failed', CommandResult(('squeue', '-x y'), 3, b'out', b'err'))
    assert isinstance(error, CommandError)
    assert (error.argv, error.exit_code, error.stdout, error.stderr) == (('squeue', '-x y'), 3, 'out', 'err')
    for part in ('It failed', 'out', 'err', "squeue '-x y'", '3'):
        assert part in str(error)
    assert 'does not say why' in str(command_error('It failed', CommandResult(('squeue',), 1)))
