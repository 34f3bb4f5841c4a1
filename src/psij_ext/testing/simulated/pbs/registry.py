"""The jobs that a server knows, by their ids."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Callable

from . import resources
from .job import ENDED, ORDER, Job
from .refusal import UNKNOWN_JOB, Refusal, SubmissionRefusal, refuse

if TYPE_CHECKING:
    from .settings import Settings
    from .submission import Submission

IDENTIFIER = re.compile(r'(\d+)(\[[\d,:-]*\])?(?:\.([^@]*))?(?:@(.*))?')
DEFAULTS = {
    'Checkpoint': 'u',
    'Hold_Types': 'n',
    'Join_Path': 'n',
    'Keep_Files': 'n',
    'Mail_Points': 'a',
    'Priority': '0',
    'Rerunable': 'True',
    'project': '_pbs_project_default',
}


class Registry:
    """All jobs of the server, in the order of their submission."""

    def __init__(self, settings: Callable[[], Settings]) -> None:
        self._settings = settings
        self._next = 0
        self.jobs: dict[str, Job] = {}

    def spend_number(self) -> int:
        """Return the next job number; it is spent even where the submission is then refused."""
        self._next += 1
        return self._next - 1

    def full(self, identifier: str) -> str:
        """Complete an id with the server's name; one that names another server is refused."""
        match = IDENTIFIER.fullmatch(identifier)
        server = self._settings().server
        if match is None or (match[3] or server).lower() != server.lower():
            raise Refusal(1, f'illegally formed job identifier: {identifier}')
        return f'{match[1]}{match[2] or ""}.{server}'

    def find(self, identifier: str) -> list[Job]:
        """Return the jobs that an id names: one, or several for a range of subjobs."""
        full = self.full(identifier)
        if full in self.jobs:
            return [self.jobs[full]]
        match = IDENTIFIER.fullmatch(full)
        array = self.jobs.get(f'{match[1]}[].{match[3]}') if match is not None and match[2] else None
        if array is None or match is None:
            raise refuse(UNKNOWN_JOB)
        found = []
        for text in match[2].strip('[]').split(','):
            first, _, last = text.partition(':')[0].partition('-')
            for index in range(int(first), int(last or first) + 1):
                if index in array.subjobs:
                    found.append(array.subjobs[index])
                elif index in array.waiting:
                    found.append(array.queued_subjob(index))
        if not found:
            raise refuse(UNKNOWN_JOB)
        return found

    def subjobs(self, array: Job) -> list[Job]:
        """Return all subjobs of an array, in order."""
        indices = sorted([*array.subjobs, *array.waiting])
        return [array.subjobs[i] if i in array.subjobs else array.queued_subjob(i) for i in indices]

    def forget_ended(self) -> None:
        """Drop the history."""
        self.jobs = {name: job for name, job in self.jobs.items() if job.state not in ENDED}

    def discard(self, job: Job) -> None:
        """Forget a job, unless its id is another job's by now."""
        if self.jobs.get(job.identifier) is job:
            del self.jobs[job.identifier]

    def start_anew(self) -> None:
        """Forget all jobs and number the next ones from the beginning."""
        self._next = 0
        self.jobs = {}

    def admit(self, submission: Submission, owner: str, arguments: list[str]) -> Job:
        """Make a job of a submission, or refuse it as the server does."""
        settings, number = self._settings(), self.spend_number()
        queue = submission.destination.partition('@')[0] or settings.queues[0]
        if queue not in settings.queues:
            raise SubmissionRefusal(170, 'Unknown queue')
        for name in submission.values:
            if name not in ORDER:
                raise SubmissionRefusal(154, f'Undefined attribute  {name}')
        if set('"/[];:|<>+,?*') & set(submission.values.get('project', '')):
            raise SubmissionRefusal(166, 'Illegal attribute or resource value project')
        wanted = resources.settle(submission.resources, settings.gpus > 0)
        indices = _indices(submission.values.get('array_indices_submitted', ''))
        if len(indices) > settings.max_array_size:
            raise SubmissionRefusal(3, 'Array job exceeds server or queue size limit')
        self._check_limits(owner, wanted.walltime)
        values = self._values(submission, number, queue, owner, arguments)
        variables = [*submission.variables, f'PBS_O_QUEUE={queue}', f'PBS_O_HOST={settings.server}']
        identifier = f'{number}{"[]" if indices else ""}.{settings.server}'
        job = Job(number, identifier, owner, values, wanted, variables, submission.script, submission.command)
        job.waiting = indices
        self.jobs[identifier] = job
        return job

    def _check_limits(self, owner: str, walltime: int | None) -> None:
        settings = self._settings()
        if not settings.queue_enabled:
            raise SubmissionRefusal(173, 'Queue is not enabled')
        if settings.max_walltime is not None and (walltime or 0) > settings.max_walltime:
            raise SubmissionRefusal(188, 'Job violates queue and/or server resource limits')
        own = sum(job.owner == owner and job.state not in ENDED for job in self.jobs.values())
        if settings.max_queued is not None and own >= settings.max_queued:
            raise SubmissionRefusal(38, "would exceed queue generic's per-user limit")

    def _values(
        self, submission: Submission, number: int, queue: str, owner: str, arguments: list[str]
    ) -> dict[str, str]:
        server, now = self._settings().server, str(int(time.time()))
        values = {**DEFAULTS, **submission.values}
        values.update(Job_Owner=f'{owner}@{server}', queue=queue, server=server, Submit_Host=server)
        values.update(ctime=now, mtime=now, qtime=now)
        array = 'array_indices_submitted' in values
        for attribute, letter in (('Output_Path', 'o'), ('Error_Path', 'e')):
            name = f'{values["Job_Name"]}.{letter}{number}' + ('.^array_index^' if array else '')
            values.setdefault(attribute, f'{server}:{submission.folder}/{name}')
        if array:
            values['array'] = 'True'
        if not values.get('Account_Name', 'some'):
            del values['Account_Name']
        if 'umask' in values:
            values['umask'] = str(int(values['umask']))
        if arguments:
            values['Submit_arguments'] = ' '.join(word for word in arguments if word)
        if submission.command:
            values['executable'] = _tag('Executable', submission.command[0])
            if submission.command[1:]:
                values['argument_list'] = ''.join(_tag('Argument', word) for word in submission.command[1:])
        return values


def _tag(name: str, text: str) -> str:
    for char, entity in (('&', '&amp;'), ('<', '&lt;'), ('>', '&gt;')):
        text = text.replace(char, entity)
    return f'<jsdl-hpcpa:{name}>{text}</jsdl-hpcpa:{name}>'


def _indices(text: str) -> list[int]:
    """Read ``X-Y[:Z]``, which was checked before."""
    if not text:
        return []
    bounds, _, step = text.partition(':')
    first, _, last = bounds.partition('-')
    return list(range(int(first), int(last) + 1, int(step or 1)))
