"""The golden L2TP sessions of xl2tpd and pppd, and broken messages from the wild."""

from collections import Counter

import pytest

from l2tp import authentication
from l2tp.avp import parse_avps
from l2tp.config import L2tpConfig
from l2tp.constants import MessageType
from l2tp.events import FrameReceived, SessionOpened, TunnelClosed, TunnelOpened
from l2tp.header import ControlHeader, DataHeader, is_control
from l2tp.lns import Lns
from l2tp.messages import Message, Sccrp, Sccrq, parse_message
from l2tp.shared import DropReason
from tests.support.l2tp import Peer, entropy, events, parse_control
from tests.support.pcap import DATA, UdpDatagram, frames, udp_datagrams
from wire import DecodeError, Reader

SESSIONS = ("l2tp-chapmd5.pcap", "l2tp-mschapv2.pcap", "l2tp-tunnelauth-mschapv2.pcap")
SECRET = b"golden-tunnel-secret *"
"""xl2tpd takes the rest of the line in its file, star and all."""
CLIENT = "10.1.0.2"


def l2tp_of(name: str) -> list[UdpDatagram]:
    return [d for d in udp_datagrams(DATA / "golden" / name) if 1701 in (d.source[1],)]


def messages_of(name: str) -> list[tuple[ControlHeader, Message | None]]:
    found = []
    for datagram in l2tp_of(name):
        if is_control(datagram.payload):
            header, body = ControlHeader.parse(Reader(datagram.payload))
            avps = body.rest()
            found.append((header, parse_message(avps) if avps else None))
    return found


@pytest.mark.parametrize("name", SESSIONS)
def test_every_message_is_rebuilt_to_the_same_octets(name: str) -> None:
    kinds = Counter()  # type: ignore[var-annotated]
    for datagram in l2tp_of(name):
        data = datagram.payload
        reader = Reader(data)
        if is_control(data):
            header, body = ControlHeader.parse(reader)
            avps = list(parse_avps(body))
            kinds["control"] += 1
            assert header.build(b"".join(avp.build() for avp in avps)) == data
        else:
            data_header, frame = DataHeader.parse(reader)
            kinds["data"] += 1
            assert data_header.build(frame) == data
    assert kinds["control"] >= 11
    assert kinds["data"] >= 20


@pytest.mark.parametrize("name", SESSIONS)
def test_the_messages_of_a_session(name: str) -> None:
    kinds = [message.TYPE for _, message in messages_of(name) if message]
    assert sorted(kinds) == sorted(
        [
            MessageType.SCCRQ,
            MessageType.SCCRP,
            MessageType.SCCCN,
            MessageType.ICRQ,
            MessageType.ICRP,
            MessageType.ICCN,
            MessageType.StopCCN,
        ]
    )


def test_a_zlb_has_the_session_id_of_the_call() -> None:
    """xl2tpd's habit; such a ZLB is one all the same."""
    zlbs = [header for header, message in messages_of(SESSIONS[0]) if message is None]
    assert any(header.session_id for header in zlbs)


def test_the_names_in_it() -> None:
    requests = [message for _, message in messages_of(SESSIONS[0]) if isinstance(message, Sccrq)]
    assert [(r.host_name, r.vendor_name, r.firmware_revision) for r in requests] == [
        (b"lac.example", b"xelerance.com", 0x0690)
    ]


def test_tunnel_authentication() -> None:
    by_type = {message.TYPE: message for _, message in messages_of(SESSIONS[2]) if message}
    request, reply = by_type[MessageType.SCCRQ], by_type[MessageType.SCCRP]
    connected = by_type[MessageType.SCCCN]
    assert isinstance(request, Sccrq)
    assert isinstance(reply, Sccrp)
    assert request.challenge
    assert reply.challenge
    assert reply.challenge_response == authentication.response(
        MessageType.SCCRP, SECRET, request.challenge
    )
    assert connected.challenge_response == authentication.response(  # type: ignore[attr-defined]
        MessageType.SCCCN, SECRET, reply.challenge
    )


@pytest.mark.parametrize("name", SESSIONS)
def test_our_lns_serves_the_recorded_client(name: str) -> None:
    """Only our ids and, with authentication, the client's answer to our challenge differ."""
    secret = SECRET if name == SESSIONS[2] else None
    lns = Lns(L2tpConfig(host_name="lns", secret=secret), entropy().randbytes)
    peer = Peer(lns)
    session_id = 0
    for datagram in l2tp_of(name):
        if datagram.source[0] != CLIENT:
            continue
        data = bytearray(datagram.payload)
        if not is_control(data):
            at = 4 if data[0] & 0x40 else 2
            data[at : at + 4] = peer.peer_tunnel_id.to_bytes(2) + session_id.to_bytes(2)
            peer.raw(bytes(data))
            continue
        if int.from_bytes(data[4:6]):
            data[4:6] = peer.peer_tunnel_id.to_bytes(2)
        if int.from_bytes(data[6:8]):
            data[6:8] = session_id.to_bytes(2)
        for answer in peer.raw(bytes(data)):
            if answer.kind == MessageType.SCCRP:
                peer.peer_tunnel_id = int.from_bytes(answer.avps[9])
                assert (13 in answer.avps) == (secret is not None)
            if answer.kind == MessageType.ICRP:
                session_id = int.from_bytes(answer.avps[14])
    told = events(lns)
    kinds = Counter(type(event) for event in told)
    assert kinds[TunnelOpened] == kinds[SessionOpened] == kinds[TunnelClosed] == 1
    assert kinds[FrameReceived] >= 10
    (opened,) = (event for event in told if isinstance(event, TunnelOpened))
    assert (opened.host_name, opened.vendor_name) == ("lac.example", "xelerance.com")
    (closed,) = (event for event in told if isinstance(event, TunnelClosed))
    assert closed.by_peer
    late = {DropReason.UNKNOWN_SESSION: 2}  # pppd's LCP Terminate-Requests after the StopCCN
    assert lns.snapshot().dropped == late


def test_broken_messages_from_the_wild() -> None:
    """tcpdump's find: an AVP that overflows. Nothing but DecodeError, and no answer."""
    seen = 0
    for frame in frames(DATA / "malformed" / "l2tp-avp-overflow.pcap"):
        lns = Lns(L2tpConfig(host_name="lns"), entropy().randbytes)
        for start in range(len(frame.data)):
            octets = frame.data[start:]
            try:
                list(parse_avps(Reader(octets)))
            except DecodeError:
                seen += 1
            lns.receive(octets, "flow", 0.0)
        for datagram in lns.datagrams_to_send():
            parse_control(datagram.data)
    assert seen > 100
