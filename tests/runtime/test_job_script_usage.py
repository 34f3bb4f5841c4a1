"""Whole job scripts, run by a real bash: what they measure of themselves."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

import pytest
from job_scripts import PYTHONS, Make, python, shell, until

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.launchers.mpirun import MPILauncher
from psij_ext.launchers.multiple import MultipleLauncher
from psij_ext.launchers.single import SingleLauncher
from psij_ext.runtime.script import script_context

MEGABYTE = 10 ** 6
TAKE_200_MB = 'taken = b"x" * 200_000_000'
BUSY = 'import time\nwhile time.process_time() < {}: pass'


class DaemonLauncher(SingleLauncher):
    """Starts processes that are nobody's children, for all that is known of it."""

    def keeps_process_tree(self, job: Job, *, scheduled: bool) -> bool:
        return False


class SilentLauncher(Launcher):
    """A plugin that says only what it must."""

    def get_launch_command(self, job: Job) -> list[str]:
        return ['/bin/true']


def cpu_time(job: object) -> float:
    record = job.record  # type: ignore[attr-defined]
    return float(record.user_time + record.system_time)


# -- memory


def test_the_memory_of_the_command(scripted: Make) -> None:
    job = scripted(python(TAKE_200_MB))
    assert job.run() == 0, job.stderr
    assert job.record.max_rss is not None
    assert 200 * MEGABYTE < job.record.max_rss < 230 * MEGABYTE


def test_the_memory_of_what_the_command_starts_counts(scripted: Make) -> None:
    job = scripted(shell(f"true; {sys.executable} -c '{TAKE_200_MB}'; true"))
    assert job.run() == 0, job.stderr
    assert 200 * MEGABYTE < (job.record.max_rss or 0) < 230 * MEGABYTE


@pytest.mark.parametrize('code', [3, -signal.SIGKILL, -signal.SIGTERM])
def test_the_memory_of_a_command_that_failed(scripted: Make, code: int) -> None:
    end = f'sys.exit({code})' if code > 0 else f'os.kill(os.getpid(), {-code})'
    job = scripted(python(f'import os, sys\n{TAKE_200_MB}\n{end}'))
    assert job.run() == (code if code > 0 else 128 - code)
    assert 200 * MEGABYTE < (job.record.max_rss or 0) < 230 * MEGABYTE


def test_of_several_copies_the_largest_counts(scripted: Make) -> None:
    job = scripted(python(TAKE_200_MB, resources=ResourceSpecV1(process_count=2)), launcher=MultipleLauncher())
    assert job.run() == 0, job.stderr
    assert 200 * MEGABYTE < (job.record.max_rss or 0) < 230 * MEGABYTE


def test_a_small_command_took_little(scripted: Make) -> None:
    job = scripted(JobSpec('/bin/true'))
    assert job.run() == 0
    assert 0 < (job.record.max_rss or 0) < 8 * MEGABYTE


def test_the_memory_of_what_runs_around_the_launch_does_not_count(scripted: Make, tmp_path: Path) -> None:
    for step in ('pre', 'post'):
        (tmp_path / step).write_text(f"{sys.executable} -c '{TAKE_200_MB}'\n")
    job = scripted(JobSpec('/bin/true', pre_launch='pre', post_launch='post'))
    assert job.run() == 0, job.words
    assert 0 < (job.record.max_rss or 0) < 8 * MEGABYTE


def test_where_there_is_no_python_it_is_unknown(scripted: Make) -> None:
    job = scripted(shell('exit 3'), replaced=dict.fromkeys(PYTHONS, '/nonexistent/python'))
    assert job.run() == 3
    assert (job.record.max_rss, job.words) == (None, '')
    assert job.record.user_time is not None


@pytest.mark.parametrize('text', ['#!/bin/sh\nexit 1\n', '#!/bin/sh\necho oops; echo oops >&2\n', '#!/nonexistent\n', 'x', '#!/bin/sh\nkill -9 $$'])
def test_a_python_that_does_not_work_changes_nothing(scripted: Make, tmp_path: Path, text: str) -> None:
    broken = tmp_path / 'broken'
    broken.write_text(text)
    broken.chmod(0o755)
    job = scripted(shell('echo out; echo err >&2; exit 3'), replaced={each: str(broken) for each in PYTHONS})
    assert job.run() == 3
    assert (job.record.exit_code, job.record.max_rss) == (3, None)
    assert (job.stdout, job.stderr, job.words) == ('out\n', 'err\n', '')


def test_nothing_but_the_command_sees_a_signal_while_it_runs(scripted: Make) -> None:
    """There is no Python yet that could die of it."""
    job = scripted(shell('echo ready; read -r line < /dev/zero & exec sleep 100'))
    process = job.start()
    until(job.is_ready)
    members = [Path(entry, 'cmdline').read_bytes() for entry in Path('/proc').glob('[1-9]*')
               if entry.name.isdigit() and _session(entry) == process.pid]
    assert [each for each in members if b'getrusage' in each.split(b'\0')[-2:-1]] == []
    assert len(members) > 2
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(10) == 143
    assert job.record.max_rss is not None


def _session(entry: Path) -> int:
    try:
        return int((entry / 'stat').read_text().rpartition(') ')[2].split()[3])
    except OSError:
        return 0


def test_the_python_that_measures_has_nothing_of_the_jobs(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'pre').write_text('export PYTHONHOME=/nonexistent PYTHONPATH=/x LD_LIBRARY_PATH=/x LC_ALL=xx GIVEN=1\n')
    (tmp_path / 'resource.py').write_text('raise SystemExit')
    job = scripted(JobSpec('/bin/true', pre_launch='pre'))
    assert job.run() == 0
    assert job.record.max_rss is not None
    (tmp_path / 'spy').write_text('#!/bin/sh\nenv > spied\n')
    (tmp_path / 'spy').chmod(0o755)
    (tmp_path / 'again').mkdir()
    job = scripted(JobSpec('/bin/true', pre_launch='../pre'), tmp_path / 'again',
                   replaced=dict.fromkeys(PYTHONS, str(tmp_path / 'spy')))
    assert job.run(env={'INHERITED': '1'}) == 0
    names = {line.partition('=')[0] for line in (tmp_path / 'again' / 'spied').read_text().splitlines()}
    assert names <= {'PWD', 'OLDPWD', 'SHLVL', '_'}


def test_the_python_that_measures_outlives_signals(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'signalled').write_text('#!/bin/sh\nfor name in HUP INT QUIT TERM USR1 USR2; do kill -$name $$; done; echo 4096\n')
    (tmp_path / 'signalled').chmod(0o755)
    job = scripted(shell('exit 3'), replaced=dict.fromkeys(PYTHONS, str(tmp_path / 'signalled')))
    assert job.run() == 3
    assert (job.record.max_rss, job.words) == (4096, '')


# -- time


def test_the_time_that_the_command_computed(scripted: Make) -> None:
    job = scripted(python(BUSY.format(1)))
    assert job.run() == 0
    assert 1.0 <= cpu_time(job) < 1.5


def test_the_time_of_all_copies_is_added_up(scripted: Make) -> None:
    job = scripted(python(BUSY.format(0.5), resources=ResourceSpecV1(process_count=2)), launcher=MultipleLauncher())
    assert job.run() == 0
    assert 1.0 <= cpu_time(job) < 1.5


def test_what_runs_around_the_launch_counts(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'pre').write_text(f'{sys.executable} -c "{BUSY.format(0.2)}"\n')
    (tmp_path / 'post').write_text('for ((i = 0; i < 100000; i++)); do :; done\n')  # in the script's own shell
    job = scripted(JobSpec('/bin/true', pre_launch='pre', post_launch='post'))
    assert job.run() == 0
    assert 0.25 < cpu_time(job) < 2


def test_the_beginning_is_the_scripts(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'pre').write_text('sleep 0.2\n')
    job = scripted(JobSpec('/bin/true', pre_launch='pre'))
    before = time.time()
    assert job.run() == 0
    assert job.record.began is not None
    assert before <= job.record.began <= job.folder.read_progress()[0].time - 0.2
    assert job.run() == 0
    assert job.record.began > before + 0.2


def test_what_was_not_launched_has_a_beginning_and_no_memory(scripted: Make) -> None:
    job = scripted(JobSpec('/bin/true', directory='missing'))
    assert job.run() == 1
    assert job.record.began is not None
    assert job.record.max_rss is None


# -- launchers


def test_what_a_launcher_starts_elsewhere_is_unknown(scripted: Make) -> None:
    job = scripted(python(TAKE_200_MB), launcher=DaemonLauncher())
    assert job.run() == 0
    record = job.record
    assert (record.user_time, record.system_time, record.max_rss) == (None, None, None)
    assert record.began is not None
    assert job.words == ''


@pytest.mark.parametrize(('launcher', 'scheduled', 'nodes', 'measures'), [
    ('single', True, 1, True), ('single', True, 2, True), ('multiple', True, 2, True), ('single', False, 1, True),
    ('srun', True, 1, False), ('srun', True, 2, False), ('srun', False, 1, False),
    ('mpirun', False, 1, True), ('mpirun', False, 2, False), ('mpirun', True, 1, False), ('mpirun', True, 2, False)])
def test_which_launchers_keep_all_processes_below_the_script(launcher: str, scheduled: bool, nodes: int, measures: bool) -> None:
    job = Job(JobSpec('/bin/true', resources=ResourceSpecV1(node_count=nodes)))
    assert Launcher.get_instance(launcher).keeps_process_tree(job, scheduled=scheduled) is measures
    job.spec.resources = None  # type: ignore[union-attr]
    assert MPILauncher().keeps_process_tree(job, scheduled=False)


def test_a_launcher_that_says_nothing_is_not_measured(tmp_path: Path) -> None:
    job = Job(JobSpec('/bin/true', directory=tmp_path))
    assert not SilentLauncher().keeps_process_tree(job, scheduled=False)
    assert script_context(job, SilentLauncher(), folder=tmp_path, nonce='n')['measures'] is False


# -- the control group of the job


@pytest.mark.parametrize(('native_id', 'path', 'own'), [
    # Slurm 22.05, cgroup/v1 and v2 (slurm.conf(5), cgroup.conf(5)); OpenPBS with its cgroups hook
    ('12', '/slurm/uid_1000/job_12/step_batch/task_0', 'slurm/uid_1000/job_12'),
    ('12', '/slurm_node1/uid_0/job_12/step_batch', 'slurm_node1/uid_0/job_12'),
    ('12', '/system.slice/slurmstepd.scope/job_12/step_batch/user/task_0', 'system.slice/slurmstepd.scope/job_12'),
    ('12', '/job_12', 'job_12'),
    ('12', '/job_123/job_12/x', 'job_123/job_12'),
    ('12.server', '/pbs_jobs.service/jobid/12.server', 'pbs_jobs.service/jobid/12.server'),
    # of somebody else, or of more than the job
    ('12', '/', None), ('12', '', None), ('12', '/user.slice/user-1000.slice/session-12.scope', None),
    ('12', '/slurm/uid_1000/job_123/step_batch', None), ('12', '/slurm/uid_1000/xjob_12/step_batch', None),
    ('12', '/12', None), ('12', '/docker/12/x', None), ('12', '/slurm/uid_12/job_1/step_12', None),
    ('12.server', '/pbs_jobs.service/jobid/12.server2', None), ('12.server', '/pbs_jobs.service/jobid/112.server', None),
    ('1.2', '/system.slice/job_1.2/x', None), ('*', '/system.slice/x', None), ('12_3', '/slurm/uid_0/job_12/x', None),
])
@pytest.mark.parametrize('version', [1, 2])
def test_which_control_group_is_the_jobs(
        scripted: Make, tmp_path: Path, native_id: str, path: str, own: str | None, version: int) -> None:
    top, name = tmp_path / 'cgroup', 'memory.peak'
    lines = [f'0::{path}']
    if version == 1:
        top, name = top / 'memory', 'memory.max_usage_in_bytes'
        lines = [f'5:devices:{path}', '0::/', f'4:memory:{path}', f'1:name=systemd:{path}']
    (tmp_path / 'cgroups').write_text('\n'.join([*lines, '']))
    whole = path.strip('/')
    folders = [top, *(top / '/'.join(whole.split('/')[:depth + 1]) for depth in range(whole.count('/') + 1))]
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text('1111\n')
    if own is not None:
        (top / own / name).write_text('123456789\n')
    replaced = {'/proc/self/cgroup': str(tmp_path / 'cgroups'), '/sys/fs/cgroup': str(tmp_path / 'cgroup')}
    job = scripted(JobSpec('/bin/true'), tmp_path / 'x', replaced=replaced)
    assert job.run(native_id) == 0, job.words
    if own is not None:
        assert job.record.max_rss == 123456789
    else:
        assert job.record.max_rss not in (None, 123456789, 1111)
    assert job.words == ''


def test_a_control_group_that_cannot_be_read_is_passed_over(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'cgroups').write_text('0::/slurm/job_12\n4:memory:/slurm/job_12/x\nnonsense\n::\n')
    replaced = {'/proc/self/cgroup': str(tmp_path / 'cgroups'), '/sys/fs/cgroup': str(tmp_path / 'cgroup')}
    job = scripted(JobSpec('/bin/true'), replaced=replaced)
    assert job.run('12') == 0
    assert job.record.max_rss is not None
    assert job.words == ''
    (tmp_path / 'vanishing').mkdir()
    peak = tmp_path / 'cgroup' / 'slurm' / 'job_12' / 'memory.peak'
    peak.parent.mkdir(parents=True)
    peak.write_text('5\n')
    job = scripted(JobSpec('/bin/rm', [str(peak)]), tmp_path / 'vanishing', replaced=replaced)
    assert job.run('12') == 0
    assert (job.record.max_rss, job.words) == (None, '')


def test_without_any_control_groups(scripted: Make) -> None:
    job = scripted(JobSpec('/bin/true'), replaced={'/proc/self/cgroup': '/nonexistent'})
    assert job.run() == 0
    assert job.record.max_rss is not None
    assert job.words == ''
