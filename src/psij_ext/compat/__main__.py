"""Runs a program that was written for PSI/J: `python -m psij_ext.compat program.py arguments`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import psij_ext.compat  # noqa: F401  # lets psij be ours

_USAGE = 'usage: python -m psij_ext.compat PROGRAM [ARGUMENTS]\n       python -m psij_ext.compat -m MODULE [ARGUMENTS]'


def main() -> None:
    """Run the program that is named on the command line as `python` itself would."""
    words = sys.argv[1:]
    if words[:1] == ['-m'] and len(words) > 1:
        sys.argv = words[1:]
        runpy.run_module(words[1], run_name='__main__', alter_sys=True)
    elif words and not words[0].startswith('-'):
        if not Path(words[0]).exists():
            sys.exit(f'psij_ext.compat: there is no program {words[0]}')
        sys.argv = words
        # `python -m` has put the current folder first; a program finds its own folder there.
        sys.path[0] = str(Path(words[0]).resolve().parent)
        # Absolute, as `python program.py` makes `__file__`: it holds when the program goes to another folder.
        runpy.run_path(str(Path(words[0]).absolute()), run_name='__main__')
    else:
        sys.exit(_USAGE)


if __name__ == '__main__':
    main()
