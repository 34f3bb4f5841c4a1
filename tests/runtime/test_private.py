"""Folders and files that are ours alone: whatever the umask, whatever was planted, and whoever else is there."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from job_scripts import Make, shell

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import FolderUnreadable, IndexUnavailable, PsijExtError
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.ending import keep_end
from psij_ext.runtime.events import Mailbox
from psij_ext.runtime.finding import find_folder, job_folders
from psij_ext.runtime.index_file import IndexFile
from psij_ext.runtime.index_rebuild import executor_folders, submitted_jobs
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.keys import Keys
from psij_ext.runtime.listener import Listener
from psij_ext.runtime.private import check_private, make_folders
from psij_ext.runtime.retention import prune
from psij_ext.runtime.slots import Slots
from psij_ext.runtime.spares import make_spare
from psij_ext.runtime.work_directories import remember_work_directory

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason='only root can give files away')


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o277, 0o777], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    return tmp_path / 'jobs' / 'slurm'


def make_job(work: Path, job_id: str = 'job-1', native_id: str = '12', *, ended: float | None = None) -> JobFolder:
    folder = JobFolder.create(work, job_id)
    folder.open_journal({'job_id': job_id, 'submitted': 1.0, 'nonce': 'n'}, '{}')
    folder.write_script('#!/bin/bash\n')
    folder.set_native_id(native_id)
    if ended is not None:
        keep_end(folder, JobStatus(JobState.FAILED, ended), ExitInfo(ExitReason.EXITED, 1), reported=True)
    return folder


def tree(folder: Path) -> dict[str, object]:
    """All that is in a folder: rights, owners, contents."""
    found: dict[str, object] = {}
    for path in [folder, *sorted(folder.rglob('*'))]:
        facts = path.lstat()
        content = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path)] = (facts.st_mode, facts.st_uid, content)
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def give_away(folder: Path) -> None:
    for path in [folder, *folder.rglob('*')]:
        os.chown(path, NOBODY, NOBODY, follow_symlinks=False)


# -- whatever the umask


def test_all_that_is_made_is_private(tmp_path: Path, umask: None) -> None:
    jobs, state = tmp_path / 'a' / 'jobs', tmp_path / 'b' / 'state'
    make_job(jobs / 'slurm')
    Keys(jobs / 'slurm').take('key', 0, 'job-1')
    with contextlib.closing(Listener(['127.0.0.1'], {}, lambda names: None)) as listener:
        Mailbox(jobs / 'slurm', listener)
    make_spare(jobs / 'slurm')
    slots = Slots(state)
    slots.take_place(os.getpid(), 1, 1)
    with IndexFile(state).writing():
        pass
    remember_work_directory(jobs, state)
    assert {path: oct(mode(path)) for path in [*tmp_path.rglob('*')] if path.is_dir() and mode(path) != 0o700} == {}
    files = {path.name: mode(path) for path in tmp_path.rglob('*') if not path.is_dir() and not path.is_symlink()}
    places = [path.name for path in (slots.path / 'waiting').iterdir()]
    assert {name: oct(rights) for name, rights in files.items() if rights != (0o700 if name == 'script' else 0o600)} == {}
    assert {'script', 'journal', '12', '.door', 'lock', 'wake', 'index.sqlite', 'work-directories', *places} <= files.keys()


JOBS = """if True:
    import json, os, sys, time
    from datetime import timedelta
    import psij_ext
    from psij_ext.executors.local import LocalExecutorConfig, LocalJobExecutor

    def submit(executor, script):
        job = psij_ext.Job(psij_ext.JobSpec('/bin/sh', ['-c', script]))
        executor.submit(job)
        while script.endswith('sleep 100') and not os.path.exists('started'):
            time.sleep(0.01) # a job that has just been entered may not have its program yet
        if script.endswith('sleep 100'):
            os.unlink('started')
        return job

    def run(*scripts):
        told = []
        with LocalJobExecutor(config=LocalExecutorConfig(max_processes=1)) as executor:
            for script in scripts:
                before = submit(executor, ': > started; sleep 100') if script == 'cancelled while it waits' else None
                job = submit(executor, script)
                if script in (': > started; sleep 100', 'cancelled while it waits'):
                    job.cancel()
                job.wait(timedelta(seconds=50))
                told.append(str(job.status.state))
                if before is not None:
                    before.cancel()
                    before.wait(timedelta(seconds=50))
        return told

    run('exit 3', ': > started; sleep 100') # what it needs of Python, nobody may be allowed to read
    home, mask = sys.argv[1:]
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    os.umask(int(mask, 8))
    os.environ['XDG_STATE_HOME'] = f'{home}/state/s'
    print(json.dumps(run('umask > umask', 'exit 3', ': > started; sleep 100', 'kill -KILL 0', 'cancelled while it waits')))
"""


@as_root
@pytest.mark.parametrize('mask', ['000', '077', '777'])
def test_a_user_with_any_umask_can_run_jobs(mask: str) -> None:
    """Not as root, which may read and write whatever the rights are."""
    home = Path(tempfile.mkdtemp(prefix='psij-nobody-', dir='/tmp'))
    try:
        for name in ('src/psij_ext', 'templates', 'psij-descriptors'):
            shutil.copytree(ROOT / name, home / name, ignore=shutil.ignore_patterns('__pycache__'))
        give_away(home)
        done = subprocess.run([sys.executable, '-c', JOBS, home, mask], cwd=home, capture_output=True, text=True,
                              env={**os.environ, 'XDG_STATE_HOME': f'{home}/first', 'PYTHONPATH': f'{home}/src'})
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == ['COMPLETED', 'FAILED', 'CANCELED', 'FAILED', 'CANCELED'], done.stderr
        assert int((home / 'umask').read_text(), 8) == int(mask, 8)
        everything = [*(home / 'state').rglob('*')]
        assert {path.lstat().st_uid for path in everything} == {NOBODY}
        assert {path: oct(mode(path)) for path in [home / 'state', *everything] if path.is_dir() and mode(path) != 0o700} == {}
        # The job's own output has the rights that the user wants it to have.
        records = [path for path in everything if path.is_file() and path.name not in ('stdout', 'stderr', 'script')]
        assert {'exit', 'journal', 'progress', 'index.sqlite', 'lock'} <= {path.name for path in records}
        assert {path: oct(mode(path)) for path in records if mode(path) != 0o600} == {}
    finally:
        shutil.rmtree(home)


# -- where the folders of jobs may lie


@pytest.mark.parametrize('rights', [0o777, 0o707])
def test_a_work_directory_that_others_could_replace_is_refused(work: Path, rights: int) -> None:
    make_folders(work)
    check_private(work)
    work.parent.chmod(rights)
    with pytest.raises(PsijExtError, match='could put another in its place'):
        check_private(work)
    work.parent.chmod(rights | stat.S_ISVTX)  # as /tmp
    check_private(work)


@as_root
def test_a_work_directory_in_a_folder_of_somebody_else_is_refused(work: Path) -> None:
    make_folders(work)
    os.chown(work.parent, NOBODY, NOBODY)
    with pytest.raises(PsijExtError, match='belongs to somebody else'):
        check_private(work)


@as_root
def test_a_link_of_somebody_else_to_a_folder_of_ours_is_refused(tmp_path: Path) -> None:
    make_folders(tmp_path / 'ours')
    link = tmp_path / 'link'
    link.symlink_to('ours')
    check_private(link)
    os.chown(link, NOBODY, NOBODY, follow_symlinks=False)
    with pytest.raises(PsijExtError, match='belongs to somebody else'):
        check_private(link)


# -- what was planted


def test_planted_links_in_place_of_our_folders_lead_nowhere(work: Path, tmp_path: Path) -> None:
    (tmp_path / 'elsewhere').mkdir(0o700)
    make_folders(work)
    for name in ('.native', '.keys', '.mailboxes'):
        (work / name).symlink_to(tmp_path / 'elsewhere')
    folder = JobFolder.create(work, 'job-1')
    folder.open_journal({'job_id': 'job-1'}, '{}')
    for act in (lambda: folder.set_native_id('12'), lambda: Keys(work).take('k', 0, 'job-1'), lambda: Keys(work).holder('k'),
                lambda: Mailbox(work)):
        with pytest.raises(PermissionError):
            act()
    assert list((tmp_path / 'elsewhere').iterdir()) == []
    assert folder.read_journal().native_id == '12'


def test_planted_links_in_place_of_places_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / 'elsewhere').mkdir(0o700)
    slots = Slots(tmp_path / 'state')
    make_folders(slots.path)
    (slots.path / 'waiting').symlink_to(tmp_path / 'elsewhere')
    with pytest.raises(PermissionError):
        slots.take_place(os.getpid(), 1, 1)
    (slots.path / 'waiting').unlink()
    (slots.path / 'lock').symlink_to(tmp_path / 'elsewhere' / 'lock')
    with pytest.raises(OSError, match='symbolic'):
        slots.take_place(os.getpid(), 1, 1)
    assert list((tmp_path / 'elsewhere').iterdir()) == []
    (tmp_path / 'elsewhere' / 'lock').touch()
    with pytest.raises(OSError, match='symbolic'):
        slots.take_place(os.getpid(), 1, 1)


@pytest.mark.parametrize('depth', [0, 1])
def test_a_planted_link_above_the_places_makes_nothing_go(tmp_path: Path, depth: int) -> None:
    slots = Slots(tmp_path / 'state')
    link = slots.path.parents[depth]
    victim = tmp_path / 'elsewhere' / '/'.join(['x'] * depth) / 'a host' / 'old'
    victim.mkdir(parents=True)
    os.utime(victim, (1, 1))
    make_folders(link.parent)
    link.symlink_to(victim.parent if depth == 0 else tmp_path / 'elsewhere' / 'x')
    with pytest.raises(PermissionError):
        slots.take_place(os.getpid(), 1, 1)
    assert victim.is_dir()


@as_root
def test_places_in_a_state_folder_of_somebody_else_are_refused(tmp_path: Path) -> None:
    make_folders(tmp_path / 'state')
    give_away(tmp_path / 'state')
    with pytest.raises(PermissionError):
        Slots(tmp_path / 'state').take_place(os.getpid(), 1, 1)
    assert list((tmp_path / 'state').iterdir()) == []


@pytest.mark.parametrize('name', ['', 'waiting', 'running'])
def test_places_that_others_may_write_to_are_refused(tmp_path: Path, name: str) -> None:
    slots = Slots(tmp_path / 'state')
    slots.take_place(os.getpid(), 1, 1)
    (slots.path / name).chmod(0o770)
    with pytest.raises(PermissionError):
        slots.take_place(os.getpid(), 1, 1)


@pytest.mark.parametrize('name', ['index.sqlite', 'index.lock', 'work-directories'])
def test_planted_links_in_the_state_folder_lead_nowhere(tmp_path: Path, name: str) -> None:
    victim, state = tmp_path / 'victim', tmp_path / 'state'
    make_folders(state)
    victim.write_text('mine')
    (state / name).symlink_to(victim)
    acts: dict[str, Callable[[], object]] = {
        'index.sqlite': lambda: IndexFile(state).writing().__enter__(), 'index.lock': IndexFile(state).set_aside,
        'work-directories': lambda: remember_work_directory(tmp_path, state)}
    with pytest.raises((IndexUnavailable, OSError)):
        acts[name]()
    assert victim.read_text() == 'mine'
    assert mode(victim) != 0o600


def test_a_planted_link_to_a_folder_is_no_job_by_any_name(work: Path, tmp_path: Path) -> None:
    make_job(tmp_path / 'elsewhere', native_id='12')
    make_folders(work)
    (work / '.native').mkdir(0o700)
    (work / '.native' / '12').write_bytes((tmp_path / 'elsewhere' / 'job-1' / 'journal').read_bytes())
    (work / 'job-1').symlink_to(tmp_path / 'elsewhere' / 'job-1')
    assert find_folder(work, '12') is None
    assert list(job_folders(work)) == []


def test_a_pipe_in_place_of_a_file_is_not_waited_for(work: Path) -> None:
    folder = JobFolder.create(work, 'job-1')
    for name in ('journal', 'script', 'environment', 'followers'):
        os.mkfifo(folder.path / name)
    for act in (lambda: folder.open_journal({}, ''), lambda: folder.set_native_id('1'), lambda: folder.write_script(''),
                lambda: folder.write_environment(''), lambda: folder.add_follower(work)):
        with pytest.raises(OSError):
            act()
    reader = os.open(folder.path / 'journal', os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(PermissionError):
        folder.note_cancel()
    os.close(reader)


@as_root
def test_files_of_somebody_else_are_neither_written_nor_read(work: Path) -> None:
    folder = make_job(work)
    assert folder.revoke('n') is None
    for name in ('journal', 'script', 'claim.n'):
        os.chown(folder.path / name, NOBODY, NOBODY, follow_symlinks=False)
    before = tree(folder.path)
    for act in (folder.note_cancel, lambda: folder.open_journal({}, '{}'), lambda: folder.write_script('x')):
        with pytest.raises(PermissionError):
            act()
    assert tree(folder.path) == before
    assert folder.read_journal().native_id is None
    for act in (lambda: folder.claimed_by('n'), lambda: folder.revoke('n')):
        with pytest.raises(FolderUnreadable):
            act()
    assert find_folder(work, '12') is None


def test_a_script_writes_through_no_link(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'victims').mkdir()
    job = scripted(shell('exit 4'))
    names = ('progress', 'nodes', 'term', 'exit', 'exit.new', 'preparing')
    for name in names:
        (tmp_path / 'victims' / name).write_text('attempt=7\n')
        (job.folder.path / name).symlink_to(tmp_path / 'victims' / name)
    assert job.run() == 4
    assert (job.record.attempt, job.record.exit_code) == (1, 4)
    assert {name: (tmp_path / 'victims' / name).read_text() for name in names} == dict.fromkeys(names, 'attempt=7\n')
    assert sorted(path.name for path in (tmp_path / 'victims').iterdir()) == sorted(names)


def test_a_link_to_a_folder_in_place_of_the_record_gets_nothing(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'victim').mkdir()
    (tmp_path / 'plant').write_text(f'ln -sfn -- {tmp_path}/victim "$psij_folder/exit"\n')
    job = scripted(shell('exit 4', pre_launch='plant'))
    assert job.run() == 4
    assert job.record.exit_code == 4
    assert list((tmp_path / 'victim').iterdir()) == []


@as_root
def test_a_script_runs_nothing_by_a_folder_of_somebody_else(scripted: Make, tmp_path: Path) -> None:
    job = scripted(JobSpec('/usr/bin/touch', [str(tmp_path / 'trace')]), carried={})
    (job.folder.path / 'environment').write_text(f'touch {tmp_path}/trace\n')
    give_away(job.folder.path)
    assert job.run() == 125
    assert 'nothing was run' in job.words
    assert 'could not be claimed' in job.words
    assert sorted(path.name for path in job.folder.path.iterdir()) == ['environment', 'scheduler.out', 'script']
    assert not (tmp_path / 'trace').exists()


@as_root
def test_a_script_leaves_no_hint_in_a_folder_of_somebody_else(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('exit 4'))
    (tmp_path / 'victim').write_text('mine')
    (job.mailbox / job.job.id).symlink_to(tmp_path / 'victim')
    give_away(job.mailbox)
    assert job.run() == 4
    assert (tmp_path / 'victim').read_text() == 'mine'


@as_root
def test_what_others_prepared_is_passed_over_and_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Root looks at the jobs of a user, or at what a user made look like jobs."""
    jobs = tmp_path / 'jobs'
    make_job(jobs / 'slurm', ended=100.0)
    (jobs / 'slurm' / '.spare-1').mkdir()
    (jobs / 'slurm' / '.pruned-1').mkdir()
    (jobs / 'slurm' / '.native' / '77').write_text('{"submission": {"job_id": "gone"}}')
    os.utime(jobs / 'slurm' / '.spare-1', (1, 1))
    give_away(jobs)
    before = tree(jobs)
    with caplog.at_level(logging.WARNING):
        assert executor_folders(jobs) == []
    assert 'passed over' in caplog.text
    assert list(submitted_jobs(jobs)) == list(job_folders(jobs / 'slurm')) == []
    assert find_folder(jobs / 'slurm', '12') is None
    pruned = prune([jobs], timedelta(), time.time(), folder=tmp_path / 'state')
    assert (pruned.jobs, pruned.litter, pruned.troubles) == ((), (), {})
    with pytest.raises(PsijExtError, match='somebody else'):
        check_private(jobs / 'slurm')
    with pytest.raises(FileExistsError):
        JobFolder.create(jobs / 'slurm', 'job-1')
    assert tree(jobs) == before


def test_a_prune_follows_no_link_to_names_of_others(tmp_path: Path) -> None:
    make_job(tmp_path / 'other' / 'slurm')
    shutil.rmtree(tmp_path / 'other' / 'slurm' / 'job-1')
    make_folders(tmp_path / 'jobs' / 'slurm')
    (tmp_path / 'jobs' / 'slurm' / '.native').symlink_to(tmp_path / 'other' / 'slurm' / '.native')
    prune([tmp_path / 'jobs'], timedelta(), time.time(), folder=tmp_path / 'state')
    assert [path.name for path in (tmp_path / 'other' / 'slurm' / '.native').iterdir()] == ['12']


def test_a_revoked_claim_of_ours_is_read(work: Path) -> None:
    folder = make_job(work)
    folder.revoke('n')
    assert folder.claimed_by('n') == REVOKED
