"""The index with many processes: at once, killed, forked."""

from __future__ import annotations

import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest
from indexed import SECONDS, ids, in_the_way, locked, run, submit, the_job

from psij_ext.core.state import JobState
from psij_ext.runtime.index import Index
from psij_ext.runtime.index_writer import IndexWriter

PROCESSES, JOBS = 8, 500
KILLS = 6

PREAMBLE = '''
import logging, os, sys, threading, time
from pathlib import Path
folder, where, tests = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
sys.path.insert(0, tests)
from indexed import end, ids, submit
from psij_ext.core.state import JobState
from psij_ext.runtime import index_file
from psij_ext.runtime.index import Index
from psij_ext.runtime.index_writer import IndexWriter
index_file.is_local = lambda path: where == 'local'

def code_of(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
'''

TESTS = Path(__file__).parent

on_each_file_system = pytest.mark.parametrize('where', ['local', 'network'])


def check_integrity(folder: Path) -> None:
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        assert connection.execute('PRAGMA integrity_check').fetchall() == [('ok',)]


@on_each_file_system
def test_eight_processes_lose_nothing(tmp_path: Path, where: str) -> None:
    """They begin with no index at all, and all at once, while somebody reads."""
    code = PREAMBLE + f'''
writer = IndexWriter(folder)
sys.stdin.readline()
for number in range({JOBS}):
    job_id = f'{{sys.argv[4]}}-{{number}}'
    submit(writer, job_id, name=job_id)
    writer.entered_state(job_id, JobState.ACTIVE, 200.0)
    end(writer, job_id)
    writer.reported(job_id, 1000.0)
    if number % 50 == 0:
        time.sleep(0.05)
writer.close()
print(writer.dropped)
'''
    folder = tmp_path / 'psij-ext'
    processes = [subprocess.Popen(
        [sys.executable, '-W', 'error', '-c', code, str(folder), where, str(TESTS), str(number)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for number in range(PROCESSES)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write('\n')
        process.stdin.flush()
    while any(process.poll() is None for process in processes):
        Index(folder).jobs(nothing_if_unavailable=True)
        time.sleep(0.2)
    for process in processes:
        assert process.communicate(timeout=60) == ('0\n', '')
    jobs = Index(folder).jobs()
    assert {job.job_id for job in jobs} == {f'{process}-{job}' for process in range(PROCESSES) for job in range(JOBS)}
    assert len(jobs) == PROCESSES * JOBS
    for job in jobs:
        assert [state for state, _ in job.states] == [JobState.QUEUED, JobState.ACTIVE, JobState.FAILED]
        assert job.exit_info is not None and (job.name, job.reported) == (job.job_id, 1000.0)
    assert Index(folder).dropped_rows() == 0
    check_integrity(folder)


@on_each_file_system
def test_a_writer_that_is_killed_leaves_a_whole_index(tmp_path: Path, where: str) -> None:
    folder = tmp_path / 'psij-ext'
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    code = PREAMBLE + '''
from psij_ext.runtime import index_writer
index_writer._GATHERING = 0.001
writer = IndexWriter(folder, capacity=500)
logging.disable()
number = 0
print('begun', flush=True)
while True:
    number += 1
    submit(writer, f'{sys.argv[4]}-{number:09}', name='x' * 5000)
    time.sleep(0.0001)
'''
    known: set[str] = set()
    for kill in range(KILLS):
        with in_the_way(code, folder, where, TESTS, kill) as process:
            time.sleep(chance.uniform(0.05, 0.3))
            process.send_signal(signal.SIGKILL)
            process.wait()
        if not (folder / 'index.sqlite').exists():
            continue
        found = ids(folder)
        check_integrity(folder)
        assert known <= set(found), f'what was written stays written, seed {seed}'
        known = set(found)
        mine = [int(job_id.partition('-')[2]) for job_id in found if job_id.startswith(f'{kill}-')]
        assert len(set(mine)) == len(mine)
    assert len(known) > 10 * KILLS
    assert not list(folder.glob('*.broken-*'))


@on_each_file_system
def test_a_fork_with_rows_in_the_queue(tmp_path: Path, where: str) -> None:
    """Each process writes its own rows, and nobody writes a row of the other's, or twice."""
    folder = tmp_path / 'psij-ext'
    run(PREAMBLE + '''
writer = IndexWriter(folder)
for number in range(1000):
    submit(writer, f'parent-{number}')
pid = os.fork()
if pid == 0:
    assert writer._entries.empty()
    for number in range(1000):
        submit(writer, f'child-{number}')
    writer.close()
    sys.exit(0)
submit(writer, 'parent-last')
assert code_of(pid) == 0
writer.close()
assert writer.dropped == 0
''', folder, where, TESTS)
    assert sorted(ids(folder)) == sorted(
        [*(f'{who}-{number}' for who in ('parent', 'child') for number in range(1000)), 'parent-last'])
    check_integrity(folder)


@on_each_file_system
def test_forks_in_the_middle_of_writing_and_reading(tmp_path: Path, where: str) -> None:
    folder = tmp_path / 'psij-ext'
    run(PREAMBLE + '''
from psij_ext.runtime import index_writer
index_writer._GATHERING = 0.001
writer = IndexWriter(folder)
submit(writer, 'first')
assert writer.flush(30)
done = threading.Event()
def write():
    number = 0
    while not done.is_set():
        number += 1
        submit(writer, f'parent-{number}')
        time.sleep(0.0005)
    print(number)
def read():
    while not done.is_set():
        assert ids(folder)
threads = [threading.Thread(target=each) for each in (write, read)]
for thread in threads: thread.start()
for child in range(30):
    pid = os.fork()
    if pid == 0:
        submit(writer, f'child-{child}')
        writer.close()
        os._exit(0 if f'child-{child}' in ids(folder) else 1)
    assert code_of(pid) == 0
done.set()
for thread in threads: thread.join()
writer.close()
assert writer.dropped == 0
assert {f'child-{child}' for child in range(30)} <= set(ids(folder))
''', folder, where, TESTS)
    check_integrity(folder)
    assert Index(folder).dropped_rows() == 0


def test_a_child_that_was_forked_in_the_middle_keeps_off(tmp_path: Path) -> None:
    run(PREAMBLE + '''
writer = IndexWriter(folder)
submit(writer, 'parent')
assert writer.flush(30)
index_file._gate._patience = 0.05
inside, leave = threading.Event(), threading.Event()
def stay():
    with index_file.IndexFile(folder).writing():
        inside.set()
        leave.wait(30)
thread = threading.Thread(target=stay)
thread.start()
inside.wait()
pid = os.fork()
if pid == 0:
    logging.disable()
    submit(writer, 'child')
    writer.close()
    os._exit(0 if writer.dropped == 1 and Index(folder).jobs(nothing_if_unavailable=True) == [] else 1)
leave.set()
thread.join()
assert code_of(pid) == 0
submit(writer, 'again', time=101.0)
writer.close()
assert ids(folder) == ['parent', 'again']
''', tmp_path / 'psij-ext', 'local', TESTS)


# -- the thread


def test_there_is_no_thread_before_the_first_row_nor_after_the_end(tmp_path: Path) -> None:
    def is_running() -> bool:
        return any(thread.name == 'psij-ext index' for thread in threading.enumerate())

    writer = IndexWriter(tmp_path / 'psij-ext')
    writer.close()
    writer = IndexWriter(tmp_path / 'psij-ext')
    assert writer.flush(0) and not is_running()
    assert not (tmp_path / 'psij-ext').exists()
    submit(writer, 'a')
    assert is_running()
    writer.close()
    writer.close()
    assert not is_running()
    assert ids(tmp_path / 'psij-ext') == ['a']


def test_a_row_after_the_end_is_written_all_the_same(tmp_path: Path) -> None:
    writer = IndexWriter(tmp_path / 'psij-ext')
    submit(writer, 'a')
    writer.close()
    writer.entered_state('a', JobState.ACTIVE, 200.0)
    for thread in threading.enumerate():
        if thread.name == 'psij-ext index':
            thread.join(SECONDS)
    assert the_job(tmp_path / 'psij-ext').state is JobState.ACTIVE


def test_a_thread_that_cannot_be_started_fails_no_submission(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def fail(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    writer = IndexWriter(tmp_path / 'psij-ext')
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, 'start', fail)
        submit(writer, 'a')
        submit(writer, 'b')
    assert "can't start new thread" in caplog.text
    submit(writer, 'c')
    writer.close()
    assert sorted(ids(tmp_path / 'psij-ext')) == ['a', 'b', 'c']
    assert Index(tmp_path / 'psij-ext').dropped_rows() == 0
    assert len(caplog.records) == 1


def test_many_rows_are_one_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / 'psij-ext'
    writer = IndexWriter(folder)
    submit(writer, 'first')
    assert writer.flush(SECONDS)
    with locked(folder):
        submit(writer, 'second')
        assert not writer.flush(0.3)
        for number in range(200):
            submit(writer, str(number))
    writer.close()
    with closing(sqlite3.connect(folder / 'index.sqlite')) as connection:
        changes = connection.execute("SELECT value FROM facts WHERE name = 'changes'").fetchone()
    assert changes == (3,)
    assert len(ids(folder)) == 202


def test_the_state_folder_is_the_one_of_the_first_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'then'))
    writer = IndexWriter()
    submit(writer, 'a')
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'later'))
    writer.close()
    assert ids(tmp_path / 'then' / 'psij-ext') == ['a']
    assert not (tmp_path / 'later').exists()
