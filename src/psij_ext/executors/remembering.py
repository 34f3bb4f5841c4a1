"""What the folder of a job tells a later program of the job's submission."""

from __future__ import annotations

import logging
from pathlib import Path

from psij_ext.core.interfaces import JobExecutor
from psij_ext.core.job import Job
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.journal import Journal
from psij_ext.runtime.look import record_silently

logger = logging.getLogger(__name__)


def remember(folder: JobFolder, executor: JobExecutor) -> Followed:
    """Make a job anew from its folder; no callback is told of what becomes known of it.

    :param folder: the folder of a job that was submitted.
    :param executor: where it was submitted.
    """
    journal = folder.read_journal()
    native_id, submitted = journal.native_id or '', journal.submitted or 0.0
    job = Job(read_spec(folder, journal))
    job._set_id(folder.job_id)
    job._bind(executor)
    job._set_native_id(native_id)
    job._record(JobStatus(JobState.QUEUED, time=submitted))
    followed = Followed(
        job, native_id, folder, record_silently, submitted=submitted, stderr_path=own_stderr(job.spec))
    followed.cancel_acknowledged = journal.cancel_noted
    return followed


def read_spec(folder: JobFolder, journal: Journal | None = None) -> JobSpec | None:
    """Read the spec of a job back from its folder; None where it makes no sense.

    :param journal: what the journal of the folder says; it is read if None.
    """
    text = (folder.read_journal() if journal is None else journal).spec
    if text is None:
        return None
    try:
        return JSONSerializer().loads(text)
    except (TypeError, ValueError) as error:
        logger.warning('The spec in %s cannot be read: %s', folder.path, error)
        return None


def own_stderr(spec: JobSpec | None) -> Path | None:
    """Where a job's standard error goes, if not to its folder."""
    if spec is None or spec.stderr_path is None:
        return None
    return (spec.directory or Path()) / spec.stderr_path
