"""Which jobs can be elements of one array, and what the array is called."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from psij_ext.core.interfaces import Launcher
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.runtime.script import is_one_file
from psij_ext.runtime.tasks import common_beginning

# What is mostly a number, and what stands before it.
_AT_THE_END_OF_A_PREFIX = '0123456789-_.,:;#/ ([{'
_NAMELESS = 'array'
# Each element's script reads the table up to its line; where thousands do so, lines must not be longer than some pages.
_LONGEST_TASK = 32 * 1024


def shape_of(job: Job, spec: JobSpec, launcher: Launcher) -> Hashable | None:
    """Return what jobs must have in common to be elements of one array; None for a job that can be none.

    :param job: the job, with absolute paths.
    :param spec: its description.
    :param launcher: what starts its processes.
    """
    if spec.stage_in or spec.stage_out or spec.cleanup or spec.executable is None:
        return None
    if sum(map(len, spec.arguments or ())) + sum(map(len, (spec.environment or {}).values())) > _LONGEST_TASK:
        return None
    resources = spec.resources
    return (
        spec.launcher, launcher.keeps_process_tree(job, scheduled=True),
        None if resources is None else repr((type(resources), resources.held())), repr(spec.attributes.held()),
        spec.inherit_environment, spec.pre_launch is None, spec.post_launch is None,
        is_one_file(spec.stdout_path, spec.stderr_path))


def common_name(names: Sequence[str]) -> str:
    """Return what names have in common, without the beginnings of numbers: `run` for `run-08` and `run-09`."""
    if len({*names}) == 1:
        return names[0]
    return common_beginning(names).rstrip(_AT_THE_END_OF_A_PREFIX) or _NAMELESS
