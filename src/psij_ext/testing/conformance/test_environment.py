"""The job's environment: what the spec says, what it inherits, and what never matters."""

from __future__ import annotations

from datetime import timedelta

import pytest

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.testing.conformance.marks import on_batch, once
from psij_ext.testing.execparams import ExecParams
from psij_ext.testing.odd_texts import ODD_TEXTS

# bash cannot export these, or changes what it does for them; a program may have them all the same.
RESERVED = {
    'UID': '4711', 'PPID': '1', 'EUID': '5', 'RANDOM': 'x', 'SECONDS': 'never', 'LINENO': 'y', 'GROUPS': '9',
    'SHELLOPTS': 'noglob', 'BASHOPTS': 'extdebug', 'BASH_ENV': '/nonexistent', 'IFS': 'x', 'HOSTNAME': 'nowhere',
    '_': 'underscore', 'POSIXLY_CORRECT': '1'}
# What users of a scheduler have in their environment, for other programs and other jobs.
USERS_OWN = {
    'SBATCH_TIMELIMIT': 'nonsense', 'SBATCH_JOB_NAME': 'other', 'SBATCH_OUTPUT': '/nonexistent/out',
    'SBATCH_ARRAY_INX': '0-3', 'SBATCH_WAIT': '1', 'SBATCH_EXPORT': 'NONE', 'SLURM_JOB_ID': '1', 'SLURM_NTASKS': '77',
    'SLURM_NNODES': '9', 'SLURM_EXPORT_ENV': 'NONE', 'SLURM_TIME_FORMAT': 'relative', 'SQUEUE_FORMAT': '%C',
    'SQUEUE_FORMAT2': 'nonsense', 'SQUEUE_STATES': 'PD', 'SQUEUE_USERS': 'nobody', 'SACCT_FORMAT': 'nonsense',
    'SCANCEL_STATE': 'PENDING', 'SCANCEL_INTERACTIVE': '1', 'SCANCEL_NAME': 'other', 'PBS_JOBID': '1.other',
    'PBS_NODEFILE': '/nonexistent', 'PBS_O_WORKDIR': '/nonexistent', 'PBS_DPREFIX': '#OTHER',
    'PBS_ENVIRONMENT': 'PBS_INTERACTIVE', 'PSIJ_NODEFILE': '/nonexistent'}


def read_environment(text: str) -> dict[str, str]:
    """Read what `env -0` printed."""
    return {name: value for name, _, value in (item.partition('=') for item in text.split('\0') if item)}


def without_inheritance(execparams: ExecParams, executable: str, arguments: list[str]) -> Job:
    """Return a job that inherits nothing, with what its launcher needs to start at all."""
    if execparams.launcher != 'mpirun':
        return execparams.job(executable, arguments, inherit_environment=False)
    # Open MPI refuses to run as root unless it is told, and there is no other way to tell it.
    script = execparams.folder / 'allow'
    script.write_text('export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1\n')
    return execparams.job(executable, arguments, inherit_environment=False, pre_launch=script)


def test_inherited_environment(execparams: ExecParams, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job sees the submitter's environment, and what the spec adds."""
    inherited = {f'PSIJ_EXT_TEST_{number}': text for number, text in enumerate(ODD_TEXTS)}
    for name, value in inherited.items():
        monkeypatch.setenv(name, value)
    wanted = {'PSIJ_EXT_TEST_0': 'changed', 'PSIJ_EXT_TEST_NEW': 'new'}
    environment = read_environment(execparams.succeed(execparams.job('/usr/bin/env', ['-0'], environment=wanted)))
    seen = {name: value for name, value in environment.items() if name.startswith('PSIJ_EXT_TEST_')}
    assert seen == {**inherited, **wanted}


def test_environment_of_its_own(execparams: ExecParams, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without inheritance the job sees nothing of the submitter's environment, but what the spec says, and a PATH."""
    monkeypatch.setenv('PSIJ_EXT_TEST_INHERITED', 'yes')
    job = without_inheritance(execparams, '/usr/bin/env', ['-0'])
    assert job.spec is not None
    job.spec.environment = {'PSIJ_EXT_TEST_NEW': 'new'}
    environment = read_environment(execparams.succeed(job))
    assert 'PSIJ_EXT_TEST_INHERITED' not in environment
    assert environment['PSIJ_EXT_TEST_NEW'] == 'new'
    assert environment.get('PATH')


def test_odd_values(execparams: ExecParams) -> None:
    """Values reach the program as they are."""
    wanted = {f'PSIJ_EXT_TEST_{number}': text for number, text in enumerate(('', *ODD_TEXTS, '() { :; }; exit 3'))}
    environment = read_environment(execparams.succeed(execparams.job('/usr/bin/env', ['-0'], environment=wanted)))
    assert {name: environment.get(name) for name in wanted} == wanted


def test_reserved_names(execparams: ExecParams) -> None:
    """Names that the shell reserves reach the program, and nothing between it and the submission heeds them."""
    environment = read_environment(execparams.succeed(execparams.job('/usr/bin/env', ['-0'], environment=RESERVED)))
    assert {name: environment.get(name) for name in RESERVED} == RESERVED


def test_path_and_preload_are_the_jobs_alone(execparams: ExecParams) -> None:
    """A PATH without any program and a preloaded library that is missing harm only the program that asked for them."""
    wanted = {'PATH': '/nonexistent', 'LD_PRELOAD': '/nonexistent/library.so'}
    job = execparams.shell('echo "$PATH"', environment=wanted, cleanup=['rubbish'], directory=execparams.folder)
    (execparams.folder / 'rubbish').touch()
    assert execparams.succeed(job) == '/nonexistent\n'
    assert not (execparams.folder / 'rubbish').exists()
    scheduler_output = execparams.work_directory / execparams.executor_name / job.id / 'scheduler.out'
    assert not scheduler_output.exists() or 'library.so' not in scheduler_output.read_text()


@once
def test_users_scheduler_variables(execparams: ExecParams, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user's environment says to a scheduler's commands changes nothing."""
    for name, value in USERS_OWN.items():
        monkeypatch.setenv(name, value)
    executor = execparams.shared_executor
    running = execparams.submit(execparams.job('/bin/sleep', ['1000'], name='psij-ext-test'))
    failing = execparams.submit(execparams.shell('exit 3'))
    execparams.reach(running, JobState.ACTIVE)
    assert running.native_id in executor.list()
    execparams.wait(failing)
    execparams.expect(failing, JobState.FAILED, exit_code=3)
    running.cancel()
    execparams.wait(running)
    execparams.expect(running, JobState.CANCELED)
    lines = execparams.succeed(execparams.shell('wc -l < "$PSIJ_NODEFILE"'))
    assert lines.strip() == '1'


@on_batch
def test_users_queue(execparams: ExecParams, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue that the spec names comes before the one in the user's environment."""
    if execparams.known_queue is None:
        pytest.skip('needs --queue-name')
    monkeypatch.setenv('SBATCH_PARTITION', 'nosuch')
    monkeypatch.setenv('SLURM_PARTITION', 'nosuch')
    attributes = JobAttributes(queue_name=execparams.known_queue, duration=timedelta(minutes=5))
    job = execparams.job('/bin/date', attributes=attributes)
    execparams.run(job)
    execparams.expect(job, JobState.COMPLETED)
