"""Processes of an MPI program, started by `mpirun`."""

from __future__ import annotations

from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.launchers.command import CommandLauncher
from psij_ext.runtime.script import known_resources


class MPILauncher(CommandLauncher):
    """Starts the processes through the `mpirun` that the job finds on its PATH.

    `mpirun` finds the nodes of the job through the scheduler; `-n` is the option for the number of processes
    that Open MPI, MPICH and Intel MPI share (MPI standard, section "Portable MPI Process Startup").
    """

    def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
        """Return `mpirun` with the number of processes."""
        return ['mpirun', '-n', str(resources.computed_process_count)]

    def keeps_process_tree(self, job: Job, *, scheduled: bool) -> bool:
        """Tell that it does where there is one machine and no scheduler.

        In a job of Slurm the `mpirun` of MPICH, from which that of Intel MPI comes, starts its processes through `srun`
        on the first node too (seen with MPICH 4.0.2). That of Open MPI does not; which one a job finds, nobody knows
        before.
        """
        spec = job.spec
        resources = known_resources(None if spec is None else spec.resources)
        return not scheduled and resources.computed_node_count == 1
