"""Tables and JSON on standard output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from psij_ext.cli.errors import printable

_STATE_STYLES = {'COMPLETED': 'green', 'FAILED': 'red', 'CANCELED': 'magenta', 'ACTIVE': 'cyan', 'QUEUED': 'yellow'}


def print_json(value: object) -> None:
    """Print a value as JSON, all of it ASCII: bytes of a path that are no text stand as escaped surrogates."""
    click.echo(json.dumps(value, indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table: coloured and cut to its width on a terminal, else in plain columns with `-` for what is empty."""
    shown = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _print_coloured(headings, shown)
        return
    lines = [[heading.upper().replace(' ', '_') for heading in headings],
             *([cell or '-' for cell in row] for row in shown)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        click.echo('  '.join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def _print_coloured(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style='bold', pad_edge=False)
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell, style=_STATE_STYLES.get(cell, '')) for cell in row))
    Console().print(table)
