"""Writing of octets in network byte order."""

from typing import Self

from wire.errors import LocalError
from wire.types import Octets


class Writer:
    """Collects octets; every method returns the writer, so that fields read as a sentence."""

    __slots__ = ("_data",)

    def __init__(self) -> None:
        self._data = bytearray()

    def __len__(self) -> int:
        return len(self._data)

    def u8(self, number: int) -> Self:
        """Append one octet. Raises LocalError if the number does not fit."""
        return self._number(number, 1)

    def u16(self, number: int) -> Self:
        """Append 2 octets. Raises LocalError if the number does not fit."""
        return self._number(number, 2)

    def u32(self, number: int) -> Self:
        """Append 4 octets. Raises LocalError if the number does not fit."""
        return self._number(number, 4)

    def u64(self, number: int) -> Self:
        """Append 8 octets. Raises LocalError if the number does not fit."""
        return self._number(number, 8)

    def put(self, octets: Octets) -> Self:
        """Append octets as they are."""
        self._data += octets
        return self

    def patch_u16(self, position: int, number: int) -> Self:
        """Overwrite 2 octets at `position`: a length field, once the length is known."""
        self._data[position : position + 2] = self._octets(number, 2)
        return self

    def patch_u32(self, position: int, number: int) -> Self:
        """Overwrite 4 octets at `position`."""
        self._data[position : position + 4] = self._octets(number, 4)
        return self

    def build(self) -> bytes:
        """Return what was written."""
        return bytes(self._data)

    def _number(self, number: int, length: int) -> Self:
        self._data += self._octets(number, length)
        return self

    @staticmethod
    def _octets(number: int, length: int) -> bytes:
        try:
            return number.to_bytes(length, "big")
        except OverflowError as error:
            raise LocalError(f"{number} does not fit into {length} octets") from error
