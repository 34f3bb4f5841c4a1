"""Processes of an MPI program, started by `mpirun`."""

from __future__ import annotations

from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.exceptions import InvalidJobException
from psij_ext.launchers.command import CommandLauncher
from psij_ext.runtime.limits import LONGEST_ARGUMENT, size_of
from psij_ext.runtime.script import known_resources

# The mpirun of Open MPI hands on a program's arguments in a variable of this name, too, with blanks between them; the
# program was seen not to start where that is too long (Open MPI 4.1, "Argument list too long").
_ALL_WORDS = 'OMPI_ARGV='


class MPILauncher(CommandLauncher):
    """Starts the processes through the `mpirun` that the job finds on its PATH.

    `mpirun` finds the nodes of the job through the scheduler; `-n` is the option for the number of processes
    that Open MPI, MPICH and Intel MPI share (MPI standard, section "Portable MPI Process Startup").
    """

    def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
        """Return `mpirun` with the number of processes."""
        return ['mpirun', '-n', str(resources.computed_process_count)]

    def get_launch_command(self, job: Job) -> list[str]:
        """Return the command, as a list of arguments, that starts the job's processes.

        :raises InvalidJobException: if the job has no executable, resources of an unknown version, or more arguments
            and environment than `mpirun` can hand on.
        """
        command = super().get_launch_command(job)
        handed_on = command[len(self.get_prefix(ResourceSpecV1())) + 1:]
        size, limit = size_of(' '.join(handed_on)), LONGEST_ARGUMENT - len(_ALL_WORDS)
        if size > limit:
            raise InvalidJobException(
                f'JobSpec.arguments and JobSpec.environment: {size} bytes together; mpirun (that of Open MPI) hands on '
                f'at most {limit}. Put some of it into a file, or use another launcher.')
        return command

    def keeps_process_tree(self, job: Job, *, scheduled: bool) -> bool:
        """Tell that it does where there is one machine and no scheduler.

        In a job of Slurm the `mpirun` of MPICH, from which that of Intel MPI comes, starts its processes through `srun`
        on the first node too (seen with MPICH 4.0.2). That of Open MPI does not; which one a job finds, nobody knows
        before.
        """
        spec = job.spec
        resources = known_resources(None if spec is None else spec.resources)
        return not scheduled and resources.computed_node_count == 1
