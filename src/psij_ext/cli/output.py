"""Tables and JSON on standard output."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from psij_ext.cli.errors import printable, say

# In characters: of a cell in a file or a pipe, of the column that is cut on a terminal, between two columns there.
_LONGEST_CELL = 60
_SHORTEST_CELL = 12
_GAP = 2
_STATE_STYLES = {'COMPLETED': 'green', 'FAILED': 'red', 'CANCELED': 'magenta', 'ACTIVE': 'cyan', 'QUEUED': 'yellow'}


def print_json(value: object) -> None:
    """Print a value as JSON, all of it ASCII: bytes of a path that are no text stand as escaped surrogates."""
    click.echo(json.dumps(value, indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, elastic: str | None = None,
                dispensable: Sequence[str] = ()) -> None:
    """Print a table: coloured and fit for its width on a terminal, else in plain columns with `-` for what is empty.

    :param elastic: the heading of the column that is cut where there is too little room.
    :param dispensable: the headings of those that are left out where that is not enough, first to last.
    """
    shown = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_coloured(headings, shown, elastic, dispensable)
        return
    lines = [[heading.upper().replace(' ', '_') for heading in headings],
             *([_cut(cell, heading == elastic) or '-' for heading, cell in zip(headings, row)] for row in shown)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        click.echo('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def open_closed_streams() -> None:
    """Give standard output and error a place to go where the shell has closed them."""
    for name in ('stdout', 'stderr'):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), 'w', encoding='utf-8'))


def flush_output(*, is_failure_told: bool) -> None:
    """Write what is left of standard output, and fail in one line if it cannot be written.

    :param is_failure_told: whether the command has failed already and has said why.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        # Python would try it once more at the very end, and tell of it in its own way.
        with Path(os.devnull).open('wb') as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        if error.errno != errno.EPIPE and not is_failure_told:
            say(f'standard output cannot be written: {error.strerror}')
        sys.exit(1)


def _print_coloured(headings: Sequence[str], rows: Sequence[Sequence[str]], elastic: str | None,
                    dispensable: Sequence[str]) -> None:
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    widths = {heading: max([len(heading), *map(cell_len, column)])
              for heading, column in zip(headings, zip(*rows) if rows else [()] * len(headings))}
    chosen = {heading: min(width, _SHORTEST_CELL) if heading == elastic else width for heading, width in widths.items()}
    for heading in dispensable:
        if _room_left(chosen, console.width) < 0:
            del chosen[heading]
    if elastic is not None:
        chosen[elastic] = min(widths[elastic], chosen[elastic] + max(0, _room_left(chosen, console.width)))
    table = Table(box=None, header_style='bold', pad_edge=False)
    for heading, width in chosen.items():
        table.add_column(heading, no_wrap=True, width=width)
    kept = [index for index, heading in enumerate(headings) if heading in chosen]
    for row in rows:
        table.add_row(*(Text(row[index], style=_STATE_STYLES.get(row[index], '')) for index in kept))
    console.print(table)


def _room_left(widths: Mapping[str, int], width: int) -> int:
    return width - sum(widths.values()) - _GAP * (len(widths) - 1)


def _cut(text: str, is_elastic: bool) -> str:
    return f'{text[:_LONGEST_CELL - 1]}…' if is_elastic and len(text) > _LONGEST_CELL else text
