"""Numbers that a registry names, of which a peer may send others."""

from enum import IntEnum
from typing import Self


class OpenEnum(IntEnum):
    """An IntEnum that keeps unknown values: `Notify(4711)` works and prints as `Notify 4711`.

    An unknown value is made anew each time and not kept, so that a peer cannot fill memory
    with them; it compares equal by its number.
    """

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, int):
            return None
        member = int.__new__(cls, value)
        member._name_ = f"{cls.__name__} {value}"
        member._value_ = value
        return member

    def __str__(self) -> str:
        return str(self._name_)
