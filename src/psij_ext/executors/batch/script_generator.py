"""Generators of submit scripts, as plugins set them up that were written for PSI/J."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Callable

from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.runtime.templates import quote, render_foreign


def bash_escape(o: object) -> str:
    """Write a value as one word of a bash script."""
    return quote(str(o))


class SubmitScriptGenerator(ABC):
    """Writes submit scripts.

    :param config: the configuration of the executor.
    """

    def __init__(self, config: JobExecutorConfig | None) -> None:
        self.config = config

    @abstractmethod
    def generate_submit_script(self, job: Job, context: Mapping[str, object], out: IO[str]) -> None:
        """Write the submit script of a job.

        :param job: the job.
        :param context: what the script may use of it.
        :param out: where to write.
        """


class TemplatedScriptGenerator(SubmitScriptGenerator):
    """Writes submit scripts from a mustache template that brings all of a script.

    The template may use what `psij_ext.executors.batch.foreign` describes. A key that is not there gives an empty text.

    :param config: the configuration of the executor.
    :param template_path: the template.
    :param escape: writes a value as a word of the script.
    :raises OSError: if the template cannot be read.
    """

    def __init__(
        self, config: JobExecutorConfig | None, template_path: Path, escape: Callable[[object], str] = bash_escape
    ) -> None:
        super().__init__(config)
        self.template_path = Path(template_path)
        self.escape = escape
        self._template = self.template_path.read_text(encoding='utf-8')

    def generate_submit_script(self, job: Job, context: Mapping[str, object], out: IO[str]) -> None:
        """Fill in the template.

        :raises InvalidJobException: if the template has a syntax error, or cannot be filled in.
        """
        out.write(render_foreign(self._template, self.template_path, context, self.escape))
