"""Commands of a scheduler that go wrong: by a runner that misbehaves, and by programs that come first on PATH."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Callable, Dict

from stage_of_truth import RunnerOf

from psij_ext.exceptions import CommandNotFound, CommandTimeout
from psij_ext.runtime.command import CommandResult

Run = Callable[[], CommandResult]
Fault = Callable[[Run, Sequence[str]], CommandResult]
KINDS = {
    'submit': ('sbatch', 'qsub'), 'cancel': ('scancel', 'qdel'), 'ask': ('squeue', 'sacct', 'scontrol', 'qstat', 'qselect')}
BINARY = bytes(range(256))


def timed_out_before(run: Run, argv: Sequence[str]) -> CommandResult:
    raise CommandTimeout('no answer', argv=tuple(argv))


def timed_out_after(run: Run, argv: Sequence[str]) -> CommandResult:
    run()
    raise CommandTimeout('no answer', argv=tuple(argv))


def not_found(run: Run, argv: Sequence[str]) -> CommandResult:
    raise CommandNotFound('not installed', argv=tuple(argv))


def slow(run: Run, argv: Sequence[str]) -> CommandResult:
    time.sleep(0.7)
    return run()


def printing(change: Callable[[bytes], bytes]) -> Fault:
    """The command does its work, and something else is read of what it prints."""
    def fault(run: Run, argv: Sequence[str]) -> CommandResult:
        done = run()
        return CommandResult(done.argv, done.exit_code, change(done.stdout), change(done.stderr))

    return fault


def ending(code: int, acts: bool) -> Fault:
    """The command ends with a code, with or without having done its work."""
    def fault(run: Run, argv: Sequence[str]) -> CommandResult:
        done = run() if acts else CommandResult(tuple(argv), 0)
        return CommandResult(done.argv, code, done.stdout, done.stderr + b'something went wrong\n')

    return fault


# What a runner does wrong.
FAULTS: Dict[str, Fault] = {
    'none': lambda run, argv: run(),
    'timed_out_before': timed_out_before, 'timed_out_after': timed_out_after, 'not_found': not_found, 'slow': slow,
    'empty': printing(lambda text: b''), 'cut_short': printing(lambda text: text[:-2]),
    'half': printing(lambda text: text[:len(text) // 2]), 'binary': printing(lambda text: BINARY),
    'binary_around': printing(lambda text: BINARY + b'\n' + text + BINARY + b'\n'),
    **{f'code_{code}_after'.replace('-', 'signal_'): ending(code, True) for code in (1, 2, 35, 126, 127, 137, 153, 255, -9)},
    **{f'code_{code}_before'.replace('-', 'signal_'): ending(code, False) for code in (1, 255, -15)},
}
# What a program does that is found first on PATH; `real` is the scheduler's own.
PROGRAMS = {
    'hangs': 'exec sleep 600',
    'acts_and_hangs': 'real "$@"; exec sleep 600',
    'acts_and_is_killed': 'real "$@"; kill -s KILL $$',
    'acts_and_says_nothing': 'real "$@" > /dev/null 2>&1',
    'acts_and_leaves_its_pipes_open': 'real "$@"; sleep 600 &',
    'floods': 'head -c 3000000 /dev/zero; head -c 3000000 /dev/urandom >&2; exit 1',
}
FAULT_NAMES = tuple(name for name in (*FAULTS, *PROGRAMS) if name != 'none')


class FaultyRunner:
    """Runs the commands of a scheduler, and lets those of some kinds go wrong for a while.

    :param variables: what leads the commands to the scheduler.
    """

    def __init__(self, variables: Mapping[str, str], folder: Path) -> None:
        self._variables = dict(variables)
        self._folder = folder
        self._on: Dict[str, str] = {}
        self._changed = threading.Condition()
        self.count = 0

    @contextlib.contextmanager
    def on(self, fault: str, *kinds: str) -> Iterator[None]:
        """Let commands of these kinds go wrong."""
        self._on = {program: fault for kind in kinds for program in KINDS[kind]}
        try:
            yield
        finally:
            self._on = {}

    def await_fault(self) -> None:
        """Wait until one more command went wrong."""
        with self._changed:
            wanted = self.count + 1
            assert self._changed.wait_for(lambda: self.count >= wanted, 60), 'no command goes wrong'

    def run(self, argv: Sequence[str], *, timeout: float, cwd: Path | None = None,
            env: Mapping[str, str] | None = None, once_started: Callable[[], None] | None = None) -> CommandResult:
        def run(variables: Mapping[str, str] = self._variables) -> CommandResult:
            return RunnerOf(tuple(variables.items())).run(
                argv, timeout=timeout, cwd=cwd, env=env, once_started=once_started)

        name = self._on.get(argv[0])
        if name is None:
            return run()
        try:
            if name in FAULTS:
                return FAULTS[name](run, argv)
            path = self._variables.get('PATH', os.environ['PATH'])
            return run({**self._variables, 'PATH': f'{self._program(argv[0], name)}:{path}'})
        finally:
            with self._changed:
                self.count += 1
                self._changed.notify_all()

    def _program(self, command: str, name: str) -> Path:
        """Make the program that comes first on PATH, in a folder of its own."""
        folder = self._folder / f'first-on-path-{name}'
        folder.mkdir(exist_ok=True)
        new = folder / f'{command}.{threading.get_ident()}'
        new.write_text(f'#!/bin/bash\nPATH=${{PATH#*:}}\nreal() {{ "${{0##*/}}" "$@"; }}\n{PROGRAMS[name]}\n')
        new.chmod(0o755)
        new.rename(folder / command)
        return folder
