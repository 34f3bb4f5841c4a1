"""Job descriptions as text."""

from __future__ import annotations

import io
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from pathlib import Path
from typing import IO, Any, AnyStr, Callable

from psij_ext.core.attributes import JobAttributes
from psij_ext.core.checks import Checked, describe
from psij_ext.core.resources import ResourceSpec
from psij_ext.core.spec import JobSpec
from psij_ext.core.staging import URI, StageIn, StageOut, StageOutFlags, StagingMode

FORMAT_VERSION = 1

_ENCODER = json.JSONEncoder(allow_nan=False)  # json.dumps makes a new one each time
_DURATION = re.compile(r'PT([0-9]{1,20})(?:\.([0-9]{6}))?S')
_DURATION_OF_PSIJ = re.compile(r'([0-9]{1,20}\.[0-9]{1,6}) s')
_FLAGS = (StageOutFlags.IF_PRESENT, StageOutFlags.ON_SUCCESS, StageOutFlags.ON_ERROR, StageOutFlags.ON_CANCEL)


class Serializer(ABC):
    """Turns the description of a job into text and back."""

    @abstractmethod
    def dumps(self, spec: JobSpec) -> str:
        """Return the description as a string."""

    @abstractmethod
    def loads(self, s: str) -> JobSpec:
        """Return the description that a string holds.

        :raises TypeError: if a field has a wrong type.
        :raises ValueError: if the string cannot be read, or a field is unknown or has a wrong value.
        """

    def dump(self, spec: JobSpec, stream: IO[AnyStr]) -> None:
        """Write the description to a stream, of text or of bytes."""
        text = self.dumps(spec)
        written: Any = text.encode() if isinstance(stream, (io.RawIOBase, io.BufferedIOBase)) else text
        stream.write(written)

    def load(self, stream: IO[AnyStr]) -> JobSpec:
        """Read a description from a stream, of text or of bytes, to its end.

        :raises TypeError: if a field has a wrong type.
        :raises ValueError: if the text cannot be read, or a field is unknown or has a wrong value.
        """
        read: str | bytes = stream.read()
        return self.loads(read if isinstance(read, str) else read.decode())


class JSONSerializer(Serializer):
    """Writes the description of a job as JSON.

    A field that is None is left out. Bytes of a path that are no UTF-8 survive as escaped surrogates; a
    duration is an ISO 8601 one in seconds.
    """

    def dumps(self, spec: JobSpec) -> str:
        """Return the description as a JSON object.

        :raises TypeError: if it is no `JobSpec`.
        """
        if not isinstance(spec, JobSpec):
            raise TypeError(f'JSONSerializer.dumps: expected a JobSpec, got {describe(spec)}')
        return _ENCODER.encode({'format_version': FORMAT_VERSION, **_to_json(spec)})

    def dumps_differences(self, specs: Sequence[JobSpec]) -> Iterator[str]:
        """Return for each description after the first, as a JSON object, the fields in which it differs from the first.

        A field that is None is null there.
        """
        first = specs[0].held()
        for spec in specs[1:]:
            yield _ENCODER.encode({
                name: None if content is None else _plain(content) for name, content in spec.held().items()
                if content is not first[name] and content != first[name]})

    def loads(self, s: str) -> JobSpec:
        """Return the description that a JSON object holds, which may be one that psij-python wrote.

        :raises TypeError: if a field has a wrong type.
        :raises ValueError: if the text is no such object, or a field is unknown or has a wrong value.
        """
        try:
            loaded = json.loads(s)
        except RecursionError as error:
            raise ValueError('JobSpec: the text is nested too deeply.') from error
        content = _object('JobSpec', loaded)
        # That of psij-python 0.9.11 has no version of its own, and its resources and durations are written otherwise.
        version = content.pop('format_version', FORMAT_VERSION)
        if isinstance(version, bool) or version != FORMAT_VERSION:
            raise ValueError(
                f'JobSpec.format_version: expected {FORMAT_VERSION}, got {describe(version)}'
            )
        spec: JobSpec = _fill(JobSpec(), content)
        return spec


def _to_json(value: Checked) -> dict[str, object]:
    return {name: _plain(content) for name, content in value.held().items() if content is not None}


def _plain(value: object) -> object:
    if type(value) in _PLAIN:
        return value
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value)
    return value


def _sorted_plain(values: Iterable[object]) -> list[object]:
    return sorted((_plain(value) for value in values), key=lambda plain: json.dumps(plain, sort_keys=True))


def _stage_to_json(stage: StageIn | StageOut) -> dict[str, object]:
    return {name: _plain(content) for name, content in vars(stage).items()}


def _duration_to_json(span: timedelta) -> str:
    whole, rest = divmod(span // timedelta(microseconds=1), 1_000_000)
    return f'PT{whole}.{rest:06d}S' if rest else f'PT{whole}S'


def _resources_to_json(resources: ResourceSpec) -> dict[str, object]:
    return {'version': resources.version, **_to_json(resources)}


# Most values are of these kinds, and every submission writes a spec.
_PLAIN = frozenset((bool, float, int, str))
# The first kind that fits is taken: ResourceSpec before Checked, StageOutFlags before Enum.
_WRITERS: Iterable[Any] = (
    (ResourceSpec, _resources_to_json),
    (Checked, _to_json),
    ((StageIn, StageOut), _stage_to_json),
    ((Path, URI), str),
    (timedelta, _duration_to_json),
    (StageOutFlags, lambda flags: [flag.name for flag in _FLAGS if flag in flags]),
    (Enum, lambda member: member.name),
    ((set, frozenset), _sorted_plain),
    (list, lambda items: [_plain(item) for item in items]),
)


def _object(label: str, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f'{label}: expected a JSON object, got {describe(value)}')
    return dict(value)


def _fill(target: Any, content: Mapping[str, object]) -> Any:
    readers = _READERS.get(type(target), {})
    for name, item in content.items():
        if name not in target.fields:
            raise ValueError(f'{type(target).__name__}.{name}: is no field')
        setattr(target, name, readers[name](item) if name in readers and item is not None else item)
    return target


def _duration_from_json(value: object) -> timedelta:
    of_psij = _DURATION_OF_PSIJ.fullmatch(value) if isinstance(value, str) else None
    match = of_psij or (_DURATION.fullmatch(value) if isinstance(value, str) else None)
    if match is None:
        raise ValueError(f'JobAttributes.duration: expected seconds such as PT600S, got {describe(value)}')
    try:
        if of_psij is not None:
            return timedelta(seconds=float(of_psij[1]))
        return timedelta(seconds=int(match[1]), microseconds=int(match[2] or 0))
    except OverflowError as error:
        raise ValueError(f'JobAttributes.duration: {describe(value)} is too long') from error


def _flags_from_json(label: str) -> Callable[[object], StageOutFlags]:
    def read(value: object) -> StageOutFlags:
        if not isinstance(value, list):
            raise TypeError(f'{label}: expected a list, got {describe(value)}')
        flags = StageOutFlags.NONE
        for name in value:
            flags |= _member(StageOutFlags, label, name)
        return flags

    return read


def _member(kind: Any, label: str, name: object) -> Any:
    if not isinstance(name, str) or name not in kind.__members__:
        raise ValueError(f'{label}: expected one of {", ".join(kind.__members__)}, got {describe(name)}')
    return kind[name]


def _resources_from_json(value: object) -> ResourceSpec:
    content = _object('JobSpec.resources', value)
    version = content.pop('version', content.pop('__version', None))
    if isinstance(version, bool) or not isinstance(version, int):
        raise TypeError(f'ResourceSpec.version: expected a whole number, got {describe(version)}')
    resources: ResourceSpec = _fill(ResourceSpec.get_instance(version), content)
    return resources.snapshot()


def _attributes_from_json(value: object) -> JobAttributes:
    attributes: JobAttributes = _fill(JobAttributes(), _object('JobSpec.attributes', value))
    return attributes


def _stages_from_json(kind: Any) -> Callable[[object], list[Any]]:
    readers: dict[str, Callable[[object], object]] = {
        'mode': lambda name: _member(StagingMode, f'{kind.__name__}.mode', name),
        'flags': _flags_from_json(f'{kind.__name__}.flags'),
    }

    def read_one(value: object) -> Any:
        content = _object(kind.__name__, value)
        for name in content:
            if name not in kind.__dataclass_fields__:
                raise ValueError(f'{kind.__name__}.{name}: is no field')
        for name in ('source', 'target'):
            if name not in content:
                raise ValueError(f'{kind.__name__}.{name}: is missing')
        for name in readers.keys() & content.keys():
            content[name] = readers[name](content[name])
        return kind(**content)

    def read(value: object) -> list[Any]:
        if not isinstance(value, list):
            raise TypeError(f'{kind.__name__}: expected a list, got {describe(value)}')
        return [read_one(item) for item in value]

    return read


_READERS: Mapping[type, Mapping[str, Callable[[object], object]]] = {
    JobAttributes: {'duration': _duration_from_json},
    JobSpec: {
        'resources': _resources_from_json,
        'attributes': _attributes_from_json,
        'stage_in': _stages_from_json(StageIn),
        'stage_out': _stages_from_json(StageOut),
        'cleanup_flags': _flags_from_json('JobSpec.cleanup_flags'),
    },
}
