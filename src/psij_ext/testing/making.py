"""Makes executors as tests want them."""

from __future__ import annotations

import inspect
from typing import Any

from psij_ext.core.interfaces import JobExecutor, JobExecutorConfig
from psij_ext.plugins import executors


def make_executor(name: str, **settings: Any) -> JobExecutor:
    """Make an executor with a configuration of its own kind.

    :param name: the executor's name.
    :param settings: fields of its configuration; those that it does not have are left out.
    """
    loaded, _ = executors.get(name)
    config_class = getattr(loaded, 'config_class', JobExecutorConfig)
    known = inspect.signature(config_class).parameters
    config = config_class(**{field: value for field, value in settings.items() if field in known})
    return JobExecutor.get_instance(name, config=config)
