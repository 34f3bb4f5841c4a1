"""Tells from the table of processes which local jobs live: where a scheduler would be asked, proc(5) is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime import processes
from psij_ext.runtime.children import Reaper
from psij_ext.runtime.slots import Slots


class ProcessTable:
    """A `StatusSource` for jobs whose native id is the pid and the start time of their supervisor.

    :param slots: where the jobs wait.
    :param reaper: who knows how those supervisors ended that this program started.
    """

    has_accounting = False

    def __init__(self, slots: Slots, reaper: Reaper) -> None:
        self._slots = slots
        self._reaper = reaper

    def queue(self, native_ids: Sequence[str]) -> Mapping[str, Observation]:
        # Before the processes are looked at: who is seen to wait here has not begun to run.
        waiting = self._slots.waiting()
        seen = {native_id: self._observe(native_id, native_id in waiting) for native_id in native_ids}
        return {native_id: observation for native_id, observation in seen.items() if observation is not None}

    def accounting(self, native_ids: Sequence[str], since: float) -> Mapping[str, Observation]:
        return {}

    def _observe(self, native_id: str, waits: bool) -> Observation | None:
        parsed = parse_native_id(native_id)
        if parsed is None:
            return None
        pid, start_time = parsed
        code = self._reaper.exit_code(pid)
        if processes.start_time(pid) == start_time:
            return _alive(JobState.QUEUED, 'waiting') if waits else _alive(JobState.ACTIVE, 'running')
        if left_alone(native_id):
            return _alive(JobState.ACTIVE, 'without supervisor')
        if code is None or code >= 0:
            return None
        message = f'The job was killed, together with its supervisor, by signal {-code}.'
        status = JobStatus(JobState.FAILED, message=message, exit_code=128 - code)
        return Observation(status, ExitReason.SIGNALED, signal=-code)


def parse_native_id(native_id: object) -> tuple[int, int] | None:
    """Read pid and start time out of a native id; None where it is none of a local job."""
    if not isinstance(native_id, str):
        return None
    pid, _, start_time = native_id.partition('.')
    if not all(part.isascii() and part.isdigit() for part in (pid, start_time)):
        return None
    return int(pid), int(start_time)


def left_alone(native_id: str) -> list[int]:
    """Give the processes of a job whose supervisor is gone, while its script is there to write the record.

    The system may have given the supervisor's pid to another session since, so the script must be seen to be
    this job's: the native id is in its environment.
    """
    parsed = parse_native_id(native_id)
    members = [] if parsed is None else processes.in_session(parsed[0])
    return members if any(_is_script_of(native_id, member) for member in members) else []


def _is_script_of(native_id: str, pid: int) -> bool:
    try:
        environment = Path(f'/proc/{pid}/environ').read_bytes()
    except OSError:
        return False
    return f'psij_native_id={native_id}'.encode() in environment.split(b'\0')


def _alive(state: JobState, native_state: str) -> Observation:
    return Observation(JobStatus(state, metadata={'native_state': native_state}))
