"""Executors of batch schedulers: one common base, and a dialect for each scheduler."""

from psij_ext.executors.batch.base import BatchSchedulerExecutor
from psij_ext.executors.batch.config import BatchSchedulerExecutorConfig

__all__ = ['BatchSchedulerExecutor', 'BatchSchedulerExecutorConfig']
