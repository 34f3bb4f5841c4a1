"""What the tests of arrays share: folders as `submit_many` makes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from psij_ext.core.exit_info import ExitInfo, ExitReason
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.core.status import JobStatus
from psij_ext.runtime.arrays import ArrayFolder
from psij_ext.runtime.ending import keep_end
from psij_ext.runtime.jobfolder import JobFolder

SPECS = (JobSpec('true', ['a', 'b'], name='run 0'), JobSpec('false', name='run 1'), JobSpec('true', ['c'], environment={'A': '1'}))
RECORD = '1 ACTIVE 5\n'


def by_underscore(array_id: str, index: int) -> str:
    number, semicolon, cluster = array_id.partition(';')
    return f'{number}_{index}{semicolon}{cluster}'


def by_brackets(array_id: str, index: int) -> str:
    return array_id.replace('[]', f'[{index}]')


def make_array(work: Path, native_id: str | None, *, specs: Sequence[JobSpec] = SPECS, nonce: str = 'f00', called: str = 'job',
               **record: object) -> ArrayFolder:
    """Make the folder of an array.

    :param called: the elements' jobs have this and their index for an id.
    """
    folder = ArrayFolder.make(work)
    serializer = JSONSerializer()
    folder.begin_journal([f'{called} {number}' for number, _ in enumerate(specs)], serializer.dumps(specs[0]),
                         serializer.dumps_differences(specs))
    folder.note_submission({'format': 1, 'job_id': folder.path.name, 'executor': work.name, 'url': None, 'nonce': nonce,
                            'submitted': 100.0, **record})
    folder.name_elements_by(by_brackets if '[]' in (native_id or '') else by_underscore)
    if native_id is not None:
        folder.set_native_id(native_id)
    return folder


def member(array: ArrayFolder, index: int) -> JobFolder:
    found = array.member(index)
    assert found is not None
    return found


def end(folder: JobFolder, time: float = 900.0, *, well: bool = False, reported: bool = True) -> None:
    state = JobState.COMPLETED if well else JobState.FAILED
    keep_end(folder, JobStatus(state, time, exit_code=3), ExitInfo(ExitReason.EXITED, 3, None, 'it broke'), reported=reported)
