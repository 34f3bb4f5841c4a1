"""What happens to jobs by themselves: they are queued, start, end, come back to the queue."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Callable

from .dependencies import Dependencies
from .execution import NO_HOME, OVER_WALLTIME, Execution
from .job import ENDED, RUN, SUBJOB_OVER, Job, stamp
from .nodes import Cluster
from .texts import from_path

if TYPE_CHECKING:
    from ..loop import Loop
    from .registry import Registry
    from .settings import Settings

NOT_STARTABLE, TRIES = -3, 21
"""Exit_status of a job whose output cannot be opened, and how often PBS tries."""

NOT_STARTED = 'Not Running: Queue not started.'


class Runner:
    """Moves the jobs of a registry through their states."""

    def __init__(self, registry: Registry, loop: Loop, settings: Callable[[], Settings]) -> None:
        self._registry, self._loop, self._settings = registry, loop, settings
        self._cluster = Cluster(settings())
        self._dependencies = Dependencies(registry, self.queue, self._abort)
        self._scheduled = False

    @property
    def early_exit_status(self) -> int | None:
        """The Exit_status of a job that is deleted before its session is known; None where that is as later."""
        return self._settings().early_exit_status

    def admit(self, job: Job) -> None:
        """Give a new job its first state."""
        self._dependencies.register(job)
        self.queue(job)
        self._dependencies.settle(job)

    def queue(self, job: Job) -> None:
        """Put a job where it belongs that neither runs nor has ended."""
        if job.values['Hold_Types'] != 'n':
            job.enter('H', 22 if job.pending else 20)
            job.change(etime=None)
            return
        wait = int(job.values.get('Execution_Time', '0')) - time.time()
        if wait > 0:
            job.enter('W', 30)
            job.timers.append(self._loop.after(wait, lambda: self.queue(job)))
            return
        job.enter('Q', 10)
        job.values.setdefault('etime', str(int(time.time())))
        self.schedule()

    def _abort(self, job: Job) -> None:
        """End a job whose dependency can never hold."""
        job.stop_timers()
        self.end(job, 92)

    def schedule(self) -> None:
        """Start what fits, soon."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.after(0, self._schedule)

    def _schedule(self) -> None:
        self._scheduled = False
        settings, full = self._settings(), set()
        if not settings.scheduling or settings.down or settings.hung:
            return
        for job in list(self._registry.jobs.values()):
            kind = (job.values.get('Hold_Types'), job.wanted.shown['select'], job.wanted.shown['place'])
            if job.state not in 'QB' or kind[0] != 'n' or kind in full:
                continue
            if not settings.queue_started:
                job.values['comment'] = NOT_STARTED
            elif not (self._start_subjobs(job) if job.is_array else self._start(job)):
                full.add(kind)

    def _start_subjobs(self, array: Job) -> bool:
        """Start as many subjobs as fit; returns whether all were started."""
        most = int(array.values.get('max_run_subjobs', '0')) or len(array.waiting) + len(array.subjobs)
        requeued = [subjob for subjob in array.subjobs.values() if subjob.state == 'Q']
        running = sum(subjob.state in 'RSE' for subjob in array.subjobs.values())
        for _ in range(min(most - running, len(requeued) + len(array.waiting))):
            subjob = requeued.pop(0) if requeued else array.queued_subjob(array.waiting[0])
            place = self._cluster.place(array.wanted)
            if place is None:
                if array.state == 'Q':
                    array.values['comment'] = self._cluster.refusal(array.wanted)
                return False
            self._cluster.release(place)
            if array.state == 'Q':
                array.enter('B', 70)
                array.change(stime=int(time.time()), comment=f'Job Array Began at {stamp(time.time())}')
            known = subjob.index in array.subjobs
            self._start(subjob if known else array.started_subjob(array.waiting[0]))
        return True

    def _start(self, job: Job) -> bool:
        """Start a job if it fits now."""
        job.place = self._cluster.place(job.wanted)
        if job.place is None:
            job.values['comment'] = self._cluster.refusal(job.wanted)
            return False
        job.enter('R', 41)
        job.change(
            comment=f'Job was sent for execution at {stamp(time.time())} on {job.place.vnodes}',
            exec_host=job.place.hosts,
            exec_vnode=job.place.vnodes,
            run_count=int(job.values.get('run_count', '0')) + 1,
        )
        delay = self._settings().start_delay
        if delay:
            job.timers.append(self._loop.after(delay, lambda: self._launch(job)))
        else:
            self._launch(job)
        return True

    def _launch(self, job: Job) -> None:
        execution = Execution(job, self._loop, self._settings, lambda status: self._ended(job, status))
        if not execution.can_write:
            self._give_up(job)
            return
        job.execution = execution
        execution.start()
        now = int(time.time())
        job.change(stime=now, comment=f'Job run at {stamp(now)} on {job.values["exec_vnode"]}')
        job.timers.append(self._loop.after(self._settings().session_delay, lambda: self._report(job, execution)))
        if job.wanted.walltime is not None:
            limit = max(1, job.wanted.walltime)
            job.timers.append(self._loop.after(limit, execution.exceed_walltime))
        self._dependencies.happened(job)

    def _give_up(self, job: Job) -> None:
        """Hold a job that cannot be started, as PBS does when it has tried often enough."""
        self._give_back(job)
        job.change(Exit_status=NOT_STARTABLE, run_count=TRIES, Hold_Types='s', **dict.fromkeys(RUN))
        self.queue(job)
        job.change(comment='job held, too many failed attempts to run')
        self.schedule()

    def _give_back(self, job: Job) -> None:
        """Free the room of a job."""
        if job.place is not None:
            self._cluster.release(job.place)
            job.place = None

    def _report(self, job: Job, execution: Execution) -> None:
        """Show a job's session, as soon as PBS has heard of it."""
        if job.state == 'R' and execution.session:
            job.enter('R', 42)
            job.change(session_id=execution.session, jobdir=from_path(execution.home))
            job.used = {'cpupercent': '0', 'cput': '00:00:00', 'mem': '0kb', 'ncpus': job.wanted.shown['ncpus']}
            job.used.update(vmem='0kb', walltime='00:00:00')

    def _ended(self, job: Job, exit_status: int) -> None:
        """Take note that the processes of a job have ended."""
        job.stop_timers()
        execution = job.execution
        if execution is None or job.state in ENDED:
            return
        if job.requeued is not None:
            self.requeue(job)
            return
        job.used = execution.resources_used()
        if exit_status != NO_HOME:
            job.change(jobdir=from_path(execution.home))
        job.enter('E', 51)
        self._loop.after(self._settings().staging_delay, lambda: self._deliver(job, execution, exit_status))

    def _deliver(self, job: Job, execution: Execution, exit_status: int) -> None:
        arrived = execution.deliver()
        delay = 0 if arrived else self._settings().delivery_timeout
        self._loop.after(delay, lambda: self._complete(job, execution, exit_status, arrived))

    def _complete(self, job: Job, execution: Execution, exit_status: int, arrived: bool) -> None:
        execution.clean_up()
        job.change(Exit_status=exit_status, obittime=int(time.time()))
        if not job.forced:
            job.change(Stageout_status=int(arrived))
        substate, outcome = (92, 'finished') if exit_status == 0 else (93, 'failed')
        if exit_status == OVER_WALLTIME:
            outcome = 'exceeded resource walltime'
        if job.deleted:
            substate = 91
        else:
            job.change(comment=f'{job.values["comment"]} and {outcome}')
        self.end(job, substate)

    def end(self, job: Job, substate: int) -> None:
        """Make a job a thing of the past."""
        self._give_back(job)
        job.enter('X' if job.parent is not None else 'F', substate)
        job.change(history_timestamp=int(time.time()))
        if job.parent is not None:
            bad = substate != 92
            job.parent.change(Stageout_status=job.values.get('Stageout_status', '1'), Exit_status=int(bad))
            if job.index is not None and not self._settings().history:
                job.parent.forget_subjob(job.index)
            self.settle_array(job.parent)
        self._dependencies.happened(job)
        if job.parent is None:
            settings = self._settings()
            if job.forgotten or not settings.history:
                self._registry.discard(job)
            else:
                self._loop.after(settings.history_duration, lambda: self._registry.discard(job))
        for action in job.on_end:
            action()
        self.schedule()

    def settle_array(self, array: Job) -> None:
        """End an array when all its subjobs have ended."""
        subjobs = array.subjobs.values()
        if array.waiting or array.state in ENDED or any(subjob.state not in ENDED for subjob in subjobs):
            return
        for subjob in subjobs:
            subjob.values['job_state'] = 'F'
            if array.deleted:
                subjob.values['substate'] = '91'
        known = [subjob for subjob in subjobs if subjob.values.get('comment') != SUBJOB_OVER]
        failed = any(subjob.values['substate'] != '92' for subjob in known)
        outcome = 'terminated' if array.deleted else 'failed' if failed else 'finished'
        if 'stime' in array.values:
            array.change(comment=f'{array.values["comment"]} and {outcome}', obittime=int(time.time()))
        self.end(array, 91 if array.deleted else 93 if failed else 92)

    def requeue(self, job: Job) -> None:
        """Put a job that ran back into the queue."""
        if job.execution is not None:
            job.execution.clean_up()
            job.execution = None
        self._give_back(job)
        job.change(Exit_status=job.requeued, obittime=int(time.time()), **dict.fromkeys(RUN))
        job.used, job.requeued = {}, None
        actions, job.on_requeue = job.on_requeue, []
        if job.parent is None:
            self.queue(job)
        else:
            job.enter('Q', 10)
        self.schedule()  # others may have its room
        for action in actions:
            action()

    def lose(self) -> None:
        """Forget all jobs; what runs is killed, and its output is lost."""
        jobs = list(self._registry.jobs.values())
        for job in jobs + [subjob for array in jobs for subjob in array.subjobs.values()]:
            job.stop_timers()
            self._give_back(job)
            if job.execution is not None and job.state not in ENDED:
                job.execution.kill()
                job.execution.clean_up()
                job.execution.discard_output()
            job.enter('F', 91)
        self._registry.start_anew()

    def close(self) -> None:
        """Kill whatever runs."""
        for job in self._registry.jobs.values():
            for one in [job, *job.subjobs.values()]:
                if one.execution is not None and one.state not in ENDED:
                    one.execution.kill()
