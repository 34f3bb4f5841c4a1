from __future__ import annotations

import subprocess
import sys

import pytest
from packaging.version import Version

import psij_ext


@pytest.mark.parametrize('name', psij_ext.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(psij_ext, name).__name__ == name
    assert name in dir(psij_ext)


def test_the_table_of_rooms_holds_the_public_names() -> None:
    names = [name for names in psij_ext._ROOMS.values() for name in names]
    assert sorted(names) == sorted(psij_ext.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'psij_ext' has no attribute 'Jobb'"):
        psij_ext.Jobb  # noqa: B018


def test_the_version_can_be_read() -> None:
    assert str(Version(psij_ext.__version__)) == psij_ext.__version__


PROBE = """
import os, signal, sys, threading
before = [signal.getsignal(number) for number in signal.valid_signals()]
files = set(os.listdir('/proc/self/fd'))
import psij_ext
{use}
assert threading.enumerate() == [threading.main_thread()]
assert [signal.getsignal(number) for number in signal.valid_signals()] == before
assert set(os.listdir('/proc/self/fd')) == files
assert not [name for name in sys.modules if name.startswith({forbidden!r})]
"""


@pytest.mark.parametrize(
    ('use', 'forbidden'),
    [
        ('', ('psij_ext.', 'packaging', 'pystache', 'importlib.metadata')),
        (
            'from psij_ext import *',
            ('psij_ext.runtime', 'psij_ext.executors', 'pystache', 'importlib.metadata'),
        ),
    ],
)
def test_importing_scans_nothing_and_leaves_no_trace(use: str, forbidden: tuple[str, ...]) -> None:
    probe = PROBE.format(use=use, forbidden=forbidden)
    ended = subprocess.run([sys.executable, '-c', probe], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
