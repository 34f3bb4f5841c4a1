"""Jobs whose last act is to write the time, for all libraries alike: that of their ends is known beforehand."""

from __future__ import annotations

import time

# All run before the first one ends, and then one ends after the other: a machine with few cores starts or ends some 30
# jobs a second, and it is not their queue for it that is measured.
SECONDS_TO_START = 0.06
PACE = 0.05
_PROGRAM = 'left=$(($1 - ${EPOCHREALTIME/./})); ((left <= 0)) || sleep "${left}e-6"; echo $EPOCHREALTIME >"$0"'


def programs(count: int, folder: str, is_paced: bool = True) -> dict[str, list[str]]:
    """Give for each of some jobs the file into which it writes the time, and its arguments for bash.

    :param is_paced: whether they end one after the other; else each ends as soon as it has begun.
    """
    first = time.time() + SECONDS_TO_START * count
    paths = [f'{folder}/{number}' for number in range(count)]
    return {path: ['-c', _PROGRAM, path, f'{(first + PACE * number) * 1e6 if is_paced else 0:.0f}']
            for number, path in enumerate(paths)}
