"""Tests of executors: a pytest plugin, a conformance suite, and simulated schedulers.

The plugin is loaded with `pytest -p psij_ext.testing`; it has no entry point, because its options would collide with
those of psij-python's own plugin. The suite runs on any installed executor, on a login node too::

    pytest -p psij_ext.testing --pyargs psij_ext.testing.conformance --executors=slurm
"""

from psij_ext.testing.execparams import ExecParams
from psij_ext.testing.plugin import (
    execparams,
    pytest_addhooks,
    pytest_addoption,
    pytest_collection_finish,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_generate_tests,
)
from psij_ext.testing.schedulers import Scheduler

__all__ = [
    'ExecParams',
    'Scheduler',
    'execparams',
    'pytest_addhooks',
    'pytest_addoption',
    'pytest_collection_finish',
    'pytest_collection_modifyitems',
    'pytest_configure',
    'pytest_generate_tests',
]
