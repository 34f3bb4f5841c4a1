"""Lets programs and plugins that were written for PSI/J run unchanged: `import psij` gives psij_ext.

To import this module is all. `python -m psij_ext.compat program.py arguments` runs a program so, and `pytest -p
psij_ext.compat` tests. It has to come before psij-python is imported in the same process, if that is installed at all.

Which name stands for what is told by `psij_ext.plugins.psij_names.TABLE`.
"""

from psij_ext.plugins.psij_modules import claim

claim(asked_for=True)
