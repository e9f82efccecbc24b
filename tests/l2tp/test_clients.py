"""What native clients do that a textbook LAC does not, message by message."""

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
    Peer,
    avp,
    cdn,
    control,
    entropy,
    events,
    icrq,
    message,
    parse_control,
    raw_avps,
    sccrq,
    stopccn,
    u16,
    u32,
)
from tests.support.native.agenda import Agenda
from tests.support.native.lac import Lac
from tests.support.native.profiles import ANDROID_7, MACOS, WINDOWS_10
from tests.support.native.program import Program

FRAME = bytes.fromhex("ff03c0210101000a")


@pytest.fixture
def lns() -> Lns:
    return Lns(L2tpConfig(host_name="lns"), entropy().randbytes)


class Android(Program):
    """Android's client, which is strict, and what goes between it and an LNS; `log` has that."""

    def __init__(self, lns: Lns) -> None:
        super().__init__()
        self.lns = lns
        self.log: list[int] = []
        self.lac = Lac(ANDROID_7.l2tp, b"", entropy(2).randbytes, Agenda(), self)
        self.lac.connect()
        self.exchange()

    def exchange(self) -> None:
        while self.sent:
            self.lns.receive(self.sent.pop(0), "android", 0.0)
            for datagram in self.lns.datagrams_to_send():
                self.log.append(parse_control(datagram.data).kind)
                self.lac.receive(datagram.data)


class TestAndroid:
    def test_login(self, lns: Lns) -> None:
        client = Android(lns)
        assert client.calls == 1, "it has started pppd"
        assert client.log == [SCCRP, 0, ICRP, 0]
        assert [type(event) for event in events(lns)] == [TunnelOpened, SessionOpened]

    def test_hang_up(self, lns: Lns) -> None:
        client = Android(lns)
        events(lns)
        client.lac.stop()
        client.exchange()
        session, tunnel = events(lns)
        assert isinstance(session, SessionClosed)
        assert isinstance(tunnel, TunnelClosed)
        assert tunnel.why == "the peer stopped the tunnel: SHUTTING_DOWN"

    def test_never_two_messages_at_a_time(self, lns: Lns) -> None:
        Android(lns)
        _, opened = events(lns)
        assert isinstance(opened, SessionOpened)
        lns.close_session(opened.session, CallResult.ADMINISTRATIVE, now=0.0)
        lns.close_all(0.0)
        assert len(lns.datagrams_to_send()) == 1


class TestApple:
    def start(self, lns: Lns) -> Peer:
        peer = Peer(lns, tunnel_id=0x00A1)
        assert peer.raw(control(0, 0, 0, 0, message(HELLO))) == [], "it does that"
        (reply,) = peer.send(message(SCCRQ, *MACOS.l2tp.sccrq(0x00A1, b"my-iphone")))
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
        return message(SCCRQ, *WINDOWS_10.l2tp.sccrq(1, b"RWB-LAPTOP-DELL"))

    def test_login_with_the_correlation_avp(self, lns: Lns) -> None:
        peer = self.start(lns)
        peer.send(message(SCCCN))
        (reply,) = peer.send(message(ICRQ, *WINDOWS_10.l2tp.icrq(1)))
        assert reply.kind == ICRP
        number = int.from_bytes(reply.avps[14])
        (zlb,) = peer.send(message(ICCN, *WINDOWS_10.l2tp.iccn), number)
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
