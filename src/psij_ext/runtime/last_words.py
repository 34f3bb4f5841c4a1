"""Why a job died, in its own words and in its scheduler's: the end of what they wrote."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Sequence
from pathlib import Path

# What schedulers' own programs write into a job's output: Slurm's slurmstepd (seen in tests/data/slurm), and
# pbs_mom of PBS (reported: `=>> PBS: job killed: walltime 62 exceeded limit 60`).
_OF_THE_SCHEDULER = re.compile(r'slurmstepd(-\S+)?: |=>> PBS: ')
# mpirun adds some ten lines of its own below the program's.
_LINES = 20
_LINES_OF_THE_SCHEDULER = 3


def explanation(message: str | None, own_output: Sequence[Path], scheduler_output: Path) -> str | None:
    """Put together why a job failed: what is known, what the scheduler's programs wrote, and the job's last words.

    Nothing is said twice.

    :param message: what is known; None for nothing.
    :param own_output: where the job's own words are, the best place first; only one is read.
    :param scheduler_output: where the scheduler puts what its own programs write.
    """
    said: list[str] = []
    known = message or ''
    for path in [*own_output, scheduler_output]:
        last_words = tail(path, lines=_LINES)
        if last_words:
            said = [last_words, f'(from {path})']
            known = '' if known in last_words.splitlines() else known
            break
    own_lines = [line for line in tail(scheduler_output, lines=_LINES).splitlines() if _OF_THE_SCHEDULER.match(line)]
    before = '\n'.join([known, *said])
    new_lines = [line for line in dict.fromkeys(own_lines) if line not in before][-_LINES_OF_THE_SCHEDULER:]
    return '\n'.join(part for part in [known, *new_lines, *said] if part) or None


def tail(path: Path, lines: int = 8, limit: int = 4096) -> str:
    """Read the last lines of a text file, at most `limit` bytes of it; nothing where it cannot be read."""
    try:
        # Not blocking: a job's output may go to a pipe, which nobody may write to any more.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except (OSError, ValueError):
        return ''
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        return ''
    try:
        with os.fdopen(descriptor, 'rb') as file:
            file.seek(max(0, facts.st_size - limit))
            content = file.read(limit)
    except OSError:
        return ''
    return '\n'.join(content.decode('utf-8', 'replace').strip().splitlines()[-lines:])
