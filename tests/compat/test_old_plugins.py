"""An executor that was written for PSI/J, on the simulated PBS: its script is all its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from psij_ext import (
    ExitReason,
    Job,
    JobAttributes,
    JobExecutor,
    JobSpec,
    JobState,
    JobStatus,
    ResourceSpecV1,
    StageOut,
)
from psij_ext.core.observation import Observation
from psij_ext.exceptions import InvalidJobException, SubmitException, SubmitUncertain
from psij_ext.executors.batch import BatchSchedulerExecutor, BatchSchedulerExecutorConfig
from psij_ext.runtime.evidence import Evidence, Patience, Presence
from psij_ext.runtime.followed import Followed
from psij_ext.runtime.foreign import launch_script
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.judgement import judge
from psij_ext.runtime.settlement import OpenSubmission, settle_by_folders
from psij_ext.testing.simulated import SimulatedPBS

WAIT = timedelta(seconds=20)


def configured(folder: Path) -> BatchSchedulerExecutorConfig:
    return BatchSchedulerExecutorConfig(
        work_directory=folder / 'work', initial_queue_polling_delay=0.1, queue_polling_interval=0.2, keep_files=True)


@pytest.fixture(params=['oldpbs', 'keywordpbs'])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def executor(tmp_path: Path, oldpbs: Path, pbs: SimulatedPBS, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv('PATH', f'{pbs.bin}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.chdir(tmp_path)
    with JobExecutor.get_instance('oldpbs', config=configured(tmp_path)) as made:
        yield made
    pbs.set(scheduling=True)


def shell(script: str, *arguments: str, **fields: Any) -> Job:
    return Job(JobSpec('/bin/bash', ['-c', script, 'bash', *arguments], **fields))


def run(executor: JobExecutor, job: Job) -> Job:
    executor.submit(job)
    assert job.wait(WAIT) is not None
    return job


def folder_of(executor: Any, job: Job) -> Path:
    return Path(executor.work_directory) / job.id


def script_of(executor: Any, job: Job) -> str:
    return (folder_of(executor, job) / 'script').read_text()


def test_the_plugin_is_found_without_asking_for_compat(name: str, executor: Any, tmp_path: Path) -> None:
    with JobExecutor.get_instance(name, config=configured(tmp_path)) as made:
        assert isinstance(made, BatchSchedulerExecutor)
        assert (made.name, str(made.version)) == (name, '0.0.1')
        assert made.work_directory == tmp_path / 'work' / name
        job = run(made, shell('exit 0'))
    assert (job.status.state, job.status.exit_code) == (JobState.COMPLETED, 0)


def test_a_job_that_fails_has_its_exit_code_and_last_words(executor: Any) -> None:
    job = run(executor, shell('echo too bad >&2; exit 3'))
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 3)
    assert 'too bad' in str(job.status.message)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.EXITED


def test_the_states_on_the_way(executor: Any, tmp_path: Path) -> None:
    seen: list[JobState] = []
    job = shell('until [ -e "$1" ]; do sleep 0.05; done', str(tmp_path / 'go'))
    job.set_job_status_callback(lambda _, status: seen.append(status.state))
    executor.submit(job)
    assert job.wait(WAIT, JobState.ACTIVE) is not None
    assert executor.list() == [job.native_id]
    (tmp_path / 'go').touch()
    job.wait(WAIT)
    assert executor.list() == []
    executor.close()
    assert seen == [JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED]


def test_all_that_a_spec_says(executor: Any, tmp_path: Path) -> None:
    home = tmp_path / 'a folder'
    home.mkdir()
    (home / 'in').write_text('from a file\n')
    (tmp_path / 'before.sh').write_text('export BEFORE=1; echo before\n')
    (tmp_path / 'after.sh').write_text('echo after > after\n')
    job = run(executor, shell(
        'cat; pwd; echo "$1" "$QUOTED" $BEFORE; echo error >&2', "it's $HOME", directory=home, stdin_path='in',
        stdout_path='out', stderr_path='err', environment={'QUOTED': 'a "b" $c', 'PATH': os.environ['PATH']},
        pre_launch='before.sh', post_launch='after.sh', name='named'))
    assert job.status.state is JobState.COMPLETED, job.status.message
    assert (home / 'out').read_text() == f'from a file\n{home}\nit\'s $HOME a "b" $c 1\n'
    assert (home / 'err').read_text() == 'error\n'
    assert (home / 'after').read_text() == 'after\n'
    assert (folder_of(executor, job) / f'{job.native_id}.out').read_text() == 'before\n'


def test_both_outputs_in_one_file(executor: Any, tmp_path: Path) -> None:
    (tmp_path / 'link').symlink_to('both')
    run(executor, shell('echo one; echo two >&2; echo three', stdout_path='both', stderr_path='link'))
    assert (tmp_path / 'both').read_text() == 'one\ntwo\nthree\n'


@pytest.mark.parametrize(('ending', 'code'), [
    ('return 4', 4), ('false', 1), ('exit 3', 3), ('exit 0', 1), ('set -e\nfalse\ntrue', 1), ('exec true', 0)])
def test_a_pre_launch_script_that_fails_launches_nothing(executor: Any, tmp_path: Path, ending: str, code: int) -> None:
    (tmp_path / 'before.sh').write_text(f'{ending}\n')
    job = run(executor, shell('touch ran', pre_launch='before.sh'))
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, code)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LAUNCH_FAILED
    assert 'pre' in str(job.status.message)
    assert not (tmp_path / 'ran').exists()


def test_what_a_pre_launch_script_sets_in_its_shell_ends_nothing(executor: Any, tmp_path: Path) -> None:
    (tmp_path / 'before.sh').write_text('set -euC\n')
    (tmp_path / 'after.sh').write_text('touch after\n')
    job = run(executor, shell('exit 3', pre_launch='before.sh', post_launch='after.sh', stdout_path='before.sh'))
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 3)
    assert (tmp_path / 'after').exists()


def test_a_later_run_removes_the_exit_code_of_an_earlier_one(tmp_path: Path) -> None:
    (tmp_path / 'launch').write_text(launch_script())
    (tmp_path / '1.ec').write_text('7')
    words = ['a-job', '/dev/null', '', '', '/dev/null', '/dev/null', '/dev/null', str(tmp_path)]
    for run_number in ('1', '2'):
        subprocess.run(['/bin/bash', str(tmp_path / 'launch'), *words, '/bin/true'], check=True)
        assert (tmp_path / 'progress').read_text().splitlines()[-1].startswith(f'{run_number} ACTIVE ')
        assert not (tmp_path / '1.ec').exists()
    assert (tmp_path / 'step').read_text() == 'done\n\n'


@pytest.mark.parametrize(('fields', 'said'), [
    ({'stdin_path': 'nothing'}, '/nothing'), ({'stdout_path': 'no/out'}, '/no/out'), ({'stderr_path': 'no/err'}, '/no/err'),
    ({'directory': 'no'}, 'directory')], ids=str)
def test_what_keeps_a_command_from_beginning(executor: Any, tmp_path: Path, fields: Any, said: str) -> None:
    job = run(executor, shell('touch ran', **fields))
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 1)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LAUNCH_FAILED
    assert said in str(job.status.message)
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(('executable', 'code'), [('/no/such/program', 127), ('./plain', 126)])
def test_a_command_that_is_not_to_be_had(executor: Any, tmp_path: Path, executable: str, code: int) -> None:
    (tmp_path / 'plain').touch()
    job = run(executor, Job(JobSpec(executable)))
    assert job.status.exit_code == code
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LAUNCH_FAILED
    assert executable in str(job.status.message)


def test_a_program_that_ends_with_such_a_code_has_run(executor: Any) -> None:
    job = run(executor, shell('exit 127'))
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.EXITED


def test_that_it_ran_is_told_before_its_end(executor: Any) -> None:
    seen: list[JobState] = []
    executor.config.queue_polling_interval = 1
    job = shell('exit 3')
    job.set_job_status_callback(lambda _, status: seen.append(status.state))
    run(executor, job)
    executor.close()
    assert seen == [JobState.QUEUED, JobState.ACTIVE, JobState.FAILED]


def test_a_query_that_cannot_be_read_keeps_no_exit_code_back(executor: Any) -> None:
    def parse_status_output(exit_code: int, out: str) -> dict[str, JobStatus]:
        raise KeyError('Jobs')

    executor.parse_status_output = parse_status_output
    assert run(executor, shell('exit 0')).status.state is JobState.COMPLETED


def test_what_the_template_may_use(executor: Any) -> None:
    job = Job(JobSpec('/bin/true', name='named', resources=ResourceSpecV1(process_count=2), attributes=JobAttributes(
        duration=timedelta(minutes=90), queue_name='workq',
        custom_attributes={'pbs.p': '12', 'slurm.constraint': 'gpu', 'plain': 1})))
    executor.submit(job)
    lines = script_of(executor, job).splitlines()
    for line in ('#PBS -N named', '#PBS -V', '#PBS -l select=1:ncpus=2', '#PBS -l walltime=01:30:00', '#PBS -q workq',
                 '#PBS -p 12', "# ''''", '# Minutes: 90'):
        assert line in lines
    assert 'constraint' not in script_of(executor, job)
    assert '#PBS -X' not in script_of(executor, job)


def test_where_nothing_is_asked_for_it_has_the_defaults_of_psij(executor: Any) -> None:
    job = Job(JobSpec('/bin/true'))
    executor.submit(job)
    assert '#PBS -l walltime=00:10:00\n' in script_of(executor, job)
    assert '#PBS -l select=1:ncpus=1\n' in script_of(executor, job)
    assert '#PBS -N' not in script_of(executor, job)


def test_a_value_makes_no_directive(executor: Any) -> None:
    _, command = executor.preview(Job(JobSpec('/bin/true', name='x\n#PBS -l nodes=9')))
    script, _ = executor.preview(Job(JobSpec('/bin/true', name='x\n#PBS -l nodes=9')))
    assert "#PBS -N $'x\\n#PBS -l nodes=9'\n" in script
    assert '\n#PBS -l nodes' not in script
    assert command[0] == 'qsub'


def test_attached_from_elsewhere_while_it_runs_and_afterwards(executor: Any, tmp_path: Path) -> None:
    job = shell('until [ -e "$1" ]; do sleep 0.05; done; exit 5', str(tmp_path / 'go'))
    executor.submit(job)
    job.wait(WAIT, JobState.ACTIVE)
    with JobExecutor.get_instance('oldpbs', config=configured(tmp_path)) as second:
        follower = Job()
        second.attach(follower, str(job.native_id))
        assert follower.spec is not None
        assert follower.spec.arguments == ['-c', 'until [ -e "$1" ]; do sleep 0.05; done; exit 5', 'bash', str(tmp_path / 'go')]
        (tmp_path / 'go').touch()
        assert follower.wait(WAIT) is not None
        assert (follower.status.state, follower.status.exit_code) == (JobState.FAILED, 5)
    with JobExecutor.get_instance('oldpbs', config=configured(tmp_path)) as third:
        late = Job()
        third.attach(late, str(job.native_id))
        assert late.wait(WAIT) is not None
        assert (late.status.state, late.status.exit_code) == (JobState.FAILED, 5)


def test_recovered_after_the_process_that_submitted_it(executor: Any, tmp_path: Path) -> None:
    program = (
        'import sys\nfrom pathlib import Path\nfrom psij_ext import Job, JobExecutor, JobExecutorConfig, JobSpec\n'
        'config = JobExecutorConfig(work_directory=Path(sys.argv[1]))\n'
        'job = Job(JobSpec("/bin/sh", ["-c", "until [ -e go ]; do sleep 0.05; done; exit 6"]))\n'
        'JobExecutor.get_instance("oldpbs", config=config).submit(job)\nprint(job.id)\n')
    paths = os.pathsep.join(path for path in sys.path if path)
    said = subprocess.run([sys.executable, '-c', program, str(tmp_path / 'work')], capture_output=True, text=True,
                          check=True, env={**os.environ, 'PYTHONPATH': paths})
    (job,) = executor.recover()
    assert job.id == said.stdout.strip()
    (tmp_path / 'go').touch()
    assert job.wait(WAIT) is not None
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 6)


@pytest.mark.parametrize('signal_first', [False, True])
def test_cancelled(executor: Any, tmp_path: Path, signal_first: bool) -> None:
    job = shell('touch began; exec sleep 100')
    executor.submit(job)
    if signal_first:
        job.wait(WAIT, JobState.ACTIVE)
        with pytest.raises(InvalidJobException, match='cannot send signals'):
            job.cancel(signal='USR1')
    job.cancel()
    assert job.wait(WAIT) is not None
    assert job.status.state is JobState.CANCELED
    job.cancel()


def test_to_cancel_what_is_over_already_is_no_error(executor: Any, pbs: SimulatedPBS) -> None:
    job = shell('exit 0')
    executor.submit(job)
    pbs.wait(str(job.native_id), 'F')
    executor.cancel(job)
    job.wait(WAIT)
    assert job.status.state is JobState.COMPLETED


def test_a_refused_job_may_be_submitted_again(executor: Any) -> None:
    job = shell('exit 0', attributes=JobAttributes(queue_name='nowhere'))
    with pytest.raises(SubmitException, match='Unknown queue') as caught:
        executor.submit(job)
    assert not isinstance(caught.value, SubmitUncertain)
    assert job.spec is not None
    job.spec.attributes.queue_name = 'workq'
    assert run(executor, job).status.state is JobState.COMPLETED


def test_its_script_stages_nothing(executor: Any) -> None:
    with pytest.raises(InvalidJobException, match=r'OldPBSExecutor writes a script of its own.*stages'):
        executor.submit(shell('exit 0', stage_out=[StageOut('a', '/tmp/b')]))


def test_a_requeued_job_runs_again(executor: Any, pbs: SimulatedPBS, tmp_path: Path) -> None:
    job = shell('[ ! -e ran ] || exit 7; touch ran; exec sleep 100')
    executor.submit(job)
    assert job.wait(WAIT, JobState.ACTIVE) is not None
    while not (tmp_path / 'ran').exists():
        time.sleep(0.01)
    pbs.run('qrerun', str(job.native_id))
    assert job.wait(WAIT) is not None
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 7)


def test_an_exit_code_counts_for_one_run(tmp_path: Path) -> None:
    folder = submitted(tmp_path)
    folder.set_native_id('1.server')
    followed = Followed(Job(), '1.server', folder, lambda *said: None)
    code = folder.path / '1.server.ec'
    code.write_text('7\n')
    followed.read_folder(0.0)
    first = followed.exit_record
    assert first is not None
    assert (first.attempt, first.exit_code, first.ended) == (1, 7, code.stat().st_mtime)
    followed.past_attempts = 1  # the queue said that the job waits again
    followed.read_folder(1.0)
    assert followed.exit_record == first
    folder.path_of('progress').write_text('1 ACTIVE 1\n2 ACTIVE 2\n')
    os.utime(code, (1.0, 1.0))
    followed.read_folder(2.0)
    assert followed.exit_record is not None
    assert (followed.exit_record.attempt, followed.exit_record.exit_code) == (2, 7)


@pytest.fixture
def forgetful(executor: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An executor that calls every job completed that is over, as the first one of PSI/J's tutorial does."""
    parse = executor.parse_status_output

    def parse_status_output(exit_code: int, out: str) -> dict[str, JobStatus]:
        return {native_id: JobStatus(JobState.COMPLETED, message='Job finished') if status.final else status
                for native_id, status in parse(exit_code, out).items()}

    monkeypatch.setattr(executor, 'parse_status_output', parse_status_output)
    executor.config.absence_grace = 0.5
    return executor


def test_the_exit_code_goes_before_what_the_scheduler_is_said_to_say(forgetful: Any) -> None:
    job = run(forgetful, shell('exit 3'))
    assert (job.status.state, job.status.exit_code) == (JobState.FAILED, 3)


def test_a_job_that_left_no_exit_code_is_not_completed(forgetful: Any, pbs: SimulatedPBS) -> None:
    job = shell('exec sleep 100')
    forgetful.submit(job)
    assert job.wait(WAIT, JobState.ACTIVE) is not None
    pbs.run('qdel', str(job.native_id))
    assert job.wait(WAIT) is not None
    assert job.status.state is JobState.FAILED
    assert "its script left no exit code: it did not come to its end. The scheduler says 'Job finished'." in str(
        job.status.message)
    assert job.exit_info is not None
    assert job.exit_info.reason is ExitReason.LOST


def judged(status: JobStatus, seconds: float, owes: bool = True) -> JobStatus | None:
    evidence = Evidence(queue=Observation(status), queue_presence=Presence.FOUND, leaves_record=True,
                        owes_exit_code=owes, traceless_for=seconds)
    return judge(evidence, Patience(for_trace=9.0)).status


def test_an_exit_code_is_waited_for() -> None:
    completed = JobStatus(JobState.COMPLETED)
    assert judged(completed, 8.0) is None
    late = judged(completed, 9.0)
    assert late is not None
    assert late.state is JobState.FAILED
    for certain in (JobStatus(JobState.COMPLETED, exit_code=0), JobStatus(JobState.FAILED), JobStatus(JobState.CANCELED)):
        assert judged(certain, 0.0) is certain
    assert judged(completed, 0.0, owes=False) is completed


@pytest.mark.parametrize('text', ['', 'x', '1 2', '-1'])
def test_an_exit_code_that_is_not_written_yet_is_none(tmp_path: Path, text: str) -> None:
    folder = submitted(tmp_path)
    folder.set_native_id('1')
    (folder.path / '1.ec').write_text(text)
    assert folder.read_exit() is None
    assert JobFolder(folder.path).read_exit() is None
    (folder.path / '1.ec').write_text('0')
    for each in (folder, JobFolder(folder.path)):
        record = each.read_exit()
        assert record is not None
        assert record.exit_code == 0


# -- a submission of which nobody knows


class Parses:
    """What `job_id_from_submit_output` does: no id, at first."""

    def __init__(self, executor: Any, answer: object) -> None:
        self.answer = answer
        executor.job_id_from_submit_output = self

    def __call__(self, out: str) -> object:
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(('answer', 'said'), [
    (KeyError('id'), "job_id_from_submit_output raised KeyError: 'id'"),
    ('', "job_id_from_submit_output returned ''"), (5, 'job_id_from_submit_output returned 5')], ids=str)
def test_an_id_parser_that_fails_leaves_no_second_job(
    executor: Any, pbs: SimulatedPBS, tmp_path: Path, oldpbs: Path, answer: object, said: str
) -> None:
    pbs.set(scheduling=False)
    Parses(executor, answer)
    job = shell('echo x >> ran')
    with pytest.raises(SubmitUncertain, match='cannot be revoked') as caught:
        executor.submit(job)
    assert f'oldpbs.executor.OldPBSExecutor in {oldpbs / "executor.py"}: {said}' in str(caught.value)
    with pytest.raises(InvalidJobException, match='submitted before'):
        executor.submit(job)
    # Its script will begin, and says then under which id.
    pbs.set(scheduling=True)
    assert job.wait(WAIT) is not None
    assert job.status.state is JobState.COMPLETED
    assert re.fullmatch(r'\d+\..*', str(job.native_id))
    assert (tmp_path / 'ran').read_text() == 'x\n'


def test_one_that_has_not_begun_is_left_open(executor: Any, tmp_path: Path) -> None:
    Parses(executor, KeyError('id'))
    job = shell('exit 0', attributes=JobAttributes(custom_attributes={'pbs.a': '203001010000'}))
    with pytest.raises(SubmitUncertain):
        executor.submit(job)
    assert job.wait(timedelta(seconds=0.5)) is None
    assert job.status.state is JobState.NEW
    executor.close()


def test_an_interrupted_submission_is_followed(executor: Any, tmp_path: Path) -> None:
    Parses(executor, KeyboardInterrupt())
    job = shell('echo x >> ran')
    with pytest.raises(KeyboardInterrupt):
        executor.submit(job)
    assert job.wait(WAIT) is not None
    assert job.status.state is JobState.COMPLETED
    assert (tmp_path / 'ran').read_text() == 'x\n'


def submitted(folder: Path) -> JobFolder:
    """The folder of a job of which nobody knows yet whether it was submitted."""
    made = JobFolder.create(folder / 'work', 'a-job')
    made.open_journal({'nonce': 'nonce'}, '{}')
    made.note_foreign()
    return made


def test_a_later_process_revokes_nothing(tmp_path: Path) -> None:
    submission = OpenSubmission(submitted(tmp_path), 'it was cut short')
    assert settle_by_folders([submission]) == ([], [submission])
    assert submission.folder.read_journal().is_open
    (submission.folder.path / 'scheduler.out').touch()
    assert settle_by_folders([submission]) == ([], [submission])
    (submission.folder.path / '12.server.out').touch()
    assert settle_by_folders([submission]) == ([], [])
    assert submission.folder.read_journal().native_id == '12.server'
    assert list(submission.folder.path.glob('claim.*')) == []


def test_the_next_attempt_may_be_another_script(tmp_path: Path) -> None:
    folder = submitted(tmp_path)
    assert JobFolder(folder.path).read_journal().is_foreign
    folder.open_journal({'nonce': 'other'}, '{}')
    assert not folder.is_foreign
    assert not JobFolder(folder.path).read_journal().is_foreign
