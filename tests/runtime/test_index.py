"""What the index holds of jobs, and what it can be asked."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from indexed import end, ids, submit, the_job

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import IndexUnavailable
from psij_ext.runtime.index import Index
from psij_ext.runtime.index_writer import IndexWriter
from psij_ext.runtime.work_directories import known_work_directories, remember_work_directory

QUEUED, STAGE_IN, ACTIVE = JobState.QUEUED, JobState.STAGE_IN, JobState.ACTIVE
COMPLETED, FAILED = JobState.COMPLETED, JobState.FAILED


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'state' / 'psij-ext'


@pytest.fixture
def writer(folder: Path) -> Iterator[IndexWriter]:
    made = IndexWriter(folder)
    yield made
    made.close()


def test_all_of_a_job(writer: IndexWriter, folder: Path) -> None:
    submit(writer, 'a', executor='pbspro', url='https://x', name='sim', key='sim-1', session='mine',
           work_directory=Path('/scratch/me/pbspro'), native_id='7.server', time=10.5)
    writer.entered_state('a', ACTIVE, 20.25)
    writer.ended('a', JobStatus(FAILED, 30.5, exit_code=137), ExitInfo(ExitReason.SIGNALED, 137, 9, 'killed'))
    writer.reported('a', 31.0)
    assert writer.flush(10)
    job = the_job(folder)
    assert (job.job_id, job.executor, job.url, job.name, job.key, job.session, job.native_id, job.submitted) == (
        'a', 'pbspro', 'https://x', 'sim', 'sim-1', 'mine', '7.server', 10.5)
    assert job.work_directory == Path('/scratch/me/pbspro')
    assert job.folder.path == Path('/scratch/me/pbspro/a')
    assert job.states == ((QUEUED, 10.5), (ACTIVE, 20.25), (FAILED, 30.5))
    assert (job.state, job.reported) == (FAILED, 31.0)
    assert job.exit_info == ExitInfo(ExitReason.SIGNALED, 137, 9, 'killed')


def test_a_job_that_lives_has_no_end(writer: IndexWriter, folder: Path) -> None:
    submit(writer, 'a')
    writer.reported('a', 5.0)  # there is nothing to report yet
    writer.flush(10)
    job = the_job(folder)
    assert (job.state, job.exit_info, job.reported) == (QUEUED, None, None)


def test_a_second_process_that_follows_the_job_changes_nothing(writer: IndexWriter, folder: Path) -> None:
    submit(writer, 'a')
    writer.entered_state('a', ACTIVE, 110.0)
    writer.entered_state('a', QUEUED, 120.0)
    writer.entered_state('a', ACTIVE, 121.0)
    end(writer, 'a', COMPLETED, time=130.0)
    writer.entered_state('a', ACTIVE, 131.0)
    end(writer, 'a', FAILED, time=132.0)
    submit(writer, 'a')
    writer.flush(10)
    job = the_job(folder)
    assert job.states == ((QUEUED, 100.0), (ACTIVE, 110.0), (COMPLETED, 130.0))
    assert (job.state, job.exit_info.reason if job.exit_info else None) == (COMPLETED, ExitReason.EXITED)


def test_the_order_counts_and_not_the_clocks_of_several_machines(writer: IndexWriter, folder: Path) -> None:
    submit(writer, 'a', time=100.0)
    writer.entered_state('a', ACTIVE, 99.0)
    writer.flush(10)
    assert the_job(folder).state is ACTIVE
    assert the_job(folder).states == ((QUEUED, 100.0), (ACTIVE, 99.0))


def test_a_job_that_was_queued_again(writer: IndexWriter, folder: Path) -> None:
    submit(writer, 'a')
    writer.entered_state('a', ACTIVE, 110.0)
    writer.entered_state('a', QUEUED, 120.0, requeued=True)
    writer.entered_state('a', QUEUED, 120.5, requeued=True)
    writer.entered_state('a', ACTIVE, 130.0, requeued=True)
    writer.flush(10)
    assert the_job(folder).states == ((QUEUED, 100.0), (ACTIVE, 110.0), (QUEUED, 120.0), (ACTIVE, 130.0))


def test_a_lost_job_that_is_found_again(writer: IndexWriter, folder: Path) -> None:
    for job_id in ('over', 'alive'):
        submit(writer, job_id)
        end(writer, job_id, FAILED, ExitReason.LOST, time=200.0)
        writer.reported(job_id, 201.0)
    end(writer, 'over', COMPLETED, time=150.0)
    writer.entered_state('alive', ACTIVE, 210.0)
    writer.flush(10)
    over, alive = Index(folder).jobs()
    assert (over.state, over.exit_info.reason if over.exit_info else None) == (COMPLETED, ExitReason.EXITED)
    assert (alive.state, alive.exit_info, alive.reported) == (ACTIVE, None, None)


def test_what_happens_to_an_unknown_job_leaves_nothing(writer: IndexWriter, folder: Path) -> None:
    writer.entered_state('nobody', ACTIVE, 1.0)
    end(writer, 'nobody')
    writer.flush(10)
    assert Index(folder).jobs() == []


def test_a_native_id_that_becomes_known_later(writer: IndexWriter, folder: Path) -> None:
    submit(writer, 'a', native_id=None)
    submit(writer, 'a', native_id='12')
    submit(writer, 'a', native_id=None)
    writer.flush(10)
    assert the_job(folder).native_id == '12'


@pytest.mark.parametrize('text', ["'; DROP TABLE jobs; --", 'a\0b', 'a\nb', '\udce4.out', '\ud800', 'grün 🚀', '', '"', '%s ?'])
def test_texts_of_every_kind(writer: IndexWriter, folder: Path, text: str) -> None:
    submit(writer, 'a', name=text, key=text, session=text, native_id=text, work_directory=Path('/w') / f'x{text}')
    submit(writer, 'b')
    writer.flush(10)
    job = Index(folder).jobs()[0]
    assert (job.name, job.key, job.session, job.native_id, str(job.work_directory)) == (*[text] * 4, f'/w/x{text}')
    assert ids(folder, key=text) == ids(folder, name=text) == ids(folder, session=text, native_id=text) == ['a']


def test_a_row_that_cannot_be_stored_harms_itself_alone(
        writer: IndexWriter, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    submit(writer, 'a')
    submit(writer, 'no time', time=float('nan'))
    writer.ended('a', JobStatus(FAILED, 2.0, exit_code=2**70), ExitInfo(ExitReason.EXITED))
    submit(writer, 'b')
    writer.flush(10)
    assert ids(folder) == ['a', 'b']
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert 'no time' in caplog.text


# -- questions


def test_conditions(writer: IndexWriter, folder: Path) -> None:
    submit(writer, 'a', executor='slurm', name='x', time=1.0, native_id='1')
    submit(writer, 'b', executor='pbspro', name='x', time=2.0, session='s', native_id='2')
    submit(writer, 'c', executor='slurm', name='y', time=3.0, key='k', session='s', native_id='3')
    writer.entered_state('b', ACTIVE, 4.0)
    end(writer, 'c')
    writer.reported('c', 9.0)
    writer.flush(10)
    assert ids(folder) == ['a', 'b', 'c']
    assert ids(folder, executor='slurm') == ['a', 'c']
    assert ids(folder, session='s') == ['b', 'c']
    assert ids(folder, key='k') == ['c']
    assert ids(folder, name='x') == ['a', 'b']
    assert ids(folder, state=ACTIVE) == ['b']
    assert ids(folder, since=2.0) == ['b', 'c']
    assert ids(folder, native_id='2') == ['b']
    assert ids(folder, unreported=True) == ['a', 'b']
    assert ids(folder, name='x', executor='slurm', state=QUEUED, since=0.5) == ['a']
    assert ids(folder, name='x', since=2.5) == []


def test_oldest_first_whatever_the_order_of_writing(writer: IndexWriter, folder: Path) -> None:
    for job_id, time in (('b', 2.0), ('c', 3.0), ('a', 1.0)):
        submit(writer, job_id, time=time)
    writer.flush(10)
    assert ids(folder) == ['a', 'b', 'c']


def test_where_there_is_no_index(folder: Path) -> None:
    with pytest.raises(IndexUnavailable, match=r'There is no index of jobs at .*index rebuild'):
        Index(folder).jobs()
    assert Index(folder).jobs(nothing_if_unavailable=True) == []
    assert not folder.exists()


# -- work directories


def test_work_directories_are_known_without_the_index(
        writer: IndexWriter, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PSIJ_EXT_WORK_DIRECTORY', str(tmp_path / 'usual'))
    custom = [tmp_path / 'a "new\nline"', tmp_path / '\udce4']
    for number, work in enumerate([*custom, tmp_path / 'usual']):
        for job in range(2):
            submit(writer, f'{number}-{job}', work_directory=work / 'slurm')
    writer.close()
    Index(folder).path.unlink()
    assert known_work_directories(folder) == [tmp_path / 'usual', *custom]
    assert (folder / 'work-directories').stat().st_mode & 0o777 == 0o600
    assert len((folder / 'work-directories').read_bytes().splitlines()) == 4  # the first is empty


def test_a_list_of_work_directories_that_was_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PSIJ_EXT_WORK_DIRECTORY', '/usual')
    remember_work_directory(Path('/first'), tmp_path)
    with (tmp_path / 'work-directories').open('ab') as file:
        file.write(b'\n"/cut sh\n7\n"relative"\n\xff\xfe')
    remember_work_directory(Path('/second'), tmp_path)
    assert known_work_directories(tmp_path) == [Path('/usual'), Path('/first'), Path('/second')]


def test_a_list_that_is_a_link_or_a_folder_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PSIJ_EXT_WORK_DIRECTORY', '/usual')
    target = tmp_path / 'target'
    target.write_text('"/planted"\n')
    (tmp_path / 'work-directories').symlink_to(target)
    assert known_work_directories(tmp_path) == [Path('/usual')]
    with pytest.raises(OSError, match='symbolic links'):
        remember_work_directory(Path('/mine'), tmp_path)
    assert target.read_text() == '"/planted"\n'
    (tmp_path / 'work-directories').unlink()
    (tmp_path / 'work-directories').mkdir()
    assert known_work_directories(tmp_path) == [Path('/usual')]
