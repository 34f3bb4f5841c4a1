from __future__ import annotations

import copy
import pickle
import time
import tracemalloc
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from psij_ext import (
    URI,
    InvalidJobException,
    JobAttributes,
    JobSpec,
    ResourceSpecV1,
    StageIn,
    StageOut,
    StageOutFlags,
)  # fmt: skip

TEXTS = ['executable', 'name', 'launcher']
PATHS = ['directory', 'stdin_path', 'stdout_path', 'stderr_path', 'pre_launch', 'post_launch']


def test_an_empty_spec() -> None:
    spec = JobSpec()
    empty = {name: getattr(spec, name) for name in JobSpec.fields}
    assert empty.pop('inherit_environment') is True
    assert empty.pop('attributes') == JobAttributes()
    assert empty.pop('cleanup_flags') is StageOutFlags.ALWAYS
    assert set(empty.values()) == {None}


def test_the_name_is_the_executable_unless_given() -> None:
    spec = JobSpec('/bin/date')
    assert spec.name == '/bin/date'
    spec.name = 'clock'
    assert spec.name == 'clock'
    spec.name = None
    assert spec == JobSpec('/bin/date')
    assert JobSpec('/bin/date') != JobSpec('/bin/date', name='/bin/date')


@pytest.mark.parametrize('field', PATHS)
def test_a_path_is_kept_as_a_path(field: str) -> None:
    spec = JobSpec()
    setattr(spec, field, 'some where')
    assert getattr(spec, field) == Path('some where')
    setattr(spec, field, Path('/else where'))
    assert getattr(spec, field) == Path('/else where')
    setattr(spec, field, None)
    assert getattr(spec, field) is None


def test_a_file_name_that_is_no_unicode_is_taken() -> None:
    name = b'/data/\xff\xfe'.decode('utf-8', 'surrogateescape')
    assert JobSpec(directory=name).directory == Path(name)


def test_numbers_in_the_environment_become_strings() -> None:
    assert JobSpec(environment={'A': 1, 'B': 'two', 'C': ''}).environment == {'A': '1', 'B': 'two', 'C': ''}


def test_lists_sets_and_dictionaries_are_copied() -> None:
    arguments, environment, cleanup = ['a'], {'A': '1'}, {Path('x')}
    spec = JobSpec(arguments=arguments, environment=environment, cleanup=cleanup)
    arguments.append('b')
    environment['B'] = '2'
    cleanup.add(Path('y'))
    assert (spec.arguments, spec.environment, spec.cleanup) == (['a'], {'A': '1'}, {Path('x')})


def test_empty_and_none_are_kept_apart() -> None:
    spec = JobSpec(arguments=[], environment={}, stage_in=[], stage_out=(), cleanup=set())
    kept = (spec.arguments, spec.environment, spec.stage_in, spec.stage_out, spec.cleanup)
    assert kept == ([], {}, set(), set(), set())


def test_no_attributes_are_empty_attributes() -> None:
    spec = JobSpec(attributes=JobAttributes(queue_name='q'))
    spec.attributes = None
    assert spec.attributes == JobAttributes()


def test_files_to_stage_and_to_remove() -> None:
    spec = JobSpec(stage_in=[StageIn('a', 'b')], stage_out=[StageOut('c', 'd')], cleanup=['e', Path('f')])
    assert spec.stage_in == {StageIn(URI('a'), Path('b'))}
    assert spec.stage_out == {StageOut(Path('c'), URI('d'))}
    assert spec.cleanup == {Path('e'), Path('f')}


WRONG = [
    *((field, 5, TypeError) for field in [*TEXTS, *PATHS]),
    *((field, b'/bin', TypeError) for field in [*TEXTS, *PATHS]),
    *((field, '', ValueError) for field in [*TEXTS, *PATHS]),
    *((field, 'a\0b', ValueError) for field in [*TEXTS, *PATHS]),
    *((field, '\ud800', ValueError) for field in [*TEXTS, *PATHS]),
    ('executable', Path('/bin/date'), TypeError),
    ('arguments', 'abc', TypeError),
    ('arguments', [1], TypeError),
    ('arguments', {'a'}, TypeError),
    ('arguments', ['a', 'b\0'], ValueError),
    ('inherit_environment', 1, TypeError),
    ('inherit_environment', None, TypeError),
    ('environment', [('A', '1')], TypeError),
    ('environment', {1: 'x'}, TypeError),
    ('environment', {'': 'x'}, ValueError),
    ('environment', {'A=B': 'x'}, ValueError),
    ('environment', {'A\0': 'x'}, ValueError),
    ('environment', {'A': 'x\0'}, ValueError),
    ('environment', {'A': 1.5}, TypeError),
    ('environment', {'A': True}, TypeError),
    ('environment', {'A': None}, TypeError),
    ('resources', {'node_count': 1}, TypeError),
    ('attributes', {'queue_name': 'q'}, TypeError),
    ('stage_in', StageIn('a', 'b'), TypeError),
    ('stage_in', [StageOut('a', 'b')], TypeError),
    ('stage_out', ['a'], TypeError),
    ('cleanup', 'a', TypeError),
    ('cleanup', ['a', ''], ValueError),
    ('cleanup_flags', 3, TypeError),
]


@pytest.mark.parametrize(('field', 'value', 'error'), WRONG)
def test_a_wrong_value_is_refused_when_it_is_set(field: str, value: Any, error: type[Exception]) -> None:
    spec = JobSpec()
    with pytest.raises(error, match=rf'^JobSpec\.{field}(\[.*\])?: '):
        setattr(spec, field, value)
    with pytest.raises(error, match=rf'^JobSpec\.{field}(\[.*\])?: '):
        JobSpec(**{field: value})
    assert spec == JobSpec()


def test_a_refused_value_is_shown_in_short() -> None:
    with pytest.raises(TypeError) as caught:
        JobSpec(executable=[0] * 10_000)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200
    assert '(list)' in str(caught.value)


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(AttributeError):
        JobSpec().executible = '/bin/date'  # type: ignore[attr-defined]


def _full() -> JobSpec:
    return JobSpec(
        '/bin/date', ['-u'], environment={'A': '1'}, stage_in={StageIn('a', 'b')},
        resources=ResourceSpecV1(node_count=2), attributes=JobAttributes(timedelta(hours=1), 'q'),
    )  # fmt: skip


def test_specs_are_equal_by_content() -> None:
    assert _full() == _full()
    other = _full()
    assert other.resources is not None
    other.resources = ResourceSpecV1(node_count=3)
    assert other != _full()
    assert JobSpec() != 'JobSpec()'


def test_a_spec_cannot_be_a_key() -> None:
    with pytest.raises(TypeError, match='unhashable'):
        hash(JobSpec())


def test_a_spec_prints_what_was_given() -> None:
    assert repr(JobSpec()) == 'JobSpec()'
    assert repr(JobSpec('/bin/date', ['-u'])) == "JobSpec(executable='/bin/date', arguments=['-u'])"
    attributes = JobAttributes(queue_name='q')
    assert repr(JobSpec(environment={'TOKEN': 'a secret'})) == "JobSpec(environment={'TOKEN': '***'})"
    assert repr(JobSpec(attributes=attributes)) == "JobSpec(attributes=JobAttributes(queue_name='q'))"


@pytest.mark.parametrize(
    'duplicate', [copy.copy, copy.deepcopy, lambda spec: pickle.loads(pickle.dumps(spec))]
)
def test_a_spec_can_be_copied_and_pickled(duplicate: Any) -> None:
    assert duplicate(_full()) == _full()


class TestSnapshot:
    def test_is_equal_and_independent(self) -> None:
        spec = _full()
        taken = spec.snapshot()
        assert taken == spec
        assert spec.arguments is not None
        assert spec.environment is not None
        assert isinstance(spec.resources, ResourceSpecV1)
        spec.arguments.append('-R')
        spec.environment['B'] = '2'
        spec.resources.memory = 5
        spec.attributes.queue_name = 'other'
        assert taken == _full()

    def test_keeps_a_missing_name_missing(self) -> None:
        assert JobSpec('/bin/date').snapshot() == JobSpec('/bin/date')

    def test_refuses_what_became_wrong(self) -> None:
        spec = _full()
        assert spec.environment is not None
        spec.environment['A=B'] = 'x'
        with pytest.raises(ValueError, match=r'^JobSpec\.environment: '):
            spec.snapshot()

    def test_refuses_counts_that_contradict_one_another(self) -> None:
        spec = JobSpec(resources=ResourceSpecV1(node_count=2, process_count=4))
        assert isinstance(spec.resources, ResourceSpecV1)
        spec.resources.process_count = 5
        with pytest.raises(InvalidJobException, match='process_count=5'):
            spec.snapshot()


def test_ten_thousand_specs_take_well_under_a_second() -> None:
    def make() -> float:
        started = time.perf_counter()
        for _ in range(10_000):
            JobSpec('/bin/date', ['-u'], directory='/tmp', environment={'A': 1}, attributes=attributes)
        return time.perf_counter() - started

    attributes = JobAttributes(queue_name='q')
    assert min(make() for _ in range(5)) < 0.5


def test_a_spec_takes_less_than_half_a_kilobyte() -> None:
    tracemalloc.start()
    try:
        kept = [JobSpec('/bin/date') for _ in range(1000)]
        size, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert size / len(kept) < 512
