"""The process of a simulated PBS: it holds the queue, runs the jobs and answers the commands.

Started through `serve.py`, which finds it without importing the rest of the library.
"""

from __future__ import annotations

import json
import os
import pwd
import signal
import traceback
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from ..loop import Call, Loop
from .commands import LETTERS, Commands
from .execution import FOLDERS
from .interventions import Interventions
from .qstat import Answer, Qstat
from .qsub import needs_input, submit
from .refusal import Refusal
from .registry import Registry
from .runner import Runner
from .settings import Settings

if TYPE_CHECKING:
    from .job import Job
    from .submission import Submission

USER = 'SIMULATED_PBS_USER'
"""Variable with which a test calls a command as somebody else."""


class Server:
    """Answers commands and obeys the switches of a test."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.loop = Loop(self._on_call, self._on_switch)
        self._registry = Registry(lambda: self.settings)
        self._runner = Runner(self._registry, self.loop, lambda: self.settings)
        self._interventions = Interventions(self._registry, self._runner)
        self._held: list[Call] = []

    def _on_call(self, call: Call) -> None:
        self._guard(call, lambda: self._carry_out(call))

    def _guard(self, call: Call, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:  # a mistake of the simulation shall fail one command, visibly, and not all that follow
            traceback.print_exc()
            call.finish(255, error=f'{call.program}: the simulation failed\n{traceback.format_exc()}')

    def _carry_out(self, call: Call) -> None:
        if call.arguments == ['--version']:  # the command answers that by itself
            call.finish(0, f'pbs_version = {self.settings.version}\n')
        elif self.settings.hung:
            self._held.append(call)
        elif call.program == 'qsub':
            if needs_input(call):
                call.read_input(lambda script: self._guard(call, lambda: self._submit(call, script)))
            else:
                self._submit(call, None)
        elif call.program == 'qstat':
            self._answer(call, Qstat(self._registry, self.settings, call.path, call.arguments).run())
        elif call.program in LETTERS:
            self._act(call)
        else:
            call.finish(127, error=f'{call.program}: no command of the simulated PBS\n')

    def _user(self, call: Call) -> str:
        if USER in call.environment:
            return call.environment[USER]
        try:
            return pwd.getpwuid(call.uid).pw_name
        except KeyError:
            return str(call.uid)

    def _answer(self, call: Call, answer: Answer) -> None:
        finish: Callable[[], None] = lambda: call.finish(answer.code, answer.out, answer.error)  # noqa: E731
        if self.settings.reply_delay:
            self.loop.after(self.settings.reply_delay, finish)
        else:
            finish()

    def _submit(self, call: Call, script: str | None) -> None:
        answer, job = submit(call, script, self.settings, lambda submission: self._admit(call, submission))
        if job is None:
            self._answer(call, answer)
            return
        call.write(answer.out)
        job.on_end.append(lambda: call.finish(int(job.values.get('Exit_status', '1'))))

    def _admit(self, call: Call, submission: Submission) -> Job:
        job = self._registry.admit(submission, self._user(call), call.arguments)
        self._runner.admit(job)
        return job

    def _act(self, call: Call) -> None:
        left = 0

        def wait_over() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                self._answer(call, answer)

        commands = Commands(self._registry, self._interventions, self.settings, self._user(call))
        answer, left = commands.run(call.program, call.path, call.arguments, wait_over)
        if left == 0:
            self._answer(call, answer)

    def _on_switch(self, name: str, arguments: dict[str, Any]) -> Any:
        if name == 'state':
            return self._state(arguments['identifier'])
        if name == 'restart':
            self._interventions.restart()
        elif name == 'lose':
            self._runner.lose()
        elif name == 'set':
            self.settings = replace(self.settings, **arguments)
            if not self.settings.history:
                self._registry.forget_ended()
            if not self.settings.hung:
                self._resume()
            self._runner.schedule()
        return None

    def _state(self, identifier: str) -> list[str]:
        try:
            job = self._registry.find(identifier)[0]
        except Refusal:
            return []
        return [job.state, job.values['substate']]

    def _resume(self) -> None:
        """Answer what came while the server hung; a submission whose ``qsub`` gave up was never committed."""
        calls, self._held = self._held, []
        for call in calls:
            if call.program == 'qsub' and call.abandoned:
                self._registry.spend_number()
            else:
                self._on_call(call)

    def close(self) -> None:
        """Leave no process behind."""
        self._runner.close()


def main(arguments: list[str]) -> None:
    """Serve a folder until standard input ends."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as in a real PBS, whose jobs inherit it
    folder, settings = Path(arguments[0]), Settings(**json.loads(arguments[1]))
    os.chdir(folder)
    for name in FOLDERS:
        Path(name).mkdir(exist_ok=True)
    server = Server(settings)
    try:
        server.loop.run()
    finally:
        server.close()
