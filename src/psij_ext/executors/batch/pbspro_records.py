"""What the commands of PBS Pro print: the records of qstat in two formats, and the attributes of the server."""

from __future__ import annotations

import re
from typing import Dict, Mapping, Tuple

from psij_ext.core.observation import Observation, Observations, Site
from psij_ext.exceptions import ParseError
from psij_ext.executors.batch.pbspro_dsv import HEAD, find_value, split_record
from psij_ext.executors.batch.pbspro_states import (
    LIVING,
    is_end,
    is_made_up,
    number,
    observe_end,
    observe_living,
    waits,
)

# The values of the fields `LIVING`.
Told = Tuple[str, str, str, str, str]

NATIVE_ID = re.compile(r'\d{1,18}(?:\[\d{0,18}\])?(?:\.[\w.-]+)?', re.ASCII)
_SERVER_ATTRIBUTE = re.compile(r'^\s+(\w+) = (.*)$', re.MULTILINE)


class JobRecords:
    """Reads the answers of `qstat -f -F dsv`, one after the other.

    Of a job whose record cannot be read no more is known than that the server knows it; a record whose very id cannot
    be read may be about any job. Lines without a delimiter are a site's own words. What an answer says of a job just as
    the one before it did is not made anew.

    :param delimiter: what stands between two fields of a record.
    """

    def __init__(self, delimiter: str) -> None:
        self._delimiter = delimiter
        self._markers = [f'{delimiter}{name}=' for name in LIVING]
        self._output = f'{delimiter}Output_Path='  # below the job's folder, if it is one of ours
        self._before: Dict[str, Tuple[Told, Observation]] = {}

    def read(self, text: str) -> Observations:
        """Read what qstat printed.

        :raises ParseError: if it ends in the middle of a line.
        """
        _check_whole(text, '\n')
        seen = Observations()
        shared: Dict[Told, Observation] = {}
        living: Dict[str, Tuple[Told, Observation]] = {}
        start, end = 0, text.find('\n')
        while end >= 0:
            # The text is looked at where it stands: to cut 20 MB into lines costs as much as to read them.
            head = text.find(self._delimiter, start, end)
            if text.startswith(HEAD, start):
                native_id = text[start + len(HEAD):end if head < 0 else head].strip()
                if NATIVE_ID.fullmatch(native_id) is None:
                    seen.complete = False
                else:
                    self._read_record(native_id, text, head, end, seen, shared, living)
            elif head >= 0:
                seen.complete = False
            start = end + 1
            end = text.find('\n', start)
        self._before = living
        return seen

    def _read_record(
        self, native_id: str, text: str, head: int, end: int, seen: Observations, shared: Dict[Told, Observation],
        living: Dict[str, Tuple[Told, Observation]],
    ) -> None:
        told = ('', '', '', '', '') if head < 0 else self._told(text, head, end)
        if not told[0]:
            _add_unread(seen, native_id)
            return
        output = find_value(text, self._output, text.find(self._output, head, end), head, end, self._delimiter)
        if output:
            seen.stamps[native_id] = output
        if is_end(told[0]):
            fields = _fields(text[head + len(self._delimiter):end], self._delimiter)
            if is_made_up(native_id, fields):
                return
            _add(seen, native_id, observe_end(native_id, fields))
            return
        known = self._before.get(native_id)
        if known is None or known[0] != told:
            if told not in shared:
                shared[told] = observe_living(*told)
            known = told, shared[told]
        living[native_id] = known
        _add(seen, native_id, known[1])

    def _told(self, text: str, head: int, end: int) -> Told:
        """Find the values of the fields `LIVING`; empty for those that are not there."""
        delimiter = self._delimiter
        state, comment, run_count, walltime, expected_start = self._markers
        native_state = find_value(text, state, text.find(state, head, end), head, end, delimiter)
        return (
            native_state,
            # These two stand near the end, the others near the beginning.
            find_value(text, comment, text.rfind(comment, head, end), head, end, delimiter),
            find_value(text, run_count, text.rfind(run_count, head, end), head, end, delimiter),
            find_value(text, walltime, text.find(walltime, head, end), head, end, delimiter),
            find_value(text, expected_start, text.find(expected_start, head, end), head, end, delimiter)
            if waits(native_state) else '')


def parse_jobs(text: str, delimiter: str) -> Observations:
    """Read one answer of `qstat -f -F dsv`; see `JobRecords`."""
    return JobRecords(delimiter).read(text)


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
        if NATIVE_ID.fullmatch(native_id) is None:
            seen.complete = False
        elif is_made_up(native_id, fields):
            continue
        elif not fields.get('job_state'):
            _add_unread(seen, native_id)
        elif is_end(fields['job_state']):
            _add(seen, native_id, observe_end(native_id, fields))
        else:
            _add(seen, native_id, observe_living(*[fields.get(name, '') for name in LIVING]))
    return seen


def short_id(native_id: str) -> str:
    """Return an id with no more of its server's name than the host: `77.a` for `77.a.site.org`; an id may say more."""
    number, dot, server = native_id.partition('.')
    return f'{number}{dot}{server.partition(".")[0].partition("@")[0]}'


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


def _fields(record: str, delimiter: str) -> Mapping[str, str]:
    """Split a record, from its first field on, into all its fields."""
    fields: Dict[str, str] = {}
    for part in split_record(record, delimiter):
        name, equals, value = part.partition('=')
        if equals:
            fields.setdefault(name, value)
    return fields


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
