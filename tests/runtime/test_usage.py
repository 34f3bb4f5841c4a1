"""What a job used: who is believed, what is unknown, and what is kept."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext.core.exit_info import ExitInfo, ExitReason, ResourceUsage
from psij_ext.core.observation import Observation
from psij_ext.core.resources import ResourceSpec, ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.ending import keep_end, kept_end
from psij_ext.runtime.evidence import Evidence, Patience, Presence
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.judgement import judge
from psij_ext.runtime.records import ExitRecord, ProgressEntry
from psij_ext.runtime.usage import Request, read_usage, request_of, usage_of, usage_record

UTC = timezone.utc
RECORD = ExitRecord(1, '12', 0, 'done', False, 1100.0, user_time=150.0, system_time=50.0, began=1000.0, max_rss=4096)
REQUEST = Request(submitted=900.0, cpus=8, nodes=2)
OWN = ResourceUsage(
    wall_time=timedelta(seconds=100), cpu_time=timedelta(seconds=200), cpu_percent=200.0, max_rss=4096, cpus=8, nodes=2,
    submit_time=datetime.fromtimestamp(900, UTC), start_time=datetime.fromtimestamp(1000, UTC),
    end_time=datetime.fromtimestamp(1100, UTC))
THEIRS = ResourceUsage(
    wall_time=timedelta(seconds=101), cpu_time=timedelta(seconds=202), cpu_percent=190.0, max_rss=5000, max_vmem=6000,
    cpus=16, nodes=3, submit_time=datetime.fromtimestamp(901, UTC), start_time=datetime.fromtimestamp(999, UTC),
    end_time=datetime.fromtimestamp(1101, UTC), raw={'MaxRSS': '5000'})


# -- who is believed


def test_what_the_script_measured() -> None:
    assert usage_of([], RECORD, REQUEST, ran=True) == OWN
    assert usage_of([None, ResourceUsage()], RECORD, REQUEST, ran=True) == OWN


@pytest.mark.parametrize('name', [field.name for field in fields(ResourceUsage)])
def test_the_scheduler_wins_field_by_field(name: str) -> None:
    told = replace(ResourceUsage(), **{name: getattr(THEIRS, name)})
    usage = usage_of([told], RECORD, REQUEST, ran=True)
    for other in (field.name for field in fields(ResourceUsage)):
        if other == name:
            assert getattr(usage, name) == getattr(THEIRS, name)
        elif other != 'cpu_percent':
            assert getattr(usage, other) == getattr(OWN, other)


def test_the_share_of_the_time_fits_the_times() -> None:
    told = ResourceUsage(cpu_time=timedelta(seconds=50))
    assert usage_of([told], RECORD, REQUEST, ran=True).cpu_percent == 50.0
    assert usage_of([told], None, REQUEST, ran=True).cpu_percent is None
    assert usage_of([replace(told, wall_time=timedelta(0))], None, REQUEST, ran=True).cpu_percent is None


def test_of_several_accounts_the_first_is_believed() -> None:
    assert usage_of([THEIRS, OWN], None, REQUEST, ran=True) == THEIRS


def test_a_queue_that_keeps_no_accounts_is_believed_after_the_script_and_before_the_request() -> None:
    told = ResourceUsage(wall_time=timedelta(seconds=99), cpus=16, nodes=3, submit_time=THEIRS.submit_time, raw={'NumCPUs': '16'})
    assert usage_of([], RECORD, REQUEST, ran=True, in_queue=told) == replace(
        OWN, cpus=16, nodes=3, submit_time=THEIRS.submit_time, raw={'NumCPUs': '16'})
    assert usage_of([], None, REQUEST, ran=False, in_queue=told) == told
    assert usage_of([ResourceUsage(cpus=32)], None, REQUEST, ran=True, in_queue=told).cpus == 32


def test_nothing_is_made_up() -> None:
    assert usage_of([], None, Request(), ran=True) == ResourceUsage()
    bare = ExitRecord(1, '12', 137, 'launch', False, 1100.0)
    assert usage_of([], bare, Request(), ran=False) == ResourceUsage(end_time=datetime.fromtimestamp(1100, UTC))
    half = replace(bare, user_time=1.0)
    assert usage_of([], half, Request(), ran=True).cpu_time is None


def test_a_clock_that_was_set_back_tells_nothing() -> None:
    usage = usage_of([], replace(RECORD, began=1200.0), REQUEST, ran=True)
    assert (usage.wall_time, usage.cpu_percent, usage.cpu_time) == (None, None, timedelta(seconds=200))


def test_a_job_that_did_not_run_had_no_cores() -> None:
    usage = usage_of([], None, REQUEST, ran=False)
    assert (usage.cpus, usage.nodes, usage.submit_time) == (None, None, OWN.submit_time)
    assert usage_of([ResourceUsage(start_time=OWN.start_time)], None, REQUEST, ran=False).cpus == 8


class LaterResources(ResourceSpec):
    @property
    def version(self) -> int:
        return 99


@pytest.mark.parametrize(('resources', 'cpus', 'nodes'), [
    (None, 1, 1), (ResourceSpecV1(), 1, 1), (ResourceSpecV1(process_count=3), 3, 1),
    (ResourceSpecV1(node_count=2, processes_per_node=3, cpu_cores_per_process=4), 24, 2),
    (ResourceSpecV1(node_count=2, exclusive_node_use=True), None, 2), (LaterResources(), None, None)])
def test_what_a_spec_asks_for(resources: ResourceSpec | None, cpus: int | None, nodes: int | None) -> None:
    assert request_of(JobSpec('/bin/true', resources=resources), 5.0) == Request(5.0, cpus, nodes)
    assert request_of(None, None) == Request()


# -- in a judgement


def judged(**known: object) -> ResourceUsage:
    found = {name: Presence.FOUND for name, source in (('queue_presence', 'queue'), ('accounting_presence', 'accounting'))
             if source in known}
    evidence = Evidence(request=REQUEST, waited_for_cause=9.0, **found, **known)  # type: ignore[arg-type]
    info = judge(evidence, Patience()).exit_info
    assert info is not None
    assert info.usage is not None
    return info.usage


def said(state: JobState, usage: ResourceUsage | None, attempt: int | None = None) -> Observation:
    return Observation(JobStatus(state), ExitReason.EXITED if state.final else None, usage=usage, attempt=attempt)


FAILED_RECORD = replace(RECORD, exit_code=3)


def test_a_job_that_completed_has_what_its_script_measured() -> None:
    assert judged(exit_record=RECORD) == OWN


@pytest.mark.parametrize('place', ['queue', 'accounting'])
@pytest.mark.parametrize('record', [RECORD, FAILED_RECORD, replace(RECORD, exit_code=143, term_seen=True), None])
@pytest.mark.parametrize('state', [JobState.COMPLETED, JobState.FAILED, JobState.CANCELED])
def test_whatever_the_end_accounting_is_believed(place: str, record: ExitRecord | None, state: JobState) -> None:
    assert judged(exit_record=record, **{place: said(state, THEIRS)}) == THEIRS


def test_accounting_is_believed_before_the_queue() -> None:
    rough = ResourceUsage(max_rss=1, max_vmem=7)
    usage = judged(exit_record=FAILED_RECORD, queue=said(JobState.FAILED, rough),
                   accounting=said(JobState.FAILED, ResourceUsage(max_rss=5000)))
    assert (usage.max_rss, usage.max_vmem, usage.wall_time) == (5000, 7, OWN.wall_time)


@pytest.mark.parametrize('state', [JobState.COMPLETED, JobState.FAILED, JobState.CANCELED])
def test_of_an_end_that_only_the_queue_tells_of_the_queue_tells_the_usage(state: JobState) -> None:
    last = replace(said(state, None, attempt=2), queue_usage=THEIRS)
    assert judged(queue=last) == THEIRS
    assert judged(queue=last, exit_record=replace(FAILED_RECORD, attempt=2)).wall_time == OWN.wall_time
    assert judged(queue=last, exit_record=replace(FAILED_RECORD, attempt=3)) == OWN


def test_what_is_said_of_a_job_that_runs_or_of_an_earlier_attempt_is_not_its_usage() -> None:
    assert judged(exit_record=RECORD, queue=said(JobState.ACTIVE, THEIRS)) == OWN
    second = replace(RECORD, attempt=2)
    assert judged(exit_record=second, queue=said(JobState.FAILED, THEIRS, attempt=1)) == OWN
    progress = (ProgressEntry(2, JobState.ACTIVE, 1000.0),)
    assert judged(exit_record=second, progress=progress, accounting=said(JobState.FAILED, THEIRS, attempt=1)) == OWN
    assert judged(exit_record=second, progress=progress, accounting=said(JobState.FAILED, THEIRS, attempt=2)) == THEIRS


def test_of_a_lost_job_there_is_what_was_asked_for() -> None:
    absent = {'queue_presence': Presence.ABSENT, 'absent_for': 1e6}
    assert judged(**absent) == ResourceUsage(submit_time=OWN.submit_time)
    assert judged(**absent, progress=(ProgressEntry(1, JobState.ACTIVE, 1000.0),)) == ResourceUsage(
        submit_time=OWN.submit_time, cpus=8, nodes=2)


# -- kept


@pytest.mark.parametrize('usage', [OWN, THEIRS, ResourceUsage(), None])
def test_it_is_kept_with_the_end(tmp_path: Path, usage: ResourceUsage | None) -> None:
    folder = JobFolder.create(tmp_path / 'work', 'job')
    keep_end(folder, JobStatus(JobState.COMPLETED, exit_code=0), ExitInfo(ExitReason.EXITED, 0, usage=usage))
    end = kept_end(folder)
    assert end is not None
    assert end[1].usage == usage


def test_an_end_without_usage_is_read(tmp_path: Path) -> None:
    folder = JobFolder.create(tmp_path / 'work', 'job')
    folder.write_end({'state': 'FAILED', 'time': 5.0, 'message': None, 'exit_code': 3, 'reason': 'EXITED', 'signal': None,
                      'cause': None})
    end = kept_end(folder)
    assert end is not None
    assert end[1] == ExitInfo(ExitReason.EXITED, 3)


spans = st.none() | st.timedeltas(timedelta(0), timedelta(days=10_000))
counts = st.none() | st.integers(0, 2 ** 62)
moments = st.none() | st.datetimes(datetime(1980, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))


@given(st.builds(ResourceUsage, spans, spans, st.none() | st.floats(0, 1e6), counts, counts, counts, counts, moments,
                 moments, moments, st.none() | st.dictionaries(st.text(), st.text())))
def test_all_of_it_comes_back(usage: ResourceUsage) -> None:
    back = read_usage(json.loads(json.dumps(usage_record(usage))))
    assert back is not None
    for field in fields(ResourceUsage):
        ours, theirs = getattr(usage, field.name), getattr(back, field.name)
        if isinstance(ours, timedelta):
            assert theirs is not None
            assert abs((ours - theirs).total_seconds()) < 1e-3
        else:
            assert ours == theirs


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner:
                           st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3))


@given(json_values | st.dictionaries(st.sampled_from([field.name for field in fields(ResourceUsage)]), json_values))
def test_whatever_was_kept_is_read_or_unknown(kept: object) -> None:
    usage = read_usage(kept)
    assert (usage is not None) is isinstance(kept, dict)
    if usage is not None:
        for field in fields(ResourceUsage):
            value = getattr(usage, field.name)
            assert value is None or not isinstance(value, bool)
        assert read_usage(usage_record(usage)) == usage
