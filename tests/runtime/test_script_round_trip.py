"""Whatever a description holds, the script of the job hands it on byte for byte, and runs none of it (real bash)."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from job_scripts import PYTHONS, Scripted, ScriptedArray

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


@pytest.mark.parametrize('examples', [25, pytest.param(2000, marks=pytest.mark.soak)])
def test_what_is_described_is_what_each_element_of_an_array_runs(tmp_path: Path, examples: int) -> None:
    ground = Ground(tmp_path)

    @settings(max_examples=examples)
    @given(members=st.lists(HOSTILE_JOBS, min_size=2, max_size=3), place=TEXTS.map(file_name), carried=st.booleans(),
           launcher=st.sampled_from([SingleLauncher, MultipleLauncher]))
    def run(members: list[Hostile], place: str, carried: bool, launcher: type[SingleLauncher | MultipleLauncher]) -> None:
        top = Path(tempfile.mkdtemp(dir=tmp_path), place)
        inherited = members[0].inherited
        members = [replace(each, joined=members[0].joined, inherited=inherited) for each in members]
        roots = [top / f'job {number}' for number in range(len(members))]
        for root in roots:
            root.mkdir(parents=True)
        specs = [each.spec(root, ground, stages=False) for each, root in zip(members, roots)]
        array = ScriptedArray(specs, top / 'jobs', launcher(), inherited if carried else None, FAST)
        for index, (member, root) in enumerate(zip(members, roots)):
            code = array.run(index, env={**ground.variables, **({} if carried else inherited)})
            assert (code, array.words(index), array.record(index).phase) == (0, '', 'done')
            member.check(root, stages=False)
        assert not ground.canary.exists()
        shutil.rmtree(top.parent)

    run()


@pytest.mark.parametrize('text', INJECTIONS)
def test_a_careless_script_would_touch_the_canary(tmp_path: Path, text: str) -> None:
    canary = Ground(tmp_path).canary
    for script in CARELESS:
        subprocess.run(['/bin/bash', '-c', script.replace('@', text)],
                       env=Ground(tmp_path).variables, capture_output=True, check=False)
    assert canary.exists()
