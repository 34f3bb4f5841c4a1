"""Starts the server of a simulation: ``python -I -S serve.py MODULE FOLDER SETTINGS``.

Run as a file, and without the site packages, so that nothing but this package and the standard library is imported.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

if __name__ == '__main__':
    package = Path(__file__).resolve().parent
    sys.path.append(str(package.parent))
    importlib.import_module(f'{package.name}.{sys.argv[1]}.server').main(sys.argv[2:])
