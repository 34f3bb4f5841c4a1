"""`python -m psij_ext.compat`, and the small things that only old programs and plugins use."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable

import pytest

from psij_ext import Job, JobExecutorConfig, JobSpec, JobState, JobStatus, ResourceSpecV1
from psij_ext.core.job import FunctionJobStatusCallback
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.state import JobStateOrder
from psij_ext.executors.batch.dialect import check_status_exit_code
from psij_ext.executors.batch.pbs_base import GenericPBSJobExecutor
from psij_ext.executors.batch.script_generator import TemplatedScriptGenerator, bash_escape
from psij_ext.executors.batch.template_function_library import walltime_to_minutes

Program = Callable[..., str]


def test_a_program_has_its_arguments_name_and_folder(program: Program, tmp_path: Path) -> None:
    (tmp_path / 'below').mkdir()
    (tmp_path / 'below' / 'beside.py').write_text('words = "beside"\n')
    (tmp_path / 'below' / 'it.py').write_text(
        'import sys, beside, psij\nprint(__name__, __file__, sys.argv, beside.words, psij.Job.__module__)\n')
    said = program('below/it.py', '-x', 'a b')
    path = tmp_path / 'below' / 'it.py'
    assert said == f"__main__ {path} ['{path}', '-x', 'a b'] beside psij_ext.core.job\n"


def test_a_module_is_run_as_one(program: Program, tmp_path: Path) -> None:
    (tmp_path / 'some.py').write_text('import sys, psij\nprint(__name__, sys.argv[1:], psij.__version__)\n')
    assert program('-m', 'some', '-m', 'x') == "__main__ ['-m', 'x'] 0.9.11\n"


@pytest.mark.parametrize(('words', 'code', 'said'), [
    ([], 1, 'usage:'), (['-x'], 1, 'usage:'), (['-m'], 1, 'usage:'), (['nothing.py'], 1, 'no program nothing.py'),
    (['ends.py'], 7, '')])
def test_how_it_ends(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    (tmp_path / 'ends.py').write_text('raise SystemExit(7)\n')
    ended = subprocess.run([sys.executable, '-m', 'psij_ext.compat', *words], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == code
    assert said in ended.stderr


def test_the_states_before() -> None:
    before = {state: JobStateOrder.prev(state) for state in JobState}
    assert {state: other for state, other in before.items() if other is not None} == {
        JobState.QUEUED: JobState.NEW, JobState.ACTIVE: JobState.QUEUED, JobState.COMPLETED: JobState.ACTIVE}


def test_a_function_as_a_callback_object() -> None:
    told: list[object] = []
    job, status = Job(), JobStatus(JobState.QUEUED)
    FunctionJobStatusCallback(lambda *words: told.extend(words)).job_status_changed(job, status)
    assert told == [job, status]


@pytest.mark.parametrize(('walltime', 'minutes'), [
    (timedelta(hours=1, minutes=30), 90), (timedelta(seconds=61), 2), (5, 5), ('01:30:00', 90), ('1:30', 90), ('90', 90),
    ('0:00:01', 1), ('2h', 120)])
def test_minutes_of_a_walltime(walltime: Any, minutes: int) -> None:
    assert walltime_to_minutes(walltime) == minutes


@pytest.mark.parametrize('value', ['a b', "it's", '$HOME `x`', 'two\nlines', '', 5, Path('/a b')])
def test_an_escaped_value_is_one_word(value: object) -> None:
    said = subprocess.run(['/bin/bash', '-c', f'printf "%s;" {bash_escape(value)}'], capture_output=True, text=True)
    assert said.stdout == f'{value};'
    assert '\n' not in bash_escape(value)


def test_a_status_command_that_failed() -> None:
    check_status_exit_code('qstat', 0, 'words')
    with pytest.raises(RuntimeError, match="'qstat' failed with exit code 3: 'no server'"):
        check_status_exit_code('qstat', 3, 'no server\n')


def test_the_defaults_of_a_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path))
    assert JobExecutorConfig() == JobExecutorConfig.DEFAULT
    place = JobExecutorConfig.DEFAULT_WORK_DIRECTORY
    assert place == tmp_path / 'psij-ext' / 'jobs'


def test_an_executor_of_pbs_with_a_generator_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'script.mustache').write_text('{{job.spec.executable}} {{#custom_attributes.pbs}}{{key}}{{/custom_attributes.pbs}}')
    with GenericPBSJobExecutor(TemplatedScriptGenerator(None, tmp_path / 'script.mustache')) as executor:
        spec = JobSpec('/bin/date')
        spec.attributes.set_custom_attribute('pbs.k', 1)
        script, command = executor.preview(Job(spec))
    assert script == '/bin/date k'
    assert command[0] == 'qsub'


WRITTEN_BY_PSIJ = (
    '{"executable": "/bin/echo", "arguments": ["a b"], "directory": "/tmp", "name": "n", "environment": {"A": "b"}, '
    '"stdout_path": "/tmp/o", "resources": {"node_count": 2, "processes_per_node": 3, "memory": 1073741824, '
    '"__version": 1}, "attributes": {"duration": "5400.0 s", "queue_name": "q", "custom_attributes": {"pbs.l": "x"}}, '
    '"pre_launch": "/tmp/pre"}')


def test_a_description_that_psij_python_wrote() -> None:
    spec = JSONSerializer().loads(WRITTEN_BY_PSIJ)
    assert (spec.executable, spec.arguments, spec.environment) == ('/bin/echo', ['a b'], {'A': 'b'})
    assert spec.resources == ResourceSpecV1(node_count=2, processes_per_node=3, memory=2**30)
    assert spec.attributes.duration == timedelta(minutes=90)
    assert spec.attributes.custom_attributes == {'pbs.l': 'x'}
    assert (spec.stdout_path, spec.pre_launch) == (Path('/tmp/o'), Path('/tmp/pre'))
    assert JSONSerializer().loads('{"executable": "/bin/date", "attributes": {}}') == JobSpec('/bin/date')
    for duration in ('soon', '1 s', f'{"9" * 20}.0 s'):
        with pytest.raises(ValueError, match='duration'):
            JSONSerializer().loads(f'{{"attributes": {{"duration": "{duration}"}}}}')
