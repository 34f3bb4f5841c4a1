"""What jobs meet in the simulated PBS: where they run, wait, write, and how they end."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pbs_jobs import SLEEP, attribute, submit, wait_for_file, wait_for_process, wait_for_text

from psij_ext.testing.simulated import SimulatedPBS

# Output


def test_output_is_delivered_at_the_end(pbs: SimulatedPBS, tmp_path: Path) -> None:
    go, begun = tmp_path / 'go', tmp_path / 'begun'
    script = f'echo out; echo error >&2; touch {begun}; until test -e {go}; do sleep 0.01; done'
    identifier = submit(pbs, '-N', 'job', script=script.encode())
    wait_for_file(begun)
    assert not list(tmp_path.glob('job.*'))
    go.touch()
    pbs.wait(identifier, 'F')
    number = identifier.partition('.')[0]
    assert (tmp_path / f'job.o{number}').read_text() == 'out\n'
    assert (tmp_path / f'job.e{number}').read_text() == 'error\n'


def test_output_is_written_at_once_where_asked(pbs: SimulatedPBS, tmp_path: Path) -> None:
    target = tmp_path / 'direct.out'
    submit(pbs, '-koed', '-o', str(target), '-e', str(tmp_path / 'direct.err'), script=b'echo out; ' + SLEEP)
    wait_for_text(target, 'out\n')


@pytest.mark.parametrize(('join', 'letter'), [('oe', 'o'), ('eo', 'e')])
def test_output_is_joined(pbs: SimulatedPBS, tmp_path: Path, join: str, letter: str) -> None:
    identifier = submit(pbs, '-N', 'job', '-j', join, script=b'echo out; echo error >&2')
    pbs.wait(identifier, 'F')
    (file,) = tmp_path.glob('job.*')
    assert file.name == f'job.{letter}{identifier.partition(".")[0]}'
    assert file.read_text() == 'out\nerror\n'


def test_output_goes_into_a_folder(pbs: SimulatedPBS, tmp_path: Path) -> None:
    target = tmp_path / 'outputs'
    target.mkdir()
    identifier = submit(pbs, '-o', str(target), '-j', 'oe', '-J', '1-2', script=b'echo $PBS_ARRAY_INDEX')
    pbs.wait(identifier, 'F')
    name = identifier.replace('[]', '[{}]')
    assert {file.name: file.read_text() for file in target.iterdir()} == {
        name.format(1) + '.OU': '1\n',
        name.format(2) + '.OU': '2\n',
    }


def test_output_into_a_device_leaves_the_device_alone(pbs: SimulatedPBS) -> None:
    device = Path('/dev/null')
    before = device.stat().st_mode
    identifier = submit(pbs, '-j', 'oe', '-o', '/dev/null', script=b'echo out')
    pbs.wait(identifier, 'F')
    assert attribute(pbs, identifier, 'Stageout_status') == '1'
    after = device.stat().st_mode
    if after != before:
        device.chmod(before & 0o777)  # a failure of this test shall not outlive it
    assert after == before


def test_output_that_cannot_be_delivered_delays_the_end(pbs: SimulatedPBS, tmp_path: Path) -> None:
    pbs.set(delivery_timeout=1000.0)
    identifier = submit(pbs, '-o', str(tmp_path / 'missing' / 'out'))
    pbs.wait(identifier, 'E')
    assert attribute(pbs, identifier, 'Exit_status') is None


def test_job_that_cannot_open_its_output_is_held(pbs: SimulatedPBS, tmp_path: Path) -> None:
    identifier = submit(pbs, '-k', 'oed', '-o', str(tmp_path / 'missing' / 'out'))
    pbs.wait(identifier, 'H')
    found = {name: attribute(pbs, identifier, name) for name in ('substate', 'run_count', 'Exit_status', 'comment')}
    assert found == {
        'substate': '20',
        'run_count': '21',
        'Exit_status': '-3',
        'comment': 'job held, too many failed attempts to run',
    }


def test_end_of_walltime_is_told_in_the_output(pbs: SimulatedPBS, tmp_path: Path) -> None:
    identifier = submit(pbs, '-l', 'walltime=1', '-j', 'oe', '-o', str(tmp_path / 'out'), script=b'exec ' + SLEEP)
    pbs.wait(identifier, 'F')
    assert '=>> PBS: job killed: walltime 1 exceeded limit 1\n' in (tmp_path / 'out').read_text()


# How scripts run


def test_script_is_copied_at_submission(pbs: SimulatedPBS, tmp_path: Path) -> None:
    pbs.set(scheduling=False)
    script = tmp_path / 'job.sh'
    script.write_text('echo first\n')
    identifier = submit(pbs, '-o', str(tmp_path / 'out'), str(script))
    script.write_text('echo second\n')
    pbs.set(scheduling=True)
    pbs.wait(identifier, 'F')
    assert (tmp_path / 'out').read_text() == 'first\n'


def test_threads_are_those_of_the_first_chunk(pbs: SimulatedPBS, tmp_path: Path) -> None:
    words = ['-l', 'select=1:ncpus=3:ompthreads=2+1:ncpus=1', '-o', str(tmp_path / 'out')]
    identifier = submit(pbs, *words, script=b'echo $NCPUS $OMP_NUM_THREADS')
    pbs.wait(identifier, 'F')
    assert (tmp_path / 'out').read_text() == '3 2\n'


def test_hangup_is_ignored(pbs: SimulatedPBS, tmp_path: Path) -> None:
    identifier = submit(pbs, '-o', str(tmp_path / 'out'), script=b'kill -HUP $$; echo alive')
    pbs.wait(identifier, 'F')
    assert (tmp_path / 'out').read_text() == 'alive\n'


def test_script_starts_at_home_in_a_session_of_its_own(pbs: SimulatedPBS, tmp_path: Path) -> None:
    identifier = submit(pbs, '-o', str(tmp_path / 'out'), script=b'pwd; umask; ps -o sid= -p $$; cat')
    pbs.wait(identifier, 'F')
    folder, mask, session = (tmp_path / 'out').read_text().split()
    assert (folder, mask) == (str(tmp_path / 'home'), '0077')
    assert int(session) not in (os.getsid(0), os.getsid(pbs.pid or 0))


@pytest.mark.parametrize(
    ('resources', 'lines'),
    [
        ('select=1:ncpus=3', ['pbshost1']),
        ('select=1:ncpus=3:mpiprocs=3', ['pbshost1'] * 3),
        ('select=2:ncpus=2:mpiprocs=2,place=scatter', ['pbshost1'] * 2 + ['pbshost2'] * 2),
        ('select=3:ncpus=2', ['pbshost1', 'pbshost1', 'pbshost2']),
        ('nodes=2:ppn=3', ['pbshost1'] * 3 + ['pbshost2'] * 3),
    ],
)
def test_node_file_has_one_line_a_process(pbs: SimulatedPBS, tmp_path: Path, resources: str, lines: list[str]) -> None:
    identifier = submit(pbs, '-l', resources, '-o', str(tmp_path / 'out'), script=b'cat $PBS_NODEFILE')
    pbs.wait(identifier, 'F')
    assert (tmp_path / 'out').read_text().splitlines() == lines


def test_processes_left_behind_are_killed(pbs: SimulatedPBS, tmp_path: Path) -> None:
    pid_file = tmp_path / 'pid'
    identifier = submit(pbs, script=f'sleep 60 & echo $! >{pid_file}'.encode())
    pbs.wait(identifier, 'F')
    wait_for_process(int(pid_file.read_text()))
    assert attribute(pbs, identifier, 'Exit_status') == '0'


@pytest.mark.parametrize('words', [('-l', 'walltime=1'), ()])
def test_script_may_react_to_term(pbs: SimulatedPBS, tmp_path: Path, words: tuple[str, ...]) -> None:
    begun, seen = tmp_path / 'begun', tmp_path / 'seen'
    pbs.set(kill_delay=20.0)
    script = f'trap "touch {seen}; exit 0" TERM; touch {begun}; sleep 60 & wait'
    identifier = submit(pbs, *words, script=script.encode())
    wait_for_file(begun)
    if not words:
        pbs.run('qdel', identifier)
    pbs.wait(identifier, 'F')
    assert seen.exists()
    assert attribute(pbs, identifier, 'Exit_status') == ('-29' if words else '271')


# The queue


def test_jobs_wait_for_room_and_come_in_order(pbs: SimulatedPBS, tmp_path: Path) -> None:
    order = tmp_path / 'order'
    pbs.set(scheduling=False)
    wide = ['-l', 'select=2:ncpus=4']
    first, second = (submit(pbs, *wide, script=f'echo {name} >>{order}'.encode()) for name in ('first', 'second'))
    blocker = submit(pbs, *wide, script=SLEEP)
    late = submit(pbs, '-l', 'select=1:ncpus=3', script=f'echo late >>{order}'.encode())
    pbs.set(scheduling=True)
    pbs.wait(second, 'F')
    pbs.wait(blocker, 'R')
    assert attribute(pbs, late, 'comment') == 'Not Running: Insufficient amount of resource: ncpus (R: 3 A: 0 T: 8)'
    pbs.run('qdel', blocker)
    pbs.wait(late, 'F')
    assert order.read_text().split() == ['first', 'second', 'late']
    assert attribute(pbs, first, 'run_count') == '1'


def test_delayed_job_starts_when_its_time_has_come(pbs: SimulatedPBS) -> None:
    moment = time.strftime('%Y%m%d%H%M.%S', time.localtime(time.time() + 2))
    identifier = submit(pbs, '-a', moment)
    pbs.wait(identifier, 'W')
    pbs.wait(identifier, 'F')


@pytest.mark.parametrize(
    ('kind', 'exit_code', 'runs'),
    [
        ('afterok', 0, True),
        ('afterok', 1, False),
        ('afternotok', 0, False),
        ('afternotok', 1, True),
        ('afterany', 1, True),
        ('after', 0, True),
    ],
)
@pytest.mark.parametrize('history', [True, False])
def test_dependency(pbs: SimulatedPBS, tmp_path: Path, kind: str, exit_code: int, runs: bool, history: bool) -> None:
    ran, done = tmp_path / 'ran', tmp_path / 'done'
    pbs.set(scheduling=False, history=history)
    first = submit(pbs, script=f'exit {exit_code}'.encode())
    second = submit(pbs, '-W', f'depend={kind}:{first}', script=f'touch {ran}'.encode())
    third = submit(pbs, '-W', f'depend=afterany:{second}', script=f'touch {done}'.encode())
    pbs.set(scheduling=True)
    pbs.wait(third, 'F' if history else 'gone')
    assert done.exists()
    assert ran.exists() == runs


def test_finished_subjob_is_expired_until_its_array_ends(pbs: SimulatedPBS) -> None:
    identifier = submit(pbs, '-J', '0-1', script=b'test $PBS_ARRAY_INDEX = 0 || sleep 60')
    pbs.wait(identifier.replace('[]', '[0]'), 'X')
    assert pbs.state(identifier) == ('B', '70')
    assert attribute(pbs, identifier, 'array_state_count') == 'Queued:0 Running:1 Exiting:0 Expired:1'
    pbs.run('qdel', identifier.replace('[]', '[1]'))
    pbs.wait(identifier, 'F')
    assert pbs.state(identifier.replace('[]', '[0]')) == ('F', '92')


def test_array_runs_no_more_subjobs_at_once_than_asked(pbs: SimulatedPBS) -> None:
    identifier = submit(pbs, '-J', '1-4%2', script=SLEEP)
    pbs.wait(identifier.replace('[]', '[2]'), '42')
    assert attribute(pbs, identifier, 'array_indices_remaining') == '3-4'


def test_suspended_processes_stop(pbs: SimulatedPBS, tmp_path: Path) -> None:
    pid_file = tmp_path / 'pid'
    identifier = submit(pbs, script=f'echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; sleep 60; true'.encode())
    wait_for_file(pid_file)
    pbs.wait(identifier, '42')
    root = {'SIMULATED_PBS_USER': 'root'}
    for command, state, process in (('suspend', ('S', '43'), 'T'), ('resume', ('R', '42'), 'S')):
        assert pbs.run('qsig', '-s', command, identifier, environment=root).returncode == 0
        assert pbs.state(identifier) == state
        wait_for_process(int(pid_file.read_text()), process)


def test_long_table_wins_over_full_report(pbs: SimulatedPBS) -> None:
    """With -u there is no JSON of jobs, which whoever asks for one user's jobs must know."""
    identifier = submit(pbs, '-h')
    done = pbs.run('qstat', '-u', 'nobody-else', '-f', '-F', 'json')
    assert b'"Jobs"' not in done.stdout
    assert identifier.encode() in pbs.run('qstat', '-f', '-F', 'json').stdout
