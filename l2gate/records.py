"""The flat records through which the control plane tells the data plane what it decided.

The gateway alone writes them; the forwarder only looks them up, once a packet:

* SPI of an inbound ESP packet -> `SaRecord` -> the peer whose packet it is,
* our tunnel and session id of an L2TP data message -> `SessionRecord`,
* inner address, or the upper half of an IPv6 one -> `SessionRecord` -> the peer's outbound SA
  and path.

What is not found here is not plain data of an open session and goes up to the gateway.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Network

from ipsec.esp import InboundSa, OutboundSa
from ipsec.path import Path
from wire.tokenbucket import TokenBucket

BURST = 0.1
"""Seconds at its full rate that a session which has rested may send or receive at once."""

LEAST_BURST = 65536
"""Octets; a packet of the largest size must pass at any rate."""


@dataclass(slots=True, eq=False)
class PeerRecord:
    """One IPsec peer: where its packets go and under which SA.

    `outbound` is the newest confirmed outbound SA, or None as long as (or once again) there is
    none; what must be sent then is dropped. `encapsulated` says whether ESP travels in UDP
    (RFC 3948) or as IP protocol 50.
    """

    peer: int
    path: Path
    encapsulated: bool
    outbound: OutboundSa | None = None


@dataclass(slots=True, eq=False)
class SaRecord:
    """An inbound SA and the peer it was negotiated with."""

    sa: InboundSa
    peer: PeerRecord


@dataclass(slots=True, eq=False)
class SessionRecord:
    """An L2TP session whose PPP link carries IPv4, and with a prefix IPv6.

    Tunnel and session ids are RFC 2661's: `tunnel_id` and `session_id` are ours (in what the
    peer sends), the peer's own stand in what we send. `port` is the peer's inner UDP port.
    `address` is the assigned inner address and `gateway` our end of the link, as numbers; a
    packet from the peer must come from `address` or from one of `routes`. `mtu` is the largest
    inner packet the peer takes, in octets. `interface` names the TUN device through which the
    session's packets go to the kernel, and come from it.
    `sequencing` says that the peer demanded sequence numbers on data (RFC 2661 section 5.4);
    `ns` is the next one to send.
    `prefix` is the upper half of all IPv6 addresses that the peer may have, as a number, or None
    where there is no IPv6 (any more); `gateway6` is what we send ICMPv6 errors from.
    `up` and `down` are there where what comes from the peer or goes to it is limited.
    """

    peer: PeerRecord
    tunnel_id: int
    session_id: int
    peer_tunnel_id: int
    peer_session_id: int
    port: int
    address: int
    gateway: int
    mtu: int
    interface: str
    routes: tuple[IPv4Network, ...] = ()
    sequencing: bool = False
    ns: int = 0
    prefix: int | None = None
    gateway6: int = 0
    up: TokenBucket | None = None
    down: TokenBucket | None = None
    packets_in: int = 0
    octets_in: int = 0
    packets_out: int = 0
    octets_out: int = 0
    spoofed: int = 0

    def limit(self, up: int | None, down: int | None) -> None:
        """Limit to so many bits a second; a limit that is there already goes on."""
        self.up, self.down = _limited(self.up, up), _limited(self.down, down)


@dataclass(slots=True, eq=False)
class Tables:
    """All records, by the key that a packet brings.

    `sas` by SPI, `sessions` by `tunnel_id << 16 | session_id`, `addresses` by inner IPv4
    address as a number, `routes` by prefix length and network number, longest prefix first,
    `prefixes` by the upper half of an inner IPv6 address as a number.
    `now` is when the packets came that are being passed on.
    The dicts stay the same objects for good. Bounded by the gateway's limits on peers and
    sessions.
    """

    sas: dict[int, SaRecord] = field(default_factory=dict)
    sessions: dict[int, SessionRecord] = field(default_factory=dict)
    addresses: dict[int, SessionRecord] = field(default_factory=dict)
    routes: dict[int, dict[int, SessionRecord]] = field(default_factory=dict)
    prefixes: dict[int, SessionRecord] = field(default_factory=dict)
    now: float = 0.0

    def add_session(self, session: SessionRecord) -> None:
        """Let packets find the session; an older one with its address or routes loses them."""
        self.sessions[session.tunnel_id << 16 | session.session_id] = session
        self.addresses[session.address] = session
        if session.prefix is not None:
            self.prefixes[session.prefix] = session
        for route in session.routes:
            networks = self.routes.setdefault(route.prefixlen, {})
            networks[int(route.network_address) >> 32 - route.prefixlen] = session
        self._sort_routes()

    def remove_session(self, session: SessionRecord) -> None:
        """Let no packet find the session any more; what a newer one took over stays its own."""
        self._forget(self.sessions, session.tunnel_id << 16 | session.session_id, session)
        self._forget(self.addresses, session.address, session)
        self.remove_prefix(session)
        for route in session.routes:
            networks = self.routes.get(route.prefixlen, {})
            self._forget(networks, int(route.network_address) >> 32 - route.prefixlen, session)
            if not networks:
                self.routes.pop(route.prefixlen, None)

    def add_prefix(self, session: SessionRecord, prefix: int, gateway6: int) -> None:
        """Let IPv6 packets of this prefix find the session too."""
        session.prefix, session.gateway6 = prefix, gateway6
        self.prefixes[prefix] = session

    def remove_prefix(self, session: SessionRecord) -> None:
        """Let no IPv6 packet find the session any more."""
        if session.prefix is not None:
            self._forget(self.prefixes, session.prefix, session)
            session.prefix = None

    def session_to(self, address: int) -> SessionRecord | None:
        """Return the session that an inner address lies behind (longest match, RFC 1812)."""
        session = self.addresses.get(address)
        if session is None:
            for length, networks in self.routes.items():
                session = networks.get(address >> 32 - length)
                if session is not None:
                    break
        return session

    def _sort_routes(self) -> None:
        lengths = sorted(self.routes, reverse=True)
        if lengths != list(self.routes):
            longest_first = {length: self.routes[length] for length in lengths}
            self.routes.clear()
            self.routes.update(longest_first)

    @staticmethod
    def _forget(table: dict[int, SessionRecord], key: int, session: SessionRecord) -> None:
        if table.get(key) is session:
            del table[key]


def _limited(bucket: TokenBucket | None, rate: int | None) -> TokenBucket | None:
    if rate is None or (bucket is not None and bucket.rate == rate):
        return None if rate is None else bucket
    return TokenBucket(rate, max(LEAST_BURST, rate / 8 * BURST))
