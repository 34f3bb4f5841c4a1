"""What is done to a local job after its start: it is ended, sent a signal, ended later, and looked at (proc(5))."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from psij_ext.core.state import JobState
from psij_ext.exceptions import CommandError
from psij_ext.runtime import processes
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.process_table import is_script, running_scripts, session_of, supervisor_of
from psij_ext.runtime.slots import Slots

# How long a supervisor may take from its start to its handlers, and a script to its program, on a machine that is busy.
_SECONDS_TO_START = 10.0
_SECONDS_BETWEEN_LOOKS = 0.002
_SUPERVISOR = b'/local/supervisor.sh'
_FOLDER = 3  # which word of its command line names the job's folder


class LocalJobs:
    """The jobs of this user on this machine. Nothing happens to one that is over.

    :param slots: where they wait.
    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    def end(self, native_id: str) -> None:
        """Begin the end of a job, waiting or running.

        :raises CommandError: if it belongs to somebody else.
        """
        # Before it has its handler, TERM would end it without a record, or be lost.
        supervisor = self._await_handler(native_id, signal.SIGTERM)
        if supervisor is not None:
            _send(supervisor, signal.SIGTERM)
        elif native_id in running_scripts():
            for pid in session_of(native_id):
                _send(pid, signal.SIGTERM)

    def origins(self) -> dict[str, str]:
        """Return the native ids of the jobs that wait or run, by the names of their folders."""
        origins = {}
        for native_id in self._slots.alive():
            # One that was not told its place, because who started it died, ends before it has a handler.
            pid = self._await_handler(native_id, signal.SIGTERM)
            words = [] if pid is None else _command(pid).split(b'\0')
            if len(words) > _FOLDER and words[_FOLDER - 1].endswith(_SUPERVISOR):
                origins[Path(os.fsdecode(words[_FOLDER])).name] = native_id
        return origins

    def signal(self, native_id: str, folder: JobFolder | None, signal_number: int) -> None:
        """Send a signal to all processes of a job's program; the job's script and its helpers do not see it.

        :param folder: the job's folder, which tells when the program has been launched.
        :raises CommandError: if the job waits, nothing of its program runs, or it belongs to somebody else.
        """
        deadline = time.monotonic() + _SECONDS_TO_START
        while _is_alive(native_id):
            if native_id in self._slots.waiting():
                raise CommandError('it waits for cores or other jobs; only one that runs can be sent a signal', argv=())
            launched = folder is None or any(entry.state is JobState.ACTIVE for entry in folder.read_progress())
            members = program(native_id) if launched else ()
            if members:
                for pid in members:
                    _send(pid, signal_number)
                return
            if time.monotonic() > deadline:
                raise CommandError('nothing of its program runs', argv=())
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def end_after(self, native_id: str, folder: JobFolder | None, signal_number: int, grace: float) -> None:
        """Send a signal to a job's program, and let its supervisor end it later; a job that waits is ended at once.

        :param folder: the job's folder.
        :param grace: seconds to the end.
        :raises CommandError: if the job has no supervisor that does so, or belongs to somebody else.
        """
        if native_id in self._slots.waiting() and supervisor_of(native_id) is not None:
            self.end(native_id)
            return
        if self._await_handler(native_id, signal.SIGUSR2, in_any_case=False) is not None:
            if folder is None:
                raise CommandError('its folder is not in this work directory', argv=())
            folder.write_end_after(grace)
            self.signal(native_id, folder, signal_number)
            supervisor = supervisor_of(native_id)
            if supervisor is not None:
                _send(supervisor, signal.SIGUSR2)
        elif _is_alive(native_id):
            raise CommandError('nobody supervises it who could end it later', argv=())

    def describe(self, native_id: str, folder: JobFolder | None) -> dict[str, str]:
        """Return what the table of processes and the job's folder tell of a job; nothing where neither knows it."""
        described = {} if folder is None else _describe_folder(folder)
        if _is_alive(native_id):
            described['state'] = 'waiting' if native_id in self._slots.waiting() else 'running'
            for pid in session_of(native_id):
                words = _command(pid).rstrip(b'\0').replace(b'\0', b' ')
                described[f'process.{pid}'] = words.decode('utf-8', 'surrogateescape')
        return described

    @staticmethod
    def _await_handler(native_id: str, signal_number: int, in_any_case: bool = True) -> int | None:
        """Wait until a job's supervisor handles a signal, and give its pid; None where there is none.

        :param in_any_case: whether to give one that does not come to handle it, too.
        """
        deadline = time.monotonic() + _SECONDS_TO_START
        while True:
            supervisor = supervisor_of(native_id)
            if supervisor is None or processes.handles(supervisor, signal_number):
                return supervisor
            if time.monotonic() > deadline:
                return supervisor if in_any_case else None
            time.sleep(_SECONDS_BETWEEN_LOOKS)


def program(native_id: str) -> Sequence[int]:
    """Return the processes of a job's program.

    They are those of its session without the supervisor's, the script's own, and the children of the script itself:
    these are the tools that it uses. The program is the child of a shell that the script has divided itself into.
    """
    groups = {}
    for pid in session_of(native_id):
        with contextlib.suppress(ProcessLookupError):
            groups[pid] = os.getpgid(pid)
    # The supervisor's timers are processes of it, in groups of their own.
    supervising = {group for group in groups.values() if any(
        word.endswith(_SUPERVISOR) for word in _command(group).split(b'\0')[2:3])}
    scripts = [pid for pid in groups if is_script(pid, native_id)]
    leading = [pid for pid in scripts if groups[pid] == pid]
    return [pid for pid, group in groups.items()
            if group not in supervising and pid not in scripts and processes.parent(pid) not in leading]


def _is_alive(native_id: str) -> bool:
    return supervisor_of(native_id) is not None or native_id in running_scripts()


def _describe_folder(folder: JobFolder) -> dict[str, str]:
    told = {name: value for name, value in (folder.read_journal().submission or {}).items() if name != 'nonce'}
    told['folder'] = str(folder.path)
    for entry in folder.read_progress():
        told[f'entered.{entry.state}'] = entry.time
    exit_record = folder.read_exit()
    if exit_record is not None:
        told.update((f'exit.{name}', value) for name, value in vars(exit_record).items() if value is not None)
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in told.items()}


def _command(pid: int) -> bytes:
    try:
        return Path(f'/proc/{pid}/cmdline').read_bytes()
    except OSError:
        return b''


def _send(pid: int, signal_number: int) -> None:
    try:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal_number)
    except PermissionError as error:
        raise CommandError(f'process {pid} belongs to somebody else', argv=()) from error
