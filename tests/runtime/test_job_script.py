"""Whole job scripts, run by a real bash."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from conftest import Make, python, shell, until
from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageIn, StageOut, StageOutFlags, StagingMode
from psij_ext.core.state import JobState
from psij_ext.launchers.single import SingleLauncher
from psij_ext.runtime.jobfolder import REVOKED

ACTIVE, STAGE_IN, STAGE_OUT, CLEANUP = JobState.ACTIVE, JobState.STAGE_IN, JobState.STAGE_OUT, JobState.CLEANUP
ODD_NAMES = ['a b', "it's", 'say "hi"', 'two\nlines', '$HOME', '`id`', 'back\\slash', '-rf', 'tab\there', 'üñí漢', '*?[x]',
             '{a,b}', '%j', 'a;b&c|d', '#x', '~', '!x', 'a=b', '\x1b[0m']


# -- the steps and their order


def test_the_steps_come_in_order(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'source').write_text('staged')
    (tmp_path / 'pre.sh').write_text('echo "pre $(cat input)" >> log; export FROM_PRE=seen\n')
    (tmp_path / 'post.sh').write_text('echo "post $(ls done)" >> log\n')
    job = scripted(shell('echo "launch $FROM_PRE" >> log; touch done', pre_launch='pre.sh', post_launch='post.sh',
                         stage_in={StageIn('source', 'input')}, stage_out={StageOut('log', tmp_path / 'out' / 'log')},
                         cleanup={Path('log'), Path('done')}))
    assert job.run() == 0
    assert (tmp_path / 'out' / 'log').read_text() == 'pre staged\nlaunch seen\npost done\n'
    assert not (tmp_path / 'log').exists()
    assert not (tmp_path / 'done').exists()
    assert (tmp_path / 'input').exists()
    assert job.states == [(1, STAGE_IN), (1, ACTIVE), (1, STAGE_OUT), (1, CLEANUP)]
    times = [entry.time for entry in job.folder.read_progress()]
    assert times == sorted(times)


def test_a_job_without_staging_enters_one_state(scripted: Make) -> None:
    job = scripted(shell('true'))
    assert job.run() == 0
    assert job.states == [(1, ACTIVE)]


def test_the_record_of_a_success(scripted: Make) -> None:
    job = scripted(python('sum(range(2_000_000))'))
    began = time.time()
    assert job.run('12;cluster') == 0
    record = job.record
    assert (record.attempt, record.native_id, record.exit_code, record.phase, record.term_seen) == (
        1, '12;cluster', 0, 'done', False)
    assert began <= record.ended <= time.time()
    assert record.user_time is not None
    assert 0.01 < record.user_time < 10
    assert record.system_time is not None


@pytest.mark.parametrize('code', [1, 3, 42, 125, 127, 128, 137, 255])
def test_the_exit_code_is_the_commands(scripted: Make, code: int) -> None:
    job = scripted(shell(f'exit {code}'))
    assert job.run() == code
    assert (job.record.exit_code, job.record.phase, job.record.launched) == (code, 'done', True)


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGHUP])
def test_a_signal_that_ended_the_command_is_told_by_its_code(scripted: Make, number: signal.Signals) -> None:
    job = scripted(shell(f'ulimit -c 0; kill -{int(number)} $$'))
    assert job.run() == 128 + number
    assert (job.record.exit_code, job.record.term_seen) == (128 + number, False)


@pytest.mark.parametrize(('executable', 'code'), [('/nonexistent', 127), ('no-such-program', 127), ('/etc/passwd', 126), ('/', 126)])
def test_a_command_that_cannot_be_started(scripted: Make, executable: str, code: int) -> None:
    job = scripted(JobSpec(executable))
    assert job.run() == code
    assert job.record.exit_code == code
    assert executable in job.stderr


# -- what the command gets


def test_arguments_arrive_as_they_were_given(scripted: Make) -> None:
    arguments = ['', ' ', '-n', '--', '*', '$HOME', '`id`', '\\', "'", '"', 'a\nb', '{{x}}', '<&>', 'ü', '\udcff', '\r', 'x' * 100_000, *ODD_NAMES]
    job = scripted(python('import json, os, sys; json.dump([os.fsencode(a).hex() for a in sys.argv[1:]], sys.stdout)', *arguments))
    assert job.run() == 0
    assert [os.fsdecode(bytes.fromhex(each)) for each in json.loads(job.stdout)] == arguments


@pytest.mark.parametrize('name', ODD_NAMES)
def test_odd_paths(scripted: Make, tmp_path: Path, name: str) -> None:
    root = tmp_path / name
    (root / 'run').mkdir(parents=True)
    (root / 'in').write_text('input')
    shutil.copy('/bin/sh', root / f'{name}.sh')
    for step in ('pre', 'post'):
        (root / f'{name} {step}').write_text(f'echo {step} >> log\n')
    job = scripted(JobSpec(str(root / f'{name}.sh'), ['-c', 'cat; echo oops >&2; cat staged >> log; pwd -P >> log'],
                           directory='run', stdin_path=root / 'in', stdout_path=f'out {name}', stderr_path=f'err {name}',
                           pre_launch=f'{name} pre', post_launch=f'{name} post', environment={'A': name},
                           stage_in={StageIn(root / 'in', 'staged')}, stage_out={StageOut('log', root / 'to' / name / 'log')},
                           cleanup={Path('staged')}), root)
    assert job.run() == 0, job.words
    assert (root / 'run' / f'out {name}').read_text() == 'input'
    assert (root / 'run' / f'err {name}').read_text() == 'oops\n'
    assert (root / 'to' / name / 'log').read_text() == f'pre\ninput{root}/run\npost\n'
    assert sorted(os.listdir(root / 'run')) == sorted([f'err {name}', 'log', f'out {name}'])
    assert job.words == ''
    assert os.listdir(job.mailbox) == [job.job.id]


def test_standard_input_is_empty_where_none_is_given(scripted: Make) -> None:
    job = scripted(JobSpec('cat'))
    assert job.run() == 0
    assert job.stdout == ''


@pytest.mark.parametrize('field', ['stdin_path', 'stdout_path', 'stderr_path'])
def test_a_stream_that_cannot_be_opened_fails_the_job(scripted: Make, field: str) -> None:
    job = scripted(shell('touch ran', **{field: 'missing/folder/x'}))
    assert job.run() == 1
    assert job.record.exit_code == 1
    assert not (job.folder.path.parent.parent / 'ran').exists()
    assert 'missing/folder/x' in job.words + (job.stderr if field != 'stderr_path' else '')


def test_one_file_for_both_streams_keeps_the_order(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('for i in 1 2 3; do echo out $i; echo err $i >&2; done', stdout_path='both', stderr_path='both'))
    assert job.run() == 0
    assert (tmp_path / 'both').read_text() == 'out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n'


def test_the_command_has_the_mask_and_the_descriptors_that_it_would_have(scripted: Make) -> None:
    code = 'import json, os, sys; m = os.umask(0); json.dump([m, sorted(map(int, os.listdir("/proc/self/fd")))], sys.stdout)'
    job = scripted(python(code))
    before = os.umask(0o027)
    try:
        assert job.run() == 0
    finally:
        os.umask(before)
    mask, descriptors = json.loads(job.stdout)
    assert mask == 0o027
    assert descriptors == [0, 1, 2, 3]  # the last one is the listing's own


def test_the_command_ignores_no_signal(scripted: Make) -> None:
    job = scripted(shell('grep -E "Sig(Ign|Blk)" /proc/self/status'))
    assert job.run() == 0
    assert re.findall(r'[0-9a-f]{16}', job.stdout) == ['0' * 16] * 2


def test_what_the_script_writes_is_private_and_what_the_job_writes_is_not(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch mine', stdout_path='out'))
    before = os.umask(0o022)
    try:
        assert job.run() == 0
    finally:
        os.umask(before)
    assert {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / 'mine', tmp_path / 'out')} == {
        'mine': 0o644, 'out': 0o644}
    for name in ('progress', 'exit'):
        assert (job.folder.path / name).stat().st_mode & 0o077 == 0, name


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
def test_whatever_the_environment_holds_the_script_does_its_work(
        scripted: Make, tmp_path: Path, hostile: dict[str, str]) -> None:
    (tmp_path / 'in').write_text('x')
    (tmp_path / 'out').write_text('old')
    (tmp_path / 'pre.sh').write_text('export FROM_PRE=1\n')
    job = scripted(shell('cat staged; exit 4', stage_in={StageIn('in', 'staged')}, stdout_path='out', pre_launch='pre.sh',
                         stage_out={StageOut('out', tmp_path / 'delivered')}, cleanup={Path('staged')},
                         resources=ResourceSpecV1(process_count=2)))
    (job.mailbox / job.job.id).touch()
    (job.folder.path / 'exit.new').write_text('left by a crash')
    began = time.time()
    assert job.run(env=hostile) == 4, job.words
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


def test_the_node_file_names_a_host_for_each_process(scripted: Make) -> None:
    job = scripted(shell('cat "$PSIJ_NODEFILE"', resources=ResourceSpecV1(process_count=3)))
    assert job.run() == 0
    assert job.stdout == f'{os.uname().nodename}\n' * 3


# -- the claim: a job runs at most once


def test_the_claim_names_the_claimer(scripted: Make) -> None:
    job = scripted(shell('true'))
    assert job.run('12;c') == 0
    assert job.folder.claimed_by('n') == '12;c'
    assert job.folder.revoke('n') == '12;c'


@pytest.mark.parametrize('native_id', ['13', '1', '12;c', ' 12', ''])
def test_a_second_native_id_runs_nothing(scripted: Make, tmp_path: Path, native_id: str) -> None:
    job = scripted(shell('echo ran >> log', stage_out={StageOut('log', tmp_path / 'delivered')}))
    assert job.run('12') == 0
    record = job.record
    assert job.run(native_id) == 125
    assert (tmp_path / 'log').read_text() == 'ran\n'
    assert job.record == record
    assert 'nothing was run' in job.words
    assert '12' in job.words


def test_a_revoked_submission_runs_nothing(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch ran'))
    assert job.folder.revoke('n') is None
    assert job.run() == 125
    assert not (tmp_path / 'ran').exists()
    assert (job.folder.read_exit(), job.states) == (None, [])
    assert REVOKED in job.words


def test_without_a_native_id_nothing_is_run(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch ran'))
    assert job.run('') == 125
    assert not (tmp_path / 'ran').exists()


def test_where_the_folder_cannot_be_seen_nothing_is_run(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch ran'))
    job.script, job.output = Path(shutil.copy(job.script, tmp_path / 'script')), tmp_path / 'words'
    shutil.rmtree(job.folder.path)
    assert job.run() == 125
    assert not (tmp_path / 'ran').exists()
    assert 'Does this host see' in job.words


def test_of_many_starts_one_runs(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('echo ran >> log'))
    codes = [process.wait(30) for process in [job.start(str(number)) for number in range(8)]]
    assert sorted(codes) == [0] + [125] * 7
    assert (tmp_path / 'log').read_text() == 'ran\n'


# -- requeues


def test_a_requeue_is_the_next_attempt(scripted: Make) -> None:
    job = scripted(shell('exit 3'))
    for attempt in (1, 2, 3):
        assert job.run() == 3
        assert job.record.attempt == attempt
    assert job.states == [(1, ACTIVE), (2, ACTIVE), (3, ACTIVE)]
    assert [(job.folder.path / name).read_text().splitlines()[0] for name in ('exit.1', 'exit.2', 'exit')] == [
        'attempt=1', 'attempt=2', 'attempt=3']


def test_an_attempt_that_ended_before_it_entered_any_state_counts(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('true', directory='later'))
    assert job.run() == 1
    assert (job.record.attempt, job.record.phase) == (1, 'directory')
    (tmp_path / 'later').mkdir()
    assert job.run() == 0
    assert (job.record.attempt, job.record.phase) == (2, 'done')
    assert job.states == [(2, ACTIVE)]


def test_a_killed_attempt_counts_and_leaves_no_record(scripted: Make) -> None:
    job = scripted(shell('sleep 100'))
    process = job.start()
    until(job.is_active)
    job.kill()
    assert process.returncode == -signal.SIGKILL
    assert job.folder.read_exit() is None
    job.job.spec.arguments = ['-c', 'true']
    process = job.start()
    until(lambda: len(job.states) == 2)
    process.terminate()
    assert process.wait(10) == 143
    assert (job.record.attempt, job.states) == (2, [(1, ACTIVE), (2, ACTIVE)])


@pytest.mark.parametrize('content', ['x ACTIVE 5\n', 'a[$(touch hacked)] ACTIVE 5\n', '\0\n', '08 ACTIVE 5\n', '-5 ACTIVE 5\n'])
def test_progress_that_cannot_be_read_stops_nothing(scripted: Make, tmp_path: Path, content: str) -> None:
    job = scripted(shell('true'))
    (job.folder.path / 'progress').write_text(content)
    assert job.run() == 0
    assert job.record.attempt == (9 if content.startswith('08') else 1)
    assert list(tmp_path.rglob('hacked')) == []
    assert not Path('/hacked').exists()


# -- signals


TRAPPING = 'import signal, sys, time\n' + 'signal.signal(signal.{name}, lambda *a: sys.exit({code}))\nprint("ready", flush=True)\n' + 'time.sleep(100)\n'


def is_ready(job: object) -> bool:
    path = job.folder.path / 'stdout'  # type: ignore[attr-defined]
    return path.exists() and 'ready' in path.read_text()


@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGQUIT'])
@pytest.mark.parametrize('code', [0, 5])
def test_a_signal_is_passed_on_and_the_code_is_kept(scripted: Make, name: str, code: int) -> None:
    job = scripted(python(TRAPPING.format(name=name, code=code)))
    process = job.start()
    until(lambda: is_ready(job))
    process.send_signal(getattr(signal, name))
    assert process.wait(10) == code
    assert (job.record.exit_code, job.record.phase, job.record.term_seen) == (code, 'done', name == 'SIGTERM')


def test_term_ends_a_job_that_does_nothing_about_it(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('echo ready; exec sleep 100', stage_out={StageOut('left', tmp_path / 'x', StageOutFlags.ON_CANCEL | StageOutFlags.IF_PRESENT)}))
    process = job.start()
    until(lambda: is_ready(job))
    process.terminate()
    assert process.wait(10) == 143
    assert (job.record.exit_code, job.record.term_seen) == (143, True)


def test_signals_without_number_do_not_change_the_code(scripted: Make) -> None:
    job = scripted(shell('trap : USR1; echo ready; sleep 0.5; exit 42'))
    process = job.start()
    until(lambda: is_ready(job))
    while process.poll() is None:
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.001)
    assert process.returncode == 42
    assert (job.record.exit_code, job.record.term_seen) == (42, False)


def test_a_signal_to_the_whole_group_is_seen_too(scripted: Make) -> None:
    job = scripted(shell('echo ready; exec sleep 100'))
    process = job.start()
    until(lambda: is_ready(job))
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(10) == 143
    assert (job.record.exit_code, job.record.term_seen) == (143, True)


def test_term_before_the_launch_launches_nothing(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'pre.sh').write_text('touch began; while [ ! -e go ]; do sleep 0.01; done\n')
    job = scripted(shell('touch ran', pre_launch='pre.sh'))
    process = job.start()
    until((tmp_path / 'began').exists)
    process.terminate()
    (tmp_path / 'go').touch()
    assert process.wait(10) == 143
    assert not (tmp_path / 'ran').exists()
    assert (job.record.exit_code, job.record.term_seen, job.record.launched) == (143, True, False)


def test_term_at_any_moment_ends_the_job(scripted: Make, tmp_path: Path) -> None:
    jobs = []
    for number in range(24):
        job = scripted(JobSpec('sleep', ['100']), tmp_path / str(number))
        process = job.start()
        time.sleep(0.002 * number)
        process.terminate()
        jobs.append((job, process))
    for job, process in jobs:
        assert process.wait(10) in (143, -signal.SIGTERM)
        if process.returncode == 143:
            assert (job.record.exit_code, job.record.term_seen) == (143, True)


# -- pre-launch and post-launch


@pytest.mark.parametrize(('text', 'code'), [
    ('return 5', 5), ('exit 7', 7), ('exit 0', 0), ('false', 1), ('set -e; false; true', 1), ('set -u; echo $nothing', 1),
    ('nonsense-command', 127), ('kill -9 $$', -9)])
def test_a_failing_pre_launch_launches_nothing(scripted: Make, tmp_path: Path, text: str, code: int) -> None:
    (tmp_path / 'pre.sh').write_text(f'{text}\n')
    job = scripted(shell('touch ran', pre_launch='pre.sh'))
    assert job.run() == code
    assert not (tmp_path / 'ran').exists()
    assert job.states == []
    if code >= 0:
        assert (job.record.exit_code, job.record.phase, job.record.launched) == (code, 'pre_launch', False)


def test_a_missing_pre_launch_launches_nothing(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch ran', pre_launch='missing.sh'))
    assert job.run() == 1
    assert not (tmp_path / 'ran').exists()
    assert job.record.phase == 'pre_launch'
    assert 'missing.sh' in job.words


@pytest.mark.parametrize('text', [
    'set -e', 'set -u', 'set -C', 'set -f', 'set -euo pipefail -C', 'trap "echo mine" EXIT', 'trap "" TERM', 'trap - TERM EXIT', 'IFS=/',
    'unset PATH', 'cd /', 'umask 777', 'exec > /dev/null 2>&1', 'shopt -s nullglob failglob nocasematch', 'LC_ALL=C', 'false; true'])
def test_what_pre_launch_sets_does_not_harm_the_script(scripted: Make, tmp_path: Path, text: str) -> None:
    (tmp_path / 'pre.sh').write_text(f'{text}\n')
    job = scripted(python(TRAPPING.format(name='SIGTERM', code=0), pre_launch=tmp_path / 'pre.sh', stdout_path=tmp_path / 'out'))
    (tmp_path / 'out').write_text('')
    (job.mailbox / job.job.id).touch()
    (job.folder.path / 'exit.new').write_text('left by a crash')
    process = job.start()
    until(lambda: 'ready' in (tmp_path / 'out').read_text())
    process.terminate()
    assert process.wait(10) == 0
    assert (job.record.exit_code, job.record.phase, job.record.term_seen) == (0, 'done', True)


@pytest.mark.parametrize('text', ['false', 'return 5', 'exit 9', 'set -e; false', 'nonsense-command', 'trap "" EXIT', 'set -C'])
@pytest.mark.parametrize('code', [0, 3])
def test_post_launch_does_not_change_how_the_job_ended(scripted: Make, tmp_path: Path, text: str, code: int) -> None:
    (tmp_path / 'post.sh').write_text(f'touch post\n{text}\n')
    job = scripted(shell(f'exit {code}', post_launch='post.sh'))
    (job.folder.path / 'exit.new').write_text('left by a crash')
    assert job.run() == code
    assert (tmp_path / 'post').exists()
    assert (job.record.exit_code, job.record.launched) == (code, True)


# -- staging


def test_a_file_that_cannot_be_staged_in_launches_nothing(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch ran', stage_in={StageIn('missing', 'input')}))
    assert job.run() == 1
    assert not (tmp_path / 'ran').exists()
    assert (job.record.exit_code, job.record.phase) == (1, 'stage_in')
    assert 'missing' in job.words


@pytest.mark.parametrize('mode', list(StagingMode))
def test_the_ways_to_stage_in(scripted: Make, tmp_path: Path, mode: StagingMode) -> None:
    (tmp_path / 'source').write_text('content')
    job = scripted(shell('cat sub/input', stage_in={StageIn('source', 'sub/input', mode)}))
    for _ in range(2):  # a requeued job finds what the first attempt left
        assert job.run() == 0, job.words
        assert job.stdout == 'content'
    assert (tmp_path / 'source').exists() is (mode is not StagingMode.MOVE)
    assert (tmp_path / 'sub' / 'input').is_symlink() is (mode is StagingMode.LINK)


@pytest.mark.parametrize(('flags', 'delivered_after'), [
    (StageOutFlags.ALWAYS, {0, 3, 143}), (StageOutFlags.ON_SUCCESS, {0}), (StageOutFlags.ON_ERROR, {3}),
    (StageOutFlags.ON_CANCEL, {143}), (StageOutFlags.ON_SUCCESS | StageOutFlags.ON_ERROR, {0, 3})])
@pytest.mark.parametrize('code', [0, 3, 143])
def test_what_is_staged_out_and_cleaned_up_after_which_end(
        scripted: Make, tmp_path: Path, flags: StageOutFlags, delivered_after: set[int], code: int) -> None:
    script = 'echo x > made; echo ready; ' + ('exec sleep 100' if code == 143 else f'exit {code}')
    job = scripted(shell(script, stage_out={StageOut('made', tmp_path / 'delivered', flags)}, cleanup={Path('made')}, cleanup_flags=flags))
    process = job.start()
    if code == 143:
        until(lambda: is_ready(job))
        process.terminate()
    assert process.wait(10) == code
    assert ((tmp_path / 'delivered').exists(), not (tmp_path / 'made').exists()) == (code in delivered_after, code in delivered_after)


def test_what_cannot_be_staged_out_fails_the_job_and_is_not_cleaned_up_as_after_a_success(
        scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'in the way').write_text('')
    job = scripted(shell('echo x > made', stage_out={StageOut('made', tmp_path / 'in the way' / 'delivered')},
                         cleanup={Path('made')}, cleanup_flags=StageOutFlags.ON_SUCCESS))
    assert job.run() == 1
    assert (job.record.exit_code, job.record.phase, job.record.launched) == (1, 'stage_out', False)
    assert (tmp_path / 'made').exists()


@pytest.mark.parametrize(('flags', 'code', 'result', 'phase'), [
    (StageOutFlags.ALWAYS, 0, 1, 'stage_out'), (StageOutFlags.ALWAYS, 3, 3, 'done'),
    (StageOutFlags.ALWAYS | StageOutFlags.IF_PRESENT, 0, 0, 'done'), (StageOutFlags.ON_ERROR, 0, 0, 'done')])
def test_what_was_not_made_cannot_be_staged_out(
        scripted: Make, tmp_path: Path, flags: StageOutFlags, code: int, result: int, phase: str) -> None:
    job = scripted(shell(f'exit {code}', stage_out={StageOut('missing', tmp_path / 'to', flags)}))
    assert job.run() == result
    assert (job.record.exit_code, job.record.phase) == (result, phase)


def test_a_folder_is_staged_and_cleaned_up_with_all_that_it_holds(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'source' / 'sub').mkdir(parents=True)
    (tmp_path / 'source' / 'sub' / '-x').write_text('content')
    job = scripted(shell('cat input/sub/-x', stage_in={StageIn('source', 'input')},
                         stage_out={StageOut('input', tmp_path / 'out' / 'folder')}, cleanup={Path('input')}))
    assert job.run() == 0, job.words
    assert (tmp_path / 'out' / 'folder' / 'sub' / '-x').read_text() == 'content'
    assert not (tmp_path / 'input').exists()


def test_cleaning_up_removes_a_link_and_not_what_it_leads_to(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'precious').mkdir()
    (tmp_path / 'precious' / 'file').write_text('')
    job = scripted(shell('ln -s ../precious link', directory=tmp_path / 'run', cleanup={Path('link'), Path('missing')}))
    (tmp_path / 'run').mkdir()
    assert job.run() == 0
    assert not (tmp_path / 'run' / 'link').is_symlink()
    assert (tmp_path / 'precious' / 'file').exists()


def test_staging_out_happens_though_nothing_was_launched(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'pre.sh').write_text('echo words > log; exit 3\n')
    job = scripted(shell('touch ran', pre_launch='pre.sh', stage_out={StageOut('log', tmp_path / 'delivered')}))
    assert job.run() == 3
    assert (tmp_path / 'delivered').read_text() == 'words\n'
    assert job.record.phase == 'pre_launch'


def test_a_missing_directory_launches_nothing(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch ran', directory='missing'))
    assert job.run() == 1
    assert (job.record.exit_code, job.record.phase) == (1, 'directory')
    assert list(tmp_path.rglob('ran')) == []


# -- hints and the log


def test_every_step_leaves_a_hint(scripted: Make, tmp_path: Path) -> None:
    second = tmp_path / 'second "box"\n'
    second.mkdir()
    job = scripted(shell('test ! -e ../go || :; while [ ! -e go ]; do sleep 0.01; done'))
    job.folder.add_follower(tmp_path / 'gone')
    job.folder.add_follower(second)
    process = job.start()
    for _ in range(2):
        for box in (job.mailbox, second):
            until((box / job.job.id).exists)
        until(lambda: len(os.listdir(job.mailbox)) == 1)
        (job.mailbox / job.job.id).unlink()
        (second / job.job.id).unlink()
        (tmp_path / 'go').touch()
    assert process.wait(10) == 0


def test_a_mailbox_that_is_gone_is_passed_over(scripted: Make) -> None:
    job = scripted(shell('true'))
    job.mailbox.rmdir()
    assert job.run() == 0
    assert not job.mailbox.exists()
    assert job.words == ''


def test_the_log_tells_what_the_script_did(scripted: Make, tmp_path: Path) -> None:
    launcher = SingleLauncher(config=JobExecutorConfig(launcher_log_file=tmp_path / 'the log'))
    job = scripted(shell('exit 3'), launcher=launcher)
    assert job.run() == 3
    log = (tmp_path / 'the log').read_text()
    assert job.job.id in log
    assert 'ACTIVE' in log
    assert 'code 3' in log


def test_a_log_that_cannot_be_written_harms_nothing(scripted: Make, tmp_path: Path) -> None:
    launcher = SingleLauncher(config=JobExecutorConfig(launcher_log_file=tmp_path / 'missing' / 'log'))
    job = scripted(shell('exit 0'), launcher=launcher)
    assert job.run() == 0


def test_python_is_what_the_tests_think(scripted: Make) -> None:
    job = scripted(python('import sys; print(sys.version_info[0])'))
    assert job.run() == 0
    assert job.stdout == f'{sys.version_info[0]}\n'
