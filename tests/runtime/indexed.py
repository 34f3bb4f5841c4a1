"""What the tests of the index share: jobs to put into it, and other processes that get in the way."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.ending import keep_end
from psij_ext.runtime.index import Condition, Index, IndexedJob
from psij_ext.runtime.index_writer import IndexWriter
from psij_ext.runtime.jobfolder import JobFolder

SECONDS = 30.0


def submit(writer: IndexWriter, job_id: str, **values: Any) -> None:
    writer.submitted(job_id, **{
        'executor': 'slurm', 'url': None, 'name': None, 'key': None, 'session': None,
        'work_directory': Path('/work/slurm'), 'native_id': '4711', 'time': 100.0, **values})


def end(writer: IndexWriter, job_id: str, state: JobState = JobState.FAILED, reason: ExitReason = ExitReason.EXITED,
        time: float = 900.0) -> None:
    writer.ended(job_id, JobStatus(state, time, exit_code=3), ExitInfo(reason, 3, None, 'it broke'))


def the_job(folder: Path) -> IndexedJob:
    (job,) = Index(folder).jobs()
    return job


def ids(folder: Path, **condition: Any) -> list[str]:
    return [job.job_id for job in Index(folder).jobs(Condition(**condition))]


def make_job(work: Path, job_id: str, native_id: str | None, *, executor: str = 'slurm', name: str | None = None,
             ended: float | None = None, reported: float | None = None, progress: str = '', **record: object) -> JobFolder:
    """Make the folder of a job as an executor does.

    :param work: what was given to the executor's config.
    :param ended: when it failed, with exit code 3.
    :param reported: when that was reported.
    """
    folder = JobFolder.create(work / executor, job_id)
    folder.open_journal({'job_id': job_id, 'executor': executor, 'url': None, 'submitted': 100.0, **record},
                        JSONSerializer().dumps(JobSpec('true', name=name)))
    if native_id is not None:
        folder.set_native_id(native_id)
    if progress:
        (folder.path / 'progress').write_text(progress)
    if ended is not None:
        keep_end(folder, JobStatus(JobState.FAILED, ended, exit_code=3), ExitInfo(ExitReason.EXITED, 3, None, 'it broke'))
    if reported is not None:
        with (folder.path / 'journal').open('a') as journal:
            journal.write(f'\n{{"reported": {reported}}}')
    return folder


@contextmanager
def in_the_way(code: str, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run Python in another process from its first line of output until the end of the block."""
    process = subprocess.Popen([sys.executable, '-W', 'error', '-c', code, *map(str, arguments)], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() != ''
        yield process
    finally:
        process.kill()
        process.communicate()


def locked(folder: Path) -> Any:
    """Keep the index locked from another process."""
    return in_the_way("""
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute('BEGIN IMMEDIATE')
print('locked', flush=True)
sys.stdin.read()
""", folder / 'index.sqlite')


def run(code: str, *arguments: object) -> str:
    """Run Python in another process to its end, and make sure that it complains of nothing."""
    done = subprocess.run([sys.executable, '-W', 'error', '-W', 'ignore::DeprecationWarning', '-c', code,
                           *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, '')
    return done.stdout
