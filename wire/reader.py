"""Bounds-checked reading of octets in network byte order."""

from typing import Self

from wire.errors import DecodeError
from wire.types import Octets


class Reader:
    """Reads `data` from its first octet on; every shortage is a DecodeError.

    Codecs never do arithmetic on lengths: they take what they need, or a sub-reader for what
    a length field covers, and finally say that nothing may be left.
    """

    __slots__ = ("_data", "_end", "_position")

    def __init__(self, data: Octets) -> None:
        self._data = memoryview(data)
        self._position = 0
        self._end = len(self._data)

    @property
    def remaining(self) -> int:
        """Octets not read yet."""
        return self._end - self._position

    @property
    def position(self) -> int:
        """Octets read so far."""
        return self._position

    def take(self, length: int) -> bytes:
        """Return the next `length` octets. Raises DecodeError if there are fewer."""
        start = self._advance(length)
        return bytes(self._data[start : start + length])

    def peek(self, length: int) -> bytes:
        """Return the next `length` octets and leave them unread. Raises DecodeError if fewer."""
        start = self._advance(length)
        self._position = start
        return bytes(self._data[start : start + length])

    def skip(self, length: int) -> None:
        """Pass over `length` octets. Raises DecodeError if there are fewer."""
        self._advance(length)

    def sub(self, length: int) -> Self:
        """Return a reader for the next `length` octets alone, and pass over them here."""
        start = self._advance(length)
        return type(self)(self._data[start : start + length])

    def rest(self) -> bytes:
        """Return all that is left."""
        return self.take(self.remaining)

    def u8(self) -> int:
        """Return the next octet."""
        return self._data[self._advance(1)]

    def u16(self) -> int:
        """Return the next 2 octets as a number."""
        return self._number(2)

    def u32(self) -> int:
        """Return the next 4 octets as a number."""
        return self._number(4)

    def u64(self) -> int:
        """Return the next 8 octets as a number."""
        return self._number(8)

    def expect_end(self, what: str) -> None:
        """Raise DecodeError if octets are left over after `what`."""
        if self.remaining:
            raise DecodeError(f"{self.remaining} octets left over after {what}")

    def _number(self, length: int) -> int:
        start = self._advance(length)
        return int.from_bytes(self._data[start : start + length], "big")

    def _advance(self, length: int) -> int:
        if length < 0 or length > self.remaining:
            raise DecodeError(f"{length} octets wanted, {self.remaining} left")
        start = self._position
        self._position = start + length
        return start
