"""The dialect of a scheduler that does not exist, and a runner that answers for it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Union

from psij_ext.core.job import Job
from psij_ext.core.observation import Site
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import (
    CommandError,
    ParseError,
    SubmitException,
)
from psij_ext.executors.batch import BatchSchedulerExecutor
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.jobfolder import JobFolder

Answer = Union[CommandResult, BaseException, Callable[[Sequence[str], Path], CommandResult]]


class FakeRunner:
    """Answers each kind of command in its own way; the first word of a command is its kind."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {
            'submit': result(b'job 1\n'), 'status': result(b'1 running\n'), 'cancel': result(), 'site': result(b'2.5\n')}
        self.runs: list[tuple[list[str], float, Path | None, dict[str, str]]] = []
        self.once_started: Callable[[], None] | None = None

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        self.runs.append((list(argv), timeout, cwd, dict(env or {})))
        self.once_started = once_started
        answer = self.answers[argv[0]]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, CommandResult) else answer(argv, cwd or Path())

    def of(self, kind: str) -> list[tuple[list[str], float, Path | None, dict[str, str]]]:
        return [run for run in self.runs if run[0][0] == kind]


def result(stdout: bytes = b'', exit_code: int = 0, stderr: bytes = b'') -> CommandResult:
    return CommandResult(('some', 'command'), exit_code, stdout, stderr)


class SimpleExecutor(BatchSchedulerExecutor):
    """All that a dialect needs: the methods of PSI/J's plugin interface, and a template."""

    template = Path(__file__).parent / 'simple.mustache'
    custom_attribute_prefixes = ('simple', 'smp')
    label_options = {'name': '-N', 'queue_name': '--queue'}
    native_variables = ('SIMPLE_',)
    kept_variables = ('SIMPLE_HOME',)
    command_variables = {'SIMPLE_LONG': '1'}
    environment_defaults = {'queue_name': 'SIMPLE_QUEUE'}

    def get_submit_command(self, job: Job, submit_file_path: Path) -> list[str]:
        return ['submit', str(submit_file_path)]

    def is_transient(self, result: CommandResult) -> bool:
        return 'busy' in result.error_text

    def job_id_from_submit_output(self, out: str) -> str:
        word, _, native_id = out.strip().partition(' ')
        if word != 'job' or not native_id:
            raise ParseError(f'No id in {out!r}')
        return native_id

    def get_status_command(self, native_ids: Sequence[str]) -> list[str]:
        return ['status', *native_ids]

    def parse_status_output(self, exit_code: int, out: str) -> dict[str, JobStatus]:
        if exit_code != 0:
            raise ParseError(out)
        states = {'waiting': JobState.QUEUED, 'running': JobState.ACTIVE, 'done': JobState.COMPLETED, 'failed': JobState.FAILED}
        return {native_id: JobStatus(states[word]) for native_id, word in (line.split() for line in out.splitlines())}

    def get_cancel_command(self, native_id: str) -> list[str]:
        return ['cancel', native_id]

    def process_cancel_command_output(self, exit_code: int, out: str) -> None:
        if 'over' not in out:
            raise SubmitException(out, exit_code=exit_code)

    def get_site_command(self) -> list[str]:
        return ['site']

    def parse_site(self, result: CommandResult) -> Site:
        if result.exit_code != 0:
            raise CommandError('no site', argv=result.argv)
        return Site('simple', tuple(int(part) for part in result.text.strip().split('.')))


class ArrayExecutor(SimpleExecutor):
    """Its scheduler knows arrays: the elements of `7` are `7_0`, `7_1`, ..., ten at most."""

    index_pattern = '%i'

    def get_array_option(self, count: int, throttle: int | None = None) -> list[str]:
        return [f'--array={count}' if throttle is None else f'--array={count}/{throttle}']

    def most_elements(self) -> int:
        return 10


class TellingExecutor(SimpleExecutor):
    """Its scheduler tells from which folders all jobs were submitted: a line for each, an id and a path."""

    def get_origins_command(self, native_ids: Sequence[str] = ()) -> list[str] | None:
        return None if native_ids else ['origins']

    def parse_origins(self, result: CommandResult) -> Mapping[str, str]:
        return dict(line.split(' ', 1) for line in result.text.splitlines())  # type: ignore[misc]


def folder_of(executor: SimpleExecutor, job: Job) -> JobFolder:
    return JobFolder(executor.work_directory / job.id)


def claims(executor: SimpleExecutor, job: Job) -> list[str]:
    return [os.readlink(path) for path in folder_of(executor, job).path.glob('claim.*')]


def claim(native_id: str) -> Callable[[Sequence[str], Path], None]:
    """What a job's script does first: it reads the nonce out of itself."""

    def act(argv: Sequence[str], folder: Path) -> None:
        script = (folder / 'script').read_text()
        nonce = script.split('psij_claim=$psij_folder/claim.')[1].split()[0]
        (folder / f'claim.{nonce}').symlink_to(native_id)

    return act


def begins(argv: Sequence[str], folder: Path) -> CommandResult:
    """The job is taken, and its script begins at once."""
    claim('1')(argv, folder)
    return result(b'job 1\n')
