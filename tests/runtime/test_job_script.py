"""Whole job scripts, run by a real bash: the steps, and what the command gets."""

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
from job_scripts import Make, either_way, python, shell, until

from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageIn, StageOut
from psij_ext.core.state import JobState
from psij_ext.launchers.multiple import MultipleLauncher
from psij_ext.launchers.single import SingleLauncher

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


@either_way
@pytest.mark.parametrize('code', [1, 3, 42, 125, 127, 128, 137, 255])
def test_the_exit_code_is_the_commands(scripted: Make, code: int) -> None:
    job = scripted(shell(f'exit {code}'))
    assert job.run() == code
    assert (job.record.exit_code, job.record.phase, job.record.launched) == (code, 'done', True)


@either_way
@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGSEGV, signal.SIGHUP])
def test_a_signal_that_ended_the_command_is_told_by_its_code(scripted: Make, number: signal.Signals) -> None:
    job = scripted(shell(f'ulimit -c 0; kill -{int(number)} $$'))
    assert job.run() == 128 + number
    assert (job.record.exit_code, job.record.term_seen) == (128 + number, False)


def test_of_a_shell_in_between_that_was_killed_nothing_is_told(scripted: Make) -> None:
    job = scripted(shell('kill -9 $PPID; sleep 1'))
    assert job.run() == 137
    assert (job.record.exit_code, job.words) == (137, '')


@either_way
@pytest.mark.parametrize(('executable', 'code'), [('/nonexistent', 127), ('no-such-program', 127), ('/etc/passwd', 126), ('/', 126)])
def test_a_command_that_cannot_be_started(scripted: Make, executable: str, code: int) -> None:
    for job in (scripted(JobSpec(executable)), scripted(JobSpec(executable, environment={'A': 'b'}))):
        assert job.run() == code
        assert (job.record.exit_code, job.record.unbegun) == (code, executable)
        assert executable in job.stderr


@pytest.mark.parametrize('first', ['#!/nonexistent', '#! /nonexistent -x', '#!\t/nonexistent\t-x', '#!/bin/sh\r', '#!'])
def test_a_program_whose_interpreter_is_not_there_cannot_be_started(scripted: Make, tmp_path: Path, first: str) -> None:
    program = tmp_path / 'a program'
    program.write_bytes(f'{first}\nexit 127\n'.encode())
    program.chmod(0o755)
    job = scripted(JobSpec(str(program), environment={'A': 'b'}))
    assert job.run() in (126, 127)
    assert job.record.unbegun == str(program).replace(' ', '\\ ')


@either_way
@pytest.mark.parametrize('code', [126, 127, 1])
@pytest.mark.parametrize('first', ['#!/bin/sh', '#! /bin/sh -e', '#!\t/bin/sh\t-e', ''])
def test_a_program_that_ends_like_one_that_is_not_there_was_started(scripted: Make, tmp_path: Path, first: str, code: int) -> None:
    """Wherever it is found, whatever begins it, and although it removes itself."""
    (tmp_path / 'bin').mkdir()
    specs = [JobSpec('./bin/it'), JobSpec('it', environment={'PATH': 'nowhere:bin:/usr/bin'}), JobSpec(str(tmp_path / 'bin' / 'it'))]
    for spec in specs:
        program = tmp_path / 'bin' / 'it'
        program.write_text(f'{first}\n/bin/rm {program}\nexit {code}\n')
        program.chmod(0o755)
        job = scripted(spec)
        assert job.run() == code
        assert (job.record.unbegun, program.exists()) == (None, False)


def test_a_program_is_looked_for_where_the_job_would_find_it(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'bin').mkdir()
    program = tmp_path / 'bin' / 'it'
    program.write_text('exit 127')
    program.chmod(0o755)
    for path, found in (('bin', True), (f'/x:{tmp_path}/bin', True), ('/x', False), ('/usr/bin:/x', False)):
        for spec, env in ((JobSpec('it', environment={'PATH': path}), {}), (JobSpec('it'), {'PATH': path})):
            job = scripted(spec)
            assert job.run(env=env) == 127
            assert (job.record.unbegun is None) is found


def test_of_what_a_launcher_starts_elsewhere_nobody_knows_here_whether_it_is_there(scripted: Make, tmp_path: Path) -> None:
    class Far(SingleLauncher):
        prefix = ['/bin/sh', '-c', 'exit 127']

        def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
            return self.prefix

        def keeps_process_tree(self, job: Job, *, scheduled: bool) -> bool:
            return False

    far, missing = Far(), Far()
    missing.prefix = ['/no/launcher']
    for launcher, unbegun in ((far, None), (missing, '/no/launcher')):
        job = scripted(JobSpec('/only/elsewhere'), launcher=launcher)
        assert job.run() == 127
        assert job.record.unbegun == unbegun


@either_way
def test_a_copy_that_cannot_be_started(scripted: Make) -> None:
    job = scripted(JobSpec('/nonexistent'), launcher=MultipleLauncher())
    assert job.run() == 127
    assert job.record.unbegun == '/nonexistent'


# -- what the command gets


def test_arguments_arrive_as_they_were_given(scripted: Make) -> None:
    arguments = ['', ' ', '-n', '--', '*', '$HOME', '`id`', '\\', "'", '"', 'a\nb', '{{x}}', '<&>', 'ü', '\udcff', '\r', 'x' * 100_000, *ODD_NAMES]
    job = scripted(python('import json, os, sys; json.dump([os.fsencode(a).hex() for a in sys.argv[1:]], sys.stdout)', *arguments))
    assert job.run() == 0
    assert [os.fsdecode(bytes.fromhex(each)) for each in json.loads(job.stdout)] == arguments


@either_way
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
    missing = job.folder.path.parent.parent / 'missing/folder/x'
    assert (job.record.exit_code, job.record.phase, job.record.unbegun) == (1, 'done', str(missing))
    assert not (job.folder.path.parent.parent / 'ran').exists()
    assert 'missing/folder/x' in job.words + (job.stderr if field != 'stderr_path' else '')


@either_way
@pytest.mark.parametrize('posix', [{}, {'POSIXLY_CORRECT': '1'}])
def test_whatever_keeps_a_stream_from_being_opened_is_named_on_one_line(scripted: Make, tmp_path: Path, posix: dict[str, str]) -> None:
    odd = tmp_path / 'two\nlines' / 'x'
    for spec in (shell('exit 0', stdout_path=odd, stderr_path=odd), shell('exit 0', stdin_path=odd, stdout_path='out', stderr_path='out'),
                 shell('exit 0', stdout_path=tmp_path)):
        job = scripted(spec)
        assert job.run(env=posix) == 1
        assert job.record.unbegun in (f"$'{tmp_path}/two\\nlines/x'", str(tmp_path))


def test_one_file_for_both_streams_keeps_the_order(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('for i in 1 2 3; do echo out $i; echo err $i >&2; done', stdout_path='both', stderr_path='both'))
    assert job.run() == 0
    assert (tmp_path / 'both').read_text() == 'out 1\nerr 1\nout 2\nerr 2\nout 3\nerr 3\n'


@either_way
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


@either_way
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
