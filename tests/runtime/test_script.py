from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpec, ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import URI, StageIn, StageOut
from psij_ext.exceptions import InvalidJobException
from psij_ext.launchers.multiple import MultipleLauncher
from psij_ext.launchers.single import SingleLauncher
from psij_ext.runtime.script import (
    attribute_context,
    export_lines,
    hours_minutes_seconds,
    known_resources,
    launch_command,
    make_absolute,
    resource_context,
    script_context,
)

# -- paths


def test_relative_paths_are_made_absolute() -> None:
    spec = JobSpec('/bin/date', directory='sub', stdin_path='in', stdout_path='/abs/out', stderr_path='e/err',
                   pre_launch='pre.sh', post_launch='/abs/post.sh')
    absolute = make_absolute(spec, Path('/here'))
    assert absolute == JobSpec(
        '/bin/date', directory='/here/sub', stdin_path='/here/sub/in', stdout_path='/abs/out',
        stderr_path='/here/sub/e/err', pre_launch='/here/pre.sh', post_launch='/abs/post.sh')


def test_without_a_directory_a_job_runs_where_it_was_submitted() -> None:
    absolute = make_absolute(JobSpec('/bin/date', stdout_path='out'), Path('/here'))
    assert (absolute.directory, absolute.stdout_path, absolute.stdin_path) == (Path('/here'), Path('/here/out'), None)


# -- what is launched


def launched(spec: JobSpec, launcher: Launcher | None = None) -> list[str]:
    return launch_command(Job(spec), launcher or SingleLauncher())


def test_without_an_environment_the_command_is_launched_as_it_is() -> None:
    assert launched(JobSpec('/bin/a=b', ['-x', ''])) == ['/bin/a=b', '-x', '']


def test_the_environment_is_set_for_the_command_alone() -> None:
    spec = JobSpec('/bin/echo', ['-x', 'A=1'], environment={'A': 'x y', 'UID': '0'})
    assert launched(spec) == ['/usr/bin/env', '--', 'A=x y', 'UID=0', '/bin/echo', '-x', 'A=1']
    assert spec.executable == '/bin/echo'


def test_the_launcher_comes_before_the_environment() -> None:
    command = launched(JobSpec('/bin/echo', environment={'PATH': '/odd'}), MultipleLauncher())
    assert command[0] == '/bin/bash'
    assert command[-4:] == ['/usr/bin/env', '--', 'PATH=/odd', '/bin/echo']


def test_a_program_with_an_equals_sign_in_its_path_is_no_variable() -> None:
    assert launched(JobSpec('-a=b', environment={'A': '1'})) == [
        '/usr/bin/env', '--', 'A=1', '/usr/bin/nice', '-n', '0', '--', '-a=b']


def test_a_job_without_a_program_cannot_be_launched() -> None:
    with pytest.raises(InvalidJobException, match='executable'):
        launched(JobSpec())
    with pytest.raises(InvalidJobException, match='executable'):
        script_context(Job(), SingleLauncher(), folder=Path('/x'), nonce='n')


def test_an_environment_that_the_script_brings_along() -> None:
    lines = export_lines({'B': "it's\n", 'A': '', 'not-a-name': '1', '1X': '1', 'BASH_FUNC_f%%': '() { :; }', 'ü': '1',
                          'HOSTNAME': 'here', 'UID': '5', 'SHELLOPTS': 'errexit', 'TMPDIR': '/tmp/x', 'BASH_ENV': '/x'})
    assert lines == "export A=''\nexport B=$'it\\'s\\n'\n"


# -- resources


def test_without_resources_there_is_one_process() -> None:
    context = resource_context(JobSpec('/bin/date'))
    assert (context['node_count'], context['process_count'], context['processes_per_node']) == (1, 1, 1)
    assert context['has_resources'] is False
    assert context['memory'] is None
    assert context['exclusive_node_use'] in (None, False)


@pytest.mark.parametrize(('memory', 'nodes', 'each'), [
    (1, 1, 1), (1, 3, 1), (10, 3, 4), (9, 3, 3), (2**40 + 1, 2, 2**39 + 1)])
def test_memory_is_of_the_whole_job_and_rounded_up_for_a_node(memory: int, nodes: int, each: int) -> None:
    context = resource_context(JobSpec('/bin/date', resources=ResourceSpecV1(node_count=nodes, memory=memory)))
    assert (context['memory'], context['memory_per_node']) == (memory, each)


def test_gpus_are_of_a_process_and_multiplied_for_a_node() -> None:
    resources = ResourceSpecV1(node_count=2, processes_per_node=3, gpu_cores_per_process=4, cpu_cores_per_process=5,
                               exclusive_node_use=True)
    context = resource_context(JobSpec('/bin/date', resources=resources))
    assert (context['gpus_per_node'], context['process_count'], context['cpu_cores_per_process']) == (12, 6, 5)
    assert context['exclusive_node_use'] is True
    none = resource_context(JobSpec('/bin/date', resources=ResourceSpecV1(gpu_cores_per_process=0)))
    assert none['gpus_per_node'] is None


class LaterResources(ResourceSpec):
    @property
    def version(self) -> int:
        return 99


def test_resources_of_an_unknown_version_are_refused() -> None:
    assert known_resources(None) == ResourceSpecV1()
    for use in (lambda: known_resources(LaterResources()),
                lambda: resource_context(JobSpec('/bin/date', resources=LaterResources()))):
        with pytest.raises(InvalidJobException, match=r'JobSpec\.resources: version 99'):
            use()


# -- attributes


@pytest.mark.parametrize(('duration', 'seconds'), [
    (timedelta(seconds=1), 1), (timedelta(seconds=0.5), 1), (timedelta(microseconds=1), 1), (timedelta(seconds=59.000001), 60),
    (timedelta(days=30), 2592000)])
def test_a_duration_is_rounded_up_to_seconds(duration: timedelta, seconds: int) -> None:
    assert attribute_context(JobSpec('/bin/date', attributes=JobAttributes(duration)))['duration'] == seconds


@pytest.mark.parametrize(('seconds', 'text'), [
    (1, '00:00:01'), (59, '00:00:59'), (60, '00:01:00'), (3661, '01:01:01'), (86399, '23:59:59'), (86400, '24:00:00'),
    (359999, '99:59:59'), (360000, '100:00:00'), (3600 * 8760, '8760:00:00')])
def test_durations_are_written_with_hours_minutes_and_seconds(seconds: int, text: str) -> None:
    assert hours_minutes_seconds(seconds) == text


def test_what_was_not_asked_for_is_none() -> None:
    assert attribute_context(JobSpec('/bin/date')) == {
        'name': '/bin/date', 'inherit_environment': True, 'duration': None, 'queue_name': None, 'account': None,
        'reservation_id': None}


# -- staging


def staged(spec: JobSpec) -> dict[str, object]:
    return script_context(Job(make_absolute(spec, Path('/here'))), SingleLauncher(), folder=Path('/f'), nonce='n')


@pytest.mark.parametrize('place', ['http://host/x', 'file://other/x', 'scp://user@host/x'])
def test_what_is_on_another_host_cannot_be_staged(place: str) -> None:
    for spec in (JobSpec('/bin/date', stage_in={StageIn(URI(place), 'x')}),
                 JobSpec('/bin/date', stage_out={StageOut('x', URI(place))})):
        with pytest.raises(InvalidJobException, match='cannot be staged'):
            staged(spec)


def test_a_uri_of_a_staged_file_may_have_escaped_characters() -> None:
    stages = {'stage_in': {StageIn(URI('file:///a%20b/%2541'), 'x')}, 'stage_out': {StageOut('x', URI('file://localhost/c%0a'))}}
    context = staged(JobSpec('/bin/date', **stages))  # type: ignore[arg-type]
    assert [each['source'] for each in context['stage_in']] == ['/a b/%41']  # type: ignore[attr-defined]
    assert [each['target'] for each in context['stage_out']] == ['/c\n']  # type: ignore[attr-defined]
    by_path = staged(JobSpec('/bin/date', stage_in={StageIn('a%20b', 'x')}))['stage_in']
    assert [each['source'] for each in by_path] == [str(Path.cwd() / 'a%20b')]  # type: ignore[attr-defined]


@pytest.mark.parametrize('path', ['..', '../x', 'a/../../x', 'a/..', '.', '/', '/etc', '/here', '/here/sub', '/here/sub/../x', '/here/submarine'])
def test_only_what_lies_inside_the_directory_is_cleaned_up(path: str) -> None:
    with pytest.raises(InvalidJobException, match=r'JobSpec\.cleanup'):
        staged(JobSpec('/bin/date', directory='sub', cleanup={Path(path)}))


@pytest.mark.parametrize(('path', 'full'), [
    ('x', '/here/sub/x'), ('a/b', '/here/sub/a/b'), ('/here/sub/x', '/here/sub/x'), ('..x', '/here/sub/..x'), ('-rf', '/here/sub/-rf')])
def test_what_lies_inside_the_directory_is_cleaned_up(path: str, full: str) -> None:
    assert staged(JobSpec('/bin/date', directory='sub', cleanup={Path(path)}))['cleanup'] == [{'path': full}]
