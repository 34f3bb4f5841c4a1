"""Templates that are filled in: the text of a job's script. Shell quoting is done here alone."""

from __future__ import annotations

import functools
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice, repeat
from pathlib import Path
from typing import Any, Callable

import pystache
from pystache.common import PystacheError
from pystache.parser import ParsingError

from psij_ext.exceptions import InvalidJobException
from psij_ext.installation import data_folder

# The tags of a mustache template: what kind of tag it is, empty for a plain one, and the name in it.
_TAG = re.compile(r'{{([{#^/&]?)\s*([^}\s]+)')
_MISSING = object()
_A_TEXT = object()
_UNQUOTED = ('{', '&')
# A bare object, such as the two above, has nothing in it that could change.
_TOLD_BY_REPR = frozenset((type(None), bool, int, float, str, list, tuple, dict, object))
# No value that anybody gives can hold it, and it needs no quotes in a shell.
_MARK = f'@{secrets.token_hex(16)}@'
_VERBATIM_MARK = f'@{secrets.token_hex(16)}'
_COMMON_TEMPLATES = ('prologue', 'epilogue', 'launch')
_PLAIN_WORD = re.compile(r'[\w@%+=:,./-]+', re.ASCII)
# The same, and what stands between words, which no word can hold.
_PLAIN_BYTES = bytes(byte for byte in range(128) if _PLAIN_WORD.fullmatch(chr(byte))) + b'\0'
_CONTROL_CHARACTERS = re.compile('[\x00-\x1f\x7f]')
_ANSI_C_ESCAPES = {'\\': '\\\\', "'": "\\'", '\n': '\\n', '\r': '\\r', '\t': '\\t'}


class TemplateError(InvalidJobException):
    """A template is wrong, or asks for what a job does not have."""


@dataclass(frozen=True)
class Verbatim:
    """A piece of a script, such as `"$psij_index"`, that is written as it stands; no value of a job's is in it."""

    text: str

    def __str__(self) -> str:
        return self.text


def quote(text: str) -> str:
    """Write a string as one word of a bash script that stands on one line, whatever the string holds.

    A value with control characters becomes `$'...'`: a newline in a value could otherwise make a line that a
    scheduler takes for a directive, and schedulers refuse scripts in which carriage returns stand before
    newlines.
    """
    if _PLAIN_WORD.fullmatch(text) is not None:
        return text
    if _CONTROL_CHARACTERS.search(text) is None:
        return "'" + text.replace("'", "'\"'\"'") + "'"
    escaped = re.sub(r"[\\'\x00-\x1f\x7f]",
                     lambda match: _ANSI_C_ESCAPES.get(match[0], f'\\x{ord(match[0]):02x}'), text)
    return f"$'{escaped}'"


def quote_words(words: Sequence[str]) -> str:
    """Write strings as words of a bash script with blanks between them; most of them need no quotes."""
    joined = '\0'.join(words)
    if '' in words or joined.encode('ascii', 'replace').translate(None, _PLAIN_BYTES):
        return ' '.join(map(quote, words))
    return joined.replace('\0', ' ')


_RENDERER = pystache.Renderer(escape=quote, missing_tags='strict', string_encoding='utf-8')


def render(template: Path, context: Mapping[str, object]) -> str:
    """Fill in a template. `{{value}}` is quoted for the shell; a key that the context lacks is an error.

    :raises TemplateError: if the template uses a key that is not in the context, or has a syntax error.
    """
    return _render(context, template)


def full_script(directives: str, context: Mapping[str, object]) -> str:
    """Put the parts of a submit script together: a scheduler's own, then what every job's script does."""
    return directives + _render(context, *_common_templates())


def _render(context: Mapping[str, object], *templates: Path) -> str:
    pieces = {key: value for key, value in context.items() if type(value) is Verbatim}
    marked = {key: f'{_VERBATIM_MARK}{number}@' for number, key in enumerate(pieces)}
    try:
        filled = _template(*templates).render({**context, **marked} if pieces else context)
    except (PystacheError, ParsingError, OSError) as error:
        names = ', '.join(map(str, templates))
        raise TemplateError(f'The template {names} cannot be filled in: {error}', error) from error
    for key, mark in marked.items():
        filled = filled.replace(mark, pieces[key].text)
    return filled


class _Template:
    """Templates, one after the other, that are read once, and filled in once for all jobs of one *shape*.

    Thousands of jobs often differ only in texts, such as ids, paths and arguments, which stand in the script as they
    are. Jobs that differ in nothing else have one shape; for each shape the mustache library is asked once, with marks
    in place of the texts.
    """

    _MOST_SHAPES = 256

    def __init__(self, paths: Sequence[Path]) -> None:
        source = ''.join(path.read_text(encoding='utf-8') for path in paths)
        self._parsed = parse(source)
        tags = _TAG.findall(source)
        self._keys = sorted({key for _, key in tags} - {'.'})
        self._looks_into_objects = any('.' in key for key in self._keys)
        # Where a mark may stand for a text: where it is quoted, and for those of a list, where it is gone through.
        unquoted = {key for kind, key in tags if kind in _UNQUOTED}
        printed = {key for kind, key in tags if not kind}
        self._texts = [] if '.' in unquoted else [
            place for place, key in enumerate(self._keys) if key not in unquoted]
        self._lists = [place for place in self._texts if self._keys[place] not in printed]
        # By the types of all values, where there are texts and lists among them; None where types do not tell that.
        self._places: dict[tuple[type, ...], tuple[list[int], list[int]] | None] = {}
        # By shape, the pieces of the script, and the numbers of the texts that every second piece is replaced by.
        self._scripts: dict[str, tuple[list[str], list[int]]] = {}

    def render(self, context: Mapping[str, object]) -> str:
        shape: list[Any] = [*map(context.get, self._keys, repeat(_MISSING))]
        types = tuple(map(type, shape))
        if types not in self._places:
            self._places[types] = self._sort(types)
        places = self._places[types]
        if places is None:
            return str(_RENDERER.render(self._parsed, context))  # what it gives may change unseen
        texts: list[str] = []
        for place in places[0]:
            value = shape[place]
            if value:  # whether it is empty decides what becomes of a section
                texts.append(value)
                shape[place] = _A_TEXT
        for place in places[1]:
            value = shape[place]
            if {*map(type, value)} == {str}:
                texts += value
                shape[place] = (_A_TEXT, len(value))
        told = repr(shape)
        if told not in self._scripts:
            if len(self._scripts) >= self._MOST_SHAPES:
                self._scripts.clear()
            self._scripts[told] = self._with_marks(context, shape)
        pieces, numbers = self._scripts[told]
        filled = pieces.copy()
        filled[1::2] = [quote(texts[number]) for number in numbers]
        return ''.join(filled)

    def _sort(self, types: tuple[type, ...]) -> tuple[list[int], list[int]] | None:
        if self._looks_into_objects or not _TOLD_BY_REPR.issuperset(types):
            return None
        return ([place for place in self._texts if types[place] is str],
                [place for place in self._lists if types[place] is list])

    def _with_marks(self, context: Mapping[str, object], shape: Sequence[object]) -> tuple[list[str], list[int]]:
        marks = map('{0}{1}{0}'.format, repeat(_MARK), count())
        marked = {**context}
        for place in self._texts:
            if shape[place] is _A_TEXT:
                marked[self._keys[place]] = next(marks)
        for place in self._lists:
            told = shape[place]
            if isinstance(told, tuple) and told[:1] == (_A_TEXT,):
                marked[self._keys[place]] = [*islice(marks, told[1])]
        pieces = str(_RENDERER.render(self._parsed, marked)).split(_MARK)
        return pieces, [int(number) for number in pieces[1::2]]


def parse(source: str) -> Any:
    """Parse a template. Of one with a section that is not closed, pystache drops all that stands before.

    :raises ParsingError: if it has a syntax error.
    """
    still_open: list[str] = []
    for kind, key in _TAG.findall(source):
        if kind and kind in '#^':
            still_open.append(key)
        elif kind == '/' and still_open[-1:] == [key]:
            still_open.pop()
    parsed = pystache.parse(source)  # which says what is closed and not open
    if still_open:
        raise ParsingError(f'the section {still_open[-1]} is not closed')
    return parsed


def render_foreign(source: str, path: Path, context: Mapping[str, object], escape: Callable[[object], str]) -> str:
    """Fill in a template that is all of a script, and was written for others; what is missing is empty.

    :param source: the template.
    :param path: where it was read, for messages.
    :param escape: writes a value as a word of the script.
    :raises TemplateError: if it has a syntax error, or cannot be filled in.
    """
    renderer = pystache.Renderer(escape=escape, missing_tags='ignore', string_encoding='utf-8')

    def called_with_text(function: Callable[[str], object]) -> Callable[[str], str]:
        return lambda text: str(function(renderer.render(text, context).strip()))

    functions = context.get('psij')
    if isinstance(functions, dict):
        library = {name: called_with_text(function) for name, function in functions.get('lib', {}).items()}
        context = {**context, 'psij': {**functions, 'lib': library}}
    try:
        return str(renderer.render(parse(source), context))
    except Exception as error:  # of the template, or of a function that it calls
        raise TemplateError(
            f'The template {path} cannot be filled in: {type(error).__name__}: {error}', error) from error


@functools.cache
def _template(*paths: Path) -> _Template:
    return _Template(paths)


@functools.cache
def _common_templates() -> tuple[Path, ...]:
    common = data_folder('templates') / 'common'
    return tuple(common / f'{name}.mustache' for name in _COMMON_TEMPLATES)
