"""Places of local jobs: their order, who lives, and what remains of earlier boots."""

from __future__ import annotations

import os
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest

from psij_ext.runtime import processes
from psij_ext.runtime.slots import Slots

DEAD = 2 ** 30  # no pid is so high: proc(5), /proc/sys/kernel/pid_max


def take(slots: Slots, pid: int, cores: int = 1) -> str:
    return slots.take_place(pid, processes.start_time(pid) or 0, cores)


def native_id(pid: int) -> str:
    return f'{pid}.{processes.start_time(pid) or 0}'


def test_a_place_tells_its_owner_and_its_cores(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    name = slots.take_place(12, 345, 6)
    ticket, *rest = name.split('.')
    assert (len(ticket), rest) == (20, ['12', '345', '6'])
    assert [path.name for path in (slots.path / 'waiting').iterdir()] == [name]
    assert slots.waiting() == {'12.345'}


def test_a_job_that_waits_for_others_is_not_in_the_line_for_cores(tmp_path: Path) -> None:
    slots, me = Slots(tmp_path), os.getpid()
    take(slots, DEAD)
    (slots.path / 'held').rmdir()  # as an older version made it
    name = slots.take_place(me, processes.start_time(me) or 0, 3, is_held=True)
    assert [path.name for path in (slots.path / 'held').iterdir()] == [name]
    assert name not in os.listdir(slots.path / 'waiting')
    assert native_id(me) in slots.waiting()
    assert slots.alive() == [native_id(me)]


def test_later_places_sort_behind_earlier_ones(tmp_path: Path) -> None:
    names = []
    lock = threading.Lock()

    def take_many() -> None:
        slots = Slots(tmp_path)  # as another program has it
        for _ in range(50):
            with lock:
                names.append(slots.take_place(1, 1, 1))

    threads = [threading.Thread(target=take_many) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names == sorted(set(names))
    assert len(names) == 200


def test_nobody_sees_a_ticket_before_a_lower_one(tmp_path: Path) -> None:
    """Who has taken a place sees all lower tickets that there will ever be."""
    first, second = Slots(tmp_path), Slots(tmp_path)
    seen: list[tuple[str, set[str]]] = []

    def take_and_look(slots: Slots) -> None:
        for _ in range(50):
            name = slots.take_place(1, 1, 1)
            seen.append((name, {path.name for path in (slots.path / 'waiting').iterdir()}))

    threads = [threading.Thread(target=take_and_look, args=(slots,)) for slots in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = {name for name, _ in seen}
    for name, around in seen:
        assert {other for other in everything if other < name} <= around


def test_only_living_owners_count(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    assert slots.alive() == []
    assert slots.waiting() == frozenset()
    with subprocess.Popen(['/bin/sleep', '1000']) as child:
        try:
            running = take(slots, child.pid)
            take(slots, DEAD)
            take(slots, os.getpid())
            slots.take_place(os.getpid(), 1, 1)  # the pid is ours now; it was somebody else's
            (slots.path / 'waiting' / running).rename(slots.path / 'running' / running)
            assert slots.alive() == [native_id(child.pid), native_id(os.getpid())]
            assert slots.waiting() == {native_id(DEAD), native_id(os.getpid()), f'{os.getpid()}.1'}
        finally:
            child.kill()
    assert slots.alive() == [native_id(os.getpid())]


def test_nobody_else_may_look(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        slots = Slots(tmp_path / 'state')
        take(slots, os.getpid())
    finally:
        os.umask(before)
    assert stat.S_IMODE(slots.path.stat().st_mode) == 0o700
    assert stat.S_ISFIFO((slots.path / 'wake').stat().st_mode)


def test_the_folder_is_made_again(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    take(slots, os.getpid())
    subprocess.run(['rm', '-r', tmp_path / 'slots'], check=True)
    assert slots.alive() == []
    take(slots, os.getpid())
    assert slots.alive() == [native_id(os.getpid())]
    assert (slots.path / 'running').is_dir()


def test_earlier_boots_are_removed(tmp_path: Path) -> None:
    slots = Slots(tmp_path)
    machines = slots.path.parent.parent
    old, new, elsewhere = slots.path.with_name('old-1'), slots.path.with_name('new-1'), machines / 'other' / 'old-1'
    other_namespace = slots.path.with_name(f'{processes.boot_id()}-1')
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    for folder, used in ((old, booted - 60), (new, booted + 60), (elsewhere, 0), (other_namespace, 0)):
        (folder / 'waiting').mkdir(parents=True)
        for path in (folder / 'waiting', folder):
            os.utime(path, (used, used))
    take(slots, os.getpid())
    assert not old.exists()
    # Another machine of our name may have made the second, and pids in another namespace may live.
    assert all(folder.is_dir() for folder in (new, elsewhere, other_namespace))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / 'slots').write_text('in the way')
    with pytest.raises(OSError, match='slots'):
        take(Slots(tmp_path), os.getpid())
