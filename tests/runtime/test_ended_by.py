"""Where the sender of TERM says why it sends it, nothing is guessed from times."""

from __future__ import annotations

from pathlib import Path

import pytest

from psij_ext.core.exit_info import ExitReason
from psij_ext.core.state import JobState
from psij_ext.runtime.evidence import Evidence, Patience
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.judgement import judge
from psij_ext.runtime.records import ExitRecord, ProgressEntry

STARTED, LIMIT = 1000.0, 60.0
NOW = Patience(for_cause=0.0, for_absent=0.0)


def ended(after: float, ended_by: str | None, **known: object) -> tuple[object, ...]:
    """State, reason and message of a job whose script saw TERM and ended so many seconds after its start."""
    record = ExitRecord(1, '1.2', 143, 'launch', True, STARTED + after, ended_by=ended_by, began=STARTED)
    entered = (ProgressEntry(1, JobState.ACTIVE, STARTED),)
    evidence = Evidence(exit_record=record, progress=entered, **{'time_limit': LIMIT, **known})  # type: ignore[arg-type]
    judgement = judge(evidence, NOW)
    assert judgement.status is not None
    assert judgement.exit_info is not None
    return judgement.status.state, judgement.exit_info.reason, judgement.status.message


@pytest.mark.parametrize('after', [0.1, LIMIT - 0.5, LIMIT + 5.0])
def test_the_sender_knows(after: float) -> None:
    assert ended(after, 'cancel') == (JobState.CANCELED, ExitReason.CANCELED, None)
    timeout = (JobState.FAILED, ExitReason.TIMEOUT, 'The wall time of 60 s was over.')
    assert ended(after, 'limit') == timeout
    assert ended(after, 'limit', cancel_acknowledged=True) == timeout


def test_without_its_word_the_time_tells() -> None:
    assert ended(0.1, None)[:2] == (JobState.CANCELED, ExitReason.CANCELED)
    assert 'does not say' in str(ended(0.1, None)[2])
    assert ended(LIMIT, None)[:2] == (JobState.FAILED, ExitReason.TIMEOUT)
    assert ended(0.1, 'something new')[:2] == (JobState.CANCELED, ExitReason.CANCELED)


def test_a_limit_that_only_the_sender_knows() -> None:
    expected = (JobState.FAILED, ExitReason.TIMEOUT, 'The wall time was over.')
    assert ended(LIMIT, 'limit', time_limit=None) == expected


@pytest.mark.parametrize(('term', 'note', 'expected'), [
    ('1', 'limit\n', 'limit'), ('1', 'cancel\n12 13\n', 'cancel'), ('1', None, None), ('1', '\n', None),
    ('', 'cancel\n', None),  # it was sent, but the script had ended before
])
def test_the_word_is_part_of_the_record(tmp_path: Path, term: str, note: str | None, expected: str | None) -> None:
    (tmp_path / 'exit').write_text(f'attempt=1\nnative_id=1.2\nexit_code=143\nphase=launch\nterm={term}\nended=5.0\n')
    if note is not None:
        (tmp_path / 'ended_by').write_text(note)
    record = JobFolder(tmp_path).read_exit()
    assert record is not None
    assert record.ended_by == expected
