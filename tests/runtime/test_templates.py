from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pystache
import pytest
import pytest_mock
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hostile_specs import CARRIED, as_bytes
from psij_ext.core.job import Job
from psij_ext.core.spec import JobSpec
from psij_ext.exceptions import InvalidJobException
from psij_ext.launchers.single import SingleLauncher
from psij_ext.runtime.script import script_context
from psij_ext.runtime.templates import Verbatim, full_script, quote, quote_words, render

# -- quoting


@pytest.mark.parametrize('locale', ['C', 'C.UTF-8'])
@settings(max_examples=25)
@given(texts=st.lists(CARRIED, min_size=1, max_size=30))
@example(texts=['', ' ', "'", "\\'", '\n', '\r\n', '\\n', '$x', '\x1b0', '\x01f', "a'\nb", '\\', "\n\\'", '!x', '-n', '{a,b}'])
def test_bash_reads_back_what_was_quoted(locale: str, texts: list[str]) -> None:
    script = "printf '%s\\0' " + ' '.join(quote(text) for text in texts)
    done = subprocess.run(['/bin/bash'], input=as_bytes(script), stdout=subprocess.PIPE, env={'LC_ALL': locale}, check=True)
    assert done.stdout == b''.join(as_bytes(text) + b'\0' for text in texts)


@given(CARRIED)
def test_what_was_quoted_stands_on_one_line(text: str) -> None:
    assert not set('\n\r\v\f') & set(quote(text))


def test_the_empty_string_is_a_word() -> None:
    assert quote('') == "''"


@given(st.lists(CARRIED, max_size=5))
@example(['a', 'b', '', 'c'])
@example(['a', 'ü'])
@example(['a b', 'c'])
@example([''])
def test_many_words_are_quoted_as_each_is(words: list[str]) -> None:
    assert quote_words(words) == ' '.join(map(quote, words))


def test_what_needs_no_quotes_has_none() -> None:
    assert quote_words(['/bin/echo', 'a=b', '--x,y:z', '50%', '@+_.']) == '/bin/echo a=b --x,y:z 50% @+_.'


# -- templates


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return tmp_path / 'some.mustache'


def test_values_are_quoted_and_sections_repeat(template: Path) -> None:
    template.write_text('{{a}} {{#list}}<{{.}}>{{/list}} {{#off}}no{{/off}}{{^off}}yes{{/off}} {{number}}')
    shown = render(template, {'a': 'x y', 'list': ['', 'a b', '{{a}}', '<&>'], 'off': None, 'number': 7})
    assert shown == "'x y' <''><'a b'><'{{a}}'><'<&>'> yes 7"


def test_a_piece_of_a_script_stands_as_it_is_and_texts_that_look_like_it_are_quoted(template: Path) -> None:
    template.write_text('{{a}} {{b}} {{#a}}{{a}}{{/a}} {{c}} {{{a}}} {{job.id}}')
    context = {'a': Verbatim('"$x"'), 'b': '"$x"', 'c': Verbatim('$y'), 'job': SimpleNamespace(id='1 2')}
    assert render(template, context) == '"$x" \'"$x"\' "$x" $y "$x" \'1 2\''
    template.with_name('other').write_text('{{a}} {{b}}')
    assert render(template.with_name('other'), context) == '"$x" \'"$x"\''
    assert render(template.with_name('other'), {'a': '$x', 'b': Verbatim('$x')}) == "'$x' $x"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(contexts=st.lists(st.fixed_dictionaries({
    'text': CARRIED | st.integers() | st.none(), 'seen': CARRIED, 'raw': CARRIED, 'on': st.booleans() | CARRIED,
    'list': st.lists(CARRIED)}), min_size=2))
@example(contexts=[{'text': text, 'seen': 'a', 'raw': 'b', 'on': True, 'list': ['c']} for text in ('x', None, '', 'y z')])
def test_jobs_of_one_shape_get_what_each_would_get_alone(template: Path, contexts: list[dict[str, object]]) -> None:
    template.write_text(
        '{{text}}|{{#seen}}{{seen}}{{/seen}}|{{{raw}}}|{{#on}}{{text}}{{/on}}{{^on}}no{{/on}}|{{#list}}{{.}},{{/list}}')
    for context in contexts:
        text, raw = context['text'], context['raw']
        shown = quote(str(text))
        assert render(template, context) == '|'.join([
            shown, quote(str(context['seen'])) if context['seen'] else '', str(raw),
            shown if context['on'] else 'no', ''.join(f'{quote(item)},' for item in context['list'])])  # type: ignore[attr-defined]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lists=st.lists(st.lists(CARRIED), min_size=2))
def test_lists_that_are_not_quoted_piece_by_piece(template: Path, lists: list[list[str]]) -> None:
    template.write_text('{{#list}}{{{.}}},{{/list}}|{{text}}|{{#text}}{{{.}}}{{/text}}')
    whole = template.with_name('whole.mustache')
    whole.write_text('{{list}}')
    for items in lists:
        text = ' '.join(items)
        assert render(template, {'list': items, 'text': text}) == (
            ''.join(f'{item},' for item in items) + f'|{quote(text)}|{text}')
        assert render(whole, {'list': items}) == quote(str(items))


def test_a_template_is_filled_in_once_for_jobs_that_differ_in_texts(
        template: Path, mocker: pytest_mock.MockerFixture) -> None:
    asked = mocker.spy(pystache.Renderer, 'render')
    template.write_text('{{#name}}{{name}}{{/name}} {{#command}}{{.}} {{/command}}')
    shown = [render(template, {'name': f'n {n}', 'command': ['run', str(n)]}) for n in range(20)]
    assert shown == [f"'n {n}' run {n} " for n in range(20)]
    assert asked.call_count == 1


def test_objects_that_a_template_looks_into_may_change(template: Path) -> None:
    template.write_text('{{job.id}} {{#executor}}{{name}}{{/executor}}')
    job, executor = SimpleNamespace(id='1'), SimpleNamespace(name='a')
    assert render(template, {'job': job, 'executor': executor}) == '1 a'
    job.id, executor.name = '2', 'b'
    assert render(template, {'job': job, 'executor': executor}) == '2 b'


@pytest.mark.parametrize('text', ['{{absent}}', '{{#absent}}x{{/absent}}', '{{^absent}}x{{/absent}}', '{{/shut}}'])
def test_a_template_that_cannot_be_filled_in_is_an_error(template: Path, text: str) -> None:
    template.write_text(text)
    with pytest.raises(InvalidJobException, match=r'some\.mustache'):
        render(template, {'open': True})


def test_a_missing_template_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidJobException, match='missing'):
        render(tmp_path / 'missing', {})


def test_the_common_templates_use_nothing_that_the_context_lacks(tmp_path: Path) -> None:
    job = Job(JobSpec('/bin/date', directory=tmp_path))
    context = script_context(job, SingleLauncher(), folder=tmp_path, nonce='n')
    script = full_script('#!/bin/bash\n', {**context, 'carries_environment': False})
    assert script.startswith('#!/bin/bash\n')
    assert subprocess.run(['/bin/bash', '-n'], input=script, text=True, check=False).returncode == 0


@pytest.mark.parametrize('text', ['{{#a}}1', '#!/bin/bash\n{{^a}}1', '{{#a}}{{#b}}1{{/a}}', '1{{/a}}', '{{#a}}1{{/b}}{{/a}}'])
def test_a_section_that_is_not_closed_is_an_error(tmp_path: Path, text: str) -> None:
    template = tmp_path / 'broken.mustache'
    template.write_text(text)
    with pytest.raises(InvalidJobException, match=r'broken\.mustache cannot be filled in'):
        render(template, {'a': True, 'b': True})
