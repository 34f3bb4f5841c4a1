from __future__ import annotations

from typing import Callable

import pytest

from psij_ext.plugins import Descriptor, executors, launchers
from psij_ext.plugins.discovery import Entry

Register = Callable[..., None]


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Register:
    """Returns a function that makes a class known for the time of one test."""

    def register_class(
        kind: str, name: str, version: str, cls: type, aliases: list[str] | None = None
    ) -> None:
        registry = executors if kind == 'executor' else launchers
        descriptor = Descriptor(name, version, f'{cls.__module__}.{cls.__qualname__}', aliases)
        findings = registry._findings()
        monkeypatch.setattr(findings, 'entries', [*findings.entries, Entry(descriptor, 'a test', None)])

    return register_class
