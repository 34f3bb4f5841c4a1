"""Standard input and output, and names and paths that are hard to quote."""

from __future__ import annotations

from pathlib import Path

import pytest

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.state import JobState
from psij_ext.exceptions import InvalidJobException
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.execparams import ExecParams
from psij_ext.testing.odd_texts import ODD_NAMES, ODD_TEXTS

BOTH = 'echo out; echo error >&2'


def test_output_without_paths(execparams: ExecParams) -> None:
    """Without paths, output goes to the job's folder."""
    job = execparams.shell(BOTH)
    execparams.succeed(job)
    folder = execparams.work_directory / execparams.executor_name / job.id
    assert (folder / 'stdout').read_text() == 'out\n'
    assert (folder / 'stderr').read_text() == 'error\n'


@once
def test_absolute_output_paths(execparams: ExecParams) -> None:
    """Output goes to the files that the spec names, and to them alone."""
    out, error = execparams.folder / 'out', execparams.folder / 'error'
    out.write_text('old and longer than what comes now')
    execparams.succeed(execparams.shell(BOTH, stdout_path=out, stderr_path=error))
    assert (out.read_text(), error.read_text()) == ('out\n', 'error\n')


@once
def test_relative_output_paths(execparams: ExecParams) -> None:
    """Relative output paths lie under the job's directory."""
    (execparams.folder / 'deep').mkdir()
    execparams.succeed(execparams.shell(
        BOTH, directory=execparams.folder, stdout_path='deep/out', stderr_path=Path('error')))
    assert (execparams.folder / 'deep' / 'out').read_text() == 'out\n'
    assert (execparams.folder / 'error').read_text() == 'error\n'


@pytest.mark.parametrize('other_name', ['both', 'sub/../both', 'link'])
def test_one_file_for_both(execparams: ExecParams, other_name: str) -> None:
    """Both streams may go to the same file, under whatever names; neither overwrites the other."""
    both = execparams.folder / 'both'
    both.write_text('old and longer than what comes now')
    (execparams.folder / 'sub').mkdir()
    (execparams.folder / 'link').symlink_to('both')
    job = execparams.shell(
        'echo 1; echo 2 >&2; echo 3; echo 4 >&2', stdout_path=both, stderr_path=execparams.folder / other_name)
    execparams.succeed(job)
    # A launcher may carry the streams apart, so that only their own order is certain.
    lines = both.read_text().split()
    assert sorted(lines) == ['1', '2', '3', '4']
    assert lines.index('1') < lines.index('3')
    assert lines.index('2') < lines.index('4')


@once
def test_output_in_missing_folder(execparams: ExecParams) -> None:
    """An output file that cannot be made fails the job, and the message names it."""
    path = execparams.folder / 'missing' / 'out'
    trace = execparams.folder / 'trace'
    job = execparams.job('/usr/bin/touch', [str(trace)], stdout_path=path)
    status = execparams.run(job)
    execparams.expect(job, JobState.FAILED)
    assert str(path) in str(status.message)
    assert not trace.exists()
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LAUNCH_FAILED


def test_much_output(execparams: ExecParams) -> None:
    """All output is there when the job is over."""
    text = execparams.succeed(execparams.job('/usr/bin/seq', ['200000']))
    assert text == ''.join(f'{number}\n' for number in range(1, 200001))


def test_stdin(execparams: ExecParams) -> None:
    """Standard input comes from the file that the spec names, every byte of it."""
    content = bytes(range(256)) * 1000
    (execparams.folder / 'in').write_bytes(content)
    out = execparams.folder / 'out'
    execparams.succeed(execparams.job('/bin/cat', directory=execparams.folder, stdin_path='in', stdout_path=out))
    assert out.read_bytes() == content


def test_no_stdin(execparams: ExecParams) -> None:
    """Without a file, standard input is empty and nobody waits for it."""
    assert execparams.succeed(execparams.job('/bin/cat')) == ''


@once
def test_missing_stdin(execparams: ExecParams) -> None:
    """A missing input file fails the job, and the message names it."""
    job = execparams.job('/bin/cat', stdin_path=execparams.folder / 'missing')
    status = execparams.run(job)
    execparams.expect(job, JobState.FAILED)
    assert str(execparams.folder / 'missing') in str(status.message)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LAUNCH_FAILED


# -- what is hard to quote


def test_odd_arguments(execparams: ExecParams) -> None:
    """Arguments reach the program as they are, the empty one too."""
    arguments = ['', *ODD_TEXTS, 'x' * 100_000]
    job = execparams.shell("printf '%s\\0' \"$@\"", arguments)
    assert execparams.succeed(job).split('\0')[:-1] == arguments


def test_odd_paths(execparams: ExecParams) -> None:
    """Directory, executable, input and output may have any name."""
    jobs = {name: execparams.submit(_job_in_odd_place(execparams, name)) for name in ODD_NAMES}
    for name, job in jobs.items():
        execparams.wait(job)
        execparams.expect(job, JobState.COMPLETED)
        place = execparams.folder / f'in {name}'
        assert (place / f'{name}.out').read_bytes().decode() == f'{place}\ninput of {name}'
        assert (place / f'{name}.err').read_text() == 'error\n'


def _job_in_odd_place(execparams: ExecParams, name: str) -> Job:
    place = execparams.folder / f'in {name}'
    place.mkdir()
    program = place / f'{name}.sh'
    program.write_text('#!/bin/bash\npwd\ncat\necho error >&2\n')
    program.chmod(0o700)
    (place / f'{name}.in').write_bytes(f'input of {name}'.encode())
    return execparams.job(
        str(program), directory=place, stdin_path=f'{name}.in', stdout_path=f'{name}.out', stderr_path=f'{name}.err')


@once
def test_odd_job_names(execparams: ExecParams) -> None:
    """A job may have any name that its scheduler can hold; any other is refused and nothing is submitted."""
    jobs = []
    for name in (*ODD_TEXTS, 'x' * 300, '123', '007', '1e5', 'nan', '.5'):
        job = execparams.job('/bin/date', name=name)
        try:
            jobs.append(execparams.submit(job))
        except InvalidJobException as error:
            assert 'name' in str(error)
            assert job.status.state is JobState.NEW
    assert jobs
    for job in jobs:
        execparams.wait(job)
        execparams.expect(job, JobState.COMPLETED)


@once
@pytest.mark.parametrize(
    'name', ['-r "two words" $HOME %j it\'s', 'new\nline', 'back\\slash %j', 'grün=日本'],
    ids=['quotes', 'newline', 'backslash', 'non-ASCII'])
def test_odd_work_directory(execparams: ExecParams, name: str) -> None:
    """The folders of jobs may lie anywhere: a job succeeds there, one fails, and one is attached to."""
    executor = execparams.executor(work_directory=execparams.folder / name)
    good, bad = execparams.shell('echo good'), execparams.shell('echo bad >&2; exit 3')
    for job in (good, bad):
        execparams.submit(job, executor)
    execparams.wait(bad)
    execparams.expect(bad, JobState.FAILED, exit_code=3)
    assert 'bad' in str(bad.status.message)
    execparams.wait(good)
    execparams.expect(good, JobState.COMPLETED, exit_code=0)
    attached = Job()
    executor.attach(attached, str(bad.native_id))
    execparams.wait(attached)
    execparams.expect(attached, JobState.FAILED, exit_code=3)
    assert attached.exit_info is not None
    assert attached.exit_info.reason is ExitReason.EXITED
