from __future__ import annotations

import stat
from pathlib import Path

import pytest
from pytest_mock import MockerFixture

from psij_ext.runtime.events import Mailbox, is_on_network


def test_hints_are_taken_out_once(tmp_path: Path) -> None:
    box = Mailbox(tmp_path / 'work')
    assert box.empty() == []
    (box.path / 'job-1').touch()
    (box.path / 'odd "name"\n').touch()
    assert sorted(box.empty()) == ['job-1', 'odd "name"\n']
    assert box.empty() == []


def test_a_mailbox_is_private_and_its_own(tmp_path: Path) -> None:
    first, second = Mailbox(tmp_path), Mailbox(tmp_path)
    assert first.path != second.path
    assert {stat.S_IMODE(path.stat().st_mode) for path in (first.path, first.path.parent, second.path)} == {0o700}


def test_what_cannot_be_removed_harms_nothing(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    (box.path / 'folder').mkdir()
    (box.path / 'job-1').touch()
    assert sorted(box.empty()) == ['folder', 'job-1']
    box.close()
    assert not box.path.exists()


def test_a_mailbox_that_is_gone_is_empty(tmp_path: Path) -> None:
    box = Mailbox(tmp_path)
    box.close()
    box.close()
    assert box.empty() == []


@pytest.mark.parametrize(('path', 'remote'), [
    ('/home/x', True), ('/home', True), ('/homestead', False), ('/', False), ('/home/local/x', False),
    ('/mnt/a b/x', True), ('/mnt/é/x', True), ('/mnt/back\\slash', True), ('/mnt/other', False), ('/twice/x', False),
])
def test_network_file_systems_are_known_by_their_mounts(mocker: MockerFixture, path: str, remote: bool) -> None:
    mounts = ''.join(f'{number} 1 0:{number} / {point} rw,relatime shared:1 - {kind} server:/x rw\n' for number, (point, kind) in enumerate([
        ('/', 'ext4'), ('/home', 'nfs4'), ('/home/local', 'xfs'), (r'/mnt/a\040b', 'lustre'), ('/mnt/é', 'beegfs'),
        (r'/mnt/back\134slash', 'gpfs'), ('/twice', 'nfs'), ('/twice', 'tmpfs')]))
    mocker.patch.object(Path, 'read_text', return_value=mounts)
    mocker.patch.object(Path, 'resolve', lambda self: self)
    assert is_on_network(Path(path)) is remote


def test_where_the_system_does_not_say_a_path_is_local(mocker: MockerFixture) -> None:
    mocker.patch.object(Path, 'read_text', side_effect=OSError)
    assert not is_on_network(Path('/home'))
