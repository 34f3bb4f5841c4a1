from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from psij_ext.runtime.finding import job_folders
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.spares import SpareFolders


@pytest.fixture
def spares() -> Iterator[SpareFolders]:
    made = SpareFolders()
    yield made
    made.close()


def test_a_job_gets_the_folder_that_was_made_in_advance(spares: SpareFolders, tmp_path: Path) -> None:
    spares.add(tmp_path)
    spare = spares.take()
    assert spare is not None and spare.parent == tmp_path
    made = spare.stat().st_ino
    folder = JobFolder.create(tmp_path, 'the-job', spare)
    assert (folder.path, folder.path.stat().st_ino) == (tmp_path / 'the-job', made)
    assert not spare.exists()


def test_a_spare_folder_that_a_job_cannot_have_is_not_left_behind(spares: SpareFolders, tmp_path: Path) -> None:
    """The job was refused before, and has its folder."""
    JobFolder.create(tmp_path, 'the-job').open_journal({}, '{}')
    spares.add(tmp_path)
    JobFolder.create(tmp_path, 'the-job', spares.take())
    assert [path.name for path in tmp_path.iterdir()] == ['the-job']


def test_a_spare_folder_is_given_away_once(spares: SpareFolders, tmp_path: Path) -> None:
    spares.add(tmp_path)
    spares.add(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert spares.take() is not None
    assert spares.take() is None


def test_a_spare_folder_is_no_job(spares: SpareFolders, tmp_path: Path) -> None:
    spares.add(tmp_path)
    assert list(job_folders(tmp_path)) == []


def test_a_job_has_a_folder_of_its_own_when_the_spare_one_was_removed(spares: SpareFolders, tmp_path: Path) -> None:
    spares.add(tmp_path)
    spare = spares.take()
    assert spare is not None
    for file in spare.iterdir():
        file.unlink()
    spare.rmdir()
    assert JobFolder.create(tmp_path, 'the-job', spare).path.is_dir()


def test_a_closed_store_leaves_nothing(spares: SpareFolders, tmp_path: Path) -> None:
    spares.add(tmp_path)
    spares.close()
    assert list(tmp_path.iterdir()) == []


def test_where_no_folder_can_be_made_there_is_none(
        spares: SpareFolders, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, 'psij_ext')
    spares.add(tmp_path / 'missing')
    assert spares.take() is None
    assert 'No folder can be made in advance' in caplog.text
