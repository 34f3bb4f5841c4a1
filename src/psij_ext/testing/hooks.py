"""What a conftest.py may add to the plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from psij_ext.testing.schedulers import Scheduler


@pytest.hookspec(firstresult=True)
def pytest_psij_ext_scheduler(executor_name: str, config: pytest.Config) -> Scheduler | None:
    """Say how the scheduler of an executor is reached, and start one if you like.

    It is called once for each executor that tests are about to use. Without an implementation, or where it returns
    None, the scheduler is the one that the user's environment leads to. What was started is stopped by
    `config.add_cleanup`.
    """
