"""Which custom attributes of a job are meant for which executor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psij_ext.core.job import Job
from psij_ext.exceptions import InvalidJobException


def meant_for(job: Job, prefixes: Sequence[str], example: str) -> Iterator[tuple[str, str, object]]:
    """Go through the custom attributes that are meant for an executor.

    Those with another executor's prefix are passed over, so that one description serves several.

    :param prefixes: the prefixes that stand for the executor.
    :param example: what to write before a name that has no prefix.
    :return: for each the whole name, the name behind the prefix, and the value.
    :raises InvalidJobException: if one does not say for which executor it is meant.
    """
    given = job.spec.attributes.custom_attributes if job.spec is not None else None
    for name, value in (given or {}).items():
        prefix, dot, key = name.partition('.')
        if not dot:
            raise InvalidJobException(
                f'JobAttributes.custom_attributes: {name!r} does not say for which scheduler it is '
                f'meant; write {example}.{name}.')
        if prefix in prefixes:
            yield name, key, value
