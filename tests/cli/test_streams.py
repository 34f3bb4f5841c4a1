"""Standard output and error that are closed, full, or wanted for something else."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import pytest

LOCAL = ('run', '--executor', 'local')


def in_shell(shell, words, redirections):
    """Run a command with redirections by a shell; return its exit code, standard output and error."""
    line = f'exec {shlex.join([sys.executable, "-m", "psij_ext", *words])} {redirections}'
    done = subprocess.run(['/bin/sh', '-c', line], cwd=shell.folder, env=shell.environment, capture_output=True, text=True,
                          timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(('redirection', 'told'), [('>&-', ''), ('2>&-', 'out\n')])
@pytest.mark.parametrize('code', [0, 3])
def test_a_closed_stream_changes_no_exit_code(shell, redirection, told, code):
    assert in_shell(shell, [*LOCAL, '--quiet', '--', 'sh', '-c', f'echo out; exit {code}'], redirection)[:2] == (code, told)


@pytest.mark.parametrize('words', [['ls'], ['executors'], ['render', '--', 'true']])
def test_a_closed_output_is_no_defect(shell, words):
    code, _, errors = in_shell(shell, words, '>&-')
    assert code == 0
    assert 'should not happen' not in errors


@pytest.mark.parametrize('words', [['ls'], [*LOCAL, '--quiet', '--', 'echo', 'hi'], ['executors', '--json']])
def test_a_full_disk_is_told_in_a_line(shell, words):
    code, _, errors = in_shell(shell, words, '>/dev/full')
    assert code == 1
    assert errors.splitlines()[-1:] == [line for line in errors.splitlines() if 'No space left on device' in line]
    assert 'Traceback' not in errors and 'Exception ignored' not in errors


@pytest.mark.parametrize('options', [[], ['--json']])
def test_a_submission_that_cannot_be_shown_is_told_all_the_same(shell, options):
    code, _, errors = in_shell(shell, ['submit', *LOCAL[1:], *options, '--', 'true'], '>/dev/full')
    assert code == 1
    (line,) = errors.splitlines()
    assert 'the job was submitted (' in line and 'No space left on device' in line
    shown = shell('ls', '--json')
    (job,) = json.loads(shown.stdout)
    assert f'({job["id"]} {job["native_id"]})' in line


@pytest.mark.parametrize('options', [['--directory', '/nosuch'], ['--pre-launch', '/nosuch']])
def test_quiet_hides_no_reason_that_the_exit_code_does_not_tell(shell, options):
    code, _, errors = in_shell(shell, [*LOCAL, '--quiet', *options, '--', 'true'], '')
    assert code == 1
    assert '/nosuch' in errors


def test_a_home_that_is_no_absolute_path(shell):
    shell.environment.update(HOME='rel')
    del shell.environment['XDG_STATE_HOME']
    assert shell(*LOCAL, '--quiet', '--', 'echo', 'fine').stdout == b'fine\n'
