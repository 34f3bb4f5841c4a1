"""The machine of a test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_machine import (
    Machine,
)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / 'state'))
    opened = Machine(tmp_path)
    yield opened
    opened.close()
