"""How jobs are found in their folders, and named."""

from __future__ import annotations

import shutil

import pytest
from click.testing import CliRunner

from psij_ext.cli.app import app
from psij_ext.cli.errors import Failure
from psij_ext.cli.known import known_jobs, select
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec
from psij_ext.executors.remembering import remember
from psij_ext.runtime.arrays import ArrayFolder
from psij_ext.runtime.jobfolder import JobFolder
from psij_ext.runtime.look import Look

FIRST, SECOND, THIRD = 'aaaa1111-0000', 'aaaa2222-0000', 'bbbb0123-4444'


@pytest.fixture
def jobs(tmp_path, monkeypatch):
    monkeypatch.setenv('PSIJ_EXT_WORK_DIRECTORY', str(tmp_path))
    monkeypatch.setenv('XDG_STATE_HOME', str(tmp_path / '.state'))  # other tests have used work directories, too
    for executor, job_id, native_id, submitted in (
            ('slurm', THIRD, '4444', 3.0), ('slurm', FIRST, '0123', 1.0), ('pbspro', SECOND, '77.server', 2.0)):
        folder = JobFolder.create(tmp_path / executor, job_id)
        folder.open_journal({'job_id': job_id, 'submitted': submitted}, JSONSerializer().dumps(JobSpec('true')))
        folder.set_native_id(native_id)
    refused = JobFolder.create(tmp_path / 'slurm', 'refused')
    refused.open_journal({'job_id': 'refused', 'submitted': 4.0}, JSONSerializer().dumps(JobSpec('true')))
    (tmp_path / 'a file').write_text('')
    return known_jobs(None)


def test_all_executors_oldest_first_without_what_was_refused(jobs):
    assert [(job.number, job.executor_name, job.folder.job_id, job.native_id) for job in jobs] == [
        (1, 'slurm', FIRST, '0123'), (2, 'pbspro', SECOND, '77.server'), (3, 'slurm', THIRD, '4444')]


@pytest.mark.parametrize(('executor', 'native_id', 'element', 'words'), [
    ('slurm', '99', '99_{}', ['99', '99_0', '99_1']), ('pbspro', '99[].server', '99[{}].server', ['99[].server', '99[]'])])
def test_the_name_of_an_array_names_its_elements(jobs, tmp_path, executor, native_id, element, words):
    for called in ('old', 'new'):  # a scheduler that lost its state gives ids again
        array = ArrayFolder.make(tmp_path / executor)
        array.name_elements_by(lambda array_id, index: element.format(index))
        spec = JSONSerializer().dumps(JobSpec('true'))
        array.begin_journal([f'{called}-{index}' for index in range(2)], spec, ['{}'])
        array.note_submission({'job_id': array.path.name, 'submitted': 5.0 if called == 'old' else 6.0})
        array.set_native_id(native_id)
    known = known_jobs(None)
    expected = {word: ['new-0', 'new-1'] for word in words}
    expected.update({'99_0': ['new-0'], '99_1': ['new-1']} if executor == 'slurm' else {})
    assert {word: [job.folder.job_id for job in select(known, [word])] for word in words} == expected


class Onlooker:
    """An executor whose scheduler knows no more than the folders."""

    def look(self, folders, usage=False):
        return Look({folder.job_id: remember(folder, None).job for folder in folders if folder.read_journal().native_id is not None})


@pytest.mark.parametrize(('words', 'code', 'said'), [
    (['ls', '--json'], 0, f'{THIRD}'), (['status', FIRST], 1, 'removed at this moment'), (['cancel', FIRST], 1, 'removed at this moment')])
def test_a_job_that_is_pruned_at_this_moment(jobs, monkeypatch, words, code, said):
    def listed(work_directory):
        shutil.rmtree(jobs[0].folder.path)
        return jobs

    monkeypatch.setattr(f'psij_ext.cli.{words[0]}.known_jobs', listed)
    monkeypatch.setattr('psij_ext.cli.known.open_executor', lambda choice, root: Onlooker())
    done = CliRunner().invoke(app, words)
    assert (done.exit_code, said in done.output, FIRST[:8] in done.output) == (code, True, code == 1), done.output


def test_no_jobs_yet(tmp_path):
    assert known_jobs(tmp_path / 'nowhere') == []


@pytest.mark.parametrize(('word', 'job_id'), [
    (FIRST, FIRST), ('aaaa1', FIRST), ('a2222', SECOND), ('bbbb', THIRD),
    ('0123', FIRST),   # a native id goes before the part of an id that is the same
    ('4444', THIRD),
    ('77.server', SECOND), ('77', SECOND),  # as qsub prints it, and as people say it
    ('@1', FIRST), ('@3', THIRD), ('@last', THIRD)])
def test_the_names_of_a_job(jobs, word, job_id):
    assert [job.folder.job_id for job in select(jobs, [word])] == [job_id]


@pytest.mark.parametrize('word', ['', 'zzz', '@', '@0', '@4', '@x', '8', '2222'])  # a number is no part of our id
def test_names_of_nobody(jobs, word):
    with pytest.raises(Failure, match='There is no job'):
        select(jobs, [word])


def test_a_name_that_several_have(jobs):
    with pytest.raises(Failure) as caught:
        select(jobs, ['aaaa'])
    assert 'any of 2 jobs' in caught.value.message
    assert 'aaaa1111 (0123 on slurm)' in caught.value.message


def test_the_same_job_twice_is_one(jobs):
    assert len(select(jobs, [FIRST, '0123', '@1', SECOND])) == 2


def test_a_native_id_that_was_given_again_means_the_newer_job(jobs, tmp_path):
    folder = JobFolder.create(tmp_path / 'slurm', 'newer')
    folder.open_journal({'job_id': 'newer', 'submitted': 9.0}, JSONSerializer().dumps(JobSpec('true')))
    folder.set_native_id('0123')
    assert [job.folder.job_id for job in select(known_jobs(None), ['0123'])] == ['newer']
