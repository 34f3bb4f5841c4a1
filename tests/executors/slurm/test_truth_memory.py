"""What is true about jobs that ran out of memory, where this machine lets Slurm keep them to what they asked for."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from slurm_stage import SlurmScenes, SlurmStage

from psij_ext import ExitReason
from real_slurm import Cluster

RAN = 'QUEUED ACTIVE'
GROUPS = Path('/sys/fs/cgroup/memory')
GREEDY = "python3 -c 'bytearray(300 << 20)'"


@pytest.fixture(params=SlurmScenes.worlds)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SlurmStage]:
    # Slurm 22.05 writes to the groups of version 1; a container often may not.
    if not os.access(GROUPS, os.W_OK):
        pytest.skip(f'{GROUPS} cannot be written; that case is known by captures alone')
    cluster = Cluster('TaskPlugin=task/cgroup', 'SelectTypeParameters=CR_CPU_Memory',
                      accounting=request.param == 'accounts')
    made = SlurmStage(cluster, tmp_path)
    yield made
    made.close()
    cluster.stop()
    for name in ('slurm_node1', 'slurm_node2'):
        for folder in sorted((GROUPS / name).rglob('*/'), reverse=True):
            folder.rmdir()
        with contextlib.suppress(FileNotFoundError):
            (GROUPS / name).rmdir()


def test_out_of_memory(stage: SlurmStage) -> None:
    over, told, aside, modest = (stage.play(script, mem='100M') for script in (
        f'exec {GREEDY}', f'{GREEDY} || exit 3', f'{GREEDY}; exit 0', 'exit 0'))
    over.ends(f'{RAN} FAILED', ExitReason.OUT_OF_MEMORY, 137, signal.SIGKILL)
    told.ends(f'{RAN} FAILED', ExitReason.OUT_OF_MEMORY, 3)
    # The job's own word counts: what was killed on the side did not keep it from its end.
    aside.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
    modest.ends(f'{RAN} COMPLETED', ExitReason.EXITED, 0)
