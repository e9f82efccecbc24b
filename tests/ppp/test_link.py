"""The link as a whole: phases, logins of both roles, how it ends. RFC 1661 section 3."""

from dataclasses import astuple

import pytest
from scapy.layers.inet import IP, UDP

from ppp import Credentials, EapMethod, Link, LinkConfig, Method
from ppp.constants import ChapCode, Code, Protocol
from ppp.eap_peer import EapPeer
from ppp.events import (
    Authenticated,
    AuthenticationRequested,
    LinkClosed,
    LinkOpened,
    NetworkClosed,
    NetworkOpened,
    Reason,
)
from ppp.frame import Frame
from ppp.link import Phase
from ppp.packet import Packet
from tests.support.ppp import (
    ASSIGNMENT,
    CREDENTIALS,
    NAME,
    Fate,
    Pair,
    Sent,
    Server,
    configure,
    entropy,
    read,
)
from wire import LocalError


def open_pair(pair: Pair) -> None:
    pair.start()
    assert pair.run(20, lambda: is_open(pair))


def is_open(pair: Pair) -> bool:
    return all(
        any(isinstance(event, NetworkOpened) for event in events) for events in pair.events.values()
    )


@pytest.mark.parametrize("method", Method)
def test_login(method: Method) -> None:
    pair = Pair(server=LinkConfig(methods=(method,)))
    open_pair(pair)
    kinds = [type(event) for event in pair.events[pair.server]]
    assert kinds == [LinkOpened, AuthenticationRequested, Authenticated, NetworkOpened]
    assert NetworkOpened(ASSIGNMENT.gateway, ASSIGNMENT.address, 1400) in pair.events[pair.server]
    assert pair.events[pair.client] == [
        LinkOpened(1400, method),
        Authenticated(NAME),
        NetworkOpened(ASSIGNMENT.address, ASSIGNMENT.gateway, 1400, ASSIGNMENT.dns),
    ]
    assert pair.server.phase is pair.client.phase is Phase.NETWORK


def test_a_login_waits_for_nothing_but_the_wire() -> None:
    """LCP 2 crossings, CHAP 3, IPCP 6: each end sends all it can at once."""
    pair = Pair(lambda: Fate((0.1,)))
    open_pair(pair)
    assert pair.now == pytest.approx(1.1)


@pytest.mark.parametrize(("mru", "client_mru", "mtu"), [(1400, 1280, 1280), (1280, 1500, 1280)])
def test_the_mtu_is_what_both_ends_take(mru: int, client_mru: int, mtu: int) -> None:
    pair = Pair(
        server=LinkConfig(mru=mru), client=LinkConfig(mru=client_mru, credentials=CREDENTIALS)
    )
    open_pair(pair)
    opened = pair.events[pair.server][-1]
    assert isinstance(opened, NetworkOpened)
    assert opened.mtu == mtu


@pytest.mark.parametrize("method", Method)
def test_a_wrong_password(method: Method) -> None:
    pair = Pair(
        server=LinkConfig(methods=(method,)),
        client=LinkConfig(credentials=Credentials(NAME, "looking-glass")),
    )
    pair.start()
    pair.run(20)
    for link in (pair.server, pair.client):
        closed = pair.events[link][-1]
        assert isinstance(closed, LinkClosed)
        assert closed.reason is Reason.AUTHENTICATION_FAILED
        assert "authentication failed" in closed.why
        assert link.next_timeout() is None
    assert not any(isinstance(event, Authenticated) for event in pair.events[pair.client])


def test_no_common_method() -> None:
    client = LinkConfig(credentials=CREDENTIALS, methods=(Method.PAP,))
    pair = Pair(server=LinkConfig(methods=(Method.MS_CHAP_V2,)), client=client)
    pair.start()
    pair.run(20)
    closed = pair.events[pair.server][-1]
    assert isinstance(closed, LinkClosed)
    assert closed.reason is Reason.METHODS_REFUSED


def test_a_client_moves_the_server_to_its_method() -> None:
    pair = Pair(client=LinkConfig(credentials=CREDENTIALS, methods=(Method.PAP,)))
    open_pair(pair)
    assert pair.events[pair.server][0] == LinkOpened(1400, Method.PAP)


def test_a_long_verification_costs_neither_end_the_link() -> None:
    server = Server(LinkConfig(authentication_timeout=30, methods=(Method.PAP,)), aaa=False)
    server.open_lcp()
    login = Sent(Protocol.PAP, 1, 1, b"\x05alice\x0awonderland")
    server.give(login)
    for identifier in range(2, 40):
        assert server.give(login._replace(identifier=identifier)) == []
        for sent in server.wait(3):
            assert sent.code == Code.ECHO_REQUEST
            server.give(sent._replace(code=Code.ECHO_REPLY, data=bytes(4)))
    (request,) = [event for event in server.events if isinstance(event, AuthenticationRequested)]
    server.link.authenticated(request.request, b"", server.now)
    assert server.take() == [Sent(Protocol.PAP, 2, 39, b"\0")]
    server.link.assign(ASSIGNMENT, server.now)
    (ipcp,) = server.take()
    assert ipcp.protocol is Protocol.IPCP


def test_a_peer_that_does_not_authenticate_is_closed() -> None:
    server = Server(LinkConfig(authentication_timeout=30, echo_interval=0))
    server.open_lcp()
    sent = server.wait(29.9)
    assert {packet.code for packet in sent} == {ChapCode.CHALLENGE}
    assert len(sent) == 9
    sent = server.wait(0.2)
    assert [packet.code for packet in sent] == [Code.TERMINATE_REQUEST]
    server.wait(10)
    closed = server.events[-1]
    assert isinstance(closed, LinkClosed)
    assert closed.reason is Reason.AUTHENTICATION_TIMED_OUT


def test_a_peer_that_does_not_confirm_the_success_of_eap_is_closed() -> None:
    config = LinkConfig(
        methods=(Method.EAP,), authentication_timeout=30, echo_interval=0, max_terminate=1
    )
    server = Server(config)
    said = server.open_lcp()
    responses: list[Packet] = []
    peer = EapPeer(CREDENTIALS, entropy(2), responses.append)
    for _ in range(2):
        (request,) = said
        peer.receive(Packet(*request[1:]), 0.0)
        said = server.give(Sent(Protocol.EAP, *astuple(responses[-1])))
    (success,) = said
    assert b"S=" in success.data
    assert set(server.wait(29.9)) == {success}, "no IPCP, nor the Success of EAP"
    assert Authenticated(NAME) not in server.events
    (terminate,) = server.wait(0.2)
    assert terminate.code == Code.TERMINATE_REQUEST
    server.wait(10)
    closed = server.events[-1]
    assert isinstance(closed, LinkClosed)
    assert closed.reason is Reason.AUTHENTICATION_TIMED_OUT


@pytest.mark.parametrize(
    "config",
    [
        LinkConfig(methods=(Method.EAP,), eap_methods=()),
        LinkConfig(methods=(Method.EAP,), eap_methods=(EapMethod.TLS,)),
    ],
)
def test_eap_without_a_method_is_our_own_mistake(config: LinkConfig) -> None:
    with pytest.raises(LocalError):
        Server(config)


def test_another_try_is_granted_and_has_its_time() -> None:
    config = LinkConfig(authentication_attempts=2, authentication_timeout=30, echo_interval=0)
    server = Server(config)
    (challenge,) = server.open_lcp()
    wrong = b"\x31" + bytes(49) + b"alice"
    (failure,) = server.give(Sent(Protocol.CHAP, 2, challenge.identifier, wrong))
    assert b" R=1 " in failure.data
    assert server.wait(29) == []
    second = (challenge.identifier + 1) % 256
    failure, terminate = server.give(Sent(Protocol.CHAP, 2, second, wrong))
    assert b" R=0 " in failure.data
    assert terminate.code == Code.TERMINATE_REQUEST
    assert terminate.protocol is Protocol.LCP


def test_an_answer_to_an_old_request_has_no_effect() -> None:
    server = Server(aaa=False)
    (challenge,) = server.open_lcp()
    response = b"\x31" + bytes(49) + b"alice"
    server.give(Sent(Protocol.CHAP, 2, challenge.identifier, response))
    server.link.receive(configure(Protocol.LCP, Code.CONFIGURE_REQUEST, 2).build(), 0.0)
    sent = server.take()
    server.link.authenticated(1, b"S=", 0.0)
    assert server.take() == [], "LCP is being negotiated anew"
    (challenge,) = server.give(sent[0]._replace(code=Code.CONFIGURE_ACK))
    server.give(Sent(Protocol.CHAP, 2, challenge.identifier, response))
    server.link.authenticated(1, b"S=", 0.0)
    server.link.rejected(1, 691, "no", 0.0)
    assert server.take() == []
    requests = [e.request for e in server.events if isinstance(e, AuthenticationRequested)]
    assert requests == [1, 2]
    server.link.rejected(2, 691, "no", 0.0)
    assert [sent.code for sent in server.take()] == [ChapCode.FAILURE, Code.TERMINATE_REQUEST]
    server.link.rejected(2, 691, "no", 0.0)
    server.link.authenticated(2, b"S=", 0.0)
    server.link.assign(ASSIGNMENT, 0.0)
    assert server.take() == []
    assert not any(isinstance(event, Authenticated) for event in server.events)


def test_the_link_is_negotiated_anew_when_the_peer_wishes() -> None:
    pair = Pair()
    open_pair(pair)
    for events in pair.events.values():
        events.clear()
    again = configure(Protocol.LCP, Code.CONFIGURE_REQUEST, 99)
    pair.server.receive(again.build(), pair.now)
    assert pair.run(30, lambda: is_open(pair))
    kinds = [type(event) for event in pair.events[pair.server]]
    assert kinds[0] is NetworkClosed
    assert kinds[-4:] == [LinkOpened, AuthenticationRequested, Authenticated, NetworkOpened]


@pytest.mark.parametrize("by_server", [True, False])
def test_either_end_terminates(by_server: bool) -> None:
    pair = Pair()
    open_pair(pair)
    one, other = (pair.server, pair.client) if by_server else (pair.client, pair.server)
    one.terminate("good night", pair.now)
    pair.run(10)
    assert pair.events[one][-2:] == [
        NetworkClosed(),
        LinkClosed(Reason.LOCALLY_TERMINATED, "good night"),
    ]
    closed = pair.events[other][-1]
    assert closed == LinkClosed(Reason.PEER_TERMINATED, "the peer ended LCP: 'good night'")
    assert isinstance(closed, LinkClosed)
    assert closed.by_peer


def test_both_ends_terminate_at_once() -> None:
    pair = Pair()
    open_pair(pair)
    for link in pair.events:
        link.terminate("good night", pair.now)
    pair.run(10)
    for events in pair.events.values():
        assert sum(isinstance(event, LinkClosed) for event in events) == 1


def test_the_peer_ends_ipcp_and_with_it_the_link() -> None:
    pair = Pair()
    open_pair(pair)
    pair.server.receive(Sent(Protocol.IPCP, Code.TERMINATE_REQUEST, 9).build(), pair.now)
    pair.run(10)
    closed = pair.events[pair.server][-1]
    assert isinstance(closed, LinkClosed)
    assert closed.by_peer


def test_the_session_under_the_link_ends() -> None:
    pair = Pair()
    open_pair(pair)
    pair.server.lower_down(pair.now)
    assert pair.server.next_event() == NetworkClosed()
    closed = pair.server.next_event()
    assert isinstance(closed, LinkClosed)
    assert closed.reason is Reason.LOWER_LAYER_DOWN
    assert pair.server.next_timeout() is None
    pair.server.lower_down(pair.now)
    pair.server.terminate("again", pair.now)
    assert pair.server.next_event() is None


def test_the_reason_for_which_the_link_is_ending_stays() -> None:
    server = Server()
    server.start()
    server.link.terminate("shutting down", 0.0)
    server.link.lower_down(0.0)
    assert server.link.next_event() == LinkClosed(Reason.LOCALLY_TERMINATED, "shutting down")


def test_a_dead_peer_does_not_hold_the_link() -> None:
    server = Server()
    server.open_lcp()
    server.link.terminate("good night", server.now)
    assert [sent.code for sent in server.wait(10)] == [Code.TERMINATE_REQUEST] * 2
    assert isinstance(server.events[-1], LinkClosed)
    assert server.now == 10


def test_a_missed_success_is_repeated_before_ipcp() -> None:
    """A peer that still waits for its Success drops IPCP, and not all repeat their Response."""
    server = Server(LinkConfig(methods=(Method.PAP,)))
    server.open_lcp()
    first = server.give(Sent(Protocol.PAP, 1, 1, b"\x05alice\x0awonderland"))
    assert [sent.protocol for sent in first] == [Protocol.PAP, Protocol.IPCP]
    assert server.wait(1.0) == first
    server.give(first[1]._replace(code=Code.CONFIGURE_ACK))
    assert {sent.protocol for sent in server.wait(3.0)} == {Protocol.IPCP}


def opened_server() -> Server:
    server = Server(LinkConfig(methods=(Method.PAP,)))
    server.open_lcp()
    server.give(Sent(Protocol.PAP, 1, 1, b"\x05alice\x0awonderland"))
    return server


@pytest.mark.parametrize("protocol", [0x80FD, 0x8057, 0x8235, 0xC227, 0xC223, 0x0057, 0x4021])
def test_what_we_do_not_speak_is_rejected(protocol: int) -> None:
    server = opened_server()
    server.link.receive(Frame(Protocol(protocol), b"\x01\x05\x00\x04").build(), 0.0)
    (reject,) = server.take()
    assert reject.protocol is Protocol.LCP
    assert reject.code == Code.PROTOCOL_REJECT
    assert reject.data == protocol.to_bytes(2, "big") + b"\x01\x05\x00\x04"


def test_a_protocol_reject_fits_the_peers_mru() -> None:
    server = Server(LinkConfig(methods=(Method.PAP,)))
    server.open_lcp((1, "0240"))
    server.give(Sent(Protocol.PAP, 1, 1, b"\x05alice\x0awonderland"))
    server.link.receive(Frame(Protocol(0x0057), bytes(1400)).build(), 0.0)
    (frame,) = server.link.frames_to_send()
    assert len(frame) == 4 + 576
    assert len(read(frame).data) == 576 - 4


def test_what_comes_too_early_is_silently_dropped() -> None:
    server = Server()
    early = [Sent(Protocol(number), 1, 1) for number in (0x8021, 0x80FD, 0xC023, 0x8057, 0x21)]
    assert server.give(*early) == [], "not started"
    server.start()
    assert server.give(*early, Sent(Protocol.CHAP, 2, 1)) == [], "Establish"
    server = Server()
    server.open_lcp()
    assert server.give(*early) == [], "Authenticate"
    assert not any(isinstance(event, AuthenticationRequested) for event in server.events)


def test_ip_packets_are_not_the_links_business() -> None:
    server = opened_server()
    packet = bytes(IP(src="10.9.0.10", dst="192.168.1.5") / UDP(dport=67) / b"not for us")
    server.link.receive(Frame(Protocol.IPV4, packet).build(), 0.0)
    assert server.take() == []
    assert server.link.malformed == 0


def test_a_server_that_asks_for_no_proof_is_fine_for_a_client() -> None:
    client = Server(LinkConfig(credentials=CREDENTIALS))
    request = client.start()
    client.give(configure(Protocol.LCP, Code.CONFIGURE_REQUEST, 1))
    (ipcp,) = client.give(request._replace(code=Code.CONFIGURE_ACK))
    assert ipcp.protocol is Protocol.IPCP
    assert LinkOpened(1500, None) in client.events


def test_what_cannot_be_decoded_is_counted() -> None:
    server = opened_server()
    for octets in (b"", b"\xff\x03", b"\xff\x03\xc0\x21\x01", b"\xff\x03\x80\x21\x01\x01\x00\x05"):
        server.link.receive(octets, 0.0)
    assert server.link.malformed == 4
    assert server.take() == []


def test_our_own_mistakes_are_reported() -> None:
    with pytest.raises(LocalError):
        Link(LinkConfig(methods=()), entropy())
    server = opened_server()
    with pytest.raises(LocalError):
        server.link.start(0.0)
    with pytest.raises(LocalError):
        server.link.assign(ASSIGNMENT, 0.0)
    with pytest.raises(LocalError):
        Link(LinkConfig(credentials=CREDENTIALS), entropy()).assign(ASSIGNMENT, 0.0)


def test_a_closed_link_hears_nothing() -> None:
    server = opened_server()
    server.link.lower_down(0.0)
    server.decide()
    assert server.give(configure(Protocol.LCP, Code.CONFIGURE_REQUEST, 1)) == []
    assert server.wait(1000) == []
