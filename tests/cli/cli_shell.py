"""What the tests of the command line share: a shell of a user who has just come here, and programs to find in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SOURCES = Path(__file__).resolve().parents[2] / 'src'
SECONDS = 60


class Shell:
    """Runs `psij-ext` in processes of their own, with an empty home.

    :param folder: where it runs, and where its home lies.
    :param job_options: options for every job.
    """

    def __init__(self, folder: Path, job_options: Sequence[str] = ()) -> None:
        self.folder = folder
        self.job_options = list(job_options)
        self.state = folder / 'home' / 'state'
        (folder / 'home').mkdir()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith('PSIJ_EXT_')}
        self.environment.update(HOME=str(folder / 'home'), XDG_STATE_HOME=str(self.state), PYTHONPATH=str(SOURCES))

    def argv(self, *words: object) -> list[str]:
        command, *rest = map(str, words)
        options = self.job_options if command in ('run', 'submit', 'render') else []
        return [sys.executable, '-m', 'psij_ext', command, *options, *rest]

    def __call__(self, *words: object, code: int | None = 0) -> subprocess.CompletedProcess[bytes]:
        """Run a command to its end, and make sure of its exit code."""
        done = subprocess.run(self.argv(*words), cwd=self.folder, env=self.environment, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=SECONDS)
        assert code in (None, done.returncode), f'{words} ended with {done.returncode}: {done.stdout!r} {done.stderr!r}'
        assert b'Traceback' not in done.stderr, done.stderr.decode()
        return done

    def start(self, *words: object, **options: Any) -> subprocess.Popen[bytes]:
        """Start a command and leave it running. Ctrl-C reaches it, even where whoever started the tests ignores it."""
        usual = {'stdin': subprocess.DEVNULL, 'stdout': subprocess.PIPE, 'stderr': subprocess.PIPE,
                 'preexec_fn': lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
        return subprocess.Popen(self.argv(*words), cwd=self.folder, env=self.environment, start_new_session=True,
                                **{**usual, **options})

    def json(self, *words: object, code: int | None = 0) -> Any:
        """Run a command with `--json`, and return what it printed."""
        command, *rest = words
        return json.loads(self(command, '--json', *rest, code=code).stdout)


def fake_program(folder: Path, name: str, script: str) -> None:
    """Put a shell script under a name into a folder for PATH."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f'#!/bin/sh\n{script}\n')
    program.chmod(0o755)
