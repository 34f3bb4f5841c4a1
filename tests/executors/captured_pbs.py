"""Captures of a real OpenPBS, and what our dialect makes of each.

Most are in JSON, which we do not ask for, and some of those are none: they are read line by line, and written as the records
that we ask for. Nothing but the format changes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from captured_events import Event, summary

from psij_ext.exceptions import CommandError, ParseError, SubmitException
from psij_ext.executors.batch.pbspro import PBSProJobExecutor
from psij_ext.runtime.command import CommandResult

FOLDER = Path(__file__).parent.parent / 'data' / 'pbspro'
_MEMBER = re.compile(r'\s*"((?:[^"\\]|\\.)*)":\s*(.*)')


def capture_names() -> set[str]:
    """The captures: files that differ in their suffix alone belong together."""
    return {path.name.rpartition('.')[0] for path in FOLDER.iterdir() if path.suffix in ('.txt', '.stdout')}


def read_capture(name: str) -> str:
    """Say what comes out of a capture."""
    if name.startswith('jobenv-'):
        return '-'
    out = (FOLDER / f'{name}.stdout').read_bytes()
    transcript = FOLDER / f'{name}.txt'
    if not transcript.exists():  # our own queries
        command = ['qstat', '-B'] if name == 'qstat-server' else ['qstat', '-f', '-F', 'dsv', '-D', '\x1e']
        return _answer(CommandResult(tuple(command), 0, out))
    text = transcript.read_bytes().decode('latin-1')
    head = dict(re.findall(r'^# (\w[\w ]*): (.*)$', text.partition('--- stdout ---\n')[0], re.MULTILINE))
    command = ast.literal_eval(head['cmd'].encode('latin-1').decode('utf-8'))
    errors = text.rpartition('--- stderr ---\n')[2].encode('latin-1')
    return _answer(CommandResult((command[0].rpartition('/')[2], *command[1:]), int(head['rc']), out, errors))


def _answer(result: CommandResult) -> str:
    program = result.argv[0]
    if program == 'qstat' and '-f' in result.argv:
        return _jobs(result)
    if program == 'qsub':
        return _submission(result)
    if program == 'qdel':
        return _cancelling(result)
    if program == 'qselect' and result.exit_code == 0:
        return f'{len(PBSProJobExecutor().parse_list_output(result.text))} ids'
    return '-'


def _jobs(result: CommandResult) -> str:
    executor = PBSProJobExecutor()
    try:
        if '-F' not in result.argv:
            seen = executor.parse_single_status(result)
        else:
            seen = executor.parse_status(CommandResult(result.argv, result.exit_code, _as_we_ask(result), result.stderr))
    except CommandError:
        return 'no answer'
    events: list[Event] = [(native_id.partition('.')[0], each) for native_id, each in seen.items() if '.' in native_id]
    return summary(events) + ('' if seen.complete else ', perhaps others') if events else 'no job'


def _submission(result: CommandResult) -> str:
    executor = PBSProJobExecutor()
    try:
        return executor.job_id_from_submit_output(result.text)
    except ParseError:
        assert result.exit_code != 0
        return 'refused for now' if executor.is_transient(result) else 'refused'


def _cancelling(result: CommandResult) -> str:
    try:
        if result.exit_code != 0:
            PBSProJobExecutor().process_cancel_command_output(result.exit_code, result.combined_text)
    except SubmitException:
        return 'not cancelled'
    return 'cancelled, or over'


def _as_we_ask(result: CommandResult) -> bytes:
    """Write an answer as `qstat -f -F dsv` would have printed it for us."""
    text = result.stdout.decode('utf-8', 'surrogateescape')
    if 'dsv' in result.argv:
        return text.replace('|', '\x1e').encode('utf-8', 'surrogateescape')
    records = []
    for native_id, fields in _members(text):
        records.append('\x1e'.join([f'Job Id: {native_id}', *(f'{name}={value}' for name, value in fields)]) + '\n')
    return ''.join(records).encode('utf-8', 'surrogateescape')


def _members(text: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Read the jobs of an answer in JSON, or nearly so: one member stands on a line."""
    path: list[str] = []
    fields: list[tuple[str, str]] = []
    for line in text.split('\n'):
        member = _MEMBER.fullmatch(line)
        if line.strip().startswith('}'):
            if len(path) == 2 and path[0] == 'Jobs':
                yield path[1], fields
            path = path[:-1]
        elif member is not None and member[2] == '{':
            path.append(member[1])
            if len(path) == 2:
                fields = []
        elif member is not None and len(path) >= 2:
            value = member[2].rstrip(',')
            value = value[1:-1] if value.startswith('"') else value
            value = value.replace('\\"', '"').replace('\\\\', '\\').replace('\\', '\\\\')
            if path[2:] == ['Variable_List']:
                fields.append(('Variable_List', f'{member[1]}={value}'))
            else:
                fields.append(('.'.join([*path[2:], member[1]]), value))
