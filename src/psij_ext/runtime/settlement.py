"""Submissions of which nobody knows what became of them: their jobs are found, or it is seen to that they never run.

What is asked for first is the claim in the folder, then from which folder each of the scheduler's jobs was submitted.
Of a submission that the scheduler does not know, the nonce is revoked: its script, should the scheduler have it all the
same, runs nothing.
"""

from __future__ import annotations

import errno
import logging
import threading
import weakref
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Callable, Optional, Protocol

from psij_ext.exceptions import FolderUnreadable
from psij_ext.runtime import processes
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.jobfolder import JobFolder

logger = logging.getLogger(__name__)

# The native ids of the jobs that a scheduler has, by the names of the folders that they were submitted from.
Origins = Mapping[str, Sequence[str]]
# Told the native id, None where the job never runs, and why.
Settled = Callable[[Optional[str], str], None]


@dataclass(frozen=True)
class OpenSubmission:
    """A submission of which nobody knows what became of it.

    :param folder: the job's folder, or that of an array, which knows its nonce.
    :param reason: why it was not submitted, should it come to that.
    :param settled: told what became of it; None where nobody waits for that. It may raise FolderUnreadable, and is told
        once more later.
    :param is_own: whether it is whoever submitted the job that is told.
    """

    folder: JobFolder
    reason: str
    settled: Settled | None = None
    is_own: bool = False

    def adopt(self, native_id: str) -> None:
        """Keep that the job is the scheduler's under this id."""
        try:
            self.folder.set_native_id(native_id)
        except OSError as error:
            logger.warning('The native id %s of job %s cannot be kept: %s', native_id, self.folder.job_id, error)
        self._tell(native_id, '')

    def give_up(self, reason: str) -> None:
        """Keep that the job never runs."""
        give_up(self.folder, reason, reported=self.is_own)
        self._tell(None, reason)

    def _tell(self, native_id: str | None, reason: str) -> None:
        if self.settled is not None:
            self.settled(native_id, reason)


@dataclass(frozen=True)
class Unclaimed:
    """A submission of which its folder tells nothing, under its nonce."""

    submission: OpenSubmission
    nonce: str


def settle_by_folders(submissions: Iterable[OpenSubmission]) -> tuple[list[Unclaimed], list[OpenSubmission]]:
    """Settle what the folders of submissions tell of.

    :return: those of which the scheduler has to be asked, and those whose folders cannot be read now.
    """
    unclaimed, unread = [], []
    for submission in submissions:
        try:
            nonce = _settle_by_folder(submission)
        except FolderUnreadable as error:
            logger.debug('What became of a submission is not known yet: %s', error)
            unread.append(submission)
            continue
        if nonce is not None:
            unclaimed.append(Unclaimed(submission, nonce))
    return unclaimed, unread


def _settle_by_folder(submission: OpenSubmission) -> str | None:
    """Settle what the folder of a submission tells of.

    :return: its nonce, if that is nothing.
    :raises FolderUnreadable: if it cannot be read now.
    """
    journal = submission.folder.read_journal()
    nonce = journal.nonce
    if nonce is None:  # its file system may be mounted again
        raise FolderUnreadable(errno.ENOENT, 'There is no record of a submission (it may be read later)',
                               str(submission.folder.path))
    if journal.is_open and _is_at_it(journal.owner):  # what was cut short was settled by others, and is submitted again
        raise FolderUnreadable(errno.EBUSY, 'Another process submits it (it may be read later)',
                               str(submission.folder.path))
    holder = submission.folder.claimed_by(nonce)
    if journal.native_id is not None:
        submission.adopt(journal.native_id)
    elif journal.not_submitted is not None or holder == REVOKED:
        submission.give_up(journal.not_submitted or submission.reason)
    elif holder is not None:
        submission.adopt(holder)
    elif journal.is_foreign:
        begun = submission.folder.begun_as()
        if begun is None:
            raise FolderUnreadable(
                errno.EAGAIN, 'Its script is a plugin\'s own, which cannot be revoked; it has not begun',
                str(submission.folder.path))
        submission.adopt(begun)
    else:
        return nonce
    return None


def _is_at_it(owner: object) -> bool:
    """Whether a process is another one than this, and runs."""
    return owner != processes.this_process() and processes.is_alive(owner) is True


def settle_by_origins(unclaimed: Iterable[Unclaimed], origins: Origins) -> list[OpenSubmission]:
    """Settle submissions of which their folders tell nothing.

    :param origins: what the scheduler says; it was asked after the folders were looked at.
    :return: those that can neither be found nor revoked now.
    """
    left = []
    for each in unclaimed:
        submission, folder = each.submission, each.submission.folder
        try:
            # A job that was heard late, after its submission was revoked, comes from the same folder.
            known = origins.get(folder.origin, ())
            certain = len(known) == 1 and not folder.was_submitted_before(each.nonce)
            # Another process may have asked a moment earlier or later, and have been told otherwise.
            verdict = folder.decide(each.nonce, known[0] if certain else REVOKED)
            native_id = folder.revoke(each.nonce) if verdict == REVOKED else verdict
            if native_id is None:
                submission.give_up(submission.reason)
            else:
                submission.adopt(native_id)
        except OSError as error:
            logger.debug('The submission of job %s cannot be revoked: %s', folder.job_id, error)
            left.append(submission)
    return left


def give_up(folder: JobFolder, reason: str, *, reported: bool = False) -> None:
    """Keep in its folder that a job was not submitted, for those who come after a crash.

    :param reported: whether whoever submitted it was told.
    """
    try:
        folder.note_not_submitted(reason, reported=reported)
    except OSError as error:
        logger.debug('That job %s was not submitted cannot be kept in its folder: %s', folder.job_id, error)


class Asker(Protocol):
    """An executor that can ask its scheduler for origins."""

    def _origins(self) -> Origins:
        """Ask.

        :raises PsijExtError: if there is no answer.
        """


class OpenSubmissions:
    """Those that a monitor settles in its rounds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[OpenSubmission, weakref.ref[Asker]] = {}
        self._asked_last = False

    def __bool__(self) -> bool:
        return bool(self._open)

    def add(self, submission: OpenSubmission, asker: Asker) -> None:
        """Settle one in the rounds that come, as long as the executor is there."""
        with self._lock:
            self._open[submission] = weakref.ref(asker)

    def forget(self, asker: object) -> None:
        """Settle those of an executor no longer."""
        self.remove(submission for submission, reference in list(self._open.items()) if reference() is asker)

    def remove(self, submissions: Iterable[OpenSubmission]) -> None:
        """Settle these no longer."""
        gone = list(submissions)
        with self._lock:
            for submission in gone:
                self._open.pop(submission, None)

    def question(self, hinted: Collection[str], is_due: bool, others_ask: bool) -> Question | None:
        """Settle what folders tell, and return what has to be asked for in this round.

        :param hinted: names that scripts have given which have news.
        :param is_due: whether it is time to ask the scheduler.
        :param others_ask: whether there are other questions to it; they and this one take turns.
        """
        origins = {name.partition('.')[0] for name in hinted}  # of an element, that of its array
        askers = {submission: reference() for submission, reference in list(self._open.items())
                  if is_due or submission.folder.origin in origins}
        unclaimed, unread = settle_by_folders(submission for submission, asker in askers.items() if asker is not None)
        self.remove(askers.keys() - {*unread, *(each.submission for each in unclaimed)})
        if not is_due:
            return None
        self._asked_last = bool(unclaimed) and not (self._asked_last and others_ask)
        asker = askers[unclaimed[0].submission] if self._asked_last else None
        return None if asker is None else Question(self, unclaimed, asker)


class Question:
    """What a scheduler is asked for once for all submissions that are open."""

    def __init__(self, open_submissions: OpenSubmissions, unclaimed: Sequence[Unclaimed], asker: Asker) -> None:
        self._open = open_submissions
        self._unclaimed = unclaimed
        self._asker = asker

    def answer(self) -> None:
        """Ask, and settle what the answer tells.

        :raises PsijExtError: if there is no answer.
        """
        left = settle_by_origins(self._unclaimed, self._asker._origins())
        self._open.remove({each.submission for each in self._unclaimed}.difference(left))
