"""A pair of ESP SAs, one each way: what a quick mode agrees on."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ipsec import keymat
from ipsec.algorithms import EspAlgorithms
from ipsec.constants import ProtocolId
from ipsec.esp import LAST_SEQUENCE, InboundSa, OutboundSa
from ipsec.keys import EspKeys
from ipsec.offers import EspOffer
from ipsec.payloads import Identification
from ipsec.policy import SPI_LENGTH

if TYPE_CHECKING:
    from ipsec.isakmp_sa import IsakmpSa

KILOBYTE = 1024
"""Octets, as Windows counts them; others mean 1000, and renew their SAs before."""


@dataclass(slots=True, eq=False)
class SaPair:
    """Both SAs, for what they are and how long; see events.SaInstalled for the fields.

    `sa` is the ISAKMP SA that they were negotiated under, `initiator` our role in that, and
    `offer` what was agreed. `confirmed` says that the peer has both. `tries` counts how often we
    have begun to renew the pair of a client, because it did not. `keys` are those of the inbound
    and outbound SA.
    """

    sa: "IsakmpSa"
    initiator: bool
    offer: EspOffer
    inbound: InboundSa
    outbound: OutboundSa
    encapsulated: bool
    ours: Identification
    theirs: Identification
    original_address: str | None
    seconds: int
    kilobytes: int | None
    keys: tuple[EspKeys, EspKeys] = field(repr=False)
    confirmed: bool = False
    tries: int = 0

    @property
    def spi(self) -> int:
        """The SPI of the inbound SA, by which we know the pair."""
        return self.inbound.spi

    @property
    def volume(self) -> float:
        """What the busier SA has carried, as a part of what it may.

        That is limited by kilobytes, and by sequence numbers (RFC 4303 section 3.3.3).
        """
        used = max(self.inbound.window.right_edge, self.outbound.sequence) / LAST_SEQUENCE
        if self.kilobytes is None:
            return used
        octets = max(self.inbound.octets, self.outbound.octets)
        return max(used, octets / (self.kilobytes * KILOBYTE))


@dataclass(frozen=True, slots=True)
class KeySource:
    """What the keys of a pair come from; `g_xy` is empty without PFS (RFC 2409 section 5.5)."""

    sa: "IsakmpSa"
    algorithms: EspAlgorithms
    ni: bytes
    nr: bytes
    g_xy: bytes = field(repr=False)

    def keys(self, spi: int) -> EspKeys:
        """Return the keys of the SA with this SPI."""
        octets = keymat.esp_keymat(
            self.sa.protection.hash,
            self.sa.protection.skeyid.d,
            ProtocolId.ESP,
            spi.to_bytes(SPI_LENGTH, "big"),
            self.ni,
            self.nr,
            self.algorithms.keymat_length,
            self.g_xy,
        )
        algorithms = self.algorithms
        return EspKeys(spi, algorithms, algorithms.icv_length, *algorithms.split(octets))
