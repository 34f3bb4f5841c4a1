"""Which files a job fetches before it runs and delivers afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, Flag
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from psij_ext.core.checks import describe, instance_of, nonempty_text
from psij_ext.core.checks import path as checked_path

_WITH_SCHEME = re.compile(r'[A-Za-z][A-Za-z0-9+.-]*:/')
_CONTROL = re.compile(r'[\x00-\x1f\x7f]')


class URI:
    """Where a file lies: a URI with a scheme, or a path.

    A string without a scheme is a path and is taken as it stands: `%`, `#` and `?` mean nothing in it. Two
    are equal if their strings are.

    :param urlstring: the URI, such as `file:///data/x`, or a path.
    """

    __slots__ = ('_parts', '_text')

    def __init__(self, urlstring: str) -> None:
        self._text = nonempty_text('URI.urlstring', urlstring)
        if _WITH_SCHEME.match(self._text) is None:
            self._parts = SplitResult('', '', self._text, '', '')
            return
        if _CONTROL.search(self._text):
            # urlsplit would drop some of them without a word.
            raise ValueError(f'URI.urlstring: control characters must be escaped, got {describe(urlstring)}')
        try:
            self._parts = urlsplit(self._text)
            _ = self._parts.port
        except ValueError as error:
            raise ValueError(f'URI.urlstring: cannot read {describe(urlstring)}: {error}') from error

    @classmethod
    def from_path(cls, location: Path) -> URI:
        """Return the URI of a path, even of one that looks like a URI."""
        text = str(location)
        return cls(f'./{text}' if _WITH_SCHEME.match(text) else text)

    @property
    def scheme(self) -> str:
        """The scheme in lower case; empty for a path."""
        return self._parts.scheme

    @property
    def netloc(self) -> str:
        """User, host and port as they were written."""
        return self._parts.netloc

    @property
    def path(self) -> str:
        """The path as it was written, with its percent signs."""
        return self._parts.path

    @property
    def query(self) -> str:
        """What stands after the question mark."""
        return self._parts.query

    @property
    def fragment(self) -> str:
        """What stands after the number sign."""
        return self._parts.fragment

    @property
    def hostname(self) -> str | None:
        """The host in lower case, or None."""
        return self._parts.hostname

    @property
    def port(self) -> int | None:
        """The port, or None."""
        return self._parts.port

    @property
    def username(self) -> str | None:
        """The user, or None."""
        return self._parts.username

    @property
    def password(self) -> str | None:
        """The password, or None."""
        return self._parts.password

    @property
    def local_path(self) -> Path | None:
        """The path on this file system, for a path and for a `file` URI of this host; else None."""
        if not self.scheme:
            return Path(self.path)
        if self.scheme == 'file' and self.hostname in (None, 'localhost'):
            return Path(unquote(self.path, errors='surrogateescape'))
        return None

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f'URI({self._text!r})'

    def __eq__(self, other: object) -> bool:
        return self._text == other._text if isinstance(other, URI) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._text)


class StagingMode(Enum):
    """How a file gets from one place to another."""

    COPY = 1
    """The source stays as it is."""
    LINK = 2
    """The target becomes a symbolic link to the source."""
    MOVE = 3
    """The source is gone afterwards."""


class StageOutFlags(Flag):
    """When files are delivered or removed after a job; without any of the flags `ON_...`, however it ended."""

    NONE = 0
    """No condition: the same as ALWAYS."""
    IF_PRESENT = 1
    """A missing file is no error."""
    ON_SUCCESS = 2
    """When the job's command ended with exit code zero."""
    ON_ERROR = 4
    """When it ended otherwise."""
    ON_CANCEL = 8
    """When the job was cancelled."""
    ALWAYS = ON_SUCCESS | ON_ERROR | ON_CANCEL
    """However the job ended."""


def _location(label: str, value: object) -> URI:
    if isinstance(value, URI):
        return value
    if isinstance(value, str):
        return URI(nonempty_text(label, value))
    return URI.from_path(checked_path(label, value))


@dataclass(frozen=True, init=False)
class StageIn:
    """A file that a job fetches before it runs.

    :param source: where it lies.
    :param target: where the job finds it; a relative path lies under the job's directory.
    :param mode: how it gets there.
    """

    source: URI
    target: Path
    mode: StagingMode

    def __init__(
        self, source: URI | Path | str, target: str | Path, mode: StagingMode = StagingMode.COPY
    ) -> None:
        object.__setattr__(self, 'source', _location('StageIn.source', source))
        object.__setattr__(self, 'target', checked_path('StageIn.target', target))
        object.__setattr__(self, 'mode', instance_of(StagingMode)('StageIn.mode', mode))


@dataclass(frozen=True, init=False)
class StageOut:
    """A file that a job delivers after it ran.

    :param source: where the job leaves it; a relative path lies under the job's directory.
    :param target: where it is to lie.
    :param flags: when it is delivered.
    :param mode: how it gets there.
    """

    source: Path
    target: URI
    flags: StageOutFlags
    mode: StagingMode

    def __init__(
        self,
        source: str | Path,
        target: URI | Path | str,
        flags: StageOutFlags = StageOutFlags.ALWAYS,
        mode: StagingMode = StagingMode.COPY,
    ) -> None:
        object.__setattr__(self, 'source', checked_path('StageOut.source', source))
        object.__setattr__(self, 'target', _location('StageOut.target', target))
        object.__setattr__(self, 'flags', instance_of(StageOutFlags)('StageOut.flags', flags))
        object.__setattr__(self, 'mode', instance_of(StagingMode)('StageOut.mode', mode))
