"""One UDP flow as this end sees it."""

from ipaddress import IPv6Address
from typing import NamedTuple


class Address(NamedTuple):
    """An IP address in its usual text form, and a UDP port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def source_of(host: str) -> str:
    """Return what limits on a single host count by: an IPv4 address, or the /64 of an IPv6 one.

    A host with IPv6 has as many addresses as it likes in the prefix of its link (RFC 4862).
    """
    return f"{int(IPv6Address(host)) >> 64:016x}" if ":" in host else host


class Path(NamedTuple):
    """Where a datagram was sent to (`local`) and came from (`peer`); the way back for the answer.

    A non-ESP marker (RFC 3948 section 2.2) leads each IKE message iff `local.port` is not 500.
    """

    local: Address
    peer: Address


class Datagram(NamedTuple):
    """One UDP payload, and the path that it takes."""

    data: bytes
    path: Path
