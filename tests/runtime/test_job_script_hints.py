"""Hints that a job's script sends over the network: they wait for nobody, and harm nothing where they cannot be sent."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from job_scripts import Make, shell

# What `Scripted` calls its submission.
SECRET = b'n'


@pytest.fixture
def ear() -> Iterator[socket.socket]:
    """Somebody who hears what is sent over the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(('127.0.0.1', 0))
        made.settimeout(10)
        yield made


def heard(ear: socket.socket) -> list[bytes]:
    """All that has been sent."""
    messages = []
    ear.setblocking(False)
    while True:
        try:
            messages.append(ear.recv(1000))
        except BlockingIOError:
            return messages


def open_door(mailbox: Path, *lines: str) -> None:
    (mailbox / '.door').write_text(''.join(f'{line}\n' for line in lines))


def port_of(ear: socket.socket) -> int:
    return int(ear.getsockname()[1])


def test_every_step_is_told_with_the_secret_alone(scripted: Make, ear: socket.socket) -> None:
    job = scripted(shell('exit 3'))
    open_door(job.mailbox, f'127.0.0.1 {port_of(ear)}')
    assert job.run() == 3
    assert heard(ear) == [SECRET, SECRET]  # it began, it ended
    assert (job.mailbox / job.job.id).exists()


def test_an_end_is_told_when_its_record_is_there(scripted: Make, ear: socket.socket) -> None:
    job = scripted(shell('exit 3'))
    open_door(job.mailbox, f'127.0.0.1 {port_of(ear)}')
    process = job.start()
    assert [ear.recv(1000), ear.recv(1000)] == [SECRET, SECRET]
    assert job.record.exit_code == 3
    process.wait()


def test_those_who_came_later_hear_of_it_too(scripted: Make, ear: socket.socket, tmp_path: Path) -> None:
    job = scripted(shell('exit 0'))
    later = tmp_path / 'a later\nmailbox'
    later.mkdir()
    open_door(later, f'127.0.0.1 {port_of(ear)}')
    job.folder.add_follower(later)
    assert job.run() == 0
    assert heard(ear) == [SECRET, SECRET]


@pytest.mark.parametrize('door', [
    '127.0.0.1 1', '192.0.2.1 9', '0.0.0.0 0', '::1 9', '127.0.0.1 99999', '127.0.0.1 x', '127.0.0.1', '', '/ /', '../../etc 1'])
def test_a_door_behind_which_nobody_is_harms_nothing(scripted: Make, ear: socket.socket, door: str) -> None:
    job = scripted(shell('exit 0'))
    open_door(job.mailbox, door, f'127.0.0.1 {port_of(ear)}')
    began = time.monotonic()
    assert job.run() == 0
    assert time.monotonic() - began < 5
    assert job.words == ''
    assert heard(ear) == [SECRET, SECRET]


def test_a_shell_that_cannot_send_leaves_its_hints_in_the_mailbox(scripted: Make, ear: socket.socket) -> None:
    """Such a bash takes the name for that of a file, which is not there."""
    job = scripted(shell('exit 0'), replaced={'/dev/udp/': '/dev/not/udp/'})
    open_door(job.mailbox, f'127.0.0.1 {port_of(ear)}')
    assert job.run() == 0
    assert (job.words, heard(ear)) == ('', [])
    assert (job.mailbox / job.job.id).exists()
