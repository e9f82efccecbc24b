"""The packets of the clients that systems carry built in, as logs and sources show them."""

from ipaddress import IPv4Address

import pytest

from ppp.config import LinkConfig, Method
from ppp.constants import ChapCode, Code, Protocol
from ppp.events import LinkClosed, LinkOpened, NetworkOpened, Reason
from ppp.frame import Frame
from ppp.mschapv2 import generate_authenticator_response, generate_nt_response, nt_password_hash
from ppp.packet import Packet
from tests.support.native.profile import MAGIC as MAGIC_NUMBER
from tests.support.native.profile import Options, Profile
from tests.support.native.profiles import ANDROID_7, ANDROID_10, MACOS, STRONGSWAN, WINDOWS_10
from tests.support.ppp import ASSIGNMENT, NAME, PASSWORD, Sent, Server, configure, read

MRU, AUTH, MAGIC, PFC, ACFC = 1, 3, 5, 7, 8
VJ, ADDRESS, DNS1, NBNS1, DNS2, NBNS2 = 2, 3, 129, 130, 131, 132
CCP, IPV6CP, ACSCP = Protocol(0x80FD), Protocol(0x8057), Protocol(0x8235)
REQUEST = Code.CONFIGURE_REQUEST

WITHOUT_EAP = (Method.MS_CHAP_V2, Method.CHAP_MD5, Method.PAP)

ZERO = "00000000"
ASSIGNED, OWN, DNS = "0a09000a", "0a090001", "0a090035"


def lcp(identifier: int, *options: tuple[int, str]) -> Sent:
    return configure(Protocol.LCP, REQUEST, identifier, *options)


def numbered(options: Options, magic: str) -> list[tuple[int, str]]:
    """Return options with a magic number in its place."""
    return [(kind, magic if text == MAGIC_NUMBER else text) for kind, text in options]


def ipcp(identifier: int, *options: tuple[int, str]) -> Sent:
    return configure(Protocol.IPCP, REQUEST, identifier, *options)


def acked(sent: Sent) -> Sent:
    return sent._replace(code=Code.CONFIGURE_ACK)


def nak(asked: Sent, *options: tuple[int, str]) -> Sent:
    return configure(asked.protocol, Code.CONFIGURE_NAK, asked.identifier, *options)


def reject(asked: Sent, *options: tuple[int, str]) -> Sent:
    return configure(asked.protocol, Code.CONFIGURE_REJECT, asked.identifier, *options)


def identification(identifier: int, magic: bytes, text: bytes) -> Sent:
    return Sent(Protocol.LCP, Code.IDENTIFICATION, identifier, magic + text)


def mschapv2_response(challenge: Sent, name: bytes = NAME.encode()) -> tuple[Sent, bytes]:
    """Return a Response, and what the Success must begin with."""
    assert challenge.protocol is Protocol.CHAP
    assert challenge.code == ChapCode.CHALLENGE
    ours, theirs, key = challenge.data[1:17], bytes(range(16)), nt_password_hash(PASSWORD)
    response = generate_nt_response(ours, theirs, name, key)
    value = theirs + bytes(8) + response + b"\0"
    expected = generate_authenticator_response(ours, theirs, name, key, response)
    return Sent(Protocol.CHAP, 2, challenge.identifier, b"\x31" + value + name), expected


def protocol_reject(server: Server, unwanted: Sent) -> None:
    """Check that the server answers a packet by Protocol-Reject."""
    (answer,) = server.give(unwanted)
    packet = Packet(unwanted.code, unwanted.identifier, unwanted.data).build()
    assert answer.code == Code.PROTOCOL_REJECT
    assert answer.data == unwanted.protocol.to_bytes(2, "big") + packet


def is_network_open(server: Server) -> bool:
    opened = NetworkOpened(ASSIGNMENT.gateway, ASSIGNMENT.address, 1400)
    return opened in server.events and not any(isinstance(e, LinkClosed) for e in server.events)


@pytest.mark.parametrize("unwanted", [1, 3], ids=["callback", "callback and multilink"])
def test_windows(unwanted: int) -> None:
    """Windows 7 to 11: one Identifier counter for all protocols, beginning with 0."""
    server = Server()
    ours = server.start()
    options = numbered(WINDOWS_10.ppp.lcp, "16c02943")
    basic, more = options[:4], options[4 : 4 + unwanted]
    first = lcp(0, *basic, *more)
    again, refused = server.give(first)
    assert again == ours
    assert refused == reject(first, *more)
    second = lcp(1, *basic)
    assert server.give(second) == [acked(second)]
    (challenge,) = server.give(acked(ours))
    magic = bytes.fromhex("16c02943")
    for identifier, text in enumerate(WINDOWS_10.ppp.identifications, 2):
        assert server.give(identification(identifier, magic, text)) == []
    response, expected = mschapv2_response(challenge, b"CORP\\alice")
    success, own = server.give(response)
    assert success.code == ChapCode.SUCCESS
    assert success.data.startswith(expected + b" M=")
    assert own == configure(Protocol.IPCP, REQUEST, own.identifier, (ADDRESS, OWN))
    for identifier, (protocol, wanted) in enumerate(WINDOWS_10.ppp.before, 5):
        protocol_reject(server, configure(Protocol(protocol), REQUEST, identifier, *wanted))
    wish = ipcp(7, *WINDOWS_10.ppp.ipcp)
    assert server.give(wish) == [reject(wish, (NBNS1, ZERO), (DNS2, ZERO), (NBNS2, ZERO))]
    wish = ipcp(8, (ADDRESS, ZERO), (DNS1, ZERO))
    assert server.give(wish) == [nak(wish, (ADDRESS, ASSIGNED), (DNS1, DNS))]
    wish = ipcp(9, (ADDRESS, ASSIGNED), (DNS1, DNS))
    assert server.give(acked(own), wish) == [acked(wish)]
    assert is_network_open(server)
    goodbye = Sent(Protocol.LCP, Code.TERMINATE_REQUEST, 10, magic + bytes(4))
    assert server.give(goodbye) == [goodbye._replace(code=Code.TERMINATE_ACK, data=b"")]
    server.wait(3)
    closed = server.events[-1]
    assert isinstance(closed, LinkClosed)
    assert closed.by_peer


def login(server: Server, ours: Sent) -> Sent:
    """Acknowledge our LCP, log in by MS-CHAPv2; return the server's IPCP request."""
    (challenge,) = server.give(acked(ours))
    response, expected = mschapv2_response(challenge)
    success, own = server.give(response)
    assert success.data.startswith(expected)
    return own


def test_windows_with_a_wrong_password() -> None:
    server = Server()
    ours = server.start()
    server.give(lcp(0, (MRU, "0578"), (MAGIC, "16c02943")))
    (challenge,) = server.give(acked(ours))
    response, _ = mschapv2_response(challenge, b"bob")
    failure, terminate = server.give(response)
    assert failure.data.startswith(b"E=691 R=0 C=")
    assert failure.data.endswith(b" V=3 M=authentication failed")
    assert terminate.code == Code.TERMINATE_REQUEST


def test_windows_that_may_only_use_eap() -> None:
    server = Server(LinkConfig(methods=WITHOUT_EAP))
    sent = server.start()
    for _ in range(3):
        (sent,) = server.give(nak(sent, (AUTH, "c227")))
    assert sent.code == Code.TERMINATE_REQUEST
    server.give(Sent(Protocol.LCP, Code.TERMINATE_ACK, sent.identifier))
    closed = server.events[-1]
    assert isinstance(closed, LinkClosed)
    assert closed.reason is Reason.METHODS_REFUSED


def test_pppd() -> None:
    """pppd 2.4.9 under xl2tpd: it starts after our first request, and offers IPV6CP."""
    server = Server()
    ours = server.start()
    server.wait(0.37)
    request = lcp(1, *numbered(STRONGSWAN.ppp.lcp, "8483cebe"))
    assert server.give(request) == [ours, acked(request)]
    (challenge,) = server.give(acked(ours))
    assert server.now < 0.4, "the client has waited for nothing"
    (echo,) = server.give(Sent(Protocol.LCP, Code.ECHO_REQUEST, 0, bytes.fromhex("8483cebe")))
    assert echo == Sent(Protocol.LCP, Code.ECHO_REPLY, 0, server.magic)
    response, _ = mschapv2_response(challenge)
    _, own = server.give(response)
    wish = ipcp(1, (ADDRESS, ZERO), (DNS1, ZERO), (DNS2, ZERO))
    assert server.give(wish) == [reject(wish, (DNS2, ZERO))]
    protocol_reject(server, configure(IPV6CP, REQUEST, 1, (1, "10257af36f1fe024")))
    assert server.give(acked(own)) == []
    wish = ipcp(2, (ADDRESS, ASSIGNED), (DNS1, DNS))
    assert server.give(wish) == [acked(wish)]
    assert is_network_open(server)
    goodbye = Sent(Protocol.LCP, Code.TERMINATE_REQUEST, 2, b"User request")
    assert server.give(goodbye, goodbye._replace(identifier=3))[-1].identifier == 3


def test_macos() -> None:
    """macOS and iOS: no MRU, since 1500 is the default; ACSCP for routes."""
    server = Server()
    ours = server.start()
    request = lcp(1, *numbered(MACOS.ppp.lcp, "35b2a7f1"))
    assert server.give(request)[-1] == acked(request)
    own = login(server, ours)
    assert LinkOpened(1500, LinkConfig().methods[0]) in server.events
    wish = ipcp(1, (ADDRESS, ZERO), (DNS1, ZERO), (DNS2, ZERO))
    assert server.give(wish) == [reject(wish, (DNS2, ZERO))]
    protocol_reject(server, configure(ACSCP, REQUEST, 1, (1, "00000001")))
    wish = ipcp(2, (ADDRESS, ZERO), (DNS1, ZERO))
    assert server.give(acked(own), wish) == [nak(wish, (ADDRESS, ASSIGNED), (DNS1, DNS))]
    wish = ipcp(3, (ADDRESS, ASSIGNED), (DNS1, DNS))
    assert server.give(wish) == [acked(wish)]
    assert is_network_open(server)


def test_ios_with_an_empty_option_list() -> None:
    server = Server()
    ours = server.start()
    assert server.give(lcp(1))[-1] == acked(lcp(1))
    assert login(server, ours).protocol is Protocol.IPCP


@pytest.mark.parametrize(("profile", "mtu"), [(ANDROID_7, 1400), (ANDROID_10, 1270)], ids=str)
def test_android(profile: Profile, mtu: int) -> None:
    """Android up to 12: pppd with deflate and BSD compression and Van Jacobson's."""
    server = Server()
    ours = server.start()
    request = lcp(1, *numbered(profile.ppp.lcp, "e318c6fc"))
    assert server.give(request)[-1] == acked(request)
    own = login(server, ours)
    ((_, compressions),) = profile.ppp.before
    protocol_reject(server, configure(CCP, REQUEST, 1, *compressions))
    wish = ipcp(1, *profile.ppp.ipcp)
    assert server.give(wish) == [reject(wish, (VJ, "002d0f01"), (DNS2, ZERO))]
    wish = ipcp(2, (ADDRESS, ZERO), (DNS1, ZERO))
    assert server.give(wish) == [nak(wish, (ADDRESS, ASSIGNED), (DNS1, DNS))]
    wish = ipcp(3, (ADDRESS, ASSIGNED), (DNS1, DNS))
    assert server.give(acked(own), wish) == [acked(wish)]
    opened = NetworkOpened(ASSIGNMENT.gateway, IPv4Address("10.9.0.10"), mtu)
    assert opened in server.events


def test_a_client_that_compresses_its_headers() -> None:
    """After PFC and ACFC a peer may leave out what LCP never leaves out (section 6.6)."""
    server = Server()
    ours = server.start()
    server.give(lcp(1, (PFC, ""), (ACFC, "")))
    (challenge,) = server.give(acked(ours))
    response, _ = mschapv2_response(challenge)
    server.link.receive(response.build()[2:], 0.0)
    server.decide()
    frames = server.link.frames_to_send()
    assert [read(frame).code for frame in frames] == [ChapCode.SUCCESS, REQUEST]
    assert all(frame.startswith(b"\xff\x03") for frame in frames)
    server.link.receive(bytes.fromhex("21") + b"E" + bytes(19), 0.0)
    server.link.receive(Frame(Protocol.IPV4, b"E" + bytes(19)).build()[2:], 0.0)
    assert server.take() == []
    assert server.link.malformed == 0
