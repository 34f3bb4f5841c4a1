"""All that is known of one job at one moment, and how long better is waited for."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from psij_ext.core.observation import Observation
from psij_ext.runtime.records import ExitRecord, ProgressEntry, TermNote
from psij_ext.runtime.usage import Request


class Presence(enum.Enum):
    """What asking a source gave for one job."""

    UNKNOWN = 'unknown'  # not asked, or no answer
    ABSENT = 'absent'    # it answered and does not know the job
    FOUND = 'found'


@dataclass(frozen=True)
class Evidence:
    """All that is known of one job at one moment.

    :param exit_record: what the job's script wrote as its last act.
    :param progress: which states the job's script wrote that it entered.
    :param queue: what the live queue says, if it was asked after the record and the progress were first seen.
    :param queue_presence: whether the live queue knows the job.
    :param accounting: the same for accounting.
    :param accounting_presence: the same for accounting.
    :param has_accounting: whether there is any accounting here; where there is none, the queue has the last
        word.
    :param last_seen: what the queue said of the job when it last knew it.
    :param term_note: what the script wrote when it was sent TERM, where it left no exit record.
    :param taken_out: whether it waited when it was last seen, and was taken out of its array since without having run.
    :param cancel_acknowledged: whether the scheduler took a cancel of ours.
    :param in_vain: why the job can never begin: how another one ended that it waits for; None where it is over with a
        record, or nothing of the kind is known.
    :param leaves_record: whether the script is ours, which writes an exit record before it ends by itself.
    :param folder_answers: whether its folder could be read, where it has one.
    :param time_limit: the wall time that was asked for, in seconds.
    :param stages_in: whether the script stages in before it launches.
    :param request: what was asked for, and when; None where that is not looked up.
    :param waited_for_cause: seconds since a record of an end was found whose cause is asked for; None where
        there is no such record.
    :param traceless_for: seconds since it was found over, and its folder, which can be read, showed that the script of
        this run never began, or never came back from the pre-launch script; None where it does not.
    :param owes_exit_code: whether the script is a plugin's own that leaves its exit code at its end, and it has not;
        the time since is `traceless_for`.
    :param left_preparing: whether it was the pre-launch script.
    :param absent_for: seconds since the first of the rounds without a gap in which all sources answered and
        none knew the job.
    """

    exit_record: ExitRecord | None = None
    progress: Sequence[ProgressEntry] = ()
    queue: Observation | None = None
    queue_presence: Presence = Presence.UNKNOWN
    accounting: Observation | None = None
    accounting_presence: Presence = Presence.UNKNOWN
    has_accounting: bool = False
    last_seen: Observation | None = None
    term_note: TermNote | None = None
    taken_out: bool = False
    cancel_acknowledged: bool = False
    in_vain: str | None = None
    leaves_record: bool = False
    folder_answers: bool = True
    time_limit: float | None = None
    stages_in: bool = False
    request: Request | None = None
    waited_for_cause: float | None = None
    traceless_for: float | None = None
    owes_exit_code: bool = False
    left_preparing: bool = False
    absent_for: float | None = None


@dataclass(frozen=True)
class Patience:
    """How long to wait before less than the best evidence is taken, in seconds.

    :param for_cause: after a record of an end that was no plain success: for the scheduler to say why.
    :param for_absent: after a job was first found nowhere: network file systems hide new files for up to a
        minute.
    :param for_trace: after a job was first called over whose script has left no trace: for the same reason.
    """

    for_cause: float = 5.0
    for_absent: float = 120.0
    for_trace: float = 120.0


USUAL_PATIENCE = Patience()
