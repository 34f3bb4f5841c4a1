"""How the tables of captures write down what must come out of one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Tuple

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.observation import Observation
from psij_ext.core.state import JobState

Event = Tuple[str, Observation]
"""The id of a job, and what was read of it."""

_OF_COURSE = {JobState.COMPLETED: ExitReason.EXITED, JobState.CANCELED: ExitReason.CANCELED}


def outcome(seen: Observation) -> str:
    """Write what was read of a job, such as `FAILED(SIGNALED,137,9)`: state, reason, exit code, signal.

    Left out are 0 of what completed, and reasons that the state itself names.
    """
    state, code = seen.status.state, seen.status.exit_code
    told = [] if seen.reason is _OF_COURSE.get(state) else [seen.reason.name if seen.reason is not None else 'None']
    if not (state is JobState.COMPLETED and code == 0):
        told += [str(each) for each in (code, seen.signal) if each is not None]
    return f'{state.name}({",".join(told)})' if told else state.name


def summary(events: Iterable[Event], states_only: bool = False) -> str:
    """Write what was read of each job at successive moments: `4_0,4_2=COMPLETED 8=QUEUED>ACTIVE`."""
    courses: dict[str, list[str]] = {}
    for native_id, seen in events:
        told = seen.status.state.name if states_only else outcome(seen)
        course = courses.setdefault(native_id, [])
        if course[-1:] != [told]:
            course.append(told)
    alike: dict[str, list[str]] = {}
    for native_id, course in courses.items():
        alike.setdefault('>'.join(course), []).append(native_id)
    return ' '.join(f'{",".join(_shortened(ids))}={course}' for course, ids in alike.items())


def _shortened(ids: list[str]) -> list[str]:
    """Write the elements of one array, where they are evenly apart, as `4_1..9:2`."""
    arrays: dict[str, list[int]] = {}
    for native_id in ids:
        array, _, index = native_id.partition('_')
        if index.isdigit():
            arrays.setdefault(array, []).append(int(index))
    short: list[str] = []
    for native_id in ids:
        array, _, index = native_id.partition('_')
        indices = sorted(arrays.get(array, ()))
        steps = {later - earlier for earlier, later in zip(indices, indices[1:])}
        if not index.isdigit() or len(indices) < 4 or len(steps) > 1:
            short.append(native_id)
        elif int(index) == indices[0]:
            step = steps.pop()
            short.append(f'{array}_{indices[0]}..{indices[-1]}' + (f':{step}' if step > 1 else ''))
    return short
