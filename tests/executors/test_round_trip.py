"""Whatever a description holds reaches the job byte for byte through each executor and launcher, and none of it is run."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import Phase, given, settings

from hostile_specs import HOSTILE_JOBS, Ground, Hostile
from psij_ext.core.job import Job
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.execparams import ExecParams

ASCII_ALONE = {'LC_ALL': 'C', 'PYTHONUTF8': '0', 'PYTHONCOERCECLOCALE': '0'}
SUBMITTING = """if True:
    import sys
    from datetime import timedelta
    import psij_ext
    name, work_directory, spec = sys.argv[1:]
    assert sys.getfilesystemencoding() == 'ascii'
    executor_class = type(psij_ext.JobExecutor.get_instance(name))
    with executor_class(config=executor_class.config_class(work_directory=work_directory)) as executor:
        job = psij_ext.Job(psij_ext.JSONSerializer().loads(spec))
        executor.submit(job)
        status = job.wait(timedelta(seconds=60))
        assert status.exit_code == 0, status
"""
# Where the folders of the jobs lie.
ODD_PLACE = 'work %j "$(: >\\"$PSIJ_CANARY\\")" {{x}} it\'s\\'


@pytest.mark.parametrize('count', [30, pytest.param(500, marks=pytest.mark.soak)])
def test_jobs_arrive_as_they_are_described(execparams: ExecParams, count: int) -> None:
    ground = Ground(execparams.folder)
    log = execparams.folder / f'log of {ODD_PLACE}'
    executor = execparams.executor(work_directory=execparams.folder / ODD_PLACE, launcher_log_file=log)
    flying: list[tuple[Hostile, Path, Job]] = []

    # What goes wrong with one of many jobs in flight cannot be tried again with a smaller one.
    @settings(max_examples=count if execparams.launcher is None else count // 3, phases=[Phase.generate], database=None)
    @given(hostile=HOSTILE_JOBS)
    def submit(hostile: Hostile) -> None:
        root = execparams.folder / f'job {len(flying)}'
        root.mkdir()
        if execparams.launcher in ('srun', 'mpirun'):  # they carry the streams apart
            hostile = replace(hostile, joined=False)
        spec = hostile.spec(root, ground)
        spec.launcher = execparams.launcher
        with patch.dict(os.environ, {**ground.variables, **hostile.inherited}):
            try:
                flying.append((hostile, root, execparams.submit(Job(spec), executor)))
            except InvalidJobException as error:
                assert (execparams.launcher, 'mpirun' in error.message) == ('mpirun', True)
                shutil.rmtree(root)

    submit()
    for hostile, root, job in flying:
        execparams.wait(job)
        execparams.expect(job, JobState.COMPLETED, exit_code=0)
        try:
            hostile.check(root)
        except AssertionError as error:
            raise AssertionError(f'{error}\n{hostile}\n{execparams.describe(job)}') from error
    assert not ground.canary.exists()
    assert all(job.id in log.read_text() for _, _, job in flying)


@once
def test_a_program_whose_locale_knows_only_ascii_submits_what_is_written(execparams: ExecParams) -> None:
    """It has read the description from a file, say, and its work directory from its command line."""
    directory, work = execparams.folder / 'grün', execparams.folder / '日本'
    directory.mkdir()
    ground = Ground(execparams.folder)
    spec = JobSpec(str(ground.program), ['ü', '日\udcff'], os.fsencode(directory).decode('ascii', 'surrogateescape'), 'ß',
                   environment={'Ä': 'ö'}, stdout_path=execparams.folder / 'out')
    subprocess.run([sys.executable, '-c', SUBMITTING, execparams.executor_name, work, JSONSerializer().dumps(spec)],
                   env={**os.environ, **ASCII_ALONE}, check=True)
    told = {name: value.encode('latin-1') for name, value in json.loads((execparams.folder / 'out').read_text()).items()}
    assert told['words'].split(b'\0')[3:] == ['ü'.encode(), '日'.encode() + b'\xff', b'']
    assert 'Ä=ö'.encode() in told['environment'].split(b'\0')
    assert told['directory'] == os.fsencode(directory)


def test_words_that_launchers_heed_arrive(execparams: ExecParams, monkeypatch: pytest.MonkeyPatch) -> None:
    """A colon divides programs for srun and mpirun, and what begins with a hyphen looks like an option of theirs."""
    programs = execparams.folder / 'programs'
    programs.mkdir()
    words = ['-n', '2', '--', '', 'x:', '-', '--help']
    for name in ('-x', '-a=b', 'odd'):
        (programs / name).write_text('#!/bin/sh\nprintf "<%s>" "$V" "$@"\n')
        (programs / name).chmod(0o700)
    monkeypatch.setenv('PATH', f'{programs}:{os.environ["PATH"]}')
    shown = {}
    for name, environment, passed in itertools.product(('-x', '-a=b', 'odd'), ({'V': 'v'}, {}), (words, [':', *words, ':'])):
        job = execparams.submit(execparams.job(name, passed, environment=environment))
        shown[job] = ''.join(f'<{word}>' for word in (environment.get('V', ''), *passed))
    for job, words_shown in shown.items():
        execparams.wait(job)
        execparams.expect(job, JobState.COMPLETED)
        assert execparams.output(job) == words_shown
