"""The command `dirq`."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

from psij_dirq.scheduler import __version__
from psij_dirq.scheduler.queue import ENDED, RUNNING, WAITING, Queue
from psij_dirq.scheduler.shepherd import send_off

_EXIT_CODES = (
    'exit codes: 0 done, 2 refused, 3 the job is over or unknown, 69 the queue cannot be used, 75 the queue is full')
_REFUSED, _OVER, _NO_QUEUE, _FULL = 2, 3, 69, 75
_OPTIONS = ('account', 'cpus', 'environment', 'hold', 'limit', 'name', 'output', 'queue')


class Refused(Exception):
    """The command cannot be done: exit code and words."""

    def __init__(self, exit_code: int, words: str) -> None:
        super().__init__(words)
        self.exit_code = exit_code


def main() -> int:
    """Run one command; return its exit code."""
    arguments = _parser().parse_args()
    try:
        queue = Queue(Path(os.environ.get('DIRQ_HOME') or Path.home() / '.dirq').absolute())
        arguments.run(queue, arguments)
    except Refused as error:
        print(f'dirq: {error}', file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f'dirq: the queue cannot be used: {error}', file=sys.stderr)
        return _NO_QUEUE
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser('dirq', description='A queue in the directory $DIRQ_HOME.', epilog=_EXIT_CODES)
    parser.add_argument('--version', action='version', version=f'dirq {__version__}')
    commands = parser.add_subparsers(required=True, metavar='COMMAND')
    submit = commands.add_parser(
        'submit', help='put a script into the queue',
        description='Options may also stand in lines of the script that begin with #DIRQ, as name=value.')
    submit.set_defaults(run=_submit)
    submit.add_argument('--hold', action='store_const', const='')
    for option in _OPTIONS:
        if option != 'hold':
            submit.add_argument(f'--{option}')
    submit.add_argument('script', type=Path)
    status = commands.add_parser('status', help='tell of jobs; without any id of those that are not over')
    status.set_defaults(run=_status)
    status.add_argument('ids', nargs='*', metavar='ID')
    for name, run in ('cancel', _cancel), ('hold', _hold), ('release', _release):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument('id', metavar='ID', type=_native_id)
    commands.add_parser('site', help='tell what this queue allows').set_defaults(run=_site)
    return parser


def _native_id(text: str) -> str:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is no id of a job')
    return text


def _submit(queue: Queue, arguments: argparse.Namespace) -> None:
    try:
        script = arguments.script.read_bytes()
    except OSError as error:
        raise Refused(_REFUSED, f'the script cannot be read: {error}') from error
    given = {option: value for option in _OPTIONS if (value := getattr(arguments, option)) is not None}
    options = _checked(queue, {**_directives(script), **given})
    if len(queue.ids(WAITING)) >= queue.site['most_waiting']:
        raise Refused(_FULL, 'the queue is full')
    native_id, _ = queue.add(script, {**options, 'directory': os.getcwd()})  # noqa: PTH109
    send_off(queue, native_id)
    print(f'job {native_id} is in the queue')


def _directives(script: bytes) -> dict[str, str]:
    """Read the directives at the top of a script."""
    options: dict[str, str] = {}
    for line in script.decode('utf-8', 'surrogateescape').splitlines():
        if line and not line.startswith('#'):
            break
        if line.startswith('#DIRQ '):
            for word in shlex.split(line[len('#DIRQ '):]):
                name, _, value = word.partition('=')
                if name not in _OPTIONS:
                    raise Refused(_REFUSED, f'there is no option {name!r}')
                options[name] = value
    return options


def _checked(queue: Queue, options: dict[str, str]) -> dict[str, Any]:
    site = queue.site
    name = options.get('queue') or 'normal'
    if name not in site['queues']:
        raise Refused(_REFUSED, f'there is no queue {name!r}')
    longest = site['queues'][name]
    try:
        cpus, limit = int(options.get('cpus', 1)), int(options.get('limit', longest))
    except ValueError as error:
        raise Refused(_REFUSED, f'cpus and limit are numbers: {error}') from error
    if not 1 <= cpus <= site['cpus']:
        raise Refused(_REFUSED, f'{cpus} processors were asked for; there are {site["cpus"]}')
    if limit > longest:
        raise Refused(_REFUSED, f'{limit} seconds were asked for; in the queue {name} a job has {longest}')
    return {**options, 'cpus': cpus, 'limit': limit, 'queue': name, 'hold': 'hold' in options}


def _status(queue: Queue, arguments: argparse.Namespace) -> None:
    for native_id in arguments.ids or [*queue.ids(WAITING), *queue.ids(RUNNING)]:
        state = queue.state(native_id) if native_id.isdecimal() else None
        if state is not None and (arguments.ids or state in (WAITING, 'held', RUNNING)):
            print(native_id, state)


def _cancel(queue: Queue, arguments: argparse.Namespace) -> None:
    if queue.move(arguments.id, WAITING, ENDED):
        return
    if queue.state(arguments.id) != RUNNING:
        raise Refused(_OVER, f'job {arguments.id} is over or unknown')
    try:
        os.kill(int((queue.home / RUNNING / arguments.id / 'shepherd').read_text()), signal.SIGTERM)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise Refused(_OVER, f'job {arguments.id} is over') from error


def _hold(queue: Queue, arguments: argparse.Namespace) -> None:
    try:
        (queue.home / WAITING / arguments.id / 'held').touch()
    except FileNotFoundError as error:
        raise Refused(_OVER, f'job {arguments.id} does not wait') from error


def _release(queue: Queue, arguments: argparse.Namespace) -> None:
    if not (queue.home / WAITING / arguments.id).is_dir():
        raise Refused(_OVER, f'job {arguments.id} does not wait')
    (queue.home / WAITING / arguments.id / 'held').unlink(missing_ok=True)


def _site(queue: Queue, arguments: argparse.Namespace) -> None:
    site = queue.site
    print(f'dirq {__version__}')
    print(f'cpus {site["cpus"]}')
    print(f'most_waiting {site["most_waiting"]}')
    for name, longest in site['queues'].items():
        print(f'queue {name} {longest}')


if __name__ == '__main__':
    sys.exit(main())
