"""What it costs a submission that its job is kept: in a folder, and in the index of all jobs."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from measure import Row

from psij_ext import Job, JobSpec, JSONSerializer
from psij_ext.core.places import default_work_directory
from psij_ext.runtime import processes
from psij_ext.runtime.claims import new_nonce
from psij_ext.runtime.index_writer import IndexWriter
from psij_ext.runtime.jobfolder import JobFolder

SUBMISSION_LIMIT = 0.001
BATCH_LIMIT = 30e-6
ROW_LIMIT = 10e-6
JOBS = 1000
BATCH = 10_000
ROUNDS = 7
SCRIPT = '#!/bin/bash\n' + '# a line of a script of the usual size\n' * 200


def rows() -> list[Row]:
    place = default_work_directory()
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix='benchmark-', dir=place) as name:
        folder = Path(name)
        kept, bare = [], []
        for number in range(ROUNDS):
            kept.append(_submit_kept(folder / str(number), folder / 'state'))
            bare.append(_submit_bare())
        handed, written = zip(*(_batch(folder / 'state') for _ in range(ROUNDS)))
    cost = statistics.median(kept) - statistics.median(bare)
    row, batch = statistics.median(handed), statistics.median(written)
    return [
        Row('folder and index of a submission', f'{cost * 1e6:.0f} us a job more than without',
            f'{SUBMISSION_LIMIT * 1e6:.0f} us', cost / SUBMISSION_LIMIT, 1.0),
        Row('a row that is handed to the index', f'{row * 1e6:.1f} us', f'{ROW_LIMIT * 1e6:.0f} us', row / ROW_LIMIT,
            1.0),
        Row(f'the index of {BATCH} jobs at once, written', f'{batch * 1e6:.1f} us a job',
            f'{BATCH_LIMIT * 1e6:.0f} us', batch / BATCH_LIMIT, 1.0)]


def _submit_kept(work: Path, state: Path) -> float:
    """The seconds a job for all that a submission does for folder and index, until the last row is written.

    Without what other threads do while the submit command runs: there the disk is made to hold the folder.
    """
    writer = IndexWriter(state)
    began = time.perf_counter()
    for number in range(JOBS):
        job = _job(number)
        folder = JobFolder.create(work, job.id)
        folder.open_journal({
            'format': 1, 'job_id': job.id, 'executor': 'slurm', 'url': None, 'nonce': new_nonce(),
            'submitted': time.time(), 'owner': processes.this_process()}, JSONSerializer().dumps(job.spec or JobSpec()))
        folder.write_script(SCRIPT)
        folder.set_native_id(str(number))
        _hand_over(writer, job, work, number)
    writer.close()
    return (time.perf_counter() - began) / JOBS


def _submit_bare() -> float:
    began = time.perf_counter()
    for number in range(JOBS):
        _job(number)
    return (time.perf_counter() - began) / JOBS


def _batch(state: Path) -> tuple[float, float]:
    """The seconds a job to hand its row over, and until all are written."""
    jobs, work = [_job(number) for number in range(BATCH)], state / 'work'
    writer = IndexWriter(state)
    began = time.perf_counter()
    for number, job in enumerate(jobs):
        _hand_over(writer, job, work, number)
    handed = time.perf_counter() - began
    writer.close()
    written = time.perf_counter() - began
    assert writer.dropped == 0
    return handed / BATCH, written / BATCH


def _job(number: int) -> Job:
    return Job(JobSpec('/usr/bin/simulate', ['--seed', str(number)], name=f'sim-{number}'))


def _hand_over(writer: IndexWriter, job: Job, work: Path, number: int) -> None:
    writer.submitted(job.id, executor='slurm', url=None, name=f'sim-{number}', key=None, session=None,
                     work_directory=work, native_id=str(number), time=time.time())
