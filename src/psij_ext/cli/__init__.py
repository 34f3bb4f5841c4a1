"""The command `psij-ext`: run, submit, list and cancel jobs at a terminal."""

from __future__ import annotations


def main() -> None:
    """Run the command with the arguments of this process, and end the process with its exit code."""
    # Here, so that an import of this package alone stays cheap.
    from psij_ext.cli.app import app
    from psij_ext.cli.output import flush_output, open_closed_streams

    open_closed_streams()
    try:
        app(prog_name='psij-ext')
    except SystemExit as end:
        flush_output(is_failure_told=bool(end.code))
        raise
