"""The base of every executor that talks to a batch scheduler through its commands.

A new scheduler is a subclass, its *dialect*: methods that build commands and read their output, and a
template with its directives. A dialect does no I/O: this base runs the commands, keeps the job folders, and
follows the jobs.
"""

from __future__ import annotations

import logging
from typing import Dict, List, Mapping, Sequence, Tuple

from psij_ext.core.control import FirstWarning
from psij_ext.core.job import Job
from psij_ext.core.waiting import wait
from psij_ext.exceptions import (
    CommandError,
    InvalidJobException,
    ParseError,
    SubmitException,
)
from psij_ext.executors.batch.control import SchedulerControl
from psij_ext.executors.batch.dialect import SchedulerDialect
from psij_ext.executors.batch.origins import JobOrigins
from psij_ext.executors.batch.source import SchedulerSource
from psij_ext.executors.batch.submission import SchedulerSubmission
from psij_ext.executors.control import Ownership
from psij_ext.runtime.answers import StatusSource
from psij_ext.runtime.command import (
    CommandResult,
    SubprocessRunner,
    command_error,
)
from psij_ext.runtime.evidence import Patience
from psij_ext.runtime.finding import job_folders, read_journals
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.schedule import Rhythm
from psij_ext.runtime.settlement import Origins

logger = logging.getLogger(__name__)

# For so many seconds it is waited, before another job is submitted, for the cause of an end whose record is there.
_LONGEST_CAUSE = 15.0


class BatchSchedulerExecutor(SchedulerSubmission):
    """Submits, follows and cancels jobs through the commands of a batch scheduler.

    A subclass fills in the scheduler's dialect: see `SchedulerDialect` for its methods and attributes.
    """

    def list(self) -> List[str]:
        """Return the native ids of the jobs that this user has with the scheduler.

        :raises CommandError: if the scheduler does not answer.
        """
        if type(self).get_list_command is SchedulerDialect.get_list_command and (
                type(self).parse_list_output is SchedulerDialect.parse_list_output):
            return self._list_own()
        result = self.run_query(self.get_list_command())
        if result.exit_code != 0:
            raise command_error('The jobs could not be listed', result)
        return self.parse_list_output(result.text)

    def _list_own(self) -> List[str]:
        """Return the native ids of those jobs that were submitted with this work directory and are in the queue."""
        known = [journal.native_id for journal, _ in read_journals(job_folders(self.work_directory))
                 if journal.native_id is not None and journal.end is None]
        seen = self.parse_status(self.run_query(self.get_status_command(known))) if known else {}
        return [native_id for native_id in known if native_id in seen and not seen[native_id].status.final]

    @property
    def _lets_jobs_wait(self) -> bool:
        return type(self).get_dependency_option is not SchedulerDialect.get_dependency_option

    def _await_ends(self, jobs: Sequence[Job]) -> None:
        # Without history, PBS ends a job at once that is to wait for one which is over.
        ending = [job for job in jobs if not job.status.final and self._has_record(job)]
        if ending and self.site.history is False:
            wait(ending, _LONGEST_CAUSE)

    def _has_record(self, job: Job) -> bool:
        folder = self._folder_of(job)
        return folder is not None and folder.read_exit() is not None

    def scheduler_version(self) -> str:
        """Return the product and the version of the scheduler's commands on this machine, such as `Slurm 22.05.8`.

        :raises CommandError: if they do not tell.
        :raises InvalidJobException: if there is no command to ask with.
        """
        return self._control.version()

    @property
    def _control(self) -> SchedulerControl:
        return SchedulerControl(self.name, self, self._run_action, self.run_query, self._heard)

    def _run_action(self, argv: Sequence[str]) -> CommandResult:
        return self._run(argv, self._environment())

    def _end(self, native_ids: Sequence[str]) -> Mapping[str, SubmitException]:
        return self._control.end(native_ids)

    def _warn(self, native_ids: Sequence[str], warning: FirstWarning) -> Mapping[str, SubmitException]:
        if warning.grace is not None:
            raise InvalidJobException(
                f'The executor {self.name} cannot end a job some time after a signal: its scheduler knows no such '
                'command. Leave grace out, and cancel the job when its time is over.')
        return self._control.signal(native_ids, warning.signal)

    def _hold(self, native_id: str) -> None:
        self._control.hold(native_id)

    def _release(self, native_id: str) -> None:
        self._control.release(native_id)

    def _record(self, native_id: str, folder: JobFolder | None) -> Dict[str, str]:
        return self._control.record(native_id, 0.0 if folder is None else folder.read_journal().submitted or 0.0)

    def _check_native_id(self, native_id: str) -> None:
        super()._check_native_id(native_id)
        if self.native_id_pattern.fullmatch(native_id) is None:
            raise InvalidJobException(f'{native_id!r} is no native id of a job of {self.name}.')

    @property
    def origins(self) -> JobOrigins:
        """From which folders jobs were submitted, as the scheduler tells."""
        return JobOrigins(self, self.run_query, self._control.record)

    def _origins(self) -> Origins:
        return self.origins.all()

    def _ownership(self, jobs: Sequence[Tuple[Job, str]]) -> Ownership:
        ownership = super()._ownership(jobs)
        names = {job.id: folder.origin for job, _ in jobs
                 if job.id not in ownership.others and (folder := self._folder_of(job)) is not None}
        try:
            told = self.origins.folders_of([native_id for job, native_id in jobs if job.id in names])
        except (CommandError, ParseError) as error:
            # A scheduler that hangs was seen to do later what it was asked for, and it has its state.
            logger.debug('%s does not tell whose jobs these are: %s', self.name, error)
            return ownership
        others, unknown = {*ownership.others}, {*ownership.unknown}
        for job, native_id in jobs:
            if job.id in names and native_id in told:
                name = told[native_id]
                if name is None:
                    unknown.add(job.id)
                elif name != names[job.id]:
                    others.add(job.id)
        return Ownership(others, unknown)

    def _make_source(self) -> StatusSource:
        return SchedulerSource(self)

    @property
    def _scheduler_key(self) -> object:
        # Somebody else's runner may lead its commands to another scheduler.
        return None if type(self.runner) is SubprocessRunner else self.runner

    def _rhythm(self) -> Rhythm:
        config = self._batch_config
        return Rhythm(first=config.initial_queue_polling_delay, interval=config.queue_polling_interval,
                      failed_rounds=config.queue_polling_error_threshold)

    @property
    def _hint_address(self) -> str | None:
        return self._batch_config.hint_address

    @property
    def _keeps_files(self) -> bool:
        return self._batch_config.keep_files

    @property
    def _longest_wait(self) -> float:
        return self._batch_config.submit_timeout + self.config.submit_retry_time

    def _patience(self) -> Patience:
        grace = self._batch_config.absence_grace
        return Patience(for_absent=grace, for_trace=grace)
