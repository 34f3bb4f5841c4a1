"""What the published test class says to the author of a dialect: nothing where it is right, and what is wrong with it."""

from __future__ import annotations

import pytest

DIALECT = '''
from pathlib import Path
from psij_ext import JobState, JobStatus, SubmitException
from psij_ext.exceptions import ParseError
from psij_ext.executors.batch import BatchSchedulerExecutor

class Mine(BatchSchedulerExecutor):
    template = Path(__file__).with_name('mine.mustache')

    def get_submit_command(self, job, submit_file_path):
        return ['msub', str(submit_file_path)]

    def job_id_from_submit_output(self, out):
        word, _, native_id = out.partition(' ')
        if word != 'job' or not native_id.endswith('\\n'):
            raise ParseError(f'no id: {out!r}')
        return native_id.strip()

    def get_status_command(self, native_ids):
        return ['mstat', *native_ids]

    def parse_status_output(self, exit_code, out):
        if exit_code != 0:
            raise ParseError(out)
        states = {'R': JobState.ACTIVE, 'Q': JobState.QUEUED}
        try:
            return {line.split()[0]: JobStatus(states[line.split()[1]]) for line in out.splitlines()}
        except (IndexError, KeyError) as error:
            raise ParseError(out) from error

    def get_cancel_command(self, native_id):
        return ['mdel', native_id]

    def process_cancel_command_output(self, exit_code, out):
        if exit_code != 3:
            raise SubmitException(out)

    def parse_list_output(self, out):
        return [line.strip() for line in out.splitlines()]
'''
TEMPLATE = '#!/bin/bash\n{{#name}}\n#MINE {{name}}\n{{/name}}\npsij_native_id=$MINE_ID\n'
TEST = '''
from pathlib import Path
from mine import Mine
from psij_ext.testing import DialectConformance

class TestMine(DialectConformance):
    executor = Mine
    recordings = Path(__file__).parent / 'recorded'
'''
RECORDINGS = {
    'submit': 'ask: submit\ncommand: msub script\nexpect: 7\n--- stdout ---\njob 7\n',
    'refused': 'ask: submit\nexit code: 1\nexpect: refused\n--- stdout ---\n--- stderr ---\nno\n',
    'status': '# Two jobs.\n\nask: status 7 8 9\ncommand: mstat 7 8 9\nexpect: 7 ACTIVE\nexpect: 8 QUEUED\n'
              '--- stdout ---\n7 R\n8 Q\n--- stderr ---\n',
    'none': 'ask: status 7\nexpect: nothing\n--- stdout ---\n',
    'down': 'ask: status 7\nexit code: 1\nexpect: no answer\n--- stdout ---\n--- stderr ---\nno connection\n',
    'cancel': 'ask: cancel 7\nexit code: 3\nexpect: done\n--- stdout ---\n',
    'list': 'ask: list\nexpect: 7\n--- stdout ---\n  7\n',
    'cancel-denied': 'ask: cancel 7\nexit code: 4\nexpect: refused\n--- stdout ---\ndenied\n',
}
UNREADABLE = "        if word != 'job' or not native_id.endswith('\\n'):\n            raise ParseError(f'no id: {out!r}')\n"


class Author:
    """Somebody who writes a dialect, and changes single words of it."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.files = {'mine.py': DIALECT, 'mine.mustache': TEMPLATE, 'test_mine.py': TEST}
        self.files.update({f'recorded/{name}.txt': text for name, text in RECORDINGS.items()})

    def change(self, name: str, old: str, new: str) -> None:
        assert old in self.files[name]
        self.files[name] = self.files[name].replace(old, new)

    def run(self, test: str = '') -> pytest.RunResult:
        (self.pytester.path / 'recorded').mkdir()
        for name, text in self.files.items():
            (self.pytester.path / name).write_text(text)
        self.pytester.syspathinsert()
        return self.pytester.runpytest_inprocess('-p', 'no:cacheprovider', '-k', test)


@pytest.fixture
def author(pytester: pytest.Pytester) -> Author:
    return Author(pytester)


def test_a_dialect_that_is_right_passes(author: Author) -> None:
    assert author.run().parseoutcomes() == {'passed': 6 + 2 * len(RECORDINGS)}


def test_that_a_job_is_over_may_be_said_as_in_psij(author: Author) -> None:
    author.change('mine.py', 'if exit_code != 3:', 'if exit_code == 3:\n            raise InvalidJobStateError()\n        if True:')
    author.change('mine.py', 'import ParseError', 'import InvalidJobStateError, ParseError')
    assert 'failed' not in author.run('test_reading').parseoutcomes()


@pytest.mark.parametrize(('name', 'old', 'new', 'test', 'said'), [
    ('mine.py', 'def get_cancel_command', 'def get_cancelling_command', 'test_methods',
     '*Mine (*mine.py, line 7) has no get_cancel_command(self, native_id*: Return the command that ends a job.'),
    ('mine.py', 'def get_status_command(self, native_ids)', 'def get_status_command(self)', 'test_methods',
     '*get_status_command (*mine.py, line 19) cannot be called as get_status_command(self, native_ids*: too many*'),
    ('mine.py', '    def get_cancel_command', "    get_site_command = ['site']\n\n    def get_cancel_command", 'test_methods',
     "*get_site_command must be a method*and is ?'site'?"),
    ('test_mine.py', 'executor = Mine', 'executor = dict', 'test_methods',
     '*dict is no subclass of psij_ext.executors.batch.BatchSchedulerExecutor*'),
    ('test_mine.py', 'executor = Mine', "executor = 'slurmm'", 'test_methods', "*There is no executor 'slurmm'*slurm*"),
    ('test_mine.py', 'executor = Mine', '', 'test_methods', '*executor: a class or the name*None'),
    ('mine.py', UNREADABLE, '', 'test_no_id', "*job_id_from_submit_output*took '' for the id*ParseError*"),
    ('mine.py', "word, _, native_id = out.partition(' ')", "word, native_id = out.split(' ')", 'test_no_id',
     "*Mine (*mine.py, line 7) raised ValueError: not enough values*"),
    ('mine.py', 'if exit_code != 0:', 'if False:', 'test_failed_query', '*takes a status command that failed*'),
    ('mine.py', 'line.strip() for', 'line.split(" ")[2] for', 'test_reading_of_what_is_cut_short?list?',
     '*raised IndexError: list index*'),
    ('mine.py', "'Q': JobState.QUEUED", "'Q': JobState.ACTIVE", 'test_reading?status?',
     "*recorded/status.txt: 8: state must be 'QUEUED', and is 'ACTIVE'"),
    ('mine.py', "['mstat', *native_ids]", "['mstat', ','.join(native_ids)]", 'test_reading?status?', '*mstat 7,8,9'),
    ('mine.py', 'if exit_code != 3', 'if exit_code != 4', 'test_reading?cancel?', "*'done' must come out, and did not"),
    ('mine.py', "['mdel', native_id]", "['mdel', 7]", 'test_commands', "*words that are no texts: ?7?*"),
    ('mine.mustache', '#MINE {{name}}', '#MINE {{nam}}', 'test_script', '*mine.mustache cannot be filled in*nam*'),
    ('mine.mustache', '{{/name}}', '', 'test_script', '*mine.mustache cannot be filled in*'),
    ('mine.mustache', '#MINE {{name}}', '#MINE {{{name}}}', 'test_script', '*a line that somebody put into a value'),
    ('mine.mustache', 'psij_native_id=', 'native_id=', 'test_script', '*mine.mustache does not say*psij_native_id=*'),
    ('mine.mustache', 'psij_native_id', 'if\npsij_native_id', 'test_script', '*is no script of bash*syntax error*'),
    ('mine.mustache', '#!/bin/bash\n', '\n#!/bin/bash\n', 'test_script', '*does not begin with #!*'),
    ('mine.py', "'mine.mustache'", "'other.mustache'", 'test_script', '*there is no file *other.mustache'),
    ('recorded/cancel.txt', 'ask: cancel 7', 'ask: list', 'test_reading?cancel?', '*'),
    ('recorded/status.txt', 'expect: 8 QUEUED\n', '', 'test_reading?status?', "*'8' QUEUED came out, and is not expected"),
    ('recorded/status.txt', '8 Q\n', '', 'test_reading?status?', "*'8' must come out, and did not"),
    ('recorded/status.txt', '7 ACTIVE', '7 ACTIVE reason=EXITED', 'test_reading?status?',
     "*7: reason must be 'EXITED', and is '?'"),
    ('recorded/status.txt', '7 ACTIVE', '7 ACTIVE colour=red', 'test_reading?status?', "*there is no field 'colour'*"),
    ('recorded/status.txt', '7 ACTIVE', '7', 'test_reading?status?', '*the state of job 7 is missing*'),
    ('recorded/submit.txt', 'job 7\n', 'job\n', 'test_reading?submit?', '*cannot be read: ParseError: no id*'),
    ('recorded/status.txt', 'ask: status', 'asks: status', 'test_recordings', '*status.txt, line 3: one of "ask"*'),
    ('recorded/status.txt', 'ask: status 7 8 9\n', '', 'test_recordings', '*status.txt: a line "ask: ..." is missing.'),
    ('recorded/status.txt', 'ask: status', 'ask: state', 'test_recordings', '*line 3: "ask" is one of "submit"*'),
    ('recorded/status.txt', '--- stdout ---\n', '', 'test_recordings', '*'),
    ('recorded/down.txt', 'exit code: 1', 'exit code: one', 'test_recordings', '*down.txt, line 2: the exit code is a number*'),
    ('test_mine.py', "/ 'recorded'", "/ 'nowhere'", 'test_recordings', '*There is no recording in *nowhere*'),
])
def test_what_is_wrong_is_said(author: Author, name: str, old: str, new: str, test: str, said: str) -> None:
    author.change(name, old, new)
    result = author.run(test.partition('?')[0])
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([said])
    result.stdout.fnmatch_lines([f'[FE]* test_mine.py::TestMine::{test}*'])


def test_what_must_be_recorded(author: Author) -> None:
    for name in ('cancel', 'cancel-denied'):
        del author.files[f'recorded/{name}.txt']
    result = author.run()
    result.assert_outcomes(failed=1, passed=6 + 2 * len(RECORDINGS) - 5)
    result.stdout.fnmatch_lines(['there is no recording with "ask: cancel" in *recorded'])


def test_an_output_may_stand_in_a_file_of_its_own(author: Author) -> None:
    author.files['recorded/status.out'] = '7 R\n8 Q\n'
    author.change('recorded/status.txt', '--- stdout ---\n7 R\n8 Q\n', 'stdout: status.out\n')
    assert author.run().parseoutcomes() == {'passed': 6 + 2 * len(RECORDINGS)}
