"""Which descriptors are read that import `psij`, and what broken plugins do to the others: nothing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, Callable

import pytest

import psij_ext
from psij_ext import Descriptor, InvalidJobException, Job, JobExecutor, JobSpec, Launcher
from psij_ext.exceptions import BrokenPlugin, ParseError, SubmitException
from psij_ext.executors.batch import BatchSchedulerExecutor
from psij_ext.plugins import psij_modules
from psij_ext.runtime.command import CommandResult

OURS = {'local', 'slurm', 'pbspro'}
BASE = 'from psij.executors.batch.batch_scheduler_executor import BatchSchedulerExecutor as Base\n'

Site = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    """Returns a function that installs a plugin `old_plugin` of some code in a folder on `sys.path`."""

    def install(code: str, cls: str = 'old_plugin.It', folder: str = 'one', name: str = 'old') -> Path:
        root = tmp_path / folder
        (root / 'psij-descriptors').mkdir(parents=True)
        (root / f'{cls.split(".")[0]}.py').write_text(code)
        (root / 'psij-descriptors' / 'old.py').write_text(
            'from packaging.version import Version\nfrom psij.descriptor import Descriptor\n'
            f'__PSI_J_EXECUTORS__ = [Descriptor({name!r}, Version("1.0"), {cls!r})]\n'
            f'__PSI_J_LAUNCHERS__ = [Descriptor({name!r}, Version("1.0"), {cls!r})]\n')
        monkeypatch.syspath_prepend(str(root))
        importlib.invalidate_caches()
        return root

    return install


def others_work() -> None:
    assert JobExecutor.get_executor_names() >= OURS
    JobExecutor.get_instance('local').close()


# -- who reads descriptors that import psij


def test_they_are_read_where_no_psij_python_is_installed(site: Site) -> None:
    site('')
    assert JobExecutor.get_executor_names() >= {*OURS, 'old'}
    assert importlib.import_module('psij').Job is psij_ext.Job
    assert not psij_modules.is_asked_for()


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A psij-python that must not be imported."""
    (tmp_path / 'real' / 'psij').mkdir(parents=True)
    (tmp_path / 'real' / 'psij' / '__init__.py').write_text('raise AssertionError')
    monkeypatch.syspath_prepend(str(tmp_path / 'real'))


@pytest.mark.usefixtures('installed')
def test_where_it_is_installed_they_belong_to_it_unless_compat_was_asked_for(site: Site) -> None:
    site('')
    assert JobExecutor.get_executor_names() == OURS
    assert JobExecutor._registry.problems() == {}
    assert 'psij' not in sys.modules
    importlib.import_module('psij_ext.compat')
    assert JobExecutor.get_executor_names() == {*OURS, 'old'}


def test_a_folder_that_has_its_name_is_no_psij_python(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / 'here' / 'psij').mkdir(parents=True)
    monkeypatch.syspath_prepend(str(tmp_path / 'here'))
    site('')
    assert 'old' in JobExecutor.get_executor_names()


def test_a_psij_python_that_is_imported_keeps_its_descriptors(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, 'psij', type(sys)('psij'))
    site('')
    assert JobExecutor.get_executor_names() == OURS


class StrictVersion:
    """As that of distutils, which no longer comes with Python, and of which there were descriptors."""

    def __str__(self) -> str:
        return '0.0.1'


def test_a_version_of_distutils_will_do() -> None:
    assert str(Descriptor('old', StrictVersion(), 'a.B').version) == '0.0.1'  # type: ignore[arg-type]


def test_a_plugin_may_register_itself(site: Site) -> None:
    root = site('from psij import Launcher\nclass It(Launcher):\n    def get_launch_command(self, job): return []\n')
    Launcher.register_launcher(Descriptor('by-hand', '1.0', 'old_plugin.It'), str(root))
    assert type(Launcher.get_instance('by-hand')).__name__ == 'It'
    JobExecutor.register_executor(Descriptor('elsewhere', '1.0', 'old_plugin.It'), root / 'below')
    with pytest.raises(BrokenPlugin, match=r"'elsewhere' of register_executor .* only name classes under its own"):
        JobExecutor.get_instance('elsewhere')
    Launcher._registry.refresh()
    assert 'by-hand' in Launcher.get_launcher_names()
    JobExecutor._registry._catalogue._registered.clear()


# -- broken ones


def test_a_missing_method(site: Site) -> None:
    root = site(f'{BASE}class It(Base):\n    def get_cancel_command(self, native_id): return []\n')
    with pytest.raises(BrokenPlugin) as caught:
        JobExecutor.get_instance('old')
    assert f"The executor 'old' is old_plugin.It in {root / 'old_plugin.py'}, which lacks the methods " in str(caught.value)
    assert 'get_submit_command' in str(caught.value)
    assert 'get_cancel_command' not in str(caught.value)
    others_work()


@pytest.mark.parametrize(('kind', 'base'), [(JobExecutor, 'JobExecutor'), (Launcher, 'Launcher')])
def test_a_wrong_class(site: Site, kind: Any, base: str) -> None:
    root = site('class It: pass\n')
    with pytest.raises(BrokenPlugin, match=f"'old' is old_plugin.It in {root / 'old_plugin.py'}, which is no {base}"):
        kind.get_instance('old')
    others_work()


@pytest.mark.parametrize('base', ['JobExecutor', 'Launcher'])
def test_no_class_at_all(site: Site, base: str) -> None:
    site('It = 5\n')
    kind = JobExecutor if base == 'JobExecutor' else Launcher
    with pytest.raises(BrokenPlugin, match=r'psij-descriptors/old\.py: old_plugin\.It is no class'):
        kind.get_instance('old')
    others_work()


def test_a_class_from_another_root(site: Site, tmp_path: Path) -> None:
    site('class It: pass', folder='two', cls='old_elsewhere.It', name='other')
    root = site('', folder='one', cls='old_elsewhere.It')
    (root / 'old_elsewhere.py').unlink()
    with pytest.raises(BrokenPlugin) as caught:
        JobExecutor.get_instance('old')
    for named in (f"'old' of {root / 'psij-descriptors' / 'old.py'}", f'{tmp_path / "two" / "old_elsewhere.py"}',
                  'only name classes under its own folder'):
        assert named in str(caught.value)
    others_work()


def test_a_name_that_is_not_shipped(site: Site) -> None:
    site('from psij.executors.batch.lsf import LsfJobExecutor as It\n')
    with pytest.raises(BrokenPlugin, match=r"(?s)'old' of .*old\.py.*psij\.executors\.batch\.lsf is not shipped"):
        JobExecutor.get_instance('old')
    others_work()


def whole(method: str = '', template: str = '#!/bin/sh\n') -> str:
    """The code of a plugin that has all methods, and one in another form."""
    return f'''{BASE}
from pathlib import Path
from psij.executors.batch.script_generator import TemplatedScriptGenerator

class It(Base):
    def __init__(self, url=None, config=None):
        super().__init__(url=url, config=config)
        path = Path(__file__).with_name('script.mustache')
        path.write_text({template!r})
        self.generator = TemplatedScriptGenerator(config, path)
    def generate_submit_script(self, job, context, submit_file):
        self.generator.generate_submit_script(job, context, submit_file)
    def get_submit_command(self, job, submit_file_path): return ['echo', '12']
    def job_id_from_submit_output(self, out): return out.strip()
    def get_status_command(self, native_ids): return ['echo', *native_ids]
    def parse_status_output(self, exit_code, out): return {{}}
    def get_cancel_command(self, native_id): return ['false']
    def process_cancel_command_output(self, exit_code, out): raise KeyError('words')
    {method}
'''


def made(site: Site, tmp_path: Path, code: str) -> BatchSchedulerExecutor:
    site(code)
    config = psij_ext.JobExecutorConfig(work_directory=tmp_path / 'work')
    executor = JobExecutor.get_instance('old', config=config)
    assert isinstance(executor, BatchSchedulerExecutor)
    return executor


@pytest.mark.parametrize(('template', 'said'), [
    ('{{/never}}', 'ParsingError'),
    ('{{#psij.lib.walltime_to_minutes}}soon{{/psij.lib.walltime_to_minutes}}', "cannot read 'soon'")])
def test_a_template_with_an_error(site: Site, tmp_path: Path, template: str, said: str) -> None:
    with made(site, tmp_path, whole(template=template)) as executor:
        with pytest.raises(InvalidJobException, match=said) as caught:
            executor.submit(Job(JobSpec('/bin/true')))
        assert str(tmp_path / 'one' / 'script.mustache') in str(caught.value)
    others_work()


def test_a_template_that_is_not_there(site: Site) -> None:
    code = whole().replace('path.write_text', 'str')
    root = site(code)
    with pytest.raises(BrokenPlugin, match=r'old_plugin\.It in .* cannot be made: FileNotFoundError: ') as caught:
        JobExecutor.get_instance('old')
    assert str(root / 'script.mustache') in str(caught.value)
    others_work()


def test_a_constructor_that_takes_nothing(site: Site) -> None:
    site(whole().replace('url=None, config=None', ''))
    with pytest.raises(BrokenPlugin, match=r"old_plugin\.It in .*TypeError.*unexpected keyword argument 'url'"):
        JobExecutor.get_instance('old')


def test_a_wrong_configuration_is_no_fault_of_a_plugin(site: Site) -> None:
    site(whole())
    with pytest.raises(TypeError, match='config'):
        JobExecutor.get_instance('old', config=5)  # type: ignore[arg-type]


@pytest.mark.parametrize('method', ['generate_submit_script', 'get_submit_command'])
def test_a_method_that_raises_before_the_submission(site: Site, tmp_path: Path, method: str) -> None:
    with made(site, tmp_path, whole(f'def {method}(self, *words): raise AttributeError("nope")')) as executor:
        job = Job(JobSpec('/bin/true'))
        with pytest.raises(InvalidJobException) as caught:
            executor.submit(job)
        where = f'old_plugin.It in {tmp_path / "one" / "old_plugin.py"}'
        assert str(caught.value) == f'{where}: {method} raised AttributeError: nope'
        assert isinstance(caught.value.__cause__, AttributeError)
        assert job.native_id is None


def test_states_that_cannot_be_read(site: Site, tmp_path: Path) -> None:
    broken = 'def parse_status_output(self, exit_code, out): return {}[out]'
    with made(site, tmp_path, whole(broken)) as executor, pytest.raises(
            ParseError, match=r'old_plugin\.It in .*old_plugin\.py: parse_status_output raised KeyError'):
        executor.parse_status(CommandResult(('status',), 0, b'', b''))


def test_a_cancel_that_cannot_be_judged(site: Site, tmp_path: Path) -> None:
    with made(site, tmp_path, whole()) as executor:
        job = Job(JobSpec('/bin/true'))
        executor.submit(job)
        with pytest.raises(SubmitException, match="process_cancel_command_output raised KeyError: 'words'"):
            job.cancel()


def test_one_that_says_that_the_job_is_over_is_no_failure(site: Site, tmp_path: Path) -> None:
    over = ('def process_cancel_command_output(self, exit_code, out):\n'
            '        from psij.executors.batch.batch_scheduler_executor import InvalidJobStateError\n'
            '        raise InvalidJobStateError()')
    with made(site, tmp_path, whole(over)) as executor:
        job = Job(JobSpec('/bin/true'))
        executor.submit(job)
        job.cancel()
        assert not job.status.final


def test_a_plugin_that_adds_to_a_script_of_ours_has_both_contexts(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site('from psij.executors.batch.slurm import SlurmJobExecutor\nclass It(SlurmJobExecutor):\n'
         '    def generate_submit_script(self, job, context, submit_file):\n'
         '        super().generate_submit_script(job, context, submit_file)\n'
         '        submit_file.write("# " + repr(context["custom_attributes"]["slurm"]))\n')
    monkeypatch.chdir(tmp_path)
    executor = JobExecutor.get_instance('old')
    assert isinstance(executor, BatchSchedulerExecutor)
    attributes = psij_ext.JobAttributes(custom_attributes={'slurm.constraint': 'gpu'})
    script, _ = executor.preview(Job(JobSpec('/bin/true', attributes=attributes)))
    assert '#SBATCH --constraint=gpu\n' in script
    assert script.endswith("# [{'key': 'constraint', 'value': 'gpu'}]")
    assert 'psij_claim=' in script
