"""What the configurations of our executors share."""

from __future__ import annotations

from datetime import timedelta
from typing import TypeVar, Union

from psij_ext.core.interfaces import JobExecutorConfig

Seconds = Union[int, float, timedelta]
Config = TypeVar('Config', bound=JobExecutorConfig)


def own_config(kind: type[Config], config: JobExecutorConfig | None) -> Config:
    """Take a configuration of an executor's own class, or make one of a more general one.

    :raises TypeError: if it is the configuration of some other kind of executor.
    """
    if isinstance(config, kind):
        return config
    own = kind()
    if config is None:
        return own
    if not issubclass(kind, type(config)):
        raise TypeError(f'config: expected {kind.__name__}, got {config!r}')
    for name in config.fields:
        setattr(own, name, getattr(config, name))
    return own
