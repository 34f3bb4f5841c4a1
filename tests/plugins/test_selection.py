"""Which class is handed out for a name and a version."""

from __future__ import annotations

import importlib
import sys
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from psij_ext.exceptions import BrokenPlugin, UnknownPlugin
from psij_ext.plugins import Registry

IMPORT = 'from psij_ext.plugins import Descriptor\n'


class TestVersions:
    @pytest.fixture
    def many(self, root: Any) -> None:
        for version in ('1.0', '1.9', '1.10', '2.0rc1'):
            name = 'v' + version.replace('.', '_')
            root.module(name)
            root.executor('many', version, f'{name}.Executor', ['lots'])

    @pytest.mark.parametrize(
        ('constraint', 'version'),
        [
            (None, '2.0rc1'),
            ('<2.0rc1', '1.10'),
            ('<1.10', '1.9'),
            ('>=1.0,<1.9', '1.0'),
            ('!=2.0rc1', '1.10'),
            ('~=1.8', '1.10'),
            ('==1.9', '1.9'),
            ('1.9', '1.9'),
            ('1.9.0', '1.9'),
            ('>1.10', '2.0rc1'),
            ('', '2.0rc1'),
        ],
    )
    @pytest.mark.parametrize('name', ['many', 'lots'])
    @pytest.mark.usefixtures('many')
    def test_the_newest_that_meets_the_constraint_wins(
        self, registry: Registry, name: str, constraint: str | None, version: str
    ) -> None:
        loaded, descriptor = registry.get(name, constraint)
        assert descriptor.version == Version(version)
        assert loaded.__module__ == 'v' + version.replace('.', '_')

    @pytest.mark.usefixtures('many')
    def test_a_broken_one_makes_way_and_is_told_of(
        self, root: Any, registry: Registry, caplog: pytest.LogCaptureFixture
    ) -> None:
        root.executor('many', '9.0', 'nowhere.Executor')
        assert registry.get('many')[1].version == Version('2.0rc1')
        assert 'nowhere' in caplog.text
        with pytest.raises(BrokenPlugin, match='nowhere'):
            registry.get('many', '9.0')

    @pytest.mark.usefixtures('many')
    def test_a_name_beats_an_alias_of_another(self, root: Any, registry: Registry) -> None:
        root.module('other')
        root.executor('other', '9.0', 'other.Executor', ['many', 'lots'])
        assert registry.get('many')[1].name == 'many'
        assert registry.get('lots')[1].name == 'other'

    @pytest.mark.usefixtures('many')
    def test_a_constraint_that_is_no_text(self, registry: Registry) -> None:
        with pytest.raises(TypeError, match='version_constraint'):
            registry.get('many', 1)  # type: ignore[arg-type]

    @pytest.mark.usefixtures('many')
    def test_none_that_meets_it(self, registry: Registry) -> None:
        with pytest.raises(UnknownPlugin) as caught:
            registry.get('many', '>=3')
        assert "'many'" in str(caught.value)
        assert "'>=3'" in str(caught.value)
        assert '1.0, 1.10, 1.9, 2.0rc1' in str(caught.value)

    @pytest.mark.parametrize('constraint', ['newest', '>=', '=1.0', '1.0,2.0'])
    def test_a_constraint_that_cannot_be_read(self, registry: Registry, constraint: str) -> None:
        with pytest.raises(UnknownPlugin, match=f"'local'.*'{constraint}'.*>=1.0,<2"):
            registry.get('local', constraint)

    def test_of_equal_versions_the_first_on_the_path_wins(self, roots: Any, registry: Registry) -> None:
        for name in ('second', 'first'):  # each new root comes before the others
            made = roots(name)
            made.module(f'{name}_plugin')
            made.executor('same', '1.0', f'{name}_plugin.Executor')
        assert registry.get('same')[0].__module__ == 'first_plugin'


class TestClasses:
    def test_the_class_is_the_one_that_import_gives(self, root: Any, registry: Registry) -> None:
        root.module('pack.inner.plugin')
        root.executor('plain', '1.0', 'pack.inner.plugin.Executor')
        loaded, descriptor = registry.get('plain')
        assert loaded is importlib.import_module('pack.inner.plugin').Executor
        assert loaded is registry.get('plain')[0]
        assert registry.describe(loaded) == descriptor

    def test_a_descriptor_may_name_classes_under_its_root_only(self, roots: Any, registry: Registry) -> None:
        roots('victim').module('victim.plugin')
        roots('thief').executor('stolen', '1.0', 'victim.plugin.Executor')
        with pytest.raises(BrokenPlugin, match='under its own folder'):
            registry.get('stolen')
        assert 'victim' not in sys.modules

    def test_not_even_one_that_is_imported_already(self, roots: Any, registry: Registry) -> None:
        roots('victim').module('victim.plugin')
        importlib.import_module('victim.plugin')
        roots('thief').executor('stolen', '1.0', 'victim.plugin.Executor')
        with pytest.raises(BrokenPlugin, match='under its own folder'):
            registry.get('stolen')

    def test_a_shadowed_class_is_not_loaded_in_place_of_its_own(self, roots: Any, registry: Registry) -> None:
        shadowed = roots('shadowed')
        shadowed.module('plugin')
        shadowed.executor('shadowed', '1.0', 'plugin.Executor')
        roots('shadowing').module('plugin')
        with pytest.raises(BrokenPlugin, match='under its own folder'):
            registry.get('shadowed')
        assert 'plugin' not in sys.modules

    def test_a_class_that_its_package_finds_elsewhere_is_refused(
        self, roots: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        elsewhere = roots('elsewhere').module('hidden')

        class Finder:
            @staticmethod
            def find_spec(name: str, path: Any, target: Any = None) -> Any:
                return spec_from_file_location(name, elsewhere) if name == 'pack.plugin' else None

        made = roots('site')
        made.module('pack.plugin').unlink()
        made.executor('moved', '1.0', 'pack.plugin.Executor')
        monkeypatch.setattr(sys, 'meta_path', [Finder, *sys.meta_path])
        with pytest.raises(BrokenPlugin, match='under its own folder'):
            registry.get('moved')

    def test_a_module_linked_into_the_root_lies_under_it(
        self, roots: Any, registry: Registry, tmp_path: Path
    ) -> None:
        made = roots('site')
        made.module('developed').rename(tmp_path / 'developed.py')
        (made.path / 'developed.py').symlink_to(tmp_path / 'developed.py')
        made.executor('developed', '1.0', 'developed.Executor')
        assert registry.get('developed')[0].__module__ == 'developed'

    def test_a_root_behind_a_symbolic_link_is_the_same_root(
        self, roots: Any, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = roots('real')
        made.module('linked_plugin')
        made.executor('linked', '1.0', 'linked_plugin.Executor')
        importlib.import_module('linked_plugin')
        (tmp_path / 'link').symlink_to(made.path)
        monkeypatch.syspath_prepend(str(tmp_path / 'link'))
        assert registry.get('linked')[0].__module__ == 'linked_plugin'

    def test_a_class_of_a_namespace_package(self, roots: Any, registry: Registry) -> None:
        for name in ('one', 'two'):
            made = roots(name)
            (made.path / 'shared').mkdir()
            (made.path / 'shared' / f'{name}.py').write_text('class Executor: pass')
            made.executor(name, '1.0', f'shared.{name}.Executor')
        importlib.invalidate_caches()
        assert registry.get('one')[0].__module__ == 'shared.one'
        assert registry.get('two')[0].__module__ == 'shared.two'
        del sys.modules['shared']

    def test_the_same_class_found_twice_is_one_entry(
        self, root: Any, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root.module('twice_plugin', f'{IMPORT}IT = Descriptor("twice", "1.0", "twice_plugin.Executor")')
        root.executor('twice', '1.0', 'twice_plugin.Executor')
        root.entry_point('twice', 'twice_plugin:IT')
        (tmp_path / 'link').symlink_to(root.path)
        monkeypatch.syspath_prepend(str(tmp_path / 'link'))
        assert [found.name for found in registry.descriptors()].count('twice') == 1

    def test_our_own_found_in_another_checkout_are_still_ours(self, root: Any, registry: Registry) -> None:
        cls = 'psij_ext.executors.local.LocalJobExecutor'
        root.executor('local', '99.0', cls)
        assert [found.cls for found in registry.descriptors()].count(cls) == 1
        assert Version('99.0') not in [found.version for found in registry.descriptors()]

    def test_an_exported_class_is_recognised(self, root: Any, registry: Registry) -> None:
        root.module('exporting.impl')
        (root.path / 'exporting' / '__init__.py').write_text('from exporting.impl import Executor')
        root.executor('exported', '1.0', 'exporting.Executor')
        loaded, descriptor = registry.get('exported')
        assert loaded.__module__ == 'exporting.impl'
        assert registry.describe(loaded) == descriptor

    def test_a_class_that_nobody_registered_has_no_descriptor(self, registry: Registry) -> None:
        assert registry.describe(TestClasses) is None
        assert registry.describe(object) is None
