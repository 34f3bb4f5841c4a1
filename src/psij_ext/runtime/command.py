"""The one place that runs a scheduler's command: argv in, `CommandResult` out."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import shlex
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Callable, Protocol

from psij_ext.exceptions import CommandError, CommandNotFound, CommandTimeout
from psij_ext.runtime import processes
from psij_ext.runtime.limits import as_bytes

logger = logging.getLogger(__name__)

# What is left of a killed command may keep its pipes open; this long we wait for them to close.
_SECONDS_TO_DRAIN = 1.0
_CHUNK = 65536


@dataclass(frozen=True)
class CommandResult:
    """What one run of a command gave: exit code (negative: the signal that killed it) and raw output."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: bytes = b''
    stderr: bytes = b''

    @property
    def text(self) -> str:
        """Standard output as text; bytes that are not UTF-8 survive as surrogates."""
        return self.stdout.decode('utf-8', 'surrogateescape')

    @property
    def error_text(self) -> str:
        """Standard error as text that can be shown to a person."""
        return self.stderr.decode('utf-8', 'replace').strip()

    @property
    def combined_text(self) -> str:
        """Both outputs, for messages and for the parse methods of PSI/J's plugin interface."""
        return '\n'.join(part for part in (self.text.strip(), self.error_text) if part)


class CommandRunner(Protocol):
    """Runs commands; tests pass one that answers from a table or fails at will."""

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        """Run a command to its end.

        :param argv: the command and its arguments; no shell is involved.
        :param timeout: seconds after which the command and everything it started are killed.
        :param cwd: where to run it; None for the present directory.
        :param env: its whole environment; None for our own.
        :param once_started: called when the command has been started, for what can be done while it runs.
        :raises CommandNotFound: if there is no such program on PATH, or it cannot be started.
        :raises CommandTimeout: if it was killed after `timeout` seconds. What it did before is unknown.
        """


class SubprocessRunner:
    """Runs commands as child processes in sessions of their own: a timeout ends all that they started."""

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        began = time.monotonic()
        try:
            result = self._run(argv, timeout, cwd, env, once_started)
        except CommandError as error:
            logger.debug('%s', error)
            raise
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug('%s: exit code %d after %.2f s', shlex.join(argv), result.exit_code, time.monotonic() - began)
        return result

    def _run(self, argv: Sequence[str], timeout: float, cwd: Path | None, env: Mapping[str, str] | None,
             once_started: Callable[[], None] | None) -> CommandResult:
        environment = os.environ if env is None else env
        program = find_program(argv[0], environment.get('PATH', os.defpath))
        if program is None:
            raise CommandNotFound(
                f'The command {argv[0]!r} was not found on PATH. Is the scheduler installed here?',
                argv=tuple(argv))
        try:
            process = subprocess.Popen(
                [as_bytes(word) for word in (str(program), *argv[1:])], cwd=cwd,
                env=None if env is os.environ else env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, bufsize=0, start_new_session=True)
        except OSError as error:
            raise CommandNotFound(f'The command {shlex.join(argv)} could not be started: {error}',
                                  argv=tuple(argv)) from error
        try:
            if once_started is not None:
                once_started()
            stdout, stderr = _communicate(process, timeout)
        except subprocess.TimeoutExpired as error:
            if process.poll() is not None:
                # The command itself has ended; something that it left in the background keeps its pipes open.
                _close(process.stdout)
                _close(process.stderr)
                return CommandResult(tuple(argv), process.returncode, error.stdout or b'', error.stderr or b'')
            _kill_session(process)
            raise CommandTimeout(
                f'The command {shlex.join(argv)} gave no answer within {timeout:g} s and was killed.',
                argv=tuple(argv), stdout=_text(error.stdout), stderr=_text(error.stderr)) from error
        except BaseException:  # an interrupt must not leave the command behind
            _kill_session(process)
            raise
        return CommandResult(tuple(argv), process.returncode, stdout, stderr)


def find_program(name: str, path: str | None = None) -> Path | None:
    """Find a program on PATH, never in the current directory or below it, whatever PATH says.

    :param name: a program's name, or an absolute path to it.
    :param path: the search path; None for that of this process.
    """
    if path is None:
        path = os.environ.get('PATH', os.defpath)
    found = _found.get((name, path))
    if found is None or not os.access(found, os.X_OK):
        found = _search(name, path)
        if found is not None:
            _found[name, path] = found
    return found


# A long PATH is not searched for each of a thousand commands.
_found: dict[tuple[str, str], Path] = {}


def _search(name: str, path: str) -> Path | None:
    if name.startswith(os.sep):
        candidates: Iterable[str] = [name]
    elif os.sep in name:
        return None
    else:
        candidates = (f'{folder}/{name}' for folder in path.split(os.pathsep) if folder.startswith(os.sep))
    runnable = (each for each in candidates if os.access(each, os.X_OK) and Path(each).is_file())
    return next(map(Path, runnable), None)


def scrubbed_environment(environ: Mapping[str, str], dropped_prefixes: Sequence[str],
                         kept: Sequence[str]) -> Mapping[str, str]:
    """Take out of an environment what would change what a scheduler's commands do.

    :param environ: the environment to start from.
    :param dropped_prefixes: beginnings of the names to leave out, such as `SBATCH_`.
    :param kept: names to keep all the same: those that locate or authenticate the scheduler.
    """
    prefixes = tuple(dropped_prefixes)
    # Mostly there is nothing to take out, and to copy an environment costs more than to look at its names.
    if all(name in kept for name in [name for name in environ if name.startswith(prefixes)]):
        return environ
    return {name: value for name, value in environ.items() if name in kept or not name.startswith(prefixes)}


def command_error(what: str, result: CommandResult) -> CommandError:
    """Make the error of a command that failed, with its own words."""
    return CommandError(
        f'{what}: {result.combined_text or "the command does not say why"} '
        f'(command: {shlex.join(result.argv)}, exit code {result.exit_code})',
        argv=result.argv, exit_code=result.exit_code, stdout=result.text, stderr=result.error_text)


def _communicate(process: subprocess.Popen[bytes], timeout: float) -> tuple[bytes, bytes]:
    """Read both outputs to their ends, and wait for that of the process; return the outputs.

    `Popen.communicate`, given a timeout, sleeps for a millisecond and more between its looks at the process.

    :raises subprocess.TimeoutExpired: with what was read so far.
    """
    deadline = time.monotonic() + timeout
    stdout, stderr = bytearray(), bytearray()
    poll = select.poll()
    still_open = {}
    for pipe, output in ((process.stdout, stdout), (process.stderr, stderr)):
        if pipe is not None and not pipe.closed:
            still_open[pipe.fileno()] = pipe, output
            poll.register(pipe, select.POLLIN)
    while still_open:
        ready = poll.poll(max(deadline - time.monotonic(), 0.0) * 1000)
        if not ready:
            raise subprocess.TimeoutExpired(process.args, timeout, bytes(stdout), bytes(stderr))
        for descriptor, _ in ready:
            pipe, output = still_open[descriptor]
            chunk = os.read(descriptor, _CHUNK)
            output += chunk
            if not chunk:
                poll.unregister(descriptor)
                del still_open[descriptor]
                pipe.close()
    if process.poll() is None:
        _await_end(process, deadline - time.monotonic())
    return bytes(stdout), bytes(stderr)


def _await_end(process: subprocess.Popen[bytes], timeout: float) -> None:
    try:
        descriptor = os.pidfd_open(process.pid)
    except (AttributeError, OSError):  # no Linux, or one before 5.3
        process.wait(timeout)
        return
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll(max(timeout, 0.0) * 1000)
    finally:
        os.close(descriptor)
    process.wait(0.0)


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for pid in processes.in_session(process.pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    try:
        _communicate(process, _SECONDS_TO_DRAIN)
    except subprocess.TimeoutExpired:
        # Something left the session and holds the pipes. Nobody will read them any more.
        _close(process.stdout)
        _close(process.stderr)
        process.wait()


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        pipe.close()


def _text(output: bytes | None) -> str:
    return (output or b'').decode('utf-8', 'replace')
