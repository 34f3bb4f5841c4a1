"""The common base of our launchers: a command in front of the job's own."""

from __future__ import annotations

from abc import abstractmethod

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.exceptions import InvalidJobException
from psij_ext.runtime.script import known_resources


class CommandLauncher(Launcher):
    """Starts a job's processes by a command that takes the job's own command as its last arguments."""

    @abstractmethod
    def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
        """Return what stands before the job's own command.

        :param resources: what the job asked for; one process where it asked for nothing.
        """

    def get_launch_command(self, job: Job) -> list[str]:
        """Return the command, as a list of arguments, that starts the job's processes.

        :raises InvalidJobException: if the job has no executable, or resources of an unknown version.
        """
        spec = job.spec
        if spec is None or spec.executable is None:
            raise InvalidJobException('JobSpec.executable: is missing')
        prefix, command = self.get_prefix(known_resources(spec.resources)), [spec.executable, *(spec.arguments or ())]
        if prefix and (command[0].startswith('-') or ':' in command):
            # The one looks like an option; the other divides programs for srun (srun(1), "HETEROGENEOUS JOBS") and
            # mpirun (mpirun(1)).
            command = ['/bin/bash', '-pc', 'exec -- "${@#x}"', 'psij-words', *(f'x{word}' for word in command)]
        return [*prefix, *command]
