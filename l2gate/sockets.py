"""The sockets that face the Internet: UDP 500 and 4500, and IP protocol 50.

UDP 1701 is not bound on purpose: L2TP counts only when it came out of ESP (RFC 3193 section
3.3), so the kernel may answer clear-text L2TP as it answers any closed port.
"""

import errno
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from struct import Struct
from typing import Final, TypeVar

from ipsec.constants import IKE_PORT, NATT_PORT
from ipsec.path import Address, Path
from l2gate.batch import BATCH, IP_PKTINFO, IPV4_PKTINFO, IPV6_PKTINFO, make_receiver
from l2gate.processes import who_holds_udp_port

BATCHES: Final = 4
"""How many batches are taken from a source before all others have their turn."""

_PROTOCOL_ESP: Final = 50
_BUFFER: Final = 8 << 20
"""Octets that wait in the kernel while the loop is busy: about 50 ms at 1 Gbit/s."""

# From <linux/in.h>, <linux/udp.h> and <asm-generic/socket.h>; Python 3.11 has no names for them.
_IP_MTU_DISCOVER: Final = 10
_IP_PMTUDISC_DONT: Final = 0
_UDP_SEGMENT: Final = 103
_SO_SNDBUFFORCE: Final = 32
_SO_RCVBUFFORCE: Final = 33

_MAXIMUM_SEGMENTS: Final = 64
_MAXIMUM_RUN: Final = 65000
_SEGMENT_SIZE: Final = Struct("=H")
_HINTS: Final = {
    errno.EADDRNOTAVAIL: "this machine has no such address; see server.listen",
    errno.EACCES: "the capability CAP_NET_BIND_SERVICE is missing; start as root",
    errno.EPERM: "the capability CAP_NET_RAW is missing; start as root",
    errno.EAFNOSUPPORT: "this machine has IPv6 switched off; take :: out of server.listen",
}

_Ancillary = tuple[int, int, bytes]
_Destination = tuple[str, int] | tuple[str, int, int, int]
Item = TypeVar("Item")


class ListenError(Exception):
    """A socket cannot be opened; the text says which, why, and what to do."""


def batches(receive: Callable[[], Sequence[Item]]) -> Iterator[Sequence[Item]]:
    """Return what `receive` gives until it gives less than a batch, at most BATCHES times."""
    for _ in range(BATCHES):
        batch = receive()
        if batch:
            yield batch
        if len(batch) < BATCH:
            return


class BoundSocket:
    """A UDP port, or with port 0 IP protocol 50, on one local address or on all of a family.

    `drops` counts packets that could not be sent, by the name of the error.
    """

    def __init__(self, host: str, port: int) -> None:
        """Open it. Raises ListenError."""
        self.local = Address(host, port)
        self.drops: Counter[str] = Counter()
        is_ipv6 = ":" in host
        family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
        kind, protocol = (
            (socket.SOCK_DGRAM, socket.IPPROTO_UDP) if port else (socket.SOCK_RAW, _PROTOCOL_ESP)
        )
        self._has_ip_header = not port and not is_ipv6
        try:
            self._sock = socket.socket(family, kind | socket.SOCK_NONBLOCK, protocol)
        except OSError as error:
            raise _explained(self.local, error) from error
        try:
            self._prepare(is_ipv6)
            self._sock.bind((host, port))
        except OSError as error:
            self._sock.close()
            raise _explained(self.local, error) from error
        self._receive = make_receiver(self._sock, port).receive

    def _prepare(self, is_ipv6: bool) -> None:
        if is_ipv6:
            if self.local.port:
                self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            self._sock.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
            # Outer packets may be fragmented: what the path takes is a matter of the inner MTU,
            # and a lost ICMP message must not make a client unreachable.
            self._sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_DONT)
        for force, plain in (
            (_SO_RCVBUFFORCE, socket.SO_RCVBUF),
            (_SO_SNDBUFFORCE, socket.SO_SNDBUF),
        ):
            try:
                self._sock.setsockopt(socket.SOL_SOCKET, force, _BUFFER)
            except PermissionError:
                self._sock.setsockopt(socket.SOL_SOCKET, plain, _BUFFER)

    def fileno(self) -> int:
        """Return the descriptor, for the event loop."""
        return self._sock.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def receive(self) -> Sequence[tuple[bytes, Path]]:
        """Return a batch: what was in UDP or, for protocol 50, in IP; see `batches()`."""
        received = self._receive()
        if self._has_ip_header:
            return [(packet[(packet[0] & 0x0F) * 4 :], path) for packet, path in received]
        return received

    def send(self, packets: Sequence[bytes], path: Path) -> None:
        """Send packets to one peer, in order; what the kernel does not take is lost."""
        destination, source = _way(path)
        runs = _runs(packets) if self.local.port else [[packet] for packet in packets]
        for run in runs:
            if len(run) > 1:
                size = _SEGMENT_SIZE.pack(len(run[0]))
                segmented = [*source, (socket.SOL_UDP, _UDP_SEGMENT, size)]
                if self._transmit(run, segmented, destination) is None:
                    continue
                # Nothing on the way out computes checksums (EIO), or the path must fragment
                # (EINVAL, EMSGSIZE): one by one, then.
            for packet in run:
                error = self._transmit([packet], source, destination)
                if error is not None:
                    self.drops[error] += 1

    def _transmit(
        self, parts: Sequence[bytes], ancillary: list[_Ancillary], destination: _Destination
    ) -> str | None:
        """Return the name of the error, None if all is well."""
        try:
            self._sock.sendmsg(parts, ancillary, 0, destination)
        except OSError as error:
            return errno.errorcode.get(error.errno or 0, "UNKNOWN")
        return None


class Sockets:
    """All sockets of the addresses that the server listens on."""

    def __init__(
        self, listen: Iterable[str], ike_port: int = IKE_PORT, natt_port: int = NATT_PORT
    ) -> None:
        """Open UDP on both ports and IP protocol 50, on each address. Raises ListenError."""
        self._bound: dict[Address, BoundSocket] = {}
        try:
            for host in listen:
                for port in (ike_port, natt_port, 0):
                    self._bound[Address(host, port)] = BoundSocket(host, port)
        except ListenError:
            self.close()
            raise

    def __iter__(self) -> Iterator[BoundSocket]:
        return iter(self._bound.values())

    @property
    def drops(self) -> Counter[str]:
        """Packets that could not be sent, by the name of the error."""
        return sum((bound.drops for bound in self), Counter())

    def send(self, packets: Sequence[bytes], path: Path) -> None:
        """Send payloads to one peer by the way that the path says; port 0 is protocol 50."""
        host, port = path.local
        bound = self._bound.get(path.local) or self._bound.get(
            Address("::" if ":" in host else "0.0.0.0", port)
        )
        if bound is not None:
            bound.send(packets, path)

    def send_esp(self, packets: Sequence[bytes], path: Path) -> None:
        """Send ESP packets to one peer as IP protocol 50, between the hosts of the path."""
        self.send(packets, without_ports(path))

    def close(self) -> None:
        """Close all sockets."""
        for bound in self:
            bound.close()


def without_ports(path: Path) -> Path:
    """Return the way between the hosts of a path that IP protocol 50 takes."""
    return Path(Address(path.local.host, 0), Address(path.peer.host, 0))


def _runs(packets: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Cut packets into runs that UDP_SEGMENT takes: equal lengths, the last may be shorter."""
    start = 0
    while start < len(packets):
        size = len(packets[start])
        limit = min(start + _MAXIMUM_SEGMENTS, start + max(1, _MAXIMUM_RUN // max(1, size)))
        end = start + 1
        while end < min(limit, len(packets)) and len(packets[end]) == size:
            end += 1
        if end < min(limit, len(packets)) and len(packets[end]) < size:
            end += 1
        yield packets[start:end]
        start = end


@lru_cache(maxsize=8192)
def _way(path: Path) -> tuple[_Destination, list[_Ancillary]]:
    """Return the sockaddr of the peer, and the control message that sets our own address."""
    local, port = path.local.host, path.peer.port
    if ":" in local:
        host, _, scope = path.peer.host.partition("%")
        address, _, interface = local.partition("%")
        pktinfo = IPV6_PKTINFO.pack(socket.inet_pton(socket.AF_INET6, address), int(interface or 0))
        source = (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, pktinfo)
        return (host, port, 0, int(scope or 0)), [source]
    pktinfo = IPV4_PKTINFO.pack(0, socket.inet_pton(socket.AF_INET, local), bytes(4))
    return (path.peer.host, port), [(socket.IPPROTO_IP, IP_PKTINFO, pktinfo)]


def _explained(local: Address, error: OSError) -> ListenError:
    what = f"UDP {local}" if local.port else f"IP protocol 50 on {local.host}"
    if error.errno == errno.EADDRINUSE:
        holder = who_holds_udp_port(local.port) or "another program"
        return ListenError(
            f"{what} is in use by {holder}: stop it first (strongSwan: charon, "
            "strongswan-starter.service; libreswan: pluto, ipsec.service; and the xl2tpd beside it)"
        )
    hint = _HINTS.get(error.errno or 0)
    return ListenError(f"{what}: {error.strerror}" + (f" ({hint})" if hint else ""))
