"""What Linux can hand to a program, in bytes. What it cannot is refused before anything is submitted."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from psij_ext.exceptions import InvalidJobException

# execve(2), "Limits on size of arguments and environment": of one string, with the byte that ends it; and of all of
# them together, where the stack may be as large as it wants.
LONGEST_ARGUMENT = 32 * os.sysconf('SC_PAGE_SIZE') - 1
_ALL_ARGUMENTS = 6 * 1024 * 1024
# What a string takes beside its bytes: the one that ends it, and a pointer to it.
_FOR_EACH = 9
# limits.h(0P), as Linux has them: PATH_MAX with the byte that ends it, and NAME_MAX, which most file systems have.
_LONGEST_PATH = 4095
_LONGEST_NAME = 255
# The most bytes of a character.
_WIDEST = 4


def as_bytes(text: str) -> bytes:
    """Return the bytes that a text stands for: those that Python makes of it for the system.

    That is UTF-8 nearly always, and where the locale has none for a character. Bytes that no character stands for
    appear in a text as lone surrogates.
    """
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:
        return text.encode('utf-8', 'surrogateescape')


def size_of(text: str) -> int:
    """Return the size of a text in bytes."""
    return len(text) if text.isascii() else len(as_bytes(text))


def cut(text: str, size: int) -> str:
    """Return the beginning of a text that has so many bytes at most, and no half character at its end."""
    encoded = as_bytes(text)
    # The bytes of a character after its first are 0x80 to 0xbf.
    first = max(0, size - _WIDEST + 1)
    while first < size < len(encoded) and 0x80 <= encoded[size] < 0xc0:
        size -= 1
    return os.fsdecode(encoded[:size])


def check_command(executable: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    """Make sure that a program can be started so, on some node at least.

    :raises InvalidJobException: if it cannot.
    """
    check_path('JobSpec.executable', executable)
    strings = [*arguments, *environment, *environment.values()]
    if sum(map(len, strings)) * _WIDEST + len(strings) * _FOR_EACH < LONGEST_ARGUMENT:
        return  # as nearly always
    for number, argument in enumerate(arguments):
        check_argument(f'JobSpec.arguments[{number}]', argument)
    for name, value in environment.items():
        check_argument(f'JobSpec.environment[{name!r:.80}] with its name', f'{name}={value}')
    size = sum(map(size_of, strings)) + len(strings) * _FOR_EACH
    if size > _ALL_ARGUMENTS:
        raise InvalidJobException(
            f'JobSpec.arguments and JobSpec.environment: {size} bytes together; Linux starts no program with more than '
            f'{_ALL_ARGUMENTS} (execve(2)). Put some of it into a file.')


def check_argument(field: str, value: str) -> None:
    """Make sure that a value can be an argument, or an environment variable with its name, of a program.

    :raises InvalidJobException: if it is too long.
    """
    size = size_of(value)
    if size > LONGEST_ARGUMENT:
        raise InvalidJobException(
            f'{field}: {size} bytes; Linux takes at most {LONGEST_ARGUMENT} in one argument or environment variable '
            '(execve(2), MAX_ARG_STRLEN). Put it into a file, such as the one that stdin_path names.')


def check_path(field: str, path: str | Path) -> None:
    """Make sure that something can have this path.

    :raises InvalidJobException: if it is too long, or a name in it is.
    """
    text = str(path)
    if len(text) * _WIDEST <= _LONGEST_NAME:
        return
    size = size_of(text)
    if size > _LONGEST_PATH:
        raise InvalidJobException(
            f'{field}: a path of {size} bytes; Linux takes at most {_LONGEST_PATH} (PATH_MAX). Use a shorter one, such '
            'as a link.')
    if size > _LONGEST_NAME:
        longest = max(map(size_of, text.split('/')))
        if longest > _LONGEST_NAME:
            raise InvalidJobException(
                f'{field}: a name of {longest} bytes in {text[:80]!r}...; file systems take at most {_LONGEST_NAME} '
                '(NAME_MAX). Use a shorter one.')
