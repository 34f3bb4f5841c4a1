"""The folder of an array, which is a folder to each of its elements."""

from __future__ import annotations

import errno
import logging
import os
from datetime import timedelta
from pathlib import Path

import pytest
from array_folders import RECORD, SPECS, by_underscore, end, make_array, member
from indexed import ids, make_job, run

from faulty_files import FaultyFiles
from psij_ext.cli.known import known_jobs
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import FolderUnreadable
from psij_ext.runtime.arrays import ArrayFolder
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.ending import kept_end
from psij_ext.runtime.finding import find_folder, has_lost, job_folders, open_folders
from psij_ext.runtime.index import Index
from psij_ext.runtime.index_rebuild import rebuild
from psij_ext.runtime.private import append_to_file
from psij_ext.runtime.retention import prune
from psij_ext.runtime.settlement import OpenSubmission, settle_by_folders, settle_by_origins

MONTH = timedelta(days=30)
LATER = 1_000_000_000.0


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / 'odd "work" *\n$dir' / 'slurm'


@pytest.fixture
def array(work: Path) -> ArrayFolder:
    return make_array(work, '12')


def found(work: Path, native_id: str) -> str | None:
    folder = find_folder(work, native_id)
    return None if folder is None else folder.job_id


# -- elements are found


@pytest.mark.parametrize(('array_id', 'elements'), [
    ('12', ['12_0', '12_1', '12_2']),
    ('12;big', ['12_0;big', '12_1;big', '12_2;big']),
    ('77[].host1.site', ['77[0].host1.site', '77[1].host1.site', '77[2].host1.site'])])
def test_elements_are_found_by_their_native_ids(work: Path, array_id: str, elements: list[str]) -> None:
    make_array(work, array_id)
    for number, native_id in enumerate(elements):
        folder = find_folder(work, native_id)
        assert folder is not None
        assert (folder.job_id, folder.read_journal().native_id) == (f'job {number}', native_id)
        assert folder.read_journal().submission == {
            'format': 1, 'job_id': f'job {number}', 'executor': 'slurm', 'url': None, 'nonce': 'f00', 'submitted': 100.0}


@pytest.mark.parametrize('native_id', ['12', '12_3', '12_01', '13_1', '12_', '_1', '1', '12_1;big', '12_*', '12_1_1', '.'])
def test_nobody_else_is_taken_for_an_element(work: Path, array: ArrayFolder, native_id: str) -> None:
    assert find_folder(work, native_id) is None


def test_an_id_that_the_scheduler_gave_again_is_the_newer_ones(work: Path, array: ArrayFolder) -> None:
    old = member(array, 1)
    assert not has_lost(old, '12_1')
    newer = make_array(work, '12', called='newer')
    assert has_lost(old, '12_1') is True
    assert has_lost(member(newer, 1), '12_1') is False
    assert find_folder(work, '12_1') is not None
    assert find_folder(work, '12_1').path == newer.path  # type: ignore[union-attr]


def test_an_array_may_have_the_id_that_a_job_had(work: Path) -> None:
    job = make_job(work.parent, 'a', '12')
    make_array(work, '12')
    assert has_lost(job, '12')
    assert find_folder(work, '12') is None


def test_where_files_have_one_name_only_elements_are_found_all_the_same(
        work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, 'No such links here')

    monkeypatch.setattr(os, 'link', link)
    array = make_array(work, '12')
    end(member(array, 1))
    assert (found(work, '12_1'), found(work, '12_2'), found(work, '12')) == ('job 1', 'job 2', None)


# -- the journal


def test_each_element_has_its_own_description(array: ArrayFolder, work: Path) -> None:
    told = [folder.read_journal().spec for folder in job_folders(work)]
    assert [JSONSerializer().loads(text or '') for text in told] == [*SPECS]


def test_odd_descriptions_survive(work: Path) -> None:
    specs = [JobSpec(text, [text], name=text, environment={'A': text}, stdout_path=text)
             for text in ('plain', 'new\nline', '"', '\udcff', 'ü', '{"differs": 1, "fields": {}}')]
    array = make_array(work, '12', specs=specs)
    assert [JSONSerializer().loads(folder.read_journal().spec or '') for folder in array.jobs] == specs


def test_what_is_kept_of_one_element_is_that_ones_alone(array: ArrayFolder, work: Path) -> None:
    end(member(array, 1))
    member(array, 2).note_cancel()
    member(array, 0).note_owner({'pid': 5})
    first, second, third = (folder.read_journal() for folder in array.jobs)
    assert (first.end, first.cancel_noted, first.reported, first.owner) == (None, False, None, {'pid': 5})
    assert (third.end, third.cancel_noted, third.reported, third.owner) == (None, True, None, None)
    assert (second.cancel_noted, second.owner) == (False, None)
    kept = kept_end(member(array, 1))
    assert kept is not None and second.reported is not None
    assert (kept[0].time, kept[0].exit_code, kept[1].message) == (900.0, 3, 'it broke')
    assert array.read_journal().end is None


def test_the_newest_counts(array: ArrayFolder) -> None:
    end(member(array, 1), 900.0)
    assert array.member(1) is not None
    end(member(array, 1), 950.0)
    kept = kept_end(member(array, 1))
    assert kept is not None and kept[0].time == 950.0


def test_what_other_processes_keep_is_read_too(array: ArrayFolder, work: Path) -> None:
    assert kept_end(member(array, 1)) is None
    run('import sys, pathlib; from psij_ext.runtime.finding import find_folder\n'
        'folder = find_folder(pathlib.Path(sys.argv[1]), "12_1"); folder.note_cancel()\n'
        'assert folder.read_journal().cancel_noted', work)
    assert member(array, 1).read_journal().cancel_noted
    assert not member(array, 2).read_journal().cancel_noted


def test_a_line_that_is_cut_short_spoils_no_other_and_may_be_completed_later(array: ArrayFolder) -> None:
    journal = str(array.path / 'journal')
    append_to_file(journal, b'\n{"member": 1, "says": {"cancel"')
    assert not member(array, 1).read_journal().cancel_noted
    append_to_file(journal, b': 5.0}}')
    assert member(array, 1).read_journal().cancel_noted
    append_to_file(journal, b'\n{"member": 0, "sa')
    member(array, 2).note_cancel()
    assert [folder.read_journal().cancel_noted for folder in array.jobs] == [False, True, True]


def test_a_journal_that_is_read_while_it_is_written_tells_the_same_of_all_elements_afterwards(work: Path) -> None:
    specs = [JobSpec('true', [str(number)]) for number in range(13)]
    array = make_array(work, '12', specs=specs)
    journal = array.path / 'journal'
    whole = journal.read_bytes()
    read = ArrayFolder(array.path)
    for end_of_line in (whole.index(b'{"differs": 12') + len(b'{"differs": 1') + more for more in range(4)):
        journal.write_bytes(whole[:end_of_line])
        read.read_journal()
    journal.write_bytes(whole)
    told = [JSONSerializer().loads(folder.read_journal().spec or '').arguments for folder in read.jobs]
    assert told == [spec.arguments for spec in specs]


def test_what_makes_no_sense_is_passed_over(array: ArrayFolder) -> None:
    for line in (b'5', b'\xff', b'{"member": "1", "says": {"cancel": 1}}', b'{"member": 99, "says": {"end": {}}}',
                 b'{"member": 1, "says": 5}', b'{"differs": x, "fields": {}}', b'{"differs": 1', b'[' * 5000):
        append_to_file(str(array.path / 'journal'), b'\n' + line)
    assert [folder.read_journal().cancel_noted for folder in array.jobs] == [False] * 3
    assert [folder.job_id for folder in array.jobs] == ['job 0', 'job 1', 'job 2']


def test_no_more_is_read_than_is_new(array: ArrayFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    member(array, 0).read_journal()
    begins: list[int] = []
    real = os.lseek
    monkeypatch.setattr(os, 'lseek', lambda descriptor, place, how: begins.append(place) or real(descriptor, place, how))
    size = (array.path / 'journal').stat().st_size
    member(array, 2).note_cancel()
    assert not member(array, 0).read_journal().cancel_noted
    # From the beginning of what was the last line, which might have been longer.
    assert len(begins) == 1 and size / 2 < begins[0] < size


def test_a_second_attempt_has_another_nonce(array: ArrayFolder) -> None:
    array.note_submission({'job_id': array.path.name, 'nonce': 'bad'})
    assert {folder.read_journal().nonce for folder in array.jobs} == {'bad'} == {array.read_journal().nonce}


def test_a_journal_that_cannot_be_read_now_is_told_of(work: Path, array: ArrayFolder, monkeypatch: pytest.MonkeyPatch,
                                                       caplog: pytest.LogCaptureFixture) -> None:
    job = make_job(work.parent, 'a', '5')
    folder = member(array, 1)
    with FaultyFiles(monkeypatch).on(array.path, 'EIO on read'):
        member(array, 0).note_cancel()
        with pytest.raises(FolderUnreadable):
            folder.read_journal()
        with pytest.raises(FolderUnreadable):
            array.member(0)
        with caplog.at_level(logging.WARNING):
            assert [each.job_id for each in job_folders(work)] == [job.job_id]
    assert 'are passed over' in caplog.text
    assert len([*job_folders(work)]) == 4


def test_folders_of_arrays_that_hold_nothing_have_no_jobs(work: Path) -> None:
    ArrayFolder.make(work)
    assert [*job_folders(work)] == [*open_folders(work)] == []


# -- the files


def test_what_the_scripts_of_elements_write_lies_side_by_side(array: ArrayFolder) -> None:
    (array.path / '1.exit').write_text('attempt=1\nnative_id=12_1\nexit_code=3\nphase=done\nterm=\nended=5\n')
    (array.path / '1.progress').write_text(RECORD)
    (array.path / '2.preparing').write_text('')
    (array.path / '2.term').write_text('attempt=1\nbegan=1\nseen=2\n')
    first, second, third = array.jobs
    record = second.read_exit()
    assert record is not None and record.exit_code == 3
    assert [len(each.read_progress()) for each in (first, second, third)] == [0, 1, 0]
    assert [each.is_preparing for each in (first, second, third)] == [False, False, True]
    assert [each.read_term_note() is None for each in (first, second, third)] == [True, True, False]
    assert first.read_exit() is third.read_exit() is None
    assert second.path_of('stdout') == array.path / '1.stdout'
    assert second.scheduler_output_path == array.path / '1.scheduler.out'
    assert second.script_path == array.path / 'script'


def test_an_element_is_unclaimed_until_its_own_script_begins(array: ArrayFolder) -> None:
    (array.path / 'claim.f00').symlink_to('12')
    (array.path / '1.progress').write_text('')
    assert [folder.is_unclaimed for folder in array.jobs] == [True, False, True]


def test_nothing_is_unclaimed_in_a_folder_that_is_away(array: ArrayFolder) -> None:
    first = member(array, 0)
    array.path.rename(array.path.parent / '.away')
    assert not first.is_unclaimed


def test_a_mailbox_is_noted_once_for_all_elements(array: ArrayFolder) -> None:
    for box in ('/box/1', '/box/2'):
        for folder in array.jobs:
            folder.add_follower(Path(box))
    assert (array.path / 'followers').read_bytes() == b'/box/1\0/box/2\0'


def test_what_all_share_is_tidied_away_with_the_last_that_succeeds(array: ArrayFolder) -> None:
    for name in ('script', 'tasks', 'environment', 'followers', '0.nodes', '1.nodes', '2.nodes', '0.exit', '0.stdout'):
        (array.path / name).write_text('')
    for index in (2, 0):
        end(member(array, index), well=True)
        member(array, index).tidy()
    assert (array.path / 'script').exists() and (array.path / 'tasks').exists()
    end(member(array, 1), well=True)
    member(array, 1).tidy()
    assert sorted(path.name for path in array.path.iterdir()) == ['0.exit', '0.stdout', 'journal']


def test_a_failure_keeps_what_all_share(array: ArrayFolder) -> None:
    (array.path / 'script').write_text('')
    for index in range(3):
        end(member(array, index), well=index != 1)
        member(array, index).tidy()
    assert (array.path / 'script').exists()


# -- what becomes of the submission


def open_array(work: Path) -> tuple[ArrayFolder, list[tuple[str | None, str]], OpenSubmission]:
    folder, told = make_array(work, None), []
    assert [each.path for each in open_folders(work)] == [folder.path]
    assert all(each.read_journal().is_open for each in job_folders(work))
    return folder, told, OpenSubmission(folder, 'killed', lambda *settled: told.append(settled))


def test_an_open_array_is_adopted_whole(work: Path) -> None:
    folder, told, submission = open_array(work)
    (folder.path / 'claim.f00').symlink_to('12')
    assert settle_by_folders([submission]) == ([], [])
    assert told == [('12', '')]
    assert [found(work, f'12_{index}') for index in range(3)] == ['job 0', 'job 1', 'job 2']
    assert [*open_folders(work)] == []


def test_an_open_array_that_the_scheduler_has_is_adopted(work: Path) -> None:
    folder, told, submission = open_array(work)
    unclaimed, _ = settle_by_folders([submission])
    assert settle_by_origins(unclaimed, {folder.path.name: ['12']}) == []
    assert told == [('12', '')]
    assert found(work, '12_2') == 'job 2'


def test_an_open_array_is_revoked_whole(work: Path) -> None:
    folder, told, submission = open_array(work)
    folder.write_tasks(b'true\n')
    unclaimed, _ = settle_by_folders([submission])
    assert settle_by_origins(unclaimed, {}) == []
    assert not (folder.path / 'tasks').exists()
    assert told == [(None, 'killed')]
    assert folder.claimed_by('f00') == REVOKED
    assert {each.read_journal().not_submitted for each in job_folders(work)} == {'killed'}
    assert [*open_folders(work)] == []


def test_without_its_executor_nobody_can_name_its_elements(work: Path, caplog: pytest.LogCaptureFixture) -> None:
    class Executor:
        def element_id(self, array_id: str, index: int) -> str:
            return by_underscore(array_id, index)

    folder, _, submission = open_array(work)
    folder.name_elements_by(Executor().element_id)
    with caplog.at_level(logging.WARNING):
        submission.adopt('12')
    assert 'cannot be kept' in caplog.text
    assert folder.read_journal().is_open


# -- those who go through folders


def test_an_array_is_pruned_when_all_of_its_jobs_may_go(work: Path, tmp_path: Path) -> None:
    array, other = make_array(work, '12'), make_array(work, '13', called='other')
    state = tmp_path / 'state'
    for folder in (member(array, 0), member(array, 2), *other.jobs):
        end(folder)
    rebuild([work.parent], state)
    first = prune([work.parent], MONTH, LATER, folder=state)
    assert {job.folder.path for job in first.jobs} == {other.path}
    assert [job.native_id for job in first.jobs] == ['13_0', '13_1', '13_2']
    assert {path.name for path in work.iterdir()} == {'.native', array.path.name}
    assert {path.name for path in (work / '.native').iterdir()} == {'12', '12_%2A'}
    end(member(array, 1), reported=False)
    assert prune([work.parent], MONTH, LATER, folder=state).jobs == ()
    end(member(array, 1))
    assert len(prune([work.parent], MONTH, LATER, folder=state).jobs) == 3
    assert {path.name for path in work.iterdir()} == {'.native'}
    assert [*(work / '.native').iterdir()] == []


def test_the_index_is_made_anew_from_arrays_too(work: Path, tmp_path: Path) -> None:
    array = make_array(work, '12', session='s')
    end(member(array, 1))
    (array.path / '2.progress').write_text(RECORD)
    state = tmp_path / 'state'
    assert rebuild([work.parent], state).jobs == 3
    jobs = {job.job_id: job for job in Index(state).jobs()}
    assert {job.native_id for job in jobs.values()} == {'12_0', '12_1', '12_2'}
    assert [(jobs[f'job {index}'].name, str(jobs[f'job {index}'].state), jobs[f'job {index}'].session) for index in range(3)] == [
        ('run 0', 'QUEUED', 's'), ('run 1', 'FAILED', 's'), (None, 'ACTIVE', 's')]
    assert jobs['job 2'].folder.read_progress()
    assert ids(state, native_id='12_1') == ['job 1']


def test_the_jobs_of_arrays_are_known_in_their_order(work: Path) -> None:
    make_job(work.parent, 'zzz', '5', submitted=99.0)
    make_array(work, '12', specs=[JobSpec('true')] * 12)
    make_job(work.parent, 'aaa', '6', submitted=101.0)
    assert [job.native_id for job in known_jobs(work.parent)] == ['5', *(f'12_{index}' for index in range(12)), '6']
