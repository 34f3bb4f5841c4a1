"""How Sphinx makes the pages of this folder; ``scripts/docs`` calls it."""

from __future__ import annotations

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

import psij_ext

project = 'psij-ext'
author = 'the authors of psij-ext'
release = version = psij_ext.__version__

extensions = ['sphinx.ext.autodoc']
exclude_patterns = ['_build']
# In docstrings single backticks are code; where they hold the name of something that is described, they lead to it.
default_role = 'py:obj'
highlight_language = 'none'

html_theme = 'furo'
html_title = f'psij-ext {release}'
html_show_sphinx = False
html_copy_source = False
# Each line of a table says a whole fact, and a wide screen has room for it.
html_theme_options = {'light_css_variables': {'font-stack--monospace': 'monospace'}}

autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_display_short_literal_types = True
toc_object_entries_show_parents = 'hide'

nitpicky = True
nitpick_ignore_regex = [
    # The standard library and our dependencies: to link to their pages would take a network.
    (r'py:.*', r'(?!psij_ext\b).*'),
    # What is not for users: the values' and executors' common bases, and the type variables of their annotations.
    (r'py:.*', r'psij_ext\.(core\.(checks|control|described)|executors\.\w+|runtime)\..*'),
]


def lead_to_the_face(
    app: Sphinx, environment: BuildEnvironment, node: pending_xref, content: nodes.TextElement,
) -> nodes.reference | None:
    """Lead from where a class is written to where it is described: `psij_ext.core.job.Job` is `psij_ext.Job`."""
    target = str(node.get('reftarget', ''))
    name = target.rpartition('.')[2]
    if node.get('refdomain') != 'py' or not target.startswith('psij_ext.') or name not in psij_ext.__all__:
        return None
    return environment.get_domain('py').resolve_xref(
        environment, str(node['refdoc']), app.builder, 'obj', f'psij_ext.{name}', node, content)


def setup(app: Sphinx) -> None:
    """Have Sphinx ask for what it does not find."""
    app.connect('missing-reference', lead_to_the_face)
