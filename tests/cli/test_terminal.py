"""The live display, on a terminal."""

from __future__ import annotations

import os
import pty
import re
import subprocess

import pytest

pytestmark = pytest.mark.conformance(any_launcher=True)

COLOUR = re.compile(rb'\x1b\[[0-9;]*3\dm')


def on_a_terminal(site, *words: str, **environment: str) -> tuple[int, bytes]:
    """Run a command with its outputs on a terminal, and return its exit code and all that it wrote there."""
    site.environment.update({'TERM': 'xterm-256color', 'COLUMNS': '120', **environment})
    ours, its = pty.openpty()
    process = site.start(*words, stdin=its, stdout=its, stderr=its)
    os.close(its)
    written = b''
    try:
        while chunk := os.read(ours, 65536):
            written += chunk
    except OSError:  # Linux says so when nobody holds the other end any more: pty(7)
        pass
    finally:
        os.close(ours)
    return process.wait(60), written


def test_the_state_is_drawn_and_wiped(site):
    code, written = on_a_terminal(site, 'run', '--', 'sh', '-c', 'sleep 1; echo hello; exit 4')
    assert code == 4
    assert re.search(rb'job \w{8} \(\S+ on \w+\): ACTIVE', written)
    assert b'\x1b[2K' in written  # erase in line: ECMA-48, EL
    end = written.split(b'\x1b[2K')[-1].decode().splitlines()
    assert end[0] == 'hello'
    assert end[1].endswith('FAILED, exit code 4')
    assert b'Traceback' not in written


def test_a_table_is_coloured_unless_no_color_is_set(site):
    site('run', '--', 'true')
    code, written = on_a_terminal(site, 'ls')
    assert code == 0 and COLOUR.search(written)
    code, written = on_a_terminal(site, 'ls', NO_COLOR='1')
    assert code == 0 and not COLOUR.search(written)
    assert b'COMPLETED' in written


def test_a_long_name_is_cut_and_nothing_else(site):
    name = 'a fairly long simulation name with more than forty characters'
    site('run', '--name', name, '--', 'true')
    job = site.json('ls')[0]
    code, written = on_a_terminal(site, 'ls', COLUMNS='80', NO_COLOR='1')
    heading, row = re.sub(r'\x1b\[[0-9;]*m', '', written.decode()).splitlines()[:2]
    assert code == 0 and len(row.rstrip()) <= 80
    assert row.split()[0] == '1' and job['native_id'] in row and 'COMPLETED' in row and 'a fairly' in row
    assert 'state' in heading and name not in row


def test_a_long_name_does_not_widen_a_table_in_a_pipe_without_end(site):
    site('run', '--name', 'x' * 500, '--', 'true')
    assert max(map(len, site('ls').stdout.decode().splitlines())) < 200


def test_a_name_cannot_write_to_the_terminal(site):
    name = 'a\x1b]0;owned\x07b'
    site('run', '--name', name, '--', 'true')
    for words in (['ls'], ['status', '@last']):
        code, written = on_a_terminal(site, *words)
        assert code == 0
        assert b'owned' in written and b'\x07' not in written and b'\x1b]0' not in written


def test_only_one_output_on_a_terminal(site):
    site.environment['TERM'] = 'xterm'
    ours, its = pty.openpty()
    with site.start('run', '--', 'echo', 'hello', stderr=its, stdout=subprocess.PIPE) as process:
        os.close(its)
        assert process.stdout is not None
        assert process.stdout.read() == b'hello\n'
        os.close(ours)
