"""Whatever a description holds, the script of the job hands it on byte for byte, and runs none of it (real bash)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_scripts import PYTHONS, Scripted

from hostile_specs import HOSTILE_JOBS, INJECTIONS, TEXTS, Ground, Hostile, file_name
from psij_ext.core.serialization import JSONSerializer
from psij_ext.launchers.multiple import MultipleLauncher
from psij_ext.launchers.single import SingleLauncher

# A script that measures memory takes twice as long.
FAST = dict.fromkeys(PYTHONS, '/nonexistent/python')
# Where a text lands in a script whose author forgot to quote it, or did it wrongly.
CARELESS = ('x=@', 'echo @', 'echo "@"', "echo '@'", 'eval "@"', "echo $'@'", ': $((@))', 'cat <<EOF\n@\nEOF\n', 'f=@; eval "$f"',
            'echo "$(@)"', 'x=@ true', "eval \"echo '@'\"", '(true @)', '{ @; }', 'echo "@', "(: '@'\n", 'a=1 b=(\n@\n)')


@pytest.mark.parametrize('examples', [75, pytest.param(5000, marks=pytest.mark.soak)])
def test_what_is_described_is_what_is_run(tmp_path: Path, examples: int) -> None:
    ground = Ground(tmp_path)

    @settings(max_examples=examples)
    @given(hostile=HOSTILE_JOBS, place=TEXTS.map(file_name), carried=st.booleans(),
           launcher=st.sampled_from([SingleLauncher, MultipleLauncher]))
    def run(hostile: Hostile, place: str, carried: bool, launcher: type[SingleLauncher | MultipleLauncher]) -> None:
        root = Path(tempfile.mkdtemp(dir=tmp_path), place)
        root.mkdir()
        spec = hostile.spec(root, ground)
        assert JSONSerializer().loads(JSONSerializer().dumps(spec)) == spec
        job = Scripted(spec, root / 'jobs', launcher(), hostile.inherited if carried else None, FAST)
        code = job.run(env={**ground.variables, **({} if carried else hostile.inherited)})
        assert (code, job.words, job.record.phase) == (0, '', 'done')
        hostile.check(root)
        assert not ground.canary.exists()
        shutil.rmtree(root.parent)

    run()


@pytest.mark.parametrize('text', INJECTIONS)
def test_a_careless_script_would_touch_the_canary(tmp_path: Path, text: str) -> None:
    canary = Ground(tmp_path).canary
    for script in CARELESS:
        subprocess.run(['/bin/bash', '-c', script.replace('@', text)],
                       env=Ground(tmp_path).variables, capture_output=True, check=False)
    assert canary.exists()
