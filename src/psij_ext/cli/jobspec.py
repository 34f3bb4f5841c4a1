"""From the options of a command line to the description of a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

import click

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException

# Options under other names than the fields that they set.
_FIELDS = {'directory': 'directory', 'name': 'name', 'launcher': 'launcher', 'stdin': 'stdin_path',
           'stdout': 'stdout_path', 'stderr': 'stderr_path', 'pre_launch': 'pre_launch', 'post_launch': 'post_launch'}
_ATTRIBUTES = {'duration': 'duration', 'queue': 'queue_name', 'account': 'account', 'reservation': 'reservation_id'}
_RESOURCES = {'nodes': 'node_count', 'processes': 'process_count', 'processes_per_node': 'processes_per_node',
              'cpus_per_process': 'cpu_cores_per_process', 'gpus_per_process': 'gpu_cores_per_process',
              'memory': 'memory', 'exclusive': 'exclusive_node_use'}


def make_spec(options: Mapping[str, Any]) -> JobSpec:
    """Make the description that a command line asks for.

    :param options: the values of the options in `psij_ext.cli.options`, by name.
    :raises click.UsageError: if it asks for no command, or for what contradicts itself.
    """
    try:
        spec = _read_spec(options['spec_file'])
        _set_fields(spec, _FIELDS, options)
        if options['command']:
            spec.executable, *spec.arguments = options['command']
        if options['no_inherit_environment']:
            spec.inherit_environment = False
        if options['env']:
            spec.environment = {**(spec.environment or {}), **dict(options['env'])}
        spec.attributes = _attributes(spec.attributes, options)
        spec.resources = _resources(spec.resources, options)
    except (TypeError, ValueError, InvalidJobException) as error:
        raise click.UsageError(str(error)) from error
    if spec.executable is None:
        raise click.UsageError('There is no command to run. Write it after --, such as: -- hostname')
    return spec


def _read_spec(file: BinaryIO | None) -> JobSpec:
    if file is None:
        return JobSpec()
    try:
        return JSONSerializer().load(file)
    except ValueError as error:  # json's own messages do not say in which file
        raise ValueError(f'{getattr(file, "name", "--spec")}: {error}') from error


def _set_fields(target: JobSpec | JobAttributes | ResourceSpecV1, fields: Mapping[str, str],
                options: Mapping[str, Any]) -> None:
    for option, field in fields.items():
        if options[option] is not None:
            setattr(target, field, options[option])


def _attributes(given: JobAttributes, options: Mapping[str, Any]) -> JobAttributes:
    attributes = given.snapshot()
    _set_fields(attributes, _ATTRIBUTES, options)
    if options['attribute']:
        attributes.custom_attributes = {**(attributes.custom_attributes or {}), **dict(options['attribute'])}
    return attributes


def _resources(given: object, options: Mapping[str, Any]) -> Any:
    if all(options[option] is None for option in _RESOURCES):
        return given
    if not isinstance(given, (ResourceSpecV1, type(None))):
        raise ValueError('The options for resources cannot go over resources of another version than 1.')
    resources = ResourceSpecV1() if given is None else given
    _set_fields(resources, _RESOURCES, options)
    return resources.snapshot()
