"""Hints over the network: whatever is sent, no more comes of it than that folders are looked at, and not too often."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_mock import MockerFixture
from scenes import ACTIVE, COMPLETED, QUEUED, Scene

from psij_ext.runtime import listener as listener_module
from psij_ext.runtime.events import Mailbox
from psij_ext.runtime.hints import Hints
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.listener import Listener, hosts_for_hints

SECRET, NAME = b'0123456789abcdef0123456789abcdef', 'job-1'


class Heard:
    """What a listener told of, and how many times."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.times = 0
        self._came = threading.Condition()

    def __call__(self, names: set[str]) -> None:
        with self._came:
            self.names += sorted(names)
            self.times += 1
            self._came.notify_all()

    def wait_for(self, count: int) -> None:
        with self._came:
            assert self._came.wait_for(lambda: len(self.names) >= count, 10), self.names


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def listener(heard: Heard) -> Iterator[Listener]:
    made = Listener(['127.0.0.1'], {SECRET: NAME}, heard)
    yield made
    made.close()


def open_things() -> tuple[int, int]:
    return threading.active_count(), len(os.listdir('/proc/self/fd'))


def send(listener: Listener, *messages: bytes) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for message in messages:
            sender.sendto(message, listener.addresses[0])


def test_a_secret_tells_the_name_of_its_job(listener: Listener, heard: Heard) -> None:
    send(listener, SECRET)
    heard.wait_for(1)
    assert heard.names == [NAME]


def test_nothing_else_tells_anything(listener: Listener, heard: Heard) -> None:
    send(listener, b'', b'x', SECRET[:-1], SECRET + b'x', SECRET.upper(), NAME.encode(), b'\0' * 60_000, os.urandom(40), SECRET + b'\n')
    send(listener, SECRET)  # it comes after all of them
    heard.wait_for(1)
    assert heard.names == [NAME]


def test_it_hears_at_no_other_address(listener: Listener) -> None:
    (host, port), = listener.addresses
    listening = [line.split()[1] for line in Path('/proc/net/udp').read_text().splitlines()[1:]]
    assert host == '127.0.0.1'
    assert [each for each in listening if each.endswith(f':{port:04X}')] == [f'0100007F:{port:04X}']


def test_it_hears_at_an_address_of_the_newer_kind(heard: Heard) -> None:
    try:
        listener = Listener(['::1'], {SECRET: NAME}, heard)
    except OSError:  # this machine has none: then that is said
        return
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(SECRET, listener.addresses[0])
    heard.wait_for(1)
    listener.close()


def test_an_address_that_is_not_ours_is_passed_over(heard: Heard) -> None:
    listener = Listener(['192.0.2.1', '127.0.0.1'], {}, heard)
    assert [host for host, _ in listener.addresses] == ['127.0.0.1']
    listener.close()
    with pytest.raises(OSError, match='assign'):
        Listener(['192.0.2.1'], {}, heard)


def test_it_ends_when_it_is_closed_and_leaves_nothing_open(heard: Heard) -> None:
    before = open_things()
    listener = Listener(['127.0.0.1'], {}, heard)
    listener.close()
    listener.close()
    assert open_things() == before


def test_a_child_process_leaves_the_hints_to_its_parent(listener: Listener, heard: Heard) -> None:
    mine = {f'socket:[{inode}]' for inode in _inodes(listener.addresses[0][1])}
    assert mine & _open_files()
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write, b'kept' if mine & _open_files() else b'left')
        os._exit(0)
    os.close(write)
    assert os.read(read, 10) == b'left'
    os.close(read)
    os.waitpid(child, 0)
    send(listener, SECRET)
    heard.wait_for(1)


def _open_files() -> set[str]:
    found = set()
    for number in os.listdir('/proc/self/fd'):
        with contextlib.suppress(FileNotFoundError):  # that of the folder itself
            found.add(os.readlink(f'/proc/self/fd/{number}'))
    return found


def _inodes(port: int) -> list[str]:
    lines = [line.split() for line in Path('/proc/net/udp').read_text().splitlines()[1:]]
    return [words[9] for words in lines if words[1].endswith(f':{port:04X}')]


@pytest.mark.parametrize('message', [SECRET, b'f' * 32])
def test_a_flood_costs_little(listener: Listener, heard: Heard, message: bytes) -> None:
    """As many messages as the kernel takes, for two seconds."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(listener.addresses[0])
        clock = time.clock_gettime_ns
        listening = time.pthread_getcpuclockid(listener._thread.ident)  # type: ignore[union-attr, arg-type]
        began, used, memory = time.monotonic(), clock(listening), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        sent = 0
        while time.monotonic() - began < 2.0:
            for _ in range(500):
                sender.send(message)
            sent += 500
    seconds, cost = time.monotonic() - began, (clock(listening) - used) / 1e9
    assert sent / seconds > 20_000
    assert cost / seconds < 0.2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 2048
    assert heard.times <= seconds / listener_module._SECONDS_BETWEEN_READS + 1


def test_so_many_names_a_second_are_told_and_no_more(heard: Heard, mocker: MockerFixture) -> None:
    mocker.patch.object(listener_module, '_MOST_NAMES', 20.0)
    mocker.patch.object(listener_module, '_NAMES_A_SECOND', 10.0)
    secrets = [b'%032d' % number for number in range(100)]
    listener = Listener(['127.0.0.1'], {secret: secret.decode() for secret in secrets}, heard)
    began = time.monotonic()
    send(listener, *secrets)
    heard.wait_for(20)
    time.sleep(0.2)
    listener.close()
    assert 20 <= len(heard.names) <= 20 + 10 * (time.monotonic() - began) + 1


# -- the mailbox's door


def test_the_door_tells_scripts_where_hints_are_heard(tmp_path: Path, listener: Listener) -> None:
    box = Mailbox(tmp_path, listener)
    door = box.path / '.door'
    assert door.read_text() == f'127.0.0.1 {listener.addresses[0][1]}\n'
    assert stat.S_IMODE(door.stat().st_mode) == 0o600
    assert box.empty() == []
    assert door.exists()
    box.close()
    assert not box.path.exists()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as another:
        another.bind(tuple(listener.addresses[0]))  # it is free again


def test_a_mailbox_is_looked_into_less_often_where_hints_are_heard(tmp_path: Path, listener: Listener) -> None:
    assert Mailbox(tmp_path).seconds_between_looks == 0.02  # within the 50 ms in which an end is to be told
    assert Mailbox(tmp_path, listener).seconds_between_looks == 0.1  # within the 500 ms for the slowest


def test_without_a_mailbox_nobody_listens(tmp_path: Path) -> None:
    (tmp_path / '.mailboxes').symlink_to(tmp_path)
    hints, before = Hints('test', lambda: None), open_things()
    with pytest.raises(PermissionError):
        hints.mailbox(tmp_path, '127.0.0.1')
    assert open_things() == before


def test_without_a_thread_nothing_stays_open(mocker: MockerFixture) -> None:
    before = open_things()
    mocker.patch.object(threading.Thread, 'start', side_effect=RuntimeError("can't start new thread"))
    with pytest.raises(RuntimeError):
        Listener(['127.0.0.1'], {}, print)
    assert open_things() == before


@pytest.mark.parametrize(('remote', 'wanted', 'hosts'), [
    (False, 'auto', ('127.0.0.1',)), (True, None, ()), (False, None, ()), (True, '10.1.2.3', ('10.1.2.3',)),
    (False, '10.1.2.3', ('10.1.2.3',))])
def test_where_hints_are_heard(
        tmp_path: Path, mocker: MockerFixture, remote: bool, wanted: str | None, hosts: tuple[str, ...]) -> None:
    mocker.patch.object(listener_module, 'is_on_network', return_value=remote)
    assert tuple(hosts_for_hints(tmp_path, wanted)) == hosts


def test_on_a_network_file_system_it_is_at_the_interfaces(tmp_path: Path, mocker: MockerFixture) -> None:
    mocker.patch.object(listener_module, 'is_on_network', return_value=True)
    hosts = hosts_for_hints(tmp_path, 'auto')
    assert not [host for host in hosts if host.startswith('127.') or host == '0.0.0.0']
    known = Path('/proc/net/fib_trie').read_text()
    assert all(f'|-- {host}\n' in known for host in hosts)


# -- what a message does to a monitor


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    made = Scene(tmp_path)
    yield made
    made.monitor.close()


def knock(scene: Scene, job_id: str) -> None:
    scene.monitor.hints.hear({job_id})


def test_a_message_makes_a_folder_be_read_and_nothing_be_asked(scene: Scene) -> None:
    job = scene.follow('1')
    scene.poll()
    scene.enter(job, 'ACTIVE', hint=False)
    scene.poll()
    assert scene.seen[job.id] == [QUEUED]
    asked = len(scene.source.asked)
    knock(scene, job.id)
    scene.poll()
    scene.end(job, hint=False)
    knock(scene, job.id)
    scene.poll()
    assert scene.seen[job.id] == [QUEUED, ACTIVE, COMPLETED]
    assert len(scene.source.asked) == asked


def test_a_message_that_is_no_news_changes_nothing(scene: Scene) -> None:
    job = scene.follow('1')
    scene.poll()
    for _ in range(100):
        knock(scene, job.id)
        knock(scene, 'another')
        scene.poll()
    assert (scene.seen[job.id], len(scene.source.asked)) == ([QUEUED], 0)


def test_the_secret_of_a_job_that_is_over_says_nothing(scene: Scene) -> None:
    job = scene.follow('1')
    scene.followed(job)
    assert scene.monitor.hints._names == {}
    other = scene.work / 'other'
    other.mkdir()
    folder = JobFolder(other)
    folder.open_journal({'nonce': 'secret'}, '')
    second = scene.follow('2', folder=folder)
    assert scene.monitor.hints._names == {b'secret': 'other'}
    (other / 'exit').write_text('attempt=1\nnative_id=2\nexit_code=0\nphase=done\nterm=\nbegan=\nended=1\n')
    scene.poll()
    assert second.status.final
    assert scene.monitor.hints._names == {}
