"""Lets `python -m psij_ext` be the command `psij-ext`."""

from psij_ext.cli import main

main()
