"""Peers that shipped bugs, and peers that mean harm: they cost no more than their link."""

import pytest

from ppp.config import LinkConfig, Method
from ppp.constants import ChapCode, Code, Protocol
from ppp.events import Authenticated, AuthenticationRequested, LinkClosed, NetworkOpened, Reason
from ppp.frame import Frame
from ppp.link import Phase
from tests.support.ppp import Sent, Server, configure

PAP_LOGIN = Sent(Protocol.PAP, 1, 1, b"\x05alice\x0awonderland")
BY_PAP = LinkConfig(methods=(Method.PAP,))


def test_no_network_without_authentication() -> None:
    """Every protocol in every phase before the login: nothing opens."""
    server = Server()
    everything = [
        Sent(Protocol(number), code, identifier, data)
        for number in (Protocol.IPCP, Protocol.PAP, 0xC227, 0x80FD, 0x0021)
        for code in range(1, 15)
        for identifier in (0, 1)
        for data in (b"", b"\x05alice\x0awonderland", bytes.fromhex("03060a09000a"))
    ]
    server.start()
    assert server.give(*everything) == []
    server = Server()
    server.open_lcp()
    assert server.give(*everything) == []
    assert server.link.phase is Phase.AUTHENTICATE
    assert not any(isinstance(event, NetworkOpened) for event in server.events)


def test_a_success_sent_to_the_authenticator_means_nothing() -> None:
    server = Server()
    (challenge,) = server.open_lcp()
    for code in (ChapCode.SUCCESS, ChapCode.FAILURE, ChapCode.CHALLENGE):
        stray = Sent(Protocol.CHAP, code, challenge.identifier, b"\x01aS=" + b"0" * 40)
        assert server.give(stray) == []
    assert not any(isinstance(event, Authenticated) for event in server.events)


def test_pap_where_chap_was_agreed() -> None:
    server = Server()
    server.open_lcp()
    assert server.give(PAP_LOGIN) == []
    assert not any(isinstance(event, AuthenticationRequested) for event in server.events)


def test_a_second_login_of_another_user_is_not_looked_at() -> None:
    server = Server(BY_PAP)
    server.open_lcp()
    server.give(PAP_LOGIN)
    (again,) = server.give(Sent(Protocol.PAP, 1, 2, b"\x07mallory\x01x"))
    assert again == Sent(Protocol.PAP, 2, 2, b"\0")
    names = [event.name for event in server.events if isinstance(event, Authenticated)]
    assert names == ["alice"]


def test_after_a_refused_login_there_is_no_other_on_this_link() -> None:
    server = Server(BY_PAP)
    server.open_lcp()
    nak, terminate = server.give(PAP_LOGIN._replace(data=b"\x05alice\x01x"))
    assert nak.code == 3
    assert terminate.code == Code.TERMINATE_REQUEST
    assert server.give(PAP_LOGIN._replace(identifier=2)) == []
    assert not any(isinstance(event, Authenticated) for event in server.events)


def test_negotiating_anew_after_the_login_demands_another_login() -> None:
    server = Server(BY_PAP)
    server.open_lcp()
    server.give(PAP_LOGIN)
    ours, _ = server.give(configure(Protocol.LCP, Code.CONFIGURE_REQUEST, 9))
    server.give(ours._replace(code=Code.CONFIGURE_ACK))
    assert server.link.phase is Phase.AUTHENTICATE
    wish = configure(Protocol.IPCP, Code.CONFIGURE_REQUEST, 1, (3, "0a09000a"))
    assert server.give(wish) == []


def test_an_endless_nak_ends() -> None:
    server = Server()
    sent = [server.start()]
    count = 0
    while sent and sent[0].code == Code.CONFIGURE_REQUEST:
        count += 1
        sent = server.give(
            configure(Protocol.LCP, Code.CONFIGURE_NAK, sent[0].identifier, (1, "05d4"))
        )
    assert count <= 20
    server.wait(10)
    closed = server.events[-1]
    assert isinstance(closed, LinkClosed)
    assert closed.reason is Reason.NOT_CONVERGED


def test_an_endless_nak_of_ipcp_ends_the_link() -> None:
    server = Server(BY_PAP)
    server.open_lcp()
    _, sent = server.give(PAP_LOGIN)
    while sent.code == Code.CONFIGURE_REQUEST:
        (sent,) = server.give(
            configure(Protocol.IPCP, Code.CONFIGURE_NAK, sent.identifier, (3, "01010101"))
        )
    assert sent.protocol is Protocol.LCP
    assert sent.code == Code.TERMINATE_REQUEST


def test_every_packet_gets_at_most_two_answers_of_its_size() -> None:
    """No reflector: but for our own request, repeated once, an answer to each packet."""
    server = Server()
    server.start()
    for identifier in range(256):
        request = configure(Protocol.LCP, Code.CONFIGURE_REQUEST, identifier, (13, "06"))
        answers = server.give(request)
        assert len(answers) == (2 if identifier == 0 else 1)
        assert len(answers[-1].build()) == len(request.build())


@pytest.mark.parametrize("protocol", [Protocol.LCP, Protocol.IPCP, Protocol.PAP, Protocol.CHAP])
@pytest.mark.parametrize("packet", ["", "01", "0101", "010100", "01010003", "0101ffff", "01010005"])
def test_lengths_that_lie(protocol: Protocol, packet: str) -> None:
    for config in (LinkConfig(), BY_PAP):
        server = Server(config)
        server.open_lcp()
        server.link.receive(Frame(protocol, bytes.fromhex(packet)).build(), 0.0)
        assert server.take() == []
        assert server.link.phase is Phase.AUTHENTICATE


def test_an_option_listed_twice_is_rejected() -> None:
    server = Server()
    server.start()
    request = configure(
        Protocol.LCP, Code.CONFIGURE_REQUEST, 1, (5, "01020304"), (5, "05060708"), (1, "0578")
    )
    _, answer = server.give(request)
    assert answer == configure(Protocol.LCP, Code.CONFIGURE_REJECT, 1, (5, "05060708"))


def test_identifications_without_end_leave_nothing_behind() -> None:
    server = Server()
    server.open_lcp()
    before = len(server.events)
    for identifier in range(256):
        flood = Sent(Protocol.LCP, Code.IDENTIFICATION, identifier, bytes(1000))
        assert server.give(flood) == []
    assert len(server.events) == before
