"""What a finished job of PBS used."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from psij_ext.core.exit_info import ResourceUsage
from psij_ext.executors.batch.pbspro_records import parse_jobs
from psij_ext.executors.batch.pbspro_usage import moment, read_usage, seconds

DATA = Path(__file__).parents[2] / 'data' / 'pbspro'


@pytest.fixture(autouse=True)
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The clock of the machine on which qstat runs: an hour before Greenwich in winter, two in summer."""
    monkeypatch.setenv('TZ', 'Europe/Berlin' if os.path.exists('/usr/share/zoneinfo/Europe/Berlin') else 'CET-1CEST,M3.5.0,M10.5.0/3')
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def capture(name: str) -> ResourceUsage:
    seen = parse_jobs((DATA / f'dsv-{name}.stdout').read_text(), '\x1e')
    usage = next(each.usage for each in seen.values())
    assert usage is not None
    return usage


def test_what_a_real_job_used() -> None:
    """The record: cput=00:00:00 mem=7340kb ncpus=1 vmem=10380kb walltime=00:00:09 exec_host=pbshost1/7."""
    used = capture('deleted-running')
    begun, ended = datetime(2026, 11, 20, 13, 2, 34, tzinfo=timezone.utc), datetime(2026, 11, 20, 13, 2, 45, tzinfo=timezone.utc)
    assert used == ResourceUsage(
        wall_time=timedelta(seconds=9), cpu_time=None, cpu_percent=None, max_rss=7340 * 1024, max_vmem=10380 * 1024, cpus=1, nodes=1,
        submit_time=begun, start_time=begun, end_time=ended, raw=used.raw)
    assert used.raw is not None
    assert used.raw['resources_used.walltime'] == '00:00:09'
    assert 'Variable_List' not in used.raw


def test_when_it_ended_is_when_the_state_began() -> None:
    seen = parse_jobs((DATA / 'dsv-deleted-running.stdout').read_text(), '\x1e')['2935']
    assert seen.status.time == datetime(2026, 11, 20, 13, 2, 45, tzinfo=timezone.utc).timestamp()


def test_a_job_that_never_ran_used_nothing() -> None:
    used = capture('deleted-queued')
    assert (used.wall_time, used.cpus, used.nodes, used.start_time) == (None,) * 4
    assert used.end_time == datetime(2026, 11, 20, 13, 2, 39, tzinfo=timezone.utc)  # its mtime: it has no obittime


@pytest.mark.parametrize('name', ['running', 'rerun', 'queued', 'array'])
def test_nothing_is_said_of_living_jobs_and_whole_arrays(name: str) -> None:
    assert all(seen.usage is None for seen in parse_jobs((DATA / f'dsv-{name}.stdout').read_text(), '\x1e').values())


def test_what_is_not_known_is_none() -> None:
    """mem=0kb: seen on jobs that ended before PBS looked at them."""
    zeros = {'resources_used.cput': '00:00:00', 'resources_used.mem': '0kb', 'resources_used.vmem': '0b', 'resources_used.cpupercent': '0',
             'resources_used.walltime': '00:00:00', 'resources_used.ncpus': '0', 'exec_host': '', 'stime': 'Fri Nov 31 14:02:34 2026'}
    assert read_usage(zeros) == ResourceUsage(raw=zeros)
    odd = dict.fromkeys(zeros, '²')
    assert read_usage(odd) == ResourceUsage(raw=odd, nodes=1)
    assert read_usage({}) == ResourceUsage(raw={})


@pytest.mark.parametrize(('text', 'size'), [
    ('5b', 5), ('3068kb', 3_141_632), ('2mb', 2_097_152), ('1gb', 2 ** 30), ('1tb', 2 ** 40), ('3w', 24), ('1kw', 8192), ('5', None), ('kb', None), ('-1kb', None)])
def test_sizes(text: str, size: int | None) -> None:
    assert read_usage({'resources_used.mem': text}).max_rss == size


@pytest.mark.parametrize(('hosts', 'nodes'), [
    ('a/0', 1), ('a/0*4', 1), ('a/0+a/1', 1), ('a/0*2+b/0*2', 2), ('a/0+b/1+c/0+a/2', 3)])
def test_nodes(hosts: str, nodes: int) -> None:
    assert read_usage({'exec_host': hosts}).nodes == nodes


def test_cpu_percent() -> None:
    used = read_usage({'resources_used.cpupercent': '398', 'resources_used.cput': '100:00:01'})
    assert (used.cpu_percent, used.cpu_time) == (398.0, timedelta(hours=100, seconds=1))


@pytest.mark.parametrize(('text', 'expected'), [('01:30:00', 5400), ('100:00:00', 360_000), ('05:30', 330), ('42', 42), ('00:00:01.5', 1), ('', None), ('a', None), ('1:2:3:4', None), ('-1', None)])
def test_spans_of_time(text: str, expected: float | None) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(('text', 'expected'), [
    ('Fri Nov 20 14:02:34 2026', (2026, 11, 20, 13, 2, 34)), ('Sat Jul  4 01:00:00 2026', (2026, 7, 3, 23, 0, 0)), ('1795183354', (2026, 11, 20, 14, 2, 34)),
    ('0', None), ('', None), ('Fri Nov 20', None), ('Fri Nox 20 14:02:34 2026', None), ('Fri Feb 31 14:02:34 2026', None), ('Fri Nov 20 25:02:34 2026', None),
    ('Fri Nov 20 14:02:34 0000', None), ('Fri Dec 31 23:59:59 9999', None), ('Sat Jan  1 00:00:00 0001', None), ('999999999999', None)])
def test_moments(text: str, expected: tuple[int, ...] | None) -> None:
    assert moment(text) == (None if expected is None else datetime(*expected, tzinfo=timezone.utc))  # type: ignore[arg-type,misc]
