"""A simulated scheduler as a test holds it: a folder, commands to put on PATH, a server process, switches."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Mapping, Sequence

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

HERE = Path(__file__).resolve().parent
PATIENCE = 20
"""Seconds that the server may take to start and to stop."""


class SimulatedScheduler:
    """Real commands and a real server process that behave like a scheduler; base of each simulated one.

    :param folder: where commands, spool and socket lie; made where it does not exist
    :param settings: keyword arguments of the scheduler's settings
    :raises RuntimeError: the server does not start
    """

    module: ClassVar[str]
    """The package of the simulation beside this file; its module ``server`` has a function ``main``."""
    commands: ClassVar[tuple[str, ...]]

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = Path(folder).absolute()
        self.bin = self.folder / 'bin'
        self._settings = dict(settings)
        self._process: subprocess.Popen[bytes] | None = None
        self._one_at_a_time = threading.Lock()

    def start(self) -> Self:
        """Write the commands and start the server, which ends with `stop` or with this process."""
        if self._process is not None:
            return self
        self.bin.mkdir(parents=True, exist_ok=True)
        (self.folder / 'socket').unlink(missing_ok=True)
        for name in self.commands:
            self._write_launcher(self.bin / name)
        words = [sys.executable, '-I', '-S', str(HERE / 'serve.py'), self.module, str(self.folder)]
        self._process = subprocess.Popen(
            [*words, json.dumps(self._settings)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )
        if self._read(self._process) != 'ready':
            self.stop()
            raise RuntimeError(f'the simulated server of {self.folder} does not start')
        return self

    def _write_launcher(self, path: Path) -> None:
        words = [sys.executable, '-I', '-S', str(HERE / 'client.py'), str(self.folder)]
        path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$0" "$@"\n')
        path.chmod(0o755)

    def stop(self) -> None:
        """End the server and every process of its jobs."""
        process, self._process = self._process, None
        if process is None:
            return
        self._pipe(process.stdin).close()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._pipe(process.stdout).close()
        (self.folder / 'socket').unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def path(self) -> str:
        """The value for PATH with which the simulated commands are found first."""
        return f'{self.bin}{os.pathsep}{os.environ.get("PATH", os.defpath)}'

    @property
    def environment(self) -> dict[str, str]:
        """This process's environment with that PATH."""
        return {**os.environ, 'PATH': self.path}

    @property
    def pid(self) -> int | None:
        """The server's process, while it runs."""
        return self._process.pid if self._process is not None else None

    def run(
        self,
        *words: str | bytes | Path,
        stdin: bytes = b'',
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run one of the commands as a person would.

        :param words: the command's name and its arguments
        :param environment: variables to add to this process's
        """
        command: Sequence[str | bytes | Path] = [self.bin / os.fsdecode(words[0]), *words[1:]]
        variables = {**self.environment, **(environment or {})}
        return subprocess.run(
            command, input=stdin, cwd=cwd, env=variables, timeout=timeout, capture_output=True, check=False
        )

    def switch(self, name: str, **arguments: Any) -> Any:
        """Tell the server something; returns its answer.

        :raises RuntimeError: the simulation does not run
        """
        if self._process is None:
            raise RuntimeError('the simulation does not run')
        pipe = self._pipe(self._process.stdin)
        with self._one_at_a_time:
            pipe.write(json.dumps([name, arguments]).encode() + b'\n')
            pipe.flush()
            return self._read(self._process)

    def set(self, **settings: Any) -> None:
        """Change settings while the simulation runs."""
        self.switch('set', **settings)

    def _read(self, process: subprocess.Popen[bytes]) -> Any:
        line = self._pipe(process.stdout).readline()
        return json.loads(line) if line else None

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        if pipe is None:
            raise RuntimeError('the server has no pipe')
        return pipe
