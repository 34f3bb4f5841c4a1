"""Whole job scripts, run by a real bash: environments, the friendly and the hostile."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from job_scripts import Make, python, shell

from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageIn, StageOut
from psij_ext.core.state import JobState

ACTIVE, STAGE_IN, STAGE_OUT, CLEANUP = JobState.ACTIVE, JobState.STAGE_IN, JobState.STAGE_OUT, JobState.CLEANUP


# -- environments


def environment_of(job_stdout: str) -> dict[str, str]:
    return dict(json.loads(job_stdout))


SHOW = 'import json, os, sys; json.dump(dict(os.environ), sys.stdout)'


def test_names_that_bash_reserves_reach_the_job_and_the_job_alone(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'spy.sh').write_text(f'echo $$ >> {tmp_path}/spied\n')
    environment = {
        'UID': '7', 'EUID': '8', 'PPID': '9', 'SHELLOPTS': 'noexec', 'BASHOPTS': 'x', 'RANDOM': 'r', 'SECONDS': 's', 'LINENO': 'l',
        'GROUPS': 'g', 'FUNCNAME': 'f', 'IFS': 'i', 'PATH': '/odd', 'LD_PRELOAD': '/nonexistent.so', 'POSIXLY_CORRECT': '1',
        'BASH_ENV': str(tmp_path / 'spy.sh'), 'ENV': str(tmp_path / 'spy.sh'), 'HOME': '', 'a-b': 'c', '-i': 'dash', 'x y': 'z',
        'BASH_FUNC_cd%%': '() { exit 9; }', 'long': 'v' * 100_000, 'odd': 'a\nb\t$x\'"\\', 'psij_folder': '/x', 'ü': 'ä', 'number': '5',
    }
    job = scripted(python(SHOW, environment=environment))
    assert job.run() == 0, job.words + job.stderr
    seen = environment_of(job.stdout)
    assert {name: seen.get(name) for name in environment} == environment
    assert not (tmp_path / 'spied').exists()
    assert job.words == ''
    assert job.folder.read_exit() is not None


def test_what_the_shell_sees_of_the_environment_is_not_the_jobs(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'pre.sh').write_text('echo "${GIVEN-unset} $PATH" > seen\n')
    job = scripted(python(SHOW, environment={'GIVEN': '1', 'PATH': '/odd'}, pre_launch='pre.sh'))
    assert job.run(env={'PATH': '/usr/bin:/bin'}) == 0
    assert (tmp_path / 'seen').read_text() == 'unset /usr/bin:/bin\n'


@pytest.mark.parametrize('name', ['a=b', '-a=b', '-x'])
@pytest.mark.parametrize('environment', [None, {'A': '1'}])
def test_programs_with_odd_names(scripted: Make, tmp_path: Path, name: str, environment: dict[str, str] | None) -> None:
    (tmp_path / 'bin').mkdir()
    (tmp_path / 'bin' / name).write_text('#!/bin/sh\necho "$0 $1 ${A-}"\n')
    (tmp_path / 'bin' / name).chmod(0o755)
    search = f'{tmp_path}/bin:/usr/bin:/bin'
    by_path = scripted(JobSpec(str(tmp_path / 'bin' / name), ['-n'], environment=environment))
    assert by_path.run() == 0, by_path.stderr
    assert by_path.stdout == f'{tmp_path}/bin/{name} -n {(environment or {}).get("A", "")}\n'
    by_name = scripted(JobSpec(name, ['-n'], environment=environment), tmp_path / 'again')
    assert by_name.run(env={'PATH': search}) == 0, by_name.stderr


HOSTILE = {
    **{f'BASH_FUNC_{name}%%': '() { echo HOSTILE; return 1; }' for name in [':', '.', '[', 'alias', 'break', 'builtin', 'cd', 'command', 'continue', 'declare', 'echo', 'eval', 'exec', 'exit', 'export', 'getopts', 'hash', 'kill', 'let', 'local', 'ln', 'mapfile', 'mkdir', 'mv', 'printf', 'pwd', 'read', 'readlink', 'readonly', 'return', 'rm', 'set', 'shift', 'sleep', 'source', 'test', 'times', 'trap', 'true', 'type', 'ulimit', 'umask', 'unset', 'wait']},
    'SHELLOPTS': 'errexit:nounset:noclobber:noglob:keyword:pipefail:braceexpand:hashall',
    'BASHOPTS': 'nullglob:failglob:dotglob:nocaseglob:nocasematch:execfail:xpg_echo:localvar_inherit:lastpipe:extglob:gnu_errfmt',
    'CDPATH': '/tmp:/usr', 'IFS': '/0123456789', 'GLOBIGNORE': '*', 'POSIXLY_CORRECT': '1', 'OPTIND': 'x', 'TIMEFORMAT': 'x',
    'EPOCHREALTIME': 'soon', 'SRANDOM': 'x', 'TMOUT': '1', 'BASH_COMPAT': '3.1', 'PS4': '$(exit 3)', 'LC_ALL': 'xx_YY', 'GREP_OPTIONS': '-x',
    'psij_attempt': '7', 'psij_code': '9', 'psij_term': '1', 'psij_phase': 'done', 'psij_folder': '/', 'psij_count': 'x', 'psij_time': 'x',
}


@pytest.mark.parametrize('hostile', [{name: value} for name, value in HOSTILE.items() if not name.startswith('BASH_FUNC')]
                         + [{name: value for name, value in HOSTILE.items() if name.startswith('BASH_FUNC')},
                            # In POSIX mode, bash itself refuses functions with the names of special builtins.
                            {name: value for name, value in HOSTILE.items() if name != 'POSIXLY_CORRECT'}],
                         ids=lambda each: '+'.join(each) if len(each) == 1 else f'{len(each)} variables')
@pytest.mark.parametrize('carried', [False, True])
def test_whatever_the_environment_holds_the_script_does_its_work(
        scripted: Make, tmp_path: Path, hostile: dict[str, str], carried: bool) -> None:
    (tmp_path / 'in').write_text('x')
    (tmp_path / 'out').write_text('old')
    (tmp_path / 'pre.sh').write_text('export FROM_PRE=1\n')
    job = scripted(shell('cat staged; exit 4', stage_in={StageIn('in', 'staged')}, stdout_path='out', pre_launch='pre.sh',
                         stage_out={StageOut('out', tmp_path / 'delivered')}, cleanup={Path('staged')},
                         resources=ResourceSpecV1(process_count=2)), carried=hostile if carried else None)
    (job.mailbox / job.job.id).touch()
    (job.folder.path / 'exit.new').write_text('left by a crash')
    began = time.time()
    assert job.run(env=None if carried else hostile) == 4, job.words
    record = job.record
    assert (record.attempt, record.exit_code, record.phase, record.term_seen) == (1, 4, 'done', False)
    assert began - 1 < record.ended < time.time() + 1
    assert job.states == [(1, STAGE_IN), (1, ACTIVE), (1, STAGE_OUT), (1, CLEANUP)]
    assert ((tmp_path / 'delivered').read_text(), (tmp_path / 'staged').exists()) == ('x', False)
    assert len((job.folder.path / 'nodes').read_text().splitlines()) == 2
    assert 'HOSTILE' not in job.words


def test_the_jobs_environment_is_inherited(scripted: Make) -> None:
    given = {'GIVEN': 'a b\n', 'POSIXLY_CORRECT': '1', 'HOME': '/somewhere'}
    job = scripted(python(SHOW))
    assert job.run(env=given) == 0
    seen = environment_of(job.stdout)
    assert {name: seen.get(name) for name in given} == given
    assert not [name for name in seen if name.startswith('psij_')]


def test_an_environment_that_is_carried_along_is_the_jobs(scripted: Make) -> None:
    given = {'GIVEN': 'a b\n\'"$x', 'POSIXLY_CORRECT': '1', 'HOME': '/somewhere', 'PATH': '/odd', 'EMPTY': ''}
    job = scripted(python(SHOW), carried={**given, 'BASH_FUNC_f%%': '() { :; }', 'UID': '7', 'HOSTNAME': 'elsewhere'})
    assert job.run() == 0, job.words
    seen = environment_of(job.stdout)
    assert {name: seen.get(name) for name in given} == given
    assert seen.get('HOSTNAME') != 'elsewhere'
    assert job.words == ''


def test_the_node_file_names_a_host_for_each_process(scripted: Make) -> None:
    job = scripted(shell('cat "$PSIJ_NODEFILE"', resources=ResourceSpecV1(process_count=3)))
    assert job.run() == 0
    assert job.stdout == f'{os.uname().nodename}\n' * 3
