from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from psij_ext import (
    InvalidJobException,
    Job,
    JobExecutor,
    JobExecutorConfig,
    JobSpec,
    JobState,
    JobStatus,
    JobStatusCallback,
    Launcher,
    ResourceSpecV1,
)  # fmt: skip
from psij_ext.exceptions import BrokenPlugin, NotAllSubmitted, SubmitException, UnknownPlugin


class Recorder(JobExecutor):
    """An executor that does nothing."""

    closed = False

    def submit(self, job: Job) -> None:
        self._check_job(job)

    def cancel(self, job: Job) -> None:
        self._update_job_status(job, JobStatus(JobState.CANCELED))

    def attach(self, job: Job, native_id: str) -> None:
        job._set_native_id(native_id)

    def list(self) -> list[str]:
        return []

    def close(self) -> None:
        self.closed = True


class Echo(Launcher):
    def get_launch_command(self, job: Job) -> list[str]:
        return ['echo']


class Noted(JobStatusCallback):
    def __init__(self) -> None:
        self.seen: list[tuple[str, JobState]] = []

    def job_status_changed(self, job: Job, job_status: JobStatus) -> None:
        self.seen.append((job.id, job_status.state))


class TestConfig:
    def test_paths_are_kept_as_paths(self) -> None:
        config = JobExecutorConfig('log', Path('/work'))
        assert (config.launcher_log_file, config.work_directory) == (Path('log'), Path('/work'))
        assert config == JobExecutorConfig(Path('log'), '/work')
        assert JobExecutorConfig().work_directory is None

    @pytest.mark.parametrize('field', ['launcher_log_file', 'work_directory'])
    @pytest.mark.parametrize(('value', 'error'), [(5, TypeError), ('', ValueError), ('a\0', ValueError)])
    def test_a_wrong_path_is_refused(self, field: str, value: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match=rf'^JobExecutorConfig\.{field}: '):
            JobExecutorConfig(**{field: value})


class TestExecutor:
    def test_keeps_its_url_and_config(self) -> None:
        config = JobExecutorConfig()
        executor = Recorder(url='slurm://here', config=config)
        assert (executor.url, executor.config) == ('slurm://here', config)
        assert (Recorder().url, Recorder().config) == (None, JobExecutorConfig())

    def test_refuses_a_wrong_url_or_config(self) -> None:
        with pytest.raises(TypeError, match=r'^JobExecutor\.url: '):
            Recorder(url=5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r'^JobExecutor\.config: '):
            Recorder(config={})  # type: ignore[arg-type]

    def test_is_abstract(self) -> None:
        with pytest.raises(TypeError, match='abstract'):
            JobExecutor()  # type: ignore[abstract]

    def test_closes_at_the_end_of_a_with_block(self) -> None:
        with Recorder() as executor:
            assert not executor.closed
        assert executor.closed

    def test_an_unregistered_one_has_the_name_of_its_class(self) -> None:
        executor = Recorder()
        assert (executor.name, executor.version, str(executor)) == ('Recorder', Version('0'), 'Recorder')


class TestSubmitMany:
    def test_one_that_is_refused_keeps_no_other_back(self) -> None:
        class Choosy(Recorder):
            def submit(self, job: Job) -> None:
                if job is wrong:
                    raise SubmitException('no such queue', transient=True)
                submitted.append(job)

        submitted: list[Job] = []
        first, wrong, last = Job(), Job(), Job()
        executor = Choosy()
        with pytest.raises(NotAllSubmitted, match='1 of 3 jobs were not submitted') as caught:
            executor.submit_many([first, wrong, last])
        assert list(caught.value.failures) == [wrong.id]
        assert caught.value.transient
        assert submitted == [first, last]


class TestCallbacks:
    def test_objects_and_functions_hear_of_every_transition(self) -> None:
        executor, job, noted = Recorder(), Job(), Noted()
        heard: list[tuple[Job, JobState]] = []
        job.set_job_status_callback(lambda job, status: heard.append((job, status.state)))
        executor.set_job_status_callback(noted)
        executor._update_job_status(job, JobStatus(JobState.COMPLETED))
        states = [JobState.QUEUED, JobState.ACTIVE, JobState.COMPLETED]
        assert heard == [(job, state) for state in states]
        assert noted.seen == [(job.id, state) for state in states]

    def test_the_job_hears_before_the_executor(self) -> None:
        executor, job, order = Recorder(), Job(), []
        executor.set_job_status_callback(lambda job, status: order.append('executor'))
        job.set_job_status_callback(lambda job, status: order.append('job'))
        executor._update_job_status(job, JobStatus(JobState.QUEUED))
        assert order == ['job', 'executor']

    def test_nobody_hears_of_what_is_no_transition(self) -> None:
        executor, job, noted = Recorder(), Job(), Noted()
        executor._update_job_status(job, JobStatus(JobState.QUEUED))
        executor.set_job_status_callback(noted)
        executor._update_job_status(job, JobStatus(JobState.QUEUED, message='Priority'))
        assert noted.seen == []

    def test_a_failing_callback_is_logged_and_harms_no_other(self, caplog: pytest.LogCaptureFixture) -> None:
        def fail(job: Job, status: JobStatus) -> None:
            raise RuntimeError('callback is broken')

        executor, job, noted = Recorder(), Job(), Noted()
        job.set_job_status_callback(fail)
        executor.set_job_status_callback(noted)
        with caplog.at_level(logging.ERROR):
            executor._update_job_status(job, JobStatus(JobState.QUEUED))
        assert noted.seen == [(job.id, JobState.QUEUED)]
        assert job.id in caplog.text
        assert 'callback is broken' in caplog.text

    def test_none_ends_the_notices(self) -> None:
        executor, job, noted = Recorder(), Job(), Noted()
        for teller in (job, executor):
            teller.set_job_status_callback(noted)
            teller.set_job_status_callback(None)
        executor._update_job_status(job, JobStatus(JobState.QUEUED))
        assert noted.seen == []

    def test_what_cannot_be_called_is_refused(self) -> None:
        with pytest.raises(TypeError, match='JobStatusCallback'):
            Recorder().set_job_status_callback(5)  # type: ignore[arg-type]


class TestCheckJob:
    def test_gives_an_own_copy_of_the_spec(self) -> None:
        job = Job(JobSpec('/bin/date'))
        spec = Recorder()._check_job(job)
        assert spec == job.spec
        assert spec is not job.spec

    def test_refuses_a_job_without_a_spec_or_an_executable(self) -> None:
        with pytest.raises(InvalidJobException, match='no spec'):
            Recorder().submit(Job())
        with pytest.raises(InvalidJobException, match=r'^JobSpec\.executable: '):
            Recorder().submit(Job(JobSpec()))

    def test_refuses_a_job_that_was_submitted(self) -> None:
        job = Job(JobSpec('/bin/date'))
        job._record(JobStatus(JobState.QUEUED))
        with pytest.raises(InvalidJobException, match='submitted before'):
            Recorder().submit(job)
        attached = Job(JobSpec('/bin/date'))
        Recorder().attach(attached, '5')
        with pytest.raises(InvalidJobException, match='submitted before'):
            Recorder().submit(attached)

    def test_names_the_field_that_became_wrong(self) -> None:
        spec = JobSpec('/bin/date', arguments=['a'])
        assert spec.arguments is not None
        spec.arguments.append(5)  # type: ignore[arg-type]
        with pytest.raises(InvalidJobException, match=r'^JobSpec\.arguments: ') as caught:
            Recorder().submit(Job(spec))
        assert isinstance(caught.value.exception, TypeError)

    def test_refuses_resources_that_became_contradictory(self) -> None:
        resources = ResourceSpecV1(node_count=2)
        resources.process_count = 3
        with pytest.raises(InvalidJobException, match='process_count'):
            Recorder().submit(Job(JobSpec('/bin/date', resources=resources)))


class TestLauncher:
    def test_keeps_its_config(self) -> None:
        config = JobExecutorConfig('log')
        assert Echo(config).config is config
        assert Echo().config == JobExecutorConfig()
        with pytest.raises(TypeError, match=r'^Launcher\.config: '):
            Echo({})  # type: ignore[arg-type]

    def test_says_by_default_that_it_did_not_fail(self) -> None:
        assert Echo().is_launcher_failure('anything') is False
        assert Echo().get_launcher_failure_message(' no host\n') == 'no host'


class TestGetInstance:
    def test_constructs_with_url_and_config(self, register: Any) -> None:
        register('executor', 'recorder', '1.5', Recorder, ['rec'])
        config = JobExecutorConfig('log')
        executor = JobExecutor.get_instance('rec', '>=1', 'there', config)
        assert type(executor) is Recorder
        assert (executor.url, executor.config) == ('there', config)
        assert (executor.name, executor.version) == ('recorder', Version('1.5'))
        assert 'recorder' in JobExecutor.get_executor_names()
        assert 'rec' not in JobExecutor.get_executor_names()

    def test_constructs_a_launcher(self, register: Any) -> None:
        register('launcher', 'echo', '2', Echo)
        config = JobExecutorConfig('log')
        launcher = Launcher.get_instance('echo', '2', config)
        assert (type(launcher), launcher.config) == (Echo, config)
        assert (launcher.name, launcher.version) == ('echo', Version('2'))
        assert 'echo' in Launcher.get_launcher_names()

    def test_a_direct_construction_knows_its_name_and_version(self, register: Any) -> None:
        register('executor', 'recorder', '1.5', Recorder, ['rec'])
        assert (Recorder().name, Recorder().version) == ('recorder', Version('1.5'))

    def test_a_class_under_two_names_has_the_one_that_was_asked_for(self, register: Any) -> None:
        register('executor', 'first', '2', Recorder)
        register('executor', 'second', '1', Recorder)
        assert JobExecutor.get_instance('second').name == 'second'
        assert Recorder().name == 'first'

    def test_an_unregistered_subclass_answers_for_the_class_it_refines(self, register: Any) -> None:
        class Refined(Recorder):
            pass

        register('executor', 'recorder', '1.5', Recorder)
        assert (Refined().name, Refined().version) == ('recorder', Version('1.5'))

    @pytest.mark.parametrize(('kind', 'wrong'), [('executor', Echo), ('launcher', Recorder)])
    def test_a_class_of_another_kind_is_refused(self, register: Any, kind: str, wrong: type) -> None:
        register(kind, 'wrong', '1', wrong)
        get: Any = JobExecutor.get_instance if kind == 'executor' else Launcher.get_instance
        with pytest.raises(BrokenPlugin, match=f"{kind} 'wrong' .*{wrong.__name__}"):
            get('wrong')

    @pytest.mark.parametrize('constraint', [None, '>=1'])
    def test_an_unknown_name(self, constraint: str | None) -> None:
        with pytest.raises(UnknownPlugin, match="no executor 'nowhere'"):
            JobExecutor.get_instance('nowhere', constraint)
        with pytest.raises(ValueError, match="no launcher 'nowhere'"):
            Launcher.get_instance('nowhere', constraint)
