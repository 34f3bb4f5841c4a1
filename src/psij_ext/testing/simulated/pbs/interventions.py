"""What people do to jobs: delete, hold, release, rerun, suspend, signal."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Callable

from .job import ENDED, WAITING, Job, stamp
from .refusal import FINISHED, WRONG_STATE, Refusal, refuse

if TYPE_CHECKING:
    from .registry import Registry
    from .runner import Runner

RESTARTED, RERUN = -4, -11
"""Exit_status that a job carries after a restart of the server, and after ``qrerun``."""


class Interventions:
    """Does to jobs what commands and tests ask for; refuses as PBS does."""

    def __init__(self, registry: Registry, runner: Runner) -> None:
        self._registry, self._runner = registry, runner

    def hold(self, job: Job, kinds: str, user: str) -> None:
        """Hold a job; one that runs goes on, and is held when it comes back to the queue."""
        if job.state in ENDED:
            raise refuse(FINISHED)
        if job.parent is not None:
            raise Refusal(156, 'Invalid request')
        held = set(job.values['Hold_Types'].replace('n', '')) | set(kinds)
        job.change(Hold_Types=''.join(kind for kind in 'sou' if kind in held))
        if job.state in WAITING:
            job.stop_timers()
            self._runner.queue(job)
        job.change(comment=f'Job held by {user} on {time.ctime()}')

    def release(self, job: Job, kinds: str) -> None:
        """Release a job from a hold."""
        if job.state in ENDED:
            raise refuse(FINISHED)
        if job.parent is not None:
            raise Refusal(156, 'Invalid request')
        left = [kind for kind in job.values['Hold_Types'] if kind not in kinds + 'n']
        job.change(Hold_Types=''.join(left) or 'n', comment=None)
        if job.state == 'H':
            self._runner.queue(job)
        self._runner.schedule()

    def delete(self, job: Job, by: str, force: bool = False) -> None:
        """Delete a job that has not ended; one that runs gets TERM, and KILL where it does not obey.

        One that is ending already is refused, as was seen on a real PBS.

        :param by: who does it, as ``user@host``; nobody is named where a manager uses force
        :param force: whether to begin with KILL
        """
        if job.state == 'E':
            raise refuse(WRONG_STATE)
        if job.is_array:
            self._delete_array(job, by, force)
        elif job.parent is not None and job.index is not None and job.index not in job.parent.subjobs:
            job.parent.ended_subjob(job.index)
            self._runner.settle_array(job.parent)
        elif job.execution is None or job.state in WAITING:
            job.stop_timers()
            self._runner.end(job, 91)
        elif job.state in 'RS':
            if not job.deleted:
                job.change(comment=f'{job.values["comment"]} and terminated' + (f' by {by}' if by else ''))
            job.deleted, job.forced = True, force
            early = self._runner.early_exit_status
            if early is not None and job.values['substate'] == '41':
                job.execution.kill_at_once(early)
            elif force:
                job.execution.kill()
            else:
                job.execution.terminate()

    def _delete_array(self, array: Job, by: str, force: bool) -> None:
        array.deleted = True
        for index in list(array.waiting):
            array.ended_subjob(index)
        for subjob in list(array.subjobs.values()):
            if subjob.state not in ENDED:
                self.delete(subjob, by, force)
        self._runner.settle_array(array)

    def rerun(self, job: Job, exit_status: int, on_requeue: Callable[[], None]) -> None:
        """Kill a running job and put it back into the queue."""
        if job.state in ENDED:
            raise refuse(FINISHED)
        if job.state not in 'RS' or job.is_array:
            raise refuse(WRONG_STATE)
        if job.values['Rerunable'] != 'True':
            raise Refusal(190, 'job is not rerunnable')
        job.requeued = exit_status
        job.enter('R', 60)
        job.on_requeue.append(on_requeue)
        if job.execution is None:
            job.stop_timers()
            self._runner.requeue(job)
        else:
            job.execution.kill()

    def restart(self) -> None:
        """Requeue what runs, as a server does that was started again; what may not run twice is killed."""
        jobs = list(self._registry.jobs.values())
        for job in jobs + [subjob for array in jobs for subjob in array.subjobs.values()]:
            if job.state in 'RS' and not job.is_array:
                if job.values['Rerunable'] == 'True':
                    self.rerun(job, RESTARTED, lambda: None)
                elif job.execution is not None:
                    job.execution.kill()

    def suspend(self, job: Job) -> None:
        """Stop the processes of a running job. Its walltime goes on, unlike in a real PBS."""
        if job.execution is None or job.values['substate'] != '42':
            raise refuse(WRONG_STATE)
        job.execution.signal(signal.SIGSTOP)
        job.enter('S', 43)

    def resume(self, job: Job) -> None:
        """Let the processes of a suspended job go on."""
        if job.execution is None or job.values['substate'] != '43':
            raise refuse(WRONG_STATE)
        job.execution.signal(signal.SIGCONT)
        job.enter('R', 42)
        job.change(comment=f'Job run at {stamp(time.time())} on {job.values["exec_vnode"]}')

    def signal(self, job: Job, number: int) -> None:
        """Send a signal to all processes of a job."""
        if job.state in ENDED:
            raise refuse(FINISHED)
        if job.execution is None or job.values['substate'] not in ('42', '43'):
            raise refuse(WRONG_STATE)
        job.execution.signal(number)
