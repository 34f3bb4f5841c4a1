"""What the scripts of a checkout say when they cannot do their work."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from real_slurm import SCRIPT


def test_slurm_says_which_folder_its_authentication_would_refuse() -> None:
    with tempfile.TemporaryDirectory(dir='/tmp') as closed:  # nobody else may enter it
        folder = Path(closed) / 'slurm'
        done = subprocess.run([SCRIPT, 'start', str(folder)], capture_output=True, text=True, timeout=60)
        assert not folder.exists()
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (1, '', 1)
    assert f'not every user may enter {closed} (chmod a+x)' in done.stderr
