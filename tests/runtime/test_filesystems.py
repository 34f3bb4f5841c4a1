from __future__ import annotations

from pathlib import Path

import pytest

from psij_ext.runtime import filesystems
from psij_ext.runtime.filesystems import file_system_type, is_local, is_on_network

# As in proc(5), with and without optional fields; /home is an automounter's, with an NFS over it.
MOUNTS = r'''22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,nosuid - proc proc rw
30 22 0:40 / /home rw shared:5 master:2 - autofs systemd-1 rw
31 30 0:41 / /home rw,relatime shared:6 - nfs4 server:/home rw
32 31 8:2 / /home/me/local\040disk rw - xfs /dev/sdb rw
34 22 0:51 / /mnt/é rw - beegfs beegfs_nodev rw
35 22 0:52 / /mnt/back\134slash rw - gpfs fs rw
33 22 0:50 / /lustre rw - lustre 10.0.0.1@o2ib:/fs rw
a line that means nothing
'''


@pytest.mark.parametrize(('path', 'kind'), [
    ('/', 'ext4'), ('/var/x', 'ext4'), ('/homeless', 'ext4'), ('/home', 'nfs4'), ('/home/me/state', 'nfs4'),
    ('/home/me/local disk', 'xfs'), ('/home/me/local disk/x', 'xfs'), ('/home/me/local', 'nfs4'), ('/lustre/me', 'lustre'),
    ('/mnt/é/x', 'beegfs'), (r'/mnt/back\slash', 'gpfs')])
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert file_system_type(Path(path), MOUNTS) == kind


def test_without_mounts_nothing_is_known() -> None:
    assert file_system_type(Path('/x'), '') is None


@pytest.mark.parametrize(('kind', 'local', 'remote'), [
    ('ext4', True, False), ('xfs', True, False), ('tmpfs', True, False), ('nfs4', False, True), ('nfs', False, True),
    ('lustre', False, True), ('gpfs', False, True), ('fuse.sshfs', False, True), ('9p', False, True),
    ('something new', False, False)])
def test_of_what_is_not_known_neither_is_certain(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, local: bool, remote: bool) -> None:
    mounts = tmp_path / 'mountinfo'
    mounts.write_text(f'22 1 8:1 / / rw - {kind.replace(" ", "_")} x rw\n')
    monkeypatch.setattr(filesystems, '_MOUNTS', mounts)
    assert (is_local(tmp_path), is_on_network(tmp_path)) == (local, remote)


def test_without_mountinfo_neither_is_certain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystems, '_MOUNTS', tmp_path / 'missing')
    assert not is_local(tmp_path)
    assert not is_on_network(tmp_path)


def test_a_link_is_where_it_leads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, link, mounts = tmp_path / 'real', tmp_path / 'link', tmp_path / 'mountinfo'
    real.mkdir()
    link.symlink_to(real)
    mounts.write_text(f'22 1 8:1 / / rw - ext4 x rw\n23 22 0:1 / {real.resolve()} rw - nfs x rw\n')
    monkeypatch.setattr(filesystems, '_MOUNTS', mounts)
    assert not is_local(link)
    assert is_local(tmp_path)
