"""Arrays of PBS Pro: their options and directives, written down here from the PBS Reference Guide and from captures."""

from __future__ import annotations

from pathlib import Path

import pytest

from psij_ext.core.dependencies import Dependencies
from psij_ext.core.job import Job
from psij_ext.core.observation import Site
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException
from psij_ext.executors.batch.pbspro import PBSProExecutorConfig, PBSProJobExecutor
from psij_ext.runtime.command import CommandResult

FOLDER = Path('/work/the-array')
JOBS = [Job(JobSpec('/bin/date', [str(number)], '/here', f'x y {number}')) for number in range(3)]


@pytest.fixture
def executor(tmp_path: Path) -> PBSProJobExecutor:
    made = PBSProJobExecutor(config=PBSProExecutorConfig(work_directory=tmp_path))
    made._site = Site('pbspro', (23, 6, 6), history=False)
    return made


def test_the_command_and_the_directives(executor: PBSProJobExecutor) -> None:
    script, command, _ = executor.render_array(
        JOBS, FOLDER, 'n', None, Dependencies(after_ok=('7.pbshost1',)), throttle=2)
    assert command == ['qsub', '-J', '0-2%2', '-W', 'depend=afterok:7.pbshost1', '/work/the-array/script']
    assert script.splitlines()[:5] == [
        '#!/bin/bash', '#PBS -N x_y', '#PBS -S /bin/bash', '#PBS -j oe', '#PBS -o ^array_index^.scheduler.out']


@pytest.mark.parametrize(('version', 'knows'), [
    ((19, 1, 3), False), ((18, 2), False), ((20, 0, 1), False), ((2020, 1, 4), False), ((22, 5, 11), True), ((2021, 1), True), ((23, 6, 6), True), ((), True)])
def test_a_limit_for_elements_at_once_is_for_versions_that_know_it(
        executor: PBSProJobExecutor, version: tuple[int, ...], knows: bool) -> None:
    executor._site = Site('pbspro', version)
    assert executor.get_array_option(5) == ['-J', '0-4']
    if knows:
        assert executor.get_array_option(5, 2) == ['-J', '0-4%2']
    else:
        with pytest.raises(InvalidJobException, match='array_throttle'):
            executor.get_array_option(5, 2)


@pytest.mark.parametrize(('limit', 'most'), [(500, 500), (None, 10000)])
def test_how_many_elements_there_may_be(executor: PBSProJobExecutor, limit: int | None, most: int) -> None:
    executor._site = Site('pbspro', max_array_size=limit)
    # capture qsub-err-array1: an array of one is refused
    assert (executor.fewest_elements, executor.most_elements()) == (2, most)


def test_the_ids_of_elements(executor: PBSProJobExecutor) -> None:
    assert executor.element_id('77[].pbshost1', 3) == '77[3].pbshost1'
    assert executor.native_id_pattern.fullmatch(executor.element_id('77[].pbshost1.x.org', 30))


@pytest.mark.parametrize(('words', 'exit_code', 'is_it'), [
    # captures qsub-err-array-max, qsub-err-array1, qsub-err-badqueue
    ('qsub: Array job exceeds server or queue size limit\n', 3, True), ('qsub: illegal -J value\nusage: qsub [-a\n', 2, True),
    ('qsub: cannot submit non-rerunable Array Job\nusage: qsub\n', 2, True), ('qsub: Unknown queue\n', 170, False),
    ('qsub: illegal -J value\n', 0, False)])
def test_a_refusal_that_is_about_arrays(executor: PBSProJobExecutor, words: str, exit_code: int, is_it: bool) -> None:
    assert executor.is_refused_array(CommandResult(('qsub',), exit_code, b'', words.encode())) is is_it
