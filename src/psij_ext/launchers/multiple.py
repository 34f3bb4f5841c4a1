"""Several copies of the executable on the first node."""

from __future__ import annotations

from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.installation import data_folder
from psij_ext.launchers.command import CommandLauncher


class MultipleLauncher(CommandLauncher):
    """Starts as many copies as processes were asked for, all on the job's first node, and waits for all.

    The exit code is that of the first copy, by number, that failed.
    """

    def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
        """Return the shell that starts the copies; it carries its script along: no node must find a file."""
        script = (data_folder('templates') / 'launchers' / 'multiple.sh').read_text(encoding='utf-8')
        return ['/bin/bash', '-c', script, 'psij-multiple', str(resources.computed_process_count)]

    def keeps_process_tree(self, job: Job, *, scheduled: bool) -> bool:
        """Tell that it does."""
        return True
