"""ESP in transport mode (RFC 4303): the two ends of an SA pair.

An `InboundSa` opens packets, an `OutboundSa` seals them; `ipsec.transforms` explains what makes
them fast. A pair takes about 5 kilobytes (`benchmarks/esp.py`).

Extended sequence numbers are not supported: IKEv1 uses them only if both sides ask (RFC 4304),
and we never do.
"""

from enum import Enum
from functools import cache
from struct import Struct
from typing import Final

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import PROTOCOL_UDP
from ipsec.replay import ReplayWindow
from ipsec.transforms import HEADER_LENGTH, make_opener, make_sealer
from wire import DecodeError, Entropy, LocalError
from wire.types import Octets

_HEADER: Final = Struct("!II")
_MINIMUM_TRAILER: Final = 2
"""Pad length and next header (RFC 4303 sections 2.5 and 2.6)."""

LAST_SEQUENCE: Final = 0xFFFFFFFF
_DUMMY: Final = 59
"""Next header of traffic that is there to be discarded (RFC 4303 section 2.6)."""


class DropReason(Enum):
    """Why a packet was dropped; the value is for people."""

    BAD_LENGTH = "too short, or not whole blocks"
    REPLAYED = "sequence number received before"
    TOO_OLD = "sequence number left of the replay window"
    BAD_ICV = "integrity check failed"
    BAD_PADDING = "padding is not 1, 2, 3 and so on"
    DUMMY = "dummy packet"
    WRONG_PROTOCOL = "next header is not the protocol of the SA"


class EspError(DecodeError):
    """A packet to be dropped; the SA has counted it."""

    def __init__(self, reason: DropReason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class SequenceExhausted(Exception):  # noqa: N818
    """The SA has used all its sequence numbers and must be replaced (RFC 4303 section 3.3.3)."""


@cache
def _trailers(next_header: int) -> tuple[bytes, ...]:
    """Return padding, pad length and next header, by pad length (RFC 4303 section 2.4)."""
    octets = bytes(range(256))
    return tuple(octets[1 : n + 1] + bytes((n, next_header)) for n in octets)


def _check_keys(algorithms: EspAlgorithms, encryption: bytes, authentication: bytes) -> None:
    given = len(encryption), len(authentication)
    if given != (algorithms.encryption_key_length, algorithms.authentication_key_length):
        raise LocalError(f"keys of {given} octets for {algorithms}")


def _fault(text: bytes) -> DropReason:
    """Return what is wrong with the trailer of a decrypted packet."""
    pad_length, next_header = text[-_MINIMUM_TRAILER:]
    if not text[:-_MINIMUM_TRAILER].endswith(bytes(range(1, pad_length + 1))):
        return DropReason.BAD_PADDING
    return DropReason.DUMMY if next_header == _DUMMY else DropReason.WRONG_PROTOCOL


class InboundSa:
    """The SA that packets with our SPI come in on.

    `packets` and `octets` count what was authenticated, `octets` those that the encryption
    algorithm worked on, as an SA's lifetime does (RFC 4301 section 4.4.2.1). `drops` counts
    the rest. `icv_length` is the one that is taken: where the algorithms have more than one,
    the first packet decides, whose length fits one of them and whose ICV proves it.
    """

    __slots__ = (
        "_alignment",
        "_opener",
        "_overhead",
        "_trailers",
        "algorithms",
        "drops",
        "icv_length",
        "octets",
        "packets",
        "spi",
        "window",
    )

    def __init__(
        self,
        spi: int,
        algorithms: EspAlgorithms,
        encryption_key: bytes,
        authentication_key: bytes,
        replay_window: int = 64,
        protocol: int = PROTOCOL_UDP,
    ) -> None:
        """Take the two parts of KEYMAT; `protocol` is the one that the selectors allow.

        Raises LocalError for algorithms that are not supported and keys that do not fit them.
        """
        _check_keys(algorithms, encryption_key, authentication_key)
        self.spi = spi
        self.algorithms = algorithms
        self.window = ReplayWindow(replay_window)
        self.packets = 0
        self.octets = 0
        self.drops: dict[DropReason, int] = {}
        self._opener = make_opener(algorithms, encryption_key, authentication_key)
        self.icv_length = algorithms.icv_length
        self._overhead = HEADER_LENGTH + algorithms.encryption.iv + self.icv_length
        self._alignment = algorithms.encryption.alignment
        self._trailers = _trailers(protocol)

    def open(self, packet: Octets) -> bytes:
        """Return the payload of a packet (SPI to ICV): in transport mode a UDP datagram.

        Sequence number (RFC 4303 section 3.4.3), ICV (3.4.4), and only then does the window
        move. Raises EspError.
        """
        length = len(packet) - self._overhead
        if length < _MINIMUM_TRAILER or length % self._alignment:
            if not self._adopt_icv_length(packet):
                raise self._drop(DropReason.BAD_LENGTH)
            length = len(packet) - self._overhead
        _, sequence = _HEADER.unpack_from(packet)
        window = self.window
        if not window.check(sequence):
            too_old = sequence < window.left_edge
            raise self._drop(DropReason.TOO_OLD if too_old else DropReason.REPLAYED)
        opener = self._opener
        text = opener.open(packet)
        if text is None:
            raise self._drop(DropReason.BAD_ICV)
        window.update(sequence)
        self.packets += 1
        self.octets += length
        trailer = self._trailers[text[-2]]
        end = len(text) - len(trailer)
        if end < opener.prefix or text[end:] != trailer:
            raise self._drop(_fault(text[opener.prefix :]))
        return text[opener.prefix : end]

    def truncate(self, icv_length: int) -> None:
        """Expect ICVs of this length, which must be one of the algorithms' own."""
        self._overhead += icv_length - self.icv_length
        self.icv_length = icv_length
        self._opener = self._opener.truncated(icv_length)

    def _adopt_icv_length(self, packet: Octets) -> bool:
        """See whether this, the first genuine packet, has an ICV of another length than expected.

        Nothing has changed if not, as when somebody sends rubbish.
        """
        if self.packets:
            return False
        for other in self.algorithms.icv_lengths:
            length = len(packet) - self._overhead + self.icv_length - other
            if other == self.icv_length or length < self._alignment or length % self._alignment:
                continue
            if self._opener.truncated(other).open(packet) is not None:
                self.truncate(other)
                return True
        return False

    def _drop(self, reason: DropReason) -> EspError:
        self.drops[reason] = self.drops.get(reason, 0) + 1
        return EspError(reason)


class OutboundSa:
    """The SA that packets go out on; `spi` is the peer's.

    `packets` and `octets` count as those of an InboundSa. `sequence` is the last number used.
    `icv_length` is the RFC's own until the peer is known to have another.
    """

    __slots__ = (
        "_alignment",
        "_sealer",
        "_trailers",
        "algorithms",
        "icv_length",
        "octets",
        "sequence",
        "spi",
    )

    def __init__(
        self,
        spi: int,
        algorithms: EspAlgorithms,
        encryption_key: bytes,
        authentication_key: bytes,
        entropy: Entropy,
        protocol: int = PROTOCOL_UDP,
    ) -> None:
        """Take the two parts of KEYMAT; `protocol` is the next header of all packets.

        Raises LocalError for algorithms that are not supported and keys that do not fit them.
        """
        _check_keys(algorithms, encryption_key, authentication_key)
        self.spi = spi
        self.algorithms = algorithms
        self.icv_length = algorithms.icv_length
        self.sequence = 0
        self.octets = 0
        self._sealer = make_sealer(algorithms, encryption_key, authentication_key, entropy)
        self._alignment = algorithms.encryption.alignment
        self._trailers = _trailers(protocol)

    @property
    def packets(self) -> int:
        """How many packets were sealed."""
        return self.sequence

    def truncate(self, icv_length: int) -> None:
        """Send ICVs of this length, which must be one of the algorithms' own."""
        self.icv_length = icv_length
        self._sealer = self._sealer.truncated(icv_length)

    def seal(self, payload: Octets) -> bytes:
        """Return the packet from SPI to ICV. Raises SequenceExhausted, and then for ever."""
        sequence = self.sequence + 1
        if sequence > LAST_SEQUENCE:
            raise SequenceExhausted(f"SPI {self.spi:08x}")
        trailer = self._trailers[-(len(payload) + _MINIMUM_TRAILER) % self._alignment]
        self.sequence = sequence
        self.octets += len(payload) + len(trailer)
        return self._sealer.seal(_HEADER.pack(self.spi, sequence), payload, trailer)
