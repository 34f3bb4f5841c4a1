"""The index when all goes wrong: locked, broken, replaced, planted, full, forbidden, of another version.

Nobody who submits a job hears of it, but in one warning.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from indexed import SECONDS, ids, in_the_way, locked, run, submit
from pytest_mock import MockerFixture

from psij_ext.exceptions import IndexBroken, IndexLocked, IndexUnavailable
from psij_ext.runtime import index_file, index_schema
from psij_ext.runtime.index import Index
from psij_ext.runtime.index_writer import IndexWriter

NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'odd "state"\n?#%41' / 'psij-ext'


@pytest.fixture
def file(folder: Path) -> Path:
    """Where the index is to be, in a folder that is there."""
    folder.mkdir(parents=True)
    return folder / 'index.sqlite'


def write(folder: Path, *job_ids: str, patience: float = SECONDS) -> IndexWriter:
    """Hand over jobs to a new writer, wait until it is done with them, and return it closed."""
    writer = IndexWriter(folder, patience=patience)
    for job_id in job_ids:
        submit(writer, job_id)
    assert writer.flush(SECONDS)
    writer.close()
    return writer


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def journal_mode(folder: Path) -> str:
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        return str(connection.execute('PRAGMA journal_mode').fetchone()[0])


def check_integrity(folder: Path) -> None:
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        assert connection.execute('PRAGMA integrity_check').fetchall() == [('ok',)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# -- locked


def test_rows_wait_for_a_lock_to_go(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(folder, 'first')
    writer = IndexWriter(folder, patience=SECONDS)
    with locked(folder):
        submit(writer, 'second')
        assert not writer.flush(0.5)
        assert ids(folder) == ['first'], 'readers need not wait'
    assert writer.flush(SECONDS)
    writer.close()
    assert ids(folder) == ['first', 'second']
    assert warnings(caplog) == []


def test_a_lock_that_does_not_go_is_said_once_and_noted(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(folder, 'first')
    writer = IndexWriter(folder, patience=0.0)
    with locked(folder):
        for job_id in ('second', 'third'):
            submit(writer, job_id)
            assert writer.flush(SECONDS)
    assert writer.dropped == 2
    submit(writer, 'fourth')
    assert writer.flush(SECONDS)
    writer.close()
    assert ids(folder) == ['first', 'fourth']
    assert (writer.dropped, Index(folder).dropped_rows()) == (0, 2)
    (said,) = warnings(caplog)
    assert 'locked' in said and '`psij-ext index rebuild`' in said


def test_the_end_of_a_program_does_not_wait_for_a_lock(folder: Path) -> None:
    write(folder, 'first')
    writer = IndexWriter(folder, patience=600.0)
    with locked(folder):
        submit(writer, 'second')
        began = time.monotonic()
        writer.close()
        assert time.monotonic() - began < 5
        assert writer.dropped == 1


def test_no_more_rows_wait_than_there_is_room_for(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(folder, 'first')
    writer = IndexWriter(folder, patience=SECONDS, capacity=100)
    with locked(folder):
        submit(writer, 'taken')
        while not writer._entries.empty():
            time.sleep(0.01)
        for number in range(1000):
            submit(writer, f'waiting-{number}', time=101.0 + number)
        assert writer._entries.qsize() == 100
    assert writer.flush(SECONDS)
    writer.close()
    assert ids(folder) == ['first', 'taken', *(f'waiting-{number}' for number in range(100))]
    assert Index(folder).dropped_rows() + writer.dropped == 900
    (said,) = warnings(caplog)
    assert 'more than 100 rows' in said


def test_an_index_that_may_not_be_read_now_is_said_to_be_locked(
        folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, 'is_local', lambda path: False)
    monkeypatch.setattr(index_file, '_WAIT_TO_READ', 0.1)
    write(folder, 'first')
    with in_the_way("""
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('BEGIN EXCLUSIVE')
print('locked', flush=True)
sys.stdin.read()
""", folder / 'index.sqlite'):
        with pytest.raises(IndexLocked, match='keep it locked'):
            Index(folder).jobs()
        assert Index(folder).jobs(nothing_if_unavailable=True) == []


# -- broken


def kept(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if '.broken-' in path.name)


@pytest.mark.parametrize('content', [b'this is no database at all\n' * 100, b'\0' * 5000, b'SQLite format 3\0' + b'\xff' * 5000])
def test_a_broken_file_is_kept_and_a_new_one_begun(
        folder: Path, file: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(IndexBroken, match='index rebuild'):
        Index(folder).jobs()
    assert Index(folder).jobs(nothing_if_unavailable=True) == []
    write(folder, 'a', 'b')
    assert ids(folder) == ['a', 'b']
    (aside,) = kept(folder)
    assert aside.read_bytes() == content
    (said,) = warnings(caplog)
    assert str(aside) in said and '`psij-ext index rebuild`' in said
    assert Index(folder).dropped_rows() > 0, 'it does not pass for complete'


def test_damage_in_the_middle(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(folder, *(f'{number:04}' for number in range(2000)))
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        connection.execute('PRAGMA journal_mode = DELETE')
    with (folder / 'index.sqlite').open('r+b') as file:
        file.seek(4096)
        file.write(b'\xff' * (os.path.getsize(folder / 'index.sqlite') - 4096))
    write(folder, 'new')
    assert ids(folder) == ['new']
    assert len(kept(folder)) == 1
    assert len(warnings(caplog)) == 1


def test_a_database_of_somebody_else_is_kept(folder: Path, file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute('CREATE TABLE recipes (name)')
    write(folder, 'a')
    assert ids(folder) == ['a']
    with closing(sqlite3.connect(kept(folder)[0])) as connection:
        assert connection.execute('SELECT name FROM sqlite_master').fetchall() == [('recipes',)]


def test_what_another_process_made_anew_is_not_put_aside(folder: Path, file: Path) -> None:
    file.write_bytes(b'broken' * 1000)
    slow = index_file.IndexFile(folder)
    with pytest.raises(IndexBroken), slow.writing():
        pass
    write(folder, 'a')
    assert len(kept(folder)) == 1
    assert slow.set_aside() is None
    assert ids(folder) == ['a']


def test_who_finds_that_another_process_puts_it_aside_waits_for_that(
        folder: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_bytes(b'broken' * 1000)
    set_aside, others = index_file.IndexFile.set_aside, ['another']

    def while_another_does(self: index_file.IndexFile) -> Path | None:
        if others:
            others.pop()
            raise IndexLocked('Another process is replacing it.')
        return set_aside(self)

    monkeypatch.setattr(index_file.IndexFile, 'set_aside', while_another_does)
    write(folder, 'a')
    assert ids(folder) == ['a']


def test_several_broken_files_have_several_names(folder: Path, file: Path) -> None:
    for _ in range(3):
        file.write_bytes(b'broken' * 1000)
        write(folder, 'a')
    assert len(kept(folder)) == 3


def test_a_file_without_a_byte_is_a_new_index(folder: Path, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.touch()
    with pytest.raises(IndexBroken, match='is empty'):
        Index(folder).jobs()
    write(folder, 'a')
    assert ids(folder) == ['a']
    assert warnings(caplog) == []


def test_an_index_that_vanishes_is_made_anew(folder: Path) -> None:
    writer = IndexWriter(folder)
    submit(writer, 'a')
    writer.flush(SECONDS)
    shutil.rmtree(folder)
    submit(writer, 'b')
    writer.close()
    assert ids(folder) == ['b']


def test_an_index_that_is_replaced_is_opened_anew(folder: Path, tmp_path: Path) -> None:
    writer = IndexWriter(folder)
    submit(writer, 'a')
    writer.flush(SECONDS)
    write(tmp_path / 'other', 'b')
    check_integrity(tmp_path / 'other')
    (tmp_path / 'other' / 'index.sqlite').rename(folder / 'index.sqlite')
    submit(writer, 'c', time=101.0)
    writer.close()
    assert ids(folder) == ['b', 'c']


# -- something else in its place


def test_a_folder_in_its_place(folder: Path, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.mkdir()
    assert write(folder, 'a', 'b').dropped == 2
    assert file.is_dir()
    (said,) = warnings(caplog)
    assert 'is not a file of yours' in said
    with pytest.raises(IndexUnavailable, match='is not a file of yours'):
        Index(folder).jobs()


@pytest.mark.parametrize('exists', [True, False])
def test_a_link_in_its_place_is_not_followed(
        folder: Path, file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, exists: bool) -> None:
    target = tmp_path / 'target'
    if exists:
        target.write_bytes(b'mine')
    file.symlink_to(target)
    assert write(folder, 'a').dropped == 1
    assert target.exists() is exists and (not exists or target.read_bytes() == b'mine')
    assert file.is_symlink()
    assert len(warnings(caplog)) == 1
    with pytest.raises(IndexUnavailable):
        Index(folder).jobs()


def test_a_pipe_in_its_place_keeps_nobody_waiting(folder: Path, file: Path) -> None:
    os.mkfifo(file)
    assert write(folder, 'a').dropped == 1


def test_a_file_of_somebody_else_is_refused(
        folder: Path, mocker: MockerFixture, caplog: pytest.LogCaptureFixture) -> None:
    write(folder, 'a')
    before = contents(folder)
    mocker.patch.object(index_file.IndexFile, '_check_folder')
    mocker.patch('os.geteuid', return_value=os.geteuid() + 1)
    assert write(folder, 'b').dropped == 1
    with pytest.raises(IndexUnavailable, match='not a file of yours'):
        Index(folder).jobs()
    assert contents(folder) == before
    assert len(warnings(caplog)) == 1


def test_a_folder_of_somebody_else_is_refused(folder: Path, mocker: MockerFixture) -> None:
    folder.mkdir(parents=True)
    mocker.patch('os.geteuid', return_value=os.geteuid() + 1)
    assert write(folder, 'b').dropped == 1
    assert list(folder.iterdir()) == []


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / 'state').write_text('mine')
    assert write(tmp_path / 'state', 'a').dropped == 1
    assert write(tmp_path / 'state' / 'psij-ext', 'a').dropped == 1
    assert (tmp_path / 'state').read_text() == 'mine'


def test_a_list_of_work_directories_that_cannot_be_kept_harms_no_row(
        folder: Path, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / 'work-directories').mkdir()
    assert write(folder, 'a', 'b').dropped == 0
    assert ids(folder) == ['a', 'b']
    unread, unkept = warnings(caplog)
    assert 'is not a file of ours' in unread
    assert 'the work directory /work cannot be remembered' in unkept


# -- rights


@pytest.mark.parametrize('umask', [0o000, 0o022, 0o277])
def test_all_of_it_is_private_whatever_the_umask(folder: Path, umask: int) -> None:
    folder.parent.mkdir(parents=True)
    before = os.umask(umask)
    try:
        write(folder, 'a')
        assert ids(folder) == ['a']
        with index_file.IndexFile(folder).writing() as connection:
            connection.execute('UPDATE jobs SET name = ?', ('x' * 9000,))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    finally:
        os.umask(before)
    assert set(modes) >= {'index.sqlite', 'index.sqlite-wal', 'index.sqlite-shm', 'work-directories'}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_and_a_file_that_are_ours_are_made_private(folder: Path) -> None:
    write(folder, 'a')
    folder.chmod(0o775)
    (folder / 'index.sqlite').chmod(0o664)
    write(folder, 'b')
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / 'index.sqlite').stat().st_mode) == 0o600
    assert ids(folder) == ['a', 'b']


@contextmanager
def no_superuser() -> Iterator[None]:
    """Be somebody whom rights mean something to."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_cannot_be_written(caplog: pytest.LogCaptureFixture) -> None:
    with tempfile.TemporaryDirectory() as parent:
        if os.geteuid() == 0:
            os.chown(parent, NOBODY, NOBODY)
        folder = Path(parent) / 'psij-ext'
        with no_superuser():
            os.chmod(parent, 0o500)
            assert write(folder, 'a', 'b').dropped == 2
            os.chmod(parent, 0o700)
    (said,) = warnings(caplog)
    assert 'Permission denied' in said and '`psij-ext index rebuild`' in said


# -- full


FILL = """
import logging, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from indexed import ids, submit
from psij_ext.runtime.index_writer import IndexWriter

said = []
class Handler(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())
logging.getLogger('psij_ext').addHandler(Handler())
folder = Path(sys.argv[1])
writer = IndexWriter(folder)
submit(writer, 'first')
assert writer.flush(30)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
for number in range(3):
    submit(writer, f'large-{number}', name='x' * 100_000)
    assert writer.flush(30)
assert writer.dropped == 3, writer.dropped
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
writer._resting_until = 0.0
submit(writer, 'last', time=200.0)
writer.close()
assert ids(folder) == ['first', 'last'], ids(folder)
print(said)
"""


def test_a_full_disk(folder: Path) -> None:
    said = run(FILL, folder, Path(__file__).parent)
    assert said.count('index rebuild') == 1
    check_integrity(folder)
    assert kept(folder) == []
    assert Index(folder).dropped_rows() == 3


def test_after_a_failure_the_index_is_left_alone_for_a_while(folder: Path, file: Path) -> None:
    file.mkdir()
    writer = IndexWriter(folder)
    submit(writer, 'a')
    assert writer.flush(SECONDS)
    file.rmdir()
    submit(writer, 'b')
    assert writer.flush(SECONDS)
    assert not file.exists()
    writer._resting_until = 0.0
    submit(writer, 'c')
    writer.close()
    assert ids(folder) == ['c']
    assert Index(folder).dropped_rows() == 2


# -- versions


def test_an_index_of_a_newer_version_is_left_alone(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(folder, 'a')
    with closing(sqlite3.connect(folder / 'index.sqlite', isolation_level=None)) as connection:
        connection.execute('ALTER TABLE jobs RENAME TO tasks')
        connection.execute(f'PRAGMA user_version = {len(index_schema.MIGRATIONS) + 1}')
        dump = list(connection.iterdump())
    assert write(folder, 'b', 'c').dropped == 2
    with pytest.raises(IndexUnavailable, match='newer psij-ext'):
        Index(folder).jobs()
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        assert list(connection.iterdump()) == dump
    assert kept(folder) == []
    (said,) = warnings(caplog)
    assert 'newer psij-ext' in said


@pytest.mark.parametrize('by', ['writing', 'reading'])
def test_an_older_index_becomes_one_of_today(folder: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    write(folder, 'a')
    monkeypatch.setattr(index_schema, 'MIGRATIONS', (
        *index_schema.MIGRATIONS, ('CREATE TABLE later (x)', 'UPDATE jobs SET name = job_id')))
    if by == 'writing':
        write(folder, 'b')
    job = Index(folder).jobs()[0]
    assert (job.job_id, job.name) == ('a', 'a')
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        assert connection.execute('PRAGMA user_version').fetchone() == (len(index_schema.MIGRATIONS),)


def test_a_migration_that_fails_changes_nothing(
        folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    write(folder, 'a')
    monkeypatch.setattr(index_schema, 'MIGRATIONS', (
        *index_schema.MIGRATIONS, ('CREATE TABLE later (x)', 'DELETE FROM jobs', 'no SQL')))
    assert write(folder, 'b').dropped == 1
    monkeypatch.undo()
    assert ids(folder) == ['a']
    assert len(warnings(caplog)) == 1


def test_a_python_without_sqlite(
        folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.delitem(sys.modules, 'psij_ext.runtime.index_file')
    monkeypatch.delattr('psij_ext.runtime.index_file')
    monkeypatch.setitem(sys.modules, 'sqlite3', None)
    assert write(folder, 'a', 'b').dropped == 2
    (said,) = warnings(caplog)
    assert 'sqlite3' in said


def test_an_sqlite_that_is_too_old(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, 'sqlite_version_info', (3, 7, 17))
    assert write(folder, 'a').dropped == 1
    with pytest.raises(IndexUnavailable, match=r'needs SQLite 3\.24'), index_file.IndexFile(folder).writing():
        pass


# -- network file systems


def test_a_local_index_keeps_a_log(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, 'is_local', lambda path: True)
    write(folder, 'a')
    assert journal_mode(folder) == 'wal'


def test_an_index_on_a_network_keeps_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, 'is_local', lambda path: False)
    write(folder, 'a')
    assert ids(folder) == ['a']
    assert journal_mode(folder) == 'delete'
    assert {path.name for path in folder.iterdir()} == {'index.sqlite', 'work-directories'}
    # Seen from the machine whose disk it is, it stays as it is.
    monkeypatch.setattr(index_file, 'is_local', lambda path: True)
    write(folder, 'b')
    assert journal_mode(folder) == 'delete'


@pytest.mark.parametrize('by', ['writing', 'reading'])
def test_an_index_that_came_to_a_network_loses_its_log(folder: Path, monkeypatch: pytest.MonkeyPatch, by: str) -> None:
    monkeypatch.setattr(index_file, 'is_local', lambda path: True)
    write(folder, 'a')
    monkeypatch.setattr(index_file, 'is_local', lambda path: False)
    if by == 'writing':
        write(folder, 'b')
    assert ids(folder)[0] == 'a'
    assert journal_mode(folder) == 'delete'
