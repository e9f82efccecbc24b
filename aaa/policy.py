"""What a department allows its users beyond logging in."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network


@dataclass(frozen=True, slots=True)
class Allowed:
    """A destination that clients may reach.

    `protocol` is tcp, udp, icmp (of either version) or None for all; `ports` are first and
    last of ranges, empty for all.
    """

    to: IPv4Network | IPv6Network
    protocol: str | None = None
    ports: tuple[tuple[int, int], ...] = ()

    def admits(self, address: IPv4Network | IPv6Network, protocol: str, port: int) -> bool:
        """Say whether an address is reached by a protocol at a port."""
        return (
            address.version == self.to.version
            and int(self.to[0]) <= int(address[0]) <= int(self.to[-1])
            and self.protocol in (None, protocol)
            and (not self.ports or any(first <= port <= last for first, last in self.ports))
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """`allow` is what clients reach, None where that is anything but other clients.

    With `client_to_client` those of the department reach each other.
    """

    allow: tuple[Allowed, ...] | None = None
    client_to_client: bool = False
