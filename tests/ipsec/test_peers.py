"""Peers over time: renewal, new starts, neighbours behind a NAT, and moving."""

from random import Random

import pytest

from ipsec.algorithms import EspAlgorithms
from ipsec.config import PresharedKey
from ipsec.constants import (
    AuthenticationAlgorithm,
    EspTransform,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ipsec.endpoint import Ike
from ipsec.events import (
    EspOffered,
    NegotiationFailed,
    PathChanged,
    PeerAuthenticated,
    PeerClosed,
    SaConfirmed,
    SaDeleted,
    SaInstalled,
    Why,
)
from ipsec.message import Payload
from ipsec.path import Address, Path
from ipsec.payloads import Delete, Identification, Notification
from ipsec.peers import GRACE, MAX_ISAKMP_SAS, MAX_PAIRS
from tests.support.caller import Caller
from tests.support.ike import SERVER, IkeHost, Pair, config
from tests.support.simulation import Nat
from wire import LocalError

QUIET = config(dpd_interval=None)
NAT = "203.0.113.9"


def server() -> Ike:
    return Ike(QUIET, Random(5).randbytes)


def kinds(caller: Caller) -> list[type]:
    return [type(event) for event in caller.events()]


def initial_contact(caller: Caller) -> None:
    assert caller.sa is not None
    notification = Notification(NotifyType.INITIAL_CONTACT, ProtocolId.ISAKMP, caller.sa.spi)
    caller.inform(Payload(PayloadType.NOTIFY, notification.build()))


class Starting(Caller):
    """A caller that says INITIAL-CONTACT in message 5."""

    def first(self) -> bytes:
        return self.mode.start(initial_contact=True)


# Renewal.


def test_a_new_main_mode_from_the_same_place_is_the_same_peer() -> None:
    ike = server()
    first = Caller(ike, seed=1)
    first.establish()
    first.complete(first.quick_mode())
    assert kinds(first) == [PeerAuthenticated, EspOffered, SaInstalled, SaConfirmed]
    second = Caller(ike, seed=2)
    second.establish()
    assert kinds(second) == []
    (peer,) = ike.snapshot().peers
    assert (peer.isakmp_sas, len(peer.pairs)) == (2, 1)
    second.complete(second.quick_mode(spi=0x2000))
    first.complete(first.quick_mode(spi=0x3000))
    assert kinds(second) == [EspOffered, SaInstalled, SaConfirmed] * 2
    assert len(ike.snapshot().peers[0].pairs) == 3


@pytest.mark.parametrize(
    ("port", "identity"), [(501, "198.51.100.7"), (500, "10.9.9.9")], ids=["port", "identity"]
)
def test_from_another_place_or_name_it_is_another_peer(port: int, identity: str) -> None:
    ike = server()
    Caller(ike, seed=1).establish()
    other = config(identity=Identification.of_address(identity))
    Caller(ike, other, port=port, seed=2).establish()
    assert len(ike.snapshot().peers) == 2


def test_the_initiator_renews_both_phases_in_time() -> None:
    settings = config(ike_lifetime=3600, esp_lifetime=1000)
    pair = Pair(client=settings, nat=Nat(NAT))
    pair.establish()
    first = set(pair.server.pairs)
    pair.simulation.run(4000.0)
    pair.exchange()
    assert len(pair.server.told(PeerAuthenticated)) == 1
    assert pair.server.told(PeerClosed) == []
    assert pair.server.told(NegotiationFailed) == []
    assert not first & set(pair.server.pairs)
    assert len(pair.server.told(SaInstalled)) == 5
    (peer,) = pair.server.ike.snapshot().peers
    assert peer.isakmp_sas == 1


def test_renewal_by_volume() -> None:
    pair = Pair(client=config(esp_kilobytes=100))
    pair.establish()
    for _ in range(90):
        pair.client.send(bytes(1000))
    pair.simulation.run(11.0)
    assert len(pair.server.told(SaInstalled)) == 2
    pair.exchange()
    (old, new) = [installed.inbound.spi for installed in pair.server.told(SaInstalled)]
    assert pair.server.sending is not None
    assert pair.server.sending.inbound.spi == new
    assert {old, new} == set(pair.server.pairs)


def test_renewal_at_will() -> None:
    pair = Pair(nat=Nat(NAT))
    pair.establish()
    number = pair.client.told(PeerAuthenticated)[0].peer
    pair.client.ike.rekey_ike(number, pair.simulation.now)
    pair.simulation.run(5.0)
    pair.client.ike.rekey_esp(number, pair.simulation.now)
    pair.simulation.run(5.0)
    pair.exchange()
    assert len(pair.server.told(SaInstalled)) == 2
    (peer,) = pair.server.ike.snapshot().peers
    assert (peer.isakmp_sas, len(peer.pairs)) == (2, 2)
    pair.simulation.run(GRACE)
    (peer,) = pair.server.ike.snapshot().peers
    assert (peer.isakmp_sas, len(peer.pairs)) == (1, 2)
    with pytest.raises(LocalError):
        pair.client.ike.rekey_esp(number + 1, 0.0)


def test_the_server_can_renew_what_the_client_began() -> None:
    pair = Pair(nat=Nat(NAT))
    pair.establish()
    pair.server.ike.rekey_esp(1, pair.simulation.now)
    pair.simulation.run(5.0)
    pair.exchange()
    assert len(pair.client.told(SaInstalled)) == 2


def test_sas_end_when_nobody_renews_them() -> None:
    ike = server()
    caller = Caller(ike)
    caller.establish()
    caller.complete(caller.quick_mode())
    caller.events()
    ike.handle_timeout(caller.now + 8 * 3600 + GRACE - 1)
    assert caller.events() == []
    ike.handle_timeout(caller.now + 8 * 3600 + GRACE)
    ended = caller.events()
    assert SaDeleted in map(type, ended)
    assert ended[-1] == PeerClosed(1, Why.EXPIRED)
    assert ike.next_timeout() is None


def test_one_peer_has_only_so_many_sas() -> None:
    ike = server()
    for seed in range(MAX_ISAKMP_SAS + 3):
        caller = Caller(ike, seed=seed)
        caller.establish()
    (peer,) = ike.snapshot().peers
    assert peer.isakmp_sas == MAX_ISAKMP_SAS
    for spi in range(MAX_PAIRS + 5):
        caller.complete(caller.quick_mode(spi=0x1000 + spi))
        caller.answers()
    assert len(ike.snapshot().peers[0].pairs) == MAX_PAIRS
    surplus = [e for e in caller.events() if isinstance(e, SaDeleted)]
    assert [event.why for event in surplus] == [Why.SURPLUS] * 5


# New starts.


def test_initial_contact_in_message_5_closes_the_old_peer() -> None:
    ike = server()
    old = Caller(ike, seed=1)
    old.establish()
    old.complete(old.quick_mode())
    old.events()
    new = Starting(ike, seed=2)
    new.establish()
    deleted, closed, authenticated = new.events()
    assert isinstance(deleted, SaDeleted)
    assert closed == PeerClosed(1, Why.INITIAL_CONTACT)
    assert isinstance(authenticated, PeerAuthenticated)
    assert authenticated.peer == 2
    assert ike.datagrams_to_send() == [], "the client has forgotten what we could tell it of"


def test_initial_contact_after_main_mode_does_the_same() -> None:
    ike = server()
    old = Caller(ike, seed=1)
    old.establish()
    old.complete(old.quick_mode())
    new = Caller(ike, seed=2)
    new.establish()
    new.events()
    initial_contact(new)
    assert kinds(new) == [SaDeleted, PeerClosed, PeerAuthenticated]
    new.complete(new.quick_mode(spi=0x2000))
    (peer,) = ike.snapshot().peers
    assert (peer.peer, peer.isakmp_sas, len(peer.pairs)) == (2, 1, 1)


def test_initial_contact_after_the_isakmp_sa_was_deleted_does_the_same() -> None:
    """Pairs outlive their ISAKMP SA, and are no less forgotten by the client."""
    ike = server()
    old = Caller(ike, seed=1)
    old_sa = old.establish()
    old.complete(old.quick_mode())
    old.inform(Payload(PayloadType.DELETE, Delete(ProtocolId.ISAKMP, (old_sa.spi,)).build()))
    new = Caller(ike, seed=2)
    new.establish()
    new.events()
    initial_contact(new)
    assert kinds(new) == [SaDeleted, PeerClosed, PeerAuthenticated]


def test_initial_contact_that_comes_late_removes_what_is_older() -> None:
    ike = server()
    old = Caller(ike, seed=1)
    old.establish()
    old.complete(old.quick_mode())
    new = Caller(ike, seed=2)
    new.establish()
    new.complete(new.quick_mode(spi=0x2000))
    new.events()
    initial_contact(new)
    assert kinds(new) == [SaDeleted]
    (peer,) = ike.snapshot().peers
    assert (peer.isakmp_sas, len(peer.pairs)) == (1, 1)


def test_initial_contact_of_a_first_start_changes_nothing() -> None:
    caller = Caller(server())
    caller.establish()
    caller.complete(caller.quick_mode())
    caller.events()
    initial_contact(caller)
    assert kinds(caller) == []


def test_initial_contact_spares_the_neighbours_behind_the_nat() -> None:
    """They have the same private address, the same identity and the same public address."""
    ike = server()
    one = Starting(ike, host=NAT, port=40001, seed=1)
    one.establish()
    two = Starting(ike, host=NAT, port=40002, seed=2)
    two.establish()
    assert kinds(two) == [PeerAuthenticated, PeerAuthenticated]
    initial_contact(two)
    assert len(ike.snapshot().peers) == 2


def test_a_client_that_lost_power_is_let_in_at_once() -> None:
    pair = Pair()
    pair.establish()
    pair.simulation.remove(pair.client)
    again = IkeHost(config(), pair.simulation.entropy(), pair.client.address)
    pair.simulation.add(again, again.address)
    pair.client = again
    pair.connect()
    assert pair.simulation.run(2.0, lambda: again.sending is not None)
    pair.simulation.run(1.0)
    pair.exchange()
    assert PeerClosed(1, Why.INITIAL_CONTACT) in pair.server.events


# Moving.


def test_a_peer_is_followed_when_its_nat_forgets_it() -> None:
    nat = Nat(NAT)
    pair = Pair(nat=nat)
    pair.establish()
    before = pair.server.path
    nat.forget()
    pair.exchange()
    (moved,) = [e for e in pair.server.events if isinstance(e, PathChanged)]
    assert moved.path != before
    assert moved.path == pair.server.path


def test_ike_messages_show_the_new_place_as_well() -> None:
    caller = Caller(server(), port=1011)
    caller.mode.path = Path(Address("10.0.0.2", 500), Address(SERVER, 500))
    caller.establish(4500)
    caller.events()
    caller.path = Path(caller.path.local, Address(NAT, 61000))
    assert caller.sa is not None
    spi = caller.sa.spi
    question = Notification(NotifyType.R_U_THERE, ProtocolId.ISAKMP, spi, bytes(4))
    assert len(caller.inform(Payload(PayloadType.NOTIFY, question.build()))) == 1
    assert caller.events() == [PathChanged(1, caller.path)]


@pytest.mark.parametrize("path", [None, Path(Address(SERVER, 500), Address(NAT, 77))])
def test_without_nat_traversal_nobody_moves(path: Path | None) -> None:
    caller = Caller(server())
    caller.establish()
    caller.complete(caller.quick_mode())
    ((spi, _),) = caller.ike.snapshot().peers[0].pairs
    caller.events()
    caller.ike.packet_authenticated(spi, path, caller.now)
    caller.ike.packet_authenticated(0xDEAD, path, caller.now)
    assert caller.events() == []


def test_keepalives_come_from_the_initiator_behind_nat() -> None:
    for nat, expected in ((Nat(NAT), True), (None, False)):
        pair = Pair(client=config(dpd_interval=None), server=QUIET, nat=nat)
        pair.establish()
        pair.simulation.run(2.0)
        pair.client.ike.handle_timeout(pair.simulation.now + 20.0)
        sent = pair.client.ike.datagrams_to_send()
        assert ([data for data, _ in sent] == [b"\xff"]) == expected
        assert all(path.local.port == 4500 for _, path in sent)


# Calling.


def test_a_call_that_nobody_answers_fails() -> None:
    pair = Pair()
    pair.simulation.remove(pair.server)
    number = pair.connect()
    pair.simulation.run(60.0)
    failed, closed = pair.client.events
    assert isinstance(failed, NegotiationFailed)
    assert (failed.peer, failed.why) == (number, "no answer to message 1")
    assert closed == PeerClosed(number, Why.NEGOTIATION_FAILED)
    assert pair.client.ike.next_timeout() is None


def test_a_refused_call_says_what_it_heard() -> None:
    pair = Pair(server=config(preshared_keys=lambda host: (PresharedKey(b"another"),)))
    pair.connect()
    pair.simulation.run(60.0)
    failed = pair.client.told(NegotiationFailed)[0]
    assert failed.why == "no answer to message 5; somebody answered PAYLOAD_MALFORMED"


def test_a_call_that_is_refused_in_quick_mode_fails_at_once() -> None:
    null = EspAlgorithms(EspTransform.NULL, 0, AuthenticationAlgorithm.HMAC_SHA1)
    pair = Pair(client=config(esp_offers=(null,)))
    pair.connect()
    pair.simulation.run(1.0)
    failed = pair.client.told(NegotiationFailed)[0]
    assert failed.why == "the peer says NO_PROPOSAL_CHOSEN"
    assert pair.client.ike.snapshot().peers == ()
    assert pair.server.ike.snapshot().peers == ()


def test_a_call_can_be_given_up() -> None:
    pair = Pair()
    number = pair.connect()
    pair.client.ike.close_peer(number, pair.simulation.now)
    assert pair.client.ike.next_timeout() is None


def test_a_call_needs_a_key() -> None:
    pair = Pair(client=config(preshared_keys=lambda host: ()))
    with pytest.raises(LocalError):
        pair.connect()
