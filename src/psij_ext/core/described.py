"""How an executor or a launcher knows its own name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psij_ext.plugins import Registry

if TYPE_CHECKING:
    from packaging.version import Version

    from psij_ext.plugins import Descriptor


class Described:
    """Something that knows under which name and version it was registered."""

    _registry: Registry
    _descriptor: Descriptor | None = None

    @property
    def name(self) -> str:
        """The name under which it is registered; the name of the class if it is not."""
        descriptor = self._find_descriptor()
        return type(self).__name__ if descriptor is None else descriptor.name

    @property
    def version(self) -> Version:
        """The version under which it is registered; 0 if it is not."""
        from packaging.version import Version  # slow to import, and rarely asked for

        descriptor = self._find_descriptor()
        return Version('0') if descriptor is None else descriptor.version

    def _find_descriptor(self) -> Descriptor | None:
        if self._descriptor is None:
            # An unregistered subclass answers for the registered class that it refines.
            found = (self._registry.describe(cls) for cls in type(self).__mro__)
            self._descriptor = next((descriptor for descriptor in found if descriptor is not None), None)
        return self._descriptor
