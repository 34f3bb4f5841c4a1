"""The command ``qstat`` (PBS Professional's qstat(1B))."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import tables
from .arguments import Arguments, parse
from .job import ENDED, Job
from .refusal import FINISHED, UNKNOWN_JOB, Refusal
from .registry import IDENTIFIER, Registry
from .reports import delimited_report, json_report, text_report
from .resources import clock

if TYPE_CHECKING:
    from .settings import Settings

LETTERS = 'ainpqrstwxu:fGHJMQEBW:T1F:D:'
SELECTING = {'i': 'EHQTW', 'r': 'RS', 'H': 'MFX'}
"""Options that show jobs in some states only."""

LONG = 'aiqrHunsGMT1'
"""Options with the long table, which wins over ``-f`` unless ``-w`` is there too."""

USAGE = """usage: 
qstat [-f] [-J] [-p] [-t] [-x] [-E] [-F format | -w] [-D delim] [ job_identifier... | destination... ]
qstat [-a|-i|-r|-H|-T] [-J] [-t] [-u user] [-n] [-s] [-G|-M] [-1] [-w]
\t[ job_identifier... | destination... ]
qstat -Q [-f] [-F format] [-D delim] [ destination... ]
qstat -q [-G|-M] [ destination... ]
qstat -B [-f] [-F format] [-D delim] [ server_name... ]
qstat --version
"""  # noqa: W291
NO_HISTORY = 'PBS is not configured to maintain job history'
HISTORIC = 'Job has finished, use -x or -H to obtain historical job information'


@dataclass
class Answer:
    """What a command prints, and its exit code."""

    out: str = ''
    error: str = ''
    code: int = 0
    reported: list[tuple[str, Job]] = field(default_factory=list)
    """Jobs for the one report at the end."""


class Qstat:
    """One call of ``qstat``.

    :param path, words: the command line
    """

    def __init__(self, registry: Registry, settings: Settings, path: str, words: list[str]) -> None:
        self._registry, self._settings = registry, settings
        self._arguments: Arguments = parse(path, words, LETTERS)
        self._answer = Answer()
        has = self._arguments.has
        self._format = (self._arguments.last('F') or 'default').lower()
        self._wide, self._history = has('w'), has('x') or has('H')
        self._long = any(has(letter) for letter in LONG) and not (self._wide and has('f'))
        self._full, self._headed = has('f') and not self._long, False

    def run(self) -> Answer:
        """Answer the call."""
        problems = self._arguments.errors + self._conflicts()
        if problems:
            return Answer('', ''.join(problems) + USAGE, 2)
        if self._settings.down:
            self._answer.error = (
                f'Connection refused\nqstat: cannot connect to server {self._settings.server} (errno=15010)\n'
            )
            self._answer.code = 255
        elif self._arguments.has('B'):
            return self._describe('Server', self._settings.server, self._server())
        elif self._arguments.has('Q'):
            return self._describe('Queue', self._settings.queues[0], self._queue())
        elif self._arguments.has('E') and self._arguments.operands:
            if not all(operand[:1].isdigit() for operand in self._arguments.operands):
                return Answer('', 'qstat: Express option can only be used with job ids\n', 1)
            self._look_up_at_once()
        else:
            for operand in self._arguments.operands or ['']:
                self._look_up(operand)
        self._answer.out += self._report()
        return self._answer

    def _conflicts(self) -> list[str]:
        """Return the messages about options that do not go together; some are empty, the usage follows anyway."""
        has, conflict = self._arguments.has, 'qstat: conflicting options.\n'
        problems = []
        if self._format not in ('default', 'dsv', 'json'):
            return ['']
        if has('D') and self._format != 'dsv':
            problems.append('')
        if sum(has(letter) for letter in 'airqH') > 1 or (self._format != 'default' and not has('f')):
            problems.append(conflict)
        if has('1') and not (has('n') or has('s')):
            problems.append(conflict)
        if self._wide and self._format != 'default':
            problems.append('qstat: option w cannot be used with -F\n')
        return problems

    def _look_up(self, operand: str) -> None:
        """Add the jobs that one operand names: an id, a queue, or nothing for all."""
        try:
            is_identifier = operand[:1].isdigit()
            jobs = self._by_identifier(operand) if is_identifier else self._by_queue(operand)
        except Refusal as refusal:
            self._answer.error += f'qstat: {refusal.message}\n'
            self._answer.code = refusal.code
            return
        if jobs:
            self._show(jobs)

    def _look_up_at_once(self) -> None:
        """Add the jobs that all operands name (``-E``): in order, without a word about those that are not there.

        Only where there is none at all the last id is complained of.
        """
        known: dict[str, Job] = {}
        asked = []
        for operand in self._arguments.operands:
            try:
                asked.append(self._registry.full(operand))
                known.update((asked[-1], job) for job in self._registry.find(operand))
            except Refusal as refusal:
                if refusal.code == 1:
                    self._answer.error += f'qstat: {refusal.message}\n'
                    self._answer.code = 1
        asked.sort(key=lambda full: [int(number) for number in re.findall(r'\d+', full.partition('.')[0])])
        jobs = [known[full] for full in asked if full in known]
        shown = [job for job in jobs if self._history or job.state != 'F']
        if asked and self._history and not self._settings.history:
            self._answer.error += f'qstat: {NO_HISTORY} {asked[-1]}\n'
        elif shown:
            self._show(self._with_subjobs(shown))
        elif asked:
            text = f'{asked[-1]} {HISTORIC}' if asked[-1] in known else f'Unknown Job Id {asked[-1]}'
            self._answer.error += f'qstat: {text}\n'
            self._answer.code = FINISHED if asked[-1] in known else UNKNOWN_JOB

    def _with_subjobs(self, jobs: list[Job]) -> list[Job]:
        """Put its subjobs behind each array, where ``-t`` asks for them."""
        if not self._arguments.has('t'):
            return jobs
        return [one for job in jobs for one in [job, *(self._registry.subjobs(job) if job.is_array else [])]]

    def _by_identifier(self, operand: str) -> list[Job]:
        match = IDENTIFIER.fullmatch(operand)
        if match is not None and match[4] not in (None, self._settings.server):
            self._answer.error += 'Unknown Host.\n'
            raise Refusal(255, f'cannot connect to server {self._settings.server} (errno=15008)')
        full = self._registry.full(operand)
        if self._history and not self._settings.history:
            self._answer.error += f'qstat: {NO_HISTORY} {full}\n'
            return []
        try:
            jobs = self._registry.find(operand)
        except Refusal as refusal:
            raise Refusal(UNKNOWN_JOB, f'{refusal.message} {full}') from refusal
        if not self._history and any(job.state == 'F' for job in jobs):
            raise Refusal(FINISHED, f'{full} {HISTORIC}')
        return self._with_subjobs(jobs)

    def _by_queue(self, operand: str) -> list[Job]:
        queue = operand.partition('@')[0]
        if queue and queue not in self._settings.queues:
            raise Refusal(170, f'Unknown queue destination {queue}')
        if self._history and not self._settings.history:
            self._answer.error += f'qstat: {NO_HISTORY} \n'
            return []
        jobs = [job for job in self._registry.jobs.values() if queue in ('', job.values['queue'])]
        users = (self._arguments.last('u') or '').split(',')
        states = next((SELECTING[letter] for letter in SELECTING if self._arguments.has(letter)), None)
        return [
            job
            for job in self._with_subjobs(jobs)
            if (self._history or job.state not in ENDED or (job.state == 'X' and self._arguments.has('t')))
            and (users == [''] or job.owner in users)
            and (states is None or job.state in states)
            and (job.is_array or not self._arguments.has('J'))
        ]

    def _show(self, jobs: list[Job]) -> None:
        if self._full:
            self._answer.reported += [(job.identifier, job) for job in jobs]
        elif self._long:
            has = self._arguments.has
            head = '' if self._headed else tables.long_head(self._settings.server, self._wide)
            self._answer.out += head + tables.long_table(jobs, self._wide, has('n'), has('s'), has('1'))
        else:
            self._answer.out += tables.short_table(jobs, self._wide, not self._headed)
        self._headed = True

    def _report(self) -> str:
        jobs = [(name, job.attributes()) for name, job in self._answer.reported]
        settings = self._settings
        if self._format == 'json':
            return json_report(jobs, settings.server, settings.version, int(time.time()), settings.output)
        if self._format == 'dsv':
            return delimited_report(jobs, self._delimiter())
        return text_report(jobs, self._wide)

    def _delimiter(self) -> str:
        return self._arguments.last('D') or '|'

    def _describe(self, kind: str, name: str, attributes: list[tuple[str, str | None, str]]) -> Answer:
        """Describe the server (``-B``) or its queue (``-Q``), always in full."""
        settings = self._settings
        if self._format == 'json':
            now = int(time.time())
            listed = [(name, attributes)]
            return Answer(json_report(listed, settings.server, settings.version, now, settings.output, kind))
        if self._format == 'dsv':
            return Answer(delimited_report([(name, attributes)], self._delimiter(), kind))
        return Answer(text_report([(name, attributes)], self._wide, kind))

    def _counts(self) -> str:
        states = [job.state for job in self._registry.jobs.values()]
        names = ('Transit', 'Queued', 'Held', 'Waiting', 'Running', 'Exiting', 'Begun')
        return ''.join(f'{name}:{states.count(name[0])} ' for name in names)

    def _server(self) -> list[tuple[str, str | None, str]]:
        settings, jobs = self._settings, self._registry.jobs
        kept = ('job_history_duration', clock(settings.history_duration))
        history = [('job_history_enable', 'True'), kept] if settings.history else []
        plain = [
            ('server_state', 'Active'),
            ('server_host', settings.server),
            ('scheduling', str(settings.scheduling)),
            ('total_jobs', str(len(jobs))),
            ('state_count', self._counts()),
            ('default_queue', settings.queues[0]),
            ('max_array_size', str(settings.max_array_size)),
            ('pbs_version', settings.version),
            ('eligible_time_enable', 'False'),
            *history,
            ('max_job_sequence_id', '9999999'),
        ]
        return [(name, None, value) for name, value in plain]

    def _queue(self) -> list[tuple[str, str | None, str]]:
        settings = self._settings
        plain = [
            ('queue_type', 'Execution'),
            ('total_jobs', str(len(self._registry.jobs))),
            ('state_count', self._counts()),
            ('enabled', str(settings.queue_enabled)),
            ('started', str(settings.queue_started)),
        ]
        return [(name, None, value) for name, value in plain]
