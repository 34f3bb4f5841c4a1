"""Launchers that were written for PSI/J, on our own executors and on one that was written for it, too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from psij_ext import Job, JobExecutor, JobExecutorConfig, JobSpec, JobState, Launcher, ResourceSpecV1
from psij_ext.exceptions import InvalidJobException
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.executors.batch.slurm import SlurmJobExecutor
from psij_ext.launchers.script_based_launcher import ScriptBasedLauncher
from psij_ext.testing.simulated import SimulatedPBS

pytestmark = pytest.mark.usefixtures('oldpbs')

WAIT = timedelta(seconds=20)


@pytest.fixture(params=['local', 'pbspro', 'oldpbs'])
def executor(
    request: pytest.FixtureRequest, tmp_path: Path, pbs: SimulatedPBS, monkeypatch: pytest.MonkeyPatch
) -> Iterator[JobExecutor]:
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    monkeypatch.setenv('PATH', f'{pbs.bin}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.chdir(tmp_path)
    places = {'work_directory': tmp_path / 'work', 'launcher_log_file': tmp_path / 'log'}
    polled = {'initial_queue_polling_delay': 0.1, 'queue_polling_interval': 0.2}
    config = JobExecutorConfig(**places) if request.param == 'local' else BatchSchedulerExecutorConfig(**places, **polled)
    with JobExecutor.get_instance(request.param, config=config) as made:
        yield made


def run(executor: JobExecutor, launcher: str, script: str, **fields: Any) -> Job:
    job = Job(JobSpec('/bin/bash', ['-c', script], launcher=launcher, stdout_path='out', **fields))
    executor.submit(job)
    assert job.wait(WAIT) is not None
    return job


@pytest.mark.parametrize(('launcher', 'count'), [('twice', 2), ('counted', 3), ('bare', 1)])
def test_it_starts_the_processes(executor: JobExecutor, tmp_path: Path, launcher: str, count: int) -> None:
    (tmp_path / 'before.sh').write_text('export BEFORE="a b"\necho x >> before\n')
    (tmp_path / 'after.sh').write_text('echo x >> after\n')
    job = run(executor, launcher, 'echo "$GIVEN $BEFORE"; echo oh >&2', pre_launch='before.sh', post_launch='after.sh',
              stderr_path='err', environment={'GIVEN': "it's"}, resources=ResourceSpecV1(process_count=3))
    assert job.status.state is JobState.COMPLETED, job.status.message
    assert (tmp_path / 'out').read_text() == "it's a b\n" * count
    assert (tmp_path / 'err').read_text() == 'oh\n' * count
    assert ((tmp_path / 'before').read_text(), (tmp_path / 'after').read_text()) == ('x\n', 'x\n')
    log = (tmp_path / 'log').read_text()
    assert job.id in log
    assert (f'starts {count} copies for {job.id}' in log) is (launcher != 'bare')


@pytest.mark.parametrize('launcher', ['twice', 'counted'])
def test_a_program_that_fails(executor: JobExecutor, launcher: str) -> None:
    job = run(executor, launcher, 'echo too bad >&2; exit 3')
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 3)
    assert 'too bad' in str(job.status.message)


def test_a_launcher_that_fails_is_heard(executor: JobExecutor, oldpbs: Path) -> None:
    (oldpbs / 'twice.sh').write_text('echo the network is down\nexit 9\n')
    job = run(executor, 'twice', 'exit 0')
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 9)
    assert 'the network is down' in str(job.status.message)


class Probe(ScriptBasedLauncher):
    pass


@pytest.fixture
def probe(tmp_path: Path) -> Probe:
    script = tmp_path / 'probe.sh'
    script.write_text('source "$(dirname "$0")/launcher_lib.sh"\nprintf "<%s>" "${!1}" "$@"\nfalse\necho not here\n')
    return Probe(script, JobExecutorConfig(work_directory=tmp_path / 'work'))


def test_the_call_of_a_script(probe: Probe, tmp_path: Path) -> None:
    job = Job(JobSpec('/bin/echo', ['a b'], pre_launch='/pre', stdin_path='/in', stdout_path='/out'))
    command = probe.get_launch_command(job, log_file='/log')
    assert command[0] == '/bin/bash'
    assert command[2:] == [job.id, '/log', '/pre', '', '/in', '/out', '/dev/null', '/bin/echo', 'a b']
    copied = Path(command[1])
    assert tmp_path / 'work' in copied.parents
    assert copied.read_bytes() == (tmp_path / 'probe.sh').read_bytes()
    assert probe.get_launch_command(job)[3] == '/dev/null'
    with pytest.raises(InvalidJobException, match='executable'):
        probe.get_launch_command(Job(JobSpec()))


def test_a_changed_script_is_copied_anew(probe: Probe, tmp_path: Path) -> None:
    job = Job(JobSpec('/bin/true'))
    first = Path(probe.get_launch_command(job)[1])
    assert Path(probe.get_launch_command(job)[1]) == first
    (tmp_path / 'probe.sh').write_text('echo else\n')
    second = Path(Probe(tmp_path / 'probe.sh', probe.config).get_launch_command(job)[1])
    assert second != first
    assert second.read_text() == 'echo else\n'
    assert first.exists()


@pytest.mark.parametrize(('variable', 'value'), [
    ('_PSI_J_JOB_ID', None), ('_PSI_J_LOG_FILE', '/dev/null'), ('_PSI_J_PRE_LAUNCH', '/pre'), ('_PSI_J_POST_LAUNCH', ''),
    ('_PSI_J_STDIN', '/in'), ('_PSI_J_STDOUT', '/out'), ('_PSI_J_STDERR', '/dev/null')])
def test_what_the_library_gives_to_a_script(probe: Probe, variable: str, value: str | None) -> None:
    job = Job(JobSpec(variable, pre_launch='/pre', stdin_path='/in', stdout_path='/out'))
    said = subprocess.run(probe.get_launch_command(job), capture_output=True, text=True)
    assert said.returncode == 1  # a command that fails ends the script
    assert said.stdout == f'<{job.id if value is None else value}><{variable}>'


def test_what_a_script_says_at_its_end(probe: Probe) -> None:
    assert not probe.is_launcher_failure('words\n_PSI_J_LAUNCHER_DONE\n')
    for output in ('', 'no such node', '_PSI_J_LAUNCHER_DONE\nno such node'):
        assert probe.is_launcher_failure(output)
    assert probe.get_launcher_failure_message('no such node\n') == 'no such node'


def test_a_script_that_cannot_be_copied(tmp_path: Path) -> None:
    launcher = Probe(tmp_path / 'nothing.sh', JobExecutorConfig(work_directory=tmp_path / 'work'))
    with pytest.raises(InvalidJobException, match=r'nothing\.sh, cannot be copied'):
        launcher.get_launch_command(Job(JobSpec('/bin/true')))


def test_jobs_with_such_a_launcher_make_no_array(tmp_path: Path, oldpbs: Path) -> None:
    with SlurmJobExecutor() as slurm:
        plain, scripted = (Job(JobSpec('/bin/true', directory=tmp_path, launcher=name)) for name in ('single', 'twice'))
        assert slurm.array_shape(plain) is not None
        assert slurm.array_shape(scripted) is None


def test_they_are_listed(oldpbs: Path) -> None:
    assert {'twice', 'counted', 'bare'} <= Launcher.get_launcher_names()
