from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext import JobAttributes


def test_no_walltime_unless_asked_for() -> None:
    assert JobAttributes().duration is None


@pytest.mark.parametrize(
    ('field', 'value', 'error'),
    [
        ('duration', 600, TypeError),
        ('duration', timedelta(0), ValueError),
        ('duration', timedelta(seconds=-1), ValueError),
        *((field, 5, TypeError) for field in ('queue_name', 'account', 'reservation_id')),
        *((field, '', ValueError) for field in ('queue_name', 'account', 'reservation_id')),
        *((field, 'a\0', ValueError) for field in ('queue_name', 'account', 'reservation_id')),
        ('custom_attributes', [('a', 1)], TypeError),
        ('custom_attributes', {'': 1}, ValueError),
        ('custom_attributes', {1: 1}, TypeError),
        ('custom_attributes', {'a': Path('x')}, TypeError),
        ('custom_attributes', {'a': {'b': b'x'}}, TypeError),
        ('custom_attributes', {'a': [float('nan')]}, ValueError),
        ('custom_attributes', {'a': 'x\0'}, ValueError),
        ('custom_attributes', {'a\0': 'x'}, ValueError),
    ],
)
def test_a_wrong_value_is_refused(field: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf'^JobAttributes\.{field}(\[.*\])?: '):
        JobAttributes(**{field: value})


class TestCustomAttributes:
    def test_values_that_json_can_hold(self) -> None:
        given_values = {'a': None, 'b': 1, 'c': 1.5, 'd': True, 'e': 'x', 'f': [1, {'g': None}]}
        assert JobAttributes(custom_attributes=given_values).custom_attributes == given_values

    def test_are_copied(self) -> None:
        inner = [1]
        attributes = JobAttributes(custom_attributes={'a': inner})
        inner.append(2)
        assert attributes.custom_attributes == {'a': [1]}

    def test_get_and_set(self) -> None:
        attributes = JobAttributes()
        assert attributes.get_custom_attribute('slurm.constraint') is None
        assert attributes.custom_attributes is None
        attributes.set_custom_attribute('slurm.constraint', 'gpu')
        assert attributes.get_custom_attribute('slurm.constraint') == 'gpu'
        attributes.set_custom_attribute('slurm.exclusive', None)
        assert attributes.custom_attributes == {'slurm.constraint': 'gpu', 'slurm.exclusive': None}

    def test_setting_a_wrong_one_changes_nothing(self) -> None:
        attributes = JobAttributes(custom_attributes={'a': 1})
        with pytest.raises(TypeError, match=r"^JobAttributes\.custom_attributes\['b'\]: "):
            attributes.set_custom_attribute('b', object())
        assert attributes.custom_attributes == {'a': 1}


class TestProjectName:
    def test_is_the_old_name_of_account(self) -> None:
        with pytest.warns(DeprecationWarning, match='account'):
            attributes = JobAttributes(project_name='p')
        assert attributes.account == 'p'
        with pytest.warns(DeprecationWarning, match='account'):
            assert attributes.project_name == 'p'
        with pytest.warns(DeprecationWarning, match='account'):
            attributes.project_name = 'q'
        assert attributes.account == 'q'

    def test_must_not_contradict_it(self) -> None:
        with pytest.raises(ValueError, match=r'^JobAttributes\.project_name: '):
            JobAttributes(account='a', project_name='b')
        with pytest.warns(DeprecationWarning):
            assert JobAttributes(account='a', project_name='a').account == 'a'


@pytest.mark.parametrize(
    ('text', 'seconds'),
    [
        ('10', 600),
        ('1:30', 5400),
        ('1:02:03', 3723),
        ('00:00:01', 1),
        ('48:00:00', 172_800),
        ('10h', 36_000),
        ('90s', 90),
        ('5m', 300),
        ('1 h', 3600),
        ('10 seconds', 10),
        ('1h30m', 5400),
        ('1m 30s', 90),
        ('2 days', 172_800),
        ('1D2H', 93_600),
        (' 10 ', 600),
    ],
)
def test_a_walltime_is_read(text: str, seconds: int) -> None:
    assert JobAttributes.parse_walltime(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    'text',
    [
        '', 'abc', '-5', '1.5h', '1y', '1:2:3:4', '1:', ':30', '1:30h', 'h', '1h30', '0', '0:00:00', '0s',
        '\u0661\u0660', '\u0661h', '9' * 20, '9' * 20 + 'd',
    ],
)  # fmt: skip
def test_what_is_no_walltime_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r'^JobAttributes\.parse_walltime: '):
        JobAttributes.parse_walltime(text)


def test_a_walltime_is_a_string() -> None:
    with pytest.raises(TypeError):
        JobAttributes.parse_walltime(10)  # type: ignore[arg-type]


@given(st.integers(0, 500), st.integers(0, 59), st.integers(1, 59))
def test_both_ways_to_write_a_walltime_agree(hours: int, minutes: int, seconds: int) -> None:
    expected = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    assert JobAttributes.parse_walltime(f'{hours}:{minutes:02d}:{seconds:02d}') == expected
    assert JobAttributes.parse_walltime(f'{hours}h{minutes}m{seconds}s') == expected
