"""The records of attempts and offers: what is in them, how many there are, and who sees them."""

from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm as Auth
from ipsec.constants import (
    AuthenticationMethod,
    EncapsulationMode,
    EncryptionAlgorithm,
    EspTransform,
    GroupDescription,
    HashAlgorithm,
)
from ipsec.events import Negotiation, NegotiationFailed, PeerAuthenticated, PeerClosed, Why
from ipsec.natt import NO_NAT
from ipsec.offers import EspOffer, IkeOffer, IkeSuite
from ipsec.path import Address, Path
from ipsec.payloads import Identification
from l2gate.attempts import MAX_ENDED, MAX_STRANGERS, MAX_STRANGERS_PER_HOST, Attempts
from l2gate.control import Json, ProtocolError, Request, Response
from l2gate.events import Stage
from l2gate.fleet import MAX_OFFERS, MAX_STRANGE_OFFERS, Fleet
from l2gate.history import Attempt, Mend, Offer, Reached
from l2gate.mending import refusal
from l2gate.operations import MOST_ATTEMPTS, Operations
from l2gate.reports import attempts_from_json, offers_from_json
from l2tp.constants import CallResult, ErrorCode, StopResult
from l2tp.events import Result, TunnelRefused
from tests.support.client import ClientHost, ClientState
from tests.support.lab import Lab, configuration
from tests.support.simulation import Nat

WALL = 1e9
AES, TRIPLE_DES = EncryptionAlgorithm.AES_CBC, EncryptionAlgorithm.TRIPLE_DES_CBC


def ike_offer(hash_algorithm: HashAlgorithm, group: GroupDescription, bits: int = 256) -> IkeOffer:
    suite = IkeSuite(AES, bits, hash_algorithm, group)
    return IkeOffer(suite, AuthenticationMethod.PRE_SHARED_KEY, 28800, None)


def esp_offer(authentication: Auth) -> EspOffer:
    algorithms = EspAlgorithms(EspTransform.AES_CBC, 256, authentication)
    return EspOffer(algorithms, EncapsulationMode.TRANSPORT, None, 3600, None)


STRONG = ike_offer(HashAlgorithm.SHA2_256, GroupDescription.ECP_256)
USUAL = ike_offer(HashAlgorithm.SHA1, GroupDescription.MODP_2048)
WEAK = ike_offer(HashAlgorithm.MD5, GroupDescription.MODP_1024)


def about(
    cookie: int = 1, offered: tuple[IkeOffer | None, ...] = (STRONG,), heard: bool = True
) -> Negotiation:
    return Negotiation(cookie.to_bytes(8, "big"), 90.0, "a client", offered, STRONG, NO_NAT, heard)


def path(host: str, port: int = 500) -> Path:
    return Path(Address("203.0.113.1", 500), Address(host, port))


def fail(attempts: Attempts, host: str, cookie: int, why: str = "wrong") -> None:
    event = NegotiationFailed(path(host), None, "main mode", why, "mend it", about(cookie))
    attempts.failed(event, 100.0 + cookie)


def come_and_go(attempts: Attempts, number: int) -> None:
    host = f"10.0.{number >> 8}.{number & 255}"
    identity = Identification.of_address(host)
    event = PeerAuthenticated(number, path(host), identity, "AES", "a client", about(number))
    attempts.authenticated(event, 100.0)
    attempts.closed(PeerClosed(number, Why.DELETED_BY_PEER), False, 200.0)


def test_strangers_do_not_push_out_what_is_known_of_clients() -> None:
    attempts = Attempts()
    for number in range(1, MAX_ENDED + 2):
        come_and_go(attempts, number)
    for number in range(1, 2 * MAX_STRANGERS):
        fail(attempts, f"192.0.2.{number}", number)
    records = list(attempts)
    assert len(records) == MAX_ENDED + MAX_STRANGERS
    assert [record.id for record in records] == sorted(record.id for record in records)
    clients = [record for record in records if record.identity]
    assert len(clients) == MAX_ENDED
    assert clients[0].id == 2, "the oldest has given way"


def test_one_stranger_has_few_records() -> None:
    attempts = Attempts()
    fail(attempts, "192.0.2.99", 1)
    for number in range(1, 10 * MAX_STRANGERS_PER_HOST):
        fail(attempts, "192.0.2.1", number, why=f"wrong in way {number}")
    assert len(list(attempts)) == MAX_STRANGERS_PER_HOST + 1
    assert next(iter(attempts)).host == "192.0.2.99"


def test_attempts_that_fail_alike_are_one_record() -> None:
    attempts = Attempts()
    fail(attempts, "192.0.2.1", 1)
    fail(attempts, "192.0.2.1", 1)
    (record,) = attempts
    assert (record.id, record.count, record.cookie) == (1, 1, "0000000000000001")
    fail(attempts, "192.0.2.1", 2)
    (record,) = attempts
    assert (record.id, record.count, record.first) == (2, 2, 90.0)
    fail(attempts, "192.0.2.1", 3, why="otherwise wrong")
    fail(attempts, "192.0.2.2", 4)
    assert [record.count for record in attempts] == [2, 1, 1]


def test_clients_that_fail_alike_are_one_record_too() -> None:
    attempts = Attempts()
    for _ in range(3):
        come_and_go(attempts, 5)
    (record,) = attempts
    assert (record.count, record.stage, record.windows) == (3, "quick mode", 789)
    assert record.why == "peer closed: deleted by the peer, it asked for no SAs"
    assert record.mend


def test_a_stranger_that_never_hears_us_is_not_worth_a_line() -> None:
    attempts = Attempts()
    event = NegotiationFailed(
        path("192.0.2.1"), None, "main mode", "message 3 never came", "", about(heard=False), True
    )
    assert attempts.failed(event, 130.0) is None
    (record,) = attempts
    assert (record.windows, record.nat, record.began, record.ended) == (809, "", 90.0, 130.0)


def test_what_clients_call_themselves_is_cut() -> None:
    attempts = Attempts()
    fail(attempts, "192.0.2.1", 1, why="x" * 10_000)
    (record,) = attempts
    assert len(record.why) == 2000


def test_a_main_mode_of_which_nothing_is_known() -> None:
    attempts = Attempts()
    event = NegotiationFailed(path("2001:db8::1"), None, "main mode", "aggressive", "do not")
    noted = attempts.failed(event, 100.0)
    assert str(noted) == (
        "ike: attempt=1 peer=[2001:db8::1]:500 main mode failed: aggressive; do not "
        "(Windows error 789)"
    )


def test_a_second_call_begins_anew() -> None:
    attempt = Attempt(1, 0.0, 0.0, "192.0.2.1", 500)
    attempt.call()
    attempt.reach(Reached.AUTHENTICATION)
    attempt.noted(Stage.LOGIN, "refused", Mend("type it anew", 691))
    attempt.call_ended("refused", 0, 0, 5.0)
    attempt.call()
    assert (attempt.stage, attempt.furthest, attempt.why) == ("LCP", "authentication", "")
    attempt.reach(Reached.UP)
    attempt.call()
    assert attempt.stage == "up", "a call beside an open one"
    attempt.call_ended("hung up", 10, 20, 6.0)
    attempt.call()
    assert (attempt.stage, attempt.furthest, attempt.ended, attempt.end) == ("LCP", "up", None, "")
    attempt.call_ended("hung up", 1, 2, 7.0)
    assert (attempt.octets_in, attempt.octets_out) == (11, 22)


@pytest.mark.parametrize(
    ("by_peer", "result", "windows", "mend"),
    [
        (False, None, 809, "did the client lose its network"),
        (False, Result(StopResult.GENERAL_ERROR, ErrorCode.NO_RESOURCES), 628, "limits"),
        (False, Result(CallResult.NO_FACILITIES_NOW), 628, "limits"),
        (False, Result(StopResult.NOT_AUTHORIZED), 628, "see what it says"),
        (True, Result(StopResult.SHUTTING_DOWN), None, "see what it says"),
        (True, None, None, "see what it says"),
    ],
)
def test_a_refused_tunnel(
    by_peer: bool, result: Result | None, windows: int | None, mend: str
) -> None:
    found = refusal(TunnelRefused(None, None, "laptop", "why", by_peer, result))
    assert found.windows == windows
    assert mend in found.text


# Offers.


@pytest.mark.parametrize(
    ("ike", "esp", "accepted"),
    [
        ((STRONG,), (), ("strict", "default", "legacy")),
        ((STRONG,), (esp_offer(Auth.HMAC_SHA2_256),), ("strict", "default", "legacy")),
        ((STRONG,), (esp_offer(Auth.HMAC_SHA1), None), ("default", "legacy")),
        ((STRONG,), (esp_offer(Auth.HMAC_MD5),), ("legacy",)),
        ((None, USUAL), (), ("default", "legacy")),
        ((WEAK, USUAL), (), ("default", "legacy")),
        ((WEAK,), (esp_offer(Auth.HMAC_SHA1),), ("legacy",)),
        ((None,), (), ()),
        (
            (replace(STRONG, method=AuthenticationMethod.RSA_SIGNATURES),),
            (),
            ("strict", "default", "legacy"),
        ),
        ((replace(STRONG, method=AuthenticationMethod.RSA_ENCRYPTION),), (), ()),
    ],
)
def test_which_proposals_accept_an_offer(
    ike: tuple[IkeOffer | None, ...], esp: tuple[EspOffer | None, ...], accepted: tuple[str, ...]
) -> None:
    offer = Fleet().count(about(offered=ike), esp, True, "192.0.2.1", 100.0)
    assert offer.accepted == accepted


def test_equal_offers_are_counted_and_others_are_bounded() -> None:
    fleet = Fleet()
    for seen in range(3):
        fleet.count(about(offered=(USUAL,)), (), True, f"192.0.2.{seen}", float(seen))
    (offer,) = fleet
    assert (offer.count, offer.last, offer.host) == (3, 2.0, "192.0.2.2")
    assert offer.ike == ("AES_CBC-256/SHA1/MODP_2048",)
    for bits in range(2 * MAX_OFFERS):
        other = ike_offer(HashAlgorithm.SHA1, GroupDescription.MODP_2048, bits)
        fleet.count(about(offered=(other,)), (), False, "192.0.2.9", 10.0)
    strange = [offer for offer in fleet if not offer.proven]
    assert len(strange) == MAX_STRANGE_OFFERS
    assert offer in list(fleet), "strangers do not push out what clients offer"
    for bits in range(2 * MAX_OFFERS):
        other = ike_offer(HashAlgorithm.SHA1, GroupDescription.MODP_2048, bits)
        fleet.count(about(offered=(other,)), (), True, "192.0.2.9", 10.0)
    assert len(list(fleet)) == MAX_OFFERS + MAX_STRANGE_OFFERS


# As an admin sees them.


def operations(lab: Lab) -> Operations:
    clock = lab.simulation
    return Operations(
        configuration(),
        lab.server.gateway,
        clock=lambda: clock.now,
        wall=lambda: clock.now + WALL,
        flush=lambda: None,
    )


def ask(lab: Lab, command: str, **arguments: Json) -> Json:
    """Return an answer as the other end of the control socket has it."""
    return Response.parse(operations(lab).handle(Request(command, arguments)).build()).result


def logged_in(lab: Lab, name: str, host: str, nat: Nat | None = None) -> ClientHost:
    client = lab.client(name, host, nat)
    assert lab.run(10, lambda: client.state is ClientState.UP), client.why
    return client


def test_the_record_of_a_client_that_got_in() -> None:
    lab = Lab()
    client = logged_in(lab, "u1@sales.example.com", "192.168.77.11", Nat("198.51.100.1"))
    client.send(bytes(IP(src=str(client.address), dst="192.168.1.10") / ICMP()))
    lab.run(100)
    (record,) = attempts_from_json(ask(lab, "attempts"))
    assert record.began == record.first == pytest.approx(1000.01 + WALL)
    assert (record.host, record.port) == ("198.51.100.1", 40001)
    assert (record.stage, record.furthest, record.why) == ("up", "up", "")
    assert (record.ended, record.windows, record.end) == (None, None, "")
    assert record.identity == "192.168.77.11"
    assert (record.nat, record.esp) == ("NAT: peer", True)
    assert record.ike_offered[0] == record.ike_chosen == "AES_CBC-256/SHA2_256/ECP_256"
    assert len(record.ike_offered) == 4
    assert record.esp_offered[0] == record.esp_chosen == "AES_GCM_16-128 UDP_TRANSPORT"
    assert (record.host_name, record.method) == ("laptop", "MS-CHAPv2")
    assert record.login == record.user == "u1@sales.example.com"
    assert (record.department, record.address) == ("sales", str(client.address))
    assert (record.octets_in, record.octets_out) == (28, 0)
    client.hang_up(lab.simulation.now)
    lab.run(5)
    (record,) = attempts_from_json(ask(lab, "attempts"))
    assert record.ended == pytest.approx(lab.simulation.now + WALL, abs=5)
    assert record.end == "the peer disconnected the call: LOSS_OF_CARRIER (the user hangs up)"
    assert (record.why, record.octets_in) == ("", 28)
    assert {line.attempt for line in lab.server.log} == {record.id}
    lab.run(100)
    (again,) = attempts_from_json(ask(lab, "attempts"))
    assert again == record, "the end of the peer changes nothing more"


def test_attempts_of_one_address_or_user_or_number() -> None:
    lab = Lab()
    logged_in(lab, "u1", "198.51.100.11")
    logged_in(lab, "u2", "198.51.100.12")
    for whose, expected in (
        ("1", [1]),
        ("198.51.100.12", [2]),
        ("u1", [1]),
        ("nobody", []),
        (None, [1, 2]),
    ):
        found = attempts_from_json(ask(lab, "attempts", whose=whose))
        assert [attempt.id for attempt in found] == expected


def test_an_answer_has_the_latest_attempts() -> None:
    lab = Lab()
    for number in range(2 * MOST_ATTEMPTS):
        fail(lab.server.gateway.attempts, f"192.0.2.{number}", number)
    found = attempts_from_json(ask(lab, "attempts"))
    assert len(found) == MOST_ATTEMPTS
    assert found[-1].id == 2 * MOST_ATTEMPTS


def test_offers_of_a_fleet() -> None:
    lab = Lab()
    for number in range(3):
        logged_in(lab, f"u{number}", f"198.51.100.{10 + number}")
    (offer,) = offers_from_json(ask(lab, "offers"))
    assert isinstance(offer, Offer)
    assert (offer.count, offer.host, offer.proven) == (3, "198.51.100.12", True)
    assert offer.accepted == ("strict", "default", "legacy")
    assert (len(offer.ike), len(offer.esp)) == (4, 3)


@pytest.mark.parametrize("result", [None, {}, [1], [{}], [{"id": 1}]])
def test_what_is_no_report(result: Json) -> None:
    with pytest.raises(ProtocolError):
        attempts_from_json(result)
    with pytest.raises(ProtocolError):
        offers_from_json(result)
