"""The command `psij-ext run`."""

from __future__ import annotations

import queue
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from psij_ext.cli.errors import examples, say
from psij_ext.cli.interrupts import Interrupts
from psij_ext.cli.options import job_options, json_option, submission_options
from psij_ext.cli.output import print_json
from psij_ext.cli.records import exit_code_of, job_record, output_path
from psij_ext.cli.submission import Submitted, submit_job
from psij_ext.cli.verbosity import verbose_option
from psij_ext.cli.watch import display, watch
from psij_ext.core.exit_info import ExitReason
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.status import JobStatus

_OWN_ENDS = (ExitReason.EXITED, ExitReason.SIGNALED)


@click.command('run', epilog=examples('psij-ext run -- hostname',
                               'psij-ext run --executor local --env OMP_NUM_THREADS=4 --cpus-per-process 4 -- ./solve',
                               'psij-ext run --nodes 2 --processes 8 --launcher mpirun -- ./simulate'))
@job_options
@submission_options
@json_option
@click.option('--quiet', is_flag=True, help='Show no states, and of the end only what the exit code does not say.')
@verbose_option
def command(as_json: bool, quiet: bool, **options: Any) -> None:
    """Run a command as a job, show its states, and print its output.

    The states are shown on standard error. At the end the job's standard output and error are printed as they are,
    except where --stdout or --stderr sends them to a file. With --json, standard output holds what is known of the
    job instead, and where its output is.

    The exit code is the job's own: 128 + n where signal n ended it, 143 where it was cancelled, 1 where it failed
    without one, and 1 or 2 where it could not be submitted. Ctrl-C leaves the job alone, and says how to see it later;
    a second one cancels it.
    """
    updates: queue.SimpleQueue[JobStatus] = queue.SimpleQueue()
    with Interrupts() as interrupts:
        submitted = submit_job(options, lambda job, status: updates.put(status))
        with submitted.executor, display(submitted, quiet) as shown:
            status = watch(submitted, updates, shown, interrupts)
    if as_json:
        print_json(job_record(submitted.job, submitted.folder, submitted.executor.name))
    else:
        _print_output(submitted)
    if not quiet or not _ended_by_itself(submitted.job):
        say(f'job {submitted}: {_ending(submitted.job)}')
    click.get_current_context().exit(exit_code_of(status))


def _print_output(submitted: Submitted) -> None:
    spec = submitted.job.spec or JobSpec()
    for stream, chosen in (('stdout', spec.stdout_path), ('stderr', spec.stderr_path)):
        if chosen is None:
            _copy(output_path(submitted.job, submitted.folder, stream), stream)


def _copy(path: Path, stream: str) -> None:
    target = (sys.stdout if stream == 'stdout' else sys.stderr).buffer
    try:
        with path.open('rb') as source:
            shutil.copyfileobj(source, target)
    except FileNotFoundError:
        pass  # the job ended before it began to write
    target.flush()


def _ended_by_itself(job: Job) -> bool:
    return job.exit_info is None or job.exit_info.reason in _OWN_ENDS


def _ending(job: Job) -> str:
    """Return the end of a job in a line; with the job's last words only where they were not printed just now."""
    status = job.status
    printed = _ended_by_itself(job) and (job.spec is None or job.spec.stderr_path is None)
    return str(JobStatus(status.state, status.time, None, status.exit_code) if printed else status)
