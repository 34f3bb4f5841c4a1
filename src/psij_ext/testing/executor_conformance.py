"""The conformance suite as a class, for the test files of those who write executors."""

from __future__ import annotations

from typing import ClassVar

import pytest

from psij_ext.testing.conformance import (
    test_arrays,
    test_cancelling,
    test_controlling,
    test_depending,
    test_environment,
    test_files,
    test_following,
    test_refusing,
    test_resources,
    test_running,
    test_staging,
)

_MODULES = (
    test_running, test_files, test_environment, test_staging, test_resources, test_cancelling, test_controlling,
    test_following, test_depending, test_arrays, test_refusing)


class ExecutorConformance:
    """Whether an executor does what every executor does, on a scheduler that is there.

    An author of an executor writes a subclass, whose name begins with `Test`, into a test file, and has pytest load our
    plugin, by `addopts = "-p psij_ext.testing"` in its configuration::

        class TestExecutor(ExecutorConformance):
            executor = 'dirq'

    The options of `psij_ext.testing`, such as `--queue-name`, hold for it. How its scheduler is reached or started says
    a `pytest_psij_ext_scheduler` in a `conftest.py` (see `psij_ext.testing.hooks`). A test that a scheduler
    cannot pass, for a reason that its manual gives, is left out by `test_umask = None  # dirq(1): ...`.

    Class attributes:

    * `executor`: the name under which it is installed; with a launcher, `dirq:mpirun`; several with commas between
      them. Where there is none, the tests run on those of `--executors`.
    """

    executor: ClassVar[str] = ''

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """Say that the plugin is missing, before each test fails for the lack of it."""
        if not metafunc.config.pluginmanager.has_plugin('psij_ext.testing.plugin'):
            pytest.fail(f'{cls.__name__} needs a plugin of pytest: addopts = "-p psij_ext.testing"', pytrace=False)


for _module in _MODULES:
    for _name, _test in vars(_module).items():
        if _name.startswith('test_'):
            setattr(ExecutorConformance, _name, staticmethod(_test))
