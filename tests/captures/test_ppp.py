"""PPP of recorded sessions: parsed and rebuilt to the same octets, and the logins verified."""

from contextlib import suppress
from pathlib import Path

import pytest

from ppp import Link, LinkConfig
from ppp.chap import MsChapV2Value, NamedValue
from ppp.constants import ChapCode, Code, PapCode, Protocol
from ppp.frame import Frame
from ppp.packet import Packet, build_options, parse_options
from ppp.pap import AuthenticateRequest, Reply
from ppp.proofs import ChapMd5Proof, MsChapV2Proof
from tests.support.pcap import DATA, frames, ip_packets, udp_datagrams
from tests.support.ppp import PASSWORD, Server, entropy
from wire import DecodeError, Reader

GOLDEN = ("l2tp-chapmd5.pcap", "l2tp-mschapv2.pcap", "l2tp-tunnelauth-mschapv2.pcap")
PPPOE = ("suricata/pppoe-lcp-ccp-ipcp.pcap", "zeek/pppoe.pcap")
MALFORMED = (
    "heapoverflow-ppp_hdlc_if_print.pcap",
    "mlppp-oobr.pcap",
    "ppp-invalid-lengths.pcap",
    "ppp_ccp_config_deflate_option_asan.pcap",
    "ppp_error_hexdump.pcap",
)
NCPS = (Protocol.LCP, Protocol.IPCP, 0x8057, 0x80FD)
"""What shares LCP's codes: IPCP, IPV6CP and CCP."""


def l2tp_frames(path: Path) -> list[bytes]:
    """Return the PPP frames of the L2TP data messages in the clear (RFC 2661 section 3.1)."""
    found = []
    for datagram in udp_datagrams(path):
        reader = Reader(datagram.payload)
        flags = reader.u16()
        if flags & 0x8000:
            continue
        reader.skip((2 if flags & 0x4000 else 0) + 4 + (4 if flags & 0x0800 else 0))
        if flags & 0x0200:
            reader.skip(reader.u16())
        found.append(reader.rest())
    return found


def pppoe_frames(path: Path) -> list[bytes]:
    """Return the PPP frames of PPPoE sessions (RFC 2516 section 4)."""
    sessions = (frame.data[14:] for frame in frames(path) if frame.data[12:14] == b"\x88\x64")
    return [data[6 : 6 + int.from_bytes(data[4:6])] for data in sessions]


def pptp_frames(path: Path) -> list[bytes]:
    """Return the PPP frames in enhanced GRE (RFC 2637 section 4.1), itself in IP in IP."""
    found = []
    for packet in ip_packets(path):
        reader = Reader(packet.payload)
        reader.skip(20)
        flags = reader.u16()
        reader.skip(6 + (4 if flags & 0x1000 else 0) + (4 if flags & 0x0080 else 0))
        found.append(reader.rest())
    return found


def recorded() -> list[tuple[str, list[bytes]]]:
    found = [(name, l2tp_frames(DATA / "golden" / name)) for name in GOLDEN]
    found += [(name, pppoe_frames(DATA / name)) for name in PPPOE]
    return [*found, ("gre-pptp", pptp_frames(DATA / "zeek" / "gre-pptp.pcap"))]


def rebuilt(frame: Frame) -> bytes:
    """Take the Information apart as far as we can, and put it together again."""
    if frame.protocol not in (*NCPS, Protocol.PAP, Protocol.CHAP):
        return frame.information
    packet = Packet.parse(Reader(frame.information))
    padding = frame.information[len(packet.build()) :]
    reader = Reader(packet.data)
    data = packet.data
    if frame.protocol in NCPS and packet.code <= Code.CONFIGURE_REJECT:
        data = build_options(parse_options(packet.data))
    elif frame.protocol is Protocol.CHAP and packet.code <= ChapCode.RESPONSE:
        data = NamedValue.parse(reader).build()
    elif frame.protocol is Protocol.PAP and packet.code == PapCode.AUTHENTICATE_REQUEST:
        data = AuthenticateRequest.parse(reader).build()
    elif frame.protocol is Protocol.PAP:
        data = Reply.parse(reader).build()
    return Packet(packet.code, packet.identifier, data).build() + padding


@pytest.mark.parametrize(("name", "octets"), recorded(), ids=[name for name, _ in recorded()])
def test_frames_are_rebuilt(name: str, octets: list[bytes]) -> None:
    assert octets
    for octet in octets:
        frame = Frame.parse(Reader(octet))
        again = Frame(frame.protocol, rebuilt(frame)).build()
        assert again == octet if octet.startswith(b"\xff\x03") else again == b"\xff\x03" + octet


def exchange(name: str) -> dict[ChapCode, Packet]:
    parsed = (Frame.parse(Reader(octets)) for octets in l2tp_frames(DATA / "golden" / name))
    packets = [Packet.parse(Reader(f.information)) for f in parsed if f.protocol is Protocol.CHAP]
    return {ChapCode(packet.code): packet for packet in packets}


def test_chap_md5() -> None:
    packets = exchange("l2tp-chapmd5.pcap")
    challenge = NamedValue.parse(Reader(packets[ChapCode.CHALLENGE].data))
    response = NamedValue.parse(Reader(packets[ChapCode.RESPONSE].data))
    identifier = packets[ChapCode.CHALLENGE].identifier
    proof = ChapMd5Proof(response.name.decode(), identifier, challenge.value, response.value)
    assert proof.name == "alice"
    assert proof.verify(PASSWORD, None) == b""
    assert proof.verify(PASSWORD + "x", None) is None


@pytest.mark.parametrize("name", GOLDEN[1:])
def test_mschapv2(name: str) -> None:
    packets = exchange(name)
    challenge = NamedValue.parse(Reader(packets[ChapCode.CHALLENGE].data))
    response = NamedValue.parse(Reader(packets[ChapCode.RESPONSE].data))
    value = MsChapV2Value.parse(Reader(response.value))
    assert value.build() == response.value
    name = response.name.decode()
    proof = MsChapV2Proof(name, challenge.value, value.peer_challenge, value.nt_response)
    reply = proof.verify(PASSWORD, None)
    assert reply
    assert packets[ChapCode.SUCCESS].data == reply + b" M=Access granted"
    assert proof.verify(PASSWORD + "x", None) is None


@pytest.mark.parametrize("name", GOLDEN)
def test_a_recorded_client_opens_our_lcp(name: str) -> None:
    """pppd's own packets, except that its Ack of another server's request is made to fit."""
    server = Server()
    request = server.start()
    recorded_request = next(
        octets
        for octets in l2tp_frames(DATA / "golden" / name)
        if octets[2:5] == b"\xc0\x21\x01" and b"\x03\x05\xc2\x23" not in octets
    )
    server.link.receive(recorded_request, 0.4)
    again, ack = server.take()
    assert again == request
    assert ack.build() == recorded_request.replace(b"\xc0\x21\x01", b"\xc0\x21\x02", 1)
    (challenge,) = server.give(request._replace(code=Code.CONFIGURE_ACK))
    assert challenge.protocol is Protocol.CHAP


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(name: str) -> None:
    for captured in frames(DATA / "malformed" / name):
        for start in (0, 14):
            octets = captured.data[start:]
            with suppress(DecodeError):
                rebuilt(Frame.parse(Reader(octets)))
            link = Link(LinkConfig(), entropy())
            link.start(0.0)
            link.receive(octets, 0.0)
            assert link.malformed <= 1
