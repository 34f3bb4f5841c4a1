"""What the commands of PBS Pro say when they do not do what they are told: exit codes and words."""

from __future__ import annotations

from typing import Dict, Sequence

from psij_ext.executors.batch.dialect import Refusal

_JOB_UNKNOWN, _JOB_FINISHED = 153, 35
# What qdel says of a job that is ending already, and of an element of an array that is over.
_WRONG_STATE, _SUBJOB_FINISHED = 168, 55
_NO_ANSWER = 255
_USER_LIMIT, _NO_SERVER = 38, 162
_CODES = {
    'Unknown Job Id': _JOB_UNKNOWN, 'Job has finished': _JOB_FINISHED, 'Request invalid for state of job': _WRONG_STATE,
    'Request invalid for finished array subjob': _SUBJOB_FINISHED}
_NO_HISTORY = 'not configured to maintain job history'
# Seen in OpenPBS 23.06 for too many elements, for less than two, and for a job that is not to run again.
_NO_SUCH_ARRAY = (
    'Array job exceeds server or queue size limit', 'illegal -J value', 'cannot submit non-rerunable Array Job')


def is_answer(exit_code: int) -> bool:
    """Whether a command told of the jobs, though it may not know some of them."""
    return exit_code in (0, _JOB_UNKNOWN, _JOB_FINISHED)


def is_over(exit_code: int) -> bool:
    """Whether qdel did nothing because the job is over, ending, or unknown, or did what it was told."""
    return is_answer(exit_code) or exit_code in (_WRONG_STATE, _SUBJOB_FINISHED)


def is_transient(exit_code: int) -> bool:
    """Whether qsub failed for a reason that passes: a limit on this user's jobs, or no connection."""
    return exit_code in (_USER_LIMIT, _NO_SERVER)


def is_without_answer(exit_code: int, command: str) -> bool:
    """Whether a command did not reach the server: exit code 162, and 255 of qstat."""
    return exit_code == _NO_SERVER or (exit_code == _NO_ANSWER and command == 'qstat')


def says_no_history(words: str) -> bool:
    """Whether the server keeps no history, for which it was asked."""
    return _NO_HISTORY in words


def says_no_such_array(words: str) -> bool:
    """Whether qsub refused the size of an array, or that a job is one."""
    return any(each in words for each in _NO_SUCH_ARRAY)


def read_refusals(exit_code: int, words: str, native_ids: Sequence[str]) -> Dict[str, Refusal] | None:
    """Read the line that qdel and qsig print for each job to which they did nothing; None if there is none, or another.

    Their exit code is that of the last one (seen in OpenPBS 23.06). qsig does not name jobs that are over.
    """
    refusals: Dict[str, Refusal] = {}
    for line in words.splitlines():
        said, _, native_id = line.rpartition(' ')
        if native_id not in native_ids:
            return None
        reason = said.partition(': ')[2].strip()
        refusals[native_id] = Refusal(_CODES.get(reason, exit_code), line)
    return refusals or None
