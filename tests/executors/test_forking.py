"""A program that forks itself: the child process begins anew, and leaves its parent's jobs, threads and files alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PREAMBLE = '''
import multiprocessing, os, sys, threading, time
from datetime import timedelta
from pathlib import Path
from psij_ext import Job, JobSpec, JobState
from psij_ext.core import job as core
from psij_ext.executors.local import LocalExecutorConfig, LocalJobExecutor

folder = Path(sys.argv[1])
patience = timedelta(seconds=30)
executor = LocalJobExecutor(config=LocalExecutorConfig(work_directory=folder / 'work', max_processes=100))

def submit(script):
    job = Job(JobSpec('/bin/sh', ['-c', script], directory=folder))
    executor.submit(job)
    return job

def in_child(function):
    """Run a function in a process that is forked off and ends as programs do; give its exit code."""
    pid = os.fork()
    if pid == 0:
        function()
        sys.exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def mailboxes():
    return list((folder / 'work' / 'local' / '.mailboxes').iterdir())
'''


def run(folder: Path, code: str) -> str:
    done = subprocess.run([sys.executable, '-W', 'error', '-W', 'ignore::DeprecationWarning', '-c', PREAMBLE + code, folder],
                          capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout


def test_a_child_submits_and_waits(tmp_path: Path) -> None:
    assert run(tmp_path, '''
mine = submit('while [ ! -e go ]; do sleep 0.02; done; exit 3')
mine.wait(patience, JobState.ACTIVE)
def child():
    job = submit('exit 4')
    assert job.wait(patience).exit_code == 4
    Path('go').touch()
os.chdir(folder)
before = mailboxes()
assert in_child(child) == 0
assert mailboxes() == before, 'the parent hears no more'
assert mine.wait(patience).exit_code == 3
print('good')
''') == 'good\n'


def test_a_child_waits_for_a_job_of_its_parent(tmp_path: Path) -> None:
    assert run(tmp_path, '''
os.chdir(folder)
mine = submit('while [ ! -e go ]; do sleep 0.02; done; exit 3')
seen = []
mine.set_job_status_callback(lambda job, status: seen.append(status.state))
mine.wait(patience, JobState.ACTIVE)
def child():
    assert mine.status.state is JobState.ACTIVE
    Path('go').touch()
    assert mine.wait(patience).exit_code == 3
    assert mine.exit_info.exit_code == 3
assert in_child(child) == 0
assert mine.wait(patience).exit_code == 3
executor.close()
assert seen.count(JobState.FAILED) == 1, seen
print('good')
''') == 'good\n'


def test_a_child_that_does_nothing_follows_nothing(tmp_path: Path) -> None:
    assert run(tmp_path, '''
seen = []
mine = submit('sleep 0.5')
mine.set_job_status_callback(lambda job, status: seen.append(status.state))
mine.wait(patience, JobState.ACTIVE)
def child():
    assert threading.active_count() == 1
    time.sleep(1)
    assert mine.status.state is JobState.ACTIVE and threading.active_count() == 1
    executor.close()
assert in_child(child) == 0
assert mine.wait(patience).state is JobState.COMPLETED
print('good')
''') == 'good\n'


def test_locks_that_are_held_at_the_fork_do_not_hold_the_child(tmp_path: Path) -> None:
    assert run(tmp_path, '''
mine = submit('sleep 0.5')
held, done = threading.Event(), threading.Event()
monitor = executor._membership.monitor
def hold():
    with core._lock, monitor._lock, executor._lock, executor._callbacks._lock, executor._spares._lock, executor._reaper._lock:
        held.set()
        done.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
def child():
    assert submit('true').wait(patience).state is JobState.COMPLETED
    assert mine.wait(patience).state is JobState.COMPLETED
assert in_child(child) == 0
done.set()
assert mine.wait(patience).state is JobState.COMPLETED
print('good')
''') == 'good\n'


@pytest.mark.parametrize('processes', [4])
def test_many_children_of_a_pool_submit_with_one_executor(tmp_path: Path, processes: int) -> None:
    assert run(tmp_path, f'''
submit('true').wait(patience)
def work(number):
    return submit(f'exit {{number}}').wait(patience).exit_code
with multiprocessing.get_context('fork').Pool({processes}) as pool:
    print(pool.map(work, range(12)))
''') == f'{list(range(12))}\n'
