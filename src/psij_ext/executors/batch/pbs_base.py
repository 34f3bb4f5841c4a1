"""An executor of PBS that writes its submit scripts by a generator of the caller's, as plugins for PSI/J extend it."""

from __future__ import annotations

from typing import IO

from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.executors.batch.pbspro import PBSProJobExecutor
from psij_ext.executors.batch.script_generator import SubmitScriptGenerator


class GenericPBSJobExecutor(PBSProJobExecutor):
    """Runs jobs on PBS with scripts of another generator.

    :param generator: writes the scripts.
    :param url: which server to talk to.
    :param config: how to work; the defaults if None.
    """

    def __init__(
        self, generator: SubmitScriptGenerator, url: str | None = None, config: JobExecutorConfig | None = None
    ) -> None:
        super().__init__(url=url, config=config)
        self.generator = generator

    def generate_submit_script(self, job: Job, context: dict[str, object], submit_file: IO[str]) -> None:
        """Have the generator write the script."""
        self.generator.generate_submit_script(job, context, submit_file)
