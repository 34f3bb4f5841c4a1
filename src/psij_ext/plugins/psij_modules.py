"""Lets `import psij` give our objects: modules that are made when they are imported, and hold nothing of their own."""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from psij_ext.plugins.psij_names import TABLE

_ROOT = 'psij'


class _Modules(MetaPathFinder, Loader):
    """Finds and makes the modules of PSI/J's interface."""

    # Whether somebody asked for them, and did not just bring a plugin that needs them.
    asked_for = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find one of them.

        :raises ImportError: if it is PSI/J's, or might be, and is none of ours.
        """
        parent, _, name = fullname.rpartition('.')
        if fullname.partition('.')[0] != _ROOT:
            return None
        if fullname not in TABLE:
            raise ImportError(_not_shipped(parent, name), name=fullname)
        # Each is a package, so that a name which is in none of them comes here, too, and its message is ours.
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Have an ordinary module made."""
        return None

    def exec_module(self, module: ModuleType) -> None:
        """Let a module look up its names when they are used."""
        names = TABLE[module.__name__]
        module.__doc__ = f'What psij_ext has for {module.__name__}.'
        vars(module).update(
            __all__=sorted(name for name in names if not name.startswith('__')),
            __getattr__=functools.partial(_look_up, module), __dir__=lambda: sorted({*vars(module), *names}))


_modules = _Modules()


def claim(*, asked_for: bool) -> None:
    """Let `psij` be ours from now on.

    :param asked_for: whether it shall be so where psij-python is installed, too.
    :raises ImportError: if psij-python is imported already.
    """
    other = sys.modules.get(_ROOT)
    if other is not None and getattr(other, '__loader__', None) is not _modules:
        raise ImportError(
            f'psij-python is imported already, from {getattr(other, "__file__", None)}: import psij_ext.compat before '
            'psij, or run the program with python -m psij_ext.compat.', name=_ROOT)
    if _modules not in sys.meta_path:
        sys.meta_path.insert(0, _modules)
    _modules.asked_for = _modules.asked_for or asked_for


def is_asked_for() -> bool:
    """Whether `psij` is ours because somebody asked for that."""
    return _modules.asked_for


def serve_plugins() -> bool:
    """Let `psij` be ours where no psij-python is installed, for the sake of plugins that import it.

    :return: whether it is ours.
    """
    if not _modules.asked_for and _is_other_installed():
        return False
    claim(asked_for=False)
    return True


def _is_other_installed() -> bool:
    loaded = sys.modules.get(_ROOT)
    if loaded is not None:
        return getattr(loaded, '__loader__', None) is not _modules
    finders = [finder for finder in sys.meta_path if finder is not _modules]
    specs = [finder.find_spec(_ROOT, None) for finder in finders if hasattr(finder, 'find_spec')]
    # A folder that happens to have the name has no file of its own.
    return any(spec is not None and spec.origin is not None for spec in specs)


def _look_up(module: ModuleType, name: str) -> object:
    names = TABLE[module.__name__]
    if name in names:
        place, _, own_name = names[name].partition(':')
        value = getattr(importlib.import_module(place), own_name or name)
        setattr(module, name, value)
        return value
    if f'{module.__name__}.{name}' in TABLE:
        return importlib.import_module(f'{module.__name__}.{name}')
    raise AttributeError(_not_shipped(module.__name__, name))


def _not_shipped(parent: str, name: str) -> str:
    known = [known for known in TABLE.get(parent, ()) if not known.startswith('__')]
    known += [module.rpartition('.')[2] for module in TABLE if module.rpartition('.')[0] == parent]
    return (
        f'{parent}.{name} is not shipped by psij_ext, whose psij this is (psij_ext.compat). What {parent} has here: '
        f'{", ".join(sorted({*known})) or "nothing"}. The page "Coming from PSI/J" of the documentation of psij-ext '
        'tells what is left out. JobExecutor.get_executor_names() and Launcher.get_launcher_names() tell what can be '
        'had, with what plugins bring.')
