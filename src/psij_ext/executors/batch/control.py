"""Acts on jobs through a dialect's commands: ends, signals, holds them, and says for which of them that failed."""

from __future__ import annotations

import contextlib
import shlex
import signal as signals
from collections.abc import Iterator, Mapping, Sequence
from typing import Callable

from psij_ext.core.control import cannot_hold, has_no_record, has_no_version
from psij_ext.core.state import JobState
from psij_ext.exceptions import (
    CommandError,
    CommandTimeout,
    ControlUncertain,
    InvalidJobException,
    InvalidJobStateError,
    ParseError,
    SubmitException,
)
from psij_ext.executors.batch.blame import blaming
from psij_ext.executors.batch.dialect import Refusal, SchedulerDialect
from psij_ext.runtime.command import CommandResult, command_error

# All arguments and the environment have 128 KiB at least and mostly 2 MB (execve(2)).
_LONGEST_COMMAND = 100_000
# A longer command is not shown whole in a message; the exception has it.
_MOST_WORDS_SHOWN = 12

RunCommand = Callable[[Sequence[str]], CommandResult]
BuildCommand = Callable[[Sequence[str]], 'Sequence[str] | None']
# Takes the exit code and the words for one job; raises SubmitException if that is no success.
JudgeRefusal = Callable[[int, str], None]


class SchedulerControl:
    """What can be done to jobs of one scheduler.

    :param name: the executor's name, for messages.
    :param dialect: builds the commands and reads what they print.
    :param act: runs a command that changes something.
    :param ask: runs a command that only asks.
    :param heard: called when the scheduler has answered.
    """

    def __init__(self, name: str, dialect: SchedulerDialect, act: RunCommand, ask: RunCommand,
                 heard: Callable[[], None] = lambda: None) -> None:
        self._heard = heard
        self._name = name
        self._dialect = dialect
        self._act = act
        self._ask = ask

    def end(self, native_ids: Sequence[str]) -> dict[str, SubmitException]:
        """End jobs; return those that are not ended, or may not be, with the reason."""
        dialect = self._dialect

        def build(part: Sequence[str]) -> Sequence[str] | None:
            one = len(part) == 1
            return dialect.get_cancel_command(part[0]) if one else dialect.get_cancel_many_command(part)

        def judge(exit_code: int, words: str) -> None:
            with contextlib.suppress(InvalidJobStateError), blaming(
                    dialect, 'process_cancel_command_output', SubmitException):
                dialect.process_cancel_command_output(exit_code, words)

        return self._act_on_all(native_ids, build, judge, 'cancelled')

    def signal(self, native_ids: Sequence[str], signal: signals.Signals) -> dict[str, SubmitException]:
        """Send a signal to the processes of jobs; return those that did not get it, with the reason.

        :raises InvalidJobException: if the scheduler cannot do that.
        """
        dialect = self._dialect
        if dialect.get_signal_command(native_ids[:1], signal) is None:
            raise InvalidJobException(f'The executor {self._name} cannot send signals to jobs.')
        running, failures = self._running(native_ids, signal)
        failures.update(self._act_on_all(
            running, lambda part: dialect.get_signal_command(part, signal), _refuse, f'sent {signal.name}'))
        # What is over by now is no failure; a scheduler may refuse it in the same words as others.
        refused = [native_id for native_id in running if native_id in failures and not failures[native_id].transient]
        still = self._running(refused, signal)[0] if refused else []
        return {native_id: failure for native_id, failure in failures.items()
                if native_id not in refused or native_id in still}

    def hold(self, native_id: str) -> None:
        """Keep a waiting job from being started.

        :raises InvalidJobException: if the scheduler cannot do that.
        :raises SubmitException: if it refuses.
        """
        self._act_on_one(native_id, self._dialect.get_hold_command(native_id), 'held')

    def release(self, native_id: str) -> None:
        """Let a held job be started; as `hold`."""
        self._act_on_one(native_id, self._dialect.get_release_command(native_id), 'released')

    def record(self, native_id: str, since: float) -> dict[str, str]:
        """Return all that the scheduler knows of a job.

        :param since: when it was submitted, in seconds since the epoch.
        :raises CommandError: if it does not know the job, or does not answer.
        :raises InvalidJobException: if there is no command to ask with.
        """
        answers: list[CommandResult] = []
        trouble: ParseError | None = None
        for command in self._dialect.get_record_commands(native_id, since):
            answers.append(self._ask(command))
            if self._dialect.is_without_answer(answers[-1]):
                # Another one may still know the job, but not what became of it.
                raise command_error(f'{self._name} did not tell of job {native_id}', answers[-1])
            self._heard()
            try:
                record = self._dialect.parse_record(answers[-1], native_id)
            except ParseError as error:
                trouble = error
                continue
            if record:
                return record
        if not answers:
            raise has_no_record(self._name, native_id)
        what = 'knows nothing' if trouble is None else f'told nothing that can be read ({trouble})'
        raise command_error(f'{self._name} {what} of job {native_id}', answers[0]) from trouble

    def version(self) -> str:
        """Return product and version of the scheduler.

        :raises CommandError: if its command fails, or prints no version.
        :raises InvalidJobException: if there is no command to ask with.
        """
        command = self._dialect.get_version_command()
        if command is None:
            raise has_no_version(self._name)
        result = self._ask(command)
        try:
            return self._dialect.parse_version(result)
        except ParseError as error:
            raise command_error(f'The version of {self._name} is not known', result) from error

    # -- commands

    def _act_on_one(self, native_id: str, command: Sequence[str] | None, done: str) -> None:
        if command is None:
            raise cannot_hold(self._name)
        for failure in self._act_on_all([native_id], lambda part: command, _refuse, done).values():
            raise failure

    def _act_on_all(self, native_ids: Sequence[str], build: BuildCommand, judge: JudgeRefusal,
                    done: str) -> dict[str, SubmitException]:
        """Run as few commands as possible for jobs; return for which of them nothing was done, and why."""
        failures: dict[str, SubmitException] = {}
        parts = list(self._parts(native_ids))
        while parts:
            part = parts.pop(0)
            command = build(part)
            result: CommandResult | None = None
            try:
                result = None if command is None else self._act(command)
                if result is not None and (result.exit_code < 0 or self._dialect.is_without_answer(result)):
                    raise command_error('The scheduler gave no answer', result)
                if result is not None:
                    self._heard()
            except CommandError as error:
                # Each further command for this group would wait as long for the same end.
                group = self._dialect.command_group(part[0])
                same = [each for each in parts if self._dialect.command_group(each[0]) == group]
                parts = [each for each in parts if each not in same]
                failures.update(_unanswered(part, error, result is not None, done))
                failures.update(_untried([native_id for each in same for native_id in each], error, done))
                continue
            refusals = None if result is None else self._refusals(result, part)
            if refusals is None or result is None:
                parts[:0] = [[native_id] for native_id in part]
            else:
                failures.update(_judged(refusals, judge, result.argv, done))
        return failures

    def _refusals(self, result: CommandResult, part: Sequence[str]) -> Mapping[str, Refusal] | None:
        if result.exit_code == 0:
            return {}
        if len(part) == 1:
            return {part[0]: Refusal(result.exit_code, result.combined_text)}
        return self._dialect.parse_refusals(result, part)

    def _parts(self, native_ids: Sequence[str]) -> Iterator[list[str]]:
        """Divide jobs into those that one command can take."""
        groups: dict[str, list[str]] = {}
        for native_id in native_ids:
            groups.setdefault(self._dialect.command_group(native_id), []).append(native_id)
        for group in groups.values():
            part: list[str] = []
            length = 0
            for native_id in group:
                own = len(native_id.encode('utf-8', 'surrogateescape')) + 1
                if part and length + own > _LONGEST_COMMAND:
                    yield part
                    part, length = [], 0
                part.append(native_id)
                length += own
            yield part

    def _running(self, native_ids: Sequence[str],
                 signal: signals.Signals) -> tuple[list[str], dict[str, SubmitException]]:
        """Return the jobs that can get a signal, and why not those that wait; jobs that are over are in neither.

        All can, as far as the queue does not answer. It is asked first, because scancel was seen to try for a minute to
        reach a job that waits (Slurm 22.05).
        """
        try:
            seen = self._dialect.parse_status(self._ask(self._dialect.get_status_command(native_ids)))
        except (CommandError, ParseError):
            return list(native_ids), {}
        alive = [native_id for native_id in native_ids if native_id in seen and not seen[native_id].status.final]
        waiting = {native_id: SubmitException(
            f'Job {native_id} could not be sent {signal.name}: it does not run yet.')
            for native_id in alive if seen[native_id].status.state is JobState.QUEUED}
        return [native_id for native_id in alive if native_id not in waiting], waiting


def _refuse(exit_code: int, words: str) -> None:
    raise SubmitException(words or 'the scheduler does not say why', exit_code=exit_code, stderr=words)


def _judged(refusals: Mapping[str, Refusal], judge: JudgeRefusal, argv: Sequence[str],
            done: str) -> dict[str, SubmitException]:
    failures = {}
    for native_id, (exit_code, words) in refusals.items():
        try:
            judge(exit_code, words)
        except SubmitException as refusal:
            failures[native_id] = _failure(
                f'Job {native_id} could not be {done}: {refusal.message} '
                f'(command: {_shown(argv)}, exit code {exit_code})',
                refusal, argv, exit_code, words)
    return failures


def _unanswered(part: Sequence[str], error: CommandError, was_run: bool, done: str) -> dict[str, SubmitException]:
    """Make what is known of jobs after a command without answer: it may take effect all the same, if it was run."""
    uncertain = was_run or isinstance(error, CommandTimeout)
    words = _brief(error)
    if not uncertain:
        return {native_id: _failure(
            f'Job {native_id} could not be {done}: {words}', error, error.argv, error.exit_code, error.stderr)
            for native_id in part}
    return {native_id: _failure(
        f'The scheduler was asked and did not answer; whether job {native_id} is {done} is not known yet: {words} '
        'The job stays followed, and its status will tell; to ask again does no harm.',
        error, error.argv, error.exit_code, error.stderr, transient=True, kind=ControlUncertain) for native_id in part}


def _untried(native_ids: Sequence[str], error: CommandError, done: str) -> dict[str, SubmitException]:
    words = _brief(error)
    return {native_id: _failure(
        f'Job {native_id} was not {done}: it was not tried after a command for others had failed: {words}',
        error, error.argv, error.exit_code, error.stderr, transient=True) for native_id in native_ids}


def _brief(error: CommandError) -> str:
    """The message of an error, with no more of the command than can be read."""
    return str(error).replace(shlex.join(error.argv), _shown(error.argv))


def _failure(message: str, cause: Exception, argv: Sequence[str], exit_code: int | None, stderr: str,
             transient: bool = False, kind: type[SubmitException] = SubmitException) -> SubmitException:
    failure = kind(message, cause, transient, argv=argv, exit_code=exit_code, stderr=stderr)
    failure.__cause__ = cause
    return failure


def _shown(argv: Sequence[str]) -> str:
    return shlex.join(argv[:_MOST_WORDS_SHOWN]) + (' ...' if len(argv) > _MOST_WORDS_SHOWN else '')
