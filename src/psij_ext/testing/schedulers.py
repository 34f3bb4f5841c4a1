"""Which schedulers the tests run on, and whether they are there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from psij_ext.exceptions import PsijExtError
from psij_ext.plugins import Registry, executors, launchers
from psij_ext.testing.making import make_executor

# A scheduler that is there answers far sooner; one that hangs shall not hold up those who only ask what is there.
_SECONDS_TO_ANSWER = 20.0


@dataclass(frozen=True)
class Choice:
    """One executor that tests run on, with a launcher of its jobs if it is not the usual one."""

    executor: str
    launcher: str | None = None

    def __str__(self) -> str:
        return self.executor if self.launcher is None else f'{self.executor}:{self.launcher}'


@dataclass(frozen=True)
class Scheduler:
    """How tests reach a scheduler.

    :param environment: environment variables that lead to it; they are set while a test runs on it.
    :param queue_name: a queue that takes jobs, where one is known.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    queue_name: str | None = None

    @contextlib.contextmanager
    def reached(self) -> Iterator[pytest.MonkeyPatch]:
        """Set the environment for a while."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            yield patch


def read_choices(text: str, source: str = '--executors') -> list[Choice]:
    """Read what `--executors` was given.

    :param text: names with commas between them, each with a launcher behind a colon if need be; `auto` stands for all
        that answer on this machine.
    :param source: where it was given, for messages.
    :raises UsageError: if there is no such executor or launcher.
    """
    choices: list[Choice] = []
    for word in text.split(','):
        name, colon, given = word.strip().partition(':')
        launcher = _canonical(launchers, given, source) if colon else None
        names = _answering() if name == 'auto' else [_canonical(executors, name, source)]
        choices += [Choice(found, launcher) for found in names]
    return list(dict.fromkeys(choices))


def why_silent(executor_name: str) -> str | None:
    """Return why the scheduler of an executor does not answer; None if it does."""
    try:
        with make_executor(executor_name, command_timeout=_SECONDS_TO_ANSWER) as executor:
            executor.list()
    except PsijExtError as error:
        return str(error)
    except Exception as error:  # of a plugin that somebody else writes just now
        return f'{type(error).__name__}: {error}'
    return None


def _answering() -> list[str]:
    return [name for name in sorted(executors.names()) if why_silent(name) is None]


def _canonical(registry: Registry, name: str, source: str) -> str:
    try:
        return registry.get(name)[1].name
    except PsijExtError as error:
        raise pytest.UsageError(f'{source}: {error}') from error
