"""Hands out the classes of executors and launchers by name."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import logging
import os
import sys
import traceback
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.version import InvalidVersion, Version

from psij_ext.exceptions import BrokenPlugin, UnknownPlugin
from psij_ext.plugins.descriptor import Descriptor
from psij_ext.plugins.discovery import ANY_FAULT, Entry, Fault, Findings, discover, search_key

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet


logger = logging.getLogger(__name__)


class _Catalogue:
    """What was discovered, until `sys.path` changes."""

    def __init__(self) -> None:
        self._key: tuple[str, ...] | None = None
        self._findings: dict[str, Findings] = {}
        self._registered: list[tuple[str, Entry]] = []

    def findings(self, kind: str) -> Findings:
        key = search_key()
        if key != self._key:
            self._findings = discover()
            self._key = key
            for registered_kind, entry in self._registered:
                self._findings[registered_kind].add(entry)
        return self._findings[kind]

    def register(self, kind: str, entry: Entry) -> None:
        self._registered.append((kind, entry))
        self.forget()

    def forget(self) -> None:
        self._key = None


class Registry:
    """The executors, or the launchers, that are installed.

    :param kind: `executor` or `launcher`.
    """

    def __init__(self, kind: str, catalogue: _Catalogue | None = None) -> None:
        self.kind = kind
        self._catalogue = _Catalogue() if catalogue is None else catalogue

    def names(self) -> set[str]:
        """Return the names that can be asked for, without aliases."""
        return {descriptor.name for descriptor in self.descriptors()}

    def descriptors(self) -> list[Descriptor]:
        """Return what is installed, in all versions."""
        return [entry.descriptor for entry in self._findings().entries]

    def problems(self) -> dict[str, str]:
        """Return the places whose descriptors could not be read, and the traceback of each."""
        return {fault.origin: fault.report for fault in self._findings().faults}

    def register(self, descriptor: Descriptor, root: str | Path) -> None:
        """Let a plugin be found that no folder of descriptors and no entry point names.

        :param descriptor: the plugin's.
        :param root: the folder under which its class must lie.
        """
        self._catalogue.register(self.kind, Entry(descriptor, f'register_{self.kind}', Path(root)))

    def refresh(self) -> None:
        """Look again when next asked: packages were installed or removed, which `sys.path` does not show."""
        self._catalogue.forget()

    def get(self, name: str, version_constraint: str | None = None) -> tuple[type, Descriptor]:
        """Return the newest class of that name, and its descriptor.

        :param name: a name or an alias.
        :param version_constraint: the versions that will do, such as `>=1.0,<2`; `1.0` alone means `==1.0`.
        :raises UnknownPlugin: if there is none, or none of these versions.
        :raises BrokenPlugin: if there is one and it cannot be loaded.
        """
        wanted = self._specifiers(name, version_constraint)
        findings = self._findings()
        named = [entry for entry in findings.entries if name in entry.descriptor.names]
        fitting = [entry for entry in named if wanted.contains(entry.descriptor.version, prereleases=True)]
        if not fitting:
            raise self._missing(name, version_constraint, named, findings)
        # What has the name beats what has it as an alias. Sorting keeps the order of equals, so that ours come before
        # others of the same version.
        fitting.sort(key=lambda entry: (entry.descriptor.name == name, entry.descriptor.version), reverse=True)
        return self._first_that_loads(fitting)

    def describe(self, cls: type) -> Descriptor | None:
        """Return the newest descriptor that names this very class, or None."""
        matching = [descriptor for descriptor in self.descriptors() if _is_class(descriptor, cls)]
        return max(matching, key=lambda descriptor: descriptor.version, default=None)

    def _findings(self) -> Findings:
        return self._catalogue.findings(self.kind)

    def _specifiers(self, name: str, constraint: str | None) -> SpecifierSet:
        from packaging.specifiers import InvalidSpecifier, SpecifierSet  # slow to import

        if constraint is None:
            return SpecifierSet()
        if not isinstance(constraint, str):
            raise TypeError(f'version_constraint: expected a text such as ">=1.0,<2", got {constraint!r}')
        try:
            return SpecifierSet(f'=={Version(constraint)}')
        except InvalidVersion:
            pass  # no bare version, so it has to be a constraint
        try:
            return SpecifierSet(constraint)
        except InvalidSpecifier as error:
            raise UnknownPlugin(
                f'The {self.kind} {name!r} in the versions {constraint!r}: write versions such as ">=1.0,<2"'
            ) from error

    def _missing(
        self, name: str, constraint: str | None, named: list[Entry], findings: Findings
    ) -> Exception:
        for fault in findings.faults:
            if name in fault.names:
                return BrokenPlugin(
                    f'The {self.kind} {name!r} cannot be read from {fault.origin}:\n{fault.report}'
                )
        if named:
            versions = ', '.join(str(entry.descriptor.version) for entry in named)
            message = f'No version of the {self.kind} {name!r} meets {constraint!r}; installed: {versions}'
        else:
            message = self._unknown(name, findings)
        return UnknownPlugin(message + _reports(findings.faults))

    def _unknown(self, name: str, findings: Findings) -> str:
        descriptors = [entry.descriptor for entry in findings.entries]
        known = {alias: descriptor.name for descriptor in descriptors for alias in descriptor.names}
        nearest = difflib.get_close_matches(str(name).lower(), known, n=1)
        shown = ', '.join(
            alias if alias == canonical else f'{alias} (alias of {canonical})'
            for alias, canonical in sorted(known.items())
        )
        hint = f' Did you mean {nearest[0]!r}?' if nearest else ''
        return f'There is no {self.kind} {name!r}.{hint} Known: {shown or "none"}'

    def _first_that_loads(self, entries: list[Entry]) -> tuple[type, Descriptor]:
        """Load the best one; a broken one makes way for the next, and is told of, since it may be what was meant."""
        broken: list[BrokenPlugin] = []
        for entry in entries:
            try:
                loaded = self._load(entry)
            except BrokenPlugin as error:
                broken.append(error)
                continue
            for each in broken:
                logger.warning('%s\nThat of %s is used in its place.', each, entry.origin)
            return loaded, entry.descriptor
        raise broken[0]

    def _load(self, entry: Entry) -> type:
        module_name, _, class_name = entry.descriptor.cls.rpartition('.')
        where = f'The {self.kind} {entry.descriptor.name!r} of {entry.origin}'
        try:
            # Before the import, which would run code from elsewhere, and after it, where the file is certain.
            _check_root(where, entry, _origin(module_name))
            module = importlib.import_module(module_name)
            _check_root(where, entry, getattr(module, '__file__', None))
            loaded = getattr(module, class_name)
        except BrokenPlugin:
            raise
        except ANY_FAULT as error:
            raise BrokenPlugin(
                f'{where} cannot be loaded: {type(error).__name__}: {error}\n{traceback.format_exc()}'
            ) from error
        if not isinstance(loaded, type):
            raise BrokenPlugin(f'{where}: {entry.descriptor.cls} is no class')
        return loaded


def _reports(faults: list[Fault]) -> str:
    # What a broken module would have named may be unknown, so that it may be what was asked for.
    return ''.join(
        f'\nThe descriptors of {fault.origin} cannot be read and may have named it:\n{fault.report}'
        for fault in faults
        if not fault.names
    )


def _is_class(descriptor: Descriptor, cls: type) -> bool:
    if descriptor.cls == f'{cls.__module__}.{cls.__qualname__}':
        return True
    # The descriptor may name the place from which a package exports the class.
    module_name, _, class_name = descriptor.cls.rpartition('.')
    return getattr(sys.modules.get(module_name), class_name, None) is cls


def _check_root(where: str, entry: Entry, origin: str | None) -> None:
    if entry.root is None or origin is None:
        return
    for resolve in (os.path.abspath, os.path.realpath):
        root, place = Path(resolve(entry.root)), Path(resolve(origin))
        if root in place.parents:
            return
    raise BrokenPlugin(
        f'{where} names {entry.descriptor.cls}, which lies in {origin}; '
        f'a descriptor may only name classes under its own folder, {entry.root}'
    )


def _origin(module_name: str) -> str | None:
    """Return the file of a module without importing it or its packages; None if it cannot be told."""
    names = module_name.split('.')
    spec: ModuleSpec | None = importlib.util.find_spec(names[0])
    for depth in range(2, len(names) + 1):
        if spec is None or spec.submodule_search_locations is None:
            return None
        spec = PathFinder.find_spec('.'.join(names[:depth]), list(spec.submodule_search_locations))
    return None if spec is None else spec.origin


_shared = _Catalogue()
executors = Registry('executor', _shared)
launchers = Registry('launcher', _shared)
