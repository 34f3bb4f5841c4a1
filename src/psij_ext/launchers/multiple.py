"""Several copies of the executable on the first node."""

from __future__ import annotations

from pathlib import Path

from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.installation import data_folder
from psij_ext.launchers.command import CommandLauncher
from psij_ext.launchers.script_based_launcher import LauncherScript, is_failure
from psij_ext.runtime.script import known_resources


class MultipleLauncher(CommandLauncher):
    """Starts as many copies as processes were asked for, all on the job's first node, and waits for all.

    The exit code is that of the first copy, by number, that failed.

    :param script_path: a script that starts the processes in its own way, as subclasses bring it that were written for
        PSI/J; it is called as one of a `ScriptBasedLauncher` is, with the number of processes in addition.
    :param config: the configuration of the executor.
    """

    def __init__(self, script_path: str | Path | None = None, config: JobExecutorConfig | None = None) -> None:
        super().__init__(config)
        self._script = None if script_path is None else LauncherScript(script_path, self.config)

    @property
    def opens_streams(self) -> bool:
        """Tell that it does where the script is another one."""
        return self._script is not None

    def get_additional_args(self, job: Job) -> list[str]:
        """Return what another script is given before the job's command: the number of processes."""
        resources = known_resources(None if job.spec is None else job.spec.resources)
        return [str(resources.computed_process_count)]

    def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
        """Return the shell that starts the copies; it carries its script along: no node must find a file."""
        script = (data_folder('templates') / 'launchers' / 'multiple.sh').read_text(encoding='utf-8')
        return ['/bin/bash', '-c', script, 'psij-multiple', str(resources.computed_process_count)]

    def get_launch_command(self, job: Job) -> list[str]:
        """Return the command, as a list of arguments, that starts the job's processes.

        :raises InvalidJobException: if the job has no executable, or resources of an unknown version.
        """
        if self._script is None:
            return super().get_launch_command(job)
        return self._script.command(job, self.get_additional_args(job))

    def is_launcher_failure(self, output: str) -> bool:
        """Tell from what another script printed whether the launcher itself failed, not the program."""
        return self._script is not None and is_failure(output)

    def keeps_process_tree(self, job: Job, *, scheduled: bool) -> bool:
        """Tell that it does, where the script is its own."""
        return self._script is None
