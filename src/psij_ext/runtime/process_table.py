"""Tells from the table of processes which local jobs live: where a scheduler would be asked, proc(5) is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Callable

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime import children, processes
from psij_ext.runtime.slots import Slots

# Given to a script by its supervisor; the program that the script starts does not have it.
_VARIABLE = b'psij_native_id='


class ProcessTable:
    """A `StatusSource` for jobs whose native id is the pid and the start time of their supervisor.

    :param slots: where the jobs wait.
    :param exit_code: gives how a supervisor ended that this program started, as `children.exit_code` does.
    """

    has_accounting = tells_usage = False

    def __init__(self, slots: Slots, exit_code: Callable[[int], int | None] = children.exit_code) -> None:
        self._slots = slots
        self._exit_code_of = exit_code

    def queue(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        # Before the processes are looked at: who is seen to wait here has not begun to run.
        waiting = self._slots.waiting()
        found = {}
        gone = []
        for native_id in native_ids:
            if supervisor_of(native_id) is None:
                gone.append(native_id)
            elif native_id in waiting:
                found[native_id] = _alive(JobState.QUEUED, 'waiting')
            else:
                found[native_id] = _alive(JobState.ACTIVE, 'running')
        return {**found, **self._explain(gone)}

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        return {}

    def folders(self, native_ids: Sequence[str]) -> Mapping[str, str | None]:
        """Tell nothing: a pid with its start time is not given twice."""
        return {}

    def accounted_folder(self, native_id: str, since: float) -> str | None:
        """Tell nothing: there is no accounting."""
        return None

    def _explain(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        """Tell what can be told of jobs whose supervisors are gone; one that ended by itself left a record."""
        codes = {native_id: self._exit_code(native_id) for native_id in native_ids}
        doubtful = [native_id for native_id, code in codes.items() if code is None or code < 0]
        scripts = running_scripts() if doubtful else frozenset()
        told = {}
        for native_id in doubtful:
            code = codes[native_id]
            if native_id in scripts:
                told[native_id] = _alive(JobState.ACTIVE, 'without supervisor')
            elif code is not None:
                told[native_id] = _killed(-code)
        return told

    def _exit_code(self, native_id: str) -> int | None:
        parsed = parse_native_id(native_id)
        return None if parsed is None else self._exit_code_of(parsed[0])


def parse_native_id(native_id: object) -> tuple[int, int] | None:
    """Read pid and start time out of a native id; None where it is none of a local job."""
    if not isinstance(native_id, str):
        return None
    pid, _, start_time = native_id.partition('.')
    if not all(part.isascii() and part.isdigit() for part in (pid, start_time)):
        return None
    return int(pid), int(start_time)


def supervisor_of(native_id: str) -> int | None:
    """Give the process that supervises a job; None where it does not run any more."""
    parsed = parse_native_id(native_id)
    return parsed[0] if parsed is not None and processes.start_time(parsed[0]) == parsed[1] else None


def session_of(native_id: str) -> Sequence[int]:
    """Give the processes of a job: its supervisor began their session."""
    parsed = parse_native_id(native_id)
    return () if parsed is None else processes.in_session(parsed[0])


def running_scripts() -> frozenset[str]:
    """Give the native ids of the jobs of this user whose scripts run, with or without their supervisors.

    A pid may have been given to another process since; a script has the native id in its environment.
    """
    return frozenset(native_id for environment in Path('/proc').glob('[1-9]*/environ')
                     for native_id in _given_to(environment))


def is_script(pid: int, native_id: str) -> bool:
    """Tell whether a process is the script of a job, or a shell that the script has divided itself into."""
    return native_id in _given_to(Path(f'/proc/{pid}/environ'))


def _given_to(environment: Path) -> list[str]:
    try:
        variables = environment.read_bytes().split(b'\0')
    except OSError:  # somebody else's, or gone
        return []
    return [variable[len(_VARIABLE):].decode('ascii', 'replace')
            for variable in variables if variable.startswith(_VARIABLE)]


def _alive(state: JobState, native_state: str) -> Observation:
    return Observation(JobStatus(state, metadata={'native_state': native_state}))


def _killed(signal: int) -> Observation:
    message = f'The job was killed, together with its supervisor, by signal {signal}.'
    status = JobStatus(JobState.FAILED, message=message, exit_code=128 + signal)
    return Observation(status, ExitReason.SIGNALED, signal=signal)
