"""Transcripts of a real Slurm, with what they tell of jobs brought into the form in which we ask for it.

Rows in other formats keep their states, exit codes, restarts, limits and reasons; what they lack stays unknown.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from captured_events import Event
from slurm_rows import account_row, queue_row

from psij_ext.exceptions import ParseError
from psij_ext.executors.batch.slurm import SlurmJobExecutor
from psij_ext.executors.batch.slurm_accounting import parse_accounting
from psij_ext.executors.batch.slurm_records import parse_queue
from psij_ext.runtime.command import CommandResult

FOLDER = Path(__file__).parent.parent / 'data' / 'slurm'
_BLOCK = re.compile(r'^\$ (.*?)\n--- stdout\n(.*?)--- stderr\n(.*?)--- exit=(\d+) seconds', re.DOTALL | re.MULTILINE)
_MOMENT = re.compile(r'^[\d:.]+ (\d+)\|(\w+)\|(.*?)\|')
_SHOWN = re.compile(r'JobState=(\S+) Reason=(\S+).*?Restarts=(\d+).*?ExitCode=(\d+):(\d+)(?:.*?TimeLimit=(\S+))?', re.DOTALL)
_SHOWN_ID = re.compile(r'JobId=(\d+)(?: ArrayJobId=(\d+) ArrayTaskId=(\S+))?')


@dataclass
class Told:
    """What a capture tells.

    :param full: jobs with all that our own query tells of them.
    :param states: jobs of which no exit code is told.
    :param submissions: what became of each sbatch: the id, or `refused`, or `refused for now`.
    """

    full: list[Event]
    states: list[Event]
    submissions: list[str]


def read_capture(name: str) -> Told:
    """Read a capture of any kind."""
    text = (FOLDER / name).read_text()
    told = Told([], [], [])
    if name.endswith('.json'):
        if text.startswith('{'):
            told.full += [*_queue_json(json.loads(text))] if 'squeue' in name else [*_accounting_json(json.loads(text))]
    elif 'signals' in name:
        # A line for each way to call scancel, and what then became of the job.
        told.states += [_queue_event(str(number), match[1], '') for number, match in enumerate(re.finditer(r' -> (\w+) ', text), 1)]
    elif name.endswith('timeout.txt'):
        _timeline(text, told)
    elif name.startswith('s') and 'cases' in name:
        parse, own = (parse_accounting, 'psij') if name.startswith('sacct') else (parse_queue, 'psij')
        told.full += [(native_id, seen) for native_id, seen in parse(text, own).items() if ';' not in native_id]
    else:
        for match in _BLOCK.finditer(text):
            _block(match[1], match[2], match[3], int(match[4]), told)
    return told


def _block(command: str, out: str, errors: str, exit_code: int, told: Told) -> None:
    if re.search(r'(^|[;\w=/.] ?)\bsbatch ', command) and '--test-only' not in command:
        told.submissions.append(_submission(out, errors, exit_code))
    elif 'scontrol show job' in command:
        told.full += _scontrol(out)
    elif 'sacct ' in command and '-P' in command:
        _sacct(command, out, told)
    elif 'squeue ' in command and '--Format=' in command and 'exit_code' in command:
        told.full += _wide(command, out)
    elif 'squeue ' in command and " -o '" in command:
        told.states += _squeue(command, out)


def _submission(out: str, errors: str, exit_code: int) -> str:
    executor = SlurmJobExecutor()
    if exit_code == 0:
        return executor.job_id_from_submit_output(out)
    try:
        raise AssertionError(f'{out!r} is taken for the id {executor.job_id_from_submit_output(out)}')
    except ParseError:
        passes = executor.is_transient(CommandResult(('sbatch',), exit_code, out.encode(), errors.encode()))
        return 'refused for now' if passes else 'refused'


def _queue_event(native_id: str, state: str, status: str | int, restarts: str | int = 0, reason: str = 'None', limit: str = '',
                 start: str | int = 'N/A') -> Event:
    raw_id = re.split(r'[_+]', native_id)[0]
    row = queue_row(native_id, state, status, restarts, start, '', reason, raw_id, limit)
    seen = parse_queue(row)
    return native_id, next(iter(seen.values())) if native_id not in seen else seen[native_id]


def _squeue(command: str, out: str) -> Iterator[Event]:
    """Read `squeue -o '%i|%t|...'`; rows that a name has broken are no rows."""
    letters = re.findall(r'%(\w)', command.partition(" -o '")[2].partition("'")[0])
    if 'i' not in letters or not {'t', 'T'} & {*letters}:
        return
    for line in out.splitlines():
        fields = dict(zip(letters, line.split('|')))
        if len(line.split('|')) < len(letters) or fields['i'] == 'JOBID':
            continue
        event = _queue_event(fields['i'], fields.get('T', fields.get('t', '')), '', reason=fields.get('r', 'None'), limit=fields.get('l', ''))
        if {'t', 'T'} <= {*letters}:  # the short form means the same
            short = _queue_event(fields['i'], fields['t'], '', reason=fields.get('r', 'None'))
            assert (short[1].status.state, short[1].reason) == (event[1].status.state, event[1].reason)
        yield event


def _wide(command: str, out: str) -> Iterator[Event]:
    """Read `squeue --Format=NAME:WIDTH,...`."""
    columns = re.findall(r'(\w+):(\d+)', command.partition('--Format=')[2])
    for line in out.splitlines()[1:]:
        fields, start = {}, 0
        for name, width in columns:
            fields[name] = line[start:start + int(width)].strip()
            start += int(width)
        reason = re.fullmatch(r'\((.*)\)', fields['ReasonList'])
        yield _queue_event(fields['JobArrayID'], fields['State'], fields['exit_code'], reason=reason[1] if reason else 'None')


def _scontrol(out: str) -> Iterator[Event]:
    for part in re.split(r'^(?=JobId=)', out, flags=re.MULTILINE):
        native_id, shown = _SHOWN_ID.match(part), _SHOWN.search(part)
        if native_id is None or shown is None:
            continue
        job, array, index = native_id.groups()
        named = job if array is None else f'{array}_{index}' if index.isdigit() else f'{array}_[{index}]'
        state, reason, restarts, code, signal, limit = shown.groups()
        yield _queue_event(named, state, (int(code) << 8) + int(signal), restarts, reason, limit or '')


def _sacct(command: str, out: str, told: Told) -> None:
    columns = re.search(r'-o (\S+)', command)
    assert columns is not None
    names = columns[1].split(',')
    for line in out.splitlines():
        fields = dict(zip(names, line.split('|')))
        if 'JobID' not in names or 'State' not in names or len(line.split('|')) != len(names) or fields['JobID'] == 'JobID' or '.' in fields['JobID']:
            continue
        native_id = fields['JobID']
        row = account_row(native_id, fields['State'], fields.get('ExitCode', ''), '', fields.get('JobIDRaw', re.split(r'[_+]', native_id)[0]))
        seen = parse_accounting(row)
        (told.full if 'ExitCode' in names else told.states).append((native_id, seen.get(native_id, next(iter(seen.values())))))


def _queue_json(document: dict[str, list[dict[str, object]]]) -> Iterator[Event]:
    for job in document['jobs']:
        array, index = job['array_job_id'], job['array_task_id']
        native_id = str(job['job_id']) if not array else f'{array}_{index}' if index is not None else f'{array}_[{job["array_task_string"]}]'
        yield _queue_event(native_id, str(job['job_state']), str(job['exit_code']), str(job['restart_cnt']), str(job['state_reason']),
                           f'{job["time_limit"]}:00', str(job['start_time']))


def _accounting_json(document: dict[str, list[dict[str, dict[str, object]]]]) -> Iterator[Event]:
    """Read `sacct --json`, whose return_code of 22.05 is 0 whatever happened: it is left out."""
    for job in document['jobs']:
        array = job['array']
        native_id = f'{array["job_id"]}_{array["task_id"]}' if array['task_id'] is not None else str(job['job_id'])
        signal = job['exit_code'].get('signal')
        code = f'0:{signal["signal_id"]}' if isinstance(signal, dict) else ''
        row = account_row(native_id, str(job['state']['current']), code, '', re.split('_', native_id)[0])
        yield native_id, parse_accounting(row)[native_id]


def _timeline(text: str, told: Told) -> None:
    """Read the changes of some jobs: a moment, what squeue then said, and for ends what scontrol said."""
    native_id = ''
    for entry in re.split(r'^(?=\d\d:)', text, flags=re.MULTILINE):
        match, shown = _MOMENT.match(entry), _SHOWN.search(entry)
        if match is None:
            continue
        native_id, state, reason = match.groups()
        told.states.append(_queue_event(native_id, state, '', reason=reason))
        if shown is not None:
            told.full.append(_queue_event(native_id, shown[1], (int(shown[4]) << 8) + int(shown[5]), shown[3], shown[2]))

