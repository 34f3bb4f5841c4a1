"""What the README and the pages of `docs` show is run, and has to come out as it stands there.

* A Python block is run, and so is each `>>>` with what it prints; the blocks of a page share their names.
* A block with a caption is a file of that name, and is run where a command of the page does so.
* A block of the language `sh` is a script for bash, which has to succeed. In one of the language `console` each line after
  a dollar sign is a command, and below it stands what it prints; `...` stands for anything.

All of a page happens in one folder, with an empty home, on the local executor.
"""

from __future__ import annotations

import doctest
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Document, Example
from sybil.evaluators.doctest import OutputChecker
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.rest import CodeBlockParser, DocTestParser

import psij_ext

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(page for page in (ROOT / 'docs').rglob('*.rst') if '_build' not in page.parts)
IN_A_CLONE = [ROOT / 'README.rst', ROOT / 'docs' / 'getting-started.rst']
# What an installation makes commands of; none of them finds modules in the present folder, as `python -m` would.
ENTRY_POINTS = {'psij-ext': ('psij_ext.cli', 'main'), 'pytest': ('pytest', 'main')}
# The scheduler that stands for others.
DIRQ = ROOT / 'examples' / 'plugin' / 'src'
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
# What is only shown, where it has no caption.
SHOWN = ('text', 'toml')
SECONDS = 120


def run_python(example: Example) -> None:
    if not is_file(example):
        PythonEvaluator()(example)


def run_script(example: Example) -> str:
    if is_file(example):
        return ''
    code, printed = bash(example.parsed)
    return '' if code == 0 else f'{example.parsed}\nended with {code}:\n{printed}'


def run_commands(example: Example) -> str:
    for step in f'\n{example.parsed}'.split('\n$ ')[1:]:
        command, _, wanted = step.partition('\n')
        code, printed = bash(command)
        if code != 0 or not OutputChecker().check_output(wanted, printed, FLAGS):
            return f'{command}\nshould print\n{wanted}\nand ended with {code} and printed\n{printed}'
    return ''


def bash(script: str) -> tuple[int, str]:
    """Run a script; return its exit code, and all that it printed."""
    done = subprocess.run(['/bin/bash', '-eo', 'pipefail', '-c', script], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS)
    return done.returncode, done.stdout


def is_file(example: Example) -> bool:
    """Write a block with a caption into the file of that name."""
    name = example.region.lexemes['options'].get('caption')
    if name is not None:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(example.parsed)
    return name is not None


def show(example: Example) -> None:
    is_file(example)


PARSERS = [CodeBlockParser('python', run_python), CodeBlockParser('sh', run_script),
           CodeBlockParser('console', run_commands), *(CodeBlockParser(language, show) for language in SHOWN),
           DocTestParser(FLAGS)]


def play(page: Path) -> int:
    """Do all that a page shows, and return how much that is."""
    document = Document.parse(str(page), *PARSERS)
    examples = list(document)
    for example in examples:
        example.evaluate()
    return len(examples)


@pytest.fixture
def newcomer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of somebody who has just installed the package, and has no settings and no files yet."""
    commands, home, here = (tmp_path / name for name in ('bin', 'home', 'here'))
    for folder in (commands, home, here):
        folder.mkdir()
    for name, (module, function) in ENTRY_POINTS.items():
        put(commands / name, 'import sys', f"sys.path.append('{ROOT}/src')", f'from {module} import {function} as main',
            'sys.exit(main())', shell=sys.executable)
    put(commands / 'python', f'PYTHONPATH=${{PYTHONPATH:+$PYTHONPATH:}}{ROOT}/src exec {sys.executable} "$@"')
    put(commands / 'dirq', f'PYTHONPATH={DIRQ} exec {sys.executable} -m psij_dirq.scheduler.commands "$@"')
    for name in os.environ:
        if name.startswith(('PSIJ_EXT_', 'XDG_')):
            monkeypatch.delenv(name)
    monkeypatch.setenv('HOME', str(home))
    monkeypatch.setenv('PATH', f'{commands}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.delenv('PYTHONPATH', raising=False)
    monkeypatch.setenv('PSIJ_EXT_EXECUTOR', 'local')
    monkeypatch.chdir(here)
    return here


def put(program: Path, *lines: str, shell: str = '/bin/sh') -> None:
    program.parent.mkdir(exist_ok=True)
    program.write_text('\n'.join([f'#!{shell}', *lines, '']))
    program.chmod(0o755)


@pytest.fixture
def clone(newcomer: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone that somebody has just made, from which `pip` installs into a folder of its own.

    What runs all tests, these too, is not run by them: there only the arguments are looked at. The demonstration has a
    test of its own.
    """
    for name in ('LICENSE', 'README.rst', 'pyproject.toml'):
        shutil.copy(ROOT / name, newcomer)
    for name in ('psij-descriptors', 'src', 'templates'):
        shutil.copytree(ROOT / name, newcomer / name, ignore=shutil.ignore_patterns('__pycache__', '*.egg-info'))
    installed = newcomer.parent / 'installed'
    # Without a network; that what the package needs comes along with it is shown in `tests/test_package.py`.
    options = f'--quiet --no-deps --no-build-isolation --target {installed}'
    put(newcomer.parent / 'bin' / 'pip', f'exec {sys.executable} -m pip "$@" {options}')
    monkeypatch.setenv('PYTHONPATH', str(installed))
    put(newcomer / 'scripts' / 'demo', f'test -x {ROOT}/scripts/demo')
    put(newcomer / 'scripts' / 'docs', f'test -x {ROOT}/scripts/docs')
    put(newcomer / 'scripts' / 'test', f'[ $# = 0 ] || {{ cd {ROOT} && {sys.executable} -m pytest -q --collect-only "$@"; }}')
    return installed


@pytest.mark.parametrize('page', [page for page in PAGES if page not in IN_A_CLONE],
                         ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_true(page: Path, newcomer: Path) -> None:
    play(page)


@pytest.mark.parametrize('page', IN_A_CLONE, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_begins_in_a_clone_is_true(page: Path, clone: Path) -> None:
    assert play(page) >= 4
    assert (clone / 'psij_ext' / '_data' / 'templates').is_dir()


def test_all_that_looks_like_a_program_is_run() -> None:
    """Blocks of a language that nothing here runs, and blocks without any, would be passed over."""
    languages = {'python', 'sh', 'console', *SHOWN}
    for page in (*PAGES, ROOT / 'README.rst'):
        for number, line in enumerate(page.read_text().splitlines(), 1):
            word = line.strip()
            assert not word.endswith('::') or word.startswith('.. '), f'{page}:{number}: {word}'
            assert not word.startswith('.. code') or word.split()[-1] in languages, f'{page}:{number}: {word}'


@pytest.mark.parametrize(('text', 'complaint'), [
    ('.. code-block:: python\n\n    assert 1 + 1 == 3\n', 'AssertionError'),
    ('>>> 1 + 1\n3\n', 'Expected:'),
    ('.. code-block:: sh\n\n    false\n    true\n', 'ended with 1'),
    ('.. code-block:: console\n\n    $ echo one\n    two\n', 'should print'),
    ('.. code-block:: console\n\n    $ echo one | false\n    one\n', 'ended with 1')])
def test_what_is_not_true_is_seen(text: str, complaint: str, newcomer: Path) -> None:
    page = newcomer / 'page.rst'
    page.write_text(text)
    with pytest.raises(AssertionError) as raised:
        play(page)
    assert complaint in f'{raised.type.__name__}: {raised.value}'


def test_all_public_names_are_described() -> None:
    described = {line.split()[-1] for line in (ROOT / 'docs' / 'api' / 'psij_ext.rst').read_text().splitlines()
                 if line.startswith('.. auto')}
    assert {*psij_ext.__all__} - {name.rstrip('()') for name in described} == set()
