"""The tests that every dialect of a scheduler passes, on recorded outputs and without the scheduler."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from psij_ext.exceptions import CommandError, ParseError
from psij_ext.executors.batch.base import BatchSchedulerExecutor
from psij_ext.runtime.command import CommandResult
from psij_ext.testing import dialect_faults, reading
from psij_ext.testing.recordings import KINDS, NO_ANSWER, BadRecording, Recording, read_recordings

_ALWAYS_RECORDED = ('submit', 'status', 'cancel')
# What reads an answer about jobs; of one that is cut short it may read less, or say that it is none.
_ABOUT_JOBS = ('status', 'single status', 'accounting', 'list', 'origins')
_NO_IDS = ('', '\n', 'command not found', 'error: the scheduler is not there\n')


class DialectConformance:
    """Whether a dialect has all its methods, and reads recorded outputs as it should.

    An author of an executor writes a subclass, whose name begins with `Test`, into a test file::

        class TestDialect(DialectConformance):
            executor = 'dirq'
            recordings = Path(__file__).parent / 'recorded'

    Nothing is run but `bash -n`, so that these tests need no scheduler. What a file in the folder of recordings looks
    like, `psij_ext.testing.recordings` tells.

    Class attributes:

    * `executor`: the class of the executor, or the name under which it is installed;
    * `recordings`: the folder; it has one recording of `submit`, `status` and `cancel` at least.
    """

    executor: ClassVar[str | type]
    recordings: ClassVar[Path]

    @classmethod
    def pytest_generate_tests(cls, metafunc: pytest.Metafunc) -> None:
        """Make a test of each recording."""
        if 'recording' not in metafunc.fixturenames:
            return
        found = cls._recorded()
        if isinstance(found, str):  # which test_recordings tells of
            found = []
        metafunc.parametrize('recording', found, ids=[each.path.stem for each in found])

    @classmethod
    def _recorded(cls) -> list[Recording] | str:
        """Return the recordings, or why they cannot be read."""
        folder = getattr(cls, 'recordings', None)
        if folder is None:
            return f'{dialect_faults.place_of(cls)} does not say where its recordings are: recordings = Path(...)'
        try:
            return read_recordings(Path(folder))
        except (BadRecording, OSError) as error:
            return str(error)

    @pytest.fixture
    def dialect(self, tmp_path: Path) -> Iterator[BatchSchedulerExecutor]:
        """The executor; nothing of it is started."""
        kind, why = dialect_faults.class_of(getattr(self, 'executor', None))
        faults = [why] if kind is None else [*dialect_faults.missing_methods(kind)]
        if kind is None or faults:
            pytest.fail('\n'.join(faults), pytrace=False)
        with kind(config=kind.config_class(work_directory=tmp_path)) as made:
            yield made

    def test_methods(self, dialect: BatchSchedulerExecutor) -> None:
        """The class is an executor's, and no method of it is missing or takes other arguments."""
        _expect_none(dialect_faults.wrong_methods(type(dialect)))

    def test_recordings(self) -> None:
        """There are recordings of what every scheduler is asked."""
        found = self._recorded()
        if isinstance(found, str):
            pytest.fail(found, pytrace=False)
        kinds = {each.kind for each in found}
        _expect_none(f'there is no recording with "ask: {kind}" in {self.recordings}'
                     for kind in _ALWAYS_RECORDED if kind not in kinds)

    def test_reading(self, dialect: BatchSchedulerExecutor, recording: Recording) -> None:
        """What comes out of a recording is what it says."""
        with _explained(dialect, f'{recording.path}'):
            try:
                _expect_none(f'{recording.path}: {each}' for each in reading.complaints(dialect, recording))
            except BadRecording as error:
                pytest.fail(str(error), pytrace=False)

    def test_reading_of_what_is_cut_short(self, dialect: BatchSchedulerExecutor, recording: Recording) -> None:
        """An output that ends anywhere raises nothing but `ParseError` and `CommandError`."""
        if recording.kind not in _ABOUT_JOBS and (recording.kind != 'submit' or recording.result.exit_code != 0):
            return
        whole = recording.result
        for length in _lengths(len(whole.stdout)):
            cut = CommandResult(whole.argv, whole.exit_code, whole.stdout[:length], whole.stderr)
            with _explained(dialect, f'{recording.path}, of which only the first {length} bytes came'), \
                    contextlib.suppress(ParseError, CommandError):
                reading.read(dialect, Recording(
                    recording.path, recording.kind, recording.native_ids, recording.command, cut, ()))

    def test_no_id(self, dialect: BatchSchedulerExecutor) -> None:
        """Where a submit command names no job, the dialect says so."""
        parser = dialect_faults.place_of(type(dialect).job_id_from_submit_output)
        for text in _NO_IDS:
            with _explained(dialect, f'the output {text!r} of a submit command'):
                try:
                    native_id = dialect.job_id_from_submit_output(text)
                except ParseError:
                    continue
            pytest.fail(f'{parser} took {native_id!r} for the id of a job in the output {text!r}; it must raise '
                        'psij_ext.exceptions.ParseError', pytrace=False)

    def test_failed_query(self, dialect: BatchSchedulerExecutor) -> None:
        """A status command that failed tells nothing about any job; if it told of none, all would seem to be gone."""
        for words in (b'command not found\n', b''):
            failed = CommandResult(('status',), 127, b'', words)
            with _explained(dialect, 'a status command that failed with exit code 127'):
                try:
                    seen = dialect.parse_status(failed)
                except (ParseError, CommandError):
                    continue
            pytest.fail(f'{dialect_faults.place_of(type(dialect))} takes a status command that failed (exit code 127, '
                        f'{words!r} on standard error) for an answer about {len(seen)} jobs; it must raise '
                        'psij_ext.exceptions.ParseError', pytrace=False)

    def test_commands(self, dialect: BatchSchedulerExecutor) -> None:
        """Commands are lists of words, and name the jobs that they are about."""
        found = self._recorded()
        ids = [each.expected[0] for each in found if each.kind == 'submit' and each.result.exit_code == 0
               and each.expected[0] != NO_ANSWER] if not isinstance(found, str) else []
        for kind in KINDS:
            with _explained(dialect, f'the command for "{kind}"'):
                command = reading.build_command(dialect, kind, (*dict.fromkeys(ids or ['1']),))
            if command is None:
                continue
            assert command, f'the command for "{kind}" has no words'
            wrong = [word for word in command if not isinstance(word, str)]
            assert not wrong, f'the command for "{kind}" has words that are no texts: {wrong}'

    def test_script(self, dialect: BatchSchedulerExecutor, tmp_path: Path) -> None:
        """Scripts can be made of jobs of all kinds, or the dialect says which field it cannot express."""
        with _explained(dialect, 'the script of a job'):
            _expect_none(dialect_faults.script_faults(dialect, tmp_path))


def _lengths(size: int) -> Iterator[int]:
    """Yield some hundred places at which an output may end."""
    return iter(range(0, size, max(1, size // 200)))


def _expect_none(faults: Iterator[str]) -> None:
    found = [*faults]
    if found:
        pytest.fail('\n'.join(found), pytrace=False)


@contextlib.contextmanager
def _explained(dialect: BatchSchedulerExecutor, what: str) -> Iterator[None]:
    """Say of an exception that no dialect may raise where it came from."""
    try:
        yield
    except (ParseError, CommandError):
        raise
    except Exception as error:
        pytest.fail(f'{dialect_faults.place_of(type(dialect))} raised {type(error).__name__}: {error}\nfor {what}.\n'
                    'What cannot be read raises psij_ext.exceptions.ParseError; any other exception is a defect.')
