"""IPV6CP: RFC 5072 section 4.1 case by case, and that nothing it does ends a link."""

from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network

import pytest

from ppp import Assignment, LinkConfig, Method
from ppp.constants import Code, LcpOption, Protocol
from ppp.events import (
    Authenticated,
    AuthenticationRequested,
    Event,
    Ipv6Closed,
    Ipv6Opened,
    LinkClosed,
    NetworkOpened,
)
from ppp.ipv6cp import SERVER
from tests.support import ppp as support
from tests.support.ppp import CREDENTIALS, NAME, PASSWORD, Pair, Sent, Server, configure, read

REQUEST, ACK, NAK, REJECT = (
    Code.CONFIGURE_REQUEST,
    Code.CONFIGURE_ACK,
    Code.CONFIGURE_NAK,
    Code.CONFIGURE_REJECT,
)
IPV6CP = Protocol.IPV6CP
PEER = "10257af36f1fe024"
OURS = SERVER.hex()
ASSIGNMENT6 = replace(
    support.ASSIGNMENT,
    prefix=IPv6Network("2001:db8:1:7::/64"),
    gateway6=IPv6Address("2001:db8:1::1"),
)
CLIENT6 = LinkConfig(credentials=CREDENTIALS, ipv6=True)


@pytest.fixture(autouse=True)
def assigned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the servers of this file assign a prefix too."""
    monkeypatch.setattr(support, "ASSIGNMENT", ASSIGNMENT6)


def logged_in(*options: tuple[int, str], config: LinkConfig | None = None) -> tuple[Server, Sent]:
    """Log in by PAP; return the server and its first IPV6CP request."""
    server = Server(replace(config or LinkConfig(), methods=(Method.PAP,)))
    server.open_lcp(*options)
    proof = bytes([len(NAME)]) + NAME.encode() + bytes([len(PASSWORD)]) + PASSWORD.encode()
    sent = server.give(Sent(Protocol.PAP, 1, 9, proof))
    requests = [packet for packet in sent if packet.protocol is IPV6CP]
    return server, requests[0] if requests else Sent(IPV6CP, 0, 0)


def of_ipv6cp(packets: list[Sent]) -> list[Sent]:
    return [packet for packet in packets if packet.protocol is IPV6CP]


def is_up(server: Server) -> bool:
    return not any(isinstance(event, LinkClosed) for event in server.events)


def test_a_server_and_a_client() -> None:
    pair = Pair(client=CLIENT6)
    pair.start()
    pair.run(3)
    (of_server,) = (e for e in pair.events[pair.server] if isinstance(e, Ipv6Opened))
    (of_client,) = (e for e in pair.events[pair.client] if isinstance(e, Ipv6Opened))
    assert of_server.local == SERVER
    assert (of_server.local, of_server.remote) == (of_client.remote, of_client.local)
    assert len(of_client.local) == 8
    assert not of_client.local[0] & 0x02, "not globally unique"
    assert any(isinstance(event, NetworkOpened) for event in pair.events[pair.client])


def test_the_servers_request() -> None:
    _, request = logged_in()
    assert request.code == REQUEST
    assert request.options == {1: SERVER}


def test_another_identifier_is_acknowledged_as_it_is() -> None:
    server, request = logged_in()
    packet = configure(IPV6CP, REQUEST, 5, (1, PEER))
    assert of_ipv6cp(server.give(packet)) == [packet._replace(code=ACK)]
    server.give(request._replace(code=ACK))
    assert Ipv6Opened(SERVER, bytes.fromhex(PEER)) in server.events


@pytest.mark.parametrize("wrong", [OURS, "00" * 8, "0011", ""])
def test_no_identifier_or_our_own_gets_another_suggested(wrong: str) -> None:
    server, _ = logged_in()
    (nak,) = of_ipv6cp(server.give(configure(IPV6CP, REQUEST, 5, (1, wrong))))
    assert (nak.code, nak.identifier) == (NAK, 5)
    suggested = nak.options[1]
    assert len(suggested) == 8
    assert suggested not in (bytes(8), SERVER)
    (ack,) = of_ipv6cp(server.give(configure(IPV6CP, REQUEST, 6, (1, suggested.hex()))))
    assert ack.code == ACK


def test_a_peer_that_tells_no_identifier_is_asked_and_then_let_be() -> None:
    server, request = logged_in()
    server.give(request._replace(code=ACK))
    for number in range(5):
        (nak,) = of_ipv6cp(server.give(configure(IPV6CP, REQUEST, number)))
        assert nak.code == NAK
        assert len(nak.options[1]) == 8
    (ack,) = of_ipv6cp(server.give(configure(IPV6CP, REQUEST, 9)))
    assert ack.code == ACK
    assert Ipv6Opened(SERVER, bytes(8)) in server.events


def test_compression_is_rejected() -> None:
    """RFC 5072 section 4 has had an IPv6-Compression-Protocol option, 2."""
    server, _ = logged_in()
    (reject,) = of_ipv6cp(server.give(configure(IPV6CP, REQUEST, 1, (1, PEER), (2, "004f"))))
    assert reject == configure(IPV6CP, REJECT, 1, (2, "004f"))


def test_a_server_takes_the_identifier_that_it_is_told() -> None:
    server, request = logged_in()
    told = "020000fffe000001"
    nak = configure(IPV6CP, NAK, request.identifier, (1, told))
    (again,) = of_ipv6cp(server.give(nak))
    assert again.options == {1: bytes.fromhex(told)}


@pytest.mark.parametrize("told", ["00" * 8, PEER, "01"])
def test_a_server_takes_no_bad_identifier(told: str) -> None:
    server, request = logged_in()
    server.give(configure(IPV6CP, REQUEST, 1, (1, PEER)))
    (again,) = of_ipv6cp(server.give(configure(IPV6CP, NAK, request.identifier, (1, told))))
    assert len(again.options[1]) == 8
    assert again.options[1] not in (bytes(8), bytes.fromhex(PEER))


def test_a_rejected_identifier_is_kept_to_ourselves() -> None:
    server, request = logged_in()
    (again,) = of_ipv6cp(server.give(request._replace(code=REJECT)))
    assert again.options == {}
    server.give(configure(IPV6CP, REQUEST, 1, (1, PEER)), again._replace(code=ACK))
    assert Ipv6Opened(SERVER, bytes.fromhex(PEER)) in server.events


def test_a_peer_without_ipv6_keeps_ipv4() -> None:
    server, request = logged_in()
    rejected = IPV6CP.to_bytes(2, "big") + bytes([1, request.identifier, 0, 4])
    server.give(Sent(Protocol.LCP, Code.PROTOCOL_REJECT, 7, rejected))
    assert of_ipv6cp(server.wait(20)) == []
    assert is_up(server)


def test_a_client_of_ours_without_ipv6_keeps_ipv4() -> None:
    pair = Pair()
    pair.start()
    pair.run(100)
    assert not any(isinstance(e, LinkClosed) for e in pair.events[pair.server])
    answers = [read(frame) for _, link, frame in pair.carried if link is pair.server]
    assert [answer for answer in answers if answer.code == Code.PROTOCOL_REJECT]


def test_a_peer_that_never_answers_is_not_asked_for_ever() -> None:
    server, request = logged_in()
    asked = of_ipv6cp(server.wait(25))
    assert len(asked) == 9
    assert {packet.identifier for packet in asked} == {request.identifier}


def test_refusing_again_and_again_ends_ipv6_alone() -> None:
    server, request = logged_in()
    sent = [request]
    for number in range(30):
        sent = of_ipv6cp(
            server.give(configure(IPV6CP, NAK, sent[-1].identifier, (1, f"{number + 9:016x}")))
        )
        if sent[-1].code != REQUEST:
            break
    assert sent[-1].code == Code.TERMINATE_REQUEST
    assert is_up(server)


def test_a_peer_may_end_ipv6_and_begin_it_again() -> None:
    server, request = logged_in()
    server.give(configure(IPV6CP, REQUEST, 1, (1, PEER)), request._replace(code=ACK))
    server.take()
    (ack,) = of_ipv6cp(server.give(Sent(IPV6CP, Code.TERMINATE_REQUEST, 2)))
    assert ack.code == Code.TERMINATE_ACK
    assert Ipv6Closed() in server.events
    assert is_up(server)
    server.wait(4)
    again = of_ipv6cp(server.give(configure(IPV6CP, REQUEST, 3, (1, PEER))))
    assert {packet.code for packet in again} == {REQUEST, ACK}


@pytest.mark.parametrize("mru", ["0400", "04ff"])
def test_a_link_too_small_for_ipv6_has_none(mru: str) -> None:
    """Android and some ChromeOS take 1270."""
    server, request = logged_in((LcpOption.MAXIMUM_RECEIVE_UNIT, mru))
    assert request.code == 0
    (reject,) = server.give(configure(IPV6CP, REQUEST, 1, (1, PEER)))
    assert (reject.protocol, reject.code) == (Protocol.LCP, Code.PROTOCOL_REJECT)


def test_nothing_of_ipv6_before_the_login() -> None:
    server = Server()
    server.open_lcp()
    assert server.give(configure(IPV6CP, REQUEST, 1, (1, PEER))) == []


def test_ipv6_packets_before_ipv6cp_are_dropped() -> None:
    server, _ = logged_in()
    assert server.give(Sent(Protocol.IPV6, 0x60, 0)) == []


def test_a_new_negotiation_of_lcp_takes_ipv6_along() -> None:
    pair = Pair(client=CLIENT6)
    pair.start()
    pair.run(3)
    before = len(pair.events[pair.server])
    pair.server.receive(configure(Protocol.LCP, REQUEST, 200).build(), pair.now)
    seen: list[Event] = []
    while (event := pair.server.next_event()) is not None:
        seen.append(event)
    assert Ipv6Closed() in seen
    pair.run(20)
    later = pair.events[pair.server][before:]
    assert [e for e in later if isinstance(e, AuthenticationRequested | Authenticated)]
    assert [e for e in later if isinstance(e, Ipv6Opened)]


def test_without_a_prefix_it_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    plain: Assignment = replace(ASSIGNMENT6, prefix=None)
    monkeypatch.setattr(support, "ASSIGNMENT", plain)
    server, request = logged_in()
    assert request.code == 0
    (reject,) = server.give(configure(IPV6CP, REQUEST, 1, (1, PEER)))
    assert (reject.protocol, reject.code) == (Protocol.LCP, Code.PROTOCOL_REJECT)
