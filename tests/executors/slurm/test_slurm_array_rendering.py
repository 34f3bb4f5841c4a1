"""Arrays of Slurm: their options and directives, written down here from sbatch(1) and slurm.conf(5)."""

from __future__ import annotations

from pathlib import Path

import pytest

from psij_ext.core.dependencies import Dependencies
from psij_ext.core.job import Job
from psij_ext.core.observation import Site
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException
from psij_ext.executors.batch.slurm import SlurmExecutorConfig, SlurmJobExecutor
from psij_ext.runtime.command import CommandResult

FOLDER = Path('/work/the-array')
JOBS = [Job(JobSpec('/bin/date', [str(number)], '/here', f'x y {number}')) for number in range(3)]


@pytest.fixture
def executor(tmp_path: Path) -> SlurmJobExecutor:
    return SlurmJobExecutor(config=SlurmExecutorConfig(work_directory=tmp_path))


def test_the_command_and_the_directives(executor: SlurmJobExecutor) -> None:
    script, command, _ = executor.render_array(
        JOBS, FOLDER, 'n', None, Dependencies(after_ok=('7', '12_3')), throttle=2)
    assert command == ['sbatch', '--parsable', '--array=0-2%2', '--job-name=x y', '--dependency=afterok:7:12_3',
                       '--kill-on-invalid-dep=yes', '/work/the-array/script']
    assert script.splitlines()[:3] == ['#!/bin/bash', '#SBATCH --output=%a.scheduler.out', '#SBATCH --export=ALL']


@pytest.mark.parametrize(('folder', 'option'), [
    ('/a b/x', []), ('/5%j/x', ['#SBATCH --output=/5%%j/x/%a.scheduler.out']), ('/5% j/x', ['--output=/5%% j/x/%a.scheduler.out'])])
def test_each_element_has_an_output_of_its_own(executor: SlurmJobExecutor, folder: str, option: list[str]) -> None:
    script, command, _ = executor.render_array(JOBS, Path(folder), 'n')
    words = [*script.splitlines(), *command]
    assert [word for word in words if '--output=' in word] == (option or ['#SBATCH --output=%a.scheduler.out'])


def test_where_elements_can_have_none_there_is_no_array(executor: SlurmJobExecutor) -> None:
    with pytest.raises(InvalidJobException, match='backslash'):
        executor.render_array(JOBS, Path('/a\\b/x'), 'n')


@pytest.mark.parametrize(('limit', 'most'), [(10001, 10001), (0, 0), (None, 1001)])
def test_how_many_elements_there_may_be(executor: SlurmJobExecutor, limit: int | None, most: int) -> None:
    executor._site = Site('slurm', max_array_size=limit)
    assert executor.most_elements() == most
    assert executor.get_array_option(most or 1) == [f'--array=0-{(most or 1) - 1}']


def test_the_ids_of_elements(executor: SlurmJobExecutor) -> None:
    assert [executor.element_id('12', 0), executor.element_id('12;c', 34)] == ['12_0', '12_34;c']
    assert executor.array_of('12_0') == '12'
    assert all(executor.native_id_pattern.fullmatch(executor.element_id(array, 5)) for array in ('12', '12;c'))


@pytest.mark.parametrize(('words', 'exit_code', 'is_it'), [
    # capture 01-sbatch
    ('sbatch: error: Batch job submission failed: Invalid job array specification\n', 1, True),
    ('sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n', 1, False),
    ('sbatch: error: Batch job submission failed: Invalid job array specification\n', 0, False)])
def test_a_refusal_that_is_about_arrays(executor: SlurmJobExecutor, words: str, exit_code: int, is_it: bool) -> None:
    assert executor.is_refused_array(CommandResult(('sbatch',), exit_code, b'', words.encode())) is is_it
