"""The keys of SAs by themselves, for those who record packets to read them afterwards."""

from dataclasses import dataclass, field

from ipsec.algorithms import EspAlgorithms
from ipsec.path import Path


@dataclass(frozen=True, slots=True)
class IsakmpKey:
    """What encrypts the messages of an ISAKMP SA, which the initiator's cookie names."""

    cookie: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class EspKeys:
    """The two parts of an ESP SA's KEYMAT; `authentication` is empty for AES-GCM.

    `icv_length` is what the peer truncates ICVs to, in octets.
    """

    spi: int
    algorithms: EspAlgorithms
    icv_length: int
    encryption: bytes = field(repr=False)
    authentication: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PeerKeys:
    """The keys of the SAs that a peer has, both directions of each pair; `path` is its place.

    Pairs of which only the first packet tells how long ICVs are have none before.
    """

    path: Path
    isakmp: tuple[IsakmpKey, ...]
    esp: tuple[EspKeys, ...]
