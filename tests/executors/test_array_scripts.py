"""The script of an array on each scheduler that has arrays, submitted by hand."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings

from hostile_specs import HOSTILE_JOBS, Ground, Hostile
from psij_ext.core.dependencies import NO_DEPENDENCIES
from psij_ext.core.job import Job
from psij_ext.executors.batch import BatchSchedulerExecutor
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.records import ExitRecord, parse_exit_record
from psij_ext.runtime.script import export_lines, make_absolute
from psij_ext.runtime.tasks import TASKS
from psij_ext.testing.conformance.marks import on_batch
from psij_ext.testing.execparams import ExecParams

COUNT = 15
# Where the folders of arrays lie; Slurm can give elements files of their own in one without a backslash.
ODD_PLACE = 'work %a %j "$(: >"$PSIJ_CANARY")" {{x}} it\'s'
on_each_launcher = pytest.mark.conformance(not_on=('local',))


class Array:
    """An array that was submitted as a person would do it, with the command that was rendered."""

    def __init__(self, execparams: ExecParams, jobs: Sequence[Job], throttle: int | None = None,
                 work_directory: Path | None = None) -> None:
        executor = execparams.executor(work_directory=work_directory or execparams.work_directory)
        assert isinstance(executor, BatchSchedulerExecutor)
        for job in jobs:
            assert job.spec is not None
            make_absolute(job.spec, execparams.folder)
        assert len({executor.array_shape(job) for job in jobs} - {None}) == 1
        assert executor.fewest_elements <= len(jobs) <= executor.most_elements()
        self._execparams, self.executor = execparams, executor
        self.folder = JobFolder.create(executor.work_directory, str(uuid.uuid4()))
        script, command, table = executor.render_array(
            jobs, self.folder.path, 'the-nonce', None, NO_DEPENDENCIES, throttle)
        self.folder.write_script(script)
        self.folder.write_environment(export_lines(os.environ))
        (self.folder.path / TASKS).write_bytes(table)
        done = subprocess.run(command, cwd=self.folder.path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        self.native_id = executor.job_id_from_submit_output(done.stdout)

    def id_of(self, index: int) -> str:
        return self.executor.element_id(self.native_id, index)

    def cancel(self, *native_ids: str) -> None:
        for native_id in native_ids:
            subprocess.run(self.executor.get_cancel_command(native_id), capture_output=True, check=False)

    def file(self, index: int, name: str) -> Path:
        return self.folder.path / f'{index}.{name}'

    def until(self, condition: Callable[[], object], what: str) -> None:
        def files() -> str:
            return str({path.name: path.read_bytes()[-300:] for path in self.folder.path.glob('[0-9]*') if path.stat().st_size < 5000})

        try:
            self._execparams.until(condition, what)
        except pytest.fail.Exception as error:
            raise AssertionError(f'{error}\n{files()}') from error

    def wait_until_begun(self) -> None:
        """Wait until each of two elements has written something."""
        for index in range(2):
            stdout = self.file(index, 'stdout')
            self.until(lambda stdout=stdout: stdout.exists() and stdout.read_text(), f'element {index} has begun')  # type: ignore[misc]

    def record(self, index: int) -> ExitRecord:
        """Wait for the end of an element."""
        self.until(self.file(index, 'exit').exists, f'element {index} has ended')
        record = parse_exit_record(self.file(index, 'exit').read_text())
        assert record is not None
        return record


@on_each_launcher
def test_elements_are_run_as_they_are_described(execparams: ExecParams) -> None:
    jobs = []
    for number in range(4):
        place = execparams.folder / f'place $({number})'
        place.mkdir()
        code = 'echo "$1 $OWN $(pwd)"; wc -l < "$PSIJ_NODEFILE" >&2; exit "$2"'
        jobs.append(execparams.shell(
            code, [f"it's {number}\n", str(number)], directory=place, name=f'odd name {number}',
            environment={'OWN': f'own {number}'}, stdout_path='out' if number else None))
    array = Array(execparams, jobs)
    assert [array.record(index).exit_code for index in range(4)] == [0, 1, 2, 3]
    assert array.folder.claimed_by('the-nonce') == array.native_id
    for index in range(4):
        assert array.record(index).native_id == array.id_of(index)
        place = execparams.folder / f'place $({index})'
        out = place / 'out' if index else array.file(0, 'stdout')
        assert out.read_text() == f"it's {index}\n own {index} {place}\n"
        assert array.file(index, 'nodes').read_text().count('\n') == 1
        assert '1' in array.file(index, 'stderr').read_text().splitlines()  # srun tells of codes, too
        array.until(array.file(index, 'scheduler.out').exists, 'the output of the script is there')
        assert array.file(index, 'scheduler.out').read_text() == ''
    assert not [path.name for path in array.folder.path.iterdir() if path.name == 'scheduler.out']


@on_batch
def test_hostile_elements_arrive_as_they_are_described(execparams: ExecParams) -> None:
    ground = Ground(execparams.folder)
    members: list[Hostile] = []

    @settings(max_examples=COUNT, phases=[Phase.generate], database=None)
    @given(hostile=HOSTILE_JOBS)
    def draw(hostile: Hostile) -> None:
        # Those with the longest texts are not for an array.
        members.append(replace(
            hostile, joined=False, inherited={}, arguments=[text[:1000] for text in hostile.arguments],
            environment={name: text[:1000] for name, text in hostile.environment.items()}))

    draw()
    jobs = []
    for number, member in enumerate(members):
        root = execparams.folder / f'job {number}'
        root.mkdir()
        spec = member.spec(root, ground, stages=False)
        spec.attributes = execparams.spec('/bin/true').attributes
        jobs.append(Job(spec))
    with patch.dict(os.environ, ground.variables):
        array = Array(execparams, jobs, work_directory=execparams.folder / ODD_PLACE)
    for index, member in enumerate(members):
        assert (array.record(index).exit_code, array.record(index).phase) == (0, 'done')
        array.until(array.file(index, 'scheduler.out').exists, 'the output of the script is there')
        assert array.file(index, 'scheduler.out').read_text() == ''
        member.check(execparams.folder / f'job {index}', stages=False)
    assert not ground.canary.exists()


@on_batch
def test_elements_are_called_as_the_scheduler_calls_them(execparams: ExecParams) -> None:
    array = Array(execparams, [execparams.shell('echo ready; sleep 100 & wait') for _ in range(2)])
    try:
        array.wait_until_begun()
        wanted = {array.id_of(index) for index in range(2)}
        array.until(lambda: wanted <= {*array.executor.parse_status(
            array.executor.run_query(array.executor.get_status_command(sorted(wanted))))}, 'the scheduler knows them by these ids')
    finally:
        array.cancel(array.native_id)


@on_batch
def test_an_element_is_cancelled_and_the_others_are_not(execparams: ExecParams) -> None:
    array = Array(execparams, [execparams.shell('echo ready; sleep 100 & wait') for _ in range(2)])
    try:
        array.wait_until_begun()
        array.cancel(array.id_of(1))
        assert array.record(1).term_seen
        assert not array.file(0, 'exit').exists()
        assert not array.file(0, 'term').exists()
    finally:
        array.cancel(array.native_id)


@on_batch
@pytest.mark.soak
def test_an_element_is_requeued(execparams: ExecParams) -> None:
    """It may be started again after the credential of its first run is no longer valid: after 10 s on the tests' Slurm."""
    again = {'slurm': ['scontrol', 'requeue'], 'pbspro': ['qrerun']}[execparams.executor_name]
    array = Array(execparams, [execparams.shell('echo ready; [ -e stop ] || sleep 100 & wait', directory=execparams.folder)] * 2)
    try:
        array.wait_until_begun()
        (execparams.folder / 'stop').touch()
        subprocess.run([*again, array.id_of(1)], check=True)
        array.until(lambda: array.file(1, 'progress').read_text().count('ACTIVE') == 2, 'it has begun again')
        array.until(lambda: array.file(1, 'exit').exists() and array.record(1).attempt == 2, 'its second run has ended')
        assert (array.record(1).native_id, array.record(1).exit_code) == (array.id_of(1), 0)
        assert not array.file(0, 'exit').exists()
        assert array.file(0, 'progress').read_text().count('ACTIVE') == 1
    finally:
        array.cancel(array.native_id)


@on_batch
def test_a_revoked_array_runs_nothing(execparams: ExecParams) -> None:
    array = None
    jobs = [execparams.shell('echo ran') for _ in range(2)]
    original = JobFolder.write_script

    def revoke_as_well(folder: JobFolder, script: str) -> None:
        original(folder, script)
        assert folder.revoke('the-nonce') is None

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JobFolder, 'write_script', revoke_as_well)
        array = Array(execparams, jobs)
    for index in range(2):
        array.until(lambda index=index: array.file(index, 'scheduler.out').exists()  # type: ignore[misc]
                    and 'nothing was run' in array.file(index, 'scheduler.out').read_text(), 'it says so')
    assert not {'0.stdout', '1.stdout', '0.exit', '1.exit'} & {*os.listdir(array.folder.path)}


@on_batch
def test_so_many_at_once_as_were_allowed(execparams: ExecParams) -> None:
    array = Array(execparams, [execparams.job('/bin/sleep', ['0.2']) for _ in range(3)], throttle=1)
    spans = sorted((record.began or 0, record.ended) for record in map(array.record, range(3)))
    assert all(earlier[1] <= later[0] for earlier, later in zip(spans, spans[1:]))
