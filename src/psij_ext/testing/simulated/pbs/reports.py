"""``qstat -f``: jobs with all their attributes as JSON, in delimited lines, or as indented text."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Iterator, List, Optional, Sequence, Tuple

Attributes = Iterable[Tuple[str, Optional[str], str]]
"""Name, resource and value of everything that is shown of a job."""

LINE = 78
"""Most characters of a line of indented text."""

NUMBER = re.compile(
    r'\s*[+-]?(?:0x[0-9a-f]+|(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)\s*', re.IGNORECASE
)
"""What C's strtod reads to its end."""

JSON_NUMBER = re.compile(r'\s*(-?(?:\d+\.?\d*|(?<=-)\.\d+)(?:[eE][+-]?\d+)?)\s*')
"""What the newer client's JSON library takes for a number, leading zeroes included."""

NAMES = ('Job_Name', 'project', 'Account_Name')
"""Attributes that the newer client always writes as strings."""

ESCAPES = {'\b': '\\b', '\f': '\\f', '\n': '\\n', '\r': '\\r', '\t': '\\t'}


def printable(text: str) -> str:
    """Replace what PBS thinks is not printable by ``^`` and another byte.

    That is control characters and, because PBS takes bytes for signed numbers, all bytes that are not ASCII.
    """
    return ''.join(
        '^' + chr((ord(c) + 64) & 0xFF) if (ord(c) < 32 and c not in '\n\t') or ord(c) > 127 else c for c in text
    )


def split_variables(text: str, correct: bool) -> Iterator[tuple[str, str | None]]:
    """Split a variable list as the client does; 23.06 takes the comma after an empty value for a part of the value."""
    position = 0
    while position < len(text):
        key, value = '', None
        while position < len(text) and text[position] != ',':
            if text[position] == '\\' and text[position + 1 : position + 2] == ',':
                position += 1
            if value is None and text[position] == '=':
                value = ''
                position += 1
                if correct or position == len(text):
                    continue
            if value is None:
                key += text[position]
            else:
                value += text[position]
            position += 1
        yield key, value
        position += 1


def _escape(text: str) -> str:
    """Write the inside of a JSON string as 23.06 does: a backslash is believed to be an escape already."""
    out, position = '', 0
    while position < len(text):
        char, following = text[position], text[position + 1 : position + 2]
        if char == '\\' and following:
            out += following if following in "'," else char + following
            position += 2
            continue
        if char == '"' and position and text[position - 1] != '\\':
            out += '\\'
        out += ESCAPES.get(char, char)
        position += 1
    return out


def old_value(name: str, resource: str | None, text: str) -> str:
    """Write a JSON value as 23.06 does: whatever C reads as a number is written as it stands."""
    number = NUMBER.fullmatch(text) is not None
    if number and text.startswith('0'):
        number = (float.fromhex(text) if 'x' in text.lower() else float(text)) < 1
    return text if number else f'"{printable(_escape(text))}"'


def new_value(name: str, resource: str | None, text: str) -> str:
    """Write a JSON value as the newer client does: what its JSON library can read is a number or a truth value."""
    match = None if name in NAMES and resource is None else JSON_NUMBER.fullmatch(text)
    if match is not None:
        number = float(match[1])
        if number in (float('inf'), float('-inf')):
            return 'null'
        short = f'{number:.15g}'
        return str(int(number)) if abs(number) < 1 << 31 and number == int(number) else short
    if name not in NAMES and text.strip() in ('true', 'false', 'null'):
        return text.strip()
    body = ''.join(ESCAPES.get(c, f'\\u{ord(c):04x}' if ord(c) < 32 else '\\' * (c in '"\\') + c) for c in text)
    return f'"{body}"'


Writer = Callable[[str, Optional[str], str], str]
Members = List[Tuple[str, Any]]


def _members(attributes: Attributes, write: Writer, correct: bool) -> Members:
    """Write the values of a job, resources and variables grouped under their attribute."""
    members: Members = []
    for name, resource, value in attributes:
        if name == 'Variable_List':
            pairs = split_variables(value, correct)
            members.append((name, [(key, write(name, key, text)) for key, text in pairs if text is not None]))
        elif resource is None:
            members.append((name, write(name, None, value)))
        else:
            if not members or members[-1][0] != name:
                members.append((name, []))
            members[-1][1].append((resource, write(name, resource, value)))
    return members


def _lay_out(members: Members, depth: int, indent: str, colon: str) -> str:
    """Lay a JSON object out, one member a line."""
    lines = []
    for key, value in members:
        text = value if isinstance(value, str) else _lay_out(value, depth + 1, indent, colon)
        lines.append(f'{indent * depth}"{key}"{colon}{text}')
    return '{\n' + ',\n'.join(lines) + '\n' + indent * (depth - 1) + '}'


def json_report(
    jobs: Sequence[tuple[str, Attributes]], server: str, version: str, now: int, output: str, kind: str = 'Jobs'
) -> str:
    """Write ``qstat -f -F json``.

    :param jobs: id and attributes of each; without any there is no member ``Jobs``
    :param now: seconds since 1970
    :param output: ``'23.06'`` or ``'head'``
    """
    new = output == 'head'
    write: Writer = new_value if new else old_value
    # 23.06 looks at the number in memory as at a text, which is empty where its first byte is zero: every 256 seconds
    moment = '""' if not new and now % 256 == 0 else str(now)
    head: Members = [('timestamp', moment), ('pbs_version', f'"{version}"'), ('pbs_server', f'"{server}"')]
    if jobs:
        head.append((kind, [(name, _members(attributes, write, new)) for name, attributes in jobs]))
    end = '\n' if jobs or new else ''
    return _lay_out(head, 1, '\t' if new else '    ', ':\t' if new else ':') + end


def delimited_report(jobs: Sequence[tuple[str, Attributes]], delimiter: str, kind: str = 'Job Id') -> str:
    """Write ``qstat -f -F dsv``: one line a job."""
    lines = []
    for identifier, attributes in jobs:
        fields = [f'{kind}: {identifier}']
        for name, resource, value in attributes:
            text = printable(_protect(value, delimiter).replace('\n', '\\n').replace('\f', '\\f'))
            fields.append(f'{name}.{resource}={text}' if resource is not None else f'{name}={text}')
        lines.append(delimiter.join(fields) + '\n')
    return ''.join(lines)


def _protect(value: str, delimiter: str) -> str:
    """Put a backslash before delimiters, and before backslashes that do not stand before a quote or a comma."""
    if '\\' not in value and (not delimiter or delimiter not in value):
        return value
    out, position = '', 0
    while position < len(value):
        length = len(delimiter) if delimiter and value.startswith(delimiter, position) else 0
        lone = value[position] == '\\' and value[position + 1 : position + 2] not in ("'", '"', ',')
        out += '\\' * (lone or length > 0) + value[position : position + max(length, 1)]
        position += max(length, 1)
    return out


def text_report(jobs: Sequence[tuple[str, Attributes]], one_line: bool, kind: str = 'Job Id') -> str:
    """Write ``qstat -f``; with ``-w`` an attribute is one line."""
    out = ''
    for identifier, attributes in jobs:
        out += f'{kind}: {identifier}\n'
        for name, resource, value in attributes:
            title = f'    {name}' + (f'.{resource}' if resource is not None else '') + ' = '
            if one_line:
                out += title + printable(value.replace('\n', '\\n').replace('\f', '\\f')) + '\n'
            else:
                out += title + _folded(value, len(title)) + '\n'
        out += '\n'
    return out


def _folded(value: str, start: int) -> str:
    """Fold a value at commas where possible, as PBS does; a comma that follows another one is lost."""
    out = ''
    parts = [part for part in value.split(',') if part]
    for number, part in enumerate(parts):
        if len(part) + start < LINE:
            out += printable(part)
            start += len(part)
        else:
            if number:
                out += '\n\t'
                start = 9
            for char in part:
                out += printable(char)
                start += 1
                if start > LINE:
                    out += '\n\t'
                    start = 8
        if number + 1 < len(parts):
            out += ','
    return out
