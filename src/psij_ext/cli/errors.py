"""How errors are told at a terminal: in one line, with the scheduler's own words, without a traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

_TRACEBACK = 'Traceback (most recent call last):'
# What Python writes between the tracebacks of errors that led to one another.
_LINKS = ('During handling of the above exception', 'The above exception was the direct cause', _TRACEBACK)


class Failure(click.ClickException):
    """Something failed that is told in a line and ends the command with exit code 1."""

    def show(self, file: object = None) -> None:
        say(self.message)


class Interrupted(Failure):
    """The user pressed Ctrl-C."""

    exit_code = 130


def examples(*commands: str) -> str:
    """Return examples of commands for the end of a help text."""
    # The backspace alone on a line keeps click from filling the lines of the paragraph.
    return '\n'.join(['\b', 'Examples:', *(f'  {command}' for command in commands)])


def say(message: str) -> None:
    """Tell the user something on standard error."""
    click.echo(f'psij-ext: {printable(message, kept=chr(10))}', err=True)


def told(error: Exception) -> str:
    """Return the message of an error without the tracebacks that some carry; of each, its last line is left."""
    lines: list[str] = []
    for line in _without_tracebacks(str(error)):
        if not any(line in earlier for earlier in lines):
            lines.append(line)
    return ' '.join(lines) if _TRACEBACK in str(error) else str(error)


def _without_tracebacks(text: str) -> Iterator[str]:
    inside = False
    for line in text.splitlines():
        if line.startswith(_LINKS):
            inside = True
        elif not inside or (line and not line[0].isspace()):
            if line:
                yield line
            inside = False


def cause(report: str) -> str:
    """Return the last line of a traceback: what went wrong."""
    lines = [line for line in report.splitlines() if line.strip()]
    return lines[-1].strip() if lines else report


def printable(text: str, kept: str = '') -> str:
    """Escape what a terminal would not show but obey, and bytes that are no text.

    :param text: a text of whatever origin, such as the name of a job.
    :param kept: characters to leave as they are.
    """
    return re.sub(r'.', lambda match: match[0] if match[0].isprintable() or match[0] in kept else
                  match[0].encode('unicode_escape').decode('ascii'), text, flags=re.DOTALL)
