from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from scenes_of_truth import Played, play_all


@pytest.fixture(scope='session')
def played(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    yield from play_all(request, Path(__file__).parent, tmp_path_factory.mktemp('slurm'))
