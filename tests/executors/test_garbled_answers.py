"""Whatever a scheduler's commands print, each method that reads it gives what it promises, or raises what it says."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext.core.observation import Site
from psij_ext.exceptions import CommandError, ParseError
from psij_ext.executors.batch import BatchSchedulerExecutor
from psij_ext.executors.batch.pbspro import PBSProJobExecutor
from psij_ext.executors.batch.slurm import SlurmJobExecutor
from psij_ext.runtime.command import CommandResult

DATA = Path(__file__).parents[1] / 'data'
# Each is cut into pieces at random, so that one of a kind is enough.
CAPTURES = [
    *((DATA / 'slurm' / name).read_bytes() for name in (
        '01-sbatch.txt', '51-slurmctld-graceful-and-hung.txt', 'acct-13-errors.txt', 'config-accounting.txt',
        'squeue-cases.txt', 'sacct-cases.txt')),
    *((DATA / 'pbspro' / name).read_bytes() for name in (
        'qstat-server.stdout', 'dsv-hostile.stdout', 'dsv-array-elements.stdout', 'qstat-f-text.stdout', 'qdel-malformed.txt')),
    b'Submitted batch job 12 on cluster far\n', b'12;far\n', b'77[].pbshost1\n', b'slurm 22.05.8\n', b'pbs_version = 23.06.06\n',
    b'scancel: error: Kill job error on job id 13: Access denied\n', b'qdel: Unknown Job Id 13.host\n',
    b'12_3|/home/me/job|\n12_|/home/me/job|\n', b'Job Id: x\x1eJob_Owner=tester@host\x1eOutput_Path=host:/home/me/out\n', '１２\n'.encode(), '٣.host\n'.encode(), b'1' * 30 + b'\n']
IDS = ['12', '13', '13.host', '77[2].pbshost1', '12_3', '7;far']


@st.composite
def garbled(draw: st.DrawFn) -> bytes:
    text = draw(st.sampled_from(CAPTURES))
    begin = draw(st.integers(0, len(text)))
    text = text[begin:begin + draw(st.integers(0, 2000))]
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(text)))
        text = text[:place] + draw(st.binary(max_size=8)) + text[place + draw(st.integers(0, 20)):]
    return text


EXECUTORS = [SlurmJobExecutor(), PBSProJobExecutor()]
for each in EXECUTORS:
    each.user = 'tester'  # as in the captures


@pytest.mark.parametrize('executor', EXECUTORS, ids=lambda executor: executor.name)
@given(st.sampled_from(CAPTURES) | garbled() | st.binary(max_size=200))
def test_an_id_is_one_that_can_be_asked_for(executor: BatchSchedulerExecutor, printed: bytes) -> None:
    text = CommandResult(('submit',), 0, printed).text
    try:
        native_id = executor.job_id_from_submit_output(text)
    except ParseError:
        return
    assert executor.native_id_pattern.fullmatch(native_id)
    assert native_id.partition('.')[0].partition(';')[0] in text


@pytest.mark.parametrize('executor', EXECUTORS, ids=lambda executor: executor.name)
@given(st.sampled_from(CAPTURES) | garbled() | st.binary(max_size=200))
def test_folders_are_those_of_jobs_that_can_be_asked_for(executor: BatchSchedulerExecutor, printed: bytes) -> None:
    try:
        origins = executor.parse_origins(CommandResult(('squeue',), 0, printed))
    except ParseError:
        assert not printed.endswith(b'\n')
        return
    assert all(map(executor.native_id_pattern.fullmatch, origins))
    assert all(isinstance(folder, str) for folder in origins.values())


@pytest.mark.parametrize('executor', EXECUTORS, ids=lambda executor: executor.name)
@given(garbled() | st.binary(max_size=200), garbled() | st.binary(max_size=200), st.sampled_from([0, 1, 35, 140, 153, 255]),
       st.sampled_from(['squeue', 'sacct', 'scontrol', 'scancel', 'qstat', 'qdel']))
def test_all_else_is_read_or_refused(
        executor: BatchSchedulerExecutor, out: bytes, errors: bytes, exit_code: int, command: str) -> None:
    result = CommandResult((command,), exit_code, out, errors)
    refusals = executor.parse_refusals(result, IDS)
    assert refusals is None or (refusals and set(refusals) <= {*IDS})
    assert executor.is_transient(result) in (True, False)
    assert executor.is_without_answer(result) in (True, False)
    for read, kind in ((executor.parse_site, Site), (executor.parse_version, str), (executor.parse_origins, Mapping),
                       (lambda result: executor.parse_record(result, '12'), dict)):
        with contextlib.suppress(ParseError, CommandError):
            assert isinstance(read(result), kind)
