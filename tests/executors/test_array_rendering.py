"""Which jobs can be elements of one array, and how a dialect's template and options make one of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from simple_dialect import ArrayExecutor, SimpleExecutor

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageIn, StageOut
from psij_ext.exceptions import InvalidJobException
from psij_ext.executors.batch import BatchSchedulerExecutorConfig
from psij_ext.executors.batch.arrays import common_name
from psij_ext.runtime.limits import LONGEST_ARGUMENT
from psij_ext.runtime.script import make_absolute

FOLDER = Path('/work/the-array')


@pytest.fixture
def executor(tmp_path: Path) -> ArrayExecutor:
    return ArrayExecutor(config=BatchSchedulerExecutorConfig(work_directory=tmp_path))


def job(executable: str | None = '/bin/echo', **fields: object) -> Job:
    return Job(make_absolute(JobSpec(executable, **fields), Path('/here')))  # type: ignore[arg-type]


# -- the shape


@pytest.mark.parametrize('fields', [
    {'executable': 'other'}, {'arguments': ['a', 'b']}, {'environment': {'A': 'b'}}, {'directory': '/other'}, {'name': 'other'},
    {'stdin_path': 'x'}, {'stdout_path': 'x'}, {'stderr_path': 'x'}, {'stdout_path': 'x', 'stderr_path': 'y'}])
def test_what_may_differ_between_the_jobs_of_an_array(executor: ArrayExecutor, fields: dict[str, object]) -> None:
    shape = executor.array_shape(job())
    assert shape is not None
    assert executor.array_shape(job(**fields)) == shape  # type: ignore[arg-type]


@pytest.mark.parametrize('make', [
    lambda: {'resources': ResourceSpecV1()}, lambda: {'resources': ResourceSpecV1(process_count=2)},
    lambda: {'resources': ResourceSpecV1(memory=2)}, lambda: {'attributes': JobAttributes(timedelta(minutes=1))},
    lambda: {'attributes': JobAttributes(timedelta(minutes=2))}, lambda: {'attributes': JobAttributes(queue_name='q')},
    lambda: {'attributes': JobAttributes(custom_attributes={'simple.x': '1'})},
    lambda: {'attributes': JobAttributes(custom_attributes={'simple.x': 1.0})},
    lambda: {'launcher': 'multiple'}, lambda: {'launcher': 'srun'}, lambda: {'inherit_environment': False},
    lambda: {'pre_launch': 'x'}, lambda: {'post_launch': 'x'}, lambda: {'stdout_path': 'x', 'stderr_path': 'x'}])
def test_what_the_jobs_of_an_array_have_in_common(executor: ArrayExecutor, make: Callable[[], dict[str, object]]) -> None:
    shapes = [executor.array_shape(job(**make())), executor.array_shape(job(arguments=['x'], **make()))]  # type: ignore[arg-type]
    assert shapes[0] == shapes[1] != executor.array_shape(job())
    assert len({*shapes, executor.array_shape(job())}) == 2


def test_streams_that_are_one_file_under_two_names_are_a_shape_of_their_own(executor: ArrayExecutor, tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to('file')
    joined = job(stdout_path=tmp_path / 'file', stderr_path=tmp_path / 'link')
    assert executor.array_shape(joined) == executor.array_shape(job(stdout_path='x', stderr_path='x'))
    assert executor.array_shape(joined) != executor.array_shape(job(stdout_path='x', stderr_path='y'))


@pytest.mark.parametrize('fields', [
    {'stage_in': {StageIn('a', 'b')}}, {'stage_out': {StageOut('a', 'b')}}, {'cleanup': {'a'}}, {'executable': None},
    {'launcher': 'unknown'}, {'arguments': ['x' * 20_000, 'y' * 20_000]}, {'environment': {'A': 'x' * 40_000}}])
def test_a_job_that_goes_by_itself(executor: ArrayExecutor, fields: dict[str, object]) -> None:
    assert executor.array_shape(job(**fields)) is None  # type: ignore[arg-type]


def test_where_there_are_no_arrays(tmp_path: Path) -> None:
    simple = SimpleExecutor(config=BatchSchedulerExecutorConfig(work_directory=tmp_path))
    assert simple.array_shape(job()) is None
    assert simple.most_elements() == 0
    assert simple.get_array_option(2) is None
    with pytest.raises(InvalidJobException, match='as a part of an array'):
        simple.render_array([job(), job()], FOLDER, 'n')


# -- the name


@pytest.mark.parametrize(('names', 'name'), [
    (['run-08', 'run-09', 'run-10'], 'run'), (['run'], 'run'), (['v1.2', 'v1.2'], 'v1.2'), (['x', 'x2'], 'x'), (['a', 'b'], 'array'),
    (['1', '2'], 'array'), (['same (1)', 'same (2)'], 'same'), (['grün 1', 'grün 2'], 'grün'), (['/bin/date', '/bin/dash'], '/bin/da')])
def test_the_name_of_an_array(names: list[str], name: str) -> None:
    assert common_name(names) == name


# -- the script and the command


def test_an_array_is_one_script_and_one_command(executor: ArrayExecutor) -> None:
    jobs = [job(name=f'run {number}', arguments=[str(number)]) for number in range(3)]
    script, command, tasks = executor.render_array(jobs, FOLDER, 'the-nonce', Path('/box'))
    assert command == ['submit', '--array=3', '/work/the-array/script']
    lines = script.splitlines()
    assert lines[:4] == [
        '#!/bin/bash', '#SIMPLE name run', 'psij_native_id=$SIMPLE_ID',
        'psij_array_id=$SIMPLE_ARRAY psij_index=$SIMPLE_INDEX psij_raw_id=$SIMPLE_ID']
    assert {'psij_folder=/work/the-array', 'psij_claim=$psij_folder/claim.the-nonce', 'psij_mailbox=/box',
            'psij_job=the-array.$psij_index', 'psij_secret=the-nonce.$psij_index'} <= {*lines}
    assert tasks.decode().splitlines() == [f'psij_command=({number}) psij_task={number}' for number in range(3)]
    assert 'psij_command=( /bin/echo "${psij_command[@]}")' in lines


def test_so_many_at_once(executor: ArrayExecutor) -> None:
    _, command, _ = executor.render_array([job(), job()], FOLDER, 'n', throttle=5)
    assert command == ['submit', '--array=2/5', '/work/the-array/script']


@pytest.mark.parametrize('fields', [{'arguments': ['x' * (LONGEST_ARGUMENT + 1)]}, {'stdout_path': 'x' * 256}])
def test_an_element_that_no_program_can_be_is_refused(executor: ArrayExecutor, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidJobException, match=r'Linux takes at most|file systems take at most'):
        executor.render_array([job(), job(**fields)], FOLDER, 'n')  # type: ignore[arg-type]


def test_how_many_may_run_at_once() -> None:
    assert BatchSchedulerExecutorConfig().array_throttle is None
    assert BatchSchedulerExecutorConfig(array_throttle=3).array_throttle == 3
    with pytest.raises(ValueError, match='array_throttle'):
        BatchSchedulerExecutorConfig(array_throttle=0)
