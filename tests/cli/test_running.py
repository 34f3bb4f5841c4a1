"""`psij-ext run` on each executor, in processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess

import pytest

pytestmark = pytest.mark.conformance(any_launcher=True)

# Every byte there is, and no newline at the end.
BYTES = bytes(range(256)) * 3 + b'end'


def lines(stream: bytes) -> list[str]:
    return stream.decode().splitlines()


def test_output_arrives_byte_for_byte(site):
    (site.folder / 'bytes').write_bytes(BYTES)
    done = site('run', '--quiet', '--', 'sh', '-c', 'cat bytes; cat bytes bytes >&2')
    assert done.stdout == BYTES
    assert done.stderr == BYTES * 2


def test_the_states_are_lines_on_standard_error(site):
    done = site('run', '--', 'echo', 'hello')
    assert done.stdout == b'hello\n'
    (job,) = site.json('ls')
    name = f'job {job["id"][:8]} ({job["native_id"]} on {job["executor"]})'
    assert lines(done.stderr) == [f'psij-ext: {name}: {state}' for state in (
        'QUEUED', 'ACTIVE', 'COMPLETED, exit code 0')]


@pytest.mark.parametrize('code', [3, 255])
def test_the_exit_code_is_the_jobs(site, code):
    done = site('run', '--', 'sh', '-c', f'echo bye >&2; exit {code}', code=code)
    assert lines(done.stderr)[-2] == 'bye'
    assert lines(done.stderr)[-1].endswith(f'FAILED, exit code {code}')


@pytest.mark.parametrize('signal_name', ['KILL', 'USR1'])
def test_a_signal_is_128_and_its_number(site, signal_name):
    number = getattr(signal, f'SIG{signal_name}')
    site('run', '--', 'sh', '-c', f'kill -{signal_name} $$', code=128 + number)


def test_a_missing_executable_is_named(site):
    done = site('run', '--', './no-such-program', code=127)
    assert b'no-such-program' in done.stderr


def test_a_missing_directory_is_named(site):
    done = site('run', '--directory', 'no/such/folder', '--', 'true', code=1)
    assert b'no/such/folder' in done.stderr


def test_environment_directory_and_input_reach_the_job(site):
    odd = 'it\'s "$HOME" `x`\n\\ ü'
    (site.folder / 'sub').mkdir()
    (site.folder / 'sub' / 'in').write_text('from a file')
    script = 'printf %s "$ODD"; printf "|%s|" "${PWD##*/}"; cat'
    done = site('run', '--directory', 'sub', '--stdin', 'in', '--env', f'ODD={odd}', '--', 'sh', '-c', script)
    assert done.stdout.decode() == f'{odd}|sub|from a file'


def test_what_goes_to_a_file_is_not_printed(site):
    done = site('run', '--stdout', 'out', '--stderr', 'err', '--', 'sh', '-c', 'echo 1; echo 2 >&2; exit 5', code=5)
    assert done.stdout == b''
    assert (site.folder / 'out').read_text() == '1\n'
    assert (site.folder / 'err').read_text() == '2\n'
    assert f'(from {site.folder / "err"})' in done.stderr.decode()


def test_json_tells_all_and_where_the_output_is(site):
    done = site('run', '--json', '--name', 'a name', '--', 'sh', '-c', 'echo hello; exit 3', code=3)
    job = json.loads(done.stdout)
    assert job['name'] == 'a name'
    assert (job['state'], job['exit_code'], job['reason']) == ('FAILED', 3, 'exited')
    assert job['command'] == ['sh', '-c', 'echo hello; exit 3']
    assert job['submitted'] <= job['started'] <= job['ended']
    with open(job['stdout']) as output:
        assert output.read() == 'hello\n'


def test_nothing_is_coloured_off_a_terminal(site):
    site.environment.update(FORCE_COLOR='1', TERM='xterm-256color')
    for words in (['run', '--', 'false'], ['ls'], ['status', '@last'], ['executors']):
        done = site(*words, code=None)
        assert b'\x1b' not in done.stdout + done.stderr


def read_until(process: subprocess.Popen[bytes], wanted: bytes) -> bytes:
    assert process.stderr is not None
    read = b''
    while wanted not in read:
        line = process.stderr.readline()
        assert line, f'{wanted!r} did not come: {read!r}'
        read += line
    return read


def test_ctrl_c_leaves_the_job_alone_and_says_so(site):
    with site.start('run', '--', 'sleep', '1000') as process:
        read_until(process, b'ACTIVE')
        os.killpg(process.pid, signal.SIGINT)
        said = read_until(process, b'not waiting')
        assert process.wait(60) == 130
    (job,) = site.json('ls')
    assert job['state'] == 'ACTIVE'
    for command in ('status', 'cancel'):
        assert f'psij-ext {command} {job["id"][:8]}' in said.decode()
        site(command, job['id'][:8])


def test_a_second_ctrl_c_cancels(site):
    with site.start('run', '--', 'sleep', '1000') as process:
        read_until(process, b'ACTIVE')
        os.killpg(process.pid, signal.SIGINT)
        read_until(process, b'left alone')
        os.killpg(process.pid, signal.SIGINT)
        read_until(process, b'CANCELED')
        assert process.wait(60) == 143
    assert site.json('ls')[0]['state'] == 'CANCELED'


def test_a_job_that_is_cancelled_elsewhere_ends_with_143(site):
    with site.start('run', '--', 'sleep', '1000') as process:
        read_until(process, b'ACTIVE')
        site('cancel', '@last')
        read_until(process, b'CANCELED')
        assert process.wait(60) == 143


def test_a_reader_that_has_seen_enough_is_no_error(site):
    with site.start('run', '--quiet', '--', 'seq', '1000000') as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.stdout.readline() == b'1\n'
        process.stdout.close()
        assert process.stderr.read() == b''


def test_a_job_in_the_background_is_not_touched_by_ctrl_c(site):
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    with site.start('run', '--', 'sleep', '2', preexec_fn=ignore) as process:
        read_until(process, b'ACTIVE')
        os.killpg(process.pid, signal.SIGINT)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 0



def test_a_job_waits_for_others(site):
    def submit(*words):
        return site('submit', *words).stdout.split()[0].decode()

    first = submit('--', 'sh', '-c', 'until [ -e go ]; do sleep 0.1; done; exit 3')
    vain = submit('--after-ok', first, '--', 'touch', 'never')
    waiting = submit('--after-not-ok', first, '--after-any', '@last', '--', 'touch', 'over')
    assert [job['state'] for job in site.json('status', vain, waiting)] == ['QUEUED', 'QUEUED']
    (site.folder / 'go').touch()
    done = site('run', '--quiet', '--after-ok', waiting, '--', 'sh', '-c', 'echo *')
    assert b'over' in done.stdout.split()
    assert b'never' not in done.stdout.split()
    record, = site.json('status', vain)
    assert (record['state'], record['reason']) == ('FAILED', 'dependency failed')
