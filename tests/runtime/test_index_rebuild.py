"""The index made anew from the folders."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from indexed import SECONDS, end, ids, in_the_way, locked, make_job, submit, the_job
from pytest_mock import MockerFixture

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import IndexLocked, IndexUnavailable
from psij_ext.runtime import index_rebuild, index_schema
from psij_ext.runtime.ending import keep_end
from psij_ext.runtime.index import Index
from psij_ext.runtime.index_rebuild import rebuild
from psij_ext.runtime.index_writer import IndexWriter
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.spares import make_spare
from psij_ext.runtime.work_directories import known_work_directories

QUEUED, ACTIVE, FAILED = JobState.QUEUED, JobState.ACTIVE, JobState.FAILED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'psij-ext'


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / 'work'


def test_all_that_folders_tell(folder: Path, work: Path) -> None:
    make_job(work, 'a', '7.server', executor='pbspro', name='sim "1"\n', ended=900.0, reported=901.5, key='sim-1',
             session='mine', url='https://x', progress='1 ACTIVE 110.5\n1 CLEANUP 890.0\n')
    assert rebuild([work], folder).jobs == 1
    job = the_job(folder)
    assert (job.job_id, job.executor, job.url, job.name, job.key, job.session, job.native_id, job.submitted) == (
        'a', 'pbspro', 'https://x', 'sim "1"\n', 'sim-1', 'mine', '7.server', 100.0)
    assert job.folder.path == work / 'pbspro' / 'a'
    assert job.states == ((QUEUED, 100.0), (ACTIVE, 110.5), (JobState.CLEANUP, 890.0), (FAILED, 900.0))
    assert (job.state, job.exit_info, job.reported) == (FAILED, ExitInfo(ExitReason.EXITED, 3, None, 'it broke'), 901.5)


def test_an_index_made_anew_is_the_one_that_was_written(folder: Path, work: Path, tmp_path: Path) -> None:
    """What a writer was told of a job, and what is read in its folder, come to the same."""
    make_job(work, 'a', '1', name='n', key='k', session='s', ended=900.0, reported=901.0, progress='1 ACTIVE 110.0\n')
    make_job(work, 'b', '2')
    rebuild([work], folder)
    writer = IndexWriter(tmp_path / 'other')
    submit(writer, 'a', native_id='1', name='n', key='k', session='s', work_directory=work / 'slurm')
    writer.entered_state('a', ACTIVE, 110.0)
    end(writer, 'a')
    writer.reported('a', 901.0)
    submit(writer, 'b', native_id='2', work_directory=work / 'slurm')
    writer.close()
    found = {job.job_id: job for job in Index(folder).jobs()}
    assert found == {job.job_id: job for job in Index(tmp_path / 'other').jobs()}


def test_what_happens_while_folders_are_read(folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An index that does not know of a job yet takes no news of it."""
    replace, pruned = index_rebuild._replace, make_job(work, 'pruned', '1', ended=900.0)
    ends = make_job(work, 'ends', '2')

    def replace_later(*arguments: Any) -> int:
        keep_end(ends, JobStatus(FAILED, 900.0), ExitInfo(ExitReason.EXITED, 3), reported=True)
        shutil.rmtree(pruned.path)
        return replace(*arguments)

    monkeypatch.setattr(index_rebuild, '_replace', replace_later)
    assert rebuild([work], folder).jobs == 1
    job = the_job(folder)
    assert (job.job_id, job.state, job.reported is None) == ('ends', FAILED, False)


def test_attempts(folder: Path, work: Path) -> None:
    make_job(work, 'a', '1', progress='1 ACTIVE 110.0\n1 CLEANUP 120.0\nno sense\n2 STAGE_IN 130.0\n2 ACTIVE 140.0\n')
    rebuild([work], folder)
    assert [state for state, _ in the_job(folder).states] == [
        QUEUED, ACTIVE, JobState.CLEANUP, JobState.STAGE_IN, ACTIVE]


def test_what_is_no_job_or_was_not_submitted_is_passed_over(folder: Path, work: Path) -> None:
    make_job(work, 'refused', None)
    make_job(work, 'mine', '1')
    make_spare(work / 'slurm')
    JobFolder.create(work / 'slurm', 'empty')
    (work / 'a file').write_text('')
    (work / '.hidden').mkdir()
    (work / 'link').symlink_to(work / 'slurm')
    (work / 'slurm' / 'linked').symlink_to(work / 'slurm' / 'mine')
    rebuild([work, work, work / 'nowhere'], folder)
    assert ids(folder) == ['mine']


@pytest.mark.parametrize('damage', ['{"spec": "no JSON"}', '{"spec": 7}', '{"spec": "[]"}', '{"end": {"state": "WHAT"}}', 'cut sh'])
def test_a_folder_that_is_damaged_harms_itself_alone(folder: Path, work: Path, damage: str) -> None:
    journal = make_job(work, 'a', '1').path / 'journal'
    journal.write_text(journal.read_text() + '\n' + damage)
    make_job(work, 'b', '2')
    rebuild([work], folder)
    assert sorted(ids(folder)) == ['a', 'b']


def test_what_is_not_in_the_folders_goes(folder: Path, work: Path) -> None:
    writer = IndexWriter(folder)
    submit(writer, 'gone')
    writer._dropped = 5
    submit(writer, 'kept', work_directory=work / 'slurm')
    writer.close()
    make_job(work, 'kept', '1')
    assert Index(folder).dropped_rows() == 5
    assert rebuild([work], folder).jobs == 1
    assert ids(folder) == ['kept']
    assert Index(folder).dropped_rows() == 0
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        assert connection.execute('SELECT DISTINCT job_id FROM states').fetchall() == [('kept',)]


def test_a_broken_index_is_kept_beside_the_new_one(folder: Path, work: Path) -> None:
    folder.mkdir()
    (folder / 'index.sqlite').write_bytes(b'broken' * 1000)
    make_job(work, 'a', '1')
    rebuilt = rebuild([work], folder)
    assert rebuilt.set_aside is not None and rebuilt.set_aside.read_bytes() == b'broken' * 1000
    assert ids(folder) == ['a']


def test_an_index_that_is_damaged_where_nobody_has_looked_yet_is_kept_beside_the_new_one(folder: Path, work: Path) -> None:
    writer = IndexWriter(folder)
    for number in range(500):
        submit(writer, str(number), name='x' * 500)
    writer.close()
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        connection.execute('PRAGMA journal_mode = DELETE')
    with (folder / 'index.sqlite').open('r+b') as file:
        file.seek(4096 * 40)
        file.write(b'\xff' * 4096)
    make_job(work, 'a', '1')
    assert rebuild([work], folder).set_aside is not None
    assert ids(folder) == ['a']


def test_a_newer_index_is_left_alone(folder: Path, work: Path) -> None:
    rebuild([], folder)
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        connection.execute(f'PRAGMA user_version = {len(index_schema.MIGRATIONS) + 1}')
    before = (folder / 'index.sqlite').read_bytes()
    with pytest.raises(IndexUnavailable, match='newer psij-ext'):
        rebuild([work], folder)
    assert (folder / 'index.sqlite').read_bytes() == before


def test_a_lock_is_waited_for_and_not_for_ever(folder: Path, work: Path) -> None:
    rebuild([], folder)
    with locked(folder), pytest.raises(IndexLocked):
        rebuild([work], folder, patience=0.0)


def test_work_directories_are_remembered_where_there_is_a_job(
        folder: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PSIJ_EXT_WORK_DIRECTORY', '/usual')
    make_job(work, 'a', '1')
    (work.parent / 'empty').mkdir()
    rebuild([work, work.parent / 'empty'], folder)
    assert known_work_directories(folder) == [Path('/usual'), work]


def test_a_work_directory_that_cannot_be_read_is_told_of(folder: Path, work: Path, tmp_path: Path) -> None:
    make_job(work, 'a', '1')
    (tmp_path / 'file').write_text('')
    rebuilt = rebuild([tmp_path / 'file', work], folder)
    assert rebuilt.unreadable == {tmp_path / 'file': 'Not a directory'}
    assert ids(folder) == ['a']


def test_what_others_write_meanwhile_stays(folder: Path, work: Path, mocker: MockerFixture) -> None:
    """Between the reading of the folders and the writing of the index, another process tells of three jobs."""
    for job_id, native_id in (('quiet', '1'), ('ends', '2')):
        make_job(work, job_id, native_id)
    before = IndexWriter(folder)
    for job_id in ('quiet', 'ends', 'gone'):
        submit(before, job_id, name='old')
    before.close()
    replace = index_rebuild._replace

    def replace_late(*arguments: object) -> int:
        other = IndexWriter(folder)
        end(other, 'ends')
        submit(other, 'new', name='new')
        other.close()
        return replace(*arguments)  # type: ignore[arg-type]

    mocker.patch.object(index_rebuild, '_replace', replace_late)
    assert rebuild([work], folder).jobs == 3
    found = {job.job_id: job for job in Index(folder).jobs()}
    assert set(found) == {'quiet', 'ends', 'new'}
    assert found['quiet'].name is None  # as its folder says
    assert [state for state, _ in found['ends'].states] == [QUEUED, FAILED]
    assert found['ends'].exit_info is not None


def test_what_others_write_into_another_file_meanwhile_stays(folder: Path, work: Path, mocker: MockerFixture) -> None:
    make_job(work, 'a', '1')
    writer = IndexWriter(folder)
    for number in range(3):
        submit(writer, str(number))
        assert writer.flush(SECONDS)
    replace = index_rebuild._replace

    def replace_late(*arguments: object) -> int:
        (folder / 'index.sqlite').unlink()
        submit(writer, 'new')
        writer.close()
        return replace(*arguments)  # type: ignore[arg-type]

    mocker.patch.object(index_rebuild, '_replace', replace_late)
    assert rebuild([work], folder).jobs == 2
    assert sorted(ids(folder)) == ['a', 'new']


def test_a_writer_goes_on_after_a_rebuild(folder: Path, work: Path) -> None:
    make_job(work, 'a', '1')
    writer = IndexWriter(folder)
    submit(writer, 'b')
    assert writer.flush(SECONDS)
    rebuild([work], folder)
    writer.entered_state('a', ACTIVE, 200.0)
    submit(writer, 'c', time=200.0)
    writer.close()
    assert [(job.job_id, job.state) for job in Index(folder).jobs()] == [('a', ACTIVE), ('c', QUEUED)]


def test_readers_never_see_half_of_it(folder: Path, work: Path) -> None:
    for number in range(50):
        make_job(work, str(number), str(number))
    rebuild([work], folder)
    with in_the_way('''
import sys
from pathlib import Path
from typing import Any
from psij_ext.runtime import index_rebuild
from psij_ext.runtime.index_rebuild import rebuild
print('begun', flush=True)
while True:
    rebuild([Path(sys.argv[1])], Path(sys.argv[2]))
''', work, folder):
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            assert len(ids(folder)) == 50
    # It was killed in the middle.
    assert len(ids(folder)) == 50
