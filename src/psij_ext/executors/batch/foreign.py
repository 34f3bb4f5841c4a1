"""What an executor's own script may use of a job, where the executor was written for PSI/J and writes all of it.

The context of such a script has beside what our own templates use:

* `job`: the job, with `job.name`, if it was given one, and all of `job.spec`;
* `custom_attributes`: by prefix, a list of `key` and `value`, as `custom_attributes.pbs`;
* `env`: the spec's environment as a list of `name` and `value`;
* `formatted_job_duration`: the wall time, as `_format_duration` of the executor writes it;
* `psij.launch_command`: the words of the command that does all of the job's work: it enters the job's directory, opens
  its standard streams, runs the scripts before and after the launch, and sets its environment;
* `psij.script_dir`: the folder in which the script leaves its exit code, as `NATIVE_ID.ec`, and what it has to say, as
  `NATIVE_ID.out`; it is the job's own;
* `psij.lib`: functions, such as `{{#psij.lib.walltime_to_minutes}}1:30:00{{/psij.lib.walltime_to_minutes}}`.

In `job`, PSI/J's defaults stand where nothing was asked for, because such templates count on them: ten minutes, and the
resources of one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException
from psij_ext.executors.batch.template_function_library import ALL
from psij_ext.runtime.foreign import launch_words

if TYPE_CHECKING:
    from psij_ext.executors.batch.dialect import SchedulerDialect

# Where our own templates find what stands under another form in the context of such a script.
OWN_ATTRIBUTES = 'custom_attributes_of_dialect'
_USUAL_DURATION = timedelta(minutes=10)
_STAGING = ('stages_in', 'stages_out', 'cleans_up')


class _View:
    """An object of which some attributes look otherwise."""

    def __init__(self, seen: object, **otherwise: object) -> None:
        self._seen = seen
        vars(self).update(otherwise)

    def __getattr__(self, name: str) -> object:
        return getattr(self._seen, name)

    def __str__(self) -> str:
        return str(self._seen)


def foreign_context(dialect: SchedulerDialect, job: Job, spec: JobSpec, own: Mapping[str, object]) -> dict[str, object]:
    """Return what such a script may use of a job, beside what our own templates use.

    :param dialect: the executor.
    :param job: the job, with absolute paths.
    :param spec: its description.
    :param own: what our own templates use.
    :raises InvalidJobException: if the job asks for what such a script does not do.
    """
    if any(own[key] for key in _STAGING):
        raise InvalidJobException(
            f'{type(dialect).__name__} writes a script of its own, which neither stages files nor removes any: leave '
            'stage_in, stage_out and cleanup out, and do that in pre_launch and post_launch.')
    attributes = spec.attributes or JobAttributes()
    duration = attributes.duration or _USUAL_DURATION
    by_prefix = _by_prefix(attributes.custom_attributes or {})
    seen = _View(spec, resources=spec.resources or ResourceSpecV1(),
                 attributes=_View(attributes, duration=duration, custom_attributes=by_prefix))
    return {
        'job': _View(job, name=spec.held()['name'], spec=seen),
        'custom_attributes': by_prefix,
        'env': [{'name': name, 'value': value} for name, value in (spec.environment or {}).items()],
        'formatted_job_duration': dialect._format_duration(duration),
        'psij': {'lib': ALL, 'launch_command': launch_words(own), 'script_dir': own['folder']},
        OWN_ATTRIBUTES: own['custom_attributes'],
    }


def _by_prefix(attributes: Mapping[str, object]) -> dict[str, object]:
    sorted_out: dict[str, object] = {}
    for name, value in attributes.items():
        prefix, dot, key = name.partition('.')
        if not dot:
            sorted_out[name] = value
            continue
        pairs = sorted_out.get(prefix)
        if not isinstance(pairs, list):
            pairs = sorted_out[prefix] = []
        pairs.append({'key': key, 'value': value})
    return sorted_out
