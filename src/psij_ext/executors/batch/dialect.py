"""What a new scheduler is made of: the methods and attributes of a *dialect*, none of which does any I/O."""

from __future__ import annotations

import re
import signal as signals
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import IO, ClassVar, Dict, List, NamedTuple

from psij_ext.core.job import Job
from psij_ext.core.observation import Observation, Site
from psij_ext.core.status import JobStatus
from psij_ext.exceptions import InvalidJobException, ParseError
from psij_ext.executors.batch.blame import blaming
from psij_ext.executors.batch.config import BatchSchedulerExecutorConfig
from psij_ext.executors.batch.foreign import OWN_ATTRIBUTES
from psij_ext.runtime.command import CommandResult
from psij_ext.runtime.script import hours_minutes_seconds
from psij_ext.runtime.templates import full_script, render

UNKNOWN_ERROR = 'PSIJ: Unknown error'
"""What plugins that were written for PSI/J say of an error of which nothing is known."""


def check_status_exit_code(command: str, exit_code: int, out: str) -> None:
    """Make sure that a command that asks for states has succeeded.

    :param command: its name, for the message.
    :param exit_code: its exit code.
    :param out: what it printed.
    :raises RuntimeError: if it has not.
    """
    if exit_code != 0:
        raise RuntimeError(f'The status command {command!r} failed with exit code {exit_code}: {out.strip()!r}')


class Refusal(NamedTuple):
    """Why a command did nothing for one job: the exit code that it would have had for this job alone, and its words."""

    exit_code: int
    words: str


class SchedulerDialect(ABC):
    """Builds a scheduler's commands and reads their output.

    Class attributes that a dialect sets:

    * `template`: the mustache file with its directives, unless it overrides `generate_submit_script`;
    * `config_class`: its class of configurations;
    * `custom_attribute_prefixes`: which of `JobAttributes.custom_attributes` are meant for it;
    * `label_options`: options for values that people choose, such as a job's name, by their key in the
      template; a value that no directive can hold for certain goes on the command line through them, and the
      template sees None;
    * `longest_labels`: the most bytes that the scheduler takes of texts that only people read, the name and custom
      attributes such as a comment, by their key; what is longer is cut, and the whole stays in the spec;
    * `longest_value`: the most bytes that it takes of the other values in `label_options`;
    * `refused_attributes`: custom attributes that would change what a submission is, each with what to use instead;
    * `native_id_pattern`: a regular expression for what may be a native id; a scheduler may refuse a whole query
      for one odd id in it;
    * `native_variables`, `kept_variables`: beginnings of the names of environment variables that change what
      the scheduler's commands do, and the names that are left all the same because they say where the
      scheduler is;
    * `command_variables`: variables that its queries need;
    * `environment_defaults`: variables of the user's that fill in a key of the template where the spec is
      silent;
    * `hold_attributes`: custom attributes with which a job is submitted and not started, until it is released;
    * `dependency_attributes`: beginnings of custom attributes, as `key=value`, that say for which jobs a job waits;
    * `carries_environment`: whether the job's script brings along the umask and the environment that it
      inherits, because the scheduler does not;
    * `submit_rate`, `submit_burst`: how many submissions a second the scheduler bears in the long run (None for as many
      as it takes), and how many at once after a rest; `max_submit_rate` in a configuration goes before;
    * `index_pattern`: what stands, in the name of a file for output, for the index of an element of an array;
    * `fewest_elements`: how many elements an array has at least.

    A dialect whose scheduler has arrays of jobs overrides `get_array_option`, `element_id` and `most_elements`, and
    sets `index_pattern`. Its template says, where `is_array` is true, what an element's script calls the array's id
    (`psij_array_id`), the element's index (`psij_index`), its id as `element_id` writes it (`psij_native_id`), and the
    id that the scheduler itself has for it (`psij_raw_id`).
    """

    template: ClassVar[Path | None] = None
    config_class: ClassVar[type[BatchSchedulerExecutorConfig]] = BatchSchedulerExecutorConfig
    custom_attribute_prefixes: ClassVar[tuple[str, ...]] = ()
    label_options: ClassVar[Mapping[str, str]] = {}
    longest_labels: ClassVar[Mapping[str, int]] = {}
    longest_value: ClassVar[int | None] = None
    refused_attributes: ClassVar[Mapping[str, str]] = {}
    native_id_pattern: ClassVar[re.Pattern[str]] = re.compile(r'[^\s,-][^\s,]*')
    native_variables: ClassVar[tuple[str, ...]] = ()
    kept_variables: ClassVar[tuple[str, ...]] = ()
    command_variables: ClassVar[Mapping[str, str]] = {}
    environment_defaults: ClassVar[Mapping[str, str]] = {}
    hold_attributes: ClassVar[Mapping[str, str | None]] = {}
    dependency_attributes: ClassVar[tuple[str, ...]] = ()
    carries_environment: ClassVar[bool] = False
    submit_rate: ClassVar[float | None] = None
    submit_burst: ClassVar[int] = 1
    index_pattern: ClassVar[str] = ''
    fewest_elements: ClassVar[int] = 2

    # -- PSI/J's plugin interface: commands and their output, no I/O

    @abstractmethod
    def get_submit_command(self, job: Job, submit_file_path: Path) -> List[str]:
        """Return the command that submits a script."""

    @abstractmethod
    def job_id_from_submit_output(self, out: str) -> str:
        """Read the native id out of what the submit command printed.

        :raises ParseError: if there is none.
        """

    @abstractmethod
    def get_status_command(self, native_ids: Sequence[str]) -> List[str]:
        """Return the command that asks the queue for many jobs at once."""

    def asks_by_user(self, native_ids: Sequence[str]) -> bool:
        """Tell whether the status and accounting commands for these jobs ask for the present user's jobs alone.

        A dialect may do so where there are more ids than a command line holds.
        """
        return False

    @abstractmethod
    def parse_status_output(self, exit_code: int, out: str) -> dict[str, JobStatus]:
        """Read what the status command printed; jobs that it does not know are left out.

        :raises ParseError: if it is no answer.
        """

    @abstractmethod
    def get_cancel_command(self, native_id: str) -> List[str]:
        """Return the command that ends a job."""

    @abstractmethod
    def process_cancel_command_output(self, exit_code: int, out: str) -> None:
        """Check what the cancel command printed when its exit code was not zero.

        :raises SubmitException: if the job was not cancelled. A job that is over already is no error.
        """

    def generate_submit_script(self, job: Job, context: dict[str, object], submit_file: IO[str]) -> None:
        """Write the submit script: the dialect's directives from its template, then what every job does.

        :param job: the job, with absolute paths.
        :param context: what the templates may use.
        :param submit_file: where to write.
        :raises InvalidJobException: if the scheduler cannot express a field of the job.
        """
        if self.template is None:
            raise InvalidJobException(
                f'{type(self).__name__} has neither a template nor a generate_submit_script.')
        if OWN_ATTRIBUTES in context:  # somebody adds to this script, and was given their own form of it
            context = {**context, 'custom_attributes': context[OWN_ATTRIBUTES]}
        submit_file.write(full_script(render(self.template, context), context))

    def _format_duration(self, d: timedelta) -> str:
        """Write a wall time for `formatted_job_duration` in a template that was written for PSI/J."""
        return hours_minutes_seconds(-(-d // timedelta(seconds=1)))

    def get_list_command(self) -> List[str]:
        """Return the command that lists this user's jobs; by default the status command without any id.

        Where neither this nor `parse_list_output` is overridden, the jobs are listed that were submitted with the same
        work directory.
        """
        return self.get_status_command([])

    def parse_list_output(self, out: str) -> List[str]:
        """Read the native ids out of what the list command printed; by default one line an id."""
        return [line.strip() for line in out.splitlines() if line.strip()]

    # -- the richer interface over it

    def parse_status(self, result: CommandResult) -> Mapping[str, Observation]:
        """Read all that the status command tells of the jobs; by default what `parse_status_output` reads.

        :raises ParseError: if it is no answer.
        """
        with blaming(self, 'parse_status_output', ParseError):
            statuses = self.parse_status_output(result.exit_code, result.combined_text)
        return {native_id: Observation(status) for native_id, status in statuses.items()}

    def spellings(self, native_id: str) -> Sequence[str]:
        """Return other ways to write an id, under which an answer may tell of the job; by default none."""
        return ()

    def array_of(self, native_id: str) -> str | None:
        """Return the id of the array that a job is an element of; None where it is of none, or there are none.

        An element that the queue does not know, while it knows the array, was taken out of it if it waited just before.
        """
        return None

    def get_single_status_command(self, native_id: str) -> List[str] | None:
        """Return the command that asks for one job whose record in the common answer could not be read.

        It had better ask for another format. None where there is none: then the job is left as it was.
        """
        return None

    def parse_single_status(self, result: CommandResult) -> Mapping[str, Observation]:
        """Read what that command printed; by default like the common answer.

        :raises ParseError: if it is no answer.
        """
        return self.parse_status(result)

    def get_accounting_command(self, native_ids: Sequence[str], since: float) -> List[str] | None:
        """Return the command that asks for jobs that left the queue; None where no records are kept.

        :param since: when the first of them was submitted, in seconds since the epoch.
        """
        return None

    def parse_accounting(self, result: CommandResult) -> Mapping[str, Observation]:
        """Read what the accounting command printed.

        :raises ParseError: if it is no answer.
        """
        return self.parse_status(result)

    def get_site_command(self) -> List[str] | None:
        """Return the command that tells what this site is and allows; None where there is none."""
        return None

    def parse_site(self, result: CommandResult) -> Site:
        """Read what the site command printed; what it does not tell stays unknown."""
        return Site()

    def custom_option(self, key: str, value: str) -> List[str] | None:
        """Return a custom attribute as arguments of the submit command, where its value fits in no directive.

        :param key: its name without the scheduler's prefix, which is plain.
        :param value: any text.
        :return: the arguments; None where the submit command has none for it, and such a value is refused.
        """
        return None

    def get_dependency_option(
        self, after_ok: Sequence[str], after_any: Sequence[str], after_not_ok: Sequence[str]
    ) -> List[str] | None:
        """Return the arguments of the submit command that let a job wait for others; None where there are none.

        A job that can never begin must not stay in the queue.

        :param after_ok: the native ids of those that must complete.
        :param after_any: of those that must be over.
        :param after_not_ok: of those that must fail or be cancelled.
        :raises InvalidJobException: if no job can wait for one of them.
        """
        return None

    def get_array_option(self, count: int, throttle: int | None = None) -> List[str] | None:
        """Return the arguments of the submit command that make a script an array; None where there are no arrays.

        :param count: how many elements it has; their indices begin at 0.
        :param throttle: how many of them may run at once; None for as many as there is room for.
        :raises InvalidJobException: if the scheduler knows no such limit.
        """
        return None

    def most_elements(self) -> int:
        """Return how many elements an array may have at this site; 0 where there are no arrays."""
        return 0

    def element_id(self, array_id: str, index: int) -> str:
        """Return the native id of an element of an array.

        :param array_id: the native id of the array.
        :param index: its place in it; the first has 0.
        """
        return f'{array_id}_{index}'

    def is_refused_array(self, result: CommandResult) -> bool:
        """Tell whether an array was refused because it is one, so that its jobs may be taken one by one."""
        return False

    def dialect_context(self, job: Job, context: Mapping[str, object]) -> dict[str, object]:
        """Return what the dialect's template uses beyond the common context, or in another form.

        :raises InvalidJobException: if the scheduler cannot express a field of the job.
        """
        return {}

    def is_transient(self, result: CommandResult) -> bool:
        """Tell whether a submission that was refused may succeed later without any change; by default none may."""
        return False

    # -- a submission that nobody saw the end of

    def get_origins_command(self, native_ids: Sequence[str] = ()) -> List[str] | None:
        """Return the command that tells from which folder each of this user's jobs was submitted; None for none.

        Without it, a job whose submission was cut short is found only once its script has begun, and a job of others is
        not known as such that got a native id from a scheduler without its old state.

        :param native_ids: the jobs to tell of; all if empty.
        """
        return None

    def parse_origins(self, result: CommandResult) -> Mapping[str, str]:
        """Read the folders, by native id, out of what that command printed; what cannot be read is left out.

        :raises ParseError: if it is no answer.
        """
        return {}

    def origin_on_record(self, record: Mapping[str, str]) -> str | None:
        """Return the folder that a job was submitted from, out of its record; None where that does not tell it."""
        return None

    # -- what can be done to jobs; a scheduler that cannot leaves the method as it is

    def command_group(self, native_id: str) -> str:
        """Return a name for those jobs that one command can act on together; by default all of them."""
        return ''

    def get_cancel_many_command(self, native_ids: Sequence[str]) -> List[str] | None:
        """Return the command that ends several jobs of a group; None where each takes a command of its own."""
        return None

    def get_signal_command(self, native_ids: Sequence[str], signal: signals.Signals) -> List[str] | None:
        """Return the command that sends a signal to all processes of jobs of a group.

        :raises InvalidJobException: if jobs of this scheduler cannot outlive that signal, whatever they do about it.
        """
        return None

    def get_hold_command(self, native_id: str) -> List[str] | None:
        """Return the command that keeps a waiting job from being started."""
        return None

    def get_release_command(self, native_id: str) -> List[str] | None:
        """Return the command that lets a held job be started."""
        return None

    def is_without_answer(self, result: CommandResult) -> bool:
        """Tell whether a command failed because the scheduler was not reached or did not answer.

        Nobody knows then whether it takes effect.
        """
        return False

    def parse_refusals(self, result: CommandResult, native_ids: Sequence[str]) -> Mapping[str, Refusal] | None:
        """Read for which of its jobs a command that failed did nothing.

        :return: these alone; None where that cannot be told, so that each job has to be tried on its own.
        """
        return None

    # -- what can be asked for

    def get_record_commands(self, native_id: str, since: float) -> Sequence[List[str]]:
        """Return the commands that print all that is known of a job; the next is run where one does not know it.

        :param since: when the job was submitted, in seconds since the epoch.
        """
        return ()

    def parse_record(self, result: CommandResult, native_id: str) -> Dict[str, str]:
        """Read all fields of a job out of what such a command printed; empty where it does not know the job.

        :raises ParseError: if it cannot be read.
        """
        return {}

    def get_version_command(self) -> List[str] | None:
        """Return the command that prints the scheduler's version, if possible without asking its server."""
        return None

    def parse_version(self, result: CommandResult) -> str:
        """Read product and version, such as `Slurm 22.05.8`.

        :raises ParseError: if there is none.
        """
        raise ParseError(f'No version is known of {result.argv[0]}.')
