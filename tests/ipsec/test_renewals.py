"""Renewals that are disturbed: lost messages, lost deletes, outages, and what then is left."""

from collections.abc import Callable

import pytest

from ipsec.config import IkeConfig
from ipsec.constants import ExchangeType, NotifyType, PayloadType, ProtocolId
from ipsec.context import Timer
from ipsec.events import NegotiationFailed, PeerClosed, SaDeleted, SaInstalled, Why
from ipsec.informational import RECALL
from ipsec.message import Payload
from ipsec.payloads import Delete, Notification
from ipsec.peer import Peer
from ipsec.peers import GRACE, RENEWAL, VOLUME_INTERVAL
from ipsec.renewals import RETRY
from tests.support.caller import Caller
from tests.support.ike import IkeHost, Pair, config
from tests.support.simulation import Link

LIFETIME = 1000
DUE = RENEWAL * LIFETIME
QUIET = config(dpd_interval=None)
SETTINGS = config(dpd_interval=None, esp_lifetime=LIFETIME)
LONGEST_MESSAGE_3 = 100
"""Octets; all other messages of Quick Mode are longer."""


def established(settings: IkeConfig = SETTINGS) -> Pair:
    pair = Pair(client=settings, server=QUIET)
    pair.establish()
    pair.simulation.run(1.0)
    return pair


def peer_of(host: IkeHost) -> Peer:
    (peer,) = host.ike._peers.by_id.values()
    return peer


def run_to(pair: Pair, age: float) -> None:
    """Let time pass until the first pair is so old at the client."""
    pair.simulation.run(1000.0 + age - pair.simulation.now)


def without(exchange: ExchangeType, longest: int = 10_000) -> Callable[[bytes], bytes]:
    """Return a filter that spoils the messages of an exchange, up to a length."""
    return lambda data: b"" if data[18] == exchange and len(data) <= longest else data


def outage(pair: Pair, seconds: float) -> None:
    pair.simulation.link = Link(loss=1.0)
    pair.simulation.run(seconds)
    pair.simulation.link = Link()


def delete(protocol: ProtocolId, *spis: bytes) -> Payload:
    return Payload(PayloadType.DELETE, Delete(protocol, spis).build())


# Lost messages.


def test_a_pair_lives_on_if_message_3_never_arrives() -> None:
    pair = established()
    old = peer_of(pair.server).sending
    pair.server.corrupt = without(ExchangeType.QUICK_MODE, LONGEST_MESSAGE_3)
    run_to(pair, DUE + 60)
    (failed,) = pair.server.told(NegotiationFailed)
    assert failed.why == "no answer to message 2"
    server = peer_of(pair.server)
    assert len(server.pairs) == 2
    assert server.sending is old, "as long as nothing came on the new one"
    pair.exchange()
    assert server.sending is not old
    run_to(pair, LIFETIME + 10)
    pair.exchange()


def test_message_3_is_sent_again_as_often_as_message_2() -> None:
    pair = established()
    pair.server.corrupt = without(ExchangeType.QUICK_MODE, LONGEST_MESSAGE_3)
    run_to(pair, DUE + 2)
    pair.server.corrupt = bytes
    run_to(pair, DUE + 10)
    sending = peer_of(pair.server).sending
    assert sending is not None
    assert len(pair.server.pairs) == 2
    assert sending.spi == list(pair.server.pairs)[-1]
    assert pair.server.told(NegotiationFailed) == []


def test_message_3_may_come_after_the_isakmp_sa_was_deleted() -> None:
    caller = Caller()
    sa = caller.establish()
    mode = caller.quick_mode()
    answer, *_ = caller.send(caller.offer(mode))
    third = caller.take_quick(mode, answer)
    caller.inform(delete(ProtocolId.ISAKMP, sa.spi))
    assert third is not None
    caller.send(third)
    (peer,) = caller.ike._peers.by_id.values()
    assert peer.sending is not None
    assert peer.isakmp_sas == []


def test_an_isakmp_sa_that_was_deleted_takes_nothing_but_deletes() -> None:
    caller = Caller()
    sa = caller.establish()
    caller.complete(caller.quick_mode())
    caller.inform(delete(ProtocolId.ISAKMP, sa.spi))
    caller.events()
    for kind in (NotifyType.INITIAL_CONTACT, NotifyType.R_U_THERE):
        notification = Notification(kind, ProtocolId.ISAKMP, sa.spi, bytes(4))
        assert caller.inform(Payload(PayloadType.NOTIFY, notification.build())) == []
    assert caller.events() == []


# Trying again.


def test_a_renewal_is_tried_until_it_works() -> None:
    pair = established(config(dpd_interval=None, esp_lifetime=LIFETIME, ike_lifetime=LIFETIME))
    run_to(pair, DUE - 1)
    outage(pair, 100.0)
    assert pair.client.told(NegotiationFailed) != []
    run_to(pair, LIFETIME + GRACE + 10)
    assert pair.client.told(PeerClosed) == pair.server.told(PeerClosed) == []
    pair.exchange()
    for host in (pair.client, pair.server):
        assert len(host.pairs) == 1
        assert len(peer_of(host).isakmp_sas) == 1


def test_the_renewal_of_an_isakmp_sa_is_tried_by_itself() -> None:
    pair = established(config(dpd_interval=None, ike_lifetime=LIFETIME))
    (old,) = peer_of(pair.client).isakmp_sas
    run_to(pair, DUE - 1)
    outage(pair, 60.0)
    run_to(pair, LIFETIME - 1)
    (new,) = peer_of(pair.client).isakmp_sas
    assert new is not old
    assert peer_of(pair.server).isakmp_sas[-1].cookies == new.cookies


def test_a_pair_that_was_renewed_is_not_renewed_again() -> None:
    pair = established()
    run_to(pair, LIFETIME - 1)
    assert len(pair.client.told(SaInstalled)) == 2
    run_to(pair, DUE + DUE - 1)
    assert len(pair.client.told(SaInstalled)) == 2


def test_the_older_pair_takes_over_when_the_newer_one_is_deleted() -> None:
    pair = established()
    run_to(pair, DUE + 10)
    server = peer_of(pair.server)
    older, newer = server.pairs.values()
    assert server.sending is newer
    pair.server.ike._peers.delete_pair(newer, Why.CLOSED)
    pair.simulation.run(0.1)
    assert peer_of(pair.client).sending is not None
    assert server.sending is older
    pair.simulation.run(RETRY)
    assert len(server.pairs) == 2, "and is renewed again"
    pair.exchange()


def test_an_isakmp_sa_under_which_nobody_answers_is_replaced() -> None:
    pair = established()
    (gone,) = peer_of(pair.server).isakmp_sas
    pair.server.ike._peers.remove_isakmp_sa(gone)
    run_to(pair, LIFETIME - 10)
    assert len(peer_of(pair.client).isakmp_sas) == 1
    assert peer_of(pair.client).isakmp_sas[0].cookies != gone.cookies
    assert len(pair.client.told(SaInstalled)) == 2
    assert pair.client.told(PeerClosed) == []
    pair.exchange()


# The last pair is gone.


def test_who_lost_the_last_pair_calls_anew() -> None:
    lifetime = 1070
    pair = established(config(dpd_interval=None, esp_lifetime=lifetime))
    number = peer_of(pair.client).id
    run_to(pair, RENEWAL * lifetime - 1)
    outage(pair, (1 - RENEWAL) * lifetime + 11)
    assert not pair.client.pairs
    whys = [failed.why for failed in pair.client.told(NegotiationFailed)]
    assert whys == ["no answer to message 1"] * 3, "what was begun before does not count"
    assert pair.simulation.run(20.0, lambda: bool(pair.client.pairs))
    assert peer_of(pair.client).id == number
    pair.exchange()


def test_and_gives_the_peer_up_if_nobody_answers() -> None:
    pair = established()
    run_to(pair, DUE - 1)
    outage(pair, LIFETIME - DUE + 40)
    assert [closed.why for closed in pair.client.told(PeerClosed)] == [Why.NEGOTIATION_FAILED]
    assert pair.client.ike.next_timeout() is None


def test_a_peer_that_deletes_the_last_pair_alone_is_asked_for_another() -> None:
    pair = established()
    server = peer_of(pair.server)
    pair.server.ike._peers.delete_pair(next(iter(server.pairs.values())), Why.CLOSED)
    pair.simulation.run(RECALL - 0.5)
    assert not pair.client.pairs
    pair.simulation.run(1.0)
    pair.exchange()


@pytest.mark.parametrize("order", [1, -1])
def test_a_peer_that_deletes_everything_is_let_go(order: int) -> None:
    pair = established()
    server = peer_of(pair.server)
    (esp,) = (spi.to_bytes(4, "big") for spi in server.pairs)
    (sa,) = server.isakmp_sas
    bodies = [(ProtocolId.ESP, esp), (ProtocolId.ISAKMP, sa.spi)]
    for protocol, spi in bodies[::order]:
        pair.server.ike._peers._send_delete(sa, protocol, [spi])
    pair.simulation.run(1.0)
    assert [closed.why for closed in pair.client.told(PeerClosed)] == [Why.DELETED_BY_PEER]
    pair.simulation.run(RECALL)
    assert pair.client.ike.next_timeout() is None


# What is left of the old.


def test_a_renewed_isakmp_sa_stays_for_what_is_under_way() -> None:
    pair = established()
    client = peer_of(pair.client)
    (old,) = client.isakmp_sas
    pair.client.ike.rekey_ike(client.id, pair.simulation.now)
    pair.simulation.run(GRACE - 1)
    pair.server.corrupt = without(ExchangeType.QUICK_MODE)
    pair.client.ike._quick_modes.start(old, pair.simulation.now)
    pair.simulation.run(5.0)
    assert old in client.isakmp_sas
    pair.server.corrupt = bytes
    pair.simulation.run(GRACE + 5.0)
    assert len(pair.server.pairs) == 2
    assert old not in client.isakmp_sas
    assert len(peer_of(pair.server).isakmp_sas) == 1


def test_the_initiator_is_the_one_to_end_a_pair() -> None:
    pair = established()
    run_to(pair, LIFETIME + 10)
    assert [deleted.why for deleted in pair.client.told(SaDeleted)] == [Why.EXPIRED]
    assert [deleted.why for deleted in pair.server.told(SaDeleted)] == [Why.DELETED_BY_PEER]


def test_a_delete_that_is_lost_leaves_the_old_pair_for_a_while() -> None:
    pair = established()
    run_to(pair, LIFETIME - 1)
    pair.server.corrupt = without(ExchangeType.INFORMATIONAL)
    run_to(pair, LIFETIME + 10)
    assert len(pair.server.pairs) == 2
    pair.exchange()
    run_to(pair, LIFETIME + GRACE + 10)
    assert len(pair.server.pairs) == 1
    pair.exchange()


# Volume.


def test_a_pair_that_carried_too_much_at_once_is_renewed_and_then_ends() -> None:
    """The limit is the server's, and the client keeps to it: it was told in message 2."""
    pair = Pair(client=QUIET, server=config(esp_kilobytes=10))
    pair.establish()
    for _ in range(20):
        pair.server.send(bytes(1000))
    pair.simulation.run(VOLUME_INTERVAL + 1)
    pair.exchange()
    assert len(pair.server.pairs) == 2
    pair.simulation.run(GRACE + VOLUME_INTERVAL)
    assert len(pair.server.pairs) == len(pair.client.pairs) == 1
    pair.exchange()


def test_a_responder_waits_for_the_initiator_to_renew_what_is_used_up() -> None:
    """Who counts otherwise renews later, but not that late."""
    pair = Pair(client=QUIET, server=config(esp_kilobytes=10, dpd_interval=None))
    pair.establish()
    for _ in range(20):
        pair.server.send(bytes(1000))
    pair.simulation.run(1.0)
    pair.client.ike._context.deadlines.clear((Timer.VOLUME, None))
    pair.simulation.run(GRACE - 5)
    pair.exchange()
    pair.simulation.run(2 * VOLUME_INTERVAL)
    assert [deleted.why for deleted in pair.server.told(SaDeleted)] == [Why.EXPIRED]
    pair.exchange()


# Dead peer detection.


def test_each_isakmp_sa_is_asked_under_in_turn() -> None:
    """The peer may not have one whose message 6 was lost; it need not be taken for dead."""
    pair = Pair(client=QUIET, server=config())
    pair.establish()
    pair.client.ike.rekey_ike(1, pair.simulation.now)
    pair.simulation.run(1.0)
    client = peer_of(pair.client)
    pair.client.ike._peers.remove_isakmp_sa(client.isakmp_sas[-1])
    pair.client.ike._context.deadlines.clear((Timer.IKE_END, client.isakmp_sas[0]))
    pair.simulation.run(600.0)
    assert len(peer_of(pair.server).isakmp_sas) == 2
    assert pair.server.told(PeerClosed) == []
