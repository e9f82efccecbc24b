"""Recording what one client and the server send each other, with the keys to read it.

How this works. `l2gate capture` asks by the control socket, which is root's alone, and gets
what is recorded by it, message by message (`Capture`); the server itself writes no file. While
a capture is under way, the program shows `Captures` what came in, when the gateway has had it,
and what went out, batch by batch. With each IKE message, and each ESP packet of an SA whose
key was not told yet, the client's SAs are looked at, and the keys of those that are new go
first. A capture ends itself, and nothing of it is left then.

A client is an address: all that comes from it is recorded, also before there is a peer. A user
is the addresses of the user's peers: where a neighbour behind the same NAT has a peer too, the
port counts as well. Peers that move are followed.
"""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from ipsec.path import Address, Path
from ipsec.policy import SPI_LENGTH
from l2gate.control import Json, Sink
from l2gate.pcapng import outer_packet
from l2gate.wireshark import ESP_TABLE, ISAKMP_TABLE, esp_line, isakmp_line

if TYPE_CHECKING:
    from l2gate.gateway import Gateway

MAX_CAPTURES: Final = 2
"""At one time."""

SECONDS: Final = 300
MAX_SECONDS: Final = 3600
PACKETS: Final = 10_000
MAX_PACKETS: Final = 1_000_000
"""How long one goes on and how much it records, unless asked otherwise and at most."""


class CaptureRefused(Exception):  # noqa: N818
    """There is nothing to record, or no room; the text is for the admin."""


class Captures:
    """The captures under way; it is false where there are none, which is all that is to ask."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._running: list[Capture] = []

    def __len__(self) -> int:
        return len(self._running)

    def make(self, whose: str, seconds: float, packets: int) -> "Capture":
        """Return a capture of an IP address or of a user, to be started. Raises CaptureRefused."""
        if len(self) >= MAX_CAPTURES:
            raise CaptureRefused(f"{len(self)} captures are under way already: end one of them")
        hosts, peers = set[str](), set[int]()
        try:
            hosts = {str(ip_address(whose))}
        except ValueError:
            peers = self._peers_of(whose)
            hosts = self._hosts_of(peers)
        return Capture(self._gateway, self._running, hosts, peers, seconds, packets)

    def received(self, batch: Iterable[tuple[bytes, Path]], wall: float) -> None:
        """Record of a batch what is to be recorded; `wall` counts seconds since 1970."""
        for capture in tuple(self._running):
            for data, path in batch:
                capture.record(data, path, True, wall)

    def sent(self, packets: Sequence[bytes], path: Path, wall: float) -> None:
        """Record packets that were sent along a path, if they are to be recorded."""
        for capture in tuple(self._running):
            for data in packets:
                capture.record(data, path, False, wall)

    def _peers_of(self, user: str) -> set[int]:
        peers = {call.flow.peer for call in self._gateway.calls if call.user == user}
        if not peers:
            raise CaptureRefused(
                f"there is no session of {user!r}: to record how a client connects, give its "
                "outer address"
            )
        return peers

    def _hosts_of(self, peers: set[int]) -> set[str]:
        """Return the addresses that no other peer shares, or where none can be told apart."""
        all_peers = [peer.record for peer in self._gateway.peers]
        shared = {p.path.peer.host for p in all_peers if p.peer not in peers}
        return {
            p.path.peer.host
            for p in all_peers
            if p.peer in peers and not (p.encapsulated and p.path.peer.host in shared)
        }


class Capture:
    """One capture; its messages are these, and `table` is one of Wireshark's:

    {"packet": IP packet in base64, "time": seconds since 1970, "inbound": true or false}
    {"table": "esp_sa", "line": ...}
    {"end": why, "left_out": number of packets that the other end was too slow for}
    """

    def __init__(
        self,
        gateway: "Gateway",
        running: "list[Capture]",
        hosts: set[str],
        peers: set[int],
        seconds: float,
        packets: int,
    ) -> None:
        self.seconds = seconds
        self._gateway = gateway
        self._running = running
        self._hosts = hosts
        self._places: dict[int, Address] = {}
        self._peers = peers
        self._room = packets
        self._told: set[int | bytes] = set()
        self._left_out = 0
        self._sink: Sink
        self._follow()

    @property
    def watched(self) -> list[str]:
        """Addresses that are recorded, with a port where it is not all of the address."""
        places = {str(a) for a in self._places.values() if a.host not in self._hosts}
        return sorted(self._hosts | places)

    def start(self, sink: Sink) -> None:
        """Begin."""
        self._sink = sink
        self._running.append(self)
        self._tell_keys()

    def stop(self, why: str) -> None:
        """End, if it did not end itself before."""
        if self in self._running:
            self._running.remove(self)
            self._sink.put({"end": why, "left_out": self._left_out})
            self._sink.close()

    def record(self, data: bytes, path: Path, inbound: bool, wall: float) -> None:
        """Take a UDP payload, or an ESP packet where the ports of the path are 0."""
        self._follow()
        if not self._room or not self._watches(path.peer):
            return
        if int.from_bytes(data[:SPI_LENGTH]) not in self._told:
            self._tell_keys()  # an IKE message has a cookie there, or the non-ESP marker
        ends = (path.peer, path.local) if inbound else (path.local, path.peer)
        octets = b64encode(outer_packet(data, *ends)).decode()
        message: dict[str, Json] = {"packet": octets, "time": wall, "inbound": inbound}
        if not self._sink.offer(message):
            self._left_out += 1
            return
        self._room -= 1
        if not self._room:
            self.stop("all packets that were asked for are recorded")

    def _watches(self, address: Address) -> bool:
        return address.host in self._hosts or address in self._places.values()

    def _follow(self) -> None:
        for number in self._peers:
            peer = self._gateway.peers.get(number)
            if peer is not None:
                self._places[number] = peer.record.path.peer

    def _tell_keys(self) -> None:
        """Tell the keys that were not told yet, or that there was no room for."""
        told = set[int | bytes]()
        for peer in self._gateway.ike.keys(self._watches):
            is_ipv6 = ":" in peer.path.peer.host
            for isakmp in peer.isakmp:
                if isakmp.cookie in self._told or self._tell(ISAKMP_TABLE, isakmp_line(isakmp)):
                    told.add(isakmp.cookie)
            for esp in peer.esp:
                if esp.spi in self._told or self._tell(ESP_TABLE, esp_line(esp, is_ipv6)):
                    told.add(esp.spi)
        self._told = told

    def _tell(self, table: str, line: str) -> bool:
        return self._sink.offer({"table": table, "line": line})
