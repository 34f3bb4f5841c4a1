"""Finds the executors and launchers that are installed, without importing them.

A plugin names its classes, each in a `Descriptor`, and is found in either of two ways:

- by a module in a folder ``psij-descriptors`` of any entry of ``sys.path``, with a list ``__PSIJ_EXT_EXECUTORS__`` or
  ``__PSIJ_EXT_LAUNCHERS__``. Lists with PSI/J's names, ``__PSI_J_EXECUTORS__`` and ``__PSI_J_LAUNCHERS__``, will do as
  well; an installed psij-python reads those, too, and warns of descriptors that are not its own;
- by an entry point of the group ``psij_ext.executors`` or ``psij_ext.launchers``, which names a `Descriptor`.

Nothing is looked for before somebody asks, and a class is imported when its plugin is asked for.
"""

from psij_ext.plugins.descriptor import Descriptor
from psij_ext.plugins.registry import Registry, executors, launchers

__all__ = ['Descriptor', 'Registry', 'executors', 'launchers']
