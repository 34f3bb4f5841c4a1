"""What a prune removes, and above all what it does not."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from indexed import ids, locked, make_job
from pytest_mock import MockerFixture

from psij_ext.runtime import retention
from psij_ext.runtime.finding import find_folder
from psij_ext.runtime.index import Index
from psij_ext.runtime.index_rebuild import rebuild
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.retention import Pruned, prune
from psij_ext.runtime.spares import make_spare

NOW = 1_000_000_000.0
DAY = 86400.0
MONTH = timedelta(days=30)
LONG_AGO, RECENTLY = NOW - 31 * DAY, NOW - 29 * DAY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / 'psij-ext'


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / 'work'


def names(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()}


def pruned_ids(pruned: Pruned) -> list[str]:
    return sorted(job.folder.job_id for job in pruned.jobs)


def test_only_what_ended_long_ago_and_was_reported_goes(work: Path, folder: Path) -> None:
    make_job(work, 'over', '1', ended=LONG_AGO, reported=LONG_AGO)
    make_job(work, 'recent', '2', ended=RECENTLY, reported=RECENTLY)
    make_job(work, 'unreported', '3', ended=LONG_AGO)
    make_job(work, 'alive', '4', progress=f'1 ACTIVE {LONG_AGO}\n')
    make_job(work, 'reported without an end', '5', reported=LONG_AGO)
    make_job(work, 'never submitted', None, ended=LONG_AGO, reported=LONG_AGO)
    make_job(work, 'other executor', '1', executor='pbspro', ended=LONG_AGO, reported=LONG_AGO)
    rebuild([work], folder)
    pruned = prune([work], MONTH, NOW, folder=folder)
    assert pruned_ids(pruned) == ['other executor', 'over']
    assert names(work / 'slurm') == {
        '.native', 'recent', 'unreported', 'alive', 'reported without an end', 'never submitted'}
    assert names(work / 'slurm' / '.native') == {'2', '3', '4', '5'}
    assert names(work / 'pbspro') == {'.native'} and names(work / 'pbspro' / '.native') == set()
    assert sorted(ids(folder)) == ['alive', 'recent', 'reported without an end', 'unreported']
    assert (pruned.troubles, pruned.index_trouble) == ({}, None)


def test_the_folder_decides_and_not_the_index(work: Path, folder: Path, tmp_path: Path) -> None:
    """The index says of one job that it is over and done with, and of the other that it lives; it is wrong both times."""
    make_job(tmp_path / 'before', 'a', '1', ended=LONG_AGO, reported=LONG_AGO)
    make_job(tmp_path / 'before', 'b', '2')
    rebuild([tmp_path / 'before'], folder)
    make_job(work, 'a', '1')
    make_job(work, 'b', '2', ended=LONG_AGO, reported=LONG_AGO)
    assert pruned_ids(prune([work], MONTH, NOW, folder=folder)) == ['b']
    assert ids(folder) == ['a']


def test_a_job_that_began_anew_after_its_end_stays(work: Path, folder: Path) -> None:
    make_job(work, 'requeued', '1', ended=LONG_AGO, reported=LONG_AGO,
             progress=f'1 ACTIVE {LONG_AGO - 9}\n2 ACTIVE {LONG_AGO + 9}\n')
    assert pruned_ids(prune([work], MONTH, NOW, folder=folder)) == []
    assert 'requeued' in names(work / 'slurm')


@pytest.mark.parametrize('damage', ['{"end": {"state": "ACTIVE"}}', '{"end": 7}', '{"end": null}', '{"reported": null}', '{"reported": "yes"}'])
def test_what_cannot_be_read_stays(work: Path, folder: Path, damage: str) -> None:
    journal = make_job(work, 'a', '1', ended=LONG_AGO, reported=LONG_AGO).path / 'journal'
    journal.write_text(f'{journal.read_text()}\n{damage}')
    assert pruned_ids(prune([work], MONTH, NOW, folder=folder)) == []
    assert 'a' in names(work / 'slurm')


def test_a_dry_run_tells_and_removes_nothing(work: Path, folder: Path) -> None:
    make_job(work, 'a', '1', ended=LONG_AGO, reported=LONG_AGO)
    spare = make_spare(work / 'slurm')
    rebuild([work], folder)
    pruned = prune([work], MONTH, NOW * 2, folder=folder, dry_run=True)
    assert pruned_ids(pruned) == ['a']
    assert pruned.litter == (spare,)
    assert names(work / 'slurm') == {'a', '.native', spare.name}
    assert ids(folder) == ['a']


class Entries(list):  # type: ignore[type-arg]
    """What `os.scandir` gives, as the folder was a moment ago."""

    def __enter__(self) -> Entries:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def test_a_spare_folder_that_a_program_takes_at_this_moment_is_no_trouble(
        work: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(work, 'a', '1')
    spare, scandir, litter = make_spare(work / 'slurm'), os.scandir, retention._litter

    def scan_before(path: Path) -> Entries:
        entries = Entries(scandir(path))
        spare.rename(work / 'slurm' / 'b')
        return entries

    def look_late(*arguments: Any) -> list[Path]:
        with monkeypatch.context() as patches:
            patches.setattr(os, 'scandir', scan_before)
            return litter(*arguments)

    monkeypatch.setattr(retention, '_litter', look_late)
    pruned = prune([work], MONTH, 2 * NOW, folder=folder)
    assert (pruned.troubles, pruned.litter, (work / 'slurm' / 'b').exists()) == ({}, (), True)


def test_an_id_that_is_given_to_another_job_at_this_moment_leads_there(
        work: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_job(work, 'old', '1', ended=LONG_AGO, reported=LONG_AGO)
    names_of_nobody = retention._names_of_nobody

    def given_again(executor_folder: Path) -> list[Path]:
        found = names_of_nobody(executor_folder)
        if found:
            make_job(work, 'new', '1')
        return found

    monkeypatch.setattr(retention, '_names_of_nobody', given_again)
    assert pruned_ids(prune([work], MONTH, NOW, folder=folder)) == ['old']
    led = find_folder(work / 'slurm', '1')
    assert led is not None
    assert led.job_id == 'new'


def test_litter(work: Path, folder: Path) -> None:
    make_job(work, 'alive', '1')
    old, young = (make_spare(work / 'slurm') for _ in range(2))
    os.utime(old, (NOW - 1.1 * DAY, NOW - 1.1 * DAY))
    os.utime(young, (NOW - 0.9 * DAY, NOW - 0.9 * DAY))
    began = JobFolder.create(work / 'slurm', '.pruned-0123')
    began.write_script('')
    gone = make_job(work, 'gone', '2.server/x')
    (gone.path / 'journal').unlink()
    gone.path.rmdir()
    (work / 'slurm' / '.native' / 'unreadable').write_text('no sense')
    (work / 'slurm' / '.native' / 'folder').mkdir()
    pruned = prune([work], MONTH, NOW, folder=folder)
    assert names(work / 'slurm') == {'alive', '.native', young.name}
    assert names(work / 'slurm' / '.native') == {'1', 'folder', 'unreadable'}
    assert set(pruned.litter) == {old, began.path, work / 'slurm' / '.native' / '2.server%2Fx'}


def test_links_are_not_followed(work: Path, folder: Path, tmp_path: Path) -> None:
    precious = make_job(tmp_path / 'elsewhere', 'a', '1', ended=LONG_AGO, reported=LONG_AGO).path
    (work / 'slurm').mkdir(parents=True)
    (work / 'linked').symlink_to(precious.parent)
    (work / 'slurm' / 'job').symlink_to(precious)
    (work / 'slurm' / '.pruned-0').symlink_to(precious)
    (work / 'slurm' / '.native').mkdir()
    job = make_job(work, 'b', '2', ended=LONG_AGO, reported=LONG_AGO)
    (job.path / 'out').symlink_to(precious)
    prune([work], MONTH, NOW, folder=folder)
    assert names(work / 'slurm') == {'job', '.native'}
    assert names(precious) == {'journal'}


def test_what_cannot_be_removed_is_told_of(work: Path, folder: Path, mocker: MockerFixture) -> None:
    for job_id in 'ab':
        make_job(work, job_id, job_id, ended=LONG_AGO, reported=LONG_AGO)
    rebuild([work], folder)
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name == 'a':
            raise PermissionError(13, 'Permission denied')
        return rename(path, target)

    mocker.patch.object(Path, 'rename', fail)
    pruned = prune([work], MONTH, NOW, folder=folder)
    assert (pruned_ids(pruned), pruned.troubles) == (['b'], {work / 'slurm' / 'a': 'Permission denied'})
    assert ids(folder) == ['a']


def test_a_work_directory_that_cannot_be_read_is_told_of(work: Path, folder: Path, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    make_job(work, 'a', '1', ended=LONG_AGO, reported=LONG_AGO)
    pruned = prune([tmp_path / 'file', tmp_path / 'nowhere', work], MONTH, NOW, folder=folder)
    assert (pruned_ids(pruned), pruned.troubles) == (['a'], {tmp_path / 'file': 'Not a directory'})


def test_no_index_is_made_by_it(work: Path, folder: Path) -> None:
    make_job(work, 'a', '1', ended=LONG_AGO, reported=LONG_AGO)
    assert prune([work], MONTH, NOW, folder=folder).index_trouble is None
    assert not folder.exists()


def test_folders_go_where_the_index_is_locked(work: Path, folder: Path, mocker: MockerFixture) -> None:
    mocker.patch('psij_ext.runtime.retention._PATIENCE', 0.0)
    make_job(work, 'a', '1', ended=LONG_AGO, reported=LONG_AGO)
    rebuild([work], folder)
    with locked(folder):
        pruned = prune([work], MONTH, NOW, folder=folder)
    assert pruned_ids(pruned) == ['a']
    assert pruned.index_trouble is not None and 'locked' in pruned.index_trouble


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(jobs=st.lists(st.tuples(st.none() | st.floats(0, 2 * NOW), st.none() | st.floats(0, 2 * NOW)), max_size=4),
       days=st.integers(0, 400))
def test_no_job_goes_that_may_still_matter(
        tmp_path_factory: pytest.TempPathFactory, jobs: list[tuple[float | None, float | None]], days: int) -> None:
    top = tmp_path_factory.mktemp('prune')
    for number, (ended, reported) in enumerate(jobs):
        make_job(top / 'work', str(number), str(number), ended=ended, reported=reported)
    prune([top / 'work'], timedelta(days=days), NOW, folder=top / 'index')
    for number, (ended, reported) in enumerate(jobs):
        may_go = ended is not None and reported is not None and ended < NOW - days * DAY
        assert (top / 'work' / 'slurm' / str(number)).exists() is not may_go


def test_rows_of_jobs_that_stay_stay(work: Path, folder: Path) -> None:
    make_job(work, 'a', '1', ended=LONG_AGO, reported=LONG_AGO)
    make_job(work, 'b', '2', ended=LONG_AGO)
    rebuild([work], folder)
    prune([work], MONTH, NOW, folder=folder)
    (job,) = Index(folder).jobs()
    assert (job.job_id, len(job.states)) == ('b', 2)
