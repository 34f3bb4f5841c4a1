"""Whatever another process does between any two operations of one that submits or recovers: nothing lost, nothing twice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from interleaving import KEY, PLAYS, Known, Scene, Stage, known, play, warm_up
from shared_scheduler import StagedExecutor

from psij_ext.core.job import Job
from psij_ext.exceptions import SubmitException
from psij_ext.runtime.monitor import StatusMonitor

# Python warns of forks where there are threads (since 3.12); these begin anew.
pytestmark = pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')


# -- what a process does


class Submits(Scene):
    """Each of them submits a job."""

    key: str | None = KEY
    resubmit_failed = False

    def submit(self, stage: Stage, session: str | None = None) -> Known:
        with stage.opened(session) as executor:
            job = stage.job()
            stage.begin()
            executor.submit(job, key=self.key, resubmit_failed=self.resubmit_failed)
            return known(job)

    first = second = submit


class Recovers(Scene):
    """One recovers, and submits once more what was not submitted, as programs do."""

    def recover(self, stage: Stage) -> Known:
        with stage.opened() as executor:
            stage.begin()
            jobs = executor.recover()
            for job in jobs:
                if job.native_id is None:
                    executor.submit(job)
            return known(*jobs)

    def settle_in_rounds(self, stage: Stage) -> None:
        """What the monitor does of itself in any process that submits."""
        StatusMonitor._begin = lambda self: None  # type: ignore[method-assign]
        with stage.opened() as executor:
            executor._has_settled = True
            monitor = executor._get_monitor()
            stage.begin()
            executor._settle_all_open(monitor)
            for now in (1e9, 2e9):
                monitor.poll_once(now)


def cut_short(stage: Stage, said: str, key: str | None, count: int = 1) -> None:
    """End this process while it submits, after the scheduler has heard it or not."""
    executor = stage.opened()

    def end(*_: object) -> None:
        os._exit(0)

    stage.scheduler.answers = [said]
    stage.scheduler.ends = end
    if count == 1:
        executor.submit(stage.job(), key=key)
    else:
        executor.submit_many([stage.job() for _ in range(count)])


# -- two that submit


class TwoUnderAKey(Submits):
    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if first[0][1] != second[0][1] or [native_id for _, native_id in left if native_id is not None] != [first[0][1]]:
            yield f'{first}, {second}, left: {left}'


class AfterARefusal(TwoUnderAKey):
    """The first one's job had the key, and was refused."""

    def first(self, stage: Stage) -> Known:
        with stage.opened() as executor:
            job = stage.job()
            stage.scheduler.answers = ['refused']
            with contextlib.suppress(SubmitException):
                executor.submit(job, key=KEY)
            stage.begin()
            executor.submit(job, key=KEY)
            return known(job)


class WhileItIsTriedAgain(TwoUnderAKey):
    """The first one is refused for a reason that may pass."""

    def first(self, stage: Stage) -> Known:
        stage.scheduler.answers = ['busy', 'heard', 'unheard']
        with stage.opened(submit_retry_time=60) as executor:
            executor.sleep = lambda seconds: None
            job = stage.job()
            stage.begin()
            executor.submit(job, key=KEY)
            return known(job)


class WhereTheFormerFailed(TwoUnderAKey):
    resubmit_failed = True
    most_runs_under_key = 2

    def prepare(self, stage: Stage) -> None:
        with stage.opened() as executor:
            job = stage.job()
            executor.submit(job, key=KEY)
            stage.scheduler.fail(job.native_id)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if first[0][1] != second[0][1] or first[0][1] == '1' or len(left) != 2:
            yield f'{first}, {second}, left: {left}'


class AfterACrash(TwoUnderAKey):
    """A former process was killed while it submitted."""

    said = 'heard'

    def prepare(self, stage: Stage) -> None:
        cut_short(stage, self.said, KEY)


class AfterACrashUnheard(AfterACrash):
    said = 'unheard'


# -- one that recovers


class SubmittedMeanwhile(Submits, Recovers):
    """What a process submits that lives is not given to another one."""

    key = None
    session: str | None = None

    def second(self, stage: Stage) -> Known:
        return self.recover(stage)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if second or first != left:
            yield f'{first}, {second}, left: {left}'


class ManySubmittedMeanwhile(SubmittedMeanwhile):
    def first(self, stage: Stage) -> Known:
        with stage.opened() as executor:
            jobs = [stage.job() for _ in range(3)]
            stage.begin()
            executor.submit_many(jobs)
            return known(*jobs)


class TwoRecover(Recovers):
    """A former process was killed while it submitted."""

    said = 'heard'
    count = 1

    def prepare(self, stage: Stage) -> None:
        cut_short(stage, self.said, None, self.count)

    def first(self, stage: Stage) -> Any:
        return self.recover(stage)

    def second(self, stage: Stage) -> Any:
        return self.recover(stage)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if len([*first, *second]) != self.count or sorted([*first, *second]) != sorted(left):
            yield f'{first}, {second}, left: {left}'


class TwoRecoverUnheard(TwoRecover):
    said = 'unheard'


class TwoRecoverMany(TwoRecover):
    count = 3


class TwoRecoverManyUnheard(TwoRecoverMany):
    said = 'unheard'


class SettledInRounds(TwoRecover):
    """The monitor of one process settles what another one recovers, and submits once more."""

    def first(self, stage: Stage) -> Any:
        self.settle_in_rounds(stage)
        return []


class SettledInRoundsUnheard(SettledInRounds):
    said = 'unheard'


class SettledInRoundsMany(SettledInRounds):
    count = 3


class SettledInRoundsHeardLate(SettledInRounds):
    """The scheduler comes to know the job between the questions of both."""

    said = 'unheard'

    def second(self, stage: Stage) -> Any:
        stage.scheduler.hear_late()
        return super().second(stage)


class RecoveredWhileSettled(SettledInRoundsHeardLate):
    def first(self, stage: Stage) -> Any:
        return self.recover(stage)

    def second(self, stage: Stage) -> Any:
        stage.scheduler.hear_late()
        self.settle_in_rounds(stage)
        return []


class RecoveredWhileItsKeyIsTaken(TwoRecover, Submits):
    """One recovers, the other submits under the key of what was cut short."""

    def prepare(self, stage: Stage) -> None:
        cut_short(stage, self.said, KEY)

    def recover(self, stage: Stage) -> Known:
        with stage.opened() as executor:
            stage.begin()
            jobs = executor.recover()
            for job in jobs:
                if job.native_id is None:
                    executor.submit(job, key=KEY)
            return known(*jobs)

    def second(self, stage: Stage) -> Any:
        return self.submit(stage)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        # Who follows it by its key looks after it, so that nobody else need be given it.
        if len({native_id for _, native_id in [*first, *second]}) != 1 or len(left) != 1:
            yield f'{first}, {second}, left: {left}'


class KeyTakenWhileRecovered(RecoveredWhileItsKeyIsTaken):
    def first(self, stage: Stage) -> Any:
        return self.submit(stage)

    def second(self, stage: Stage) -> Any:
        return self.recover(stage)


class RecoveredWhileItsKeyIsTakenUnheard(RecoveredWhileItsKeyIsTaken):
    said = 'unheard'


class KeyTakenWhileRecoveredUnheard(KeyTakenWhileRecovered):
    said = 'unheard'


class KeyTakenWhileRecoveredHeardLate(KeyTakenWhileRecovered):
    said = 'unheard'

    def second(self, stage: Stage) -> Any:
        stage.scheduler.hear_late()
        return super().second(stage)


# -- the job itself, and those who find it in the scheduler's list


class BegunMeanwhile(Submits):
    """The submit command gives no answer, and the job begins, or not."""

    key = None
    allowed = ('SubmitException',)
    begins = True

    def first(self, stage: Stage) -> Any:
        stage.scheduler.answers = ['heard']
        with stage.opened() as executor:
            job = stage.job()
            stage.begin()
            with contextlib.suppress(SubmitException):
                executor.submit(job)
            if job.native_id is None:
                executor.submit(job)
            return known(job)

    def second(self, stage: Stage) -> Any:
        stage.scheduler.begin_all()
        return []

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if first != left or len(stage.scheduler.runs) != 1:
            yield f'{first}, left: {left}'


class InterruptedMeanwhile(BegunMeanwhile):
    """Somebody presses Ctrl-C while the submit command runs."""

    def first(self, stage: Stage) -> Any:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        stage.scheduler.answers = ['heard']
        stage.scheduler.ends = interrupt
        with stage.opened() as executor:
            job = stage.job()
            stage.begin()
            with contextlib.suppress(KeyboardInterrupt):
                executor.submit(job)
            stage.scheduler.ends = None
            if job.native_id is None:
                executor.submit(job)
            return known(job)


class AttachedMeanwhile(Submits):
    key = None
    act = staticmethod(lambda executor, job: None)

    def second(self, stage: Stage) -> Any:
        with stage.opened() as executor:
            jobs = []
            for native_id in stage.scheduler.jobs:
                job = Job()
                executor.attach(job, native_id)
                self.act(executor, job)
                jobs.append(job)
            return [(job.native_id, str(job.status.state)) for job in jobs]

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if first != left or any(each != ('1', 'QUEUED') for each in second):
            yield f'{first}, {second}, left: {left}'


class CancelledMeanwhile(AttachedMeanwhile):
    act = staticmethod(StagedExecutor.cancel)


class ForkedOffMeanwhile(Scene):
    """Another thread forks the process off, and the child submits with the same executor."""

    forks = True

    def first(self, stage: Stage) -> Any:
        with stage.opened() as executor:
            stage.executor = executor
            executor.submit(stage.job())
            jobs = [stage.job() for _ in range(2)]
            stage.begin()
            self.submit(stage, *jobs)
            return known(*jobs)

    def submit(self, stage: Stage, *jobs: Job) -> None:
        assert stage.executor is not None
        for job in jobs:
            stage.executor.submit(job)

    def second(self, stage: Stage) -> Any:
        jobs = [stage.job() for _ in range(2)]
        self.submit(stage, *jobs)
        assert stage.executor is not None
        assert stage.executor.recover() == []
        stage.executor.close()
        return known(*jobs)

    def check(self, stage: Stage, first: Any, second: Any, left: Known) -> Iterator[str]:
        if len({*first, *second}) != 4 or len(left) != 5:
            yield f'{first}, {second}, left: {left}'


class ForkedOffWhileManyAreSubmitted(ForkedOffMeanwhile):
    def submit(self, stage: Stage, *jobs: Job) -> None:
        assert stage.executor is not None
        stage.executor.submit_many(jobs)


class SubmittedMeanwhileInAnotherSession(SubmittedMeanwhile):
    def first(self, stage: Stage) -> Known:
        return self.submit(stage, 'another')


SCENES = [ForkedOffMeanwhile, ForkedOffWhileManyAreSubmitted, SubmittedMeanwhileInAnotherSession, TwoUnderAKey, AfterARefusal, WhileItIsTriedAgain, WhereTheFormerFailed, AfterACrash, AfterACrashUnheard,
          SubmittedMeanwhile, ManySubmittedMeanwhile, TwoRecover, TwoRecoverUnheard, TwoRecoverMany, TwoRecoverManyUnheard,
          SettledInRounds, SettledInRoundsUnheard, SettledInRoundsMany, SettledInRoundsHeardLate, RecoveredWhileSettled,
          RecoveredWhileItsKeyIsTaken, RecoveredWhileItsKeyIsTakenUnheard, KeyTakenWhileRecovered,
          KeyTakenWhileRecoveredUnheard, KeyTakenWhileRecoveredHeardLate, BegunMeanwhile, InterruptedMeanwhile,
          AttachedMeanwhile, CancelledMeanwhile]


@pytest.fixture(scope='module', autouse=True)
def warm(tmp_path_factory: pytest.TempPathFactory) -> None:
    warm_up(tmp_path_factory.mktemp('warm'))


@pytest.mark.parametrize(('scene', 'plays'), [
    *((scene, PLAYS) for scene in SCENES), *(pytest.param(scene, None, marks=pytest.mark.soak) for scene in SCENES)])
def test_whatever_happens_in_between(scene: type[Scene], plays: int | None, tmp_path: Path) -> None:
    operations, problems = play(scene(), tmp_path, plays)
    assert not problems, '\n'.join(problems)
    assert operations > 10
