"""Our own dialects pass the tests that those of others have to pass."""

from __future__ import annotations

from pathlib import Path

from psij_ext.testing import DialectConformance

RECORDED = Path(__file__).parent / 'recorded'


class TestSlurm(DialectConformance):
    executor = 'slurm'
    recordings = RECORDED / 'slurm'


class TestPBSPro(DialectConformance):
    executor = 'pbs'
    recordings = RECORDED / 'pbspro'
