"""The configuration that the executors of all batch schedulers share."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Dict

from psij_ext.core import checks
from psij_ext.core.checks import Field
from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.executors.configuration import Seconds
from psij_ext.runtime.listener import AUTOMATIC


def _address(label: str, value: object) -> str | None:
    text = checks.optional(checks.nonempty_text)(label, value)
    if text is not None and text != AUTOMATIC:
        try:
            ipaddress.ip_address(text)
        except ValueError as error:
            raise ValueError(f'{label}: {text!r} is neither {AUTOMATIC!r} nor an address such as 10.0.0.1') from error
    return text


def _command_paths(label: str, value: object) -> Dict[str, str]:
    given = {} if value is None else value
    if not isinstance(given, Mapping):
        raise TypeError(f'{label}: expected a mapping, got {value!r}')
    paths = {checks.nonempty_text(label, name): str(checks.path(label, path)) for name, path in given.items()}
    for name, path in paths.items():
        if not path.startswith('/'):
            raise ValueError(f'{label}: {name}: the path of a command is absolute, not {path!r}')
    return paths


class BatchSchedulerExecutorConfig(JobExecutorConfig):
    """How an executor of a batch scheduler works. Spans of time are seconds or timedeltas.

    :param launcher_log_file: a file to which job scripts write what they do.
    :param work_directory: where the executor keeps the folders of its jobs; compute nodes must see it.
    :param queue_polling_interval: the time between two queries of the queue.
    :param initial_queue_polling_delay: the time from a submission to the first query.
    :param queue_polling_error_threshold: how many failed queries in a row are passed over before a warning is
        logged.
    :param keep_files: whether the script of a job that succeeded is kept.
    :param command_timeout: after how long a command of the scheduler that gives no answer is killed.
    :param submit_timeout: the same for the submit command.
    :param absence_grace: how long a job must be found nowhere before it is called lost.
    :param session: a name for all that a program does, run after run, by which it finds its jobs again.
    :param submit_retry_time: for how long a submission that was refused for a reason that may pass is tried again.
    :param max_submit_rate: how many jobs are submitted in a second, in the long run; None for what suits the scheduler.
    :param hint_address: the address of this host, as numbers, at which jobs tell it that they have begun or ended.
        `auto` stands for the loopback where the work directory is on this host's own disk, and else for the private
        addresses of its interfaces. Jobs that reach none of them, and all jobs where it is None, leave their news in
        the work directory alone.
    :param command_paths: the files of the scheduler's commands, by their names, such as
        ``{'sbatch': '/opt/slurm/bin/sbatch'}``; those that are not among them are looked for on PATH.
    :param array_throttle: how many jobs may run at once of those that `submit_many` makes an array of; None for as many
        as there is room for.
    """

    queue_polling_interval: Field[Seconds, float] = Field(checks.seconds, 'Seconds between two queries.')
    initial_queue_polling_delay: Field[Seconds, float] = Field(checks.seconds, 'Seconds to the first query.')
    queue_polling_error_threshold: Field[int, int] = Field(checks.natural, 'Failed queries to pass over.')
    keep_files: Field[bool, bool] = Field(checks.flag, 'Whether the script of a job that succeeded is kept.')
    command_timeout: Field[Seconds, float] = Field(checks.seconds, 'Seconds after which a command is killed.')
    submit_timeout: Field[Seconds, float] = Field(checks.seconds, 'Seconds after which submitting is killed.')
    absence_grace: Field[Seconds, float] = Field(checks.seconds, 'Seconds of absence that make a job lost.')
    max_submit_rate: Field[float | None, float | None] = Field(
        checks.optional(checks.positive_number), 'Submissions a second.')
    hint_address: Field[str | None, str | None] = Field(_address, 'Where jobs tell of their starts and ends.')
    command_paths: Field[Mapping[str, str | Path] | None, Dict[str, str]] = Field(
        _command_paths, 'The files of the scheduler\'s commands.')
    array_throttle: Field[int | None, int | None] = Field(
        checks.optional(checks.positive), 'Jobs of an array that run at once.')

    def __init__(
        self,
        launcher_log_file: str | Path | None = None,
        work_directory: str | Path | None = None,
        queue_polling_interval: Seconds = 30,
        initial_queue_polling_delay: Seconds = 2,
        queue_polling_error_threshold: int = 2,
        keep_files: bool = False,
        command_timeout: Seconds = 60,
        submit_timeout: Seconds = 60,
        absence_grace: Seconds = 120,
        session: str | None = None,
        submit_retry_time: Seconds = 60,
        max_submit_rate: float | None = None,
        hint_address: str | None = AUTOMATIC,
        command_paths: Mapping[str, str | Path] | None = None,
        array_throttle: int | None = None,
    ) -> None:
        super().__init__(launcher_log_file, work_directory, session, submit_retry_time)
        self.queue_polling_interval = queue_polling_interval
        self.initial_queue_polling_delay = initial_queue_polling_delay
        self.queue_polling_error_threshold = queue_polling_error_threshold
        self.keep_files = keep_files
        self.command_timeout = command_timeout
        self.submit_timeout = submit_timeout
        self.absence_grace = absence_grace
        self.max_submit_rate = max_submit_rate
        self.hint_address = hint_address
        self.command_paths = command_paths
        self.array_throttle = array_throttle
