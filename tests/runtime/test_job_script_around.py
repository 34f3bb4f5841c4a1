"""Whole job scripts, run by a real bash: what happens before the launch and after it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from job_scripts import Make, shell, trapping, until

from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageIn, StageOut, StageOutFlags, StagingMode

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
    job = scripted(trapping('SIGTERM', 0, pre_launch=tmp_path / 'pre.sh', stdout_path=tmp_path / 'out'))
    (tmp_path / 'out').write_text('')
    (job.mailbox / job.job.id).touch()
    (job.folder.path / 'exit.new').write_text('left by a crash')
    process = job.start()
    until(lambda: 'ready' in (tmp_path / 'out').read_text())
    process.terminate()
    assert process.wait(10) == 0
    assert (job.record.exit_code, job.record.phase, job.record.term_seen) == (0, 'done', True)


@pytest.mark.parametrize('text', ['exec true', 'trap - EXIT; exit 0', 'exec sh -c "exit 0"'])
def test_a_pre_launch_that_ends_the_shell_leaves_a_trace(scripted: Make, tmp_path: Path, text: str) -> None:
    (tmp_path / 'pre.sh').write_text(f'{text}\n')
    job = scripted(shell('touch ran', pre_launch='pre.sh'))
    assert job.run() == 0
    assert not (tmp_path / 'ran').exists()
    assert job.folder.read_exit() is None
    assert job.folder.is_preparing
    (tmp_path / 'pre.sh').write_text('')
    assert job.run() == 0  # as after a requeue
    assert (job.record.exit_code, job.record.phase) == (0, 'done')
    assert not job.folder.is_preparing


@pytest.mark.parametrize('text', [
    'false', 'return 5', 'exit 9', 'set -e; false', 'nonsense-command', 'trap "" EXIT', 'set -C', 'exec true',
    'trap - EXIT; exit 0', 'kill -9 $BASHPID', 'psij_code=0', 'cd /; exec > /dev/null 2>&1'])
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
        until(job.is_ready)
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


@pytest.mark.parametrize('mode', list(StagingMode))
@pytest.mark.parametrize('linked', [False, True])
def test_a_folder_is_staged_once_however_often_the_job_runs(
        scripted: Make, tmp_path: Path, mode: StagingMode, linked: bool) -> None:
    real = tmp_path / ('elsewhere' if linked else 'source')
    real.mkdir()
    (real / 'file').write_text('content')
    if linked:
        (tmp_path / 'source').symlink_to(real)
    job = scripted(shell('ls -A input', stage_in={StageIn('source', 'input', mode)},
                         stage_out={StageOut('input', tmp_path / 'out' / 'folder')}))
    for _ in range(2):
        assert job.run() == 0, job.words
        assert job.stdout == 'file\n'
        assert [path.name for path in (tmp_path / 'out' / 'folder').iterdir()] == ['file']


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


# -- troubles

FILL = """
import subprocess, sys
from pathlib import Path
from job_scripts import Scripted, shell
root = Path(sys.argv[1])
subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=256k', 'none', root], check=True)
job = Scripted(shell('dd if=/dev/zero of=filling bs=4k; exit 3', directory=root), root)
assert job.run() == 3
assert 'No space left' in job.stderr or not job.stderr
try:
    (root / 'more').write_bytes(bytes(4096))
except OSError:
    print(job.record.exit_code, job.record.phase)
"""


def test_a_job_that_fills_the_disk_leaves_a_record(tmp_path: Path) -> None:
    namespace = ['unshare', '--mount'] if os.geteuid() == 0 else ['unshare', '--user', '--map-root-user', '--mount']
    done = subprocess.run([*namespace, sys.executable, '-c', FILL, tmp_path], capture_output=True, text=True,
                          env={**os.environ, 'PYTHONPATH': os.pathsep.join(sys.path)})
    assert (done.stdout, done.returncode) == ('3 done\n', 0), done.stderr


def test_more_arguments_than_the_system_takes(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'pre.sh').write_text('ulimit -S -s 2048\n')  # of which a quarter is for them: execve(2)
    job = scripted(JobSpec('/bin/true', ['x' * 100_000] * 8, pre_launch=tmp_path / 'pre.sh'))
    assert job.run() == 126
    assert (job.record.exit_code, job.record.unbegun) == (126, '/bin/true')
