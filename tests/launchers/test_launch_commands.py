from __future__ import annotations

from pathlib import Path

import pytest

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpec, ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException

MULTIPLE = Path(__file__).parents[2] / 'templates' / 'launchers' / 'multiple.sh'
COMMAND = ['/bin/echo', '-n', 'a b', '']
LAUNCHERS = ['single', 'multiple', 'mpirun', 'srun']


def command(launcher: str, resources: ResourceSpec | None = None) -> list[str]:
    spec = JobSpec(COMMAND[0], COMMAND[1:], resources=resources)
    return Launcher.get_instance(launcher).get_launch_command(Job(spec))


def test_single_starts_the_command_once_whatever_was_asked_for() -> None:
    assert command('single') == COMMAND
    assert command('single', ResourceSpecV1(process_count=4)) == COMMAND


@pytest.mark.parametrize(('resources', 'count'), [
    (None, '1'), (ResourceSpecV1(), '1'), (ResourceSpecV1(process_count=3), '3'),
    (ResourceSpecV1(node_count=2, processes_per_node=2), '4')])
def test_multiple_carries_its_script_along(resources: ResourceSpec | None, count: str) -> None:
    assert command('multiple', resources) == ['/bin/bash', '-c', MULTIPLE.read_text(), 'psij-multiple', count, *COMMAND]


@pytest.mark.parametrize(('resources', 'count'), [(None, '1'), (ResourceSpecV1(node_count=2, processes_per_node=3), '6')])
def test_mpirun_is_told_the_number_of_processes(resources: ResourceSpec | None, count: str) -> None:
    assert command('mpirun', resources) == ['mpirun', '-n', count, *COMMAND]


@pytest.mark.parametrize(('resources', 'options'), [
    (None, ['--nodes=1', '--ntasks=1', '--ntasks-per-node=1']),
    (ResourceSpecV1(node_count=2, processes_per_node=3), ['--nodes=2', '--ntasks=6', '--ntasks-per-node=3']),
    (ResourceSpecV1(process_count=2, cpu_cores_per_process=4),
     ['--nodes=1', '--ntasks=2', '--ntasks-per-node=2', '--cpus-per-task=4'])])
def test_srun_is_told_the_layout_of_the_processes(resources: ResourceSpec | None, options: list[str]) -> None:
    assert command('srun', resources) == ['srun', '--export=ALL', *options, *COMMAND]


@pytest.mark.parametrize('launcher', LAUNCHERS)
def test_there_must_be_a_command(launcher: str) -> None:
    for job in (Job(), Job(JobSpec())):
        with pytest.raises(InvalidJobException, match='executable'):
            Launcher.get_instance(launcher).get_launch_command(job)


class LaterResources(ResourceSpec):
    @property
    def version(self) -> int:
        return 99


@pytest.mark.parametrize('launcher', LAUNCHERS)
def test_resources_that_are_not_understood_are_refused(launcher: str) -> None:
    with pytest.raises(InvalidJobException, match='version 99'):
        command(launcher, LaterResources())


def test_the_launchers_have_names() -> None:
    assert set(LAUNCHERS) <= Launcher.get_launcher_names()
    assert {Launcher.get_instance(name).name for name in LAUNCHERS} == set(LAUNCHERS)
