"""What tests can do to the simulated PBS, and how it begins and ends."""

from __future__ import annotations

import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pbs_jobs import FAST, attribute, submit, wait_for_file, wait_for_process, wait_for_text

from psij_ext.testing.simulated import SimulatedPBS

# Switches


def test_delay_before_the_end_is_seen(pbs: SimulatedPBS, tmp_path: Path) -> None:
    pbs.set(finish_delay=1000.0)
    ran = tmp_path / 'ran'
    identifier = submit(pbs, script=f'touch {ran}'.encode())
    wait_for_file(ran)
    pid = int(attribute(pbs, identifier, 'session_id') or '0')
    wait_for_process(pid)
    assert pbs.state(identifier)[0] == 'R'


def test_history_can_be_switched(pbs: SimulatedPBS) -> None:
    identifier = submit(pbs)
    pbs.wait(identifier, 'F')
    assert pbs.run('qstat', identifier).returncode == 35
    pbs.set(history=False)
    assert pbs.run('qstat', identifier).returncode == 153
    pbs.set(history=True)
    assert pbs.run('qstat', '-x', identifier).returncode == 153


def test_jobs_go_on_while_the_server_is_down(pbs: SimulatedPBS, tmp_path: Path) -> None:
    go = tmp_path / 'go'
    identifier = submit(pbs, script=f'until test -e {go}; do sleep 0.01; done'.encode())
    pbs.wait(identifier, 'R')
    pbs.down()
    assert pbs.run('qstat', identifier).returncode == 255
    go.touch()
    pbs.wait(identifier, 'F')
    pbs.up()
    assert pbs.run('qstat', '-x', identifier).returncode == 0


def test_restart_runs_jobs_again(pbs: SimulatedPBS, tmp_path: Path) -> None:
    count = tmp_path / 'count'
    identifier = submit(pbs, script=f'echo >>{count}; sleep 60'.encode())
    wait_for_file(count)
    pbs.restart()
    wait_for_text(count, '\n\n')
    assert attribute(pbs, identifier, 'run_count') == '2'
    assert attribute(pbs, identifier, 'Exit_status') == '-4'
    assert pbs.state(identifier)[0] == 'R'


def give_up(pbs: SimulatedPBS, *words: str) -> None:
    """Call a command and kill it, as a caller does whose patience is at an end."""
    with pytest.raises(subprocess.TimeoutExpired):
        pbs.run(*words, stdin=b'true', timeout=0.3)


def test_hung_server_answers_nobody_and_later_those_who_wait(pbs: SimulatedPBS) -> None:
    kept, doomed = submit(pbs, '-h'), submit(pbs, '-h')
    pbs.hang()
    give_up(pbs, 'qstat', kept)
    give_up(pbs, 'qsub')
    give_up(pbs, 'qdel', doomed)
    patient = subprocess.Popen([pbs.bin / 'qstat', kept], stdout=subprocess.PIPE)
    pbs.resume()
    assert kept.encode() in patient.communicate()[0]
    assert pbs.state(doomed) == ('F', '91')
    # the submission that nobody waited for was not made, but its number is spent
    assert int(submit(pbs, '-h').partition('.')[0]) == int(doomed.partition('.')[0]) + 2


def test_version_needs_no_server(pbs: SimulatedPBS) -> None:
    """The commands know it by themselves (github.com/openpbs/openpbs/pull/1346 shows what they print)."""
    pbs.hang()
    for command in ('qstat', 'qsub', 'qdel', 'qsig'):
        done = pbs.run(command, '--version', timeout=30)
        assert (done.returncode, done.stdout, done.stderr) == (0, b'pbs_version = 23.06.06\n', b'')


# Seen on a real PBS: a job that ends already is not deleted, and one that has just begun may end in three ways.


def test_deleting_what_ends_already_is_refused(pbs: SimulatedPBS) -> None:
    pbs.set(staging_delay=1000.0)
    identifier = submit(pbs)
    pbs.wait(identifier, 'E')
    done = pbs.run('qdel', identifier)
    message = f'qdel: Request invalid for state of job {identifier}\n'
    assert (done.returncode, done.stdout, done.stderr) == (168, b'', message.encode())


@pytest.mark.parametrize('status', [0, 265, 271])
def test_deleting_what_just_begins(pbs: SimulatedPBS, tmp_path: Path, status: int) -> None:
    pbs.set(session_delay=1000.0, early_exit_status=status)
    ran, told = tmp_path / 'ran', tmp_path / 'told'
    identifier = submit(pbs, script=f'trap "touch {told}; exit" TERM; touch {ran}; while :; do :; done'.encode())
    wait_for_file(ran)
    assert pbs.state(identifier) == ('R', '41')
    assert pbs.run('qdel', identifier).returncode == 0
    pbs.wait(identifier, 'F')
    assert attribute(pbs, identifier, 'Exit_status') == str(status)
    assert pbs.state(identifier) == ('F', '91')
    assert not told.exists()


def test_submission_whose_answer_comes_too_late(pbs: SimulatedPBS) -> None:
    last = int(submit(pbs, '-h').partition('.')[0])
    pbs.set(reply_delay=5.0)
    give_up(pbs, 'qsub', '-h')
    assert pbs.state(f'{last + 1}.pbshost1') == ('H', '20')


@pytest.mark.parametrize(('settings', 'error'), [({'no_such': 1}, TypeError), ({'output': 'x'}, ValueError)])
def test_wrong_setting_is_refused(pbs: SimulatedPBS, settings: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        pbs.set(**settings)
    with pytest.raises(error):
        SimulatedPBS(Path('unused'), **settings)


def test_fixed_setting_is_refused(pbs: SimulatedPBS) -> None:
    with pytest.raises(ValueError, match='cpus'):
        pbs.set(cpus=8)


# Beginning and end


ODD = ['with space', 'quote\'s "here"', 'new\nline', '$HOME;`x`', 'caf\u00e9 \u2603', 'long' * 40]


@pytest.mark.parametrize('name', ODD)
def test_odd_folder(tmp_path: Path, name: str) -> None:
    with SimulatedPBS(tmp_path / name, home=str(tmp_path), **FAST) as pbs:
        script = b'cat "$PBS_NODEFILE" "$0" | tail -n 1; cd "$TMPDIR"'
        identifier = submit(pbs, '-o', str(tmp_path / 'out'), script=script)
        pbs.wait(identifier, 'F')
        assert attribute(pbs, identifier, 'Exit_status') == '0'
    assert (tmp_path / 'out').read_text().startswith('cat "$PBS_NODEFILE')


def test_stop_leaves_nothing_behind(pbs: SimulatedPBS, tmp_path: Path) -> None:
    pid_file = tmp_path / 'pid'
    submit(pbs, script=f'trap "" TERM; sleep 60 & echo $! >{pid_file}.new; mv {pid_file}.new {pid_file}; wait'.encode())
    wait_for_file(pid_file)
    server, child = pbs.pid, int(pid_file.read_text())
    pbs.stop()
    assert server is not None
    wait_for_process(server)
    wait_for_process(child)
    done = pbs.run('qstat')
    assert (done.returncode, done.stdout) == (162, b'')
    pbs.stop()
    with pytest.raises(RuntimeError):
        pbs.down()


def test_server_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        'import os, pathlib, sys\n'
        'from psij_ext.testing.simulated import SimulatedPBS\n'
        'pbs = SimulatedPBS(pathlib.Path(sys.argv[1])).start()\n'
        'print(pbs.pid, flush=True)\n'
        'os.kill(os.getpid(), 9)\n'
    )
    done = subprocess.run([sys.executable, '-c', program, str(tmp_path / 'pbs')], stdout=subprocess.PIPE, check=False)
    assert done.returncode == -signal.SIGKILL
    wait_for_process(int(done.stdout))


def test_simulations_do_not_know_one_another(pbs: SimulatedPBS, tmp_path: Path) -> None:
    with SimulatedPBS(tmp_path / 'other', server='elsewhere', **FAST) as other:
        assert submit(other, '-h') == '0.elsewhere'
        assert submit(pbs, '-h') == '0.pbshost1'
        assert other.run('qstat', '0.pbshost1').returncode == 1


# Nobody saw a real PBS lose its state; its history ends after job_history_duration (PBS Reference Guide).


def test_history_does_not_last(pbs: SimulatedPBS) -> None:
    kept = submit(pbs)
    pbs.wait(kept, 'F')
    pbs.set(history_duration=0.1)
    identifier = submit(pbs)
    pbs.wait(identifier, 'gone')
    assert pbs.run('qstat', '-x', identifier).returncode == 153
    assert pbs.run('qstat', '-x', kept).returncode == 0


def test_server_that_lost_its_state(pbs: SimulatedPBS, tmp_path: Path) -> None:
    began, told = tmp_path / 'began', tmp_path / 'told'
    lost = submit(pbs, script=f'trap "touch {told}" TERM EXIT; echo $$ >{began}; while :; do :; done'.encode())
    pbs.wait(lost, '42')
    wait_for_file(began)
    pbs.lose_state()
    assert pbs.state(lost) == ()
    wait_for_process(int(began.read_text()))
    assert not told.exists()
    heir = submit(pbs, '-j', 'oe', '-o', str(tmp_path / 'out'), script=b'echo heir')
    assert heir == lost
    pbs.wait(heir, 'F')
    assert (tmp_path / 'out').read_text() == 'heir\n'


def test_switches_are_turned_by_many_at_once(pbs: SimulatedPBS) -> None:
    held = submit(pbs, '-h')
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(lambda _: pbs.state(held), range(400))) == {('H', '20')}
