"""Programs that are killed while they submit, and what became of their jobs: by folders, scheduler and ledger.

The ledger is a file to which each run of a job appends a line, whatever anybody else says of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Dict, Set, Tuple

from psij_ext.core.serialization import JSONSerializer
from psij_ext.runtime.finding import job_folders
from psij_ext.runtime.journal import Journal

PROGRAM = Path(__file__).parent / 'crashing_program.py'
JOBS = 4  # that each program submits
SECONDS = 60.0


@dataclass
class Tally:
    """What was counted, and what should not be: the ids of the jobs with what is wrong about them."""

    kills: int = 0
    hung: int = 0  # kills while a submit command waited for a scheduler that did nothing
    jobs: int = 0
    runs: int = 0
    never_run: int = 0
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (f'{self.kills} kills, {self.hung} of them while the scheduler hung, {self.jobs} jobs, {self.runs} ran, {self.never_run} never: '
                f'lost {len(self.lost)}, twice {len(self.twice)}, wrong {len(self.wrong)}')


class Crashes:
    """A program that is started again and again, and killed.

    :param scheduler: the name of the executor.
    :param variables: what leads its commands to the scheduler.
    :param alive: tells which jobs the scheduler has that are not over, by native id with the folder they came from.
    :param hung: keeps the scheduler from doing anything for a while; None where it cannot hang.
    :param together: whether the program submits its jobs in one call.
    """

    def __init__(self, scheduler: str, folder: Path, variables: Mapping[str, str], alive: Callable[[], Dict[str, str]],
                 hung: Callable[[], AbstractContextManager[None]] | None = None, seed: int = 1, together: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._plan = {'scheduler': scheduler, 'work': str(folder / 'work'), 'ledger': str(folder / 'ledger'),
                      'log': str(folder / 'log'), 'together': together}
        self._folder = folder
        self._work = folder / 'work' / scheduler
        self._variables = {**variables, 'XDG_STATE_HOME': str(folder / 'state')}
        self._alive = alive
        self._hung = hung
        self._random = random.Random(seed)
        self._kills = self._hung_kills = 0

    def play(self, kills: int) -> Tally:
        """Kill a program so many times, in one of several ways in turn, and tell what became of its jobs."""
        seconds, operations = self._measure(JOBS)
        for number in range(kills):
            begins = 'recover' if number % 4 == 3 else 'submit'
            if self._hung is not None and number % 6 == 5:
                self._kill_while_hung(self._hung)
            elif number % 2:
                self._kill_after(self._random.uniform(0.0, seconds), begins)
            else:
                self._see_end(self._start(JOBS, begins, [self._random.randint(1, operations)]))
        self._settle()
        return self._tally()

    def play_all(self, every: int) -> Tally:
        """Kill a program before each operation that it does while it submits, and the next one while it recovers.

        :param every: for those with little time, before each second one, or third, ...
        """
        for begins in ('submit', 'recover'):
            _, operations = self._measure(2)
            program = self._start(2, begins, list(range(1, operations + 1, every)))
            self._await(program)
        self._kills = sum(int(words[1]) for words in self._said('killed'))
        self._settle()
        return self._tally()

    @property
    def can_hang(self) -> bool:
        return self._hung is not None

    # -- one program

    def _start(self, jobs: int, begins: str = 'submit', ends: Sequence[int | None] = (None,)) -> subprocess.Popen[bytes]:
        """Start a program, and wait until it begins to do something."""
        plan = json.dumps({**self._plan, 'jobs': jobs, 'begins': begins, 'ends': ends})
        with (self._folder / 'errors').open('ab') as errors:
            program = subprocess.Popen([sys.executable, str(PROGRAM), plan], stderr=errors, stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, env={**os.environ, **self._variables}, cwd=self._folder)
        assert program.stdout is not None
        program.stdout.readline()
        return program

    def _measure(self, jobs: int) -> Tuple[float, int]:
        """Let a program live to its end; return for how many seconds it submits, and with how many operations."""
        program = self._start(jobs)
        began = time.monotonic()
        self._await(program)
        return time.monotonic() - began, max(int(words[1]) for words in self._said('operations'))

    def _run_out(self) -> None:
        self._await(self._start(0))

    def _await(self, program: subprocess.Popen[bytes]) -> None:
        program.communicate(timeout=SECONDS)
        assert program.returncode == 0, self._errors

    def _kill_after(self, seconds: float, begins: str) -> None:
        self._kill(self._start(JOBS, begins), seconds)

    def _kill_while_hung(self, hung: Callable[[], AbstractContextManager[None]]) -> None:
        """Kill a program whose scheduler hangs; the scheduler wakes when the next one has tried to take up what is left."""
        with hung():
            said = self._count('submits')
            program = self._start(JOBS)
            deadline = time.monotonic() + SECONDS
            while self._count('submits') == said:
                assert time.monotonic() < deadline, f'no submission begins: {self._errors}'
                time.sleep(0.01)
            self._kill(program, self._random.uniform(0.0, 2.0))
            self._hung_kills += self._was_submitting()
            if self._random.random() < 0.5:
                self._kill(self._start(JOBS, 'recover'), self._random.uniform(0.0, 2.0))

    def _kill(self, program: subprocess.Popen[bytes], seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.communicate(timeout=seconds)
        program.kill()
        self._see_end(program)

    def _see_end(self, program: subprocess.Popen[bytes]) -> None:
        """See it end as it was made to, or by itself where it was too quick."""
        program.communicate(timeout=SECONDS)
        assert program.returncode in (0, -signal.SIGKILL), self._errors
        self._kills += program.returncode != 0

    @property
    def _errors(self) -> str:
        return (self._folder / 'errors').read_text(errors='replace')[-4000:]

    # -- what became of it

    def _settle(self) -> None:
        """Let programs without new jobs take up what was left, until nothing is; and see the scheduler out of work."""
        deadline = time.monotonic() + SECONDS
        self._run_out()
        while self._unsettled() or self._alive_here():
            assert time.monotonic() < deadline, (
                f'{self._unsettled()} and {self._alive_here()} do not end: {self._errors}')
            self._run_out()

    def _unsettled(self) -> list[str]:
        return [folder.job_id for folder in job_folders(self._work)
                if (journal := folder.read_journal()).submission is not None and journal.reported is None]

    def _alive_here(self) -> list[str]:
        return [native_id for native_id, folder in self._alive().items() if Path(folder).parent == self._work]

    def _journals(self) -> Dict[str, Journal]:
        """What is kept of each job. One that was submitted again may be in the folder of a second array, too."""
        journals: Dict[str, Journal] = {}
        for folder in job_folders(self._work):
            journal = folder.read_journal()
            if journal.not_submitted is None or folder.job_id not in journals:
                journals[folder.job_id] = journal
        return journals

    def _said(self, kind: str) -> Iterator[list[str]]:
        for line in (self._folder / 'log').read_text().splitlines():
            words = line.split()
            if words[0] == kind:
                yield words

    def _count(self, kind: str) -> int:
        return sum(1 for _ in self._said(kind))

    def _was_submitting(self) -> bool:
        """Whether the last program said that it submits, and not how that went."""
        words = [line.split()[0] for line in (self._folder / 'log').read_text().splitlines()]
        return [word for word in words if word in ('submits', 'submitted', 'refused')][-1] == 'submits'

    def _tally(self) -> Tally:
        journals = self._journals()
        runs = [line.split() for line in (self._folder / 'ledger').read_text().splitlines()]
        tally = Tally(self._kills, self._hung_kills, jobs=len(journals), runs=len(runs))
        counts = Counter(words[0] for words in runs)
        tally.twice = [job_id for job_id, count in counts.items() if count > 1]
        for job_id, *native_id in runs:
            known = journals[job_id].native_id if job_id in journals else None
            if known is None or native_id not in ([], [known]):
                tally.lost.append(f'{job_id} ran as {native_id}, and is known as {known}')
        for _, job_id, native_id in self._said('submitted'):
            if job_id not in journals or journals[job_id].native_id != native_id:
                tally.lost.append(f'{job_id} was submitted as {native_id}')
        for job_id, journal in journals.items():
            if journal.submission is None:
                continue  # its program had not come to the scheduler yet
            problem = _wrong_about(journal, counts[job_id])
            if problem:
                tally.wrong.append(f'{job_id} {problem}')
            tally.never_run += not counts[job_id]
        tally.wrong += self._wrongly_told(journals, {*counts})
        return tally

    def _wrongly_told(self, journals: Mapping[str, Journal], ran: Set[str]) -> list[str]:
        """What the programs were told of ends that is not true."""
        told = []
        for _, job_id, state, exit_code in self._said('saw'):
            wanted = _end_of(journals[job_id]) if job_id in ran else None
            if wanted != (state, int(exit_code) if exit_code.isdigit() else None):
                told.append(f'{job_id} was told to be {state} {exit_code}, and is {wanted}')
        return told + [f'{words[1]} does not end' for words in self._said('stuck')]


def _wrong_about(journal: Journal, runs: int) -> str | None:
    """Tell what a folder says that is not true of a job that has run so many times."""
    if not runs:
        return None if journal.not_submitted is not None and journal.native_id is None else (
            f'never ran, and is known as {journal.native_id}: {journal.end}')
    end = journal.end or {}
    said = (end.get('state'), end.get('exit_code'))
    return None if said == _end_of(journal) else f'ended {_end_of(journal)}, and is called {said}'


def _end_of(journal: Journal) -> tuple[str, int]:
    """How a job ends that runs: as its spec has it."""
    spec = JSONSerializer().loads(journal.spec or '')
    code = int((spec.arguments or [])[5])
    return ('FAILED' if code else 'COMPLETED'), code
