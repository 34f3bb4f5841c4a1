"""What the oldest Python that is promised lacks, and neither vermin nor mypy tells of."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / 'src'


def slices_of_parents(source: str) -> list[str]:
    """Return where a slice or a negative index is taken of `Path.parents`, which Python 3.10 brought."""
    return [ast.unparse(node) for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute)
            and node.value.attr == 'parents' and isinstance(node.slice, (ast.Slice, ast.UnaryOp))]


def test_parents_of_a_path_are_taken_one_by_one() -> None:
    found = {str(path): slices for path in SOURCES.rglob('*.py') if (slices := slices_of_parents(path.read_text()))}
    assert found == {}


@pytest.mark.parametrize(('source', 'found'), [
    ('x.parents[1::-1]', 1), ('x.parents[-1]', 1), ('x.parents[1]', 0), ('x.children[1:]', 0)])
def test_what_python_3_9_lacks_is_seen(source: str, found: int) -> None:
    assert len(slices_of_parents(source)) == found
