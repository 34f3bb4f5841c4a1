"""Whether a job waits in vain, from what the folders of the jobs tell that it waits for."""

from __future__ import annotations

from typing import NamedTuple

from psij_ext.core.state import JobState
from psij_ext.exceptions import FolderUnreadable
from psij_ext.runtime.ending import kept_end
from psij_ext.runtime.finding import find_folder
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
                other = find_folder(folder.path.parent, native_id)
                end = None if other is None else _end_of(other)
                if end is not None and end.is_success != wants_success:
                    return (f'Job {native_id}, which was to {"complete" if wants_success else "fail"} before it, '
                            f'{end.words}.')
    except FolderUnreadable:
        return None
    return None


class _End(NamedTuple):
    is_success: bool
    words: str


def _end_of(folder: JobFolder) -> _End | None:
    """Tell how a job ended: what was found out, or else what its script says."""
    end = kept_end(folder)
    if end is not None:
        return _End(end[0].state is JobState.COMPLETED, f'is {end[0].state}')
    record = folder.read_exit()
    if record is None:
        return None
    if record.term_seen:
        return _End(False, 'was ended by TERM')
    return _End(record.exit_code == 0 and record.launched, f'ended with exit code {record.exit_code}')
