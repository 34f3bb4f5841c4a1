"""How jobs and arrays get to a batch scheduler: a script, its submit command, and an outcome that is settled."""

from __future__ import annotations

import logging
import math
import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Hashable, List, Mapping, Sequence

from psij_ext.core.dependencies import NO_DEPENDENCIES, Dependencies
from psij_ext.core.interfaces import JobExecutorConfig
from psij_ext.core.job import Job
from psij_ext.core.observation import Site
from psij_ext.exceptions import (
    CommandError,
    CommandTimeout,
    InvalidJobException,
    ParseError,
    SubmitException,
    SubmitUncertain,
)
from psij_ext.executors.arrays import ArrayRefused, ArraySubmittingExecutor, ArrayTurnedAway
from psij_ext.executors.batch.arrays import common_name, shape_of
from psij_ext.executors.batch.blame import blaming, described
from psij_ext.executors.batch.config import BatchSchedulerExecutorConfig
from psij_ext.executors.batch.dialect import SchedulerDialect
from psij_ext.executors.batch.rendering import Rendering
from psij_ext.executors.configuration import own_config
from psij_ext.runtime import processes
from psij_ext.runtime.arrays import ArrayFolder
from psij_ext.runtime.command import (
    CommandResult,
    CommandRunner,
    SubprocessRunner,
    scrubbed_environment,
)
from psij_ext.runtime.foreign import claims, launch_script
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.limits import size_of
from psij_ext.runtime.schedule import Pace
from psij_ext.runtime.script import export_lines, script_context
from psij_ext.runtime.tasks import array_context

logger = logging.getLogger(__name__)

_SECONDS_UNTIL_ASKED_AGAIN = 10.0
# No site takes less than a script of so many characters; for a longer one it is asked.
_SHORT_SCRIPT = 100_000


class SchedulerSubmission(SchedulerDialect, ArraySubmittingExecutor):
    """Writes scripts of jobs and arrays, and hands them to a scheduler through its commands."""

    def __init__(self, url: str | None = None, config: JobExecutorConfig | None = None) -> None:
        super().__init__(url=url, config=own_config(self.config_class, config))
        self.runner: CommandRunner = SubprocessRunner()
        self._site: Site | None = None
        self._site_asked_again = -math.inf
        self._pace = Pace(
            self._batch_config.max_submit_rate or self.submit_rate, self.submit_burst, lambda: self.clock())
        self.user = processes.user_name()

    @property
    def site(self) -> Site:
        """What this site is and allows, asked once; unknown where the scheduler gives no answer."""
        if self._site is None and self.clock() >= self._site_asked_again:
            command = self.get_site_command()
            try:
                self._site = Site() if command is None else self.parse_site(self.run_query(command))
            except (CommandError, ParseError) as error:
                logger.debug('What %s allows is not known: %s', self.name, error)
                # One that hangs is not waited for by each of the steps that come now.
                self._site_asked_again = self.clock() + _SECONDS_UNTIL_ASKED_AGAIN
        return self._site or Site()

    def run_query(self, argv: Sequence[str]) -> CommandResult:
        """Run a command of the scheduler that only asks.

        :raises CommandError: if it is not there or gives no answer in time; its exit code is the dialect's to
            read.
        """
        environment = {**self._environment(), **self.command_variables}
        return self._run(argv, environment)

    def render(
        self, job: Job, folder: JobFolder, nonce: str, mailbox: Path | None = None,
        dependencies: Dependencies = NO_DEPENDENCIES,
    ) -> tuple[str, List[str]]:
        """Return the submit script of a job, and the command that submits it; nothing is written or run.

        :param job: the job, with absolute paths.
        :param folder: the folder that the script is to use.
        :param nonce: the name of the submission.
        :param mailbox: where the script leaves its hints.
        :param dependencies: the jobs that it waits for.
        :raises InvalidJobException: if the scheduler cannot express a field of the job.
        """
        spec = job.spec
        if spec is None:
            raise InvalidJobException(f'Job {job.id} has no spec.')
        context = script_context(
            job, self._launcher(spec), folder=folder.path, nonce=nonce, mailbox=mailbox)
        script, command = Rendering(self.name, self).render(job, context, folder.script_path, dependencies)
        return script, self._pinned(command)

    def array_shape(self, job: Job) -> Hashable | None:
        """Return what jobs must have in common to be submitted as one array; None for a job that goes by itself.

        :param job: the job, with absolute paths.
        """
        spec = job.spec
        if spec is None or type(self).get_array_option is SchedulerDialect.get_array_option:
            return None
        try:
            launcher = self._launcher(spec)
            return None if launcher.opens_streams else shape_of(job, spec, launcher)
        except InvalidJobException:
            return None  # on its own it will say why it cannot be submitted

    def render_array(
        self, jobs: Sequence[Job], folder_path: Path, nonce: str, mailbox: Path | None = None,
        dependencies: Dependencies = NO_DEPENDENCIES, throttle: int | None = None,
    ) -> tuple[str, List[str], bytes]:
        """Return the submit script of an array, the command that submits it, and the table of what its elements do.

        Nothing is written or run. Where one of the jobs
        is at fault, it says so when it is submitted by itself.

        :param jobs: the elements in their order, jobs with absolute paths, of one `array_shape`.
        :param folder_path: the folder that the script is to use; its name is that of the array in our records.
        :param nonce: the name of the submission.
        :param mailbox: where the script leaves its hints.
        :param dependencies: the jobs that all of them wait for.
        :param throttle: how many of them may run at once; None for as many as there is room for.
        :return: the third is for the file `runtime.tasks.TASKS` in the folder.
        :raises InvalidJobException: if the scheduler cannot express a field of a job, or has no arrays.
        """
        first = jobs[0]
        option = self.get_array_option(len(jobs), throttle)
        if first.spec is None or option is None:
            raise InvalidJobException(f'The executor {self.name} cannot submit job {first.id} as a part of an array.')
        context, tasks = array_context(
            jobs, self._launcher(first.spec), folder=folder_path, nonce=nonce, mailbox=mailbox)
        context['name'] = common_name([job.spec.name or '' for job in jobs if job.spec is not None])
        script, command = Rendering(self.name, self).render(
            first, context, JobFolder(folder_path).script_path, dependencies, option)
        return script, self._pinned(command), tasks

    def _start(self, job: Job, folder: JobFolder, nonce: str, dependencies: Dependencies) -> str:
        script, command = self.render(job, folder, nonce, self._mailbox, dependencies)
        return self._hand_over(script, command, job, folder, nonce)

    def _hand_over(self, script: str, command: Sequence[str], job: Job, folder: JobFolder, nonce: str) -> str:
        """Write a script and submit it; return the native id.

        :param job: the job, or for an array one that stands for all.
        :param folder: the folder of the job, or of the array.
        """
        self._check_script(script)
        if not claims(script, nonce):
            folder.note_foreign()
            folder.write_launch(launch_script())
        folder.write_script(script)
        if self.carries_environment and job.spec is not None and job.spec.inherit_environment:
            folder.write_environment(export_lines(self._environment()))

        def while_it_runs() -> None:
            self._keep(folder)
            if not folder.is_array:
                self._prepare_next()

        pause = self._pace.take_turn()
        if pause:
            self.sleep(pause)
        try:
            result = self.runner.run(command, timeout=self._batch_config.submit_timeout, cwd=folder.path,
                                     env=self._environment(), once_started=while_it_runs)
        except CommandTimeout as error:
            return self._settle(folder, nonce, _unknown_outcome(error, folder))
        except CommandError as error:
            raise SubmitException(f'{error} (script: {folder.script_path})', error, argv=error.argv,
                                  script_path=folder.script_path) from error
        if result.exit_code != 0:
            words = result.error_text or result.text.strip() or 'it does not say why'
            # A command that failed may have been heard all the same, for one by a controller that was slow to answer.
            what = 'array' if folder.is_array else 'job'
            transient = self.is_transient(result)
            kind = self._kind_of_refusal(result, transient) if folder.is_array else SubmitException
            return self._settle(folder, nonce, kind(
                f'{self.name} refused the {what}: {words} (command: {shlex.join(command)}, '
                f'exit code {result.exit_code}, script: {folder.script_path})',
                transient=transient, argv=command, exit_code=result.exit_code,
                stderr=result.error_text, script_path=folder.script_path))
        try:
            with blaming(self, 'job_id_from_submit_output', ParseError):
                native_id = self.job_id_from_submit_output(result.text)
            if not isinstance(native_id, str) or not native_id:
                raise ParseError(f'{described(self)}: job_id_from_submit_output returned {native_id!r}')
        except ParseError as error:
            unreadable = CommandError(
                f'The answer of {shlex.join(command)} names no job: {result.combined_text!r} ({error})', argv=command,
                exit_code=result.exit_code, stdout=result.text, stderr=result.error_text)
            return self._settle(folder, nonce, _unknown_outcome(unreadable, folder))
        self._heard()
        return native_id

    @property
    def _fewest_elements(self) -> int:
        return self.fewest_elements

    def _most_elements(self) -> int:
        return self.most_elements()

    def _start_array(self, jobs: Sequence[Job], folder: ArrayFolder, nonce: str) -> str:
        script, command, tasks = self.render_array(
            jobs, folder.path, nonce, self._mailbox, throttle=self._batch_config.array_throttle)
        folder.write_tasks(tasks)
        return self._hand_over(script, command, jobs[0], folder, nonce)

    def _kind_of_refusal(self, result: CommandResult, transient: bool) -> type[SubmitException]:
        if self.is_refused_array(result):
            return ArrayRefused
        return ArrayTurnedAway if transient and not self.is_without_answer(result) else SubmitException

    def _name_element(self, array_id: str, index: int) -> str:
        return self.element_id(array_id, index)

    def _settle(self, folder: JobFolder, nonce: str, failure: SubmitException) -> str:
        """Make an end of a submission that failed: the job runs already, or it never will.

        :return: the native id of the job, if it runs.
        :raises SubmitException: the given one, if it does not.
        :raises SubmitUncertain: if nobody knows.
        """
        if folder.is_foreign:
            begun = folder.begun_as()
            if begun is None:
                raise failure
            logger.warning('The job has begun as %s, as its own script says: %s', begun, failure)
            return begun
        try:
            native_id = folder.revoke(nonce)
        except OSError as error:
            raise SubmitUncertain(
                f'{failure} Whether the job will run is not certain: it could not be revoked: {error}', error,
                argv=failure.argv, exit_code=failure.exit_code, stderr=failure.stderr,
                script_path=failure.script_path) from failure
        if native_id is not None:
            return native_id
        raise failure

    def _check_script(self, script: str) -> None:
        """Make sure that the site takes so long a script; that of a job with few values is not asked for."""
        limit = self.site.max_script_size if len(script) > _SHORT_SCRIPT else None
        if limit is not None and size_of(script) > limit:
            raise InvalidJobException(
                f'The script of the job would have {size_of(script)} bytes, and this site takes at most {limit}. Put '
                'long arguments and environment variables into files.')

    def _run(self, argv: Sequence[str], environment: Mapping[str, str]) -> CommandResult:
        pinned = self._pinned(argv)
        result = self.runner.run(pinned, timeout=self._batch_config.command_timeout, env=environment)
        # Dialects know their commands by their names.
        return result if pinned[0] == argv[0] else replace(result, argv=tuple(argv))

    def _pinned(self, argv: Sequence[str]) -> List[str]:
        """Name a command by its path, where the configuration has one."""
        return [self._batch_config.command_paths.get(argv[0], argv[0]), *argv[1:]]

    def _environment(self) -> Mapping[str, str]:
        return scrubbed_environment(os.environ, self.native_variables, self.kept_variables)

    @property
    def _batch_config(self) -> BatchSchedulerExecutorConfig:
        return own_config(self.config_class, self.config)


def _unknown_outcome(error: CommandError, folder: JobFolder) -> SubmitException:
    if folder.is_foreign:
        uncertain = SubmitUncertain(
            f'{error} Whether the scheduler took the job is unknown, and its script is the executor\'s own, which '
            'cannot be revoked. Do not submit it again: it stays followed, and what became of it is known once its '
            f'script has begun (folder: {folder.path}).', error, argv=error.argv, exit_code=error.exit_code,
            stderr=error.stderr, script_path=folder.script_path)
        uncertain.__cause__ = error
        return uncertain
    failure = SubmitException(
        f'{error} Whether the scheduler took the job is unknown; it was revoked, so that it runs nothing '
        'if it did, and may be submitted again.', error, transient=True, argv=error.argv,
        exit_code=error.exit_code, stderr=error.stderr, script_path=folder.script_path)
    failure.__cause__ = error
    return failure
