"""From a job to its submit script and the command that submits it: what is the same for all dialects of it."""

from __future__ import annotations

import os
import re
from io import StringIO
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

from psij_ext.core.dependencies import Dependencies
from psij_ext.core.job import Job
from psij_ext.exceptions import InvalidJobException
from psij_ext.executors.batch.blame import blaming, described
from psij_ext.executors.batch.dialect import SchedulerDialect
from psij_ext.executors.batch.foreign import foreign_context
from psij_ext.executors.custom_attributes import meant_for
from psij_ext.runtime import processes
from psij_ext.runtime.jobfolder import SCHEDULER_OUTPUT
from psij_ext.runtime.limits import check_argument, cut, size_of
from psij_ext.runtime.templates import TemplateError

# What a directive line can hold for certain, under the quoting rules of any scheduler.
_PLAIN = re.compile(r'[A-Za-z0-9_@%+=:,./-]{0,1000}')
# What the fields are called of which a value may be an option of the submit command, by their keys in the template.
_FIELDS = {'queue_name': 'JobAttributes.queue_name', 'account': 'JobAttributes.account',
           'reservation_id': 'JobAttributes.reservation_id'}


class Rendering:
    """Fills in the template of a dialect; what no directive can hold goes on the submit command's line.

    :param name: the executor's.
    :param dialect: what knows the scheduler.
    """

    def __init__(self, name: str, dialect: SchedulerDialect) -> None:
        self._name = name
        self._dialect = dialect
        self._writes_own = type(dialect).generate_submit_script is not SchedulerDialect.generate_submit_script

    def render(
        self, job: Job, context: Dict[str, object], script_path: Path, dependencies: Dependencies,
        array_option: Sequence[str] = (),
    ) -> Tuple[str, List[str]]:
        """Return the submit script of a job, and the command that submits it.

        :param job: the job, with absolute paths.
        :param context: what the templates of all schedulers may use of it; the dialect's part is added.
        :param script_path: where the script is to lie.
        :param dependencies: the jobs that it waits for.
        :param array_option: the arguments that make an array of it, if it is one; `job` is its first element then.
        :raises InvalidJobException: if the scheduler cannot express a field of the job.
        """
        # Relative to the job's folder, where the submit command is run: no odd character in its path matters.
        context['scheduler_output'] = (
            f'{self._dialect.index_pattern}.{SCHEDULER_OUTPUT}' if array_option else SCHEDULER_OUTPUT)
        plain, other = self._own_attributes(job)
        context['custom_attributes'] = [
            {'key': key, 'value': value, 'has_value': value != ''} for key, value in plain]
        context['umask'] = processes.umask() if self._dialect.carries_environment else None
        context['carries_environment'] = self._dialect.carries_environment and context['inherit_environment']
        for key, variable in self._dialect.environment_defaults.items():
            context[key] = context.get(key) or os.environ.get(variable)
        context.update(self._dialect.dialect_context(job, context))
        if self._writes_own and job.spec is not None:
            context.update(foreign_context(self._dialect, job, job.spec, context))
        if context['name'] is not None:
            context['name'] = self._shortened('name', str(context['name']))
        options: List[str] = [*array_option]
        for key, option in self._dialect.label_options.items():
            value = context.get(key)
            if value is not None and key in _FIELDS:
                self._check_size(_FIELDS[key], str(value))
            if not _is_plain(value):
                options += _option(option, str(value))
                context[key] = None
        options += self._custom_options(other)
        if any(dependencies):
            options += self._dependency_options(dependencies, [*plain, *other])
        script = StringIO()
        try:
            with blaming(self._dialect, 'generate_submit_script', InvalidJobException):
                self._dialect.generate_submit_script(job, context, script)
        except TemplateError as error:
            raise InvalidJobException(f'{described(self._dialect)}: {error}', error) from error
        with blaming(self._dialect, 'get_submit_command', InvalidJobException):
            command = self._dialect.get_submit_command(job, script_path)
        return script.getvalue(), [*command[:-1], *options, command[-1]]

    def _dependency_options(self, dependencies: Dependencies, attributes: Sequence[Tuple[str, str]]) -> List[str]:
        for key, value in attributes:
            if f'{key}={value}'.startswith(self._dialect.dependency_attributes):
                raise InvalidJobException(
                    f'JobAttributes.custom_attributes: {key}={value}: for which jobs a job waits cannot be said there '
                    'and with after_ok, after_any or after_not_ok.')
        return self._dialect.get_dependency_option(*dependencies) or []

    def _own_attributes(self, job: Job) -> Tuple[List[Tuple[str, str]], List[Tuple[str, str]]]:
        """Return the custom attributes that a directive can hold, and then the others, with their values as texts.

        :raises InvalidJobException: if one does not say for which scheduler it is, or is refused.
        """
        prefixes = self._dialect.custom_attribute_prefixes
        if not prefixes and self._writes_own:
            return [], []  # its script does with them what it likes
        plain: List[Tuple[str, str]] = []
        other: List[Tuple[str, str]] = []
        for name, key, value in meant_for(job, prefixes, '|'.join(prefixes) or self._name):
            shown = '' if value is None or value is True else str(value)
            if not key or not _is_plain(key):
                raise InvalidJobException(
                    f'JobAttributes.custom_attributes: {name} is no option: only letters, digits and _@%+=:,./- are '
                    'in names.')
            instead = self._dialect.refused_attributes.get(key, self._dialect.refused_attributes.get(f'{key}={shown}'))
            if instead is not None:
                raise InvalidJobException(
                    f'JobAttributes.custom_attributes: {name} is not for a job to say: {instead}.')
            shown = self._shortened(key, shown)
            check_argument(f'JobAttributes.custom_attributes: {name}', shown)
            (plain if _is_plain(shown) else other).append((key, shown))
        return plain, other

    def _shortened(self, key: str, label: str) -> str:
        longest = self._dialect.longest_labels.get(key)
        return label if longest is None or size_of(label) <= longest else cut(label, longest)

    def _check_size(self, field: str, value: str) -> None:
        check_argument(field, value)
        if self._dialect.longest_value is not None and size_of(value) > self._dialect.longest_value:
            raise InvalidJobException(
                f'{field}: {size_of(value)} bytes; {self._name} takes at most {self._dialect.longest_value}.')

    def _custom_options(self, attributes: Sequence[Tuple[str, str]]) -> List[str]:
        """Return custom attributes as arguments of the submit command.

        :raises InvalidJobException: if it has none for one of them.
        """
        options: List[str] = []
        for key, value in attributes:
            arguments = self._dialect.custom_option(key, value)
            if arguments is None:
                raise InvalidJobException(
                    f'JobAttributes.custom_attributes: {key}={value!r} cannot be written into a directive: '
                    'only letters, digits and _@%+=:,./- are safe there.')
            options += arguments
        return options


def _is_plain(value: object) -> bool:
    return value is None or _PLAIN.fullmatch(str(value)) is not None


def _option(option: str, value: str) -> list[str]:
    return [f'{option}={value}'] if option.startswith('--') else [option, value]
