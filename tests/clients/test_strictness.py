"""The simulators refuse what the real clients refuse: else their logins would prove little."""

from collections.abc import Callable
from random import Random

import pytest

from ipsec.constants import IdType, IkeAttribute, NotifyType, PayloadType
from ipsec.endpoint import Ike
from ipsec.message import Payload
from ipsec.path import Address, Path
from ipsec.payloads import Identification, Notification
from ipsec.policy import LEGACY
from ipsec.proposals import Attribute, Proposal, SecurityAssociation, Transform
from ppp.config import Credentials
from ppp.constants import Code, Protocol
from tests.support.caller import changed, clear, rebuilt
from tests.support.ike import CLIENT, PSK, SERVER, config
from tests.support.l2tp import ICRP, SCCRP, avp, control, message, parse_control, u16, u32
from tests.support.native.agenda import Agenda, Refusal, Stray
from tests.support.native.lac import Lac, State
from tests.support.native.main_mode import MainMode
from tests.support.native.ppp import PppClient
from tests.support.native.profile import Profile
from tests.support.native.profiles import (
    ANDROID_7,
    LIBRESWAN,
    MACOS,
    PROFILES,
    WINDOWS_10,
    WINDOWS_XP,
)
from tests.support.native.program import Program
from tests.support.native.quick_mode import QuickMode
from tests.support.ppp import Sent, configure
from wire import Reader

OURS = Path(Address(CLIENT, 500), Address(SERVER, 500))
THEIRS = Path(OURS.peer, OURS.local)
NOTE = Payload(PayloadType.NOTIFY, Notification(NotifyType.CONNECTED).build())


class Exchange:
    """A main mode with our server, message by message."""

    def __init__(self, profile: Profile, seen: Path = THEIRS, **settings: object) -> None:
        """`seen` is the path as the server sees it."""
        self.seen = seen
        self.server = Ike(config(policy=LEGACY, **settings), Random(2).randbytes)
        entropy = Random(1).randbytes
        self.main = MainMode(profile.phase1, PSK, OURS, entropy, first_contact=True)
        self.message: bytes | None = self.main.first()

    def answer(self) -> bytes:
        assert self.message is not None
        self.server.receive(self.message, self.seen, 0.0)
        (datagram, *_) = self.server.datagrams_to_send()
        return datagram.data

    def go_on(self, times: int = 1) -> None:
        for _ in range(times):
            self.message = self.main.receive(self.answer(), OURS)


def with_note(message: bytes) -> bytes:
    return rebuilt(message, [*clear(message).items, NOTE])


def twice(message: bytes) -> bytes:
    items = clear(message).items
    return rebuilt(message, [*items, items[0]])


def other_attribute(message: bytes) -> bytes:
    """Return message 2 with a lifetime that means the same in another encoding."""
    sa = SecurityAssociation.parse(Reader(clear(message).the(PayloadType.SA)))
    (proposal,) = sa.proposals
    (transform,) = proposal.transforms
    attributes = tuple(
        Attribute(one.type, one.number.to_bytes(8), False)
        if one.type == IkeAttribute.LIFE_DURATION
        else one
        for one in transform.attributes
    )
    answer = Proposal(
        proposal.number,
        proposal.protocol,
        b"",
        (Transform(transform.number, transform.id, attributes),),
    )
    return changed(message, PayloadType.SA, SecurityAssociation((answer,)).build())


def as_windows(message: bytes) -> bytes:
    vendor_id = Payload(
        PayloadType.VENDOR, bytes.fromhex("1e2b516905991c7d7c96fcbfb587e46100000009")
    )
    return rebuilt(message, [*clear(message).items, vendor_id])


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("change", [with_note, twice, other_attribute, as_windows])
def test_message_2(profile: Profile, change: Callable[[bytes], bytes]) -> None:
    exchange = Exchange(profile)
    answer = exchange.answer()
    with pytest.raises((Refusal, ValueError)):
        exchange.main.receive(change(answer), OURS)
    assert exchange.main.receive(answer, OURS), "what the server really sent is well"


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("change", [with_note, twice])
def test_message_4(profile: Profile, change: Callable[[bytes], bytes]) -> None:
    exchange = Exchange(profile)
    exchange.go_on()
    answer = exchange.answer()
    with pytest.raises((Refusal, ValueError)):
        exchange.main.receive(change(answer), OURS)
    assert exchange.main.receive(answer, OURS)


@pytest.mark.parametrize(
    ("profile", "takes"), [(MACOS, False), (LIBRESWAN, False), (WINDOWS_10, True)], ids=str
)
def test_message_6_with_a_name_for_identity(profile: Profile, takes: bool) -> None:
    """`ipsec.identity` may not be a name if macOS without NAT or libreswan are to log in."""
    identity = Identification(IdType.FQDN, 0, 0, b"vpn.example.com")
    exchange = Exchange(profile, identity=identity)
    exchange.go_on(2)
    answer = exchange.answer()
    if takes:
        assert exchange.main.receive(answer, OURS) is None
        assert not exchange.main.awaited
    else:
        with pytest.raises(Refusal):
            exchange.main.receive(answer, OURS)


def test_libreswan_wants_the_address_that_it_dialled() -> None:
    exchange = Exchange(LIBRESWAN, identity=Identification.of_address("192.0.2.99"))
    exchange.go_on(2)
    with pytest.raises(Refusal, match="was not dialled"):
        exchange.main.receive(exchange.answer(), OURS)


@pytest.mark.parametrize(
    ("profile", "nat_d", "mode", "nat_oa"),
    [(MACOS, 20, 4, 21), (WINDOWS_10, 20, 4, 21), (WINDOWS_XP, 130, 61444, 131)],
    ids=str,
)
def test_numbers_of_nat_traversal(profile: Profile, nat_d: int, mode: int, nat_oa: int) -> None:
    """RFC 3947 section 9 and its draft 02; the simulators take them from `ipsec.natt`."""
    exchange = Exchange(profile, seen=THEIRS._replace(peer=Address("198.51.100.99", 40000)))
    exchange.go_on()
    assert exchange.message is not None
    assert [item.type for item in clear(exchange.message).items] == [4, 10, nat_d, nat_d]
    exchange.go_on()
    assert exchange.main.nat.ours
    assert exchange.main.path.local.port == 4500
    quick = QuickMode(profile.phase2, exchange.main, 1, bytes(16), 1701, Random(3).randbytes)
    assert [item.type for item in quick.nat_oa] == [nat_oa, nat_oa]
    for proposal in quick.offer.proposals:
        for transform in proposal.transforms:
            modes = [one.number for one in transform.attributes if one.type == 4]
            assert modes == [mode]


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_message_2_of_quick_mode(profile: Profile) -> None:
    exchange = Exchange(profile)
    exchange.go_on(3)
    entropy = Random(3).randbytes
    mode = QuickMode(profile.phase2, exchange.main, 1, entropy(16), 1701, entropy)
    exchange.message = mode.first()
    answer = exchange.answer()
    identities, offer, iv = mode.identities, mode.offer, mode._iv
    mode.identities = identities[::-1]
    with pytest.raises(Refusal, match="mismatched ID"):
        mode.receive(answer)
    mode.identities, mode._iv = identities, iv
    mode.offer = SecurityAssociation(())
    with pytest.raises(Refusal, match="a transform was changed"):
        mode.receive(answer)
    mode.offer, mode._iv = offer, iv
    assert mode.receive(answer)


def lac_of(profile: Profile) -> tuple[Lac, Program]:
    """Return a client that has sent its SCCRQ."""
    program = Program()
    lac = Lac(profile.l2tp, b"laptop", Random(1).randbytes, Agenda(), program)
    lac.connect()
    return lac, program


def sccrp(lac: Lac, *more: bytes, nr: int = 1, ns: int = 0) -> bytes:
    avps = (avp(2, b"\1\0"), avp(3, u32(3)), avp(7, b"LNS"), avp(9, u16(77)))
    return control(lac.tunnel_id, 0, ns, nr, message(SCCRP, *avps, *more))


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize(
    "unwanted",
    [
        avp(11, bytes(16)),
        avp(99, b"what"),
        avp(1, b"whose", vendor=311),
        avp(8, bytes(8), mandatory=False, hidden=True),
    ],
    ids=["Challenge", "unknown", "vendor's", "hidden"],
)
def test_avps_that_nobody_takes(profile: Profile, unwanted: bytes) -> None:
    lac, _ = lac_of(profile)
    with pytest.raises((Refusal, AssertionError)):
        lac.receive(sccrp(lac, unwanted))
    other, _ = lac_of(profile)
    other.receive(sccrp(other, avp(99, b"what", mandatory=False)))
    assert other.state is not State.SCCRQ


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_icrp_for_another_session(profile: Profile) -> None:
    lac, _ = lac_of(profile)
    lac.receive(sccrp(lac))
    if lac.state is State.SCCCN:
        lac.receive(control(lac.tunnel_id, 0, 1, 2))
    assert lac.state is State.ICRQ
    answer = message(ICRP, avp(14, u16(88)))
    with pytest.raises(Refusal, match="another session"):
        lac.receive(control(lac.tunnel_id, lac.session_id ^ 1, 1, 3, answer))
    with pytest.raises(Stray):
        lac.receive(control(lac.tunnel_id ^ 1, lac.session_id, 1, 3, answer))


def test_mtpd_takes_nothing_that_does_not_acknowledge_its_last_message() -> None:
    for wrong in ({"nr": 0}, {"ns": 1}):
        lac, _ = lac_of(ANDROID_7)
        with pytest.raises(Refusal, match="mtpd"):
            lac.receive(sccrp(lac, **wrong))
        assert lac.state is State.SCCRQ


def test_mtpd_waits_for_each_zlb() -> None:
    """After SCCRP macOS would have sent its ICRQ, after ICRP the call would be up."""
    lac, program = lac_of(ANDROID_7)
    icrp = message(ICRP, avp(14, u16(88)))
    states = []
    for answer in (
        sccrp(lac),
        control(lac.tunnel_id, 0, 1, 2),
        control(lac.tunnel_id, lac.session_id, 1, 3, icrp),
        control(lac.tunnel_id, 0, 2, 4),
    ):
        lac.receive(answer)
        states.append((lac.state, program.calls))
    assert states == [(State.SCCCN, 0), (State.ICRQ, 0), (State.ICCN, 0), (State.UP, 1)]
    kinds = [parse_control(sent).kind for sent in program.sent]
    assert kinds == [1, 3, 10, 12], "one message for each answer, and no ZLB between"


def ppp_of(profile: Profile) -> tuple[PppClient, Program]:
    """Return a client whose LCP is open."""
    program, agenda = Program(), Agenda()
    ppp = PppClient(
        profile.ppp, Credentials("alice", "secret"), Random(1).randbytes, agenda, program
    )
    ppp.start()
    agenda.run(1.0)
    (request,) = program.frames
    ppp.receive(configure(Protocol.LCP, Code.CONFIGURE_REQUEST, 1, (3, "c22381")).build())
    ppp.receive(request._replace(code=Code.CONFIGURE_ACK).build())
    assert ppp.lcp.open
    return ppp, program


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize(
    "unwanted",
    [
        Sent(Protocol.LCP, Code.CODE_REJECT, 9, b"\x0c\2\0\4"),
        Sent(Protocol(0x80FD), Code.CONFIGURE_REQUEST, 1),
        Sent(Protocol.IPCP, Code.CONFIGURE_REQUEST, 1),
        Sent(Protocol.LCP, Code.PROTOCOL_REJECT, 9, b"\x80\x21"),
    ],
    ids=["Code-Reject", "CCP", "IPCP too early", "IPCP rejected"],
)
def test_packets_of_ppp_that_nobody_takes(profile: Profile, unwanted: Sent) -> None:
    ppp, _ = ppp_of(profile)
    with pytest.raises(Refusal):
        ppp.receive(unwanted.build())


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_a_server_that_does_not_know_the_password(profile: Profile) -> None:
    ppp, program = ppp_of(profile)
    challenge = Sent(Protocol.CHAP, 1, 7, b"\x10" + bytes(16) + b"LNS")
    ppp.receive(challenge.build())
    assert program.frames[-1].data[0] == 49
    with pytest.raises(Refusal, match="S= is wrong"):
        ppp.receive(Sent(Protocol.CHAP, 3, 7, b"S=" + b"0" * 40 + b" M=welcome").build())


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_another_method_than_ms_chapv2_is_not_consented_to(profile: Profile) -> None:
    """What the profiles of users allow as a rule; most would take CHAP-MD5 or PAP if asked."""
    ppp, program = ppp_of(profile)
    ppp.receive(configure(Protocol.LCP, Code.CONFIGURE_REQUEST, 2, (3, "c023")).build())
    assert program.frames[-1].code == Code.CONFIGURE_NAK
    assert program.frames[-1].options == {3: bytes.fromhex("c22381")}
