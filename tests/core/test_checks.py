"""The checks that configurations of executors use."""

from __future__ import annotations

import copy
from datetime import timedelta
from typing import Any

import pytest

from psij_ext.core.checks import Checked, Field, natural, seconds


@pytest.mark.parametrize(('value', 'kept'), [(0, 0.0), (2, 2.0), (1.5, 1.5), (timedelta(minutes=1), 60.0)])
def test_a_span_of_time_is_kept_in_seconds(value: Any, kept: float) -> None:
    assert seconds('C.f', value) == kept
    assert type(seconds('C.f', value)) is float


@pytest.mark.parametrize(
    ('value', 'error'),
    [
        (-1, ValueError),
        (timedelta(seconds=-1), ValueError),
        (float('inf'), ValueError),
        (float('nan'), ValueError),
        (True, TypeError),
        ('10', TypeError),
        (None, TypeError),
    ],
)
def test_what_is_no_span_of_time_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r'^C\.f: '):
        seconds('C.f', value)


def test_a_count_may_be_nothing() -> None:
    assert natural('C.f', 0) == 0
    with pytest.raises(ValueError, match=r'^C\.f: '):
        natural('C.f', -1)


def test_a_value_without_fields_is_like_any_other() -> None:
    class Empty(Checked):
        pass

    assert (Empty().snapshot(), repr(Empty())) == (Empty(), 'Empty()')


def test_a_field_is_a_property_of_its_class() -> None:
    class Config:
        count: Field[int, int] = Field(natural, 'How many.')

    assert isinstance(Config.count, property)
    assert Config.count.__doc__ == 'How many.'
    config = Config()
    config.count = 3
    assert config.count == 3


@pytest.mark.parametrize('slots', [('_count', 'own', 'unset'), ('_count', '__dict__')])
def test_a_copy_has_what_a_subclass_keeps_beside_the_fields(slots: tuple[str, ...]) -> None:
    class Counted(Checked):
        __slots__ = slots
        count: Field[int, int] = Field(natural, 'How many.')
        own: Any

    class Named(Counted):
        __slots__ = 'name'
        name: Any

    value = Named()
    value.count, value.own, value.name = 3, ['own'], 'it'
    for taken in (copy.copy(value), value.snapshot()):
        assert (type(taken), taken.count, taken.name) == (Named, 3, 'it')
        assert taken.own is value.own
        taken.count, taken.own = 4, None
    assert (value.count, value.own) == (3, ['own'])
