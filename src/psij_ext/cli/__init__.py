"""The command `psij-ext`: run, submit, list and cancel jobs at a terminal."""

from __future__ import annotations


def main() -> None:
    """Run the command with the arguments of this process, and end the process with its exit code."""
    from psij_ext.cli.app import app  # so that an import of this package alone stays cheap

    app(prog_name='psij-ext')
