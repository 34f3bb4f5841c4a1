"""The commands that act on jobs: ``qdel``, ``qhold``, ``qrls``, ``qrerun``, ``qsig``, ``qselect``."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Callable

from .arguments import Arguments, parse
from .interventions import RERUN
from .job import ENDED, Job
from .qstat import NO_HISTORY, Answer
from .refusal import FINISHED, UNAUTHORIZED, Refusal, refuse

if TYPE_CHECKING:
    from .interventions import Interventions
    from .registry import Registry
    from .settings import Settings

LETTERS = {
    'qdel': 'W:x',
    'qhold': 'h:',
    'qrls': 'h:',
    'qrerun': 'W:',
    'qsig': 's:',
    'qselect': 'a:A:c:h:HJl:N:p:q:r:s:t:Tu:xP:',
}
USAGE = {
    'qdel': 'usage:\n\tqdel [-W force|suppress_email=X] [-x] job_identifier...\n\tqdel --version\n',
    'qhold': 'usage: qhold [-h hold_list] job_identifier...\n       qhold --version\n',
    'qrls': 'usage: qrls [-h hold_list] job_identifier...\n       qrls --version\n',
    'qrerun': 'usage: qrerun [-W force] job_identifier...\n       qrerun --version\n',
    'qsig': 'usage: qsig [-s signal] job_identifier...\n       qsig --version\n',
    'qselect': 'usage: qselect [-a [op]date_time] [-A account_string] [-c [op]interval]\n'
    '\t[-h hold_list] [-H] [-J] [-l resource_list] [-N name] [-p [op]priority]\n'
    '\t[-q destination] [-r y|n] [-s states] [-t subopt[op]date_time] [-T] [-P project_name]\n'
    '\t[-x] [-u user_name]\n       qselect --version\n',
}
NO_HISTORY_OF_SUBJOB = (55, 'Request invalid for finished array subjob')


class Commands:
    """Answers the commands that act on jobs.

    :param user: who calls
    """

    def __init__(self, registry: Registry, interventions: Interventions, settings: Settings, user: str) -> None:
        self._registry, self._interventions = registry, interventions
        self._settings, self._user = settings, user
        self._manager = user in settings.managers

    def run(self, program: str, path: str, words: list[str], on_wait: Callable[[], None]) -> tuple[Answer, int]:
        """Answer a command; returns the answer and how many times `on_wait` will be called before it is complete."""
        arguments = parse(path, words, LETTERS[program])
        if arguments.errors or bool(arguments.operands) == (program == 'qselect'):
            return Answer('', ''.join(arguments.errors) + USAGE[program], 2), 0
        if self._settings.down:
            return self._unreachable(program), 0
        if program == 'qselect':
            return self._select(arguments), 0
        answer, waits = Answer(), 0
        operands = arguments.operands
        if program == 'qdel':  # it looks at all ids before it asks the server
            operands = sorted(operands, key=self._is_well_formed)
        for operand in operands:
            try:
                waits += self._act(program, operand, arguments, on_wait)
            except Refusal as refusal:
                answer.error += f'{program}: {self._describe(program, operand, refusal)}\n'
                answer.code = refusal.code
                if refusal.usage:
                    return Answer('', answer.error + USAGE[program], refusal.code), 0
        return answer, waits

    def _is_well_formed(self, operand: str) -> bool:
        try:
            self._registry.full(operand)
        except Refusal:
            return False
        return True

    def _describe(self, program: str, operand: str, refusal: Refusal) -> str:
        """Word a refusal; which commands name the id, and how, is PBS's own way."""
        if refusal.code == 1 or refusal.usage or (refusal.code == FINISHED and program != 'qdel'):
            return refusal.message
        return f'{refusal.message} {operand if program == "qdel" else self._registry.full(operand)}'

    def _unreachable(self, program: str) -> Answer:
        server = self._settings.server
        if program == 'qdel':
            return Answer('', f"Connection refused\nCouldn't connect to cluster: {server}\n", 162)
        return Answer('', f'Connection refused\n{program}: cannot connect to server {server[:7]} (errno=15010)\n', 162)

    def _act(self, program: str, operand: str, arguments: Arguments, on_wait: Callable[[], None]) -> int:
        """Do what a command asks for to one job; returns 1 where that takes time."""
        jobs = self._registry.find(operand)
        for job in jobs:
            if not self._manager and (program == 'qrerun' or job.owner != self._user):
                raise refuse(UNAUTHORIZED)
            if program == 'qdel':
                self._delete(job, arguments)
            elif program == 'qhold':
                self._interventions.hold(job, self._kinds(arguments), self._user)
            elif program == 'qrls':
                self._interventions.release(job, self._kinds(arguments))
            elif program == 'qsig':
                self._signal(job, arguments.last('s') or 'SIGTERM')
            else:
                self._interventions.rerun(job, RERUN, on_wait)
        return len(jobs) if program == 'qrerun' else 0

    def _kinds(self, arguments: Arguments) -> str:
        kinds = arguments.last('h') or 'u'
        if not set(kinds) <= set('uosnp'):
            raise Refusal(2, 'illegal -h value', usage=True)
        if set(kinds) & set('os') and not self._manager:
            raise refuse(UNAUTHORIZED)
        return kinds

    def _delete(self, job: Job, arguments: Arguments) -> None:
        force, forget = arguments.last('W') == 'force', arguments.has('x')
        if job.parent is not None and job.state in ENDED:
            raise Refusal(*NO_HISTORY_OF_SUBJOB)
        if job.state in ENDED and not forget:
            raise refuse(FINISHED)
        job.forgotten = forget
        if job.state in ENDED:
            self._registry.discard(job)
        else:
            by = '' if force and self._manager else f'{self._user}@{self._settings.server}'
            self._interventions.delete(job, by, force)

    def _signal(self, job: Job, name: str) -> None:
        if name in ('suspend', 'resume'):
            if not self._manager:
                raise refuse(UNAUTHORIZED)
            if name == 'suspend':
                self._interventions.suspend(job)
            else:
                self._interventions.resume(job)
            return
        if job.state in ENDED:
            raise refuse(FINISHED)
        names = {sign.name: sign.value for sign in signal.Signals}
        number = int(name) if name.isdigit() else names.get(name if name.startswith('SIG') else f'SIG{name}')
        if number is None:
            raise Refusal(165, 'Unknown/illegal signal name')
        self._interventions.signal(job, number)

    def _select(self, arguments: Arguments) -> Answer:
        history = arguments.has('x') or arguments.has('H')
        if history and not self._settings.history:
            return Answer('', f'qselect: {NO_HISTORY}\n', 0)
        states = 'FM' if arguments.has('H') else arguments.last('s')
        if set(states or '') - set('BEFHMQRSTUWX'):
            return Answer('', 'qselect: illegal -s value\n' + USAGE['qselect'], 2)
        if (arguments.last('q') or self._settings.queues[0]) not in self._settings.queues:
            return Answer('', 'qselect: Unknown queue destination\n', 170)
        users = (arguments.last('u') or '').split(',')
        jobs = list(self._registry.jobs.values())
        if arguments.has('T'):
            jobs = [one for job in jobs for one in (self._registry.subjobs(job) if job.is_array else [job])]
        wanted = {'A': 'Account_Name', 'N': 'Job_Name', 'P': 'project', 'q': 'queue'}
        chosen = [
            job.identifier
            for job in jobs
            if (history or job.state not in ENDED)
            and (states is None or job.state in states)
            and (users == [''] or job.owner in users)
            and (job.is_array or not arguments.has('J'))
            and all(job.values.get(wanted[key]) == value for key, value in arguments.options if key in wanted)
        ]
        return Answer(''.join(f'{identifier}\n' for identifier in chosen))
