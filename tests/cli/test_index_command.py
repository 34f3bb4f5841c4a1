"""`psij-ext index`: its help, what it prints, and what it does in a home of its own."""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path
from typing import Any

import click
import pytest
from cli_shell import Shell
from click.testing import CliRunner

from psij_ext.cli.app import app
from psij_ext.cli.index import command
from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.ending import keep_end
from psij_ext.runtime.index import Index
from psij_ext.runtime.jobfolder import JobFolder

DAY = 86400.0


def make_job(work: Path, job_id: str, native_id: str, *, ended: float | None = None, reported: bool = False) -> Path:
    folder = JobFolder.create(work / 'slurm', job_id)
    folder.open_journal({'job_id': job_id, 'executor': 'slurm', 'submitted': 100.0}, JSONSerializer().dumps(JobSpec('true')))
    folder.set_native_id(native_id)
    if ended is not None:
        keep_end(folder, JobStatus(JobState.FAILED, ended), ExitInfo(ExitReason.EXITED, 1))
    if reported:
        with (folder.path / 'journal').open('a') as journal:
            journal.write(f'\n{{"reported": {ended}}}')
    return folder.path


@pytest.fixture
def state(shell: Shell) -> Path:
    """The state folder of the shell's user."""
    return shell.state / 'psij-ext'


def index_of(state: Path) -> list[str]:
    return [job.job_id for job in Index(state).jobs()]


def json_of(shell: Shell, *words: object, code: int = 0) -> Any:
    part, *rest = words
    return json.loads(shell('index', part, '--json', *rest, code=code).stdout)


# -- help


@pytest.mark.parametrize('name', command.commands)
def test_every_part_has_help_with_examples_that_are_understood(name):
    printed = CliRunner().invoke(app, ['index', name, '--help'], prog_name='psij-ext')
    assert printed.exit_code == 0
    assert f'Examples:\n    psij-ext index {name}' in printed.output
    part = command.commands[name]
    assert part.epilog is not None
    for line in part.epilog.splitlines()[2:]:
        words = shlex.split(line)
        assert words[:3] == ['psij-ext', 'index', name]
        part.make_context(name, words[3:]).close()
    for parameter in part.params:
        assert isinstance(parameter, click.Argument) or getattr(parameter, 'help', None), parameter.name


@pytest.mark.parametrize('words', [
    ['index', 'no-such-part'], ['index', 'prune'], ['index', 'prune', '--older-than', '30'],
    ['index', 'prune', '--older-than', '10:00'], ['index', 'prune', '--older-than', 'long'],
    ['index', 'prune', '--older-than', ''], ['index', 'prune', '--older-than', '-3d'], ['index', 'rebuild', 'more']])
def test_what_cannot_be_understood_ends_with_2_and_touches_nothing(words, tmp_path, monkeypatch):
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 2
    assert 'Error: ' in done.output
    assert not (tmp_path / 'state').exists()


# -- rebuild


def test_rebuild_without_any_job(shell, state):
    assert shell('index', 'rebuild').stdout == b'The index holds 0 jobs now.\n'
    assert index_of(state) == []


def test_rebuild_finds_the_usual_place_and_others(shell, state, tmp_path):
    make_job(state / 'jobs', 'usual', '1')
    make_job(tmp_path / 'elsewhere', 'other', '2')
    assert shell('index', 'rebuild').stdout == b'The index holds 1 job now.\n'
    assert shell('index', 'rebuild', '--work-directory', 'elsewhere').stdout == b'The index holds 2 jobs now.\n'
    # It is known from now on.
    (state / 'index.sqlite').unlink()
    assert shell('index', 'rebuild').stdout == b'The index holds 2 jobs now.\n'
    assert sorted(index_of(state)) == ['other', 'usual']


def test_rebuild_of_a_broken_index(shell, state):
    make_job(state / 'jobs', 'a', '1')
    (state / 'index.sqlite').write_bytes(b'broken' * 1000)
    done = shell('index', 'rebuild')
    (kept,) = state.glob('index.sqlite.broken-*')
    assert done.stderr.decode() == f'psij-ext: the old index was broken and is kept as {kept}\n'
    assert index_of(state) == ['a']
    assert shell('index', 'rebuild').stderr == b''


def test_rebuild_as_json(shell, state, tmp_path):
    make_job(state / 'jobs', 'a', '1')
    (tmp_path / 'file').write_text('')
    (state / 'index.sqlite').write_bytes(b'broken' * 1000)
    said = json_of(shell, 'rebuild', '--work-directory', tmp_path / 'file', code=1)
    (kept,) = state.glob('index.sqlite.broken-*')
    assert said == {'jobs': 1, 'kept': str(kept), 'unreadable': {str(tmp_path / 'file'): 'Not a directory'}}
    assert json_of(shell, 'rebuild') == {'jobs': 1, 'kept': None, 'unreadable': {}}


@pytest.mark.parametrize('part', [['rebuild'], ['prune', '--older-than', '1d']])
def test_a_work_directory_that_cannot_be_read_is_told_of(shell, state, tmp_path, part):
    make_job(state / 'jobs', 'a', '1')
    (tmp_path / 'file').write_text('')
    done = shell('index', *part, '--work-directory', 'file', code=1)
    assert f'{tmp_path / "file"} cannot be ' in done.stderr.decode()
    assert 'Not a directory' in done.stderr.decode()


def test_an_index_that_cannot_be_had_is_one_line(shell, state):
    (state / 'index.sqlite').mkdir(parents=True)
    done = shell('index', 'rebuild', code=1)
    assert done.stderr.decode().count('\n') == 1
    assert 'is not a file of yours' in done.stderr.decode()


# -- prune


@pytest.fixture
def jobs(state: Path) -> Path:
    """Jobs of which one may go after a month, and its index."""
    work, now = state / 'jobs', time.time()
    make_job(work, 'over', '1', ended=now - 31 * DAY, reported=True)
    make_job(work, 'recent', '2', ended=now - 29 * DAY, reported=True)
    make_job(work, 'unreported', '3', ended=now - 31 * DAY)
    make_job(work, 'alive', '4')
    return work / 'slurm'


def there(jobs: Path) -> set[str]:
    return {path.name for path in jobs.iterdir() if not path.name.startswith('.')}


def test_prune_shows_and_then_removes(shell, state, jobs):
    shell('index', 'rebuild')
    shown = shell('index', 'prune', '--older-than', '30d', '--dry-run').stdout.decode().splitlines()
    assert shown[0].startswith('over (1 on slurm) ended 20')
    assert shown[1:] == ['1 job and 0 leftovers would be removed.']
    assert there(jobs) == {'over', 'recent', 'unreported', 'alive'}
    assert shell('index', 'prune', '--older-than', '30d').stdout == b'1 job and 0 leftovers removed.\n'
    assert there(jobs) == {'recent', 'unreported', 'alive'}
    assert not (jobs / '.native' / '1').exists()
    assert sorted(index_of(state)) == ['alive', 'recent', 'unreported']


def test_prune_as_json(shell, jobs):
    said = json_of(shell, 'prune', '--older-than', '30d', '--dry-run')
    (job,) = said['jobs']
    assert (said['dry_run'], said['litter']) == (True, [])
    assert (job['id'], job['native_id'], job['executor'], job['folder']) == ('over', '1', 'slurm', str(jobs / 'over'))
    assert job['ended'].startswith('20')
    assert there(jobs) == {'over', 'recent', 'unreported', 'alive'}
    assert json_of(shell, 'prune', '--older-than', '30d') == {
        'dry_run': False, 'litter': [], 'jobs': [job]}
    assert there(jobs) == {'recent', 'unreported', 'alive'}


def test_prune_knows_other_places(shell, tmp_path):
    make_job(tmp_path / 'elsewhere', 'a', '1', ended=100.0, reported=True)
    assert b'0 jobs' in shell('index', 'prune', '--older-than', '30d').stdout
    assert b'1 job ' in shell('index', 'prune', '--older-than', '30d', '--work-directory', 'elsewhere').stdout
    assert there(tmp_path / 'elsewhere' / 'slurm') == set()


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give files away')
def test_jobs_of_somebody_else_are_not_ours_and_left_alone(shell: Shell, state: Path, tmp_path: Path) -> None:
    theirs = tmp_path / 'theirs'
    make_job(theirs, 'job-1', '12', ended=100.0, reported=True)
    everything = [theirs, *sorted(theirs.rglob('*'))]
    for path in everything:
        os.chown(path, 65534, 65534)
    assert shell.json('ls', '--work-directory', theirs) == []
    assert b'no job' in shell('status', '12', '--work-directory', theirs, code=1).stderr
    assert json_of(shell, 'rebuild', '--work-directory', theirs)['jobs'] == 0
    assert json_of(shell, 'prune', '--older-than', '1s', '--work-directory', theirs)['jobs'] == []
    assert [theirs, *sorted(theirs.rglob('*'))] == everything
    assert index_of(state) == []
