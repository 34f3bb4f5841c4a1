from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from psij_ext import URI, StageIn, StageOut, StageOutFlags, StagingMode


class TestURI:
    def test_parts(self) -> None:
        uri = URI('https://me:secret@Example.org:8443/a%20b?c=d#e')
        assert (uri.scheme, uri.hostname, uri.port) == ('https', 'example.org', 8443)
        assert (uri.username, uri.password, uri.netloc) == ('me', 'secret', 'me:secret@Example.org:8443')
        assert (uri.path, uri.query, uri.fragment) == ('/a%20b', 'c=d', 'e')
        assert str(uri) == 'https://me:secret@Example.org:8443/a%20b?c=d#e'

    @pytest.mark.parametrize('text', ['/a b', 'a', './a', 'a%20b', 'a#b?c', 'host:x', '//a/b', 'a\nb', 'ä'])
    def test_without_a_scheme_it_is_a_path_as_it_stands(self, text: str) -> None:
        uri = URI(text)
        assert (uri.scheme, uri.path, uri.query, uri.fragment, uri.hostname) == ('', text, '', '', None)
        assert uri.local_path == Path(text)

    @pytest.mark.parametrize(
        ('text', 'expected'),
        [
            ('file:///a%20b', Path('/a b')),
            ('file://localhost/a', Path('/a')),
            ('file:/a', Path('/a')),
            ('FILE:///a', Path('/a')),
            ('file:///%FF', Path('/\udcff')),
            ('file://elsewhere/a', None),
            ('scp://host/a', None),
        ],
    )
    def test_which_ones_are_local(self, text: str, expected: Path | None) -> None:
        assert URI(text).local_path == expected

    @given(st.text(st.characters(exclude_characters='\0', exclude_categories=['Cs']), min_size=1))
    def test_every_path_survives(self, text: str) -> None:
        assert URI.from_path(Path(text)).local_path == Path(text)

    @pytest.mark.parametrize('text', ['http:/x', 'file:/x', 'a:/b/c'])
    def test_a_path_that_looks_like_a_uri_survives(self, text: str) -> None:
        uri = URI.from_path(Path(text))
        assert uri.local_path == Path(text)
        assert URI(str(uri)) == uri

    @pytest.mark.parametrize(
        ('value', 'error'),
        [
            ('', ValueError),
            ('a\0b', ValueError),
            ('http://[::1', ValueError),
            ('http://a:port/', ValueError),
            ('file:///a\nb', ValueError),
            (Path('/a'), TypeError),
        ],
    )
    def test_what_is_refused(self, value: Any, error: type[Exception]) -> None:
        with pytest.raises(error, match=r'^URI\.urlstring: '):
            URI(value)

    def test_is_equal_by_its_text(self) -> None:
        assert URI('file:///a') == URI('file:///a')
        assert URI('file:///a') != URI('/a')
        assert URI('/a') != '/a'
        assert len({URI('/a'), URI('/a')}) == 1
        assert repr(URI('/a')) == "URI('/a')"


class TestStages:
    def test_strings_and_paths_become_what_they_mean(self) -> None:
        stage_in = StageIn('scp://host/a', 'b')
        assert (stage_in.source, stage_in.target, stage_in.mode) == (
            URI('scp://host/a'), Path('b'), StagingMode.COPY,
        )  # fmt: skip
        stage_out = StageOut('a', Path('/b'), StageOutFlags.ON_ERROR, StagingMode.MOVE)
        assert (stage_out.source, stage_out.target) == (Path('a'), URI('/b'))
        assert (stage_out.flags, stage_out.mode) == (StageOutFlags.ON_ERROR, StagingMode.MOVE)

    def test_are_equal_by_content_and_can_be_in_sets(self) -> None:
        assert len({StageIn('a', 'b'), StageIn(Path('a'), Path('b')), StageIn(URI('a'), 'b')}) == 1
        assert StageOut('a', 'b') != StageOut('a', 'b', StageOutFlags.ON_ERROR)

    def test_cannot_be_changed(self) -> None:
        with pytest.raises(FrozenInstanceError):
            StageIn('a', 'b').target = Path('c')  # type: ignore[misc]

    @pytest.mark.parametrize(
        ('kind', 'arguments', 'field', 'error'),
        [
            (StageIn, ('', 'b'), 'source', ValueError),
            (StageIn, (5, 'b'), 'source', TypeError),
            (StageIn, ('a\0', 'b'), 'source', ValueError),
            (StageIn, ('a', ''), 'target', ValueError),
            (StageIn, ('a', URI('b')), 'target', TypeError),
            (StageIn, ('a', 'b', 'COPY'), 'mode', TypeError),
            (StageOut, (URI('a'), 'b'), 'source', TypeError),
            (StageOut, ('a', None), 'target', TypeError),
            (StageOut, ('a', 'b', 7), 'flags', TypeError),
            (StageOut, ('a', 'b', StageOutFlags.ALWAYS, 1), 'mode', TypeError),
        ],
    )
    def test_wrong_values_are_refused(
        self, kind: Any, arguments: tuple[Any, ...], field: str, error: type[Exception]
    ) -> None:
        with pytest.raises(error, match=rf'^{kind.__name__}\.{field}: '):
            kind(*arguments)
