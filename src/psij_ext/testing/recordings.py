"""Recorded outputs of a scheduler, and what a dialect must read out of them.

A recording is a text file: lines that begin with `#` for people, what was asked, what must come out, and then, below a
line `--- stdout ---`, what the scheduler's command printed, byte for byte::

    # Job 12 runs, 13 waits, 14 has ended with 3.
    ask: status 12 13 14
    command: dirq status 12 13 14
    exit code: 0
    expect: 12 ACTIVE
    expect: 13 QUEUED
    expect: 14 FAILED reason=EXITED exit_code=3
    --- stdout ---
    12 running
    13 waiting
    14 ended 3
    --- stderr ---

`command` may be left out; where it is there, the dialect must build this very command for these ids; that of `submit`
submits a file `script`. `exit code` is 0 where it is left out, and so may be `--- stderr ---`. `stdout: FILE` in place
of `--- stdout ---` takes the output from a file beside the recording. There are as many lines `expect` as there are
things to come out, in any order:

===================  ==========================================  =====================================================
ask                  the method that reads it                    expect
===================  ==========================================  =====================================================
`submit`             `job_id_from_submit_output`,                the native id, or `refused`; where the same submission
                     `is_transient`                              may succeed later, `refused for now`
`status IDS`         `parse_status`                              for each job `ID STATE`, and fields as you like
`single status ID`   `parse_single_status`                       the same
`accounting IDS`     `parse_accounting`                          the same
`cancel ID`          `process_cancel_command_output`             `done`, also for a job that is over, or `refused`
`list`               `parse_list_output`                         each native id
`site`               `parse_site`                                fields of `Site`, such as `version=1.0 history=yes`
`version`            `parse_version`                             the text, such as `Slurm 22.05.8`
`record ID`          `parse_record`                              `NAME=VALUE` for the fields that matter to you
`origins IDS`        `parse_origins`                             for each job `ID FOLDER`
===================  ==========================================  =====================================================

`expect: nothing` stands for an answer without any job, and `expect: no answer` for one that tells nothing about any
job, because the command failed or cannot be understood: the dialect raises `ParseError` or `CommandError`. The fields
of a job are `exit_code`, `reason` (a name of `ExitReason`), `signal`, `attempt`, `time_limit`, `message` and
`native_state`; of those that are not named anything may come out. A value with blanks stands in quotes.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from psij_ext.runtime.command import CommandResult

NOTHING = 'nothing'
NO_ANSWER = 'no answer'
KINDS = ('submit', 'status', 'single status', 'accounting', 'cancel', 'list', 'site', 'version', 'record', 'origins')

_DIVIDER = re.compile(rb'^--- (stdout|stderr) ---\n', re.MULTILINE)
_KEYS = ('ask', 'command', 'exit code', 'expect', 'stdout')


class BadRecording(ValueError):
    """The file of a recording cannot be understood."""


@dataclass(frozen=True)
class Recording:
    """What a scheduler's command printed, and what must be read out of it.

    :param path: its file.
    :param kind: what was asked, one of `KINDS`.
    :param native_ids: the jobs that were asked for.
    :param command: the command as it was typed; None where the recording does not tell it.
    :param result: what it gave.
    :param expected: the lines that must come out.
    """

    path: Path
    kind: str
    native_ids: tuple[str, ...]
    command: tuple[str, ...] | None
    result: CommandResult
    expected: tuple[str, ...]


def read_recordings(folder: Path) -> list[Recording]:
    """Read the recordings in a folder: its files with the suffix `.txt`, in the order of their names.

    :raises BadRecording: if there is none, or one cannot be understood.
    """
    paths = sorted(folder.glob('*.txt'))
    if not paths:
        raise BadRecording(f'There is no recording in {folder}: files of any names that end with .txt are expected.')
    return [read_recording(path) for path in paths]


def read_recording(path: Path) -> Recording:
    """Read one recording.

    :raises BadRecording: if it cannot be understood; the message names file and line.
    """
    head, stdout, stderr = _parts(path.read_bytes())
    values: dict[str, list[tuple[int, str]]] = {}
    for number, line in enumerate(head.decode('utf-8').splitlines(), 1):
        if not line.strip() or line.startswith('#'):
            continue
        key, colon, value = line.partition(':')
        if not colon or key not in _KEYS:
            raise BadRecording(f'{path}, line {number}: one of {_named(_KEYS)} is expected, or "#", not {line!r}.')
        if key != 'expect' and key in values:
            raise BadRecording(f'{path}, line {number}: "{key}" is there already.')
        values.setdefault(key, []).append((number, value.strip()))
    for key in 'ask', 'expect':
        if key not in values:
            raise BadRecording(f'{path}: a line "{key}: ..." is missing.')
    if ('stdout' in values) is (stdout is not None):
        raise BadRecording(f'{path}: either "--- stdout ---" or "stdout: FILE" is expected.')
    kind, native_ids = _asked(path, *values['ask'][0])
    command = _words(path, *values['command'][0]) if 'command' in values else None
    out = (path.parent / values['stdout'][0][1]).read_bytes() if stdout is None else stdout
    result = CommandResult(command or (kind,), _exit_code(path, values), out, stderr)
    return Recording(path, kind, native_ids, command, result, tuple(value for _, value in values['expect']))


def _parts(content: bytes) -> tuple[bytes, bytes | None, bytes]:
    """Divide a file into its head, standard output (None where it has none), and standard error."""
    head, *rest = _DIVIDER.split(content)
    parts = dict(zip(rest[::2], rest[1::2]))
    return head, parts.get(b'stdout'), parts.get(b'stderr', b'')


def _asked(path: Path, number: int, value: str) -> tuple[str, tuple[str, ...]]:
    for kind in KINDS:
        if f'{value} '.startswith(f'{kind} '):
            return kind, tuple(value[len(kind):].split())
    raise BadRecording(f'{path}, line {number}: "ask" is one of {_named(KINDS)}, not {value!r}.')


def _words(path: Path, number: int, value: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(value))
    except ValueError as error:
        raise BadRecording(f'{path}, line {number}: {error}: {value!r}') from error


def _exit_code(path: Path, values: dict[str, list[tuple[int, str]]]) -> int:
    number, text = values.get('exit code', [(0, '0')])[0]
    try:
        return int(text)
    except ValueError as error:
        raise BadRecording(f'{path}, line {number}: the exit code is a number, not {text!r}.') from error


def _named(words: tuple[str, ...]) -> str:
    return ', '.join(f'"{word}"' for word in words)
