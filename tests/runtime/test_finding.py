from __future__ import annotations

import errno
import stat
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from psij_ext.runtime.finding import find_folder, job_folders
from psij_ext.runtime.jobfolder import JobFolder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / 'odd "work"\n$dir'


def submitted(work: Path, job_id: str, native_id: str) -> JobFolder:
    folder = JobFolder.create(work, job_id)
    folder.open_journal({'job_id': job_id}, '{}')
    folder.set_native_id(native_id)
    return folder


@pytest.mark.parametrize('native_id', [
    '12', '12_3', '77[2].host', '1;cluster', '4242.1122334455', 'a b', 'a/b', '../x', 'ü', '%', '\udcff', '-n', "a'b\n"])
def test_a_job_is_found_by_its_native_id(work: Path, native_id: str) -> None:
    folder = submitted(work, 'job-1', native_id)
    assert folder.read_journal().native_id == native_id
    found = find_folder(work, native_id)
    assert found is not None
    assert found.job_id == 'job-1'
    assert find_folder(work, native_id + '0') is None
    assert sorted(path.name for path in work.iterdir()) == ['.native', 'job-1']


def test_an_id_that_was_given_twice_is_the_newer_jobs(work: Path) -> None:
    submitted(work, 'job-1', '12')
    submitted(work, 'job-2', '12')
    found = find_folder(work, '12')
    assert found is not None
    assert found.job_id == 'job-2'


def test_a_job_that_is_named_twice_has_one_name(work: Path) -> None:
    """As where two processes find out at once what became of its submission."""
    submitted(work, 'job-1', '12').set_native_id('12')
    assert [path.name for path in (work / '.native').iterdir()] == ['12']


def test_a_job_is_found_where_folders_share_no_links(work: Path, mocker: MockerFixture) -> None:
    mocker.patch('os.link', side_effect=OSError(errno.EXDEV, 'no links here'))
    submitted(work, 'job-1', '12')
    submitted(work, 'job-2', '13')
    again = submitted(work, 'job-3', '12')
    assert [path.name for path in (work / '.native').iterdir() if path.stat().st_nlink > 1] == []
    found = [find_folder(work, native_id) for native_id in ('12', '13')]
    assert [None if each is None else each.job_id for each in found] == ['job-3', 'job-2']
    assert stat.S_IMODE((work / '.native' / '12').lstat().st_mode) == 0o600
    assert again.read_journal().native_id == '12'


def test_a_name_that_leads_to_another_job_finds_nothing(work: Path) -> None:
    submitted(work, 'job-1', '12')
    (work / '.native' / '13').hardlink_to(work / 'job-1' / 'journal')
    (work / '.native' / '14').symlink_to(work / 'job-1' / 'journal')
    (work / '.native' / '15').write_text('{"submission": {"job_id": "../../etc"}}')
    (work / '.native' / '16').write_text('{"submission": 5}\n[]\n{')
    for native_id in ('13', '14', '15', '16', '', '.', '..'):
        assert find_folder(work, native_id) is None


def test_all_folders_and_nothing_else_are_gone_through(work: Path, tmp_path: Path) -> None:
    JobFolder.create(work, 'job-1')
    submitted(work, 'job-2', '12')
    (work / 'file').write_text('')
    (work / '.mailboxes').mkdir()
    (work / 'link').symlink_to(tmp_path)
    assert sorted(each.job_id for each in job_folders(work)) == ['job-1', 'job-2']
    assert list(job_folders(tmp_path / 'nowhere')) == []
