"""Which jobs another one waits for, by their native ids."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Dependencies(NamedTuple):
    """The native ids of the jobs that a job waits for; all of them are over before it begins.

    :param after_ok: those that must complete.
    :param after_any: those that may end in any way.
    :param after_not_ok: those that must fail or be cancelled.
    """

    after_ok: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()
    after_not_ok: tuple[str, ...] = ()

    def record(self) -> dict[str, list[str]]:
        """Return what JSON can hold of it: the ids by the names of the fields, without those that are empty."""
        return {kind: list(native_ids) for kind, native_ids in self._asdict().items() if native_ids}

    @classmethod
    def read(cls, record: object) -> Dependencies:
        """Read what `record` returned; what makes no sense is passed over."""
        given = record if isinstance(record, Mapping) else {}
        lists = {kind: given.get(kind) for kind in cls._fields}
        return cls(**{kind: tuple(each for each in ids if isinstance(each, str))
                      for kind, ids in lists.items() if isinstance(ids, list)})


NO_DEPENDENCIES = Dependencies()
