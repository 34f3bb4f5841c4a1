"""Files are fetched before a job, delivered after it, and removed, as the spec says."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from psij_ext.core.job import Job
from psij_ext.core.staging import URI, StageIn, StageOut, StageOutFlags, StagingMode
from psij_ext.core.state import JobState
from psij_ext.testing.conformance.marks import once
from psij_ext.testing.execparams import ExecParams
from psij_ext.testing.odd_texts import ODD_NAMES

FLAGS = StageOutFlags


@once
def test_stage_in_copy(execparams: ExecParams) -> None:
    """Files and folders are copied before the program starts; folders on the way are made."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    (store / 'file').write_text('content\n')
    (store / 'folder').mkdir()
    (store / 'folder' / 'inner').write_text('inner\n')
    job = execparams.shell('cat new/name; cat folder/inner; echo changed > new/name', directory=place, stage_in=[
        StageIn(store / 'file', 'new/name'), StageIn(URI(f'file://{store}/folder'), Path('folder'))])
    assert execparams.succeed(job) == 'content\ninner\n'
    assert (store / 'file').read_text() == 'content\n'


@once
def test_stage_in_link(execparams: ExecParams) -> None:
    """A linked file is a symbolic link to the source."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    (store / 'file').write_text('content\n')
    job = execparams.shell('cat name; readlink name', directory=place,
                           stage_in=[StageIn(store / 'file', 'name', StagingMode.LINK)])
    assert execparams.succeed(job) == f'content\n{store}/file\n'


@once
def test_stage_in_move(execparams: ExecParams) -> None:
    """A moved file is not at its source any more."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    (store / 'file').write_text('content\n')
    job = execparams.shell('cat name', directory=place, stage_in=[StageIn(store / 'file', 'name', StagingMode.MOVE)])
    assert execparams.succeed(job) == 'content\n'
    assert not (store / 'file').exists()


@once
@pytest.mark.parametrize('mode', [StagingMode.COPY, StagingMode.MOVE])
def test_missing_source(execparams: ExecParams, mode: StagingMode) -> None:
    """Where a file to stage in is missing, nothing is launched, and the message names it."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    missing = StageIn(store / 'missing', 'name', mode)
    job = execparams.job('/usr/bin/touch', ['trace'], directory=place, stage_in=[missing])
    status = execparams.run(job)
    execparams.expect(job, JobState.FAILED)
    assert str(store / 'missing') in str(status.message)
    assert not (place / 'trace').exists()


@once
def test_stage_out(execparams: ExecParams) -> None:
    """Files are delivered after the program, each in its way; folders on the way are made."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    files = [StageOut(mode.name, store / 'deep' / mode.name, mode=mode) for mode in StagingMode]
    job = execparams.shell('for mode; do echo "$mode" > "$mode"; done', [mode.name for mode in StagingMode],
                           directory=place, stage_out=files)
    execparams.succeed(job)
    for mode in StagingMode:
        delivered = store / 'deep' / mode.name
        assert delivered.read_text() == f'{mode.name}\n'
        assert delivered.is_symlink() == (mode is StagingMode.LINK)
        assert (place / mode.name).exists() == (mode is not StagingMode.MOVE)


@once
def test_missing_result(execparams: ExecParams) -> None:
    """A file that the program did not make fails the job, unless it may be missing; the others are delivered."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    files = [StageOut('made', store / 'made'), StageOut('missing', store / 'missing')]
    job = execparams.shell('touch made', directory=place, stage_out=files)
    status = execparams.run(job)
    execparams.expect(job, JobState.FAILED)
    assert 'missing' in str(status.message)
    assert (store / 'made').exists()
    tolerant = [StageOut('missing', store / 'missing', flags=FLAGS.IF_PRESENT | FLAGS.ALWAYS),
                StageOut('gone', store / 'gone', flags=FLAGS.IF_PRESENT)]
    execparams.succeed(execparams.shell('true', directory=place, stage_out=tolerant))


def _everything(place: Path, store: Path) -> dict[str, Any]:
    """Stage out and make files to see which conditions hold."""
    conditions = {
        'success': FLAGS.ON_SUCCESS, 'error': FLAGS.ON_ERROR, 'cancel': FLAGS.ON_CANCEL, 'always': FLAGS.ALWAYS,
        'none': FLAGS.NONE, 'either': FLAGS.ON_SUCCESS | FLAGS.ON_ERROR | FLAGS.IF_PRESENT}
    for name in conditions:
        (place / name).touch()
    files = [StageOut(name, store / name, flags=flags) for name, flags in conditions.items()]
    return {'directory': place, 'stage_out': files}


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@once
@pytest.mark.parametrize(('code', 'delivered'), [
    (0, {'success', 'always', 'none', 'either'}), (3, {'error', 'always', 'none', 'either'})])
def test_stage_out_conditions(execparams: ExecParams, code: int, delivered: Collection[str]) -> None:
    """Files are delivered after those ends that their flags name, and the exit code stays the program's."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    job = execparams.shell(f'exit {code}', **_everything(place, store))
    execparams.run(job)
    execparams.expect(job, JobState.FAILED if code else JobState.COMPLETED, exit_code=code)
    assert _names(store) == delivered


@once
def test_stage_out_of_cancelled_job(execparams: ExecParams) -> None:
    """A cancelled job delivers what is meant for that case."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    running = execparams.folder / 'running'
    job = execparams.submit(execparams.shell('touch "$1"; sleep 1000', [str(running)], **_everything(place, store)))
    execparams.until(running.exists, 'the program runs', job)
    job.cancel()
    execparams.wait(job)
    execparams.expect(job, JobState.CANCELED)
    # A scheduler may tell of the end before the script has ended.
    wanted = {'cancel', 'always', 'none'}
    execparams.until(lambda: _names(store) >= wanted, f'{wanted} are delivered', job)
    assert _names(store) == wanted


@once
def test_cleanup(execparams: ExecParams) -> None:
    """Files and folders are removed after those ends that the flags name, and what is not there is no error."""
    place = execparams.make_folder('place')
    cases = [(FLAGS.ALWAYS, 3, False), (FLAGS.NONE, 0, False), (FLAGS.ON_SUCCESS, 3, True),
             (FLAGS.ON_SUCCESS, 0, False), (FLAGS.ON_ERROR, 3, False), (FLAGS.ON_CANCEL, 0, True)]
    jobs = []
    for number, (flags, code, _) in enumerate(cases):
        folder = place / str(number)
        folder.mkdir()
        jobs.append(execparams.submit(execparams.shell(
            'mkdir -p deep/folder; touch file deep/folder/file other; exit "$1"', [str(code)], directory=folder,
            cleanup=['file', 'deep', 'missing'], cleanup_flags=flags)))
    for number, (flags, code, kept) in enumerate(cases):
        execparams.wait(jobs[number])
        execparams.expect(jobs[number], JobState.FAILED if code else JobState.COMPLETED, exit_code=code)
        assert _names(place / str(number)) == ({'file', 'deep', 'other'} if kept else {'other'}), flags


@once
def test_states_of_staging(execparams: ExecParams) -> None:
    """A job that stages and cleans up goes through all the states, in order."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    (store / 'file').write_text('content\n')
    executor = execparams.executor()
    job = execparams.job('/bin/cp', ['in', 'out'], directory=place, stage_in=[StageIn(store / 'file', 'in')],
                         stage_out=[StageOut('out', store / 'out')], cleanup=['in', 'out'])
    seen: list[JobState] = []
    job.set_job_status_callback(lambda job, status: seen.append(status.state))
    execparams.run(job, executor)
    executor.close()
    assert seen == [JobState.QUEUED, JobState.STAGE_IN, JobState.ACTIVE, JobState.STAGE_OUT, JobState.CLEANUP,
                    JobState.COMPLETED]
    assert (store / 'out').read_text() == 'content\n'
    assert _names(place) == set()


@once
def test_odd_names_of_files(execparams: ExecParams) -> None:
    """Files may have any name on their way in, out and to the bin."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    for name in ODD_NAMES:
        (store / name).write_bytes(name.encode())
    job = execparams.shell(
        'for name; do cp -- "in $name" "out $name"; done', ODD_NAMES, directory=place,
        stage_in=[StageIn(store / name, f'in {name}') for name in ODD_NAMES],
        stage_out=[StageOut(f'out {name}', store / 'out' / name) for name in ODD_NAMES],
        cleanup=[f'{prefix} {name}' for prefix in ('in', 'out') for name in ODD_NAMES])
    execparams.succeed(job)
    delivered = {path.name: path.read_bytes().decode() for path in (store / 'out').iterdir()}
    assert delivered == {name: name for name in ODD_NAMES}
    assert _names(place) == set()


@once
def test_names_that_look_like_options(execparams: ExecParams) -> None:
    """A name that begins with a dash is a name."""
    store, place = execparams.make_folder('store'), execparams.make_folder('place')
    (store / '-rf').write_text('content\n')
    job: Job = execparams.shell('cat ./-n', directory=place, stage_in=[StageIn(store / '-rf', '-n')],
                                stage_out=[StageOut('-n', store / '--help')], cleanup=['-n'])
    assert execparams.succeed(job) == 'content\n'
    assert (store / '--help').read_text() == 'content\n'
