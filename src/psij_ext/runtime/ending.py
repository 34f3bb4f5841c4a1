"""How a job ended, kept in its folder for those who ask when the scheduler has forgotten it."""

from __future__ import annotations

import logging

from psij_ext.core import checks
from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.journal import Journal
from psij_ext.runtime.usage import read_usage, usage_record

logger = logging.getLogger(__name__)

# What a status says of an end beyond its own fields; it is as JSON can hold it.
_KEPT_METADATA = ('native_state', 'native_reason', 'attempt')

_text, _number = checks.optional(checks.message), checks.optional(checks.integer)


def keep_end(folder: JobFolder, status: JobStatus, exit_info: ExitInfo, *, reported: bool = False) -> None:
    """Keep an end in the job's folder. A job that was only lost from sight may be found by the next who looks.

    :param reported: whether whoever submitted the job was told of it.
    """
    if exit_info.reason is ExitReason.LOST:
        return
    try:
        folder.write_end({
            'format': 1, 'state': status.state.name, 'time': status.time, 'message': status.message,
            'exit_code': status.exit_code,
            'metadata': {name: value for name, value in (status.metadata or {}).items() if name in _KEPT_METADATA},
            'reason': exit_info.reason.name, 'signal': exit_info.signal, 'cause': exit_info.message,
            'usage': None if exit_info.usage is None else usage_record(exit_info.usage),
        }, reported=reported)
    except OSError as error:
        logger.debug('The end of the job in %s cannot be kept there: %s', folder.path, error)


def kept_end(folder: JobFolder) -> tuple[JobStatus, ExitInfo] | None:
    """Return the end that was kept in a job's folder; None where there is none that can be read."""
    return end_in(folder.read_journal(), folder)


def end_in(journal: Journal, folder: JobFolder) -> tuple[JobStatus, ExitInfo] | None:
    """Return the end that stands in a journal of a job; None where there is none that can be read.

    :param folder: the job's folder, which may be pruned by now.
    """
    end = journal.end
    if end is None:
        return None
    metadata = end.get('metadata')
    try:
        status = JobStatus(
            JobState[str(end['state'])], checks.number('time', end['time']), _text('message', end['message']),
            _number('exit_code', end['exit_code']),
            metadata=metadata if isinstance(metadata, dict) and metadata else None)
        info = ExitInfo(
            ExitReason[str(end['reason'])], status.exit_code, _number('signal', end['signal']),
            _text('cause', end['cause']), read_usage(end.get('usage')))
    except (KeyError, TypeError, ValueError) as error:
        logger.warning('The end in %s cannot be read and is passed over: %r', folder.path, error)
        return None
    return (status, info) if status.final else None
