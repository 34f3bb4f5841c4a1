"""The scripts of arrays, run by a real bash: each element does what is its own, and all of them share one claim."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from job_scripts import ScriptedArray, shell, trapping, until

from psij_ext.core.job import Job
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.spec import JobSpec
from psij_ext.core.state import JobState
from psij_ext.launchers.multiple import MultipleLauncher
from psij_ext.launchers.single import SingleLauncher
from psij_ext.runtime.claims import REVOKED
from psij_ext.runtime.tasks import TASKS

ACTIVE = JobState.ACTIVE


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def echoes(count: int, **fields: object) -> list[JobSpec]:
    return [JobSpec('/bin/echo', [f'I am {number}'], **fields) for number in range(count)]  # type: ignore[arg-type]


# -- what is an element's own


def test_each_element_runs_its_own_command(root: Path) -> None:
    array = ScriptedArray(echoes(12), root)
    for index in (11, 0, 9, 10):
        assert array.run(index) == 0, array.words(index)
        assert array.file(index, 'stdout').read_text() == f'I am {index}\n'
    assert not array.file(1, 'stdout').exists()


def test_the_files_of_an_element(root: Path) -> None:
    array = ScriptedArray([shell('exit 3'), shell('echo no >&2; exit 4')], root)
    assert (array.run(0), array.run(1)) == (3, 4)
    own = {f'{index}.{name}' for index in (0, 1) for name in ('progress', 'exit', 'nodes', 'stdout', 'stderr', 'scheduler.out')}
    assert {*os.listdir(array.folder.path)} == own | {'script', TASKS, 'claim.n'}
    for index, code in ((0, 3), (1, 4)):
        record = array.record(index)
        assert (record.native_id, record.exit_code, record.phase, record.attempt) == (f'12_{index}', code, 'done', 1)
        assert record.max_rss is not None
        assert array.states(index) == [(1, ACTIVE)]
        assert array.words(index) == ''
    assert array.file(1, 'stderr').read_text() == 'no\n'


def test_everything_that_may_differ(root: Path) -> None:
    specs = []
    for number in range(3):
        place = root / f'place {number}'
        place.mkdir()
        (place / 'in').write_text(f'in {number}')
        (place / 'program').write_text('#!/bin/sh\necho "$1 $V $BEFORE $(cat) $(pwd)"; echo errors >&2\n')
        (place / 'program').chmod(0o700)
        (place / 'pre').write_text(f'export BEFORE="before {number}"\n')
        (place / 'post').write_text(f'echo "after $BEFORE" > {root}/after{number}\n')
        specs.append(JobSpec(
            './program', [f'argument {number}'], place, f'name {number}', environment={'V': f'value {number}'}, stdin_path='in',
            stdout_path='out', stderr_path='err' if number else None, pre_launch=place / 'pre', post_launch=place / 'post'))
    array = ScriptedArray(specs, root)
    for index in range(3):
        assert array.run(index) == 0, array.words(index)
        place = root / f'place {index}'
        told = f'argument {index} value {index} before {index} in {index} {place}\n'
        assert (place / 'out').read_text() == told
        assert (root / f'after{index}').read_text() == f'after before {index}\n'
        assert (place / 'err' if index else array.file(0, 'stderr')).read_text() == 'errors\n'
        assert array.words(index) == ''


def test_two_streams_in_one_file(root: Path) -> None:
    paths = [{'stdout_path': f'both{number}', 'stderr_path': f'both{number}'} for number in range(2)]
    array = ScriptedArray([shell('echo out; echo err >&2', **each) for each in paths], root)
    for index in range(2):
        assert array.run(index) == 0
        assert (root / f'both{index}').read_text() == 'out\nerr\n'


def test_what_all_have_in_common_stands_in_the_script_alone(root: Path) -> None:
    alike = ScriptedArray(echoes(2, directory='same', stdout_path='same.out'), root / 'alike')
    assert b'same' not in alike.table
    assert f'cd -- {root}/alike/same ||' in alike.folder.script_path.read_text()
    apart = ScriptedArray([*echoes(1, directory='one'), *echoes(1, directory='two')], root / 'apart')
    assert [b'/one' in line for line in apart.table.splitlines()] == [True, False]
    assert f'{root}/apart/one' not in apart.folder.script_path.read_text()


def test_a_launcher_stands_before_each_command(root: Path) -> None:
    array = ScriptedArray(echoes(2), root, MultipleLauncher())
    assert array.run(1) == 0
    assert array.file(1, 'stdout').read_text() == 'I am 1\n'
    assert array.table == b"psij_command=('I am 0') psij_task=0\npsij_command=('I am 1') psij_task=1\n"


@pytest.mark.parametrize('words', [
    [['a', 'b'], ['a', 'b']], [['a', 'b'], ['a', 'b', 'c']], [['a', 'b'], ['a']], [[], ['a']], [[], []], [[''], []], [['', 'a'], ['', '']],
    [['a b', 'c'], ['a b', 'd'], ['a b']], [['$x', '"'], ['$x', '`']], [['b', 'z'], ['a', 'z']], [['a  b'], ['*\t ?\n\n']]])
def test_commands_that_begin_alike(root: Path, words: list[list[str]]) -> None:
    array = ScriptedArray([shell('printf "<%s>" $# "$@"', environment={'A': 'b'})] * len(words), root / 'alike')
    assert b'printf' not in array.table
    specs = [JobSpec('/bin/sh', ['-c', 'printf "<%s>" $# "$@"', 'sh', *each]) for each in words]
    array = ScriptedArray(specs, root)
    for index, each in enumerate(words):
        assert array.run(index) == 0
        assert array.file(index, 'stdout').read_text() == ''.join(f'<{word}>' for word in [str(len(each)), *each])


class FarLauncher(SingleLauncher):
    """Where it starts programs there may be others than here."""

    def get_prefix(self, resources: ResourceSpecV1) -> list[str]:
        return ['/bin/sh', '-c', 'exit 127', 'sh']

    def keeps_process_tree(self, job: Job, *, scheduled: bool) -> bool:
        return False


def test_of_a_program_elsewhere_nobody_says_that_it_is_missing(root: Path) -> None:
    array = ScriptedArray([JobSpec(f'/nonexistent/{number}') for number in range(2)], root, FarLauncher())
    assert (array.run(0), array.record(0).unbegun, array.record(0).max_rss) == (127, None, None)


def test_programs_of_which_one_is_missing(root: Path) -> None:
    array = ScriptedArray([JobSpec('/bin/true'), JobSpec('/nonexistent program')], root)
    assert [array.run(index) for index in (0, 1)] == [0, 127]
    assert [array.record(index).unbegun for index in (0, 1)] == [None, '/nonexistent\\ program']
    array = ScriptedArray([JobSpec('/nonexistent', [str(number)]) for number in range(2)], root / 'all')
    assert (array.run(1), array.record(1).unbegun) == (127, '/nonexistent')


def test_a_program_is_looked_for_where_the_element_has_it(root: Path) -> None:
    for name in ('here', 'there'):
        (root / name).mkdir()
        (root / name / 'program').write_text(f'#!/bin/sh\necho {name}\n')
        (root / name / 'program').chmod(0o700)
    environments = [{'PATH': str(root / 'here')}, {'PATH': str(root / 'there')}, None, {'PATH': '/nonexistent'}]
    specs = [JobSpec('program', environment=each) for each in environments]
    array = ScriptedArray([*specs, JobSpec('sh', ['-c', 'exit 127'])], root)
    assert [array.run(index) for index in range(5)] == [0, 0, 127, 127, 127]
    assert [array.file(index, 'stdout').read_text() for index in range(2)] == ['here\n', 'there\n']
    assert [array.record(index).unbegun for index in range(5)] == [None, None, 'program', 'program', None]


def test_an_environment_that_all_bring_along(root: Path) -> None:
    specs = [shell('echo "$COMMON $OWN"', environment={'OWN': str(number)}) for number in range(2)]
    array = ScriptedArray(specs, root, carried={'COMMON': 'x y', 'psij_index': '0', 'psij_command': 'no'})
    assert array.run(1) == 0
    assert array.file(1, 'stdout').read_text() == 'x y 1\n'


def test_variables_of_the_environment_change_nothing(root: Path) -> None:
    array = ScriptedArray([*echoes(1, directory='/'), *echoes(1, directory='/tmp')], root)
    env = {f'psij_{name}': 'x' for name in ('task', 'lines', 'index', 'array_id', 'records', 'claimant', 'directory', 'command', 'raw_id')}
    assert array.run(0, env=env) == 0
    assert array.file(0, 'stdout').read_text() == 'I am 0\n'
    assert array.record(0).native_id == '12_0'


def test_which_control_group_is_an_elements(root: Path) -> None:
    """Slurm has an id of its own for each element, by which its control groups are called."""
    peak = root / 'cgroup' / 'slurm' / 'job_77' / 'memory.peak'
    peak.parent.mkdir(parents=True)
    peak.write_text('123456789\n')
    (root / 'cgroups').write_text('0::/slurm/job_77/step_batch\n')
    array = ScriptedArray(echoes(2), root, replaced={
        '/proc/self/cgroup': str(root / 'cgroups'), '/sys/fs/cgroup': str(root / 'cgroup'),
        'psij_raw_id=$psij_native_id': 'psij_raw_id=77'})
    assert array.run(1) == 0
    assert array.record(1).max_rss == 123456789


@pytest.mark.parametrize('name', ['progress', 'exit', 'exit.new', 'nodes'])
def test_what_a_link_leads_to_is_not_written(root: Path, name: str) -> None:
    array = ScriptedArray(echoes(2), root)
    (root / 'victim').write_text('mine')
    array.file(0, name).symlink_to(root / 'victim')
    assert array.run(0) == 0
    assert (root / 'victim').read_text() == 'mine'
    assert array.record(0).exit_code == 0


# -- the table


@pytest.mark.parametrize('table', ['', 'psij_command=(/bin/echo two) psij_task=1\n', None])
def test_an_element_that_is_not_in_the_table_fails(root: Path, table: str | None) -> None:
    array = ScriptedArray(echoes(2), root)
    path = array.folder.path / TASKS
    path.unlink() if table is None else path.write_text(table)
    assert array.run(0, env={'psij_task': '0', 'psij_command': 'x', 'psij_lines': 'psij_task=0'}) == 1
    assert (array.record(0).exit_code, array.record(0).phase) == (1, 'task')
    assert 'element 0' in array.words(0)
    assert not array.file(0, 'stdout').exists()


def test_a_line_that_is_cut_short_starts_nothing(root: Path) -> None:
    array = ScriptedArray([JobSpec('/bin/touch', [f'{root}/made', f'{root}/a b'], directory=place) for place in ('/', '/tmp')], root)
    whole = array.table.splitlines()[1]
    first = array.table.splitlines(keepends=True)[0]
    for size in range(0, len(whole), 5):
        (array.folder.path / TASKS).write_bytes(first + whole[:size])
        assert array.run(1) == 1, whole[:size]
        assert array.record(1).phase == 'task'
    assert not (root / 'made').exists()


# -- the claim: an array runs at most once


def test_elements_share_the_claim_of_their_array(root: Path) -> None:
    array = ScriptedArray(echoes(2), root)
    assert (array.run(1), array.run(0)) == (0, 0)
    assert array.folder.claimed_by('n') == '12'
    assert array.folder.revoke('n') == '12'


@pytest.mark.parametrize('other', ['13', '1', ''])
def test_an_element_of_another_array_runs_nothing(root: Path, other: str) -> None:
    array = ScriptedArray(echoes(2), root)
    assert array.run(0) == 0
    assert array.run(1, other) == 125
    assert 'nothing was run' in array.words(1)
    assert 'the-array.1' in array.words(1)
    assert not array.file(1, 'stdout').exists()
    assert not array.file(1, 'exit').exists()


def test_of_a_revoked_array_nothing_runs(root: Path) -> None:
    array = ScriptedArray(echoes(2), root)
    assert array.folder.revoke('n') is None
    assert [array.run(index) for index in (0, 1)] == [125, 125]
    assert REVOKED in array.words(0)
    assert not {f'{index}.{name}' for index in (0, 1) for name in ('exit', 'progress', 'stdout')} & {*os.listdir(array.folder.path)}


@pytest.mark.parametrize('index', ['', 'x', '-1', '0x', '../0'])
def test_an_element_without_an_index_runs_nothing(root: Path, index: str) -> None:
    array = ScriptedArray(echoes(2), root)
    assert array.run(index) == 125
    assert array.folder.claimed_by('n') is None


def test_of_many_elements_that_start_at_once_all_run(root: Path) -> None:
    array = ScriptedArray(echoes(8), root)
    assert [process.wait(30) for process in [array.start(index) for index in range(8)]] == [0] * 8


# -- requeues and signals


def test_an_element_that_is_requeued_begins_its_next_attempt(root: Path) -> None:
    array = ScriptedArray([shell('exit 3'), shell('exit 4')], root)
    assert [array.run(index) for index in (0, 1, 1, 1)] == [3, 4, 4, 4]
    assert (array.record(0).attempt, array.record(1).attempt) == (1, 3)
    assert array.states(1) == [(1, ACTIVE), (2, ACTIVE), (3, ACTIVE)]
    assert [array.file(1, name).read_text().splitlines()[0] for name in ('exit.1', 'exit.2')] == ['attempt=1', 'attempt=2']
    assert not array.file(0, 'exit.1').exists()


def test_an_element_that_ended_is_not_run_again_without_a_requeue(root: Path) -> None:
    counted = {'psij_native_id=${FAKE_ID}_$FAKE_INDEX': 'psij_native_id=${FAKE_ID}_$FAKE_INDEX psij_requeues=$REQUEUES'}
    array = ScriptedArray([shell('echo ran >> log', directory=root)] * 2, root, replaced=counted)
    assert [array.run(index, env={'REQUEUES': '0'}) for index in (0, 0, 1)] == [0, 0, 0]
    assert (root / 'log').read_text() == 'ran\nran\n'
    assert 'nothing was run. Job the-array.0' in array.words(0)
    assert array.run(0, env={'REQUEUES': '1'}) == 0
    assert (root / 'log').read_text() == 'ran\nran\n'


def test_term_reaches_the_element_that_it_was_sent_to(root: Path) -> None:
    array = ScriptedArray([trapping('SIGTERM', 5)] * 2, root)
    processes = [array.start(index) for index in range(2)]
    for index in range(2):
        until(lambda index=index: array.file(index, 'stdout').exists() and 'ready' in array.file(index, 'stdout').read_text())  # type: ignore[misc]
    processes[1].terminate()
    assert processes[1].wait(10) == 5
    assert array.record(1).term_seen
    assert array.file(1, 'term').exists()
    assert not array.file(0, 'term').exists()
    assert processes[0].poll() is None
    processes[0].terminate()
    assert processes[0].wait(10) == 5


def test_a_pre_launch_script_that_ends_the_shell_leaves_its_own_sign(root: Path) -> None:
    for number, script in enumerate(['exec true\n', ':\n']):
        (root / f'pre{number}').write_text(script)
    array = ScriptedArray([shell('true', pre_launch=f'pre{number}') for number in range(2)], root)
    assert [array.run(index) for index in (0, 1)] == [0, 0]
    assert [array.file(index, 'preparing').exists() for index in (0, 1)] == [True, False]
    assert not array.file(0, 'exit').exists()


# -- hints


def test_an_element_tells_of_itself_alone(root: Path) -> None:
    array = ScriptedArray([shell('exit 3'), shell('exit 0')], root)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind(('127.0.0.1', 0))
        ear.settimeout(10)
        (array.mailbox / '.door').write_text(f'127.0.0.1 {ear.getsockname()[1]}\n')
        assert array.run(1) == 0
        assert [ear.recv(1000), ear.recv(1000)] == [b'n.1', b'n.1']
    assert {*os.listdir(array.mailbox)} == {'.door', 'the-array.1'}


def test_those_who_came_later_hear_of_an_element(root: Path) -> None:
    array = ScriptedArray(echoes(2), root)
    later = root / 'a later\nmailbox'
    later.mkdir()
    array.folder.add_follower(later)
    assert array.run(0) == 0
    assert [*os.listdir(later)] == ['the-array.0']
