"""What a plugin says of itself."""

from __future__ import annotations

import re

from packaging.version import Version

_PLAIN = re.compile('[A-Za-z0-9][A-Za-z0-9._+-]*')


class Descriptor:
    """Says under which name an executor or a launcher is found, and where its class is.

    :param name: the name that people ask for.
    :param version: the version of the plugin; a `distutils.version.StrictVersion` will do, which older plugins give.
    :param cls: the class as `module.Class`; it is imported when it is needed.
    :param aliases: other names for it.
    :param nice_name: the name in its usual spelling; `name` if None.
    :raises TypeError: if an argument has a wrong type.
    :raises ValueError: if a name cannot be that of a folder, `cls` holds no module, or the version cannot be read.
    """

    __slots__ = ('aliases', 'cls', 'name', 'nice_name', 'version')

    def __init__(
        self,
        name: str,
        version: Version | str,
        cls: str,
        aliases: list[str] | None = None,
        nice_name: str | None = None,
    ) -> None:
        self.name = _plain_name('name', name)
        self.version = version if isinstance(version, Version) else Version(_version_text(version))
        self.cls = _checked_name('cls', cls)
        if not all(part.isidentifier() for part in cls.split('.')) or '.' not in cls:
            raise ValueError(f'Descriptor.cls: expected module.Class, got {cls!r}')
        if not isinstance(aliases, (list, tuple, type(None))):
            raise TypeError(f'Descriptor.aliases: expected a list, got {aliases!r}')
        self.aliases = [_plain_name('aliases', alias) for alias in aliases or ()]
        self.nice_name = self.name if nice_name is None else _checked_name('nice_name', nice_name)

    @property
    def names(self) -> tuple[str, ...]:
        """The name, and the aliases."""
        return (self.name, *self.aliases)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Descriptor):
            return NotImplemented
        return all(getattr(self, slot) == getattr(other, slot) for slot in self.__slots__)

    def __hash__(self) -> int:
        return hash((self.name, self.version, self.cls))

    def __repr__(self) -> str:
        shown = f'{self.name!r}, {str(self.version)!r}, {self.cls!r}, aliases={self.aliases!r}'
        return f'Descriptor({shown})'


def _version_text(version: object) -> str:
    return _checked_name('version', str(version) if type(version).__name__ == 'StrictVersion' else version)


def _plain_name(label: str, value: object) -> str:
    """Check a name by which a folder and a section of settings are called, too."""
    name = _checked_name(label, value)
    if _PLAIN.fullmatch(name) is None:
        raise ValueError(
            f'Descriptor.{label}: letters, digits and . _ + - make up a name, and the first is a letter or digit; got '
            f'{value!r}')
    return name


def _checked_name(label: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f'Descriptor.{label}: expected a string, got {value!r}')
    if not value or value != value.strip():
        raise ValueError(f'Descriptor.{label}: must not be empty, or begin or end with space, got {value!r}')
    return value
