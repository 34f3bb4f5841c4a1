"""Jobs get the nodes, processes and time that they ask for."""

from __future__ import annotations

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException, SubmitException
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.conformance.test_environment import without_inheritance
from psij_ext.testing.execparams import ExecParams

PARALLEL = ('multiple', 'mpirun', 'srun')


@pytest.mark.conformance(launchers=(None, 'single'))
@pytest.mark.parametrize('processes', [1, 3])
def test_node_file(execparams: ExecParams, processes: int) -> None:
    """The file PSIJ_NODEFILE has a line with a host's name for each process."""
    job = execparams.shell('cat "$PSIJ_NODEFILE"', resources=ResourceSpecV1(process_count=processes))
    hosts = execparams.succeed(job).splitlines()
    assert len(hosts) == processes
    assert all(hosts)


@pytest.mark.conformance(not_on=('local',), launchers=(None, 'single'))
def test_node_file_of_two_nodes(execparams: ExecParams) -> None:
    """Processes on two nodes are listed with their nodes, and each node has its share."""
    job = execparams.shell('cat "$PSIJ_NODEFILE"', resources=ResourceSpecV1(node_count=2, processes_per_node=3))
    try:
        execparams.submit(job)
    except InvalidJobException as error:
        assert 'node_count' in str(error)
        pytest.skip(f'{execparams.executor_name} has one node')
    execparams.wait(job)
    execparams.expect(job, JobState.COMPLETED)
    hosts = execparams.output(job).split()
    assert len(hosts) == 6
    assert sorted(hosts.count(host) for host in set(hosts)) == [3, 3]


@pytest.mark.conformance(launchers=(None, 'single'))
def test_single_process(execparams: ExecParams) -> None:
    """The launcher `single` starts the program once, however many processes there is room for."""
    trace = execparams.folder / 'trace'
    job = execparams.shell('echo started >> "$1"', [str(trace)], resources=ResourceSpecV1(process_count=3))
    execparams.succeed(job)
    assert trace.read_text() == 'started\n'


@pytest.mark.conformance(launchers=PARALLEL)
@pytest.mark.parametrize('inherit', [True, False])
def test_number_of_processes(execparams: ExecParams, inherit: bool) -> None:
    """As many processes start as were asked for, whether or not the job inherits the environment."""
    script, arguments = 'echo started >> "$1"', [str(execparams.folder / 'trace')]
    if inherit:
        job = execparams.shell(script, arguments)
    else:
        job = without_inheritance(execparams, '/bin/bash', ['-c', script, 'bash', *arguments])
    assert job.spec is not None
    job.spec.resources = ResourceSpecV1(process_count=2)
    execparams.succeed(job)
    assert (execparams.folder / 'trace').read_text() == 'started\n' * 2


@pytest.mark.conformance(launchers=('srun',))
def test_processes_on_two_nodes(execparams: ExecParams) -> None:
    """Processes start on all nodes of the job."""
    trace = execparams.folder / 'trace'
    job = execparams.shell('echo "$SLURMD_NODENAME" >> "$1"', [str(trace)],
                           resources=ResourceSpecV1(node_count=2, processes_per_node=2, cpu_cores_per_process=2))
    execparams.succeed(job)
    hosts = trace.read_text().split()
    assert len(hosts) == 4
    assert sorted(hosts.count(host) for host in set(hosts)) == [2, 2]


@pytest.mark.conformance(launchers=PARALLEL)
def test_one_process_fails(execparams: ExecParams) -> None:
    """The job fails with the exit code of a process that failed."""
    job = execparams.shell('ln -s "$$" "$1" 2>/dev/null && exit 3; exit 0', [str(execparams.folder / 'first')],
                           resources=ResourceSpecV1(process_count=2))
    execparams.run(job)
    execparams.expect(job, JobState.FAILED, exit_code=3)


@pytest.mark.conformance(launchers=PARALLEL)
def test_processes_are_cancelled(execparams: ExecParams) -> None:
    """Cancelling ends all processes that the launcher started."""
    folder: Path = execparams.folder / 'running'
    folder.mkdir()
    # A launcher may send TERM once more, to what the first one has begun, too.
    script = 'trap \'trap "" TERM; rm -f "$1/$$"; exit 1\' TERM; touch "$1/$$"; while :; do sleep 0.05; done'
    job = execparams.shell(script, [str(folder)], resources=ResourceSpecV1(process_count=2))
    execparams.submit(job)
    execparams.until(lambda: len(list(folder.iterdir())) == 2, 'two processes run', job)
    job.cancel()
    execparams.wait(job)
    execparams.expect(job, JobState.CANCELED)
    execparams.until(lambda: not list(folder.iterdir()), 'both processes have seen TERM', job)


@once
def test_memory_and_cores(execparams: ExecParams) -> None:
    """A job may ask for cores and memory, or is refused in clear words where the scheduler cannot promise them."""
    resources = ResourceSpecV1(cpu_cores_per_process=1, memory=64 * 1024 ** 2)
    job = execparams.job('/bin/date', resources=resources)
    with contextlib.suppress(InvalidJobException):
        execparams.run(job)
        execparams.expect(job, JobState.COMPLETED)


@once
def test_impossible_resources(execparams: ExecParams) -> None:
    """Counts that contradict one another are refused before anything is submitted."""
    resources = ResourceSpecV1(node_count=2, processes_per_node=2)
    resources.process_count = 5
    job = execparams.job('/bin/date', resources=resources)
    with pytest.raises((InvalidJobException, SubmitException), match='5'):
        execparams.submit(job)
    assert job.status.state is JobState.NEW


# -- time


@once
def test_walltime_that_suffices(execparams: ExecParams) -> None:
    """A job within its wall time runs to its own end."""
    job = execparams.job('/bin/date', attributes=JobAttributes(duration=timedelta(hours=1, minutes=1, seconds=1)))
    execparams.succeed(job)


@pytest.mark.conformance(not_on=('slurm',))  # a limit is rounded up to minutes: sbatch(1), --time
def test_walltime_of_seconds(execparams: ExecParams) -> None:
    """A job that exceeds its wall time is ended, fails, and the reason is told."""
    _expect_timeout(execparams, timedelta(seconds=2))


@pytest.mark.soak
def test_walltime_of_a_minute(execparams: ExecParams) -> None:
    """The same, where limits are counted in minutes too."""
    execparams.max_wait += 120
    _expect_timeout(execparams, timedelta(minutes=1))


def _expect_timeout(execparams: ExecParams, duration: timedelta) -> None:
    job: Job = execparams.job('/bin/sleep', ['1000'], attributes=JobAttributes(duration=duration))
    execparams.run(job)
    execparams.expect(job, JobState.FAILED)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.TIMEOUT
