"""Every exception that psij_ext raises on purpose.

::

    PsijExtError
    ├── InvalidJobException          a job that cannot be run as it is written
    ├── SubmitException              a scheduler refused a job, or a job cannot be cancelled
    │   ├── SubmitUncertain          nobody knows yet whether the scheduler took the job
    │   ├── ControlUncertain         nobody knows yet whether the scheduler did what it was asked to do to a job
    │   ├── NotAllSubmitted          some of many jobs were not submitted
    │   └── NotAllCancelled          some of many jobs cannot be cancelled
    ├── InvalidJobStateError         a job cannot be cancelled because it is over already
    ├── CommandError                 a scheduler's command failed
    │   ├── CommandNotFound          ... because it is not installed here
    │   └── CommandTimeout           ... because it did not answer in time
    ├── ParseError (ValueError)      a scheduler's output that cannot be read
    ├── FolderUnreadable (OSError)   a job's folder is there and cannot be read now
    ├── IndexUnavailable             the index of all jobs cannot be used; the jobs' folders can
    │   ├── IndexLocked              ... because other processes are busy with it
    │   └── IndexBroken              ... because its file is damaged, or is no index
    └── PluginError
        ├── UnknownPlugin (ValueError)   no executor or launcher of that name or version
        └── BrokenPlugin                 it exists and cannot be loaded

A field of a job that is set to a wrong type raises `TypeError`, to a wrong value `ValueError`.
"""

from __future__ import annotations

import copyreg
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

# More than these fill a screen; the rest can be read one by one.
_MOST_REASONS = 10


class PsijExtError(Exception):
    """Something that psij_ext was asked to do could not be done."""

    def __reduce__(self) -> tuple[Any, ...]:
        # The default calls the constructor again with `args` alone, which fails for required keywords.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]  # no stub knows it


class InvalidJobException(PsijExtError):
    """The job cannot be run as it is written.

    :param message: what is wrong, for a person to read.
    :param exception: the error that led to this one, if there was one.
    """

    def __init__(self, message: str, exception: Exception | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.exception = exception


class SubmitException(PsijExtError):
    """The scheduler refused the job; it was not submitted.

    :param message: what happened, for a person to read.
    :param exception: the error that led to this one, if there was one.
    :param transient: true if the same submission may succeed later without any change.
    :param argv: the command that was run.
    :param exit_code: its exit code; None if it has none.
    :param stderr: what the command wrote on standard error.
    :param script_path: the submit script.
    """

    def __init__(
        self,
        message: str,
        exception: Exception | None = None,
        transient: bool = False,
        *,
        argv: Sequence[str] = (),
        exit_code: int | None = None,
        stderr: str = '',
        script_path: str | Path | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.exception = exception
        self.transient = transient
        self.argv = tuple(argv)
        self.exit_code = exit_code
        self.stderr = stderr
        self.script_path = None if script_path is None else Path(script_path)


class SubmitUncertain(SubmitException):
    """Nobody knows yet whether the scheduler took the job; do not submit it again, it stays followed."""


class ControlUncertain(SubmitException):
    """The scheduler was asked to do something to a job, such as to cancel it, and did not answer: it may do so yet.

    The job stays followed, and its status will tell; to ask again does no harm.
    """


class NotAllSubmitted(SubmitException):
    """Some of many jobs were not submitted, each for a reason of its own; the others were.

    It is `transient` if all of them may be submitted later.

    :param failures: for the id of each job that was not submitted, why; with `SubmitUncertain`, whether it was is not
        known yet, and the job is followed.
    :param asked: how many jobs were to be submitted.
    """

    def __init__(self, failures: Mapping[str, PsijExtError], asked: int) -> None:
        super().__init__(
            _told_of_many(f'{len(failures)} of {asked} jobs were not submitted', failures.values()),
            next(iter(failures.values())),
            all(isinstance(error, SubmitException) and error.transient for error in failures.values()))
        self.failures = dict(failures)


class NotAllCancelled(SubmitException):
    """Some of many jobs could not be cancelled, each for a reason of its own; the others were.

    It is `transient` if all of them may be cancelled later; command, exit code and output are those of the first.

    :param failures: for the id of each job that was not cancelled, why.
    :param asked: how many jobs were to be cancelled.
    """

    def __init__(self, failures: Mapping[str, SubmitException], asked: int) -> None:
        first = next(iter(failures.values()))
        super().__init__(
            _told_of_many(f'{len(failures)} of {asked} jobs {_not_cancelled(failures.values())}', failures.values()),
            first, all(error.transient for error in failures.values()), argv=first.argv, exit_code=first.exit_code,
            stderr=first.stderr)
        self.failures = dict(failures)


def _told_of_many(what: str, failures: Iterable[PsijExtError]) -> str:
    """Write what happened, and the reasons, those that are told in the same words once."""
    reasons = [*dict.fromkeys(map(str, failures))]
    more = len(reasons) - _MOST_REASONS
    return '\n'.join([f'{what}:', *reasons[:_MOST_REASONS], *([f'... and {more} more'] if more > 0 else [])])


def _not_cancelled(failures: Iterable[SubmitException]) -> str:
    uncertain = [isinstance(each, ControlUncertain) for each in failures]
    if not any(uncertain):
        return 'could not be cancelled'
    return 'are not known to be cancelled' if all(uncertain) else 'could not be cancelled, or are not known to be'


class InvalidJobStateError(PsijExtError):
    """A job cannot be cancelled because it is over already; a dialect may raise it to say so."""


class CommandError(PsijExtError):
    """A command of the scheduler failed.

    :param message: what happened, for a person to read.
    :param argv: the command that was run.
    :param exit_code: its exit code; None if it has none.
    :param stdout: what it wrote on standard output.
    :param stderr: what it wrote on standard error.
    """

    def __init__(
        self,
        message: str,
        *,
        argv: Sequence[str],
        exit_code: int | None = None,
        stdout: str = '',
        stderr: str = '',
    ) -> None:
        super().__init__(message)
        self.message = message
        self.argv = tuple(argv)
        self.exit_code = exit_code
        self.stdout = stdout
        self.stderr = stderr


class CommandNotFound(CommandError):
    """The command of the scheduler is not installed on this machine."""


class CommandTimeout(CommandError):
    """The command of the scheduler did not end in time; it may have taken effect all the same."""


class ParseError(PsijExtError, ValueError):
    """What a scheduler printed cannot be read."""


class FolderUnreadable(PsijExtError, OSError):
    """The folder of a job, or a work directory, is there and cannot be read now.

    Nothing follows from that for the job.
    """


class IndexUnavailable(PsijExtError):
    """The index of all jobs cannot be used. The folders of the jobs are not touched by that.

    :param message: why, and what can be done, for a person to read.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class IndexLocked(IndexUnavailable):
    """Other processes are busy with the index; it may be free the next moment."""


class IndexBroken(IndexUnavailable):
    """The file of the index is damaged, or is no index; it can be made again from the folders of the jobs."""


class PluginError(PsijExtError):
    """An executor or a launcher cannot be had."""


class UnknownPlugin(PluginError, ValueError):
    """There is no executor or launcher of that name, or none in a version that was asked for."""


class BrokenPlugin(PluginError):
    """The executor or launcher exists and cannot be loaded; the message holds its own traceback."""
