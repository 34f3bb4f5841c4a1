"""What a broken or a foreign plugin does to the others: nothing."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from packaging.version import Version

from psij_ext.exceptions import BrokenPlugin, UnknownPlugin
from psij_ext.plugins import Registry

OURS = {'local', 'slurm', 'pbspro'}
IMPORT = 'from psij_ext.plugins import Descriptor\n'


class TestPsijPython:
    """What an installed psij-python puts into descriptor folders is not ours to run."""

    @pytest.mark.parametrize(
        'text',
        [
            'from psij.descriptor import Descriptor\nraise AssertionError("it was run")',
            'import psij',
            'import os, psij.descriptor as d',
            'if True:\n    from psij import Descriptor',
            'try:\n    import psij\nexcept ImportError:\n    raise',
        ],
    )
    def test_a_module_written_for_it_is_passed_over(self, root: Any, registry: Registry, text: str) -> None:
        root.module('psij.descriptor', 'raise AssertionError("psij was imported")')
        root.descriptors(text)
        assert registry.names() >= OURS
        assert registry.problems() == {}
        assert 'psij' not in sys.modules

    def test_a_module_that_falls_back_on_it_is_read(self, root: Any, registry: Registry) -> None:
        root.descriptors(
            'try:\n    from psij_ext.plugins import Descriptor\n'
            'except ImportError:\n    from psij.descriptor import Descriptor\n'
            '__PSI_J_EXECUTORS__ = [Descriptor("both", "1.0", "plugin.Executor")]\n'
        )
        assert 'both' in registry.names()

    def test_its_classes_are_passed_over(self, root: Any, registry: Registry) -> None:
        root.executor('cobalt', '1.0', 'psij.executors.batch.cobalt.CobaltJobExecutor')
        root.executor('psijlike', '1.0', 'psijlike.Executor')
        assert 'cobalt' not in registry.names()
        assert 'psijlike' in registry.names()

    def test_its_entry_points_are_passed_over(self, root: Any, registry: Registry) -> None:
        root.module('psij.things', 'raise AssertionError("psij was imported")')
        root.entry_point('cobalt', 'psij.things:IT')
        assert registry.names() >= OURS
        assert registry.problems() == {}
        assert 'psij' not in sys.modules


CALL = f'{IMPORT}__PSI_J_EXECUTORS__ = [Descriptor("known", "1.0", "plugin.Executor")]\n'


class TestBrokenPlugins:
    @pytest.mark.parametrize(
        ('text', 'traced'),
        [
            (CALL + 'import nothing_like_this', 'ModuleNotFoundError'),
            (CALL + '1 / 0', 'ZeroDivisionError'),
            (CALL + 'raise SystemExit(3)', 'SystemExit'),
            (CALL.replace('1.0', 'one'), 'InvalidVersion'),
            (CALL.replace('plugin.', ''), 'expected module.Class'),
            (f'{IMPORT}__PSI_J_EXECUTORS__ = [Descriptor(name="known", version=5, cls="a.B")]', 'TypeError'),
        ],
    )
    def test_a_broken_module_is_reported_when_its_name_is_asked_for(
        self, root: Any, registry: Registry, text: str, traced: str
    ) -> None:
        file = root.descriptors(text)
        assert registry.names() >= OURS
        assert 'known' not in registry.names()
        with pytest.raises(BrokenPlugin) as caught:
            registry.get('known')
        assert str(file) in str(caught.value)
        assert 'Traceback' in str(caught.value)
        assert traced in str(caught.value)

    @pytest.mark.parametrize('text', ['def', 'raise RuntimeError("no names")', '\0', '# coding: klingon'])
    def test_a_module_of_unknown_names_is_reported_where_nothing_matches(
        self, root: Any, registry: Registry, text: str
    ) -> None:
        file = root.descriptors(text)
        root.module('healthy')
        root.executor('healthy', '1.0', 'healthy.Executor')
        assert registry.get('healthy')[0].__module__ == 'healthy'
        with pytest.raises(UnknownPlugin, match=r'may have named it') as caught:
            registry.get('sought')
        assert str(file) in str(caught.value)
        assert 'Traceback' in str(caught.value)
        assert list(registry.problems()) == [str(file)]

    def test_bytes_that_are_no_python(self, root: Any, registry: Registry) -> None:
        file = root.descriptors('')
        file.write_bytes(b'x = "\xff"')
        assert list(registry.problems()) == [str(file)]

    @pytest.mark.parametrize('value', ['5', '[5]', '["x"]', 'None'])
    def test_a_list_of_something_else(self, root: Any, registry: Registry, value: str) -> None:
        file = root.descriptors(f'__PSI_J_EXECUTORS__ = {value}')
        assert registry.names() >= OURS
        assert list(registry.problems()) == [str(file)]
        assert Registry('launcher').problems() == {}

    def test_another_plugin_of_the_same_name_is_used(self, root: Any, registry: Registry) -> None:
        root.descriptors(CALL + '1 / 0')
        root.module('plugin')
        root.executor('known', '0.5', 'plugin.Executor')
        assert registry.get('known')[1].version == Version('0.5')
        with pytest.raises(BrokenPlugin, match='ZeroDivisionError'):
            registry.get('known', '>=1')

    @pytest.mark.parametrize(
        ('text', 'traced'),
        [
            ('import nothing_like_this', 'ModuleNotFoundError'),
            ('1 / 0', 'ZeroDivisionError'),
            ('def', 'SyntaxError'),
            ('raise SystemExit(3)', 'SystemExit'),
            ('', 'AttributeError'),
            ('Executor = 5', 'no class'),
            (None, 'ModuleNotFoundError'),
        ],
    )
    def test_a_class_that_cannot_be_loaded_is_reported_when_it_is_asked_for(
        self, root: Any, registry: Registry, text: str | None, traced: str
    ) -> None:
        root.module('healthy')
        root.executor('healthy', '1.0', 'healthy.Executor')
        if text is not None:
            root.module('faulty', text)
        root.executor('faulty', '1.0', 'faulty.Executor')
        assert {'healthy', 'faulty'} <= registry.names()
        with pytest.raises(BrokenPlugin, match=traced) as caught:
            registry.get('faulty')
        assert "executor 'faulty'" in str(caught.value)
        if text is not None and traced != 'no class':
            assert 'Traceback' in str(caught.value)
            assert caught.value.__cause__ is not None
        assert registry.get('healthy')[0].__module__ == 'healthy'

    def test_an_interrupt_is_no_fault_of_a_plugin(self, root: Any, registry: Registry) -> None:
        root.descriptors('raise KeyboardInterrupt')
        with pytest.raises(KeyboardInterrupt):
            registry.names()


class TestUnknownNames:
    def test_what_exists_and_the_nearest_match(self, registry: Registry) -> None:
        with pytest.raises(UnknownPlugin) as caught:
            registry.get('Slrum')
        message = str(caught.value)
        assert "no executor 'Slrum'" in message
        assert "Did you mean 'slurm'?" in message
        assert 'local, pbs (alias of pbspro), pbspro, slurm' in message

    def test_nothing_is_near(self, registry: Registry) -> None:
        with pytest.raises(UnknownPlugin) as caught:
            registry.get('xyzzy')
        assert 'Did you mean' not in str(caught.value)
        assert 'slurm' in str(caught.value)

    def test_of_a_launcher(self) -> None:
        with pytest.raises(UnknownPlugin, match=r"no launcher 'mpiexec'.*mpirun"):
            Registry('launcher').get('mpiexec')

    @pytest.mark.parametrize('name', ['slurm ', 'SLURM', 'slurm\0'])
    def test_names_are_exact(self, registry: Registry, name: str) -> None:
        with pytest.raises(UnknownPlugin, match="Did you mean 'slurm'"):
            registry.get(name)
