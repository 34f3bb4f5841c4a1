"""Our names, parameters, order and defaults are PSI/J's; the table beside this file says what those are."""

from __future__ import annotations

import enum
import inspect
from pathlib import Path
from typing import Any

import pytest

import psij_ext

TABLE = Path(__file__).with_name('psij_interface.txt')


def _lines() -> list[str]:
    lines = (line.strip() for line in TABLE.read_text().splitlines())
    return [line.split(' ours: ')[-1] for line in lines if line and not line.startswith('#')]


def _find(path: str) -> Any:
    found: Any = psij_ext
    for name in path.split('.'):
        found = getattr(found, name)
    return found


def _shown(default: object) -> str:
    return str(default) if isinstance(default, enum.Enum) else repr(default)


def _described(path: str) -> str:
    called = _find(path)
    parameters, star = [], False
    for parameter in inspect.signature(called).parameters.values():
        if parameter.name == 'self':
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not star:
            parameters.append('*')
            star = True
        empty = parameter.default is parameter.empty
        parameters.append(parameter.name if empty else f'{parameter.name}={_shown(parameter.default)}')
    return f'{path}({", ".join(parameters)})'


@pytest.mark.parametrize('line', [line for line in _lines() if '(' in line])
def test_a_call_has_the_parameters_and_defaults_of_psij(line: str) -> None:
    assert _described(line.split('(')[0]) == line


@pytest.mark.parametrize('line', [line for line in _lines() if '(' not in line and ':' not in line])
def test_a_property_of_psij_exists(line: str) -> None:
    class_name, _, name = line.partition('.')
    static = inspect.getattr_static(_find(class_name), name)
    assert hasattr(type(static), '__get__')
    assert not callable(static)


@pytest.mark.parametrize('line', [line for line in _lines() if ': ' in line and '(' not in line])
def test_an_enumeration_has_the_members_of_psij_in_order(line: str) -> None:
    name, members = line.split(': ')
    found = _find(name)
    assert issubclass(found, enum.Enum)
    assert [member.name for member in found] == members.split()


def test_the_table_is_not_empty() -> None:
    assert len(_lines()) > 50


def test_the_launcher_that_is_used_by_default() -> None:
    assert psij_ext.Launcher.DEFAULT_LAUNCHER_NAME == 'single'


def test_flags_of_staging_out() -> None:
    flags = psij_ext.StageOutFlags
    assert flags.ALWAYS == flags.ON_SUCCESS | flags.ON_ERROR | flags.ON_CANCEL
    assert not flags.IF_PRESENT & flags.ALWAYS
