"""A program that submits jobs, run by `crashes.py`: it takes up what earlier runs of it left, and can be killed anywhere.

`crashing_program.py PLAN` does what the JSON text PLAN says, and writes a line about each thing that it did into a log:

* `scheduler`, `work`, `ledger`, `log`: where;
* `jobs`: how many it submits; with none it waits for those of earlier runs;
* `together`: whether it submits them in one call, so that they become an array where there are any;
* `begins`: whether its dangerous life begins with `recover` or with the first `submit`;
* `ends`: a number of operations for each of several lives, one after the other, that is ended before that one; or None.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, Callable

from psij_ext import Job, JobExecutor, JobSpec, JobState, NotAllSubmitted, SubmitException
from psij_ext.executors.batch.pbspro import PBSProExecutorConfig, PBSProJobExecutor
from psij_ext.executors.batch.slurm import SlurmExecutorConfig, SlurmJobExecutor
from psij_ext.executors.local import LocalExecutorConfig, LocalJobExecutor
from psij_ext.executors.recovering import RecoveringExecutor

# What changes or reads something outside of this process.
OPERATIONS = (
    'open', 'write', 'read', 'close', 'link', 'symlink', 'readlink', 'replace', 'rename', 'mkdir', 'unlink', 'rmdir', 'scandir',
    'stat', 'lstat', 'fstat', 'chmod', 'fchmod', 'ftruncate', 'pipe', 'posix_spawn', 'pidfd_open')
# Appended to by each run of a job: its id, and what its scheduler calls it.
PAYLOAD = ('id=$SLURM_JOB_ID$PBS_JOBID; [ -z "$SLURM_ARRAY_JOB_ID" ] || id=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID; '
           'echo "$2 $id" >> "$1"; sleep "$4"; exit "$3"')
SECONDS = 60.0


class KillPoints:
    """Counts this process's operations, and kills it before one of them.

    :param last: the number of that one; None for none.
    """

    def __init__(self, last: int | None) -> None:
        self.count = 0
        self._last = last
        self._lock = threading.Lock()

    def begin(self) -> None:
        for name in OPERATIONS:
            setattr(os, name, self._counted(getattr(os, name)))
        subprocess.Popen.__init__ = self._counted(subprocess.Popen.__init__)  # type: ignore[method-assign]
        print('begins', flush=True)

    def _counted(self, operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            with self._lock:
                self.count += 1
                if self.count == self._last:
                    os.kill(os.getpid(), signal.SIGKILL)
            return operation(*arguments, **options)

        return counted


class Log:
    """Lines that are there once they are said."""

    def __init__(self, path: str) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._write = os.write

    def say(self, *words: object) -> None:
        self._write(self._descriptor, (' '.join(map(str, words)) + '\n').encode())


def make(plan: dict[str, Any]) -> RecoveringExecutor:
    settings = {'work_directory': plan['work'], 'session': 'crashes'}
    quick = {**settings, 'initial_queue_polling_delay': 0.2, 'queue_polling_interval': 0.5, 'submit_retry_time': 3,
             'submit_timeout': 1, 'command_timeout': 1, 'absence_grace': 5}
    if plan['scheduler'] == 'slurm':
        return SlurmJobExecutor(config=SlurmExecutorConfig(**quick))
    if plan['scheduler'] == 'pbspro':
        return PBSProJobExecutor(config=PBSProExecutorConfig(**quick))
    return LocalJobExecutor(config=LocalExecutorConfig(**settings, max_processes=64))


def submit(executor: JobExecutor, job: Job, log: Log) -> None:
    log.say('submits', job.id)
    try:
        executor.submit(job)
    except SubmitException as error:
        log.say('refused', job.id, type(error).__name__)
    else:
        log.say('submitted', job.id, job.native_id)


def submit_together(executor: JobExecutor, jobs: list[Job], log: Log) -> None:
    for job in jobs:
        log.say('submits', job.id)
    refused: dict[str, Exception] = {}
    try:
        executor.submit_many(jobs)
    except NotAllSubmitted as error:
        refused = dict(error.failures)
    for job in jobs:
        if job.id in refused:
            log.say('refused', job.id, type(refused[job.id]).__name__)
        else:
            log.say('submitted', job.id, job.native_id)


def live(plan: dict[str, Any], last: int | None) -> None:
    log = Log(plan['log'])
    executor = make(plan)
    executor.set_job_status_callback(
        lambda job, status: log.say('saw', job.id, status.state, status.exit_code) if status.final and job.native_id is not None else None)
    points = KillPoints(last)
    if plan['begins'] == 'recover':
        points.begin()
    recovered = executor.recover()
    for job in recovered:
        log.say('recovered', job.id, job.native_id, job.status.state)
    if plan['begins'] == 'submit':
        points.begin()
    new = [job for job in recovered if job.status.state is JobState.NEW and plan['jobs']]
    for number in range(plan['jobs']):
        job = Job()
        job.spec = JobSpec('/bin/sh', ['-c', PAYLOAD, 'payload', plan['ledger'], job.id, str(3 * (number % 2)),
                                       '0.3' if number % 3 == 2 else '0'], directory=Path(plan['ledger']).parent)
        new.append(job)
    if plan['together']:
        submit_together(executor, new, log)
    else:
        for job in new:
            submit(executor, job, log)
    log.say('operations', points.count)
    for job in recovered:
        if not plan['jobs'] and job.native_id is not None and job.wait(timedelta(seconds=SECONDS)) is None:
            log.say('stuck', job.id)
    executor.close()


def main(plan: dict[str, Any]) -> None:
    """Live once, or several times in processes of their own."""
    if len(plan['ends']) == 1:
        live(plan, plan['ends'][0])
        return
    killed = 0
    for last in plan['ends']:
        life = os.fork()
        if not life:
            live(plan, last)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(life, 0)[1])
        if code not in (0, -signal.SIGKILL):
            sys.exit(f'A life ended with {code}.')
        killed += code != 0
    Log(plan['log']).say('killed', killed)


if __name__ == '__main__':
    main(json.loads(sys.argv[1]))
