"""Tests of executors: a conformance suite, a pytest plugin, and simulated schedulers.

The plugin is loaded with `pytest -p psij_ext.testing`; it has no entry point, because its options would collide with
those of psij-python's own plugin. The suite runs on any installed executor, on a login node too::

    pytest -p psij_ext.testing --pyargs psij_ext.testing.conformance --executors=slurm

An author of an executor puts both halves of it into a test file: `DialectConformance` needs no scheduler, but recorded
outputs of one, `ExecutorConformance` submits jobs. All but `psij_ext.testing.simulated` needs pytest, which
`pip install 'psij-ext[testing]'` brings along.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psij_ext.testing.dialect_conformance import DialectConformance
    from psij_ext.testing.execparams import ExecParams
    from psij_ext.testing.executor_conformance import ExecutorConformance
    from psij_ext.testing.schedulers import Scheduler

__all__ = ['DialectConformance', 'ExecParams', 'ExecutorConformance', 'Scheduler']

# What pytest loads along with this module; it is no import, so that the simulated schedulers can be had without pytest.
pytest_plugins = ('psij_ext.testing.plugin',)

_ROOMS = {
    'DialectConformance': 'dialect_conformance',
    'ExecParams': 'execparams',
    'ExecutorConformance': 'executor_conformance',
    'Scheduler': 'schedulers',
}


def __getattr__(name: str) -> Any:
    if name not in _ROOMS:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    try:
        room = importlib.import_module(f'{__name__}.{_ROOMS[name]}')
    except ModuleNotFoundError as error:
        if error.name != 'pytest':
            raise
        raise ImportError(f"{__name__}.{name} needs pytest: pip install 'psij-ext[testing]'") from error
    return getattr(room, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
