"""Reads descriptors from the folders and entry points of this Python's installation."""

from __future__ import annotations

import ast
import logging
import os
import sys
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psij_ext.installation import data_folder
from psij_ext.plugins import psij_modules
from psij_ext.plugins.descriptor import Descriptor

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

_logger = logging.getLogger(__name__)

FOLDER = 'psij-descriptors'
# The lists of a module, and the group of entry points. psij-python reads the second list, too, and warns of descriptors
# in it that are not its own.
KINDS = {
    'executor': (('__PSIJ_EXT_EXECUTORS__', '__PSI_J_EXECUTORS__'), 'psij_ext.executors'),
    'launcher': (('__PSIJ_EXT_LAUNCHERS__', '__PSI_J_LAUNCHERS__'), 'psij_ext.launchers'),
}

# A descriptor is foreign code: even if it calls sys.exit(), the other plugins must stay usable.
ANY_FAULT = (Exception, SystemExit)


@dataclass(frozen=True)
class Entry:
    """A descriptor, where it was found, and the folder under which its class must lie (None: anywhere)."""

    descriptor: Descriptor
    origin: str
    root: Path | None


@dataclass(frozen=True)
class Fault:
    """A place whose descriptors could not be read, and the names it would have given, if they are known."""

    origin: str
    names: frozenset[str]
    report: str


@dataclass
class Findings:
    """What was found of one kind, executors or launchers."""

    entries: list[Entry] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def add(self, entry: Entry) -> None:
        """Take an entry, unless it belongs to psij-python or is known already."""
        descriptor = entry.descriptor
        if descriptor.cls.startswith('psij.'):
            _logger.debug('Passing over %r of %s: it belongs to psij-python', descriptor, entry.origin)
            return
        # A class is imported under its ordinary name, so that the same name is the same class wherever it is
        # found.
        key = (descriptor.name, descriptor.cls)
        if all(key != (other.descriptor.name, other.descriptor.cls) for other in self.entries):
            self.entries.append(entry)


def search_key() -> tuple[str, ...]:
    """Return what the result of `discover` depends on, so that it can be kept until that changes."""
    return (*(str(folder) for folder in _search_path()), str(psij_modules.is_asked_for()))


def discover() -> dict[str, Findings]:
    """Read all descriptors: ours first, then those of entry points, then those of folders along `sys.path`.

    Nothing is raised for a broken one; it becomes a `Fault`.
    """
    findings = {kind: Findings() for kind in KINDS}
    ours = data_folder(FOLDER)
    _read_folder(ours, None, findings)
    for kind, (_, group) in KINDS.items():
        for entry_point in _entry_points(group):
            _read_entry_point(entry_point, findings[kind])
    seen = {os.path.realpath(ours)}
    for root in _search_path():
        folder = root / FOLDER
        place = os.path.realpath(folder)
        if place not in seen:
            seen.add(place)
            _read_folder(folder, root, findings)
    return findings


def _search_path() -> Iterator[Path]:
    for entry in sys.path:
        try:
            yield Path(entry or os.getcwd())  # noqa: PTH109  # Path.cwd() costs more and says the same
        except FileNotFoundError:
            continue  # the current folder was removed


def _read_folder(folder: Path, root: Path | None, findings: dict[str, Findings]) -> None:
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith('.py'))  # noqa: PTH208
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError:
        _add_fault(str(folder), frozenset(), findings.values())
        return
    for name in names:
        _read_module(folder / name, root, findings)


def _read_module(path: Path, root: Path | None, findings: dict[str, Findings]) -> None:
    names: frozenset[str] = frozenset()
    try:
        tree = ast.parse(path.read_bytes(), str(path))
        if _imports_psij(tree.body) and not psij_modules.serve_plugins():
            # Where psij-python is installed, they belong to it. To run them would import the whole of it, and its
            # classes are no executors of ours.
            _logger.debug('Passing over %s: it is written for psij-python', path)
            return
        names = frozenset(_written_names(tree))
        content: dict[str, Any] = {'__name__': path.stem, '__file__': str(path)}
        exec(compile(tree, str(path), 'exec'), content)
    except ANY_FAULT:
        _add_fault(str(path), names, findings.values())
        return
    for kind, (list_names, _) in KINDS.items():
        try:
            for descriptor in (each for name in list_names for each in content.get(name, ())):
                findings[kind].add(Entry(_checked(descriptor), str(path), root))
        except ANY_FAULT:
            _add_fault(str(path), names, [findings[kind]])


def _read_entry_point(entry_point: EntryPoint, findings: Findings) -> None:
    origin = f'entry point {entry_point.name} = {entry_point.value}'
    if entry_point.value.split(':')[0].split('.')[0] == 'psij':
        return
    try:
        findings.add(Entry(_checked(entry_point.load()), origin, None))
    except ANY_FAULT:
        _add_fault(origin, frozenset([entry_point.name]), [findings])


def _checked(descriptor: object) -> Descriptor:
    if not isinstance(descriptor, Descriptor):
        raise TypeError(f'expected a psij_ext.plugins.Descriptor, got {descriptor!r}')
    return descriptor


def _add_fault(origin: str, names: frozenset[str], findings: Iterable[Findings]) -> None:
    fault = Fault(origin, names, traceback.format_exc())
    _logger.debug('Cannot read the descriptors of %s', origin, exc_info=True)
    for found in findings:
        found.faults.append(fault)


def _entry_points(group: str) -> Iterable[EntryPoint]:
    from importlib.metadata import entry_points  # slow to import

    found: Iterable[EntryPoint]
    if sys.version_info >= (3, 10):
        found = entry_points(group=group)
    else:
        found = entry_points().get(group, ())
    return found


def _imports_psij(body: Iterable[ast.stmt]) -> bool:
    """Tell whether these statements import psij; the handlers of a `try` run only where it failed."""
    for statement in body:
        if isinstance(statement, ast.Import):
            modules = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.ImportFrom):
            modules = [statement.module or ''] if statement.level == 0 else []
        else:
            modules = []
        if any(module.split('.')[0] == 'psij' for module in modules):
            return True
        if isinstance(statement, (ast.If, ast.Try, ast.With)):
            rest = [*getattr(statement, 'orelse', ()), *getattr(statement, 'finalbody', ())]
            if _imports_psij([*statement.body, *rest]):
                return True
    return False


def _written_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that stand as plain strings in the module's calls of `Descriptor`."""
    for call in ast.walk(tree):
        if not isinstance(call, ast.Call):
            continue
        called = getattr(call.func, 'id', getattr(call.func, 'attr', None))
        if called not in ('Descriptor', '_Descriptor'):
            continue
        named = [keyword.value for keyword in call.keywords if keyword.arg == 'name']
        for value in [*call.args[:1], *named]:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value
