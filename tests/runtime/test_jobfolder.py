from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from psij_ext.core.state import JobState
from psij_ext.exceptions import PsijExtError
from psij_ext.runtime.claims import REVOKED, new_nonce
from psij_ext.runtime.finding import job_folders
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.private import check_private
from psij_ext.runtime.records import ExitRecord, ProgressEntry
from psij_ext.runtime.usage import Request, usage_of

SAME_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / 'odd "work"\n$dir'


@pytest.fixture
def folder(work: Path) -> JobFolder:
    return JobFolder.create(work, 'job-1')


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def submitted(work: Path, job_id: str, native_id: str) -> JobFolder:
    folder = JobFolder.create(work, job_id)
    folder.open_journal({'job_id': job_id}, '{}')
    folder.set_native_id(native_id)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


# -- permissions


def test_everything_is_private_whatever_the_umask(tmp_path: Path, umask: None) -> None:
    work = tmp_path / 'work'
    folder = JobFolder.create(work, 'job-1')
    folder.open_journal({'job_id': 'job-1'}, '{}')
    folder.write_script('#!/bin/bash\n')
    folder.write_environment("export TOKEN='secret'\n")
    folder.add_follower(Path('/box/1'))
    folder.set_native_id('12')
    folder.note_cancel()
    folder.write_end({'state': 'FAILED'})
    assert mode(work) == mode(work / '.native') == mode(folder.path) == 0o700
    assert {path.name: mode(path) for path in folder.path.iterdir()} == {
        'environment': 0o600, 'followers': 0o600, 'journal': 0o600, 'script': 0o700}


def test_a_work_directory_of_our_own_is_private(folder: JobFolder, work: Path) -> None:
    check_private(work)


@pytest.mark.parametrize('rights', [0o770, 0o702, 0o1777])
def test_a_work_directory_that_others_may_write_to_is_refused(tmp_path: Path, rights: int) -> None:
    tmp_path.chmod(rights)
    with pytest.raises(PsijExtError, match='can be written to by others'):
        check_private(tmp_path)


# -- what others have planted


def test_a_planted_link_is_no_job_folder(work: Path, tmp_path: Path) -> None:
    work.mkdir()
    (tmp_path / 'elsewhere').mkdir()
    (work / 'job-1').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(FileExistsError):
        JobFolder.create(work, 'job-1')
    assert list((tmp_path / 'elsewhere').iterdir()) == []
    assert list(job_folders(work)) == []


def test_a_planted_file_is_no_job_folder(work: Path) -> None:
    work.mkdir()
    (work / 'job-1').write_text('')
    with pytest.raises(FileExistsError):
        JobFolder.create(work, 'job-1')
    assert list(job_folders(work)) == []


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give a folder away')
def test_a_folder_of_somebody_else_is_no_job_folder(work: Path) -> None:
    (work / 'job-1').mkdir(parents=True)
    os.chown(work / 'job-1', 1, 1)
    with pytest.raises(FileExistsError):
        JobFolder.create(work, 'job-1')


@pytest.mark.parametrize(('name', 'content'), [
    ('exit', 'attempt=1\nnative_id=1\nexit_code=0\nphase=done\nterm=\nended=5\n'),
    ('progress', '1 ACTIVE 5\n'),
    ('journal', '{"submission": {}}\n{"spec": "{}"}\n{"native_id": "12"}\n{"end": {}}\n{"cancel": 1}\n'),
])
def test_planted_links_are_not_followed(folder: JobFolder, tmp_path: Path, name: str, content: str) -> None:
    secret = tmp_path / 'secret'
    secret.write_text(content)
    (folder.path / name).symlink_to(secret)
    assert read_all(folder) == NOTHING


def test_planted_links_are_not_written_through(folder: JobFolder, tmp_path: Path) -> None:
    victim = tmp_path / 'victim'
    victim.write_text('mine')
    for name in ('journal', 'script', 'environment', 'followers'):
        (folder.path / name).symlink_to(victim)
    for append in (lambda: folder.set_native_id('12'), folder.note_cancel, lambda: folder.write_end({}),
                   lambda: folder.open_journal({}, '{}'), lambda: folder.add_follower(Path('/box'))):
        with pytest.raises(OSError, match='symbolic'):
            append()
    folder.write_script('theirs')
    folder.write_environment('theirs')
    assert victim.read_text() == 'mine'
    assert folder.script_path.read_text() == 'theirs'
    assert not folder.script_path.is_symlink()


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give a file away')
def test_a_file_of_somebody_else_is_passed_over(folder: JobFolder) -> None:
    write_exit(folder, 'attempt=1\nnative_id=1\nexit_code=0\nphase=done\nterm=\nended=5\n')
    os.chown(folder.path / 'exit', 1, 1)
    assert folder.read_exit() is None


def test_a_pipe_is_passed_over_and_not_waited_for(folder: JobFolder) -> None:
    os.mkfifo(folder.path / 'exit')
    assert folder.read_exit() is None


def test_a_folder_in_place_of_a_file_is_passed_over(folder: JobFolder) -> None:
    for name in ('exit', 'progress', 'journal'):
        (folder.path / name).mkdir()
    assert read_all(folder) == NOTHING


NOTHING = (None, [], None, None, None, None, False)


def read_all(folder: JobFolder) -> tuple[object, ...]:
    return (folder.read_exit(), folder.read_progress(), folder.read_journal().submission, folder.read_journal().spec, folder.read_journal().native_id,
            folder.read_journal().end, folder.read_journal().cancel_noted)


# -- making


def test_a_refused_folder_can_be_used_again(folder: JobFolder, work: Path) -> None:
    folder.open_journal({'job_id': 'job-1', 'nonce': 'first'}, 'first')
    folder.write_script('first')
    assert folder.revoke('first') is None
    again = JobFolder.create(work, 'job-1')
    assert again.path == folder.path
    again.open_journal({'job_id': 'job-1', 'nonce': 'second'}, 'second')
    again.write_script('second')
    assert again.read_journal().submission == {'job_id': 'job-1', 'nonce': 'second'}
    assert (again.read_journal().spec, again.script_path.read_text()) == ('second', 'second')
    assert again.claimed_by('first') == REVOKED
    assert again.claimed_by('second') is None


def test_the_folder_of_a_submitted_job_is_not_used_again(folder: JobFolder, work: Path) -> None:
    folder.set_native_id('12')
    with pytest.raises(FileExistsError):
        JobFolder.create(work, 'job-1')


def test_a_work_directory_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(OSError, match='file'):
        JobFolder.create(tmp_path / 'file' / 'work', 'job-1')


# -- the claim


def test_a_revoked_submission_stays_revoked(folder: JobFolder) -> None:
    nonce = new_nonce()
    assert folder.claimed_by(nonce) is None
    assert folder.revoke(nonce) is None
    assert folder.revoke(nonce) is None
    assert folder.claimed_by(nonce) == REVOKED


def test_a_claimed_submission_is_not_revoked(folder: JobFolder) -> None:
    (folder.path / 'claim.n').symlink_to('12')
    assert folder.revoke('n') == '12'
    assert folder.claimed_by('n') == '12'


def test_nonces_do_not_repeat() -> None:
    assert len({new_nonce() for _ in range(1000)}) == 1000


def _revoke_each(path: Path, rounds: int, go: multiprocessing.synchronize.Barrier, results: multiprocessing.Queue[str]) -> None:
    folder = JobFolder(path)
    for number in range(rounds):
        go.wait()
        results.put(folder.revoke(f'n{number}') or REVOKED)


def _claim_each(path: Path, rounds: int, go: multiprocessing.synchronize.Barrier) -> None:
    for number in range(rounds):
        go.wait()
        subprocess.run(['ln', '-sn', '--', '12', path / f'claim.n{number}'], stderr=subprocess.DEVNULL, check=False)


def test_of_claim_and_revocation_exactly_one_wins(folder: JobFolder) -> None:
    rounds = 60
    fork = multiprocessing.get_context('fork')
    go, results = fork.Barrier(2), fork.Queue()
    workers = [fork.Process(target=_revoke_each, args=(folder.path, rounds, go, results)),
               fork.Process(target=_claim_each, args=(folder.path, rounds, go))]
    for worker in workers:
        worker.start()
    seen_by_submitter = [results.get(timeout=30) for _ in range(rounds)]
    for worker in workers:
        worker.join(30)
    assert [folder.claimed_by(f'n{number}') for number in range(rounds)] == seen_by_submitter
    assert set(seen_by_submitter) <= {'12', REVOKED}


def submit(folder: JobFolder) -> None:
    folder.open_journal({'nonce': 'n'}, '{}')
    folder.write_script('psij_claim=$psij_folder/claim.n\n')


@pytest.mark.parametrize(('holder', 'unclaimed'), [(None, True), (REVOKED, True), ('12', False)])
def test_whether_a_script_has_claimed_its_submission(folder: JobFolder, holder: str | None, unclaimed: bool) -> None:
    submit(folder)
    (folder.path / 'claim.earlier').symlink_to('11')
    if holder is not None:
        (folder.path / 'claim.n').symlink_to(holder)
    assert folder.is_unclaimed is unclaimed


def test_a_folder_that_cannot_be_read_does_not_tell_that_nobody_claimed_it(folder: JobFolder) -> None:
    assert not folder.is_unclaimed  # no journal
    submit(folder)
    shutil.rmtree(folder.path)
    assert not folder.is_unclaimed


@pytest.mark.parametrize('script', ['#!/bin/sh\nexit 3\n', 'psij_claim=$psij_folder/claim.n2\n', None])
def test_a_script_that_claims_nothing_tells_nothing(folder: JobFolder, script: str | None) -> None:
    folder.open_journal({'nonce': 'n'}, '{}')
    if script is not None:
        folder.write_script(script)
    assert not folder.is_unclaimed


def test_a_claim_that_cannot_be_read_is_a_claim(folder: JobFolder) -> None:
    submit(folder)
    (folder.path / 'claim.n').touch()
    assert not folder.is_unclaimed


# -- what the script writes


def write_exit(folder: JobFolder, text: str) -> None:
    (folder.path / 'exit').write_text(text)


GOOD = 'attempt=2\nnative_id=12;c\nexit_code=143\nphase=launch\nterm=1\nended=1795179542.123456\n'


def test_an_exit_record_is_read(folder: JobFolder) -> None:
    write_exit(folder, GOOD + '0m0.010s 0m0.020s\n1m2.500s 61m0.250s\n')
    record = folder.read_exit()
    assert record is not None
    assert (record.user_time, record.system_time) == (pytest.approx(62.51), pytest.approx(3660.27))
    assert dataclasses.replace(record, user_time=None, system_time=None) == ExitRecord(
        2, '12;c', 143, 'launch', True, 1795179542.123456)


@pytest.mark.parametrize('times', ['0m0,010s 0m0,020s\n1m2,500s 0m0,250s\n', '0m0٫010s 0m0٫020s\n1m2٫500s 0m0٫250s\n'])
def test_the_times_are_read_in_any_locale(folder: JobFolder, times: str) -> None:
    write_exit(folder, GOOD + times)
    record = folder.read_exit()
    assert record is not None
    assert (record.user_time, record.system_time) == (pytest.approx(62.51), pytest.approx(0.27))


@pytest.mark.parametrize('times', ['', '\n', 'x\n', 'x y\nz w\n', '0m0s 0m0s\n\n', '1m 2m\n3m 4m\n', 'a\nb\nc\n',
    '0m0.001s 0m0.001s\n', '0m0.001s 0m0.001s\n0m0.001s\n', '0m0.001s 0m0.001s\n9999999999m0.001s 0m0.001s\n',
    '0m0.001s 0m0.001s\n-1m0.001s 0m0.001s\n'])
def test_times_that_cannot_be_read_spoil_nothing_else(folder: JobFolder, times: str) -> None:
    write_exit(folder, GOOD + times)
    assert folder.read_exit() == ExitRecord(2, '12;c', 143, 'launch', True, 1795179542.123456)


@pytest.mark.parametrize(('phase', 'launched'), [
    ('done', True), ('post_launch', True), ('launch', False), ('claim', False), ('directory', False),
    ('stage_in', False), ('pre_launch', False), ('stage_out', False), ('cleanup', False), ('', False)])
def test_what_counts_as_launched(phase: str, launched: bool) -> None:
    assert ExitRecord(1, '12', 0, phase, False, 0.0).launched is launched


def test_what_the_script_measured_is_read(folder: JobFolder) -> None:
    write_exit(folder, GOOD + 'began=1795179500.5\nmax_rss=209715200\n')
    assert folder.read_exit() == ExitRecord(
        2, '12;c', 143, 'launch', True, 1795179542.123456, began=1795179500.5, max_rss=209715200)
    write_exit(folder, GOOD + 'unbegun=a\\ b=c\n')
    assert folder.read_exit() == ExitRecord(2, '12;c', 143, 'launch', True, 1795179542.123456, unbegun='a\\ b=c')


@pytest.mark.parametrize('measured', [
    'began=\nmax_rss=\nunbegun=\n', 'began=soon\nmax_rss=much\n', 'began=nan\nmax_rss=nan\n', 'began=-1\nmax_rss=-1\n',
    'began=1e300\nmax_rss=1e9\n', 'max_rss=0\n', 'max_rss=max\n', 'max_rss=' + '9' * 5000 + '\n', 'max_rss=\u0661\n'])
def test_what_cannot_be_read_of_what_was_measured_is_unknown(folder: JobFolder, measured: str) -> None:
    write_exit(folder, GOOD + measured)
    assert folder.read_exit() == ExitRecord(2, '12;c', 143, 'launch', True, 1795179542.123456)


def test_no_exit_record_is_none(folder: JobFolder) -> None:
    assert folder.read_exit() is None


@pytest.mark.parametrize('line', ['attempt=2', 'native_id=12;c', 'exit_code=143', 'phase=launch', 'term=1', 'ended=1795179542.123456'])
@pytest.mark.parametrize('instead', ['', 'x', '='])
def test_a_record_that_lacks_something_is_passed_over(
        folder: JobFolder, caplog: pytest.LogCaptureFixture, line: str, instead: str) -> None:
    write_exit(folder, GOOD.replace(line, instead))
    with caplog.at_level(logging.WARNING):
        assert folder.read_exit() is None
    assert str(folder.path / 'exit') in caplog.text


@pytest.mark.parametrize('ended', ['nan', 'inf', '-inf', '-1', '1e300', '1e12', ''])
def test_a_record_of_no_moment_is_passed_over(folder: JobFolder, ended: str) -> None:
    write_exit(folder, GOOD.replace('1795179542.123456', ended))
    assert folder.read_exit() is None


def test_progress_is_read_in_its_order(folder: JobFolder) -> None:
    (folder.path / 'progress').write_text('1 STAGE_IN 10.5\n1 ACTIVE 11\n2 ACTIVE 20\n2 STAGE_OUT 21\n2 CLEANUP 22\n')
    assert folder.read_progress() == [
        ProgressEntry(1, JobState.STAGE_IN, 10.5), ProgressEntry(1, JobState.ACTIVE, 11.0),
        ProgressEntry(2, JobState.ACTIVE, 20.0), ProgressEntry(2, JobState.STAGE_OUT, 21.0),
        ProgressEntry(2, JobState.CLEANUP, 22.0)]


@pytest.mark.parametrize('bad', [
    '', ' ', 'x', '1 ACTIVE', '1 RUNNING 5', 'a ACTIVE 5', '1 ACTIVE now', '1 ACTIVE 5 6', '1 ACTIVE nan', '1 ACTIVE inf',
    '1 ACTIVE 1e300', '1 COMPLETED 5', '1 FAILED 5', '1 CANCELED 5', '1 NEW 5', '\0\0\0'])
def test_a_line_that_cannot_be_read_harms_itself_alone(folder: JobFolder, bad: str) -> None:
    (folder.path / 'progress').write_text(f'1 STAGE_IN 1\n{bad}\n1 ACTIVE 2\n')
    assert folder.read_progress() == [ProgressEntry(1, JobState.STAGE_IN, 1.0), ProgressEntry(1, JobState.ACTIVE, 2.0)]


def test_no_more_is_read_than_a_script_writes(folder: JobFolder) -> None:
    line = '1 ACTIVE 2\n'
    (folder.path / 'progress').write_text(line * 1_000_000)
    assert len(folder.read_progress()) <= 64 * 1024 // len(line) + 1


MUTATED = st.binary(max_size=300) | st.builds(
    lambda good, cut, noise: good[:cut] + noise + good[cut + len(noise):],
    st.sampled_from([(GOOD + '0m0.010s 0m0.020s\n1m2.500s 61m0.250s\n').encode(), b'1 STAGE_IN 10.5\n1 ACTIVE 11\n',
                     (GOOD + 'began=1.5\nmax_rss=4096\n0m0.010s 0m0.020s\n1m2.500s 61m0.250s\n').encode()]),
    st.integers(0, 160), st.binary(max_size=8))


@SAME_FOLDER
@given(MUTATED)
def test_whatever_the_files_hold_they_are_read_or_passed_over(folder: JobFolder, content: bytes) -> None:
    for name in ('exit', 'progress', 'journal'):
        (folder.path / name).write_bytes(content)
    record, progress, *_ = read_all(folder)
    assert record is None or isinstance(record, ExitRecord)
    if record is not None:
        usage_of([], record, Request(), ran=True)
    assert isinstance(progress, list)


def test_json_nested_without_end_is_passed_over(folder: JobFolder) -> None:
    (folder.path / 'journal').write_bytes(b'[' * 200_000 + b'\n{"native_id": "12"}\n')
    assert folder.read_journal().native_id == '12'


@pytest.mark.parametrize('cut', range(1, 30))
def test_a_line_of_the_journal_that_was_cut_short_spoils_no_other(folder: JobFolder, cut: int) -> None:
    folder.open_journal({'job_id': 'job-1'}, '{}')
    folder.set_native_id('12')
    journal = folder.path / 'journal'
    journal.write_bytes(journal.read_bytes().rstrip()[:-cut])
    folder.write_end({'state': 'FAILED'})
    assert folder.read_journal().end == {'state': 'FAILED'}
    if cut < len('{"native_id": "12"}'):
        assert folder.read_journal().spec == '{}'
        assert folder.read_journal().native_id is None


# -- what the library writes


def test_records_come_back_as_they_were(folder: JobFolder) -> None:
    folder.open_journal({'format': 1, 'url': None, 'name': 'ü\n\udcff'}, '{"a": "ü\n"}')
    assert not folder.read_journal().cancel_noted
    folder.note_cancel()
    folder.set_native_id('12')
    folder.write_end({'state': 'FAILED', 'time': 1.5})
    assert folder.read_journal().submission == {'format': 1, 'url': None, 'name': 'ü\n\udcff'}
    assert folder.read_journal().end == {'state': 'FAILED', 'time': 1.5}
    assert folder.read_journal().spec == '{"a": "ü\n"}'
    assert folder.read_journal().native_id == '12'
    assert folder.read_journal().cancel_noted


def test_nothing_written_is_nothing_read(folder: JobFolder) -> None:
    assert read_all(folder) == NOTHING


def test_followers_are_separated_by_what_no_path_holds(folder: JobFolder) -> None:
    folder.add_follower(Path('/box\n1'))
    folder.add_follower(Path('/box 2'))
    assert (folder.path / 'followers').read_bytes() == b'/box\n1\0/box 2\0'


def test_tidying_leaves_what_tells_of_the_job(folder: JobFolder) -> None:
    folder.open_journal({}, '{}')
    folder.write_script('x')
    folder.add_follower(Path('/box'))
    write_exit(folder, GOOD)
    folder.tidy()
    folder.tidy()
    assert sorted(path.name for path in folder.path.iterdir()) == ['exit', 'journal']
