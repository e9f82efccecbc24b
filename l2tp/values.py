"""Attribute values that have fields (RFC 2661 sections 4.4.2, 4.4.4 and 4.4.6, RFC 3145)."""

from typing import NamedTuple, Self

from wire import Reader, Writer

MAX_MESSAGE = 512
"""Octets of human-readable text that we send in one AVP."""


class CallErrors(NamedTuple):
    """Counters since the call was established (section 4.4.6)."""

    crc_errors: int
    framing_errors: int
    hardware_overruns: int
    buffer_overruns: int
    timeout_errors: int
    alignment_errors: int

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the value, 26 octets."""
        reader.skip(2)
        return cls(*(reader.u32() for _ in cls._fields))

    def build(self) -> bytes:
        """Return the value."""
        writer = Writer().u16(0)
        for counter in self:
            writer.u32(counter)
        return writer.build()


class Accm(NamedTuple):
    """Async control character maps that the LNS negotiated (section 4.4.6)."""

    send: int
    receive: int

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the value, 10 octets."""
        reader.skip(2)
        return cls(reader.u32(), reader.u32())

    def build(self) -> bytes:
        """Return the value."""
        return Writer().u16(0).u32(self.send).u32(self.receive).build()


class ResultCode(NamedTuple):
    """A Result Code (section 4.4.2); `error` is None where the AVP ends before it."""

    result: int
    error: int | None = None
    message: str = ""

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the value, 2 octets or at least 4."""
        result = reader.u16()
        if not reader.remaining:
            return cls(result)
        return cls(result, reader.u16(), reader.rest().decode("utf-8", "replace"))

    def build(self) -> bytes:
        """Return the value; a text longer than MAX_MESSAGE octets is cut."""
        writer = Writer().u16(self.result)
        if self.error is not None or self.message:
            writer.u16(self.error or 0).put(_cut(self.message))
        return writer.build()


class Q931Cause(NamedTuple):
    """Why a telephone call ended (section 4.4.4), in ITU encodings."""

    cause: int
    message: int
    advisory: str = ""

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the value, at least 3 octets."""
        return cls(reader.u16(), reader.u8(), reader.rest().decode("ascii", "replace"))

    def build(self) -> bytes:
        """Return the value."""
        return Writer().u16(self.cause).u8(self.message).put(_cut(self.advisory)).build()


class DisconnectCause(NamedTuple):
    """Why PPP ended (RFC 3145 section 2): code, PPP protocol it concerns, direction, text."""

    code: int
    protocol: int = 0
    direction: int = 0
    message: str = ""

    @classmethod
    def parse(cls, reader: Reader) -> Self:
        """Read the value, at least 5 octets."""
        code, protocol, direction = reader.u16(), reader.u16(), reader.u8()
        return cls(code, protocol, direction, reader.rest().decode("utf-8", "replace"))

    def build(self) -> bytes:
        """Return the value."""
        head = Writer().u16(self.code).u16(self.protocol).u8(self.direction)
        return head.put(_cut(self.message)).build()


def _cut(text: str) -> bytes:
    return text.encode()[:MAX_MESSAGE].decode("utf-8", "ignore").encode()


Value = int | bytes | CallErrors | Accm | ResultCode | Q931Cause | DisconnectCause
