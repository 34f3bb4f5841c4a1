"""Runs a few real commands over the files of this repository on each executor that is named, and shows their ends.

    python examples/demo.py local slurm

The exit code is 0 if every job ended as it should.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Callable

from psij_ext import Job, JobExecutor, JobSpec, JobState, PsijExtError, ResourceSpecV1

ROOT = Path(__file__).resolve().parent.parent
FILES = [str(path.relative_to(ROOT)) for path in sorted((ROOT / 'src' / 'psij_ext' / 'core').glob('*.py'))]
LONGEST_WAIT = timedelta(minutes=2)
HEADINGS = ('executor', 'job', 'native id', 'state', 'exit code', 'seconds', 'as expected')


@dataclass
class Step:
    """A job of the demonstration, and how it should end."""

    name: str
    spec: JobSpec
    state: JobState = JobState.COMPLETED
    exit_code: int | None = 0
    wanted: Callable[[bytes], bool] = lambda output: True


def steps(folder: Path) -> list[Step]:
    """Describe the jobs; their outputs go to files in a folder."""
    contents = [(ROOT / name).read_bytes() for name in FILES]
    sums = ''.join(f'{hashlib.sha256(text).hexdigest()}  {name}\n' for text, name in zip(contents, FILES))
    total = sum(text.count(b'\n') for text in contents)
    planned = [
        Step('count lines', JobSpec('wc', ['-l', *FILES]), wanted=lambda output: f'{total} total'.encode() in output),
        Step('checksum', JobSpec('sha256sum', FILES), wanted=lambda output: output == sums.encode()),
        Step('sort', JobSpec('sort', stdin_path=FILES[0]),
             wanted=lambda output: output.split(b'\n')[:-1] == sorted(contents[0].split(b'\n')[:-1])),
        Step('fail', JobSpec('sh', ['-c', 'exit 3']), JobState.FAILED, 3),
        Step('be cancelled', JobSpec('sleep', ['600']), JobState.CANCELED, None),
    ]
    if shutil.which('mpirun'):
        # Open MPI refuses to run as root unless it is told so; where nobody is root, this changes nothing.
        os.environ.update(OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')
        planned.append(Step('mpirun', JobSpec('echo', ['hello'], launcher='mpirun',
                                              resources=ResourceSpecV1(process_count=2)),
                            wanted=lambda output: output == b'hello\n' * 2))
    for number, step in enumerate(planned):
        step.spec.name, step.spec.directory, step.spec.stdout_path = step.name, ROOT, folder / str(number)
        step.spec.environment = {'LC_ALL': 'C'}
    return planned


def run(executor_name: str, folder: Path) -> list[tuple[str, ...]]:
    """Run the jobs on one executor, all at once, and return the rows of the table."""
    planned = steps(folder)
    with JobExecutor.get_instance(executor_name) as executor:
        jobs = [Job(step.spec) for step in planned]
        began = time.time()
        for job in jobs:
            executor.submit(job)
        for step, job in zip(planned, jobs):
            if step.state is JobState.CANCELED:
                job.wait(LONGEST_WAIT, JobState.ACTIVE)
                job.cancel()
        return [row(executor_name, step, job, began) for step, job in zip(planned, jobs)]


def row(executor_name: str, step: Step, job: Job, began: float) -> tuple[str, ...]:
    """Wait for a job, and compare its end and its output with what was planned."""
    job.wait(LONGEST_WAIT)
    status = job.status
    output = step.spec.stdout_path
    good = (status.state is step.state and step.exit_code in (None, status.exit_code)
            and output is not None and step.wanted(output.read_bytes() if output.exists() else b''))
    code = '-' if status.exit_code is None else str(status.exit_code)
    return (executor_name, step.name, job.native_id or '-', status.state.name, code, f'{status.time - began:.2f}',
            'yes' if good else f'NO: {str(status).splitlines()[0]}')


def main(executor_names: list[str]) -> int:
    """Run the demonstration and print its table."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for name in executor_names:
        print(f'running on {name} ...', file=sys.stderr)
        # Below the repository, because the nodes of a cluster do not see this machine's /tmp.
        with tempfile.TemporaryDirectory(prefix='.demo-', dir=ROOT) as folder:
            try:
                rows += run(name, Path(folder))
            except PsijExtError as error:
                rows.append((name, '-', '-', '-', '-', '-', f'NO: {str(error).splitlines()[0]}'))
    widths = [max(map(len, column)) for column in zip(*rows)]
    for line in rows:
        print('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
    return 0 if all(line[-1] == 'yes' for line in rows[1:]) else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:] or ['local']))
