"""What a job's script writes about itself: which states it entered, and how it ended."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from psij_ext.core.state import JobState

# The states that a job's script can tell of, and the last second that a date can hold.
_STATES_OF_A_SCRIPT = (JobState.STAGE_IN, JobState.ACTIVE, JobState.STAGE_OUT, JobState.CLEANUP)
# In the record of a job that never began, because another one ended otherwise than it was to.
DEPENDENCY_PHASE = 'dependency'
_END_OF_TIME = 253402300799.0
_NUMBER = re.compile(r'\d{1,18}', re.ASCII)
_TIMES = re.compile(r'(\d{1,9})m(\d{1,2})[^\dm]+(\d{3})s', re.ASCII)


@dataclass(frozen=True)
class ProgressEntry:
    """One line of a job's own account of itself: in this attempt it entered this state at this time."""

    attempt: int
    state: JobState
    time: float


@dataclass(frozen=True)
class ExitRecord:
    """What a job's script wrote as its last act.

    :param attempt: which run of the job this was; a requeue makes the next one. Starts at 1.
    :param native_id: what the scheduler called it.
    :param exit_code: the launch command's, or that of the step which failed.
    :param phase: how far it came: `done`, or the step in which it ended (`task`, in which an element of an array reads
        what it is to do, `directory`, `stage_in`, `pre_launch`, `launch`, `post_launch`, `stage_out`, `cleanup`);
        `dependency` where it waited in vain.
    :param term_seen: whether the script was sent TERM.
    :param ended: seconds since the epoch.
    :param user_time: CPU seconds in user mode, of the script and of all descendants that were waited for; None where
        they are unknown, as where the launcher starts processes elsewhere.
    :param system_time: the same in kernel mode.
    :param ended_by: why the script was sent TERM, where its sender says so: `cancel` or `limit`.
    :param began: when this attempt of the script began, in seconds since the epoch; None where nothing was run.
    :param max_rss: the most memory, in bytes, of the job's own cgroup or of the largest process of the launch command;
        None where it is unknown.
    :param counts_runs: whether the script that wrote it counts the runs of its job; one of a plugin's own does not.
    :param unbegun: what kept the launch command from beginning: its own name where there is no such program, or the
        path of a standard stream that cannot be opened; None where nothing did.
    """

    attempt: int
    native_id: str
    exit_code: int
    phase: str
    term_seen: bool
    ended: float
    user_time: float | None = None
    system_time: float | None = None
    ended_by: str | None = None
    began: float | None = None
    max_rss: int | None = None
    unbegun: str | None = None
    counts_runs: bool = True

    @property
    def launched(self) -> bool:
        """Whether the launch command ran to its own end and nothing that was to follow it failed."""
        return self.phase in ('done', 'post_launch')


@dataclass(frozen=True)
class TermNote:
    """What a job's script wrote when it was sent TERM, for the case that it is not left to write an exit record.

    :param attempt: as in `ExitRecord`.
    :param began: when this attempt of the script began, in seconds since the epoch.
    :param seen: when TERM came.
    """

    attempt: int
    began: float
    seen: float


def parse_term_note(text: str) -> TermNote | None:
    """Read a script's note of TERM; None where it is incomplete or makes no sense."""
    fields = dict(line.partition('=')[::2] for line in text.splitlines())
    try:
        return TermNote(int(fields['attempt']), _moment(fields['began']), _moment(fields['seen']))
    except (KeyError, ValueError):
        return None


def parse_exit_record(text: str) -> ExitRecord | None:
    """Read a script's exit record; None where it is incomplete or makes no sense."""
    fields: dict[str, str] = {}
    times: list[list[str]] = []
    for line in text.splitlines():
        name, equals, value = line.partition('=')
        if equals:
            fields[name] = value
        elif line.strip():  # the room that was left
            times.append(line.split())
    user_time, system_time = _times(times)
    try:
        return ExitRecord(
            attempt=int(fields['attempt']), native_id=fields['native_id'], exit_code=int(fields['exit_code']),
            phase=fields['phase'], term_seen=fields['term'] == '1', ended=_moment(fields['ended']),
            user_time=user_time, system_time=system_time,
            began=_known_moment(fields.get('began', '')), max_rss=_positive(fields.get('max_rss', '')),
            unbegun=fields.get('unbegun') or None)
    except (KeyError, ValueError):
        return None


def parse_progress(line: str) -> ProgressEntry:
    """Read a line of a script's progress.

    :raises ValueError: if it is none, or names a state that is not for a script to tell.
    :raises KeyError: if it names no state.
    """
    attempt, name, seconds = line.split()
    state = JobState[name]
    if state not in _STATES_OF_A_SCRIPT:
        raise ValueError(f'{name} is for the scheduler to say')
    return ProgressEntry(int(attempt), state, _moment(seconds))


def _moment(text: str) -> float:
    seconds = float(text)
    if not 0.0 <= seconds <= _END_OF_TIME:
        raise ValueError(f'{text!r} is no moment')
    return seconds


def _known_moment(text: str) -> float | None:
    try:
        return _moment(text)
    except ValueError:
        return None


def _positive(text: str) -> int | None:
    return int(text) or None if _NUMBER.fullmatch(text) else None


def _times(lines: Sequence[Sequence[str]]) -> tuple[float | None, float | None]:
    """Add up what bash's `times` writes: of the shell on the first line, of its children on the second."""
    try:
        shell, children = ([_seconds(word) for word in line] for line in lines)
        (own_user, own_system), (user, system) = shell, children
    except ValueError:
        return None, None
    return own_user + user, own_system + system


def _seconds(word: str) -> float:
    """Read `1m2.345s`, with the decimal separator of the job's locale."""
    found = _TIMES.fullmatch(word)
    if found is None:
        raise ValueError(f'{word!r} is no time')
    return int(found[1]) * 60 + float(f'{found[2]}.{found[3]}')
