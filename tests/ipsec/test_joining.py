"""NAT moves a client just before it renews its ISAKMP SA: is it still the same peer?"""

from random import Random

import pytest

from ipsec.constants import ExchangeType, NotifyType, PayloadType, ProtocolId
from ipsec.endpoint import Ike
from ipsec.events import PeerClosed, SaConfirmed, SaDeleted, SaInstalled, Why
from ipsec.isakmp_sa import IsakmpSa
from ipsec.message import Payload
from ipsec.payloads import Identification, Notification
from ipsec.peer import Peer
from ipsec.peers import MAX_ISAKMP_SAS, MAX_QUESTIONS
from tests.support.caller import Caller
from tests.support.ike import IkeHost, Pair, config
from tests.support.simulation import Nat, Wire

QUIET = config(dpd_interval=None)
PUBLIC = "203.0.113.9"


def peers_of(host: IkeHost) -> list[Peer]:
    return list(host.ike._peers.by_id.values())


def behind_nat() -> tuple[Pair, Nat]:
    nat = Nat(PUBLIC)
    pair = Pair(QUIET, QUIET, nat)
    pair.establish()
    pair.exchange()
    return pair, nat


def move_and_renew(pair: Pair, nat: Nat) -> None:
    """Give the client another port; it has no traffic before it renews its ISAKMP SA."""
    nat.forget()
    pair.client.ike.rekey_ike(1, pair.simulation.now)


def test_a_client_that_answers_is_known_again() -> None:
    pair, nat = behind_nat()
    move_and_renew(pair, nat)
    pair.simulation.run(1.0)
    (peer,) = peers_of(pair.server)
    assert peer.id == 1
    assert len(peer.isakmp_sas) == 2
    assert peer.path.peer.port >= 40002
    closed = pair.server.told(PeerClosed)
    assert [(one.peer, one.why) for one in closed] == [(2, Why.JOINED)]
    pair.exchange()
    pair.client.ike.rekey_esp(1, pair.simulation.now)
    pair.simulation.run(1.0)
    assert {event.peer for event in pair.server.told(SaInstalled)} == {1}
    pair.exchange()


@pytest.mark.parametrize("delay", [0.061, 0.07, 0.08, 0.09, 0.1])
def test_a_quick_mode_may_come_first(delay: float) -> None:
    """The pair is then the new peer's for a moment."""
    pair, nat = behind_nat()
    answers: list[Wire] = []
    first = len(pair.server.events)
    pair.simulation.blocks = lambda packet: late(packet, answers)
    move_and_renew(pair, nat)
    pair.simulation.run(delay)
    pair.client.ike.rekey_esp(1, pair.simulation.now)
    pair.simulation.run(1.0)
    pair.simulation.blocks = lambda packet: False
    for packet in answers:
        pair.simulation._send(packet)
    pair.simulation.run(1.0)
    (peer,) = peers_of(pair.server)
    assert (peer.id, len(peer.pairs)) == (1, 2)
    assert peer.sending is not None
    assert peer.sending.sa is peer.isakmp_sas[1]
    assert all(one.sa.peer is peer for one in peer.pairs.values())
    spi = peer.sending.spi
    news = [event for event in pair.server.events[first:] if spi in vars_of(event)]
    kinds = [(type(event), event.peer) for event in news]
    assert kinds == [
        (SaInstalled, 2), (SaConfirmed, 2), (SaDeleted, 2), (SaInstalled, 1), (SaConfirmed, 1)
    ]  # fmt: skip
    pair.exchange()


def late(packet: Wire, kept: list[Wire]) -> bool:
    """Keep the client's informational messages back."""
    found = packet.source.host == PUBLIC and is_informational(packet.data)
    if found:
        kept.append(packet)
    return found


def is_informational(data: bytes) -> bool:
    return data[4 + 18 : 4 + 19] == bytes([ExchangeType.INFORMATIONAL])


def vars_of(event: object) -> set[object]:
    spi = getattr(event, "inbound_spi", None) or getattr(event, "inbound", None)
    return {getattr(spi, "spi", spi)}


def test_without_an_answer_the_first_esp_packet_does_it() -> None:
    pair, nat = behind_nat()
    pair.client.corrupt = lambda data: b"" if is_informational(data) else data
    move_and_renew(pair, nat)
    pair.simulation.run(1.0)
    assert [peer.id for peer in peers_of(pair.server)] == [1, 2]
    pair.client.send(b"from the new place")
    pair.simulation.run(1.0)
    (peer,) = peers_of(pair.server)
    assert (peer.id, len(peer.isakmp_sas)) == (1, 2)
    pair.exchange()


# Others, who have the pre-shared key and the same private address at home.


def neighbour(ike: Ike, port: int, seed: int = 7) -> Caller:
    """Return a caller from a port of the same public address, without INITIAL-CONTACT."""
    settings = config(identity=Identification.of_address("10.0.0.2"))
    return Caller(ike, settings, PUBLIC, port, 4500, seed)


def log_in(caller: Caller) -> list[bytes]:
    """Complete Main Mode; return what comes after message 6."""
    message = caller.up_to(5)
    answer, *more = caller.send(message)
    assert caller.take(answer) is None
    caller.sa = IsakmpSa(caller.mode, caller.now)
    return more


def test_a_neighbour_that_cannot_answer_stays_another() -> None:
    """It gets the question, sends it back, and answers as well as it can: under its own keys."""
    pair, _ = behind_nat()
    ike, (victim,) = pair.server.ike, peers_of(pair.server)
    path, before = victim.path, victim.isakmp_sas[0].spi
    caller = neighbour(ike, 50000)
    caller.now = pair.simulation.now
    (question,) = log_in(caller)
    assert question[:16] == before
    caller.send(question)
    for sequence in range(3):
        answer = Notification(
            NotifyType.R_U_THERE_ACK, ProtocolId.ISAKMP, before, sequence.to_bytes(4, "big")
        )
        caller.inform(Payload(PayloadType.NOTIFY, answer.build()))
    caller.complete(caller.quick_mode())
    pair.server.collect()
    assert [peer.id for peer in peers_of(pair.server)] == [1, 2]
    assert victim.path == path
    assert len(victim.isakmp_sas) == len(victim.pairs) == 1
    assert pair.server.told(PeerClosed) == []
    assert victim.liveness.unanswered == 0, "nor is that a sign of death"


def test_few_neighbours_are_asked() -> None:
    ike = Ike(QUIET, Random(5).randbytes)
    callers = [neighbour(ike, 50000 + number, number) for number in range(7)]
    asked = [len(log_in(caller)) for caller in callers]
    assert asked == [min(number, MAX_QUESTIONS) for number in range(7)]
    assert len(ike.snapshot().peers) == 7


@pytest.mark.parametrize(("host", "identity"), [(PUBLIC, "10.0.0.3"), ("203.0.113.10", "10.0.0.2")])
def test_nobody_else_is_asked(host: str, identity: str) -> None:
    pair, _ = behind_nat()
    settings = config(identity=Identification.of_address(identity))
    assert log_in(Caller(pair.server.ike, settings, host, 50000, 4500, 7)) == []


def test_who_has_forgotten_everything_is_not_asked_and_not_joined() -> None:
    pair, nat = behind_nat()
    nat.forget()
    pair.client.ike._main_modes.start(peers_of(pair.client)[0].path, 99, pair.simulation.now)
    pair.simulation.run(1.0)
    pair.server.collect()
    pair.client.send(b"late, of the time before")
    pair.simulation.run(1.0)
    assert [peer.id for peer in peers_of(pair.server)] == [1, 2]
    assert [peer.anew for peer in peers_of(pair.server)] == [True, True]


def test_a_peer_that_is_joined_has_no_more_isakmp_sas_than_others() -> None:
    pair, nat = behind_nat()
    for _ in range(MAX_ISAKMP_SAS + 2):
        move_and_renew(pair, nat)
        pair.simulation.run(1.0)
        (peer,) = peers_of(pair.server)
        assert len(peer.isakmp_sas) <= MAX_ISAKMP_SAS
    assert peer.id == 1
    pair.exchange()
