"""Checks that a field of a job passes when it is set, and the fields that call them.

A check takes the field's label (`Class.field`) and the value, and returns the value to keep. A wrong type
raises `TypeError`, a wrong value `ValueError`; both messages begin with the label.
"""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Iterable, Mapping
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, ClassVar, Dict, Generic, Tuple, TypeVar, overload

Given = TypeVar('Given', contravariant=True)
Held = TypeVar('Held')
Kind = TypeVar('Kind')
Self = TypeVar('Self', bound='Checked')

Check = Callable[[str, object], Held]
# Values with their copies, by the `id` of the former.
Known = Dict[int, Tuple['Checked', 'Checked']]

# What was checked when it was set and cannot have changed since.
_UNCHANGEABLE = frozenset((type(None), bool, int, float, str, timedelta, type(Path())))


class Field(Generic[Given, Held]):
    """A field that refuses a wrong value when it is set.

    The value lies in the instance under the field's name with an underscore before it, so that a class may
    list it in `__slots__`.

    :param check: called with `Class.field` and the given value; returns the value to keep.
    :param doc: what the field means.
    :param default: the value that `repr` leaves out.
    :param fallback: the name of a field to read instead while this one holds None.
    """

    def __init__(
        self, check: Check[Held], doc: str, default: object = None, fallback: str | None = None
    ) -> None:
        self._check = check
        self.__doc__ = doc
        self.default = default
        self._fallback = fallback

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name
        self.slot = f'_{name}'
        self._label = f'{owner.__name__}.{name}'
        if issubclass(owner, Checked):
            owner.fields = {**owner.fields, name: self}
            slots = [field.slot for field in owner.fields.values()]
            owner._read_slots = attrgetter(*slots, self.slot)  # of a single name it would give no tuple
        # Fields are read at every turn, and a getter that is no Python code costs a tenth.
        getter = attrgetter(self.slot) if self._fallback is None else self._get_or_fall_back
        setattr(owner, name, property(getter, self._set, doc=self.__doc__))

    def _get_or_fall_back(self, instance: object) -> object:
        held = getattr(instance, self.slot)
        return getattr(instance, str(self._fallback)) if held is None else held

    def _set(self, instance: object, value: object) -> None:
        setattr(instance, self.slot, self._check(self._label, value))

    if TYPE_CHECKING:  # what the property does

        @overload
        def __get__(self, instance: None, owner: type) -> property: ...

        @overload
        def __get__(self, instance: object, owner: type) -> Held: ...

        def __get__(self, instance: object | None, owner: type) -> property | Held: ...

        def __set__(self, instance: object, value: Given) -> None: ...


class Checked:
    """A value made of checked fields: equal by content, readable when printed."""

    __slots__ = ()
    fields: ClassVar[dict[str, Field[Any, Any]]] = {}
    _read_slots: ClassVar[attrgetter[Any]] = attrgetter('__class__', '__class__')  # while there are no fields
    _other_slots: ClassVar[tuple[str, ...]] = ()  # those of subclasses that hold no field

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = vars(cls).get('__slots__', ())
        no_others = {'__dict__', '__weakref__', *(field.slot for field in cls.fields.values())}
        cls._other_slots += tuple(slot for slot in ([own] if isinstance(own, str) else own) if slot not in no_others)

    def __copy__(self: Self) -> Self:
        """Return a copy as any class has it, in a fifth of the time: each job that is submitted takes two."""
        taken = type(self).__new__(type(self))
        for field, value in zip(self.fields.values(), self._read_slots(self)):
            setattr(taken, field.slot, value)
        for slot in self._other_slots:
            if hasattr(self, slot):
                setattr(taken, slot, getattr(self, slot))
        if hasattr(self, '__dict__'):
            taken.__dict__.update(self.__dict__)
        return taken

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.held() == other.held()

    __hash__ = None  # type: ignore[assignment]  # the fields can change

    def __repr__(self) -> str:
        shown = ', '.join(
            f'{name}={self._shown(name, value)}' for name, value in self.held().items()
            if value != self.fields[name].default)
        return f'{type(self).__name__}({shown})'

    def _shown(self, name: str, value: object) -> str:
        """How the value of a field looks in `repr`."""
        return repr(value)

    def snapshot(self: Self, known: Known | None = None) -> Self:
        """Return an independent copy, every field of which that can have changed was checked again.

        Lists and dictionaries can change after they were set; this is how an executor takes a job's
        description.

        :param known: what was copied of values within others, for others that share them; it is added to.
        :raises TypeError: if a field now holds a wrong type.
        :raises ValueError: if a field now holds a wrong value.
        """
        taken = copy.copy(self)
        for name, value in self.held().items():
            if type(value) not in _UNCHANGEABLE:
                setattr(taken, name, _copied(value, known) if isinstance(value, Checked) else value)
        return taken

    def held(self) -> dict[str, Any]:
        """Return the values that the fields hold by their names, whatever reading a field gives instead."""
        return dict(zip(self.fields, self._read_slots(self)))


def _copied(value: Checked, known: Known | None) -> Checked:
    if known is None:
        return value.snapshot()
    if id(value) not in known:
        known[id(value)] = value, value.snapshot()  # with the original, so that nothing else gets its id
    return known[id(value)][1]


def describe(value: object) -> str:
    """Return how a refused value appears in a message."""
    shown = repr(value)
    if len(shown) > 80:
        shown = shown[:77] + '...'
    return f'{shown} ({type(value).__name__})'


def optional(check: Check[Held]) -> Check[Held | None]:
    """Return a check that takes None as well."""

    def check_optional(label: str, value: object) -> Held | None:
        return None if value is None else check(label, value)

    return check_optional


def instance_of(kind: type[Kind]) -> Check[Kind]:
    """Return a check that takes an instance of the class, and keeps it as it is."""

    def check_instance(label: str, value: object) -> Kind:
        if not isinstance(value, kind):
            raise TypeError(f'{label}: expected {kind.__name__}, got {describe(value)}')
        return value

    return check_instance


def message(label: str, value: object) -> str:
    """Check a text that is only ever shown: any string will do."""
    if not isinstance(value, str):
        raise TypeError(f'{label}: expected a string, got {describe(value)}')
    return value


def text(label: str, value: object) -> str:
    """Check a string that a script or a command line can carry; it may be empty."""
    checked = message(label, value)
    if '\0' in checked:
        raise ValueError(f'{label}: must not contain a NUL character, got {describe(checked)}')
    if not checked.isascii():
        try:
            # Bytes of a file name that are no UTF-8 appear in Python as lone surrogates and can be written
            # back.
            checked.encode('utf-8', 'surrogateescape')
        except UnicodeEncodeError as error:
            raise ValueError(f'{label}: cannot be written as bytes: {describe(checked)}') from error
    return checked


def nonempty_text(label: str, value: object) -> str:
    """Check a string of at least one character."""
    checked = text(label, value)
    if not checked:
        raise ValueError(f'{label}: must not be empty')
    return checked


def path(label: str, value: object) -> Path:
    """Check a path, given as a string or a path; it is not looked up."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f'{label}: expected a string or a path, got {describe(value)}')
    written = nonempty_text(label, os.fspath(value))
    return value if isinstance(value, Path) else Path(written)


def flag(label: str, value: object) -> bool:
    """Check True or False; numbers are refused."""
    if not isinstance(value, bool):
        raise TypeError(f'{label}: expected True or False, got {describe(value)}')
    return value


def integer(label: str, value: object) -> int:
    """Check a whole number; True and False are refused."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f'{label}: expected a whole number, got {describe(value)}')
    return value


def natural(label: str, value: object) -> int:
    """Check a whole number that is not negative."""
    checked = integer(label, value)
    if checked < 0:
        raise ValueError(f'{label}: must not be negative, got {checked}')
    return checked


def positive(label: str, value: object) -> int:
    """Check a whole number of at least one."""
    checked = integer(label, value)
    if checked < 1:
        raise ValueError(f'{label}: must be at least 1, got {checked}')
    return checked


def number(label: str, value: object) -> float:
    """Check a finite number; True and False are refused."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f'{label}: expected a number, got {describe(value)}')
    if not math.isfinite(value):
        raise ValueError(f'{label}: must be finite, got {value}')
    return float(value)


def positive_number(label: str, value: object) -> float:
    """Check a finite number above zero."""
    checked = number(label, value)
    if checked <= 0:
        raise ValueError(f'{label}: must be above zero, got {checked:g}')
    return checked


def seconds(label: str, value: object) -> float:
    """Check a span of time that is not negative, given in seconds or as a timedelta; kept in seconds."""
    checked = value.total_seconds() if isinstance(value, timedelta) else number(label, value)
    if checked < 0:
        raise ValueError(f'{label}: must not be negative, got {describe(value)}')
    return checked


def duration(label: str, value: object) -> timedelta:
    """Check a timedelta longer than nothing."""
    if not isinstance(value, timedelta):
        raise TypeError(f'{label}: expected a timedelta, got {describe(value)}')
    if value <= timedelta(0):
        raise ValueError(f'{label}: must be longer than nothing, got {value}')
    return value


def list_of_instances(kind: type[Kind]) -> Check[list[Kind]]:
    """Return a check that takes instances of the class, one after the other from wherever, and keeps them in a list."""

    def check_instances(label: str, value: object) -> list[Kind]:
        if isinstance(value, kind) or not isinstance(value, Iterable):
            raise TypeError(f'{label}: expected a list of {kind.__name__}, got {describe(value)}')
        return [instance_of(kind)(label, item) for item in value]

    return check_instances


def list_of(check: Check[Held]) -> Check[list[Held]]:
    """Return a check that takes a list or tuple of such items, and keeps a list of its own."""

    def check_list(label: str, value: object) -> list[Held]:
        if not isinstance(value, (list, tuple)):
            raise TypeError(f'{label}: expected a list, got {describe(value)}')
        return [check(label, item) for item in value]

    return check_list


def set_of(check: Check[Held]) -> Check[set[Held]]:
    """Return a check that takes a set, list or tuple of such items, and keeps a set of its own."""

    def check_set(label: str, value: object) -> set[Held]:
        if not isinstance(value, (set, frozenset, list, tuple)):
            raise TypeError(f'{label}: expected a set, got {describe(value)}')
        return {check(label, item) for item in value}

    return check_set


def environment(label: str, value: object) -> dict[str, str]:
    """Check environment variables; whole numbers become strings."""
    if not isinstance(value, Mapping):
        raise TypeError(f'{label}: expected a dictionary, got {describe(value)}')
    checked = {}
    for name, content in value.items():
        if '=' in nonempty_text(label, name):
            raise ValueError(f'{label}: a name must not contain "=", got {describe(name)}')
        if isinstance(content, int) and not isinstance(content, bool):
            content = str(content)
        checked[name] = text(f'{label}[{name!r}]', content)
    return checked


def json_value(label: str, value: object) -> object:
    """Check a value that JSON can hold, and return a copy; tuples become lists."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str):
        return text(label, value)
    if isinstance(value, float):
        return number(label, value)
    if isinstance(value, (list, tuple)):
        return [json_value(label, item) for item in value]
    if isinstance(value, dict):
        return {text(label, name): json_value(label, item) for name, item in value.items()}
    raise TypeError(f'{label}: expected a value that JSON can hold, got {describe(value)}')
