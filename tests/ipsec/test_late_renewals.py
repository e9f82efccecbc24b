"""A client that does not renew its pairs: the server does, late, and harms no client by it."""

from collections.abc import Callable

import pytest

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import (
    AuthenticationAlgorithm,
    EspTransform,
    ExchangeType,
    GroupDescription,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ipsec.context import Timer
from ipsec.esp import LAST_SEQUENCE
from ipsec.events import NegotiationFailed, PeerClosed, SaDeleted, SaInstalled, Why
from ipsec.message import Payload
from ipsec.payloads import Delete, Notification
from ipsec.peer import Peer
from ipsec.peers import GRACE, LATE_MARGIN, LATE_RENEWAL, SPREAD, VOLUME_INTERVAL
from ipsec.sa_pair import SaPair
from tests.support.caller import Caller
from tests.support.ike import IkeHost, Pair, config
from tests.support.simulation import Nat

LIFETIME = 1000
DUE = LATE_RENEWAL * LIFETIME
LATEST = DUE + SPREAD * (LIFETIME - DUE)
QUIET = config(dpd_interval=None)
NAT = "203.0.113.9"
AES_SHA2 = EspAlgorithms(EspTransform.AES_CBC, 192, AuthenticationAlgorithm.HMAC_SHA2_384)
NO_ISAKMP_SA = "there was no ISAKMP SA to do so"


def peer_of(host: IkeHost) -> Peer:
    (peer,) = host.ike._peers.by_id.values()
    return peer


def lazy(nat: bool = False, **settings: object) -> Pair:
    """Return a server, and a client which `run_to` keeps from renewing anything."""
    client = config(dpd_interval=None, **{"esp_lifetime": LIFETIME, **settings})
    pair = Pair(client, QUIET, Nat(NAT) if nat else None)
    pair.establish()
    return pair


def run_to(pair: Pair, age: float, step: float = 1.0) -> None:
    """Let time pass until the first pair is so old; the client renews nothing meanwhile."""
    deadlines = pair.client.ike._context.deadlines
    while pair.simulation.now < 1000.0 + age:
        deadlines.clear((Timer.VOLUME, None))
        for sas, _ in pair.client.ike._peers.by_spi.values():
            deadlines.clear((Timer.ESP_RENEWAL, sas))
        pair.simulation.run(step)


def deaf_to(exchange: ExchangeType) -> Callable[[bytes], bytes]:
    return lambda data: b"" if data[18] == exchange else data


def pairs_of(host: IkeHost) -> list[SaPair]:
    return list(peer_of(host).pairs.values())


# It works.


@pytest.mark.parametrize("nat", [False, True])
@pytest.mark.parametrize("group", [None, GroupDescription.ECP_384])
def test_the_server_offers_what_was_agreed_on(nat: bool, group: GroupDescription | None) -> None:
    offers = (AES_SHA2,)
    pair = lazy(nat, esp_offers=offers, pfs_group=group, esp_kilobytes=5000, l2tp_port=50123)
    run_to(pair, DUE - 1)
    assert len(pair.server.told(SaInstalled)) == 1, "the client may still do it"
    run_to(pair, LATEST + 5)
    old, new = pair.server.told(SaInstalled)
    assert new.algorithms == old.algorithms == "AES_CBC-192/HMAC_SHA2_384"
    assert (new.encapsulated, new.ours, new.theirs) == (old.encapsulated, old.ours, old.theirs)
    assert new.original_address == old.original_address == ("10.0.0.2" if nat else None)
    assert (new.lifetime_seconds, new.lifetime_kilobytes) == (LIFETIME, 5000)
    assert pairs_of(pair.server)[1].offer == pairs_of(pair.server)[0].offer
    assert pairs_of(pair.server)[1].offer.group == group
    assert peer_of(pair.client).sending is pairs_of(pair.client)[1]
    pair.exchange()


@pytest.mark.parametrize("nat", [False, True])
def test_no_traffic_is_lost_for_hours(nat: bool) -> None:
    pair = lazy(nat, ike_lifetime=28800)
    for minute in range(300):
        run_to(pair, 60.0 * minute, step=10.0)
        pair.exchange(b"%d" % minute)
        assert len(pair.server.pairs) <= 2
    assert len(pair.server.told(SaInstalled)) == pytest.approx(1 + 300 * 60 / LATEST, abs=1)
    assert pair.server.told(NegotiationFailed) == pair.server.told(PeerClosed) == []


def test_clients_of_one_moment_are_renewed_at_different_ones() -> None:
    moments = set()
    for seed in range(20):
        pair = Pair(QUIET, QUIET, seed=seed)
        pair.establish()
        (sas,) = pairs_of(pair.server)
        due = pair.server.ike._context.deadlines.get((Timer.ESP_RENEWAL, sas))
        assert due is not None
        moments.add(due)
        assert (1 - SPREAD) * LATE_MARGIN <= 1000.0 + sas.seconds - due <= LATE_MARGIN
    assert len(moments) > 15
    assert max(moments) - min(moments) > SPREAD / 2 * LATE_MARGIN


def test_kilobytes_run_out() -> None:
    pair = lazy(esp_kilobytes=100)
    for _ in range(99):
        pair.client.send(bytes(1000))
    run_to(pair, VOLUME_INTERVAL + 5)
    assert len(pair.server.told(SaInstalled)) == 1
    run_to(pair, 2 * VOLUME_INTERVAL + 5)
    assert len(pair.server.told(SaInstalled)) == 2
    pair.exchange()
    run_to(pair, 200)
    assert len(pair.server.told(SaInstalled)) == 2, "once"


def test_sequence_numbers_run_out() -> None:
    pair = lazy(esp_lifetime=28800)
    pairs_of(pair.server)[0].outbound.sequence = int(0.96 * LAST_SEQUENCE)
    run_to(pair, 2 * VOLUME_INTERVAL + 5)
    old, new = pairs_of(pair.server)
    assert new.outbound.sequence == 0
    pair.exchange()
    run_to(pair, 100)
    assert len(pair.server.told(SaInstalled)) == 2
    assert old in pairs_of(pair.server), "there is time"


def test_the_initiator_renews_too_when_sequence_numbers_run_out() -> None:
    pair = Pair(QUIET, QUIET)
    pair.establish()
    pairs_of(pair.client)[0].outbound.sequence = int(0.9 * LAST_SEQUENCE)
    pair.simulation.run(VOLUME_INTERVAL + 1)
    assert len(pair.server.told(SaInstalled)) == 2
    pair.exchange()


# Both at once.


@pytest.mark.parametrize("delay", [0.0, 0.005, 0.015, 0.025, 0.05])
@pytest.mark.parametrize("nat", [False, True])
def test_both_sides_renew_at_once(delay: float, nat: bool) -> None:
    """Two new pairs; both sides send on the one they think the newest, and open both."""
    pair = lazy(nat)
    run_to(pair, 100.0)
    pair.client.ike.rekey_esp(1, pair.simulation.now)
    pair.simulation.run(delay)
    pair.server.ike.rekey_esp(1, pair.simulation.now)
    for number in range(20):
        pair.exchange(b"%d" % number)
    assert len(pair.server.pairs) == len(pair.client.pairs) == 3
    run_to(pair, LIFETIME + 5)
    pair.exchange()
    run_to(pair, LIFETIME + GRACE + 5)
    pair.exchange()
    run_to(pair, 2 * LIFETIME + GRACE + 5)
    pair.exchange()
    assert len(pair.server.pairs) <= 3
    assert pair.server.told(PeerClosed) == pair.client.told(PeerClosed) == []


def test_a_client_that_is_at_it_is_not_disturbed() -> None:
    pair = lazy()
    run_to(pair, DUE - 1)
    pair.client.corrupt = deaf_to(ExchangeType.QUICK_MODE)
    pair.client.ike.rekey_esp(1, pair.simulation.now)
    run_to(pair, LATEST + 1)
    assert [sas.initiator for sas in pairs_of(pair.server)] == [False, False]
    pair.client.corrupt = bytes
    run_to(pair, LATEST + 15)
    assert [sas.initiator for sas in pairs_of(pair.server)] == [False, False]
    pair.exchange()


# It does not work.


def test_a_client_that_does_not_answer_keeps_its_pair_to_the_end() -> None:
    pair = lazy()
    pair.client.corrupt = deaf_to(ExchangeType.QUICK_MODE)
    pair.client.ike._context.deadlines.clear((Timer.ESP_END, pairs_of(pair.client)[0]))
    run_to(pair, LIFETIME + GRACE - 1, step=0.5)
    pair.client.send(b"still there")
    pair.simulation.run(0.5)
    assert pair.server.payloads == [b"still there"]
    assert len(peer_of(pair.server).isakmp_sas) == 1, "for the client may need it"
    run_to(pair, LIFETIME + GRACE + 1)
    (deleted,) = pair.server.told(SaDeleted)
    assert (deleted.why, deleted.unrenewed) == (Why.EXPIRED, "no answer to message 1")
    assert pair.server.told(NegotiationFailed) == [], "it is said once, at the end"
    assert pair.server.told(PeerClosed) == [], "and the client may come back with its ISAKMP SA"


def test_a_client_that_refuses_is_asked_a_few_times() -> None:
    caller = Caller()
    sa = caller.establish()
    caller.complete(caller.quick_mode())
    caller.events()
    (server,) = caller.ike._peers.by_id.values()
    (pair,) = server.pairs.values()
    pair.confirmed = True
    caller.ike._context.deadlines.clear((Timer.LIVENESS, server))
    end, asked = caller.now + pair.seconds + GRACE, 0
    while (due := caller.ike.next_timeout()) is not None and due < end:
        caller.now = due
        caller.ike.handle_timeout(due)
        for message in caller.answers():
            assert message[18] == ExchangeType.QUICK_MODE
            asked += 1
            error = Notification(NotifyType.NO_PROPOSAL_CHOSEN, ProtocolId.ESP)
            caller.inform(Payload(PayloadType.NOTIFY, error.build()))
    assert 4 <= asked <= 10
    assert pair.tries == asked
    assert sa.cookies in caller.ike._peers.by_cookies or server.newest is None
    caller.ike.handle_timeout(end)
    deleted = [event for event in caller.events() if isinstance(event, SaDeleted)]
    assert [event.unrenewed for event in deleted] == ["the peer says NO_PROPOSAL_CHOSEN"]


def test_without_an_isakmp_sa_no_main_mode_is_begun() -> None:
    pair = lazy()
    client = pair.client.ike._peers
    client.delete_isakmp_sa(peer_of(pair.client).isakmp_sas[0])
    pair.simulation.run(10.0)
    assert peer_of(pair.server).isakmp_sas == []
    run_to(pair, LIFETIME - 1)
    pair.exchange()
    pair.client.ike._context.deadlines.clear((Timer.ESP_END, pairs_of(pair.client)[0]))
    before = pair.simulation.carried
    run_to(pair, LIFETIME + GRACE + 1)
    assert pair.simulation.carried == before, "not a word"
    (deleted,) = pair.server.told(SaDeleted)
    assert (deleted.why, deleted.unrenewed) == (Why.EXPIRED, NO_ISAKMP_SA)
    assert [closed.why for closed in pair.server.told(PeerClosed)] == [Why.EXPIRED]


def test_an_end_that_the_client_wants_is_none_of_ours() -> None:
    pair = lazy()
    run_to(pair, LATEST - 50)
    pair.client.ike.close_peer(1, pair.simulation.now)
    pair.simulation.run(1.0)
    assert [deleted.unrenewed for deleted in pair.server.told(SaDeleted)] == [""]


# Deletes.


def delete(protocol: ProtocolId, *spis: bytes) -> Payload:
    return Payload(PayloadType.DELETE, Delete(protocol, spis).build())


def test_the_isakmp_sa_goes_while_the_server_renews() -> None:
    """The quick mode is lost with it; under the next ISAKMP SA of the client another is begun."""
    pair = lazy()
    pair.client.corrupt = deaf_to(ExchangeType.QUICK_MODE)
    run_to(pair, LATEST + 1)
    assert pairs_of(pair.server)[0].tries == 1
    pair.client.corrupt = bytes
    client = peer_of(pair.client)
    pair.client.ike._peers.delete_isakmp_sa(client.isakmp_sas[0])
    pair.client.ike.rekey_ike(client.id, pair.simulation.now)
    run_to(pair, LIFETIME + GRACE - 5)
    assert pair.server.told(PeerClosed) == pair.server.told(NegotiationFailed) == []
    assert len(pair.server.told(SaInstalled)) == 2
    pair.exchange()


@pytest.mark.parametrize("new_first", [True, False])
def test_a_client_deletes_the_old_pair_before_or_after_it_has_a_new_one(new_first: bool) -> None:
    pair = lazy()
    run_to(pair, 100.0)
    client = pair.client.ike
    (old,) = pairs_of(pair.client)
    if new_first:
        client.rekey_esp(1, pair.simulation.now)
        pair.simulation.run(1.0)
        client._peers.delete_pair(old, Why.CLOSED)
    else:
        client._peers.delete_pair(old, Why.CLOSED)
        pair.simulation.run(0.5)
        client._quick_modes.start(peer_of(pair.client).isakmp_sas[0], pair.simulation.now)
    pair.simulation.run(1.0)
    pair.exchange()
    assert len(pair.server.pairs) == len(pair.client.pairs) == 1
    assert pair.server.told(PeerClosed) == []


def test_a_delete_of_what_is_gone_already_is_nothing() -> None:
    pair = lazy()
    sa = peer_of(pair.client).isakmp_sas[0]
    gone = delete(ProtocolId.ESP, b"\0\1\2\3"), delete(ProtocolId.ISAKMP, bytes(16))
    message = sa.seal_informational(list(gone), pair.client.ike._context.entropy)
    pair.client.ike._context.send(message, peer_of(pair.client).path)
    pair.simulation.run(1.0)
    assert pair.server.told(SaDeleted) == []
    pair.exchange()
