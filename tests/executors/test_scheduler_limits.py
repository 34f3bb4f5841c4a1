"""What a scheduler cannot carry: a label is cut and kept whole in our records, and anything else is refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException
from psij_ext.executors.remembering import read_spec
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.limits import LONGEST_ARGUMENT
from psij_ext.testing.conformance.marks import on_batch, once
from psij_ext.testing.execparams import ExecParams

on_mpirun = pytest.mark.conformance(launchers=('mpirun',))
on_slurm = pytest.mark.conformance(not_on=('local', 'pbspro'), any_launcher=True)
LONG_NAME = 'grün ' * 20_000


def refused(execparams: ExecParams, job: Job) -> str:
    before = {*execparams.shared_executor.list()}
    with pytest.raises(InvalidJobException) as caught:
        execparams.submit(job)
    assert job.status.state is JobState.NEW
    assert {*execparams.shared_executor.list()} <= before
    assert len(caught.value.message) < 500
    return caught.value.message


@once
def test_the_longest_argument_and_variable_arrive(execparams: ExecParams) -> None:
    code = 'import os, sys; print(len(sys.argv[1]), len(os.environ["V"]))'
    for more in (0, 1):
        for words, value in (('x' * (LONGEST_ARGUMENT + more), ''), ('', 'x' * (LONGEST_ARGUMENT - 2 + more))):
            job = execparams.job(sys.executable, ['-c', code, words], environment={'V': value}, launcher='single')
            if more:
                assert 'MAX_ARG_STRLEN' in refused(execparams, job)
            else:
                assert execparams.succeed(job) == f'{len(words)} {len(value)}\n'


@once
def test_a_name_that_the_scheduler_cannot_hold_stays_in_our_records(execparams: ExecParams) -> None:
    attributes = JobAttributes(custom_attributes={'slurm.comment': LONG_NAME})
    job = execparams.job('/bin/true', name=LONG_NAME, attributes=attributes)
    execparams.succeed(job)
    assert job.spec is not None
    assert job.spec.name == LONG_NAME
    kept = read_spec(JobFolder(execparams.work_directory / execparams.executor_name / job.id))
    assert kept is not None
    assert (kept.name, (kept.attributes.custom_attributes or {}).get('slurm.comment')) == (LONG_NAME, LONG_NAME)


@once
def test_a_long_path_of_a_program_is_no_longer_a_name_than_the_scheduler_holds(execparams: ExecParams) -> None:
    folder = execparams.folder.joinpath(*['x' * 200] * 15)
    folder.mkdir(parents=True)
    (folder / 'program').symlink_to('/bin/echo')
    assert execparams.succeed(execparams.job(str(folder / 'program'), ['here'])) == 'here\n'


@on_slurm
def test_a_name_of_the_longest_kind_is_taken_whole_and_a_longer_one_cut_between_characters(execparams: ExecParams) -> None:
    executor = execparams.shared_executor
    names = {'x' * 1024: 'x' * 1024, 'x' * 1025: 'x' * 1024, 'x' + 'ü' * 600: 'x' + 'ü' * 511}
    for name, cut in names.items():
        job = execparams.hold(execparams.job('/bin/true', name=name))
        assert executor.native_record(job)['JobName'] == cut


@on_slurm
@pytest.mark.parametrize('field', ['queue_name', 'account', 'reservation_id'])
def test_what_is_more_than_a_label_is_refused_with_its_limit(execparams: ExecParams, field: str) -> None:
    message = refused(execparams, execparams.job('/bin/true', attributes=JobAttributes(**{field: 'x' * 1025})))
    assert f'JobAttributes.{field}: 1025 bytes; slurm takes at most 1024' in message


@on_slurm
def test_a_script_may_be_as_long_as_slurm_takes(execparams: ExecParams) -> None:
    """Each of these characters takes four in a script."""
    arguments = ['\x01' * 100_000] * 10
    assert execparams.succeed(execparams.shell('echo $#', [*arguments, '\x01' * 40_000])) == '11\n'
    message = refused(execparams, execparams.shell('echo $#', [*arguments, '\x01' * 60_000]))
    assert 'this site takes at most 4194304' in message


@on_batch
def test_an_option_that_no_command_line_holds_is_refused(execparams: ExecParams) -> None:
    attribute = {'slurm': 'slurm.constraint', 'pbspro': 'pbs.l'}[execparams.executor_name]
    job = execparams.job('/bin/true', attributes=JobAttributes(custom_attributes={attribute: 'a b' * 100_000}))
    message = refused(execparams, job)
    assert f'JobAttributes.custom_attributes: {attribute}: 300000 bytes' in message


@on_mpirun
def test_mpirun_is_given_what_it_can_hand_on(execparams: ExecParams) -> None:
    longest = LONGEST_ARGUMENT - len('OMPI_ARGV=')
    words = ['x' * 60_000, 'y' * 60_000]
    words.append('z' * (longest - len(' '.join(words)) - 1))
    script = execparams.folder / 'count'
    script.write_text('#!/bin/sh\necho $#\n')
    script.chmod(0o700)
    assert execparams.succeed(execparams.job(str(script), words)) == '3\n'
    words[-1] += 'z'
    assert f'{longest + 1} bytes together' in refused(execparams, execparams.job(str(script), words))
    run = subprocess.run(['mpirun', '-n', '1', str(script), *words], capture_output=True, text=True)
    assert 'Argument list too long' in run.stderr
