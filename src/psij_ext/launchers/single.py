"""One process, started by the job's script itself."""

from __future__ import annotations

from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.launchers.command import CommandLauncher


class SingleLauncher(CommandLauncher):
    """Starts the executable once, however many processes were asked for."""

    def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
        """Return nothing: the job's command is the launch command."""
        return []

    def keeps_process_tree(self, job: Job, *, scheduled: bool) -> bool:
        """Tell that it does."""
        return True
