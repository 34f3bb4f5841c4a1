from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from psij_ext.runtime.events import Mailbox


def test_hints_are_taken_out_once(tmp_path: Path) -> None:
    box = Mailbox(tmp_path / 'work')
    assert box.empty() == []
    (box.path / 'job-1').touch()
    (box.path / 'odd "name"\n').touch()
    assert sorted(box.empty()) == ['job-1', 'odd "name"\n']
    assert box.empty() == []


def test_a_mailbox_is_private_and_its_own(tmp_path: Path) -> None:
    first, second = Mailbox(tmp_path), Mailbox(tmp_path)
    assert first.path != second.path
    assert {stat.S_IMODE(path.stat().st_mode) for path in (first.path, first.path.parent, second.path)} == {0o700}


def test_what_cannot_be_removed_harms_nothing(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    (box.path / 'folder').mkdir()
    (box.path / 'job-1').touch()
    assert sorted(box.empty()) == ['folder', 'job-1']
    box.close()
    assert not box.path.exists()


def test_a_hint_that_comes_while_it_is_removed_keeps_nothing_there(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    box = Mailbox(tmp_path)
    (box.path / 'job-1').touch()
    unlink = os.unlink

    def hint(*arguments: Any, **options: Any) -> None:
        with contextlib.suppress(FileNotFoundError):
            (box.path / 'job-2').touch()
        unlink(*arguments, **options)

    monkeypatch.setattr(os, 'unlink', hint)
    box.close()
    assert list(box.path.parent.iterdir()) == []


def test_a_mailbox_that_is_gone_is_empty(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    box.close()
    box.close()
    assert box.empty() == []
