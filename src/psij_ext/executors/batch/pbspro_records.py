"""What the commands of PBS Pro print: the records of qstat in two formats, and the attributes of the server."""

from __future__ import annotations

import re
from typing import Dict, Iterator, List, Mapping

from psij_ext.core.observation import Observation, Observations, Site
from psij_ext.exceptions import ParseError
from psij_ext.executors.batch.pbspro_states import Living, is_end, number, observe_end, observe_living

_HEAD = 'Job Id: '
_ID = re.compile(r'\d{1,18}(?:\[\d{0,18}\])?(?:\.[\w.-]+)?', re.ASCII)
_LIVING = ('job_state', 'comment', 'run_count', 'Resource_List.walltime', 'estimated.start_time')
_SERVER_ATTRIBUTE = re.compile(r'^\s+(\w+) = (.*)$', re.MULTILINE)


def parse_jobs(text: str, delimiter: str) -> Observations:
    r"""Read the records of `qstat -f -F dsv`.

    Of a job whose record cannot be read no more is known than that the server knows it; a record whose very id cannot
    be read may be about any job. Lines without a delimiter are a site's own words.

    :param text: what qstat printed. A line is a job; a delimiter inside a value has a backslash before it, and so has
        a backslash; a newline is written as `\n`.
    :raises ParseError: if it ends in the middle of a line.
    """
    _check_whole(text, '\n')
    seen = Observations()
    known: Dict[Living, Observation] = {}
    markers = [f'{delimiter}{name}=' for name in _LIVING]
    start, end = 0, text.find('\n')
    while end >= 0:
        # The text is looked at where it stands: to cut 20 MB into lines costs as much as to read them.
        head = text.find(delimiter, start, end)
        if text.startswith(_HEAD, start):
            native_id = text[start + len(_HEAD):end if head < 0 else head].strip()
            if _ID.fullmatch(native_id) is None:
                seen.complete = False
            elif head < 0:
                _add_unread(seen, native_id)
            else:
                living = Living(*[_value(text, marker, head, end, delimiter) for marker in markers])
                if is_end(living.state):
                    _add(seen, native_id, observe_end(native_id, _fields(text[head + len(delimiter):end], delimiter)))
                elif not living.state:
                    _add_unread(seen, native_id)
                else:
                    if living not in known:
                        known[living] = observe_living(living)
                    _add(seen, native_id, known[living])
        elif head >= 0:
            seen.complete = False
        start = end + 1
        end = text.find('\n', start)
    return seen


def parse_texts(text: str) -> Observations:
    """Read the records of `qstat -f`, which names its fields at the beginnings of lines.

    :raises ParseError: if it ends in the middle of a record.
    """
    _check_whole(text, '\n\n')
    seen = Observations()
    for record in re.split(r'(?:^|\n\n)Job Id: ', text)[1:]:
        head, _, rest = record.partition('\n')
        native_id = head.strip()
        fields: Dict[str, str] = {}
        # A value that is too long goes on in the next line, behind a tab.
        for line in rest.replace('\n\t', '').split('\n'):
            name, equals, value = line.strip().partition(' = ')
            if equals:
                fields.setdefault(name, value)
        if _ID.fullmatch(native_id) is None:
            seen.complete = False
        elif not fields.get('job_state'):
            _add_unread(seen, native_id)
        elif is_end(fields['job_state']):
            _add(seen, native_id, observe_end(native_id, fields))
        else:
            _add(seen, native_id, observe_living(Living(*[fields.get(name, '') for name in _LIVING])))
    return seen


def short_id(native_id: str) -> str:
    """Return an id with no more of its server's name than the host: `77.a` for `77.a.site.org`; an id may say more."""
    number, dot, server = native_id.partition('.')
    return f'{number}{dot}{server.partition(".")[0].partition("@")[0]}'


def is_id(text: str) -> bool:
    """Whether PBS could take a text for the id of a job."""
    return _ID.fullmatch(text) is not None


def parse_server(text: str) -> Site:
    """Read what `qstat -B -f` tells of the server."""
    attributes = dict(_SERVER_ATTRIBUTE.findall(text))
    version = attributes.get('pbs_version', '')
    return Site(
        product='pbspro' if version else '',
        version=tuple(int(part) for part in re.findall(r'\d+', version)[:3]),
        # An attribute that was never set is not printed, and history is off unless it was switched on.
        history=attributes.get('job_history_enable') == 'True' if version else None,
        max_array_size=number(attributes.get('max_array_size')))


def _check_whole(text: str, ending: str) -> None:
    if text and not text.endswith(ending):
        raise ParseError(f'The answer of qstat ends in the middle of a record: {text[-80:]!r}')


def _value(text: str, marker: str, start: int, end: int, delimiter: str) -> str:
    """Find the value of a field in the record between two places, empty if it is not there.

    :param marker: the field's name between a delimiter and `=`.
    """
    place = text.find(marker, start, end)
    if place > 0 and text[place - 1] == '\\':
        place = _unescaped(text, marker, place, end)
    if place < 0:
        return ''
    first = place + len(marker)
    last = text.find(delimiter, first, end)
    if last > 0 and text[last - 1] == '\\':
        last = _unescaped(text, delimiter, last, end)
    return text[first:end if last < 0 else last]


def _unescaped(text: str, wanted: str, start: int, end: int) -> int:
    """Find a text that begins with a delimiter which belongs to no value; -1 if there is none."""
    place = text.find(wanted, start, end)
    while place >= 0 and _is_escaped(text, place):
        place = text.find(wanted, place + 1, end)
    return place


def _is_escaped(text: str, place: int) -> bool:
    backslashes = 0
    while place - backslashes > 0 and text[place - backslashes - 1] == '\\':
        backslashes += 1
    return backslashes % 2 == 1


def _fields(record: str, delimiter: str) -> Mapping[str, str]:
    """Split a record, from its first field on, into all its fields."""
    fields: Dict[str, str] = {}
    for part in _parts(record, delimiter):
        name, equals, value = part.partition('=')
        if equals:
            fields.setdefault(name, value)
    return fields


def _parts(record: str, delimiter: str) -> Iterator[str]:
    pieces: List[str] = []
    for piece in record.split(delimiter):
        pieces.append(piece)
        if not _is_escaped(piece, len(piece)):
            yield delimiter.join(pieces)
            pieces = []
    if pieces:
        yield delimiter.join(pieces)


def _add(seen: Observations, native_id: str, observation: Observation) -> None:
    """Jobs are found under the id that PBS gives, with the host alone for the server, and under the number alone."""
    seen[native_id] = observation
    seen.unread.discard(native_id)
    number, _, server = native_id.partition('.')
    seen.setdefault(number, observation)
    if '.' in server:
        seen.setdefault(short_id(native_id), observation)


def _add_unread(seen: Observations, native_id: str) -> None:
    for each in (native_id, short_id(native_id), native_id.partition('.')[0]):
        if each not in seen:
            seen.add_unread(each)
