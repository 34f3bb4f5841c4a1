"""What is known about a job at one moment."""

from __future__ import annotations

import time as clock
from collections.abc import Mapping

from psij_ext.core import checks
from psij_ext.core.checks import Checked, Field, instance_of, integer, number, optional
from psij_ext.core.state import JobState

_dictionary = instance_of(dict)


def _metadata(label: str, value: object) -> dict[str, object]:
    checked = _dictionary(label, value)
    return {checks.message(label, name): content for name, content in checked.items()}


class JobStatus(Checked):
    """The state of a job, since when, and why.

    :param state: the state.
    :param time: when the job entered it, in seconds since the epoch; the present moment if None.
    :param message: what a person should know about it.
    :param exit_code: the exit code, where the state is final and there is one.
    :param metadata: further facts; `native_state` and `native_reason` are the scheduler's own words, `attempt` is
        which run of the job this is about, from 1, and `expected_start` is when a waiting job may begin, in seconds
        since the epoch.
    """

    __slots__ = ('_exit_code', '_message', '_metadata', '_state', '_time')

    state: Field[JobState, JobState] = Field(instance_of(JobState), 'The state.')
    time: Field[float, float] = Field(number, 'When the job entered the state, in seconds since the epoch.')
    message: Field[str | None, str | None] = Field(optional(checks.message), 'What to know about it.')
    exit_code: Field[int | None, int | None] = Field(optional(integer), 'The exit code, if any.')
    metadata: Field[Mapping[str, object] | None, dict[str, object] | None] = Field(
        optional(_metadata), "Further facts, such as the scheduler's own name for it in `native_state`."
    )

    def __init__(
        self,
        state: JobState,
        time: float | None = None,
        message: str | None = None,
        exit_code: int | None = None,
        metadata: Mapping[str, object] | None = None,
    ) -> None:
        self.state = state
        self.time = clock.time() if time is None else time
        self.message = message
        self.exit_code = exit_code
        self.metadata = metadata

    @property
    def final(self) -> bool:
        """Whether the job is over."""
        return self.state.final

    def __str__(self) -> str:
        parts = [self.state.name]
        if self.exit_code is not None:
            parts.append(f'exit code {self.exit_code}')
        if self.message:
            parts.append(self.message)
        return ', '.join(parts)
