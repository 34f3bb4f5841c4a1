"""Whole job scripts, run by a real bash: the claim, requeues, signals."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import time
from pathlib import Path

import pytest
from job_scripts import Make, Scripted, either_way, shell, trapping, until

from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageOut, StageOutFlags
from psij_ext.core.state import JobState
from psij_ext.runtime.claims import REVOKED

ACTIVE, STAGE_IN, STAGE_OUT, CLEANUP = JobState.ACTIVE, JobState.STAGE_IN, JobState.STAGE_OUT, JobState.CLEANUP


# -- the claim: a job runs at most once


def test_the_claim_names_the_claimer(scripted: Make) -> None:
    job = scripted(shell('true'))
    assert job.run('12;c') == 0
    assert job.folder.claimed_by('n') == '12;c'
    assert job.folder.revoke('n') == '12;c'


@pytest.mark.parametrize('native_id', ['13', '1', '12;c', ' 12', ''])
def test_a_second_native_id_runs_nothing(scripted: Make, tmp_path: Path, native_id: str) -> None:
    job = scripted(shell('echo ran >> log', stage_out={StageOut('log', tmp_path / 'delivered')}))
    assert job.run('12') == 0
    record = job.record
    assert job.run(native_id) == 125
    assert (tmp_path / 'log').read_text() == 'ran\n'
    assert job.record == record
    assert 'nothing was run' in job.words
    assert '12' in job.words


def test_a_revoked_submission_runs_nothing(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch ran'))
    assert job.folder.revoke('n') is None
    assert job.run() == 125
    assert not (tmp_path / 'ran').exists()
    assert (job.folder.read_exit(), job.states) == (None, [])
    assert REVOKED in job.words


def test_without_a_native_id_nothing_is_run(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch ran'))
    assert job.run('') == 125
    assert not (tmp_path / 'ran').exists()


def test_where_the_folder_cannot_be_seen_nothing_is_run(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('touch ran'))
    job.script, job.output = Path(shutil.copy(job.script, tmp_path / 'script')), tmp_path / 'words'
    shutil.rmtree(job.folder.path)
    assert job.run() == 125
    assert not (tmp_path / 'ran').exists()
    assert 'Does this host see' in job.words


def test_of_many_starts_one_runs(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('echo ran >> log'))
    codes = [process.wait(30) for process in [job.start(str(number)) for number in range(8)]]
    assert sorted(codes) == [0] + [125] * 7
    assert (tmp_path / 'log').read_text() == 'ran\n'


# -- requeues


def test_a_requeue_is_the_next_attempt(scripted: Make) -> None:
    job = scripted(shell('exit 3'))
    for attempt in (1, 2, 3):
        assert job.run() == 3
        assert job.record.attempt == attempt
    assert job.states == [(1, ACTIVE), (2, ACTIVE), (3, ACTIVE)]
    assert [(job.folder.path / name).read_text().splitlines()[0] for name in ('exit.1', 'exit.2', 'exit')] == [
        'attempt=1', 'attempt=2', 'attempt=3']


def test_an_attempt_that_ended_before_it_entered_any_state_counts(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('true', directory='later'))
    assert job.run() == 1
    assert (job.record.attempt, job.record.phase) == (1, 'directory')
    (tmp_path / 'later').mkdir()
    assert job.run() == 0
    assert (job.record.attempt, job.record.phase) == (2, 'done')
    assert job.states == [(2, ACTIVE)]


def test_a_killed_attempt_counts_and_leaves_no_record(scripted: Make) -> None:
    job = scripted(shell('sleep 100'))
    process = job.start()
    until(job.is_active)
    job.kill()
    assert process.returncode == -signal.SIGKILL
    assert job.folder.read_exit() is None
    job.job.spec.arguments = ['-c', 'true']
    process = job.start()
    until(lambda: len(job.states) == 2)
    process.terminate()
    assert process.wait(10) == 143
    assert (job.record.attempt, job.states) == (2, [(1, ACTIVE), (2, ACTIVE)])


@pytest.mark.parametrize('content', ['x ACTIVE 5\n', 'a[$(touch hacked)] ACTIVE 5\n', '\0\n', '08 ACTIVE 5\n', '-5 ACTIVE 5\n'])
def test_progress_that_cannot_be_read_stops_nothing(scripted: Make, tmp_path: Path, content: str) -> None:
    job = scripted(shell('true'))
    (job.folder.path / 'progress').write_text(content)
    assert job.run() == 0
    assert job.record.attempt == (9 if content.startswith('08') else 1)
    assert list(tmp_path.rglob('hacked')) == []
    assert not Path('/hacked').exists()


def counted(scripted: Make, script: str) -> Scripted:
    """A job of a scheduler that counts its requeues."""
    return scripted(shell(script), replaced={'psij_native_id=$FAKE_ID': 'psij_native_id=$FAKE_ID\npsij_requeues=$REQUEUES'})


@pytest.mark.parametrize('code', [0, 3])
@pytest.mark.parametrize(('first', 'second'), [('0', '0'), ('2', '2'), ('2', '0')])
def test_a_job_that_ended_is_not_run_again_without_a_requeue(
        scripted: Make, tmp_path: Path, code: int, first: str, second: str) -> None:
    """A controller that came back with an older state starts it once more."""
    job = counted(scripted, f'echo ran >> log; exit {code}')
    assert job.run(env={'REQUEUES': first}) == code
    before = job.record
    (job.mailbox / job.job.id).unlink()
    assert job.run(env={'REQUEUES': second}) == code
    assert (tmp_path / 'log').read_text() == 'ran\n'
    assert job.record == dataclasses.replace(before, attempt=2)
    assert 'nothing was run' in job.words
    assert [each.name for each in job.mailbox.iterdir()] == [job.job.id]
    # Somebody may want what failed to run again all the same.
    assert job.run(env={'REQUEUES': str(int(first) + 1)}) == code
    assert (tmp_path / 'log').read_text() == ('ran\nran\n' if code else 'ran\n')
    assert job.record.attempt == 3


@pytest.mark.parametrize('count', ['', 'many'])
def test_a_scheduler_that_does_not_count_requeues_may_start_a_job_again(scripted: Make, tmp_path: Path, count: str) -> None:
    job = counted(scripted, 'echo ran >> log')
    for attempt in (1, 2):
        assert job.run(env={'REQUEUES': count}) == 0
        assert job.record.attempt == attempt
    assert (tmp_path / 'log').read_text() == 'ran\nran\n'


def test_a_run_that_was_ended_from_outside_may_be_repeated(scripted: Make) -> None:
    job = counted(scripted, 'mkdir once || exit 4; echo ready; exec sleep 100')
    process = job.start(env={'REQUEUES': '0'})
    until(job.is_ready)
    process.terminate()
    assert process.wait(10) == 143
    assert job.run(env={'REQUEUES': '0'}) == 4
    assert job.record.attempt == 2


# -- signals


@either_way
@pytest.mark.parametrize('name', ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGQUIT'])
@pytest.mark.parametrize('code', [0, 5])
def test_a_signal_is_passed_on_and_the_code_is_kept(scripted: Make, name: str, code: int) -> None:
    job = scripted(trapping(name, code))
    process = job.start()
    until(job.is_ready)
    process.send_signal(getattr(signal, name))
    assert process.wait(10) == code
    assert (job.record.exit_code, job.record.phase, job.record.term_seen) == (code, 'done', name == 'SIGTERM')


@either_way
def test_term_ends_a_job_that_does_nothing_about_it(scripted: Make, tmp_path: Path) -> None:
    job = scripted(shell('echo ready; exec sleep 100', stage_out={StageOut('left', tmp_path / 'x', StageOutFlags.ON_CANCEL | StageOutFlags.IF_PRESENT)}))
    process = job.start()
    until(job.is_ready)
    process.terminate()
    assert process.wait(10) == 143
    assert (job.record.exit_code, job.record.term_seen) == (143, True)


@pytest.mark.parametrize('is_named', [False, True])
def test_term_is_passed_on_to_a_program_that_its_sender_did_not_see(scripted: Make, is_named: bool, tmp_path: Path) -> None:
    job = scripted(shell(f"trap 'echo told' TERM; echo $$ ready; until [ -e {tmp_path}/go ]; do sleep 0.01; done"))
    process = job.start()
    until(job.is_ready)
    program = job.stdout.split()[0]
    (job.folder.path / 'ended_by').write_text(f'cancel\n1 {program if is_named else 2} {process.pid}\n')
    process.terminate()
    until(job.folder.read_term_note)
    until(lambda: is_named or 'told' in job.stdout)
    (tmp_path / 'go').touch()
    assert process.wait(10) == 0
    assert ('told' in job.stdout) is not is_named
    assert (job.record.term_seen, job.record.ended_by) == (True, 'cancel')


def test_term_is_noted_for_the_case_that_kill_follows(scripted: Make) -> None:
    job = scripted(shell("trap '' TERM; echo ready; exec sleep 100"))
    before = time.time()
    process = job.start()
    until(job.is_ready)
    assert job.folder.read_term_note() is None
    os.killpg(process.pid, signal.SIGTERM)
    until(job.folder.read_term_note)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    assert job.folder.read_exit() is None
    note = job.folder.read_term_note()
    assert note is not None
    assert note.attempt == 1
    assert before <= note.began <= note.seen <= time.time()


@either_way
def test_signals_without_number_do_not_change_the_code(scripted: Make) -> None:
    job = scripted(shell('trap : USR1; echo ready; sleep 0.5; exit 42'))
    process = job.start()
    until(job.is_ready)
    while process.poll() is None:
        process.send_signal(signal.SIGUSR1)
        time.sleep(0.001)
    assert process.returncode == 42
    assert (job.record.exit_code, job.record.term_seen) == (42, False)


@either_way
def test_a_signal_to_the_whole_group_is_seen_too(scripted: Make) -> None:
    job = scripted(shell('echo ready; exec sleep 100'))
    process = job.start()
    until(job.is_ready)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(10) == 143
    assert (job.record.exit_code, job.record.term_seen) == (143, True)


@pytest.mark.parametrize('code', [0, 5, 143])
def test_term_that_comes_a_moment_after_the_end_of_the_program_is_seen(scripted: Make, tmp_path: Path, code: int) -> None:
    def is_seen(number: int) -> bool:
        late = f'script=$(ps -o ppid= -p "$PPID"); (sleep 0.01; kill -s TERM $script) & exit {code}'
        job = scripted(shell(late), tmp_path / str(number))
        assert job.run() == code
        return job.record.term_seen

    # On a busy machine a moment may turn out long, but not each time.
    assert any(map(is_seen, range(10)))


def test_term_before_the_launch_launches_nothing(scripted: Make, tmp_path: Path) -> None:
    (tmp_path / 'pre.sh').write_text('touch began; while [ ! -e go ]; do sleep 0.01; done\n')
    job = scripted(shell('touch ran', pre_launch='pre.sh'))
    process = job.start()
    until((tmp_path / 'began').exists)
    process.terminate()
    (tmp_path / 'go').touch()
    assert process.wait(10) == 143
    assert not (tmp_path / 'ran').exists()
    assert (job.record.exit_code, job.record.term_seen, job.record.launched) == (143, True, False)


@either_way
def test_term_at_any_moment_ends_the_job(scripted: Make, tmp_path: Path) -> None:
    jobs = []
    for number in range(24):
        job = scripted(JobSpec('sleep', ['100']), tmp_path / str(number))
        process = job.start()
        time.sleep(0.002 * number)
        process.terminate()
        jobs.append((job, process))
    for job, process in jobs:
        assert process.wait(10) in (143, -signal.SIGTERM)
        if process.returncode == 143:
            assert (job.record.exit_code, job.record.term_seen) == (143, True)
