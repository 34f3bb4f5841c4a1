"""How the scheduler is to treat a job."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping
from datetime import timedelta

from psij_ext.core import checks
from psij_ext.core.checks import Checked, Field, describe, instance_of, json_value, nonempty_text, optional

_AMOUNT = re.compile(r'\s*([0-9]+)\s*(days?|d|hours?|h|minutes?|min|m|seconds?|s)\s*', re.IGNORECASE)
_UNITS = {'d': 'days', 'h': 'hours', 'm': 'minutes', 's': 'seconds'}


def _custom_attributes(label: str, value: object) -> dict[str, object]:
    given = instance_of(dict)(label, value).items()
    return {nonempty_text(label, name): json_value(f'{label}[{name!r}]', item) for name, item in given}


class JobAttributes(Checked):
    """How the scheduler is to treat a job: for how long, in which queue, on whose account.

    :param duration: the longest time that the job may run; None leaves it to the scheduler.
    :param queue_name: the queue or partition.
    :param account: the account or project that pays.
    :param reservation_id: the reservation to run in.
    :param custom_attributes: what only one scheduler knows, under names such as `slurm.constraint`; values that JSON
        can hold, None for an option without a value.
    :param project_name: the old name of `account`.
    """

    __slots__ = ('_account', '_custom_attributes', '_duration', '_queue_name', '_reservation_id')

    duration: Field[timedelta | None, timedelta | None] = Field(
        optional(checks.duration), 'The longest time that the job may run; None leaves it to the scheduler.'
    )
    queue_name: Field[str | None, str | None] = Field(optional(nonempty_text), 'The queue or partition.')
    account: Field[str | None, str | None] = Field(optional(nonempty_text), 'The account that pays.')
    reservation_id: Field[str | None, str | None] = Field(
        optional(nonempty_text), 'The reservation to run in.'
    )
    custom_attributes: Field[Mapping[str, object] | None, dict[str, object] | None] = Field(
        optional(_custom_attributes), 'What only one scheduler knows, under names such as `slurm.constraint`.'
    )

    def __init__(
        self,
        duration: timedelta | None = None,
        queue_name: str | None = None,
        account: str | None = None,
        reservation_id: str | None = None,
        custom_attributes: Mapping[str, object] | None = None,
        project_name: str | None = None,
    ) -> None:
        self.duration = duration
        self.queue_name = queue_name
        self.account = account
        self.reservation_id = reservation_id
        self.custom_attributes = custom_attributes
        if project_name is not None:
            if account is not None and account != project_name:
                raise ValueError(
                    f'JobAttributes.project_name: is the old name of account, already given as {account!r}'
                )
            self.project_name = project_name

    @property
    def project_name(self) -> str | None:
        """The old name of `account`."""
        _warn_of_project_name()
        return self.account

    @project_name.setter
    def project_name(self, value: str | None) -> None:
        _warn_of_project_name()
        self.account = value

    def get_custom_attribute(self, name: str) -> object | None:
        """Return the value of a custom attribute, or None if it is not set."""
        return None if self.custom_attributes is None else self.custom_attributes.get(name)

    def set_custom_attribute(self, name: str, value: object) -> None:
        """Set a custom attribute.

        :raises TypeError: if JSON cannot hold the value.
        """
        self.custom_attributes = {**(self.custom_attributes or {}), name: value}

    @staticmethod
    def parse_walltime(walltime: str) -> timedelta:
        """Read a span of time as people write it for schedulers.

        :param walltime: `hh:mm:ss`, `hh:mm`, minutes alone, or amounts with units such as `90s`, `1h 30m`, `2 days`.
        :raises ValueError: if it is none of these, or no time at all.
        """
        text = nonempty_text('JobAttributes.parse_walltime', walltime).strip()
        try:
            span = _amounts(text) if (clock := _clock_time(text)) is None else clock
        except OverflowError as error:
            raise ValueError(f'JobAttributes.parse_walltime: {describe(walltime)} is too long') from error
        if span is None:
            raise ValueError(
                f'JobAttributes.parse_walltime: cannot read {describe(walltime)}; '
                'write hh:mm:ss, hh:mm, minutes, or amounts with the units d, h, m and s'
            )
        return checks.duration('JobAttributes.parse_walltime', span)


def _warn_of_project_name() -> None:
    warnings.warn('JobAttributes.project_name is now called account', DeprecationWarning, stacklevel=3)


def _clock_time(text: str) -> timedelta | None:
    parts = text.split(':')
    if len(parts) > 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    if len(parts) == 1:
        return timedelta(minutes=int(text))
    hours, minutes, seconds = [int(part) for part in [*parts, '0'][:3]]
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def _amounts(text: str) -> timedelta | None:
    total, end = timedelta(0), 0
    while end < len(text):
        amount = _AMOUNT.match(text, end)
        if amount is None:
            return None
        total += timedelta(**{_UNITS[amount[2][0].lower()]: int(amount[1])})
        end = amount.end()
    return total
