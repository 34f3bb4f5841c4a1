"""A job as the server keeps it, and its attributes in the order in which PBS lists them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Callable, Iterator

from .variables import quoted

if TYPE_CHECKING:
    from ..loop import Timer
    from .execution import Execution
    from .nodes import Place
    from .resources import Wanted

ORDER = (
    'Job_Name', 'Job_Owner', 'resources_used', 'job_state', 'queue', 'server', 'Account_Name', 'Checkpoint', 'ctime',
    'depend', 'Error_Path', 'exec_host', 'exec_vnode', 'Execution_Time', 'group_list', 'Hold_Types', 'Join_Path',
    'Keep_Files', 'Mail_Points', 'Mail_Users', 'mtime', 'Output_Path', 'Priority', 'qtime', 'Remove_Files', 'Rerunable',
    'Resource_List', 'stime', 'obittime', 'session_id', 'Shell_Path_List', 'sandbox', 'jobdir', 'stagein', 'stageout',
    'substate', 'User_List', 'Variable_List', 'comment', 'etime', 'umask', 'block', 'run_count', 'Stageout_status',
    'Exit_status', 'Submit_arguments', 'executable', 'argument_list', 'array', 'array_id', 'array_index',
    'array_state_count', 'array_indices_submitted', 'array_indices_remaining', 'history_timestamp', 'project',
    'Submit_Host', 'max_run_subjobs',
)  # fmt: skip
"""Attributes as a user sees them; a manager sees some more, which are not simulated."""

TIMES = ('ctime', 'Execution_Time', 'mtime', 'qtime', 'stime', 'obittime', 'etime')
NOT_OF_SUBJOBS = ('Checkpoint', 'Hold_Types', 'Submit_arguments')
NOT_OF_QUEUED_SUBJOBS = (
    'array', 'array_state_count', 'array_indices_submitted', 'array_indices_remaining', 'project', 'Submit_Host',
    'max_run_subjobs',
)  # fmt: skip
RUN = ('exec_host', 'exec_vnode', 'stime', 'jobdir', 'Stageout_status')
"""Attributes of one run that a requeue takes away; session, end and exit status of the old run stay."""

SUBJOB_OVER = 'Subjob finished'
"""Comment of a subjob of which no more is kept than that it is over (OpenPBS, ``status_subjob`` in stat_job.c)."""

ENDED = 'FX'
WAITING = 'QHW'


def stamp(moment: float) -> str:
    """Write a moment as PBS does in comments."""
    return time.strftime('%a %b %d at %H:%M', time.localtime(moment))


@dataclass
class Job:
    """A job, an array or a subjob.

    :param values: PBS attributes but the lists; moments as seconds since 1970
    :param used: ``resources_used``, empty where nothing was reported yet
    :param pending, dependents: what it still depends on and what depends on it, as pairs of type and job id
    :param subjobs: of an array: the jobs that were started, by index
    :param waiting: of an array: indices that were not started, in order
    :param on_end, on_requeue: what is called when it has ended, and when it is back in the queue
    :param deleted, forced, forgotten: whether ``qdel`` ended it, with ``-W force``, and whether it leaves the history
        with its end (``-x``)
    :param requeued: the Exit_status with which it goes back to the queue when its processes have ended
    """

    number: int
    identifier: str
    owner: str
    values: dict[str, str]
    wanted: Wanted
    variables: list[str]
    script: str | None
    command: list[str]
    used: dict[str, str] = field(default_factory=dict)
    pending: list[tuple[str, str]] = field(default_factory=list)
    dependents: list[tuple[str, str]] = field(default_factory=list)
    subjobs: dict[int, Job] = field(default_factory=dict)
    waiting: list[int] = field(default_factory=list)
    parent: Job | None = None
    index: int | None = None
    place: Place | None = None
    execution: Execution | None = None
    timers: list[Timer] = field(default_factory=list)
    on_end: list[Callable[[], None]] = field(default_factory=list)
    on_requeue: list[Callable[[], None]] = field(default_factory=list)
    deleted: bool = False
    forced: bool = False
    forgotten: bool = False
    requeued: int | None = None

    @property
    def state(self) -> str:
        return self.values['job_state']

    @property
    def is_array(self) -> bool:
        return 'array' in self.values

    def change(self, **values: object) -> None:
        """Set attributes, or remove those that are None; the time of the change is noted."""
        for name, value in values.items():
            if value is None:
                self.values.pop(name, None)
            else:
                self.values[name] = str(value)
        self.values['mtime'] = str(int(time.time()))

    def enter(self, state: str, substate: int) -> None:
        """Go into a state."""
        self.change(job_state=state, substate=substate)

    def stop_timers(self) -> None:
        for timer in self.timers:
            timer.cancel()
        self.timers.clear()

    def attributes(self) -> Iterator[tuple[str, str | None, str]]:
        """Yield name, resource and value of everything that ``qstat -f`` shows, in order."""
        if self.is_array:
            self._count_subjobs()
        groups = {'resources_used': self.used, 'Resource_List': self.wanted.shown}
        for name in ORDER:
            if name in groups:
                for resource, value in groups[name].items():
                    yield name, resource, value
            elif name == 'Variable_List':
                yield name, None, quoted(self.variables)
            elif name in self.values:
                value = self.values[name]
                yield name, None, time.ctime(int(value)) if name in TIMES else value

    def _count_subjobs(self) -> None:
        states = [subjob.state for subjob in self.subjobs.values()]
        running, exiting = sum(s in 'RS' for s in states), states.count('E')
        expired = sum(s.state == 'X' or s.values.get('comment') == SUBJOB_OVER for s in self.subjobs.values())
        self.values['array_state_count'] = (
            f'Queued:{len(self.waiting) + states.count("Q")} Running:{running} Exiting:{exiting} '
            f'Expired:{expired}'
        )
        queued = self.waiting + [i for i, subjob in self.subjobs.items() if subjob.state == 'Q']
        self.values['array_indices_remaining'] = ranges(sorted(queued), self.values['array_indices_submitted'])

    def queued_subjob(self, index: int) -> Job:
        """Return what PBS shows of a subjob that was never started: its array's attributes."""
        values = {name: value for name, value in self.values.items() if name not in NOT_OF_QUEUED_SUBJOBS}
        return self._subjob(index, values)

    def ended_subjob(self, index: int) -> None:
        """Delete a subjob that was never started."""
        self.forget_subjob(index)
        self.waiting.remove(index)

    def forget_subjob(self, index: int) -> None:
        """Keep no more of a subjob than that it is over: what PBS then shows of it are its array's attributes."""
        self.subjobs[index] = subjob = self.queued_subjob(index)
        subjob.values.update(job_state='X', substate=self.values['substate'], comment=SUBJOB_OVER)

    def started_subjob(self, index: int) -> Job:
        """Make a subjob that is about to start."""
        hidden = NOT_OF_QUEUED_SUBJOBS[:4] + NOT_OF_SUBJOBS + ('comment', 'stime', 'Exit_status', 'Stageout_status')
        values = {name: value for name, value in self.values.items() if name not in hidden}
        for name in ('Output_Path', 'Error_Path'):
            values[name] = values[name].replace('^array_index^', str(index))
        values.update(array_id=self.identifier, array_index=str(index))
        values.pop('max_run_subjobs', None)
        subjob = self.subjobs[index] = self._subjob(index, values)
        self.waiting.remove(index)
        return subjob

    def _subjob(self, index: int, values: dict[str, str]) -> Job:
        identifier = self.identifier.replace('[]', f'[{index}]')
        values.update(job_state='Q', substate='10')
        return Job(
            self.number, identifier, self.owner, values, self.wanted, self.variables, self.script, self.command,
            parent=self, index=index,
        )  # fmt: skip


def ranges(indices: list[int], submitted: str) -> str:
    """Write indices as PBS does: ``0-3``, ``1,3-4``, ``-`` for none; ``1-9:3`` where 1, 4 and 7 of it are left."""
    bounds, _, step = submitted.partition(':')
    end, stride = int(bounds.partition('-')[2]), int(step or 1)
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][-1] + stride:
            runs[-1].append(index)
        else:
            runs.append([index])
    texts = []
    for run in runs:
        last = end if run[-1] + stride > end else run[-1]
        texts.append(f'{run[0]}-{last}' + (f':{stride}' if stride > 1 else '') if len(run) > 1 else str(run[0]))
    return ','.join(texts) or '-'
