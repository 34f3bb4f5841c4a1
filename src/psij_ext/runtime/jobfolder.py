"""The private folder of a job: spec, script, ids, claim, exit record, output. The durable truth about it.

What the submitting side knows stands in one file, the `journal`. The jobs of an array share one, which
`runtime/arrays.py` describes.

What the job's script knows is in files of its own. Who holds a submission is a symbolic link whose target is the
holder: made in one step by whoever comes first, never half written, and kept by network file systems. It is read, never
followed.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from psij_ext.runtime.foreign import LAUNCH, begun_as, claims, leaves_exit_code, read_exit_code
from psij_ext.runtime.journal import ATTEMPT, Journal
from psij_ext.runtime.limits import as_bytes
from psij_ext.runtime.native_names import give_name, native_name
from psij_ext.runtime.private import (
    NOTHING_THERE,
    append_to_file,
    is_own_folder,
    make_folder,
    make_folders,
    read_file,
    unreadable,
    write_file,
)
from psij_ext.runtime.records import (
    ExitRecord,
    ProgressEntry,
    TermNote,
    parse_exit_record,
    parse_progress,
    parse_term_note,
)

logger = logging.getLogger(__name__)

REVOKED = 'revoked'
SCHEDULER_OUTPUT = 'scheduler.out'
_RECORD_LIMIT = 64 * 1024


class JobFolder:
    """The folder of one job. Only its owner can read its files, and they are never reached through a link."""

    __slots__ = ('__weakref__', '_foreign', '_native_id', '_nonce', 'path')

    def __init__(self, path: Path) -> None:
        self.path = path
        self._nonce: str | None = None
        # Whether the script is a plugin's own, as far as that is known, and the native id where it is.
        self._foreign: bool | None = None
        self._native_id: str | None = None

    @classmethod
    def create(cls, work_directory: Path, job_id: str, spare: Path | None = None) -> JobFolder:
        """Make the folder of a new job, and the work directory where there is none.

        The folder of a job that a scheduler refused is taken again for the next attempt to submit it.

        :param spare: an empty folder that was made in advance; it becomes the job's.
        :raises OSError: if it cannot be made, is not ours, or belongs to a job that was submitted.
        """
        folder = cls(work_directory / job_id)
        if spare is not None:
            try:
                os.rename(spare, folder.path)
                return folder
            except OSError:  # somebody may have cleaned up; or the job has its folder
                shutil.rmtree(spare, ignore_errors=True)
        try:
            make_folder(folder.path)
        except FileNotFoundError:
            make_folders(work_directory)
            make_folder(folder.path)
        except FileExistsError:
            if not is_own_folder(folder.path) or folder.read_journal().native_id is not None:
                raise
        return folder

    @property
    def job_id(self) -> str:
        return self.path.name

    @property
    def nonce(self) -> str | None:
        """The latest submission's, as far as its journal was written or read here."""
        return self._nonce

    @property
    def is_array(self) -> bool:
        """Whether it is the folder of an array as a whole."""
        return False

    @property
    def submission(self) -> JobFolder:
        """The folder of what was submitted: this one, or for an element that of its array."""
        return self

    @property
    def is_shared(self) -> bool:
        """Whether it is that of an element, which shares its files' place with others."""
        return self.submission is not self

    @property
    def jobs(self) -> Iterable[JobFolder]:
        """The folders of the jobs that were submitted together."""
        return (self,)

    @property
    def origin(self) -> str:
        """The name of the folder from which the scheduler was given the job."""
        return self.path.name

    @property
    def hint_name(self) -> str:
        """By which name the job's script makes itself known in a mailbox."""
        return self.job_id

    @property
    def secret(self) -> bytes | None:
        """What the job's script makes itself known with over the network; as `nonce`."""
        return None if self.nonce is None else self.nonce.encode()

    @property
    def script_path(self) -> Path:
        return self.path_of('script')

    @property
    def scheduler_output_path(self) -> Path:
        """Where the scheduler puts what the script itself and the scheduler's own programs write."""
        if self._foreign and self._native_id is not None:
            return self.path_of(f'{self._native_id}.out')
        return self.path_of(SCHEDULER_OUTPUT)

    def path_of(self, name: str) -> Path:
        """Where a file of the job lies, such as `stdout`, or one that it shares with the others of its array."""
        return Path(self._file(name))

    # -- before the submission

    def open_journal(self, record: Mapping[str, object], spec: str) -> None:
        """Keep what must be known when this process is gone: who submits what, and under which nonce.

        What was known of an earlier attempt holds no more, but is there at each moment until then.

        :param record: the submission; `job_id` is the name of this folder.
        :param spec: the serialized spec.
        """
        self._append('journal', Journal.line(submission=record, spec=spec))
        self._nonce = Journal({'submission': record}).nonce
        self._foreign = False

    def read_journal(self) -> Journal:
        """Read all that was kept of the job by those who submitted and followed it.

        :raises FolderUnreadable: if that cannot be read now.
        """
        journal = Journal.parse(self._read('journal', limit=None))
        self._nonce = journal.nonce
        self._foreign, self._native_id = journal.is_foreign, journal.native_id
        return journal

    def note_foreign(self) -> None:
        """Keep that the script of this submission is a plugin's own, before it is submitted."""
        self._note(foreign=True)
        self._foreign = True

    @property
    def is_foreign(self) -> bool:
        """Whether the script is a plugin's own, as far as its journal was written or read here."""
        return bool(self._foreign)

    def save(self) -> None:
        """Have the disk hold what was kept so far, so that the loss of power takes none of it away.

        :raises OSError: if that cannot be done.
        """
        for path in (self._file('journal'), self.path, self.path.parent):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def write_script(self, script: str) -> None:
        self._write('script', as_bytes(script), mode=0o700)

    def write_launch(self, script: str) -> None:
        """Keep the script by which a plugin's own script launches the job."""
        self._write(LAUNCH, as_bytes(script))

    def write_environment(self, lines: str) -> None:
        """Keep the environment that the script brings along; it is nobody else's to read."""
        self._write('environment', as_bytes(lines))

    def write_others(self, others: Sequence[tuple[str, str, Path]]) -> None:
        """Keep which jobs the supervisor of a local job is to wait for: kind, native id and folder of each."""
        if others:
            self._write('others', b''.join(os.fsencode(each) + b'\0' for other in others for each in other))
        else:
            with contextlib.suppress(FileNotFoundError):  # of a submission that was refused
                os.unlink(self._file('others'))

    def add_follower(self, mailbox: Path) -> None:
        """Let one more process than the submitting one have the script's hints."""
        self._append('followers', os.fsencode(mailbox) + b'\0')

    # -- the submission's claim

    def claimed_by(self, nonce: str) -> str | None:
        """Tell who holds a submission: a native id, `revoked`, or None while nobody does.

        :raises FolderUnreadable: if that cannot be read now, or somebody else put something there.
        """
        claim = self._file(f'claim.{nonce}')
        try:
            holder = os.readlink(claim)
            if os.lstat(claim).st_uid != os.geteuid():
                raise PermissionError(errno.EPERM, 'It is no link of yours', claim)
            return holder
        except OSError as error:
            if error.errno in NOTHING_THERE:
                return None
            raise unreadable(Path(claim), error) from error

    def was_submitted_before(self, nonce: str) -> bool:
        """Whether an earlier submission of the job was revoked: the scheduler may have a job of that one, too.

        :raises FolderUnreadable: if that cannot be read now.
        """
        try:
            return any(name.startswith('claim.') and name != f'claim.{nonce}' for name in os.listdir(self.path))
        except OSError as error:
            raise unreadable(self.path, error) from error

    @property
    def is_unclaimed(self) -> bool:
        """Whether the folder can be read, and its script, which claims the submission first of all, has not done so."""
        try:
            nonce = self.read_journal().nonce
            # A dialect may write scripts of its own, which claim nothing.
            if nonce is None or not claims((self._read('script') or b'').decode('utf-8', 'replace'), nonce):
                return False
            return os.readlink(self._file(f'claim.{nonce}')) == REVOKED
        except OSError as error:
            return isinstance(error, FileNotFoundError)

    def revoke(self, nonce: str) -> str | None:
        """Give up a submission whose outcome is unknown: its script, should it ever start, runs nothing.

        :return: None, or the native id of the script that had claimed it already: then the job runs, and this
            is its id.
        :raises OSError: if that cannot be done, or it cannot be read who holds it.
        """
        try:
            os.symlink(REVOKED, self._file(f'claim.{nonce}'))
        except FileExistsError:
            holder = self.claimed_by(nonce)
            return None if holder == REVOKED else holder
        return None

    def decide(self, nonce: str, verdict: str) -> str:
        """Decide for all who find out at the same time what becomes of a submission whose process is gone.

        :param verdict: the native id that the scheduler tells, or `revoked`.
        :return: the verdict of whoever came first.
        :raises OSError: if it cannot be kept or read.
        """
        name = self._file(f'verdict.{nonce}')
        try:
            os.symlink(verdict, name)
        except FileExistsError:
            return os.readlink(name)
        return verdict

    def begun_as(self) -> str | None:
        """Tell under which native id a plugin's own script has begun; None while it has left no trace.

        :raises FolderUnreadable: if that cannot be told now.
        """
        try:
            return begun_as(self.path)
        except OSError as error:
            raise unreadable(self.path, error) from error

    # -- the native id

    def set_native_id(self, native_id: str) -> None:
        """Keep the native id, and let the folder be found by it."""
        self._native_id = native_id
        self._note_of_attempt(native_id=native_id)
        self.name_by(native_id)

    def name_by(self, native_id: str) -> None:
        """Let the folder be found by its native id."""
        give_name(native_name(os.path.dirname(self.path), native_id), self._file('journal'))

    def note_not_submitted(self, reason: str, *, reported: bool) -> None:
        """Keep that the submission came to nothing, and that its script, should it start all the same, runs nothing."""
        self._note_of_attempt(not_submitted=reason, **({'reported': time.time()} if reported else {}))

    # -- what the script says

    def read_progress(self) -> list[ProgressEntry]:
        """Read which states the job's script entered, oldest first; unreadable lines are passed over.

        :raises FolderUnreadable: if the file cannot be read now.
        """
        entries = []
        for line in (self._read('progress') or b'').decode('ascii', 'replace').splitlines():
            try:
                entries.append(parse_progress(line))
            except (ValueError, KeyError):
                logger.warning('The line %r of %s cannot be read and is passed over.',
                               line, self._file('progress'))
        return entries

    def read_exit(self) -> ExitRecord | None:
        """Read the exit record of the latest attempt; None while there is none, or none that makes sense.

        :raises FolderUnreadable: if the file cannot be read now.
        """
        content = self._read('exit')
        if content is None:
            return self._read_foreign_exit()
        record = parse_exit_record(content.decode('utf-8', 'replace'))
        if record is None:
            logger.warning('The exit record %s cannot be read and is passed over.', self._file('exit'))
        elif record.term_seen:
            ended_by, _, _ = (self._read('ended_by') or b'').partition(b'\n')
            record = replace(record, ended_by=ended_by.decode('ascii', 'replace').strip() or None)
        return record

    def _read_foreign_exit(self) -> ExitRecord | None:
        if self._foreign is None:
            self.read_journal()
        if not self._foreign or self._native_id is None:
            return None
        try:
            return read_exit_code(str(self.path), self._native_id)
        except OSError as error:
            raise unreadable(self.path, error) from error

    @property
    def owes_exit_code(self) -> bool:
        """Whether the script is a plugin's own that leaves its exit code as its last act.

        :raises FolderUnreadable: if that cannot be told now.
        """
        return self.is_foreign and leaves_exit_code(self._read('script', limit=None) or b'')

    @property
    def is_preparing(self) -> bool:
        """Whether the pre-launch script has begun, and the job's script has not gone on after it.

        :raises FolderUnreadable: if that cannot be told now.
        """
        return self._read('preparing') is not None

    def read_term_note(self) -> TermNote | None:
        """Read what the script wrote when it was last sent TERM; None where it was not, or it cannot be read."""
        content = self._read('term')
        return None if content is None else parse_term_note(content.decode('ascii', 'replace'))

    # -- what became of it

    def write_end(self, end: Mapping[str, object], *, reported: bool = False) -> None:
        """Keep how the job ended, for whoever asks when the scheduler has forgotten it.

        :param reported: whether whoever submitted the job was told.
        """
        self._note(end=end, **({'reported': time.time()} if reported else {}))

    def note_owner(self, owner: Mapping[str, object]) -> None:
        """Keep which process looks after the job from now on."""
        self._note(owner=owner)

    def write_end_after(self, seconds: float) -> None:
        """Keep after how much time the supervisor of a local job shall end it, for when it is told to read that.

        One line for each time that somebody asks, so that none is lost where two ask at once.
        """
        self._append('end_after', f'{seconds:.3f}\n'.encode())

    def note_cancel(self) -> None:
        """Keep that the scheduler took a cancel of ours."""
        self._note(cancel=time.time())

    def tidy(self) -> None:
        """Remove what nobody needs once the job has succeeded; what tells of it, and its output, stays."""
        for name in ('script', 'nodes', 'environment', 'followers', 'others', LAUNCH, 'step'):
            with contextlib.suppress(OSError):
                self.path_of(name).unlink()

    # -- the files

    def _file(self, name: str) -> str:
        return f'{self.path}/{name}'

    def _write(self, name: str, content: bytes, mode: int = 0o600) -> None:
        write_file(self._file(name), content, mode)

    def _append(self, name: str, content: bytes) -> None:
        append_to_file(self._file(name), content)

    def _read(self, name: str, limit: int | None = _RECORD_LIMIT) -> bytes | None:
        """Read a file; None where there is none of ours.

        :raises FolderUnreadable: if it cannot be read now.
        """
        try:
            return read_file(self._file(name), limit)
        except OSError as error:
            raise unreadable(Path(self._file(name)), error) from error

    def _note_of_attempt(self, **entries: object) -> None:
        """Keep what became of the attempt that is known here; another process may be at the next one."""
        self._note(**entries, **({} if self.nonce is None else {ATTEMPT: self.nonce}))

    def _note(self, **entries: object) -> None:
        self._append('journal', Journal.line(**entries))


def new_nonce() -> str:
    """Make the name of one submission: no two have the same, and nobody can guess it who may not read the folder.

    By it the job's script makes itself known when it sends hints.
    """
    return secrets.token_hex(16)
