"""A shell to type `psij-ext` in, without a scheduler or with one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_shell import Shell

from psij_ext.testing import ExecParams


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A shell for what needs no scheduler."""
    return Shell(tmp_path)


@pytest.fixture
def site(execparams: ExecParams) -> Iterator[Shell]:
    """A shell whose jobs go to the executor under test; none of them outlives the test."""
    options = []
    for option, value in (('--queue', execparams.queue_name), ('--account', execparams.account),
                          ('--duration', execparams.max_walltime)):
        options += [] if value is None else [option, str(value)]
    shell = Shell(execparams.folder, options)
    shell.environment['PSIJ_EXT_EXECUTOR'] = execparams.executor_name
    yield shell
    alive = [job['id'] for job in shell.json('ls', code=None) if job['ended'] is None]
    if alive:
        shell('cancel', *alive)
