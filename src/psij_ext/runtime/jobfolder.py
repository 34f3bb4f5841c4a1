"""The private folder of a job: spec, script, ids, claim, exit record, output. The durable truth about it.

What the submitting side knows stands in one file, the `journal`. The jobs of an array share one, which
`runtime/arrays.py` describes.

What the job's script knows is in files of its own (`script_records.py`); so is who holds a submission (`claims.py`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from psij_ext.runtime.claims import REVOKED, Claims
from psij_ext.runtime.foreign import LAUNCH, claims
from psij_ext.runtime.journal import ATTEMPT, Journal
from psij_ext.runtime.limits import as_bytes
from psij_ext.runtime.native_names import give_name, native_name
from psij_ext.runtime.private import is_own_folder, make_folder, make_folders
from psij_ext.runtime.script_records import ScriptRecords

SCHEDULER_OUTPUT = 'scheduler.out'


class JobFolder(Claims, ScriptRecords):
    """The folder of one job. Only its owner can read its files, and they are never reached through a link."""

    __slots__ = ()

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

    # -- before the submission

    def open_journal(self, record: Mapping[str, object], spec: str) -> None:
        """Keep what must be known when this process is gone: who submits what, and under which nonce.

        What was known of an earlier attempt holds no more, but is there at each moment until then.

        :param record: the submission; `job_id` is the name of this folder.
        :param spec: the serialized spec.
        """
        self._append('journal', Journal.line(submission=record, spec=spec))
        self._know(record)
        self._foreign = False

    def note_foreign(self) -> None:
        """Keep that the script of this submission is a plugin's own, before it is submitted."""
        self._note(foreign=True)
        self._foreign = True

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

    def _note_of_attempt(self, **entries: object) -> None:
        """Keep what became of the attempt that is known here; another process may be at the next one."""
        self._note(**entries, **({} if self.nonce is None else {ATTEMPT: self.nonce}))

    def _note(self, **entries: object) -> None:
        self._append('journal', Journal.line(**entries))
