"""What a descriptor takes and refuses."""

from __future__ import annotations

from typing import Any

import pytest
from packaging.version import Version

from psij_ext.plugins import Descriptor


class TestDescriptor:
    def test_keeps_what_it_is_given(self) -> None:
        descriptor = Descriptor('slurm', Version('1.2'), 'a.b.C', ['s'], 'Slurm')
        assert (descriptor.name, descriptor.version, descriptor.cls) == ('slurm', Version('1.2'), 'a.b.C')
        assert (descriptor.aliases, descriptor.nice_name) == (['s'], 'Slurm')
        assert descriptor.names == ('slurm', 's')

    def test_takes_a_version_as_a_string(self) -> None:
        same = Descriptor('a', Version('1.2'), 'b.C', aliases=[], nice_name='a')
        assert Descriptor('a', '1.2', 'b.C') == same
        assert Descriptor('a', '1.2', 'b.C') != Descriptor('a', '1.3', 'b.C')

    @pytest.mark.parametrize(
        ('arguments', 'error'),
        [
            ((5, '1', 'a.B'), TypeError),
            (('', '1', 'a.B'), ValueError),
            ((' a', '1', 'a.B'), ValueError),
            (('a/../b', '1', 'a.B'), ValueError),
            (('..', '1', 'a.B'), ValueError),
            (('a b', '1', 'a.B'), ValueError),
            (('näme', '1', 'a.B'), ValueError),
            (('a', '1', 'a.B', ['a/b']), ValueError),
            (('a', 1.0, 'a.B'), TypeError),
            (('a', 'one', 'a.B'), ValueError),
            (('a', '1', 'B'), ValueError),
            (('a', '1', 'a..B'), ValueError),
            (('a', '1', 'a/b.C'), ValueError),
            (('a', '1', object), TypeError),
            (('a', '1', 'a.B', 'alias'), TypeError),
            (('a', '1', 'a.B', [5]), TypeError),
            (('a', '1', 'a.B', None, 5), TypeError),
        ],
    )
    def test_refuses_what_makes_no_sense(self, arguments: tuple[Any, ...], error: type[Exception]) -> None:
        with pytest.raises(error):
            Descriptor(*arguments)
