"""The tests have a queue of their own. A scheduler that your users share needs no such file."""

from __future__ import annotations

import tempfile

import pytest

from psij_ext.testing import Scheduler


def pytest_psij_ext_scheduler(executor_name: str, config: pytest.Config) -> Scheduler | None:
    if executor_name != 'dirq':
        return None
    home = tempfile.TemporaryDirectory(prefix='dirq-')
    config.add_cleanup(home.cleanup)
    return Scheduler({'DIRQ_HOME': home.name}, queue_name='short')
