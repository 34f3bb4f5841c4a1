"""How a job ended, and what it used, as values."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields

import pytest

from psij_ext.core.exit_info import ExitInfo, ExitReason, ResourceUsage


@pytest.mark.parametrize('value', [ExitInfo(ExitReason.EXITED, 0), ResourceUsage()])
def test_nobody_changes_what_became_of_a_job(value: object) -> None:
    for field in fields(value):  # type: ignore[arg-type]  # mypy wants a class or an instance of one
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, None)


def test_what_is_not_known_is_none() -> None:
    assert {getattr(ResourceUsage(), field.name) for field in fields(ResourceUsage)} == {None}
    known = {field.name: getattr(ExitInfo(ExitReason.LOST), field.name) for field in fields(ExitInfo)}
    assert known == {'reason': ExitReason.LOST, 'exit_code': None, 'signal': None, 'message': None, 'usage': None}


def test_every_reason_has_words_for_people() -> None:
    assert [reason.name for reason in ExitReason] == [
        'EXITED', 'SIGNALED', 'CANCELED', 'TIMEOUT', 'OUT_OF_MEMORY', 'NODE_FAILURE', 'PREEMPTED', 'DEPENDENCY_FAILED', 'NEVER_STARTED',
        'LAUNCH_FAILED', 'SUBMIT_FAILED', 'LOST']
    assert all(str(reason) == reason.value == reason.name.lower().replace('_', ' ') for reason in ExitReason)
