"""Compares what a dialect reads out of recordings with what they say must come out."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Dict

from psij_ext.core.job import Job
from psij_ext.core.observation import Observation, Site
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import CommandError, InvalidJobStateError, ParseError, SubmitException
from psij_ext.executors.batch.base import BatchSchedulerExecutor
from psij_ext.testing.recordings import NO_ANSWER, NOTHING, BadRecording, Recording

# What came out: for each thing its name, such as the id of a job, and its fields.
Outcome = Dict[str, Dict[str, str]]

_NOT_KNOWN = '?'


def complaints(dialect: BatchSchedulerExecutor, recording: Recording) -> list[str]:
    """Read a recording; return what is not as it should be, in sentences.

    :raises BadRecording: if an expectation cannot be understood.
    """
    return [*_about_command(dialect, recording), *_about_outcome(dialect, recording)]


def _about_command(dialect: BatchSchedulerExecutor, recording: Recording) -> list[str]:
    if recording.command is None:
        return []
    built = tuple(build_command(dialect, recording.kind, recording.native_ids) or ())
    if built == recording.command:
        return []
    return [f'the recording is of the command\n    {shlex.join(recording.command)}\nand the dialect builds\n'
            f'    {shlex.join(built) or "none"}']


def build_command(dialect: BatchSchedulerExecutor, kind: str, native_ids: tuple[str, ...]) -> list[str] | None:
    """Return the command with which a dialect asks; None where it has none.

    :param kind: what is asked, one of `recordings.KINDS`.
    """
    first = native_ids[0] if native_ids else ''
    if kind == 'submit':
        return dialect.get_submit_command(Job(JobSpec('/bin/date')), Path('script'))
    if kind == 'record':
        return next(iter(dialect.get_record_commands(first, 0.0)), None)
    builders: Mapping[str, Callable[[], list[str] | None]] = {
        'status': lambda: dialect.get_status_command(native_ids),
        'single status': lambda: dialect.get_single_status_command(first),
        'accounting': lambda: dialect.get_accounting_command(native_ids, 0.0),
        'cancel': lambda: dialect.get_cancel_command(first),
        'list': dialect.get_list_command,
        'site': dialect.get_site_command,
        'version': dialect.get_version_command,
        'origins': lambda: dialect.get_origins_command(native_ids),
    }
    return builders[kind]()


def _about_outcome(dialect: BatchSchedulerExecutor, recording: Recording) -> list[str]:
    expected = _expected(recording)
    try:
        found = read(dialect, recording)
    except (ParseError, CommandError) as error:
        found = {NO_ANSWER: {}}
        if NO_ANSWER not in expected:
            return [f'it cannot be read: {type(error).__name__}: {error}']
    told = [f'{name!r} must come out, and did not' for name in expected if name not in found]
    if recording.kind != 'record':
        told += [f'{" ".join([repr(name), *_written(fields)])} came out, and is not expected'
                 for name, fields in found.items() if name not in expected]
    for name in expected:
        for field, value in expected[name].items() if name in found else ():
            if field not in found[name]:
                raise BadRecording(f'{recording.path}: there is no field {field!r}; '
                                   f'there are {", ".join(found[name])}.')
            if found[name][field] != value:
                told.append(f'{name or recording.kind}: {field} must be {value!r}, and is {found[name][field]!r}')
    return told


def read(dialect: BatchSchedulerExecutor, recording: Recording) -> Outcome:
    """Let a dialect read a recording.

    :raises ParseError, CommandError: if it is no answer.
    """
    result, kind = recording.result, recording.kind
    native_id = recording.native_ids[0] if recording.native_ids else ''
    if kind == 'submit':
        if result.exit_code != 0:
            return {'refused for now' if dialect.is_transient(result) else 'refused': {}}
        return {dialect.job_id_from_submit_output(result.text): {}}
    if kind in ('status', 'single status', 'accounting'):
        parse = {'status': dialect.parse_status, 'single status': dialect.parse_single_status,
                 'accounting': dialect.parse_accounting}[kind]
        return _jobs(parse(result), recording.native_ids) or {NOTHING: {}}
    if kind == 'cancel':
        return {_cancelled(dialect, recording): {}}
    if kind == 'list':
        return {each: {} for each in dialect.parse_list_output(result.text)} or {NOTHING: {}}
    if kind == 'site':
        return {'': _site(dialect.parse_site(result))}
    if kind == 'version':
        return {dialect.parse_version(result): {}}
    if kind == 'record':
        record = dialect.parse_record(result, native_id)
        return {f'{name}={value}': {} for name, value in record.items()} or {NOTHING: {}}
    return {each: {'folder': folder} for each, folder in dialect.parse_origins(result).items()} or {NOTHING: {}}


def _cancelled(dialect: BatchSchedulerExecutor, recording: Recording) -> str:
    result = recording.result
    try:
        # A command that succeeded is not asked what it said.
        if result.exit_code != 0:
            dialect.process_cancel_command_output(result.exit_code, result.combined_text)
    except InvalidJobStateError:
        return 'done'
    except SubmitException:
        return 'refused'
    return 'done'


def _jobs(seen: Mapping[str, Observation], asked: Sequence[str]) -> Outcome:
    """Write what was seen of each job; other spellings of the ids that were asked for are left out."""
    named = [seen[native_id] for native_id in asked if native_id in seen]
    return {native_id: _job(each) for native_id, each in seen.items()
            if native_id in asked or not any(each is other for other in named)}


def _job(seen: Observation) -> dict[str, str]:
    return _told({
        'state': seen.status.state.name, 'exit_code': seen.status.exit_code,
        'reason': None if seen.reason is None else seen.reason.name, 'signal': seen.signal, 'attempt': seen.attempt,
        'time_limit': seen.time_limit, 'message': seen.status.message,
        'native_state': (seen.status.metadata or {}).get('native_state')})


def _site(site: Site) -> dict[str, str]:
    return _told({
        'product': site.product or None, 'version': '.'.join(map(str, site.version)) or None,
        'accounting': site.accounting, 'history': site.history, 'keeps_ended': site.keeps_ended,
        'max_array_size': site.max_array_size, 'max_script_size': site.max_script_size,
        'clusters': None if site.clusters is None else ','.join(site.clusters)})


def _told(fields: Mapping[str, object]) -> dict[str, str]:
    words = {None: _NOT_KNOWN, True: 'yes', False: 'no'}
    return {name: words[value] if value is None or isinstance(value, bool)
            else f'{value:g}' if isinstance(value, float) else str(value) for name, value in fields.items()}


def _expected(recording: Recording) -> Outcome:
    """Read what must come out."""
    outcome: Outcome = {}
    for line in recording.expected:
        if line in (NOTHING, NO_ANSWER) or recording.kind in ('submit', 'cancel', 'list', 'version', 'record'):
            outcome[line] = {}
        elif recording.kind == 'origins':
            native_id, _, folder = line.partition(' ')
            outcome[native_id] = {'folder': folder.strip()}
        elif recording.kind == 'site':
            outcome[''] = {**outcome.get('', {}), **_fields(recording, shlex.split(line))}
        else:
            native_id, *words = shlex.split(line)
            if not words or '=' in words[0]:
                raise BadRecording(f'{recording.path}: the state of job {native_id} is missing in {line!r}.')
            outcome[native_id] = {'state': words[0], **_fields(recording, words[1:])}
    return outcome


def _fields(recording: Recording, words: list[str]) -> dict[str, str]:
    for word in words:
        if '=' not in word:
            raise BadRecording(f'{recording.path}: NAME=VALUE is expected, not {word!r}.')
    return {name: value for name, _, value in (word.partition('=') for word in words)}


def _written(fields: Mapping[str, str]) -> list[str]:
    return [value if name == 'state' else f'{name}={value}' for name, value in fields.items() if value != _NOT_KNOWN]
