from __future__ import annotations

from pathlib import Path

import pytest

from psij_ext import installation
from psij_ext.exceptions import PsijExtError
from psij_ext.installation import data_folder


def _package(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    place.mkdir(parents=True)
    monkeypatch.setattr(installation, '_PACKAGE', place)


def test_our_own_folders_are_found() -> None:
    assert (data_folder('psij-descriptors') / 'psij_ext_descriptors.py').is_file()
    assert data_folder('templates').is_dir()


def test_in_a_checkout_they_lie_beside_the_sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _package(monkeypatch, tmp_path / 'src' / 'psij_ext')
    (tmp_path / 'templates').mkdir()
    assert data_folder('templates') == tmp_path / 'templates'


def test_in_a_wheel_they_lie_in_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / 'lib' / 'psij_ext'
    _package(monkeypatch, package)
    (package / '_data' / 'templates').mkdir(parents=True)
    (tmp_path / 'templates').mkdir()
    assert data_folder('templates') == package / '_data' / 'templates'


def test_an_incomplete_one_says_where_it_looked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _package(monkeypatch, tmp_path / 'src' / 'psij_ext')
    with pytest.raises(PsijExtError) as caught:
        data_folder('templates')
    assert str(tmp_path / 'src' / 'psij_ext' / '_data' / 'templates') in str(caught.value)
    assert str(tmp_path / 'templates') in str(caught.value)
