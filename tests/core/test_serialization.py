from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from psij_ext import (
    URI,
    InvalidJobException,
    JobAttributes,
    JobSpec,
    JSONSerializer,
    ResourceSpec,
    ResourceSpecV1,
    StageIn,
    StageOut,
    StageOutFlags,
    StagingMode,
)  # fmt: skip
from psij_ext.core.checks import Field, natural, optional

serializer = JSONSerializer()
# A busy machine is no reason to fail.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Names of files may hold any byte but NUL; what is no UTF-8 appears in Python as a surrogate.
raw_bytes = st.binary(min_size=1).filter(lambda data: b'\0' not in data)
file_names = raw_bytes.map(lambda data: data.decode('utf-8', 'surrogateescape'))
texts = st.text(st.characters(exclude_characters='\0', exclude_categories=['Cs'])) | file_names
names = texts.filter(bool)
paths = file_names.map(Path)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
uris = st.sampled_from([URI('file:///a%20b'), URI('scp://me@host:22/x')]) | paths.map(URI.from_path)
flags = st.integers(0, 15).map(StageOutFlags)
counts = st.integers(1, 10**15)
resources = st.builds(
    ResourceSpecV1,
    node_count=st.none() | counts, processes_per_node=st.none() | counts,
    cpu_cores_per_process=st.none() | counts, gpu_cores_per_process=st.none() | st.integers(0, 9),
    exclusive_node_use=st.booleans(), memory=st.none() | counts,
)  # fmt: skip
attributes = st.builds(
    JobAttributes,
    duration=st.none() | st.timedeltas(min_value=timedelta(microseconds=1)),
    queue_name=st.none() | names, account=st.none() | names, reservation_id=st.none() | names,
    custom_attributes=st.none() | st.dictionaries(names, json_values, max_size=3),
)  # fmt: skip
optional_paths = st.none() | paths
modes = st.sampled_from(list(StagingMode))
specs = st.builds(
    JobSpec,
    executable=st.none() | names, arguments=st.none() | st.lists(texts, max_size=3), directory=optional_paths,
    name=st.none() | names, inherit_environment=st.booleans(),
    environment=st.none() | st.dictionaries(names.filter(lambda name: '=' not in name), texts, max_size=3),
    stdin_path=optional_paths, stdout_path=optional_paths, stderr_path=optional_paths,
    resources=st.none() | resources, attributes=st.none() | attributes,
    pre_launch=optional_paths, post_launch=optional_paths, launcher=st.none() | names,
    stage_in=st.none() | st.sets(st.builds(StageIn, uris, paths, modes), max_size=2),
    stage_out=st.none() | st.sets(st.builds(StageOut, paths, uris, flags, modes), max_size=2),
    cleanup=st.none() | st.sets(paths, max_size=2), cleanup_flags=flags,
)  # fmt: skip


@patient
@given(specs)
def test_every_spec_round_trips(spec: JobSpec) -> None:
    text = serializer.dumps(spec)
    assert text.isascii()
    assert serializer.loads(text) == spec
    assert serializer.dumps(serializer.loads(text)) == text


@patient
@given(specs)
def test_a_spec_round_trips_through_streams(spec: JobSpec) -> None:
    characters, octets = io.StringIO(), io.BytesIO()
    serializer.dump(spec, characters)
    serializer.dump(spec, octets)
    characters.seek(0)
    octets.seek(0)
    assert serializer.load(characters) == serializer.load(octets) == spec


def test_none_and_empty_stay_apart() -> None:
    empty = JobSpec(arguments=[], environment={}, stage_in=set(), stage_out=set(), cleanup=set())
    empty.attributes.custom_attributes = {}
    assert serializer.loads(serializer.dumps(empty)) == empty
    assert serializer.loads(serializer.dumps(JobSpec())) == JobSpec()
    assert empty != JobSpec()


def test_the_format_as_it_is_documented() -> None:
    spec = JobSpec(
        '/bin/date', ['-u'], directory=Path('/data/\udcff'), environment={'A': 1},
        resources=ResourceSpecV1(node_count=2, memory=1024),
        attributes=JobAttributes(timedelta(minutes=10), custom_attributes={'slurm.exclusive': None}),
        stage_in=[StageIn('file:///a', 'b', StagingMode.LINK)],
        stage_out=[StageOut('c', 'd', StageOutFlags.ON_ERROR | StageOutFlags.IF_PRESENT)],
        cleanup=['z', 'y'], cleanup_flags=StageOutFlags.NONE,
    )  # fmt: skip
    assert json.loads(serializer.dumps(spec)) == {
        'format_version': 1,
        'executable': '/bin/date',
        'arguments': ['-u'],
        'directory': '/data/\udcff',
        'inherit_environment': True,
        'environment': {'A': '1'},
        'resources': {'version': 1, 'node_count': 2, 'memory': 1024, 'exclusive_node_use': False},
        'attributes': {'duration': 'PT600S', 'custom_attributes': {'slurm.exclusive': None}},
        'stage_in': [{'source': 'file:///a', 'target': 'b', 'mode': 'LINK'}],
        'stage_out': [{'source': 'c', 'target': 'd', 'flags': ['IF_PRESENT', 'ON_ERROR'], 'mode': 'COPY'}],
        'cleanup': ['y', 'z'],
        'cleanup_flags': [],
    }


@pytest.mark.parametrize(
    ('duration', 'text'),
    [
        (timedelta(microseconds=1), 'PT0.000001S'),
        (timedelta(days=2), 'PT172800S'),
        (timedelta(seconds=1.5), 'PT1.500000S'),
    ],
)
def test_a_duration_is_exact(duration: timedelta, text: str) -> None:
    written = json.loads(serializer.dumps(JobSpec(attributes=JobAttributes(duration))))
    assert written['attributes']['duration'] == text


def test_resources_of_another_version_round_trip() -> None:
    class ResourceSpecV7(ResourceSpec):
        tiles: Field[int | None, int | None] = Field(optional(natural), 'How many tiles.')

        def __init__(self, tiles: int | None = None) -> None:
            self.tiles = tiles

        @property
        def version(self) -> int:
            return 7

    spec = JobSpec(resources=ResourceSpecV7(3))
    text = serializer.dumps(spec)
    assert json.loads(text)['resources'] == {'version': 7, 'tiles': 3}
    assert serializer.loads(text) == spec


def _loaded(**content: object) -> JobSpec:
    return serializer.loads(json.dumps({'format_version': 1, **content}))


STAGE = {'source': 'a', 'target': 'b'}


@pytest.mark.parametrize(
    ('content', 'named'),
    [
        ({'executible': 'x'}, 'JobSpec.executible'),
        ({'fields': 1}, 'JobSpec.fields'),
        ({'attributes': {'queue': 'x'}}, 'JobAttributes.queue'),
        ({'resources': {'version': 1, 'nodes': 2}}, 'ResourceSpecV1.nodes'),
        ({'stage_in': [{**STAGE, 'flags': []}]}, 'StageIn.flags'),
        ({'stage_out': [{**STAGE, 'when': []}]}, 'StageOut.when'),
    ],
)
def test_an_unknown_field_is_refused_by_name(content: dict[str, object], named: str) -> None:
    with pytest.raises(ValueError, match=rf'^{named}: '):
        _loaded(**content)


@pytest.mark.parametrize(
    ('content', 'error', 'named'),
    [
        ({'executable': 5}, TypeError, 'JobSpec.executable'),
        ({'arguments': 'x'}, TypeError, 'JobSpec.arguments'),
        ({'cleanup': 'x'}, TypeError, 'JobSpec.cleanup'),
        ({'environment': {'A=': 'x'}}, ValueError, 'JobSpec.environment'),
        ({'attributes': []}, TypeError, 'JobSpec.attributes'),
        ({'attributes': {'duration': 600}}, ValueError, 'JobAttributes.duration'),
        ({'attributes': {'duration': 'PT0S'}}, ValueError, 'JobAttributes.duration'),
        ({'attributes': {'duration': 'PT' + '9' * 20 + 'S'}}, ValueError, 'JobAttributes.duration'),
        ({'resources': 'x'}, TypeError, 'JobSpec.resources'),
        ({'resources': {}}, TypeError, 'ResourceSpec.version'),
        ({'resources': {'version': True}}, TypeError, 'ResourceSpec.version'),
        ({'resources': {'version': 1, 'node_count': 0}}, ValueError, 'ResourceSpecV1.node_count'),
        ({'stage_in': {}}, TypeError, 'StageIn'),
        ({'stage_in': ['x']}, TypeError, 'StageIn'),
        ({'stage_in': [{'source': 'x'}]}, ValueError, 'StageIn.target'),
        ({'stage_in': [{**STAGE, 'mode': 'TELEPORT'}]}, ValueError, 'StageIn.mode'),
        ({'stage_out': [{**STAGE, 'flags': 'ALWAYS'}]}, TypeError, 'StageOut.flags'),
        ({'stage_out': [{**STAGE, 'flags': ['NEVER']}]}, ValueError, 'StageOut.flags'),
        ({'cleanup_flags': [1]}, ValueError, 'JobSpec.cleanup_flags'),
        ({'cleanup_flags': None}, TypeError, 'JobSpec.cleanup_flags'),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    content: dict[str, Any], error: type[Exception], named: str
) -> None:
    with pytest.raises(error, match=rf'^{named}: '):
        _loaded(**content)


def test_resources_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(InvalidJobException):
        _loaded(resources={'version': 1, 'node_count': 2, 'process_count': 3})


def test_unknown_resources_are_refused() -> None:
    with pytest.raises(ValueError, match='version 1000'):
        _loaded(resources={'version': 1000})


@pytest.mark.parametrize('version', [2, '1', True, None])
def test_another_format_is_refused(version: object) -> None:
    with pytest.raises(ValueError, match=r'^JobSpec\.format_version: '):
        serializer.loads(json.dumps({'format_version': version}))


@pytest.mark.parametrize('text', ['', '{', 'null', '[]'])
def test_what_is_no_description_is_refused(text: str) -> None:
    with pytest.raises((TypeError, ValueError)):
        serializer.loads(text)


def test_only_a_spec_is_written() -> None:
    with pytest.raises(TypeError, match='JobSpec'):
        serializer.dumps('x')  # type: ignore[arg-type]
