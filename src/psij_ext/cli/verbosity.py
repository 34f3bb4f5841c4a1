"""The option `--verbose`, and where the library's log goes."""

from __future__ import annotations

import functools
import logging

import click

from psij_ext.cli.errors import printable

_VERBOSE = 'psij_ext.verbose'
_logger = logging.getLogger('psij_ext')


class _TerminalHandler(logging.Handler):
    """Writes to the standard error of the moment; a live display puts itself in its place for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(printable(f'psij-ext: {self.format(record)}', kept='\n'), err=True)


def set_up_logging(ctx: click.Context) -> None:
    """Send the library's warnings to standard error until the command ends."""
    handler = _TerminalHandler()
    _logger.addHandler(handler)
    ctx.call_on_close(functools.partial(_logger.removeHandler, handler))


def is_verbose(ctx: click.Context) -> bool:
    """Whether tracebacks and the log are wanted."""
    return _VERBOSE in ctx.find_root().meta


def _set_verbose(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not is_verbose(ctx):
        ctx.find_root().meta[_VERBOSE] = True
        _logger.setLevel(logging.DEBUG)
        ctx.find_root().call_on_close(functools.partial(_logger.setLevel, logging.NOTSET))


verbose_option = click.option(
    '-v', '--verbose', is_flag=True, is_eager=True, expose_value=False, callback=_set_verbose,
    help='Log what is done, and show the traceback of an error.')
