"""Refusals of PBS: a text on standard error and an exit code."""

from __future__ import annotations

UNKNOWN_JOB, WRONG_STATE, UNAUTHORIZED, FINISHED = 153, 168, 159, 35
"""Exit codes of the commands: the last byte of PBS's error numbers (``pbs_error.h``)."""

MESSAGES = {
    UNKNOWN_JOB: 'Unknown Job Id',
    WRONG_STATE: 'Request invalid for state of job',
    UNAUTHORIZED: 'Unauthorized Request ',
    FINISHED: 'Job has finished',
}


class Refusal(Exception):
    """PBS says no.

    :param code: the command's exit code
    :param message: the text without the command's name before it
    :param usage: whether the command then tells how it is used
    """

    def __init__(self, code: int, message: str = '', usage: bool = False) -> None:
        super().__init__(message)
        self.code, self.message, self.usage = code, message, usage


class SubmissionRefusal(Refusal):
    """A refusal by the server itself, which has already spent a job id on it."""


def refuse(code: int) -> Refusal:
    """Return the refusal that belongs to one of PBS's common error codes."""
    return Refusal(code, MESSAGES[code])
