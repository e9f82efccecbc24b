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
    """The two parts of an ESP SA's KEYMAT; `authentication` is empty for AES-GCM."""

    spi: int
    algorithms: EspAlgorithms
    encryption: bytes = field(repr=False)
    authentication: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PeerKeys:
    """The keys of all SAs that a peer has, both directions of each pair; `path` is its place."""

    path: Path
    isakmp: tuple[IsakmpKey, ...]
    esp: tuple[EspKeys, ...]
