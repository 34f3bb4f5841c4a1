"""What a job needs of a machine."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Optional

from psij_ext.core.checks import Checked, Field, Known, flag, natural, optional, positive
from psij_ext.exceptions import InvalidJobException

Count = Field[Optional[int], Optional[int]]


class ResourceSpec(Checked, ABC):
    """What a job needs of a machine, in one of several versions of the vocabulary.

    A subclass can be made without arguments, and its fields are `psij_ext.core.checks.Field`.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def version(self) -> int:
        """The version of the vocabulary."""

    @staticmethod
    def get_instance(version: int) -> ResourceSpec:
        """Return an empty description of resources.

        :param version: the version of the vocabulary.
        :raises ValueError: if there is no such version.
        """
        for candidate in _concrete_subclasses():
            empty = candidate()
            if empty.version == version:
                return empty
        raise ValueError(f'There is no version {version!r} of ResourceSpec')


def _concrete_subclasses() -> Iterator[type[ResourceSpec]]:
    pending = ResourceSpec.__subclasses__()
    while pending:
        subclass = pending.pop(0)
        pending.extend(subclass.__subclasses__())
        if not inspect.isabstract(subclass):
            yield subclass


class ResourceSpecV1(ResourceSpec):
    """What a job needs of a machine, counted in nodes, processes, cores and GPUs.

    Of nodes, processes and processes for each node any two determine the third, and
    `process_count == node_count * processes_per_node` holds.

    :param node_count: how many nodes.
    :param process_count: how many processes in all.
    :param processes_per_node: how many processes on each node.
    :param cpu_cores_per_process: how many CPU cores for each process.
    :param gpu_cores_per_process: how many GPUs for each process.
    :param exclusive_node_use: whether no other job may share the nodes.
    :param memory: bytes for the whole job, on all its nodes together.
    :raises InvalidJobException: if the three counts contradict one another.
    """

    __slots__ = (
        '_cpu_cores_per_process',
        '_exclusive_node_use',
        '_gpu_cores_per_process',
        '_memory',
        '_node_count',
        '_process_count',
        '_processes_per_node',
    )

    node_count: Count = Field(optional(positive), 'How many nodes.')
    process_count: Count = Field(optional(positive), 'How many processes in all.')
    processes_per_node: Count = Field(optional(positive), 'How many processes on each node.')
    cpu_cores_per_process: Count = Field(optional(positive), 'How many CPU cores for each process.')
    gpu_cores_per_process: Count = Field(optional(natural), 'How many GPUs for each process.')
    exclusive_node_use: Field[bool, bool] = Field(
        flag, 'Whether no other job may share the nodes.', default=False
    )
    memory: Count = Field(optional(positive), 'Bytes for the whole job, on all its nodes together.')

    def __init__(
        self,
        node_count: int | None = None,
        process_count: int | None = None,
        processes_per_node: int | None = None,
        cpu_cores_per_process: int | None = None,
        gpu_cores_per_process: int | None = None,
        exclusive_node_use: bool = False,
        memory: int | None = None,
    ) -> None:
        self.node_count = node_count
        self.process_count = process_count
        self.processes_per_node = processes_per_node
        self.cpu_cores_per_process = cpu_cores_per_process
        self.gpu_cores_per_process = gpu_cores_per_process
        self.exclusive_node_use = exclusive_node_use
        self.memory = memory
        self._layout()

    @property
    def version(self) -> int:
        """The version of the vocabulary: 1."""
        return 1

    @property
    def computed_node_count(self) -> int:
        """How many nodes, computed from the other counts where it was not given.

        :raises InvalidJobException: if the counts contradict one another.
        """
        return self._layout()[0]

    @property
    def computed_process_count(self) -> int:
        """How many processes in all, computed from the other counts where it was not given.

        :raises InvalidJobException: if the counts contradict one another.
        """
        return self._layout()[1]

    @property
    def computed_processes_per_node(self) -> int:
        """How many processes on each node, computed from the other counts where it was not given.

        :raises InvalidJobException: if the counts contradict one another.
        """
        return self._layout()[2]

    @property
    def memory_kb(self) -> int | None:
        """The memory of the whole job in KiB, rounded up; None if none was asked for."""
        return None if self.memory is None else -(-self.memory // 1024)

    def snapshot(self, known: Known | None = None) -> ResourceSpecV1:
        """Return an independent copy, checked again.

        :param known: as in `Checked.snapshot`.
        :raises InvalidJobException: if the counts contradict one another.
        """
        taken = super().snapshot(known)
        taken._layout()
        return taken

    def _layout(self) -> tuple[int, int, int]:
        nodes, processes, per_node = self.node_count, self.process_count, self.processes_per_node
        if nodes is None:
            nodes = 1 if processes is None or per_node is None else processes // per_node
        if per_node is None:
            per_node = 1 if processes is None else processes // nodes
        if processes is None:
            processes = nodes * per_node
        if processes != nodes * per_node:
            given = ', '.join(
                f'{name}={value}'
                for name, value in (
                    ('node_count', self.node_count),
                    ('process_count', self.process_count),
                    ('processes_per_node', self.processes_per_node),
                )
                if value is not None
            )
            raise InvalidJobException(
                f'ResourceSpecV1: {given} do not fit: '
                'process_count must be node_count times processes_per_node'
            )
        return nodes, processes, per_node
