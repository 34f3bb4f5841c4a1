"""What Slurm's commands say when they do not do what they are told; their exit codes tell nothing of it."""

from __future__ import annotations

import re

_NO_ANSWER = (
    'Socket timed out', 'Unable to contact slurm controller', 'Connection refused', 'Zero Bytes were transmitted')
_TRANSIENT = (
    *_NO_ANSWER, 'Slurm temporarily unable', 'QOSMaxSubmitJobPerUserLimit', 'AssocMaxSubmitJobLimit')
_OVER = ('already completing or completed', 'Invalid job id specified')
_NO_SUCH_ARRAY = 'Invalid job array specification'
_NOT_CANCELLED = re.compile(r'^scancel: error: Kill job error on job id (\S+?): (.*)$', re.MULTILINE)


def says_no_answer(words: str) -> bool:
    """Whether the controller was not reached; a scancel that timed out was seen to take effect later."""
    return any(message in words for message in _NO_ANSWER)


def says_transient(words: str) -> bool:
    """Whether sbatch failed for a reason that passes, such as a busy controller."""
    return any(message in words for message in _TRANSIENT)


def says_over(words: str) -> bool:
    """Whether a job could not be cancelled because it is over, or unknown."""
    return any(message in words for message in _OVER)


def says_no_such_array(words: str) -> bool:
    """Whether sbatch refused the size of an array, or any array (seen in 22.05)."""
    return _NO_SUCH_ARRAY in words


def not_cancelled(words: str) -> list[tuple[str, str]]:
    """Read the lines that scancel prints for jobs to which it did nothing: their numbers, and why."""
    return [(number, why.strip()) for number, why in _NOT_CANCELLED.findall(words)]
