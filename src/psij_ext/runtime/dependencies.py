"""Whether a job waits in vain, from what the folders of the jobs tell that it waits for."""

from __future__ import annotations

from psij_ext.core.state import JobState
from psij_ext.exceptions import FolderUnreadable
from psij_ext.runtime.ending import kept_end
from psij_ext.runtime.jobfolder import JobFolder


def why_in_vain(folder: JobFolder) -> str | None:
    """Tell why a job can never begin; None where nothing of the kind is known.

    Schedulers forget jobs, and then why they ended them.

    :param folder: the job's folder.
    """
    try:
        dependencies = folder.read_journal().dependencies
        for native_ids, wants_success in ((dependencies.after_ok, True), (dependencies.after_not_ok, False)):
            for native_id in native_ids:
                other = JobFolder.find(folder.path.parent, native_id)
                state = None if other is None else _end_of(other)
                if state is not None and (state is JobState.COMPLETED) != wants_success:
                    return (f'Job {native_id}, which was to {"complete" if wants_success else "fail"} before it, '
                            f'is {state}.')
    except FolderUnreadable:
        return None
    return None


def _end_of(folder: JobFolder) -> JobState | None:
    """Give the state in which a job ended: what was found out, or else what its script says."""
    end = kept_end(folder)
    if end is not None:
        return end[0].state
    record = folder.read_exit()
    if record is None:
        return None
    well = record.exit_code == 0 and record.launched and not record.term_seen
    return JobState.COMPLETED if well else JobState.FAILED
