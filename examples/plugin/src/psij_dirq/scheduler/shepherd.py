"""The process that each job has: it waits for the job's turn, runs its script, and notes how it ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from psij_dirq.scheduler.queue import ENDED, RUNNING, WAITING, Queue, write

_SECONDS_BETWEEN_LOOKS = 0.05
_SECONDS_FROM_TERM_TO_KILL = 1.0
_HEARD = (signal.SIGTERM, signal.SIGCHLD)
_PASSED_ON_WITHOUT_ENVIRONMENT = ('HOME', 'LOGNAME', 'PATH', 'SHELL', 'USER')


def send_off(queue: Queue, native_id: str) -> None:
    """Start the shepherd of a job, as a process that has nothing to do with this one any more."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    _tend(queue, native_id)


def _tend(queue: Queue, native_id: str) -> NoReturn:
    code = 1
    try:
        # They are asked for, so that none comes at a bad moment. A shell lets programs in the background ignore others.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, signal.SIG_DFL)
        if _begins(queue, native_id):
            write(queue.home / RUNNING / native_id / 'end', _run(queue, native_id))
            queue.move(native_id, RUNNING, ENDED)
        code = 0
    finally:
        os._exit(code)


def _begins(queue: Queue, native_id: str) -> bool:
    """Wait until the job is running; return False where it was cancelled before."""
    folder = queue.home / WAITING / native_id
    with contextlib.suppress(FileNotFoundError):
        write(folder / 'shepherd', str(os.getpid()))
    while folder.is_dir():
        if not (folder / 'held').exists() and queue.take_turn(native_id):
            return True
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    return False


def _run(queue: Queue, native_id: str) -> str:
    """Run the script to its end; return what `dirq status` says of it then."""
    options = queue.options(RUNNING, native_id)
    with _output(options) as output:
        process = subprocess.Popen(
            ['/bin/bash', str(queue.home / RUNNING / native_id / 'script')], cwd=options['directory'],
            env=_environment(options, native_id), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, ()))
    deadline = time.monotonic() + options['limit']
    why = ''
    while process.poll() is None:
        heard = signal.sigtimedwait(_HEARD, max(0.0, deadline - time.monotonic()))
        if heard is not None and heard.si_signo != signal.SIGTERM:
            continue
        if why:
            _kill(process.pid, signal.SIGKILL)
        elif process.poll() is None:
            why = 'timeout' if heard is None else 'cancelled'
            _kill(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS_FROM_TERM_TO_KILL
    _kill(process.pid, signal.SIGKILL)
    code = process.returncode
    return why or (f'killed {-code}' if code < 0 else f'ended {code}')


@contextlib.contextmanager
def _output(options: dict[str, Any]) -> Iterator[int]:
    path = Path(options['directory'], options.get('output', os.devnull))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _environment(options: dict[str, Any], native_id: str) -> dict[str, str]:
    kept = os.environ if options.get('environment', 'all') == 'all' else {
        name: os.environ[name] for name in _PASSED_ON_WITHOUT_ENVIRONMENT if name in os.environ}
    return {**kept, 'DIRQ_JOB': native_id}


def _kill(session: int, number: signal.Signals) -> None:
    """Send a signal to all processes of a session, whatever groups they have made."""
    for path in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            # The fourth number behind the name is the session (proc(5)).
            if int(path.read_bytes().rpartition(b')')[2].split()[3]) == session:
                os.kill(int(path.parent.name), number)
