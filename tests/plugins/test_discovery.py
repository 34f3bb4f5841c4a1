"""Where descriptors are found, and when they are read."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from psij_ext.exceptions import BrokenPlugin
from psij_ext.plugins import Registry

OURS = {'local', 'slurm', 'pbspro'}
OUR_LAUNCHERS = {'single', 'multiple', 'mpirun', 'srun'}
IMPORT = 'from psij_ext.plugins import Descriptor\n'


class TestFolders:
    def test_ours_are_found(self, registry: Registry) -> None:
        assert registry.names() >= OURS
        assert Registry('launcher').names() >= OUR_LAUNCHERS
        (pbspro,) = [found for found in registry.descriptors() if found.name == 'pbspro']
        assert pbspro.aliases == ['pbs']

    def test_descriptors_of_any_entry_of_the_path_are_found(self, roots: Any, registry: Registry) -> None:
        for name in ('one', 'two'):
            made = roots(name)
            made.module(f'{name}_plugin')
            made.executor(name, '1.0', f'{name}_plugin.Executor')
        assert {'one', 'two'} <= registry.names()
        assert registry.get('one')[0].__module__ == 'one_plugin'
        assert registry.get('two')[0].__module__ == 'two_plugin'

    def test_launchers_and_executors_are_kept_apart(self, root: Any, registry: Registry) -> None:
        root.executor('thing', '1.0', 'plugin.Thing', kind='LAUNCHER')
        assert 'thing' not in registry.names()
        assert 'thing' in Registry('launcher').names()

    def test_the_current_folder_counts_where_it_is_on_the_path(
        self, tmp_path: Path, roots: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = roots('here')
        made.executor('here', '1.0', 'plugin.Executor')
        sys.path.remove(str(made.path))
        monkeypatch.chdir(made.path)
        assert 'here' not in registry.names()
        monkeypatch.syspath_prepend('')
        assert 'here' in registry.names()

    def test_a_current_folder_that_is_gone_harms_nothing(
        self, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def gone() -> str:
            raise FileNotFoundError

        monkeypatch.syspath_prepend('')
        monkeypatch.setattr(os, 'getcwd', gone)
        assert registry.names() >= OURS

    def test_files_that_are_no_modules_are_passed_over(self, root: Any, registry: Registry) -> None:
        root.descriptors('not python', 'README.txt')
        assert registry.problems() == {}

    def test_a_file_in_place_of_the_folder_is_passed_over(self, root: Any, registry: Registry) -> None:
        (root.path / 'psij-descriptors').touch()
        assert registry.problems() == {}

    def test_a_folder_that_cannot_be_read_is_a_problem_of_its_own(
        self, root: Any, registry: Registry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = root.executor('hidden', '1.0', 'plugin.Executor').parent
        listdir = os.listdir

        def refuse(path: Any) -> list[str]:
            if Path(path) == folder:
                raise PermissionError('keep out')
            return listdir(path)

        monkeypatch.setattr(os, 'listdir', refuse)
        assert registry.names() >= OURS
        assert 'keep out' in registry.problems()[str(folder)]


class TestEntryPoints:
    def test_an_entry_point_names_a_descriptor(self, root: Any, registry: Registry) -> None:
        it = 'IT = Descriptor("grid", "2.0", "pointed.Executor", ["g"])'
        root.module('pointed', f'{IMPORT}{it}\nclass Executor: pass')
        root.entry_point('grid', 'pointed:IT')
        loaded, descriptor = registry.get('g')
        assert loaded is importlib.import_module('pointed').Executor
        assert (descriptor.name, descriptor.version) == ('grid', Version('2.0'))

    def test_of_launchers(self, root: Any) -> None:
        root.module('pointed', f'{IMPORT}IT = Descriptor("flight", "2.0", "pointed.Launcher")')
        root.entry_point('flight', 'pointed:IT', 'psij_ext.launchers')
        assert 'flight' in Registry('launcher').names()

    def test_a_class_may_lie_anywhere(self, roots: Any, registry: Registry) -> None:
        roots('classes').module('elsewhere')
        made = roots('points')
        made.module('pointed', f'{IMPORT}IT = Descriptor("grid", "2.0", "elsewhere.Executor")')
        made.entry_point('grid', 'pointed:IT')
        assert registry.get('grid')[0].__module__ == 'elsewhere'

    @pytest.mark.parametrize('text', ['import nothing_like_this', 'IT = 5', 'raise SystemExit(3)', ''])
    def test_a_broken_one_is_reported_when_it_is_asked_for(
        self, root: Any, registry: Registry, text: str
    ) -> None:
        root.module('pointed', text)
        root.entry_point('grid', 'pointed:IT')
        assert registry.names() >= OURS
        with pytest.raises(BrokenPlugin, match=r'grid = pointed:IT:\nTraceback') as caught:
            registry.get('grid')
        assert caught.match('Error|SystemExit')


class TestLaziness:
    def test_nothing_is_read_before_somebody_asks(self, root: Any) -> None:
        marker = root.path / 'ran'
        root.descriptors(f'open({str(marker)!r}, "w").close()')
        registry = Registry('executor')
        assert not marker.exists()
        registry.names()
        assert marker.exists()

    def test_no_class_is_imported_before_it_is_asked_for(self, root: Any, registry: Registry) -> None:
        for name in ('wanted', 'unwanted'):
            root.module(f'{name}_plugin')
            root.executor(name, '1.0', f'{name}_plugin.Executor')
        registry.names()
        assert 'wanted_plugin' not in sys.modules
        registry.get('wanted')
        assert 'wanted_plugin' in sys.modules
        assert 'unwanted_plugin' not in sys.modules

    def test_descriptors_are_read_once_until_the_path_changes(self, roots: Any, registry: Registry) -> None:
        made = roots('one')
        counted = made.path / 'count'
        made.descriptors(f'with open({str(counted)!r}, "a") as file: file.write("x")')
        registry.names()
        registry.names()
        assert counted.read_text() == 'x'
        roots('two').executor('new', '1.0', 'plugin.Executor')
        assert 'new' in registry.names()
        assert counted.read_text() == 'xx'

    def test_a_folder_that_is_reached_twice_is_read_once(
        self, root: Any, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        counted = root.path / 'count'
        root.descriptors(f'with open({str(counted)!r}, "a") as file: file.write("x")')
        (tmp_path / 'link').symlink_to(root.path)
        monkeypatch.syspath_prepend(str(tmp_path / 'link'))
        registry.names()
        assert counted.read_text() == 'x'

    def test_a_refresh_reads_them_again(self, root: Any, registry: Registry) -> None:
        registry.names()
        root.executor('late', '1.0', 'plugin.Executor')
        assert 'late' not in registry.names()
        registry.refresh()
        assert 'late' in registry.names()

    def test_scanning_leaves_no_files_and_no_modules(self, root: Any, registry: Registry) -> None:
        file = root.executor('tidy', '1.0', 'plugin.Executor')
        before = set(sys.modules)
        assert 'tidy' in registry.names()
        assert sorted(file.parent.iterdir()) == [file]
        assert not [name for name in set(sys.modules) - before if 'tidy' in name or 'descriptors' in name]
