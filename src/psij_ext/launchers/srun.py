"""Processes started by Slurm's `srun`."""

from __future__ import annotations

from psij_ext.core.resources import ResourceSpecV1
from psij_ext.launchers.command import CommandLauncher


class SrunLauncher(CommandLauncher):
    """Starts the processes as a step of the Slurm job (srun(1)); their parents are daemons of Slurm."""

    def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
        """Return `srun` with the layout of the processes.

        The number of cores is said again: since Slurm 22.05 `srun` does not take it over from the job
        (srun(1), --cpus-per-task).
        """
        prefix = ['srun', '--export=ALL', f'--nodes={resources.computed_node_count}',
                  f'--ntasks={resources.computed_process_count}',
                  f'--ntasks-per-node={resources.computed_processes_per_node}']
        if resources.cpu_cores_per_process is not None:
            prefix.append(f'--cpus-per-task={resources.cpu_cores_per_process}')
        return prefix
