"""Submissions that several processes settle at once, or that are made again meanwhile."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from psij_ext.runtime import processes
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.settlement import OpenSubmission, Origins, settle_by_folders, settle_by_origins

DEAD = {**processes.this_process(), 'pid': 4_000_000, 'start_time': 1}
ALIVE = {**processes.this_process(), 'pid': os.getppid(), 'start_time': processes.start_time(os.getppid())}


def submitted(folder: JobFolder, nonce: str, owner: Mapping[str, object]) -> None:
    folder.open_journal({'job_id': folder.job_id, 'nonce': nonce, 'owner': owner, 'submitted': time.time()}, '{}')


@pytest.fixture
def folder(tmp_path: Path) -> JobFolder:
    made = JobFolder.create(tmp_path, 'job')
    submitted(made, 'first', DEAD)
    return made


def one_more(folder: JobFolder) -> OpenSubmission:
    """What another process finds there."""
    return OpenSubmission(JobFolder(folder.path), 'it was cut short')


@pytest.mark.parametrize(('earlier', 'later'), [({}, {'job': ['7']}), ({'job': ['7']}, {}), ({'job': ['7']}, {'job': ['7', '8']})])
def test_two_who_are_told_otherwise_come_to_the_same(folder: JobFolder, earlier: Origins, later: Origins) -> None:
    found = [settle_by_folders([one_more(folder)])[0] for _ in range(2)]
    for unclaimed, origins in zip(found, (earlier, later)):
        assert settle_by_origins(unclaimed, origins) == []
    journal = folder.read_journal()
    if earlier:
        assert (journal.native_id, journal.not_submitted, folder.claimed_by('first')) == ('7', None, None)
    else:
        assert (journal.native_id, journal.not_submitted, folder.claimed_by('first')) == (None, 'it was cut short', REVOKED)


def test_the_script_has_the_last_word(folder: JobFolder) -> None:
    unclaimed, _ = settle_by_folders([one_more(folder)])
    (folder.path / 'claim.first').symlink_to('9')
    settle_by_origins(unclaimed, {})
    assert (folder.read_journal().native_id, folder.read_journal().not_submitted) == ('9', None)


def test_what_is_submitted_again_meanwhile_is_not_settled(folder: JobFolder) -> None:
    found = one_more(folder)
    unclaimed, _ = settle_by_folders([found])
    folder.note_not_submitted('it was cut short', reported=True)  # as another process found
    submitted(folder, 'second', ALIVE)
    settle_by_origins(unclaimed, {})
    journal = folder.read_journal()
    assert (journal.nonce, journal.is_open, journal.reported, folder.claimed_by('second')) == ('second', True, None, None)
    assert settle_by_folders([found]) == ([], [found])
    folder.set_native_id('7')
    assert settle_by_folders([found]) == ([], [])
    assert (folder.read_journal().native_id, folder.read_journal().not_submitted) == ('7', None)
