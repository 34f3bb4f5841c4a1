"""One job as a record for programs and for tables."""

from __future__ import annotations

import shlex
from datetime import datetime, timedelta
from pathlib import Path

from psij_ext.core.exit_info import ResourceUsage
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.usage import usage_record

Record = dict[str, object]

MISSING = 'its scheduler does not know it, and it left no record of its end'


def job_record(job: Job, folder: JobFolder, executor_name: str) -> Record:
    """Return what is known of a job; None stands for what is not known, times are ISO 8601 with their time zone."""
    status, info, spec = job.status, job.exit_info, job.spec or JobSpec()
    submitted, started, ended = job_times(job, folder)
    return {
        'id': folder.job_id,
        'native_id': job.native_id,
        'executor': executor_name,
        'name': spec.name,
        'state': status.state.name,
        'native_state': (status.metadata or {}).get('native_state'),
        'exit_code': status.exit_code,
        'reason': None if info is None else info.reason.value,
        'signal': None if info is None else info.signal,
        'message': status.message,
        'submitted': _iso(submitted),
        'started': _iso(started),
        'ended': _iso(ended),
        'usage': None if info is None or info.usage is None else usage_record(info.usage),
        'command': None if spec.executable is None else [spec.executable, *(spec.arguments or ())],
        'directory': None if spec.directory is None else str(spec.directory),
        'stdout': str(output_path(job, folder, 'stdout')),
        'stderr': str(output_path(job, folder, 'stderr')),
        'folder': str(folder.path),
    }


def job_times(job: Job, folder: JobFolder) -> tuple[float | None, float | None, float | None]:
    """Return when a job was submitted, started and ended, in seconds since the epoch."""
    progress = folder.read_progress()
    active = [entry.time for entry in progress
              if entry.state is JobState.ACTIVE and entry.attempt == progress[-1].attempt]
    ended = None
    if job.status.final:
        record = folder.read_exit()
        ended = job.status.time if record is None else record.ended
    return folder.read_journal().submitted, active[0] if active else None, ended


def output_path(job: Job, folder: JobFolder, stream: str) -> Path:
    """Return where an output of a job goes.

    :param stream: `stdout` or `stderr`.
    """
    spec = job.spec or JobSpec()
    chosen = spec.stdout_path if stream == 'stdout' else spec.stderr_path
    return folder.path_of(stream) if chosen is None else (spec.directory or Path.cwd()) / chosen


def exit_code_of(status: JobStatus) -> int:
    """Return the exit code for a program that stands for a job that is over: the job's own, where it has one."""
    if status.state is JobState.COMPLETED:
        return 0
    if status.exit_code is not None and 0 < status.exit_code < 256:
        return status.exit_code
    # A job that TERM ends has 143; one that was cancelled before it ran is told in the same way.
    return 143 if status.state is JobState.CANCELED else 1


def shown_command(spec: JobSpec) -> str:
    """Return the command of a job as one would type it."""
    return shlex.join([spec.executable or '', *(spec.arguments or ())])


def shown_span(start: float | None, end: float | None) -> str:
    """Return how long something took, such as `1:02:03`."""
    if start is None or end is None:
        return ''
    return str(timedelta(seconds=round(max(0.0, end - start))))


def shown_cpu_time(usage: ResourceUsage | None) -> str:
    """Return the CPU time of a job and how busy that kept its cores, such as `0:01:30 (95 %)`."""
    if usage is None or usage.cpu_time is None:
        return ''
    percent = '' if usage.cpu_percent is None else f' ({usage.cpu_percent:.0f} %)'
    return str(timedelta(seconds=round(usage.cpu_time.total_seconds()))) + percent


def shown_memory(usage: ResourceUsage | None) -> str:
    """Return the most memory that a job used, such as `200.3 MiB`."""
    size = None if usage is None else usage.max_rss
    if size is None:
        return ''
    return f'{size / 2**30:.1f} GiB' if size >= 2**30 else f'{size / 2**20:.1f} MiB'


def shown_time(moment: float | None) -> str:
    """Return a moment in local time."""
    return '' if moment is None else datetime.fromtimestamp(moment).strftime('%Y-%m-%d %H:%M:%S')


def _iso(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment).astimezone().isoformat(timespec='milliseconds')
