"""Submit, follow and cancel jobs on any batch scheduler, through the interface that PSI/J names."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from psij_ext.core.attributes import JobAttributes
    from psij_ext.core.exit_info import ExitInfo, ExitReason, ResourceUsage
    from psij_ext.core.interfaces import JobExecutor, JobExecutorConfig, Launcher
    from psij_ext.core.job import Job, JobStatusCallback
    from psij_ext.core.resources import ResourceSpec, ResourceSpecV1
    from psij_ext.core.serialization import JSONSerializer, Serializer
    from psij_ext.core.spec import JobSpec
    from psij_ext.core.staging import URI, StageIn, StageOut, StageOutFlags, StagingMode
    from psij_ext.core.state import JobState
    from psij_ext.core.status import JobStatus
    from psij_ext.core.waiting import DoneAndNotDone, ReturnWhen, as_completed, wait
    from psij_ext.exceptions import (
        ControlUncertain,
        InvalidJobException,
        NotAllCancelled,
        NotAllSubmitted,
        PsijExtError,
        SubmitException,
        SubmitUncertain,
    )
    from psij_ext.plugins import Descriptor

__version__ = '0.1.0'

__all__ = [
    'URI',
    'ControlUncertain',
    'Descriptor',
    'DoneAndNotDone',
    'ExitInfo',
    'ExitReason',
    'InvalidJobException',
    'JSONSerializer',
    'Job',
    'JobAttributes',
    'JobExecutor',
    'JobExecutorConfig',
    'JobSpec',
    'JobState',
    'JobStatus',
    'JobStatusCallback',
    'Launcher',
    'NotAllCancelled',
    'NotAllSubmitted',
    'PsijExtError',
    'ResourceSpec',
    'ResourceSpecV1',
    'ResourceUsage',
    'ReturnWhen',
    'Serializer',
    'StageIn',
    'StageOut',
    'StageOutFlags',
    'StagingMode',
    'SubmitException',
    'SubmitUncertain',
    'as_completed',
    'wait',
]

# Each room is imported when a name of it is first used: programs that only need a part start faster.
_ROOMS = {
    'psij_ext.core.attributes': ('JobAttributes',),
    'psij_ext.core.exit_info': ('ExitInfo', 'ExitReason', 'ResourceUsage'),
    'psij_ext.core.interfaces': ('JobExecutor', 'JobExecutorConfig', 'Launcher'),
    'psij_ext.core.job': ('Job', 'JobStatusCallback'),
    'psij_ext.core.resources': ('ResourceSpec', 'ResourceSpecV1'),
    'psij_ext.core.serialization': ('JSONSerializer', 'Serializer'),
    'psij_ext.core.spec': ('JobSpec',),
    'psij_ext.core.staging': ('URI', 'StageIn', 'StageOut', 'StageOutFlags', 'StagingMode'),
    'psij_ext.core.state': ('JobState',),
    'psij_ext.core.status': ('JobStatus',),
    'psij_ext.core.waiting': ('DoneAndNotDone', 'ReturnWhen', 'as_completed', 'wait'),
    'psij_ext.exceptions': (
        'ControlUncertain', 'InvalidJobException', 'NotAllCancelled', 'NotAllSubmitted', 'PsijExtError',
        'SubmitException', 'SubmitUncertain'),
    'psij_ext.plugins': ('Descriptor',),
}


def __getattr__(name: str) -> Any:
    for room, names in _ROOMS.items():
        if name in names:
            value = getattr(importlib.import_module(room), name)
            globals()[name] = value
            return value
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
