"""`submit`, `ls`, `status` and `cancel`, each in a process that knows nothing of the others."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_shell import SECONDS, Shell, fake_program

pytestmark = pytest.mark.conformance(any_launcher=True)


def submit(shell: Shell, *command: str) -> str:
    job_id, _ = shell('submit', '--', *command).stdout.decode().split()
    return job_id


def wait_for(shell: Shell, job_id: str, state: str) -> dict[str, object]:
    """Look again and again, as a person would, until a job is in a state."""
    until = time.monotonic() + SECONDS
    while True:
        (job,) = shell.json('status', job_id)
        if job['state'] == state or time.monotonic() > until:
            assert job['state'] == state
            return dict(job)
        time.sleep(0.2)


def test_submit_prints_both_ids_and_returns(site):
    job_id, native_id = site('submit', '--', 'sleep', '1000').stdout.decode().split()
    (job,) = site.json('ls')
    assert (job['id'], job['native_id'], job['number']) == (job_id, native_id, 1)
    assert job['state'] in ('QUEUED', 'ACTIVE')
    assert job['ended'] is None and job['exit_code'] is None


def test_under_a_key_a_job_is_submitted_once(site, tmp_path):
    words = '--key', 'my job', '--', 'sh', '-c', f'echo >> {tmp_path}/runs; exit 3'
    first = site('submit', *words).stdout
    wait_for(site, first.decode().split()[0], 'FAILED')
    assert site('submit', *words).stdout == first
    assert site.json('run', *words, code=3)['id'] == first.decode().split()[0]
    assert site('submit', '--resubmit-failed', *words).stdout != first
    assert len(site.json('ls')) == 2
    wait_for(site, '@last', 'FAILED')
    assert (tmp_path / 'runs').read_text() == '\n\n'


def test_submit_as_json(site):
    job = site.json('submit', '--', 'true')
    assert (job['state'], job['command']) == ('QUEUED', ['true'])
    assert site.json('status', job['id'])[0]['native_id'] == job['native_id']


@pytest.mark.parametrize(('script', 'state', 'code'), [('exit 0', 'COMPLETED', 0), ('exit 3', 'FAILED', 3)])
def test_the_end_is_known_in_a_later_shell(site, script, state, code):
    job = wait_for(site, submit(site, 'sh', '-c', f'echo out; echo err >&2; {script}'), state)
    assert job['exit_code'] == code
    assert job['started'] is not None and job['ended'] is not None
    for stream, said in (('stdout', 'out\n'), ('stderr', 'err\n')):
        with open(str(job[stream])) as output:
            assert output.read() == said
    told = site('status', '@last').stdout.decode()
    assert f'state      {state}\n' in told
    assert f'exit code  {code}\n' in told
    assert f'stdout     {job["stdout"]}\n' in told
    assert 'command    sh -c ' in told
    usage = job['usage']
    assert usage['wall_time'] > 0 and usage['start_time'] <= usage['end_time'] and usage['nodes'] == 1
    assert usage['cpu_time'] >= 0 and usage['max_rss'] > 0
    assert '  CPU time   0:00:0' in told
    assert ' MiB\n' in told


def test_the_list_for_people(site):
    first = submit(site, 'true')
    wait_for(site, first, 'COMPLETED')
    second = submit(site, 'sleep', '1000')
    head, *rows = [line.split() for line in site('ls').stdout.decode().splitlines()]
    assert head[:7] == ['#', 'ID', 'NATIVE_ID', 'EXECUTOR', 'NAME', 'STATE', 'EXIT']
    assert [row[:2] for row in rows] == [['1', first[:8]], ['2', second[:8]]]
    assert rows[0][4:7] == ['true', 'COMPLETED', '0']
    assert rows[1][4] == 'sleep' and rows[1][6] == '-'
    assert [job['id'] for job in site.json('ls', '--last', 1)] == [second]
    assert site.json('ls', '--executor', 'no-such') == []


def test_cancel_of_a_running_job(site):
    job_id = submit(site, 'sleep', '1000')
    wait_for(site, job_id, 'ACTIVE')
    assert job_id[:8] in site('cancel', job_id).stdout.decode()
    job = wait_for(site, job_id, 'CANCELED')
    assert job['reason'] == 'canceled'
    over = site('cancel', job_id)
    assert b'is over already: CANCELED' in over.stderr


SUBMIT_TOGETHER = """
import sys
from psij_ext import Job, JobExecutor, JobSpec, JobState
with JobExecutor.get_instance(sys.argv[1]) as executor:
    jobs = [Job(JobSpec('/bin/sleep', ['1000'])) for _ in range(2)]
    executor.submit_many(jobs)
    for job in jobs:
        assert job.wait(60, JobState.ACTIVE) is not None
        print(job.native_id)
"""


def test_cancel_of_jobs_that_were_submitted_together(site):
    """One of them, and then all that are left; on a scheduler they are an array, which has an id of its own."""
    executor = site.json('render', '--', 'true')['executor']
    done = subprocess.run([sys.executable, '-c', SUBMIT_TOGETHER, executor], cwd=site.folder, env=site.environment,
                          capture_output=True, text=True, timeout=SECONDS, check=True)
    first, *others = done.stdout.split()
    site('cancel', first)
    assert wait_for(site, first, 'CANCELED')['reason'] == 'canceled'
    assert {site.json('status', native_id)[0]['state'] for native_id in others} == {'ACTIVE'}
    array = {'slurm': first.partition('_')[0], 'pbspro': first.replace('[0]', '[]')}.get(executor)
    site('cancel', *(others if array is None else [array]))
    for native_id in others:
        wait_for(site, native_id, 'CANCELED')


def test_cancel_goes_on_after_a_job_that_is_over(site):
    done, running = submit(site, 'true'), submit(site, 'sleep', '1000')
    wait_for(site, done, 'COMPLETED')
    site('cancel', done, running)
    wait_for(site, running, 'CANCELED')


@pytest.mark.conformance(any_launcher=True, not_on=('local',))
def test_cancel_of_several_jobs_is_one_command(site, execparams):
    jobs = [submit(site, 'sleep', '1000') for _ in range(3)]
    program = {'slurm': 'scancel', 'pbspro': 'qdel'}[execparams.executor_name]
    real = shutil.which(program, path=site.environment['PATH'])
    logging = site.folder / 'logging' / program
    logging.parent.mkdir()
    logging.write_text(f'#!/bin/sh\necho "$#" >> {logging}.log\nexec {real} "$@"\n')
    logging.chmod(0o700)
    site.environment['PATH'] = f'{logging.parent}:{site.environment["PATH"]}'
    said = site('cancel', *jobs).stdout.decode()
    assert all(job_id[:8] in said for job_id in jobs)
    assert Path(f'{logging}.log').read_text() == '3\n'
    for job_id in jobs:
        wait_for(site, job_id, 'CANCELED')


def test_a_job_is_named_by_any_unique_word(site):
    job = site.json('submit', '--', 'sleep', '1000')
    for word in (job['id'], job['id'][:8], job['id'][9:20], job['native_id'], '@1', '@last'):
        assert [found['id'] for found in site.json('status', word)] == [job['id']]
    # Named twice, it is one job all the same.
    assert len(site.json('status', job['id'], job['native_id'])) == 1


def test_a_work_directory_of_its_own(site):
    site('run', '--work-directory', 'elsewhere', '--', 'true')
    (job,) = site.json('ls', '--work-directory', 'elsewhere')
    assert [listed['id'] for listed in site.json('ls')] == [job['id']]  # it is known where jobs have been
    assert site.json('ls', '--work-directory', 'nowhere') == []
    assert job['state'] == 'COMPLETED'
    assert job['folder'].startswith(str(site.folder / 'elsewhere'))


@pytest.mark.conformance(any_launcher=True, not_on=('local',))
def test_ends_are_known_while_the_scheduler_does_not_answer(site):
    failed = submit(site, 'sh', '-c', 'exit 3')
    wait_for(site, failed, 'FAILED')
    running = submit(site, 'sleep', '1000')
    wait_for(site, running, 'ACTIVE')
    programs = site.folder / 'bin'
    for name in ('squeue', 'scontrol', 'sacct', 'qstat'):
        fake_program(programs, name, 'echo "it is out of order" >&2; exit 1')
    path = site.environment['PATH']
    site.environment['PATH'] = f'{programs}:{path}'
    try:
        jobs = {job['id']: job for job in site.json('ls', code=1)}
        assert (jobs[failed]['state'], jobs[failed]['exit_code']) == ('FAILED', 3)
        # What is alive is shown as its folder last told of it.
        assert (jobs[running]['state'], jobs[running]['missing']) == ('ACTIVE', False)
        said = site('ls', code=1).stderr.decode()
        assert 'out of date' in said and 'it is out of order' in said
        assert site('status', failed).stderr == b''
    finally:
        site.environment['PATH'] = path


@pytest.mark.conformance(any_launcher=True, not_on=('local',))
def test_ends_are_known_when_the_scheduler_has_forgotten_the_jobs(site):
    failed, cancelled = submit(site, 'sh', '-c', 'exit 3'), submit(site, 'sleep', '1000')
    wait_for(site, failed, 'FAILED')
    site('cancel', cancelled)
    wait_for(site, cancelled, 'CANCELED')
    programs = site.folder / 'bin'
    for name in ('squeue', 'sacct', 'qstat'):
        fake_program(programs, name, 'exit 0')
    path = site.environment['PATH']
    site.environment['PATH'] = f'{programs}:{path}'
    try:
        states = {job['id']: job['state'] for job in site.json('ls')}
        assert states == {failed: 'FAILED', cancelled: 'CANCELED'}
    finally:
        site.environment['PATH'] = path
