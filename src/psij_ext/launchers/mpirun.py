"""Processes of an MPI program, started by `mpirun`."""

from __future__ import annotations

from psij_ext.core.resources import ResourceSpecV1
from psij_ext.launchers.command import CommandLauncher


class MPILauncher(CommandLauncher):
    """Starts the processes through the `mpirun` that the job finds on its PATH.

    `mpirun` finds the nodes of the job through the scheduler; `-n` is the option for the number of processes
    that Open MPI, MPICH and Intel MPI share (MPI standard, section "Portable MPI Process Startup").
    """

    def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
        """Return `mpirun` with the number of processes."""
        return ['mpirun', '-n', str(resources.computed_process_count)]
