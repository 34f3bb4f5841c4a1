"""A file system that fails: system calls on what lies below a folder give errors while a fault is on."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

import pytest

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_CHANGES = ('mkdir', 'link', 'symlink', 'rename', 'replace')
_REMOVES = ('unlink', 'rmdir')
_LOOKS = ('readlink', 'listdir', 'scandir', 'stat', 'lstat')
# How file systems fail, and in what: a full one still reads and removes; one that lets nobody in does so at once; of one that is
# broken, or whose server lost what was open, nothing can be had.
FAULTS = {
    'ENOSPC': (errno.ENOSPC, ('open to write', 'write', *_CHANGES)),
    'ENOSPC on write': (errno.ENOSPC, ('write',)),
    'EACCES': (errno.EACCES, ('open to write', 'open to read', *_CHANGES, *_REMOVES, *_LOOKS)),
    'EROFS': (errno.EROFS, ('open to write', *_CHANGES, *_REMOVES)),
    'EIO': (errno.EIO, ('open to write', 'open to read', 'read', 'write', *_CHANGES, *_REMOVES, *_LOOKS)),
    'EIO on read': (errno.EIO, ('read', 'readlink')),
    'ESTALE': (errno.ESTALE, ('open to write', 'open to read', 'read', 'write', *_CHANGES, *_REMOVES, *_LOOKS)),
}


class FaultyFiles:
    """The seam: system calls of this process look here first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._faults: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._readlink = os.readlink
        self.failed: set[str] = set()
        for name in ('open', 'read', 'write', *_CHANGES, *_REMOVES, *_LOOKS):
            monkeypatch.setattr(os, name, self._guarded(name, getattr(os, name)))

    @contextlib.contextmanager
    def on(self, folder: Path, fault: str) -> Iterator[None]:
        """Let all that lies below a folder fail."""
        self._faults[f'{folder}/'] = FAULTS[fault]
        try:
            yield
        finally:
            del self._faults[f'{folder}/']

    def _guarded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*arguments: Any, **options: Any) -> Any:
            if self._faults:
                kind = name
                if name == 'open':
                    kind = 'open to write' if arguments[1] & _WRITING else 'open to read'
                for argument in arguments[:2]:
                    self._fail(kind, argument)
            return call(*arguments, **options)

        return guarded

    def _fail(self, kind: str, argument: object) -> None:
        if isinstance(argument, int) and kind in ('read', 'write'):
            with contextlib.suppress(OSError):
                argument = self._readlink(f'/proc/self/fd/{argument}')
        if not isinstance(argument, (str, bytes, os.PathLike)):
            return
        path = os.fsdecode(argument)
        for folder, (number, kinds) in list(self._faults.items()):
            if kind in kinds and f'{path}/'.startswith(folder):
                self.failed.add(kind)
                raise OSError(number, os.strerror(number), path)
