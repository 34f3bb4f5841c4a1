"""From a command line to a JobSpec."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext.cli.jobspec import make_spec
from psij_ext.cli.options import read_attribute, read_size, read_variable
from psij_ext.cli.submit import command
from psij_ext.core.attributes import JobAttributes
from psij_ext.core.resources import ResourceSpecV1
from psij_ext.core.serialization import JSONSerializer
from psij_ext.core.spec import JobSpec


def spec_of(*words: str) -> JobSpec:
    with command.make_context('submit', list(words)) as context:
        return make_spec({**context.params})


def test_a_command_alone():
    assert spec_of('--', 'ls', '-l', '--', '-x') == JobSpec('ls', ['-l', '--', '-x'], environment=None)


@pytest.mark.parametrize(('words', 'expected'), [
    (['--name', 'a b'], JobSpec('x', [], name='a b')),
    (['--directory', 'd'], JobSpec('x', [], directory='d')),
    (['--stdin', 'i', '--stdout', 'o', '--stderr', 'e'],
     JobSpec('x', [], stdin_path='i', stdout_path='o', stderr_path='e')),
    (['--pre-launch', 'a', '--post-launch', 'b'], JobSpec('x', [], pre_launch='a', post_launch='b')),
    (['--launcher', 'srun'], JobSpec('x', [], launcher='srun')),
    (['--no-inherit-environment'], JobSpec('x', [], inherit_environment=False)),
    (['--env', 'A=1', '--env', 'B=x=y', '--env', 'C='], JobSpec('x', [], environment={'A': '1', 'B': 'x=y', 'C': ''})),
    (['--queue', 'q', '--account', 'a', '--reservation', 'r', '--duration', '1h30m'],
     JobSpec('x', [], attributes=JobAttributes(timedelta(minutes=90), 'q', 'a', 'r'))),
    (['--attribute', 'slurm.constraint=a&b', '--attribute', 'slurm.exclusive'],
     JobSpec('x', [], attributes=JobAttributes(
         custom_attributes={'slurm.constraint': 'a&b', 'slurm.exclusive': None}))),
    (['--nodes', '2', '--processes', '8', '--cpus-per-process', '3', '--gpus-per-process', '1', '--memory', '4G',
      '--exclusive'],
     JobSpec('x', [], resources=ResourceSpecV1(
         node_count=2, process_count=8, cpu_cores_per_process=3, gpu_cores_per_process=1, memory=4 * 1024 ** 3,
         exclusive_node_use=True))),
    (['--processes-per-node', '4'], JobSpec('x', [], resources=ResourceSpecV1(processes_per_node=4))),
])
def test_each_option_sets_its_field(words, expected):
    assert spec_of(*words, '--', 'x') == expected


def test_a_file_with_options_over_it(tmp_path):
    given_spec = JobSpec(
        'sleep', ['1'], name='given', environment={'A': '1', 'B': '2'}, directory='/given',
        resources=ResourceSpecV1(node_count=2, memory=1000),
        attributes=JobAttributes(timedelta(minutes=1), 'q', custom_attributes={'slurm.a': 'b'}))
    path = tmp_path / 'spec.json'
    path.write_text(JSONSerializer().dumps(given_spec))
    assert spec_of('--spec', str(path)) == given_spec
    spec = spec_of('--spec', str(path), '--env', 'B=3', '--nodes', '4', '--account', 'a', '--attribute', 'slurm.c',
                   '--', 'date')
    assert spec == JobSpec(
        'date', [], name='given', environment={'A': '1', 'B': '3'}, directory='/given',
        resources=ResourceSpecV1(node_count=4, memory=1000),
        attributes=JobAttributes(timedelta(minutes=1), 'q', 'a', custom_attributes={'slurm.a': 'b', 'slurm.c': None}))


@pytest.mark.parametrize(('content', 'word'), [
    (b'{', 'spec.json'), (b'\xff', 'spec.json'), (b'[]', 'JSON object'), (b'{"format_version": 9}', 'format_version'),
    (json.dumps({'format_version': 1, 'executabel': 'x'}).encode(), 'executabel'),
    (json.dumps({'format_version': 1, 'executable': 7}).encode(), 'JobSpec.executable')])
def test_a_file_that_is_no_spec(tmp_path, content, word):
    path = tmp_path / 'spec.json'
    path.write_bytes(content)
    with pytest.raises(click.UsageError, match=word):
        spec_of('--spec', str(path))


@pytest.mark.parametrize(('text', 'size'), [
    ('1', 1), ('512', 512), ('1k', 1024), ('2K', 2048), ('1.5M', 3 * 512 * 1024), ('4G', 4 << 30), ('4GB', 4 << 30),
    ('4GiB', 4 << 30), ('1T', 1 << 40), ('1P', 1 << 50), (' 7 b ', 7), ('0.3', 1)])
def test_sizes(text, size):
    assert read_size(text) == size


@pytest.mark.parametrize('text', ['', '0', '-1', '4X', 'G', '1 2', '1e3', 'nan', '\uff14G', '1,5G'])
def test_no_sizes(text):
    with pytest.raises(ValueError, match='is no size'):
        read_size(text)


@given(st.integers(1, 10 ** 12))
def test_a_number_of_bytes_is_itself(size):
    assert read_size(str(size)) == size


@given(st.text(min_size=1).filter(lambda name: '=' not in name), st.text())
def test_assignments_are_split_at_the_first_equals_sign(name, value):
    assert read_variable(f'{name}={value}') == (name, value)
    assert read_attribute(f'{name}={value}') == (name, value)
    assert read_attribute(name) == (name, None)


def test_paths_stay_paths(tmp_path):
    assert spec_of('--directory', str(tmp_path), '--', 'x').directory == Path(tmp_path)
