"""Says whose fault it is where the code of a plugin fails."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Callable

from psij_ext.exceptions import PsijExtError


@contextmanager
def blaming(plugin: object, method: str, kind: Callable[[str], PsijExtError]) -> Iterator[None]:
    """Run a method of a plugin; what it raises that is no error of ours becomes one that names plugin, file and cause.

    :param plugin: the plugin.
    :param method: the name of its method.
    :param kind: makes the error.
    """
    try:
        yield
    except PsijExtError:
        raise
    except Exception as error:
        raise kind(f'{described(plugin)}: {method} raised {type(error).__name__}: {error}') from error


def described(plugin: object) -> str:
    """Name a plugin by its class and file."""
    cls = type(plugin)
    try:
        place = inspect.getfile(cls)
    except (OSError, TypeError):
        place = 'no file'
    return f'{cls.__module__}.{cls.__qualname__} in {place}'
