"""Texts of the simulation are bytes read as Latin-1: nothing is lost and every byte is one character."""

from __future__ import annotations

import os
from pathlib import Path


def to_path(text: str) -> Path:
    """Return the file that a text names."""
    return Path(os.fsdecode(text.encode('latin-1')))


def from_path(path: Path) -> str:
    """Return the text that names a file."""
    return os.fsencode(path).decode('latin-1')
