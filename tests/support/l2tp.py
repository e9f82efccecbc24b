"""L2TP as octets, written and read apart from the code under test, and a peer made of them."""

from collections.abc import Iterator
from random import Random
from struct import pack, unpack, unpack_from
from typing import NamedTuple

from ipsec.path import Address
from l2tp.endpoint import Endpoint
from l2tp.events import Event, FrameReceived
from tests.support.simulation import Wire

FLOW = "a flow"

SCCRQ, SCCRP, SCCCN, STOPCCN, HELLO = 1, 2, 3, 4, 6
OCRQ, OCRP, OCCN, ICRQ, ICRP, ICCN, CDN, WEN, SLI = 7, 8, 9, 10, 11, 12, 14, 15, 16


class RawAvp(NamedTuple):
    flags: int
    vendor: int
    type: int
    value: bytes


class RawControl(NamedTuple):
    """A control message taken apart; `kind` is 0 for a ZLB."""

    tunnel_id: int
    session_id: int
    ns: int
    nr: int
    kind: int
    avps: dict[int, bytes]


def avp(
    number: int,
    value: bytes = b"",
    *,
    mandatory: bool = True,
    hidden: bool = False,
    vendor: int = 0,
    length: int | None = None,
    reserved: int = 0,
) -> bytes:
    """Return an AVP; `length` lies about it."""
    flags = (0x8000 if mandatory else 0) | (0x4000 if hidden else 0) | reserved
    return pack("!HHH", flags | (6 + len(value) if length is None else length), vendor, number) + (
        value
    )


def u16(number: int) -> bytes:
    return pack("!H", number)


def u32(number: int) -> bytes:
    return pack("!L", number)


def control(tunnel_id: int, session_id: int, ns: int, nr: int, *avps: bytes) -> bytes:
    """Return a control message."""
    body = b"".join(avps)
    return pack("!6H", 0xC802, 12 + len(body), tunnel_id, session_id, ns, nr) + body


def raw_avps(octets: bytes) -> Iterator[RawAvp]:
    """Take AVPs apart."""
    while octets:
        flags, vendor, number = unpack_from("!HHH", octets)
        length = flags & 0x3FF
        yield RawAvp(flags & ~0x3FF, vendor, number, octets[6:length])
        octets = octets[length:]


def parse_control(data: bytes) -> RawControl:
    """Take a control message apart, as strictly as mtpd does it (the client of old Androids)."""
    flags, length, tunnel_id, session_id, ns, nr = unpack_from("!6H", data)
    assert flags == 0xC802
    assert length == len(data)
    avps = list(raw_avps(data[12:]))
    if not avps:
        assert len(data) == 12
        return RawControl(tunnel_id, session_id, ns, nr, 0, {})
    assert data[12:18] == pack("!HHH", 0x8008, 0, 0)
    found = {a.type: a.value for a in avps if a.vendor == 0}
    assert len(found) == len(avps), "no attribute twice, and none of a vendor"
    return RawControl(tunnel_id, session_id, ns, nr, unpack("!H", found[0])[0], found)


def message(kind: int, *avps: bytes) -> bytes:
    """Return the AVPs of a message, Message Type first."""
    return avp(0, u16(kind)) + b"".join(avps)


def sccrq(tunnel_id: int, *more: bytes, host: bytes = b"client") -> bytes:
    """Return the AVPs of a plain SCCRQ."""
    return message(
        SCCRQ,
        avp(2, b"\1\0"),
        avp(3, u32(3)),
        avp(7, host),
        avp(9, u16(tunnel_id)),
        avp(10, u16(4)),
        *more,
    )


def icrq(session_id: int, *more: bytes) -> bytes:
    """Return the AVPs of a plain ICRQ."""
    return message(ICRQ, avp(14, u16(session_id)), avp(15, u32(1)), *more)


def iccn(*more: bytes) -> bytes:
    """Return the AVPs of a plain ICCN."""
    return message(ICCN, avp(24, u32(100_000_000)), avp(19, u32(1)), *more)


def stopccn(tunnel_id: int, result: bytes = b"\0\1\0\0") -> bytes:
    """Return the AVPs of a StopCCN."""
    return message(STOPCCN, avp(9, u16(tunnel_id)), avp(1, result))


def cdn(session_id: int, result: bytes = b"\0\3\0\0") -> bytes:
    """Return the AVPs of a CDN."""
    return message(CDN, avp(1, result), avp(14, u16(session_id)))


class Peer:
    """A peer that sends exactly what the test says, and counts Ns and Nr.

    `answers` are the control messages that the last call brought, `frames` the data messages.
    """

    def __init__(
        self, endpoint: Endpoint, flow: object = FLOW, tunnel_id: int = 7, now: float = 0.0
    ) -> None:
        self.endpoint = endpoint
        self.flow = flow
        self.tunnel_id = tunnel_id
        self.peer_tunnel_id = 0
        self.ns = 0
        self.nr = 0
        self.now = now
        self.answers: list[RawControl] = []
        self.data: list[bytes] = []

    def send(self, avps: bytes, session_id: int = 0) -> list[RawControl]:
        """Send a control message with the next Ns; return the answers."""
        data = control(self.peer_tunnel_id, session_id, self.ns, self.nr, avps)
        self.ns += 1
        return self.raw(data)

    def ack(self) -> list[RawControl]:
        """Send a ZLB; return the answers."""
        return self.raw(control(self.peer_tunnel_id, 0, self.ns, self.nr))

    def raw(self, data: bytes) -> list[RawControl]:
        """Send octets; return the answers."""
        self.endpoint.receive(data, self.flow, self.now)
        return self.collect()

    def wait(self, seconds: float) -> list[RawControl]:
        """Let time pass without a word; return what came."""
        end = self.now + seconds
        answers: list[RawControl] = []
        while (when := self.endpoint.next_timeout()) is not None and when <= end:
            self.now = max(self.now, when)
            self.endpoint.handle_timeout(self.now)
            answers += self.collect()
        self.now = end
        self.answers = answers
        return answers

    def collect(self) -> list[RawControl]:
        """Take in what the endpoint has to send to this peer."""
        self.answers = []
        for datagram in self.endpoint.datagrams_to_send():
            assert datagram.flow == self.flow
            if not datagram.data[0] & 0x80:
                self.data.append(datagram.data)
                continue
            answer = parse_control(datagram.data)
            self.answers.append(answer)
            if answer.kind and answer.ns == self.nr:
                self.nr += 1
        return self.answers

    def open_tunnel(self) -> int:
        """Go through SCCRQ, SCCRP and SCCCN; return the endpoint's tunnel id."""
        (reply,) = self.send(sccrq(self.tunnel_id))
        assert reply.kind == SCCRP
        self.peer_tunnel_id = int.from_bytes(reply.avps[9])
        (zlb,) = self.send(message(SCCCN))
        assert zlb.kind == 0
        return self.peer_tunnel_id

    def open_session(self, session_id: int = 11, *more: bytes) -> int:
        """Go through ICRQ, ICRP and ICCN; return the endpoint's session id."""
        (reply,) = self.send(icrq(session_id))
        assert (reply.kind, reply.session_id) == (ICRP, session_id)
        number = int.from_bytes(reply.avps[14])
        (zlb,) = self.send(iccn(*more), number)
        assert zlb.kind == 0
        return number


def events(endpoint: Endpoint) -> list[Event]:
    """Return and forget all events."""
    return list(iter(endpoint.next_event, None))


class SimulatedEnd:
    """An LNS or LAC as a host of tests.support.simulation; the flow is the other's address."""

    def __init__(self, endpoint: Endpoint, address: Address) -> None:
        self.endpoint = endpoint
        self.address = address
        self.events: list[Event] = []
        self.frames: list[FrameReceived] = []

    def receive(self, packet: Wire, now: float) -> None:
        self.endpoint.receive(packet.data, packet.source, now)

    def handle_timeout(self, now: float) -> None:
        self.endpoint.handle_timeout(now)

    def next_timeout(self) -> float | None:
        return self.endpoint.next_timeout()

    def packets_to_send(self) -> list[Wire]:
        for event in events(self.endpoint):
            if isinstance(event, FrameReceived):
                self.frames.append(event)
            else:
                self.events.append(event)
        packets = []
        for data, flow in ((d.data, d.flow) for d in self.endpoint.datagrams_to_send()):
            assert isinstance(flow, Address)
            packets.append(Wire(self.address, flow, data))
        return packets


def entropy(seed: int = 1) -> Random:
    """A source of reproducible octets: `entropy().randbytes`."""
    return Random(seed)
