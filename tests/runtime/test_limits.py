"""What Linux cannot hand to a program is refused, with field, limit and a way out; what it can is not."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hostile_specs import CARRIED, as_bytes
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import StageIn, StageOut
from psij_ext.exceptions import InvalidJobException
from psij_ext.launchers.single import SingleLauncher
from psij_ext.runtime import limits
from psij_ext.runtime.limits import LONGEST_ARGUMENT, cut
from psij_ext.runtime.script import script_context

LONGEST_PATH, LONGEST_NAME = 4095, 255


def render(**fields: object) -> None:
    spec = JobSpec(**{'executable': '/bin/true', 'directory': '/d', **fields})  # type: ignore[arg-type]
    script_context(Job(spec), SingleLauncher(), folder=Path('/f'), nonce='n')


def refusal(**fields: object) -> str:
    with pytest.raises(InvalidJobException) as caught:
        render(**fields)
    assert len(caught.value.message) < 500
    return caught.value.message


def path_of(size: int) -> str:
    return ('/' + 'x' * 99) * (size // 100) + '/' + 'y' * (size % 100 - 1)


@pytest.mark.parametrize('letter', ['x', 'ü', '\udcff'])
def test_an_argument_may_be_as_long_as_linux_allows(letter: str) -> None:
    width = len(as_bytes(letter))
    fitting = letter * (LONGEST_ARGUMENT // width) + 'x' * (LONGEST_ARGUMENT % width)
    render(arguments=['a', fitting])
    subprocess.run(['/bin/true', 'a', fitting], check=True)
    with pytest.raises(OSError, match='too long'):
        subprocess.run(['/bin/true', 'a', fitting + 'x'], check=True)
    message = refusal(arguments=['a', fitting + 'x'])
    assert 'JobSpec.arguments[1]' in message
    assert str(LONGEST_ARGUMENT + 1) in message
    assert f'at most {LONGEST_ARGUMENT}' in message
    assert 'MAX_ARG_STRLEN' in message
    assert 'file' in message


def test_a_variable_counts_with_its_name() -> None:
    render(environment={'N': 'x' * (LONGEST_ARGUMENT - 2)})
    subprocess.run(['/bin/true'], env={'N': 'x' * (LONGEST_ARGUMENT - 2)}, check=True)
    with pytest.raises(OSError, match='too long'):
        subprocess.run(['/bin/true'], env={'N': 'x' * (LONGEST_ARGUMENT - 1)}, check=True)
    assert "JobSpec.environment['N']" in refusal(environment={'N': 'x' * (LONGEST_ARGUMENT - 1)})
    assert 'at most' in refusal(environment={'N' * 200_000: ''})


def test_all_together_may_not_be_more_than_any_node_takes() -> None:
    many = ['x' * 100_000] * 60
    render(arguments=many)
    assert '6291456' in refusal(arguments=[*many, *many[:5]])
    assert '6291456' in refusal(arguments=[''] * 7_000_000)
    before = resource.getrlimit(resource.RLIMIT_STACK)
    if before[1] != resource.RLIM_INFINITY:
        return  # this machine takes less anyhow
    resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, before[1]))
    try:
        subprocess.run(['/bin/true', *many], env={}, check=True)
        with pytest.raises(OSError, match='too long'):
            subprocess.run(['/bin/true', *many, *many[:5]], env={}, check=True)
    finally:
        resource.setrlimit(resource.RLIMIT_STACK, before)


@pytest.mark.parametrize('field', [
    'executable', 'directory', 'stdin_path', 'stdout_path', 'stderr_path', 'pre_launch', 'post_launch'])
def test_paths(field: str) -> None:
    render(**{field: path_of(LONGEST_PATH)})
    render(**{field: '/' + 'x' * LONGEST_NAME})
    message = refusal(**{field: path_of(LONGEST_PATH + 1)})
    assert f'JobSpec.{field}' in message
    assert '4096 bytes' in message
    assert 'at most 4095' in message
    for name in ('x' * (LONGEST_NAME + 1), 'ü' * 128):
        assert 'a name of 256 bytes' in refusal(**{field: f'/d/{name}/x'})


def test_the_limits_of_paths_are_linuxs(tmp_path: Path) -> None:
    (tmp_path / ('x' * LONGEST_NAME)).touch()
    with pytest.raises(OSError, match='too long'):
        (tmp_path / ('x' * (LONGEST_NAME + 1))).touch()
    with pytest.raises(FileNotFoundError):
        os.stat(path_of(LONGEST_PATH))
    with pytest.raises(OSError, match='too long'):
        os.stat(path_of(LONGEST_PATH + 1))


@pytest.mark.parametrize('staged', [
    {'stage_in': {StageIn(path_of(5000), 'x')}}, {'stage_in': {StageIn('x', path_of(5000))}}, {'stage_in': {StageIn('x', 'y' * 300)}},
    {'stage_out': {StageOut('x', path_of(5000))}}, {'stage_out': {StageOut(path_of(5000), 'x')}}])
def test_paths_of_staged_files(staged: dict[str, object]) -> None:
    assert f'JobSpec.{next(iter(staged))}: ' in refusal(**staged)


@pytest.mark.parametrize('fields', [
    {'arguments': ['a\0b']}, {'environment': {'A': '\0'}}, {'environment': {'A\0': ''}}, {'environment': {'A=B': ''}},
    {'environment': {'': 'x'}}, {'environment': {'=': 'x'}}, {'executable': 'a\0'}, {'executable': ''}, {'directory': '\0'},
    {'stdin_path': '\0'}, {'stdout_path': 'a\0'}, {'stderr_path': 'a\0'}, {'pre_launch': '\0'}, {'post_launch': '\0'}, {'name': '\0'},
    {'arguments': ['\ud800']}, {'environment': {'\udfff': ''}}, {'environment': {'A': '\udc7f'}}, {'directory': 'a\ud83d'}],
    ids=ascii)
def test_what_nothing_can_hold_is_refused_when_it_is_set(fields: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r'NUL|must not|as bytes') as caught:
        JobSpec(**fields)  # type: ignore[arg-type]
    assert f'JobSpec.{next(iter(fields))}' in str(caught.value)


def test_the_bytes_of_a_text_are_those_of_the_locale_where_it_has_any(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.as_bytes('ü\udcff') == b'\xc3\xbc\xff'
    monkeypatch.setattr(os, 'fsencode', lambda text: text.encode('latin-1', 'surrogateescape'))
    assert limits.as_bytes('ü\udcff') == b'\xfc\xff'
    assert limits.as_bytes('日') == '日'.encode()


@given(CARRIED, st.integers(0, 60))
def test_what_is_cut_has_no_byte_too_many(text: str, size: int) -> None:
    short = as_bytes(cut(text, size))
    assert as_bytes(text).startswith(short)
    assert min(size, len(as_bytes(text))) - 3 <= len(short) <= size


@given(st.text(st.characters(exclude_categories=('Cs',))), st.integers(0, 60))
def test_what_is_cut_has_no_half_character(text: str, size: int) -> None:
    assert text.startswith(cut(text, size))
