"""What native clients do that a textbook LAC does not, message by message."""

from struct import pack, unpack_from

import pytest

from l2tp.config import L2tpConfig
from l2tp.constants import CallResult
from l2tp.events import (
    FrameReceived,
    SessionClosed,
    SessionOpened,
    SessionRefused,
    TunnelClosed,
    TunnelOpened,
)
from l2tp.lns import Lns
from tests.support.l2tp import (
    HELLO,
    ICCN,
    ICRP,
    ICRQ,
    SCCCN,
    SCCRP,
    SCCRQ,
    STOPCCN,
    Peer,
    avp,
    cdn,
    control,
    entropy,
    events,
    iccn,
    icrq,
    message,
    raw_avps,
    sccrq,
    stopccn,
    u16,
    u32,
)

FRAME = bytes.fromhex("ff03c0210101000a")


@pytest.fixture
def lns() -> Lns:
    return Lns(L2tpConfig(host_name="lns"), entropy().randbytes)


class Mtpd:
    """Android's client: window 1, and strict.

    It goes on from SCCCN and from ICCN only when a ZLB comes, ignores what does not acknowledge
    its last message, and wants headers exactly as below.
    """

    def __init__(self, lns: Lns) -> None:
        self.lns = lns
        self.state = SCCRQ
        self.ns = self.nr = 0
        self.tunnel = self.session = 0
        self.log: list[int] = []

    def start(self) -> None:
        self.send(
            SCCRQ,
            avp(2, b"\1\0"),
            avp(7, b"anonymous"),
            avp(3, u32(3)),
            avp(9, u16(0x1234)),
            avp(10, u16(1)),
        )

    def send(self, kind: int, *avps: bytes, session: int = 0) -> None:
        self.state = kind
        data = control(self.tunnel, session, self.ns, self.nr, message(kind, *avps))
        self.ns += 1
        self.lns.receive(data, "android", 0.0)
        for datagram in self.lns.datagrams_to_send():
            self.receive(datagram.data)

    def receive(self, data: bytes) -> None:
        flags, length, tunnel, session, ns, nr = unpack_from("!6H", data)
        assert (flags, length, tunnel) == (0xC802, len(data), 0x1234)
        assert session in (0, 0x4321)
        if nr != self.ns:
            return
        kind = 0
        if length > 12:
            assert data[12:18] == pack("!HHH", 0x8008, 0, 0)
            if ns != self.nr:
                return
            self.nr += 1
            (kind,) = unpack_from("!H", data, 18)
        self.log.append(kind)
        if self.state == SCCRQ and kind == SCCRP:
            at = data.index(pack("!HHH", 0x8008, 0, 9))
            (self.tunnel,) = unpack_from("!H", data, at + 6)
            self.send(SCCCN)
        elif self.state == SCCCN and kind == 0:
            self.send(ICRQ, avp(14, u16(0x4321)), avp(15, u32(0xABCDEF01)))
        elif self.state == ICRQ and kind == ICRP:
            at = data.index(pack("!HHH", 0x8008, 0, 14))
            (self.session,) = unpack_from("!H", data, at + 6)
            self.send(ICCN, avp(24, u32(100_000_000)), avp(19, u32(3)), session=self.session)
        elif self.state == ICCN and kind == 0:
            self.state = HELLO


class TestAndroid:
    def test_login(self, lns: Lns) -> None:
        client = Mtpd(lns)
        client.start()
        assert client.state == HELLO, "it has started pppd"
        assert client.log == [SCCRP, 0, ICRP, 0]
        assert [type(event) for event in events(lns)] == [TunnelOpened, SessionOpened]

    def test_hang_up(self, lns: Lns) -> None:
        client = Mtpd(lns)
        client.start()
        events(lns)
        client.send(STOPCCN, avp(9, u16(0x1234)), avp(1, u16(6)))
        session, tunnel = events(lns)
        assert isinstance(session, SessionClosed)
        assert isinstance(tunnel, TunnelClosed)
        assert tunnel.why == "the peer stopped the tunnel: SHUTTING_DOWN"

    def test_never_two_messages_at_a_time(self, lns: Lns) -> None:
        client = Mtpd(lns)
        client.start()
        lns.close_session(client.session, CallResult.ADMINISTRATIVE, now=0.0)
        lns.close_all(0.0)
        assert len(lns.datagrams_to_send()) == 1


class TestApple:
    def start(self, lns: Lns) -> Peer:
        peer = Peer(lns, tunnel_id=0x00A1)
        assert peer.raw(control(0, 0, 0, 0, message(HELLO))) == [], "it does that"
        (reply,) = peer.send(
            message(
                SCCRQ,
                avp(2, b"\1\0"),
                avp(3, u32(3)),
                avp(7, b"my-iphone\0"),
                avp(9, u16(0x00A1)),
                avp(10, u16(4)),
            )
        )
        assert reply.kind == SCCRP
        peer.peer_tunnel_id = int.from_bytes(reply.avps[9])
        return peer

    def test_scccn_and_icrq_back_to_back(self, lns: Lns) -> None:
        peer = self.start(lns)
        number = peer.peer_tunnel_id
        lns.receive(control(number, 0, 1, 1, message(SCCCN)), peer.flow, 0.0)
        zlb, reply = peer.raw(control(number, 0, 2, 1, icrq(0x1001)))
        assert (zlb.kind, zlb.nr) == (0, 2)
        assert (reply.kind, reply.nr, reply.session_id) == (ICRP, 3, 0x1001)
        opened, *_ = events(lns)
        assert isinstance(opened, TunnelOpened)
        assert opened.host_name == "my-iphone"

    def test_the_two_arrive_in_the_wrong_order(self, lns: Lns) -> None:
        peer = self.start(lns)
        number = peer.peer_tunnel_id
        lns.receive(control(number, 0, 2, 1, icrq(0x1001)), peer.flow, 0.0)
        _, reply = peer.raw(control(number, 0, 1, 1, message(SCCCN)))
        assert (reply.kind, reply.nr) == (ICRP, 3)

    def test_codes_in_host_byte_order(self, lns: Lns) -> None:
        peer = self.start(lns)
        peer.send(message(SCCCN))
        session = peer.open_session(0x1001)
        events(lns)
        peer.send(cdn(0x1001, b"\3\0"), session)
        peer.send(stopccn(0x00A1, b"\6\0"))
        call, tunnel = events(lns)
        assert isinstance(call, SessionClosed)
        assert call.why == "the peer disconnected the call: ADMINISTRATIVE"
        assert isinstance(tunnel, TunnelClosed)
        assert tunnel.why == "the peer stopped the tunnel: SHUTTING_DOWN"

    def test_it_gets_only_what_it_knows(self, lns: Lns) -> None:
        """It gives up on unknown or hidden AVPs, and on any of a vendor, with the M bit."""
        peer = Peer(lns)
        seen: dict[int, set[int]] = {}
        lns.receive(control(0, 0, 0, 0, sccrq(7)), peer.flow, 0.0)
        (first,) = lns.datagrams_to_send()
        peer.ns = peer.nr = 1
        peer.peer_tunnel_id = lns.snapshot().tunnels[0].tunnel
        peer.send(message(SCCCN))
        lns.receive(control(peer.peer_tunnel_id, 0, 2, 1, icrq(1)), peer.flow, 0.0)
        (second,) = lns.datagrams_to_send()
        for datagram in (first, second):
            for one in raw_avps(datagram.data[12:]):
                assert one.vendor == 0
                assert one.flags in (0x8000, 0x0000)
                kind = datagram.data[19]
                seen.setdefault(kind, set()).add(one.type)
        assert seen == {SCCRP: {0, 2, 3, 4, 7, 8, 9, 10}, ICRP: {0, 14}}


class TestWindows:
    def start(self, lns: Lns, flow: str = "windows") -> Peer:
        peer = Peer(lns, flow, tunnel_id=1)
        (reply,) = peer.send(self.sccrq())
        assert reply.kind == SCCRP
        peer.peer_tunnel_id = int.from_bytes(reply.avps[9])
        return peer

    def sccrq(self) -> bytes:
        return message(
            SCCRQ,
            avp(2, b"\1\0"),
            avp(3, u32(1)),
            avp(4, u32(0)),
            avp(6, u16(0x0A00), mandatory=False),
            avp(7, b"RWB-LAPTOP-DELL"),
            avp(8, b"Microsoft", mandatory=False),
            avp(9, u16(1)),
            avp(10, u16(8)),
        )

    def test_its_sccrq_has_the_length_that_was_logged(self) -> None:
        assert len(control(0, 0, 0, 0, self.sccrq())) == 108

    def test_login_with_the_correlation_avp(self, lns: Lns) -> None:
        peer = self.start(lns)
        peer.send(message(SCCCN))
        guid = avp(1, bytes(16), vendor=311, mandatory=False)
        (reply,) = peer.send(icrq(1, avp(18, u32(2)), guid))
        assert reply.kind == ICRP
        number = int.from_bytes(reply.avps[14])
        proxy = avp(29, u16(4), mandatory=False)
        (zlb,) = peer.send(iccn(proxy), number)
        assert zlb.kind == 0
        opened, session = events(lns)
        assert isinstance(opened, TunnelOpened)
        assert (opened.host_name, opened.vendor_name) == ("RWB-LAPTOP-DELL", "Microsoft")
        assert isinstance(session, SessionOpened)

    def test_the_sccrq_again_after_two_seconds(self, lns: Lns) -> None:
        peer = self.start(lns)
        peer.now = 2.0
        (zlb,) = peer.raw(control(0, 0, 0, 0, self.sccrq()))
        assert zlb.kind == 0
        assert len(lns.snapshot().tunnels) == 1

    def test_two_of_them_behind_one_nat(self, lns: Lns) -> None:
        first, second = self.start(lns, "first"), self.start(lns, "second")
        for peer in (first, second):
            peer.send(message(SCCCN))
            assert peer.open_session(1)
        assert len(lns.snapshot().tunnels) == 2

    def test_data_with_length(self, lns: Lns) -> None:
        peer = self.start(lns)
        peer.send(message(SCCCN))
        number = peer.open_session(1)
        events(lns)
        head = u16(8 + len(FRAME)) + u16(peer.peer_tunnel_id) + u16(number)
        peer.raw(b"\x40\x02" + head + FRAME)
        assert events(lns) == [FrameReceived(number, FRAME)]


class TestXl2tpd:
    def test_its_zlbs_name_the_call(self, lns: Lns) -> None:
        peer = Peer(lns)
        number = peer.open_tunnel()
        (reply,) = peer.send(icrq(5))
        session = int.from_bytes(reply.avps[14])
        assert peer.raw(control(number, session, peer.ns, peer.nr)) == []
        assert lns.drained

    def test_a_random_vector_and_nothing_hidden(self, lns: Lns) -> None:
        peer = Peer(lns)
        peer.open_tunnel()
        vector = avp(36, b"v" * 16)
        (zlb,) = peer.send(message(HELLO, vector))
        assert zlb.kind == 0


class TestRouters:
    def test_mikrotik_sends_no_error_code(self, lns: Lns) -> None:
        peer = Peer(lns)
        peer.open_tunnel()
        session = peer.open_session()
        events(lns)
        peer.send(cdn(11, b"\0\1"), session)
        (event,) = events(lns)
        assert isinstance(event, SessionClosed)
        assert event.why == "the peer disconnected the call: LOSS_OF_CARRIER"

    def test_a_wrong_tunnel_id_in_stopccn(self, lns: Lns) -> None:
        """MSL2TP: the header tells which tunnel it is."""
        peer = Peer(lns)
        peer.open_tunnel()
        events(lns)
        peer.send(stopccn(0x9999))
        (event,) = events(lns)
        assert isinstance(event, TunnelClosed)

    def test_broadband_forum_avps(self, lns: Lns) -> None:
        peer = Peer(lns)
        peer.open_tunnel()
        line = avp(1, b"circuit id", vendor=3561, mandatory=False)
        (reply,) = peer.send(icrq(5, line, avp(129, u32(1), vendor=3561, mandatory=False)))
        assert reply.kind == ICRP
        assert not [event for event in events(lns) if isinstance(event, SessionRefused)]
