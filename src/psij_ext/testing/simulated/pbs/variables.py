"""The variable list of a job: how ``qsub -v`` and ``-V`` quote, how the server unquotes, what the job gets."""

from __future__ import annotations

from .refusal import Refusal

SPECIAL = '"\',\\'
"""Characters that carry a backslash in a variable list."""

PASSED_ON = ('HOME', 'LANG', 'LOGNAME', 'PATH', 'MAIL', 'SHELL', 'TZ')
"""Variables of the submitter that a job finds with ``PBS_O_`` before their names."""


def _tokens(text: str) -> list[str]:
    """Split ``-v`` at commas that are neither quoted nor escaped."""
    tokens, start, quote, position = [], 0, '', 0
    while position < len(text):
        char = text[position]
        if char in '\'"':
            quote = '' if quote == char else char
        elif char == '\\':
            position += 1
        elif char == ',' and not quote:
            tokens.append(text[start:position])
            start = position + 1
        position += 1
    if start < len(text):
        tokens.append(text[start:])
    return tokens


def _copy(value: str, literal: bool) -> tuple[str, str]:
    """Quote one value for a variable list; returns it and what follows the comma that ends it.

    Plain quotes group and vanish, except in a literal value (one from the environment). A backslash is doubled, unless
    it protects a comma. An open quote is refused.
    """
    out, quote, position = '', '', 0
    while position < len(value):
        char = value[position]
        position += 1
        if char in '\'"':
            if quote == char:
                quote = ''
            elif quote or literal:
                out += '\\' + char
            else:
                quote = char
        elif char == '\\':
            out += char if value[position : position + 1] == ',' else char * 2
        elif char == ',' and (quote or literal):
            out += '\\,'
        elif char == ',' and not out.endswith('\\'):
            break
        else:
            out += char
    if quote:
        raise Refusal(1, 'cannot send environment with the job')
    return out, value[position:]


def _requested(option: str, environment: dict[str, str]) -> list[str]:
    """Return what ``-v`` asks for; values go twice through the same quoting, which doubles backslashes twice."""
    expanded = []
    for token in _tokens(option):
        name, equals, value = token.partition('=')
        if not equals and name.startswith('PBS_O_'):
            continue
        if not equals and name not in environment:
            raise Refusal(1, 'cannot send environment with the job')
        expanded.append(f'{name}={_copy(value if equals else environment[name], not equals)[0]}')
    rest, pairs = ','.join(expanded), []
    while rest:
        name, equals, rest = rest.partition('=')
        if not name:
            raise Refusal(1, 'cannot send environment with the job')
        value, rest = _copy(rest, False)
        if not name.startswith('PBS_O_'):
            pairs.append(f'{name}={value}')
    return pairs


def _split(text: str) -> list[str]:
    """Split and unquote a variable list, as the server does; spaces around an item are lost."""
    items, out, position = [], '', 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == ',':
            items.append(out.strip())
            out = ''
            continue
        if char == '\\' and text[position : position + 1] in tuple(SPECIAL):
            char = text[position]
            position += 1
        out += char
    return [*items, out.strip()]


def quoted(variables: list[str]) -> str:
    """Write a variable list as the server shows it."""
    return ','.join(''.join('\\' + c if c in SPECIAL else c for c in item) for item in variables)


def collect(environment: dict[str, str], folder: str, option: str | None, everything: bool) -> list[str]:
    """Return the variables that travel with a job, as ``NAME=value``, without those that the server adds.

    :param environment, folder: of the submitting command
    :param option: the value of ``-v``
    :param everything: whether ``-V`` was given and works
    """
    own = {'HOME': '/', **environment}
    values = [(f'PBS_O_{name}', own[name]) for name in PASSED_ON if name in own]
    values += [('PBS_O_WORKDIR', folder), ('PBS_O_SYSTEM', 'Linux')]
    basic = [f'{name}={value}'.replace(',', '\\,') for name, value in values]
    asked = _requested(option, environment) if option is not None else []
    if everything:
        items = ((name, value) for name, value in environment.items() if not name.startswith('PBS_O_'))
        asked += [f'{name}={_copy(value, True)[0]}' for name, value in items]
    return _split(','.join(basic + asked))
