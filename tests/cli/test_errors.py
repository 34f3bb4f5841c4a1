"""Bad input and what else goes wrong: one line, the scheduler's own words, a non-zero exit code, no traceback."""

from __future__ import annotations

import logging
import os
import subprocess

import pytest
from cli_shell import SOURCES, fake_program
from click.testing import CliRunner

from psij_ext.cli.app import app
from psij_ext.cli.errors import cause, printable, told
from psij_ext.exceptions import BrokenPlugin, PsijExtError


def failure(shell, *words: str) -> str:
    """Run a command that fails, and return its one line."""
    done = shell(*words, code=1)
    assert done.stdout == b''
    (line,) = done.stderr.decode().splitlines()
    assert line.startswith('psij-ext: ')
    return line


def test_an_unknown_executor_and_the_nearest_one(shell):
    line = failure(shell, 'run', '--executor', 'slrum', '--', 'true')
    assert "'slrum'" in line and "Did you mean 'slurm'?" in line


@pytest.mark.parametrize(('executor', 'words'), [
    ('slurm>=99', ["'>=99'", 'installed']), ('slurm >= 99', ["'>= 99'"]), ('slurm>=x', ["'>=x'"]),
    ('slurm<', ["'<'"])])
def test_a_bad_constraint(shell, executor, words):
    line = failure(shell, 'submit', '--executor', executor, '--', 'true')
    assert all(word in line for word in words)


def test_no_executor_at_all(shell):
    assert "''" in failure(shell, 'submit', '--executor', '', '--', 'true')


@pytest.mark.parametrize('seconds', ['nan', 'inf', '-1'])
def test_no_time_to_try_again(shell, seconds):
    done = shell('submit', '--retry', seconds, '--', 'true', code=2)
    assert "Invalid value for '--retry'" in done.stderr.decode()


def test_a_spec_that_is_nested_too_deeply(shell):
    (shell.folder / 'spec.json').write_text('[' * 100_000)
    done = shell('submit', '--spec', 'spec.json', code=2)
    assert 'spec.json: JobSpec: the text is nested too deeply.' in done.stderr.decode()


def test_a_full_disk_says_nothing_about_the_choice_of_the_executor(shell):
    (shell.folder / 'taken').write_text('')
    line = failure(shell, 'submit', '--work-directory', 'taken', '--', 'true')
    assert 'taken' in line and 'was chosen because' not in line


def test_a_constraint_that_is_met(shell):
    shell('render', '--executor', 'slurm>=0.0.1', '--', 'true')


def test_an_unknown_executor_in_the_environment(shell):
    shell.environment['PSIJ_EXT_EXECUTOR'] = 'nonsense'
    assert 'PSIJ_EXT_EXECUTOR names it' in failure(shell, 'run', '--', 'true')


@pytest.mark.parametrize(('executor', 'program'), [('slurm', 'sbatch'), ('pbspro', 'qsub')])
def test_a_scheduler_that_is_not_installed(shell, executor, program):
    shell.environment['PATH'] = str(shell.folder)
    line = failure(shell, 'run', '--executor', executor, '--', 'true')
    assert f"'{program}' was not found" in line


def test_a_controller_that_does_not_answer_is_no_reason_to_go_elsewhere(shell):
    """The words and the exit code are those that Slurm 22.05 was seen to give."""
    words = 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)'
    fake_program(shell.folder / 'bin', 'sbatch', f'echo "{words}" >&2; exit 1')
    fake_program(shell.folder / 'bin', 'scontrol', 'echo "Slurmctld(primary) at head is DOWN"; exit 1')
    shell.environment['PATH'] = f'{shell.folder}/bin:{os.environ["PATH"]}'
    line = failure(shell, 'run', '--retry', '0', '--', 'touch', str(shell.folder / 'ran'))
    assert words in line
    assert 'slurm was chosen because sbatch is on PATH' in line
    assert not (shell.folder / 'ran').exists()


def test_a_controller_that_may_answer_soon_is_tried_again_and_that_is_said_once(shell):
    words = 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)'
    fake_program(shell.folder / 'bin', 'sbatch', f'echo tried >> {shell.folder}/tries; echo "{words}" >&2; exit 1')
    shell.environment['PATH'] = f'{shell.folder}/bin:{os.environ["PATH"]}'
    done = shell('submit', '--executor', 'slurm', '--retry', '4', '--', 'true', code=1)
    said, failed = done.stderr.decode().splitlines()
    assert 'submitted again for up to 4 s' in said and words in said
    assert words in failed
    assert (shell.folder / 'tries').read_text() == 'tried\n' * 3  # after 1 and 2 s, a fifth more or less


def test_commands_that_nobody_has_configured_are_no_scheduler(shell):
    """The words are those of Slurm 22.05 as Debian installs it."""
    words = 'scontrol: fatal: Could not establish a configuration source'
    fake_program(shell.folder / 'bin', 'sbatch', 'exit 1')
    fake_program(shell.folder / 'bin', 'scontrol', f'echo "{words}" >&2; exit 1')
    shell.environment['PATH'] = f'{shell.folder}/bin:{os.environ["PATH"]}'
    assert shell('run', '--quiet', '--', 'echo', 'here').stdout == b'here\n'


@pytest.mark.conformance(any_launcher=True, not_on=('local',))
def test_a_refused_submission_has_the_schedulers_own_words(site, execparams):
    done = site('run', '--queue', 'nosuchqueue', '--', 'true', code=1)
    said = done.stderr.decode()
    assert {'slurm': 'invalid partition', 'pbspro': 'nknown queue'}[execparams.executor_name] in said
    assert '/script' in said  # where the script is, for who wants to try by hand
    assert site.json('ls') == []


def test_a_job_that_is_not_there(shell):
    for command in ('status', 'cancel'):
        line = failure(shell, command, 'nonsense')
        assert "'nonsense'" in line and 'psij-ext ls' in line


@pytest.fixture
def silent_slurm(shell):
    """Jobs 1 and 2 with a Slurm that then answers no command but what `squeue` prints from a file; without one, that neither."""
    silence = 'echo "$0: error: Socket timed out on send/recv operation" >&2; exit 1'
    for name, script in {
            'sbatch': f'echo x >> {shell.folder}/jobs; id=$(wc -l < {shell.folder}/jobs); echo "$id|$PWD|" >> {shell.folder}/origins; echo $id',
            'scontrol': 'echo ClusterName = c', 'sacct': 'exit 0',
            'squeue': f'case "$*" in *WorkDir*) exec cat {shell.folder}/origins ;; esac; echo squeue >> {shell.folder}/asked; cat {shell.folder}/queue || {{ {silence}; }}', 'scancel': f'echo scancel >> {shell.folder}/asked; {silence}'}.items():
        fake_program(shell.folder / 'bin', name, script)
    shell.environment['PATH'] = f'{shell.folder}/bin:{os.environ["PATH"]}'
    for _ in range(2):
        shell('submit', '--executor', 'slurm', '--', 'true')
    return shell


def queue_row(number: int, state: str) -> str:
    return f'{number}|{number}|N/A|1795260860|N/A|0:00|1|1||{state}|0|0|1:00|c|None|\n'


def test_a_cancel_that_was_not_answered_is_called_neither_done_nor_refused(silent_slurm):
    line = failure(silent_slurm, 'cancel', '1')
    assert 'not answered' in line and 'not known yet' in line and 'Socket timed out' in line and 'psij-ext status' in line
    assert 'not cancelled' not in line and 'stays followed' not in line
    assert (silent_slurm.folder / 'asked').read_text().endswith('scancel\n')  # it is not waited for once more


def test_a_cancel_that_was_not_answered_is_verified(silent_slurm):
    scancel = silent_slurm.folder / 'bin' / 'scancel'
    (silent_slurm.folder / 'queue').write_text(queue_row(1, 'RUNNING') + queue_row(2, 'RUNNING'))
    line = failure(silent_slurm, 'cancel', '1', '2')
    assert line.count('not known yet') == 1 and '(1 on slurm)' in line and '(2 on slurm)' in line
    done = queue_row(1, 'CANCELLED') + queue_row(2, 'RUNNING')
    scancel.write_text(scancel.read_text().replace('\n', f'\nprintf %s \'{done}\' > {silent_slurm.folder}/queue\n', 1))
    silence = silent_slurm('cancel', '1', '2', code=1)
    assert 'CANCELED' in silence.stdout.decode() and '(1 on slurm)' in silence.stdout.decode()
    line = silence.stderr.decode().splitlines()[-1]
    assert '(2 on slurm)' in line and '(1 on slurm)' not in line


def test_a_field_that_a_scheduler_cannot_express(shell):
    line = failure(shell, 'render', '--executor', 'slurm', '--attribute', 'constraint=x', '--', 'true')
    assert 'constraint' in line and 'slurm.constraint' in line


def test_a_work_directory_that_cannot_be_written(shell):
    (shell.folder / 'file').write_text('')
    line = failure(shell, 'submit', '--executor', 'slurm', '--work-directory', 'file', '--', 'true')
    assert 'file' in line


def test_a_broken_plugin_is_told_in_a_line_unless_more_is_wanted(shell):
    plugins = shell.folder / 'plugins' / 'psij-descriptors'
    plugins.mkdir(parents=True)
    (plugins / 'broken.py').write_text(
        'from psij_ext.plugins import Descriptor\n'
        "__PSI_J_EXECUTORS__ = [Descriptor('broken', '1.0', 'no_such_module.Executor')]\n")
    shell.environment['PYTHONPATH'] = f'{SOURCES}:{plugins.parent}'
    line = failure(shell, 'run', '--executor', 'broken', '--', 'true')
    assert "No module named 'no_such_module'" in line
    for words in (['--verbose', 'run', '--executor', 'broken'], ['run', '-v', '--executor', 'broken']):
        argv = [*shell.argv('ls')[:-1], *words, '--', 'true']
        done = subprocess.run(argv, env=shell.environment, cwd=shell.folder, capture_output=True)
        assert done.returncode == 1
        assert b'Traceback (most recent call last):' in done.stderr


def test_a_defect_is_told_in_a_line_too(monkeypatch):
    def fail(*arguments: object) -> None:
        raise RuntimeError('out of order')

    monkeypatch.setattr('psij_ext.cli.ls.known_jobs', fail)
    done = CliRunner().invoke(app, ['ls'])
    assert (done.exit_code, done.stderr) == (1, 'psij-ext: this should not happen: RuntimeError: out of order\n')
    assert 'Traceback' in CliRunner().invoke(app, ['-v', 'ls']).stderr


def test_ctrl_c_anywhere_else(monkeypatch):
    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr('psij_ext.cli.ls.known_jobs', interrupt)
    done = CliRunner().invoke(app, ['ls'])
    assert (done.exit_code, done.stderr) == (130, 'psij-ext: interrupted\n')


def test_warnings_of_the_library_reach_the_user_and_no_longer_than_the_command(monkeypatch):
    def warn(*arguments: object) -> list[object]:
        logging.getLogger('psij_ext.runtime').warning('look here\x1b')
        return []

    monkeypatch.setattr('psij_ext.cli.ls.known_jobs', warn)
    before = list(logging.getLogger('psij_ext').handlers)
    assert 'psij-ext: look here\\x1b\n' in CliRunner().invoke(app, ['ls', '-v']).stderr
    assert logging.getLogger('psij_ext').handlers == before
    assert logging.getLogger('psij_ext').level == logging.NOTSET


def test_tracebacks_are_taken_out_of_messages():
    report = ('Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n    import y\n'
              "ModuleNotFoundError: No module named 'y'\n\n"
              'During handling of the above exception, another exception occurred:\n\n'
              'Traceback (most recent call last):\n  File "z.py", line 2\n    (\n    ^\nSyntaxError: not closed\n')
    assert told(BrokenPlugin(f'It cannot be read from z.py:\n{report}')) == (
        "It cannot be read from z.py: ModuleNotFoundError: No module named 'y' SyntaxError: not closed")
    assert cause(report) == 'SyntaxError: not closed'
    assert told(PsijExtError('two\nlines')) == 'two\nlines'


@pytest.mark.parametrize(('text', 'shown'), [
    ('plain', 'plain'), ('ü 漢', 'ü 漢'), ('a\nb', 'a\\nb'), ('\x1b[31m', '\\x1b[31m'), ('\udcff', '\\udcff'),
    ('\u202e', '\\u202e'), ('\x9b', '\\x9b')])
def test_nothing_unprintable_is_printed(text, shown):
    assert printable(text) == shown
