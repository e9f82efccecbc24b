"""IPCP of the end that assigns and of the end that asks: RFC 1332, RFC 1877."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from ppp.config import Assignment, LinkConfig
from ppp.constants import Code, Protocol
from ppp.events import Reason
from ppp.ipcp import IpcpClient, IpcpServer
from ppp.packet import Option, Packet, build_options, parse_options

ADDRESSES, VJ, ADDRESS, MOBILE, DNS1, NBNS1, DNS2, NBNS2 = 1, 2, 3, 4, 129, 130, 131, 132

ASSIGNMENT = Assignment(
    IPv4Address("172.16.1.51"),
    IPv4Address("172.16.1.1"),
    (IPv4Address("192.168.1.53"), IPv4Address("192.168.1.54"), IPv4Address("192.168.1.55")),
    (IPv4Address("192.168.1.5"),),
)


class Surroundings:
    """What an automaton needs; remembers what it sends."""

    peer_mru = 1500

    def __init__(self) -> None:
        self.sent: list[Packet] = []
        self.is_up = False
        self.given_up = False

    def send(self, protocol: Protocol, packet: Packet) -> None:
        assert protocol is Protocol.IPCP
        self.sent.append(packet)

    def layer_up(self, layer: object, now: float) -> None:
        self.is_up = True

    def layer_down(self, layer: object, now: float) -> None:
        self.is_up = False

    def layer_finished(self, layer: object, now: float) -> None:
        self.is_up = False

    def give_up(self, reason: Reason, why: str, now: float) -> None:
        self.given_up = True

    def take(self) -> Packet:
        (packet,) = self.sent
        self.sent.clear()
        return packet


def address(text: str) -> bytes:
    return IPv4Address(text).packed


def configure(code: Code, identifier: int, **options: str) -> Packet:
    """Return a Configure packet; options are named by `_<type>`."""
    named = (Option(int(name[1:]), address(text)) for name, text in options.items())
    return Packet(code, identifier, build_options(named))


def started(assignment: Assignment = ASSIGNMENT) -> tuple[IpcpServer, Surroundings, Packet]:
    link = Surroundings()
    ipcp = IpcpServer(LinkConfig(), link)
    ipcp.assign(assignment)
    ipcp.open(0.0)
    ipcp.up(0.0)
    return ipcp, link, link.take()


def ask(*options: Option, assignment: Assignment = ASSIGNMENT) -> tuple[Code, tuple[Option, ...]]:
    ipcp, link, _ = started(assignment)
    ipcp.receive(Packet(Code.CONFIGURE_REQUEST, 7, build_options(options)), 0.0)
    answer = link.take()
    assert answer.identifier == 7
    return Code(answer.code), parse_options(answer.data)


ASSIGNED = Option(ADDRESS, address("172.16.1.51"))
ZERO = bytes(4)


def test_the_server_tells_its_own_address_at_once() -> None:
    _, _, request = started()
    assert request == configure(Code.CONFIGURE_REQUEST, 1, _3="172.16.1.1")


@pytest.mark.parametrize("wanted", ["0.0.0.0", "10.0.0.1", "172.16.1.52"])
def test_any_other_address_is_nakd_with_the_assigned(wanted: str) -> None:
    assert ask(Option(ADDRESS, address(wanted))) == (Code.CONFIGURE_NAK, (ASSIGNED,))


def test_the_assigned_address_is_acknowledged() -> None:
    assert ask(ASSIGNED) == (Code.CONFIGURE_ACK, (ASSIGNED,))


def test_servers_are_told_in_the_order_of_the_request() -> None:
    code, options = ask(
        Option(NBNS1, ZERO), Option(DNS2, ZERO), Option(ADDRESS, ZERO), Option(DNS1, ZERO)
    )
    assert code is Code.CONFIGURE_NAK
    assert options == (
        Option(NBNS1, address("192.168.1.5")),
        Option(DNS2, address("192.168.1.54")),
        ASSIGNED,
        Option(DNS1, address("192.168.1.53")),
    )


def test_what_there_is_none_of_is_rejected_in_one_go() -> None:
    vj = Option(VJ, bytes.fromhex("002d0f01"))
    others = [Option(ADDRESSES, bytes(8)), Option(MOBILE, ZERO), Option(99)]
    wanted = [Option(kind, ZERO) for kind in (ADDRESS, DNS1, NBNS1, DNS2, NBNS2)]
    code, options = ask(vj, *wanted, *others, assignment=replace(ASSIGNMENT, dns=(), nbns=()))
    assert code is Code.CONFIGURE_REJECT
    assert options == (vj, *wanted[1:], *others)


def test_one_name_server_is_offered_once() -> None:
    one = replace(ASSIGNMENT, dns=ASSIGNMENT.dns[:1])
    assert ask(ASSIGNED, Option(DNS2, ZERO), assignment=one) == (
        Code.CONFIGURE_REJECT,
        (Option(DNS2, ZERO),),
    )


def test_a_malformed_address_is_nakd() -> None:
    assert ask(Option(ADDRESS, b"")) == (Code.CONFIGURE_NAK, (ASSIGNED,))
    assert ask(Option(ADDRESS, bytes(16))) == (Code.CONFIGURE_NAK, (ASSIGNED,))


def test_a_peer_that_asks_for_no_address_is_prompted_but_not_for_ever() -> None:
    ipcp, link, _ = started()
    for _ in range(LinkConfig().max_failure):
        ipcp.receive(Packet(Code.CONFIGURE_REQUEST, 7), 0.0)
        assert link.take() == Packet(Code.CONFIGURE_NAK, 7, ASSIGNED.build())
    ipcp.receive(Packet(Code.CONFIGURE_REQUEST, 7), 0.0)
    assert link.take() == Packet(Code.CONFIGURE_ACK, 7)


def test_the_server_insists_on_its_own_address() -> None:
    ipcp, link, request = started()
    ipcp.receive(configure(Code.CONFIGURE_NAK, request.identifier, _3="10.0.0.9"), 0.0)
    again = link.take()
    assert again.data == request.data
    assert again.identifier != request.identifier


def test_a_peer_need_not_know_our_address() -> None:
    ipcp, link, request = started()
    ipcp.receive(Packet(Code.CONFIGURE_REJECT, request.identifier, request.data), 0.0)
    assert link.take() == Packet(Code.CONFIGURE_REQUEST, request.identifier + 1)


def client() -> tuple[IpcpClient, Surroundings]:
    link = Surroundings()
    ipcp = IpcpClient(LinkConfig(), link)
    ipcp.open(0.0)
    ipcp.up(0.0)
    assert link.take() == configure(
        Code.CONFIGURE_REQUEST, 1, _3="0.0.0.0", _129="0.0.0.0", _131="0.0.0.0"
    )
    return ipcp, link


def test_a_client_takes_what_it_is_told() -> None:
    ipcp, link = client()
    ipcp.receive(
        configure(Code.CONFIGURE_NAK, 1, _3="10.9.0.10", _129="10.9.0.53", _131="10.9.0.54"), 0.0
    )
    request = link.take()
    assert request.identifier == 2
    ipcp.receive(Packet(Code.CONFIGURE_ACK, 2, request.data), 0.0)
    ipcp.receive(configure(Code.CONFIGURE_REQUEST, 1, _3="10.9.0.1"), 0.0)
    assert link.is_up
    assert str(ipcp.local) == "10.9.0.10"
    assert str(ipcp.remote) == "10.9.0.1"
    assert [str(server) for server in ipcp.dns] == ["10.9.0.53", "10.9.0.54"]


def test_a_client_does_without_name_servers() -> None:
    ipcp, link = client()
    ipcp.receive(configure(Code.CONFIGURE_REJECT, 1, _129="0.0.0.0", _131="0.0.0.0"), 0.0)
    assert link.take() == configure(Code.CONFIGURE_REQUEST, 2, _3="0.0.0.0")
    assert ipcp.dns == ()


@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_client_does_not_do_without_an_address(acknowledged: bool) -> None:
    ipcp, link = client()
    zero = {"_3": "0.0.0.0", "_129": "0.0.0.0", "_131": "0.0.0.0"}
    code = Code.CONFIGURE_ACK if acknowledged else Code.CONFIGURE_REJECT
    ipcp.receive(configure(code, 1, **zero), 0.0)
    if not acknowledged:
        request = link.take()
        ipcp.receive(Packet(Code.CONFIGURE_ACK, request.identifier, request.data), 0.0)
    ipcp.receive(configure(Code.CONFIGURE_REQUEST, 1, _3="10.9.0.1"), 0.0)
    assert link.given_up
    assert not link.is_up


@pytest.mark.parametrize(
    "option",
    [
        Option(ADDRESS, ZERO),
        Option(ADDRESS, b"\1\2\3"),
        Option(DNS1, ZERO),
        Option(VJ, bytes.fromhex("002d0f01")),
    ],
)
def test_a_client_has_nothing_to_tell(option: Option) -> None:
    ipcp, link = client()
    ipcp.receive(Packet(Code.CONFIGURE_REQUEST, 3, option.build()), 0.0)
    assert link.take() == Packet(Code.CONFIGURE_REJECT, 3, option.build())


def test_the_peer_may_keep_its_address_to_itself() -> None:
    ipcp, link = client()
    ipcp.receive(Packet(Code.CONFIGURE_REQUEST, 3), 0.0)
    assert link.take() == Packet(Code.CONFIGURE_ACK, 3)
    assert ipcp.remote is None
