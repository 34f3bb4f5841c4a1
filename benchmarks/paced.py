"""Jobs whose last act is to write the time, for all libraries alike: that of their ends is known beforehand."""

from __future__ import annotations

import time

# As many run at a time as there are processors, and the others wait. Once those run, one ends after the other: two
# cores start and end some 30 jobs a second, and it is not their queue for it that is measured.
PROCESSORS = 128
SECONDS_TO_START = 0.06
PACE = 0.1
_PROGRAM = 'left=$(($1 - ${EPOCHREALTIME/./})); ((left <= 0)) || sleep "${left}e-6"; echo $EPOCHREALTIME >"$0"'


def programs(count: int, folder: str, is_paced: bool = True) -> dict[str, list[str]]:
    """Give for each of some jobs the file into which it writes the time, and its arguments for bash.

    :param is_paced: whether they end one after the other; else each ends as soon as it has begun.
    """
    first = time.time() + SECONDS_TO_START * min(count, PROCESSORS)
    paths = [f'{folder}/{number}' for number in range(count)]
    return {path: ['-c', _PROGRAM, path, f'{(first + PACE * number) * 1e6 if is_paced else 0:.0f}']
            for number, path in enumerate(paths)}
