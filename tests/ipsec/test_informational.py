"""Deletes, notifications and dead peer detection, genuine and otherwise."""

from random import Random

import pytest

from ipsec import dpd
from ipsec.constants import NotifyType, PayloadType, ProtocolId
from ipsec.endpoint import Ike
from ipsec.errors import Drop
from ipsec.events import PeerClosed, SaConfirmed, SaDeleted, Why
from ipsec.message import Payload, parse_message
from ipsec.payloads import Delete, Notification
from ipsec.peers import GRACE, LINGER
from ipsec.quick_mode import QuickMode
from tests.support.caller import Caller, clear, rebuilt
from tests.support.ike import Pair, config
from tests.support.simulation import Link, Nat
from wire import LocalError, Reader

QUIET = config(dpd_interval=None)


def connected(settings: object = QUIET) -> tuple[Caller, QuickMode]:
    """Return a caller with one pair of SAs."""
    caller = Caller(Ike(settings, Random(5).randbytes))  # type: ignore[arg-type]
    caller.establish()
    mode = caller.quick_mode(spi=0x1000)
    caller.complete(mode)
    caller.events()
    return caller, mode


def delete(protocol: ProtocolId, *spis: bytes) -> Payload:
    return Payload(PayloadType.DELETE, Delete(protocol, spis).build())


def notify(kind: NotifyType, spi: bytes, data: bytes = b"") -> Payload:
    return Payload(PayloadType.NOTIFY, Notification(kind, ProtocolId.ISAKMP, spi, data).build())


def esp(spi: int) -> bytes:
    return spi.to_bytes(4, "big")


def inbound(caller: Caller) -> int:
    ((spi, _),) = caller.ike.snapshot().peers[0].pairs
    return spi


# Deletes.


def test_deletes_in_the_order_of_windows() -> None:
    caller, _ = connected()
    spi = inbound(caller)
    caller.inform(delete(ProtocolId.ESP, esp(0x1000)))
    assert caller.events() == [SaDeleted(1, spi, Why.DELETED_BY_PEER)]
    assert caller.sa is not None
    caller.inform(delete(ProtocolId.ISAKMP, caller.sa.spi))
    assert caller.events() == [PeerClosed(1, Why.DELETED_BY_PEER)]
    assert caller.ike.snapshot().peers == ()
    assert caller.ike.next_timeout() is None


def test_the_end_of_the_isakmp_sa_leaves_the_others() -> None:
    caller, _ = connected()
    assert caller.sa is not None
    caller.inform(delete(ProtocolId.ISAKMP, caller.sa.spi))
    assert caller.events() == []
    (peer,) = caller.ike.snapshot().peers
    assert peer.isakmp_sas == 0
    assert len(peer.pairs) == 1
    caller.ike.handle_timeout(caller.now + 8 * 3600 + GRACE)
    assert [type(event) for event in caller.events()] == [SaDeleted, PeerClosed]


def test_deletes_that_overtook_each_other() -> None:
    caller, _ = connected()
    assert caller.sa is not None
    late = caller.sa.seal_informational([delete(ProtocolId.ESP, esp(0x1000))], caller.entropy)
    caller.inform(delete(ProtocolId.ISAKMP, caller.sa.spi))
    assert caller.send(caller.offer(caller.quick_mode(spi=0x2000))) == []
    assert caller.ike.snapshot().dropped == {Drop.UNKNOWN_SA: 1}
    caller.send(late)
    assert [type(event) for event in caller.events()] == [SaDeleted, PeerClosed]
    assert caller.ike.next_timeout() is None


def test_who_deletes_the_old_pair_has_the_new_one() -> None:
    """Message 3 of the quick mode that renewed it was lost."""
    caller, _ = connected()
    caller.send(caller.offer(caller.quick_mode(spi=0x2000)))
    old, new = (spi for spi, _ in caller.ike.snapshot().peers[0].pairs)
    caller.events()
    caller.inform(delete(ProtocolId.ESP, esp(0x1000)))
    assert caller.events() == [SaDeleted(1, old, Why.DELETED_BY_PEER), SaConfirmed(1, new)]
    caller.ike.handle_timeout(caller.now + 60)
    assert caller.answers() == [], "message 2 is not sent again"


def test_a_deleted_isakmp_sa_is_soon_forgotten() -> None:
    caller, _ = connected()
    assert caller.sa is not None
    late = caller.sa.seal_informational([delete(ProtocolId.ESP, esp(0x1000))], caller.entropy)
    caller.inform(delete(ProtocolId.ISAKMP, caller.sa.spi))
    caller.now += LINGER
    caller.ike.handle_timeout(caller.now)
    assert caller.send(late) == []
    assert caller.events() == []
    assert caller.ike.snapshot().dropped == {Drop.UNKNOWN_SA: 1}


def test_all_in_one_message_and_more_than_once() -> None:
    caller, _ = connected()
    assert caller.sa is not None
    caller.inform(
        delete(ProtocolId.ESP, esp(0x1000), esp(0x1000)),
        delete(ProtocolId.ISAKMP, caller.sa.spi),
        delete(ProtocolId.ESP, esp(0x1000)),
        delete(ProtocolId.ISAKMP, caller.sa.spi),
        notify(NotifyType.R_U_THERE, caller.sa.spi, bytes(4)),
    )
    assert [type(event) for event in caller.events()] == [SaDeleted, PeerClosed]


@pytest.mark.parametrize(
    "payload",
    [
        delete(ProtocolId.ESP, esp(0x2000)),
        delete(ProtocolId.AH, esp(0x1000)),
        delete(ProtocolId.ISAKMP, bytes(16)),
        delete(ProtocolId.ESP, bytes(255)),
        Payload(PayloadType.DELETE, Delete(ProtocolId.ESP, (esp(0x1000),)).build()[:-1]),
        Payload(PayloadType.DELETE, b"\0\0\0\1\3\0\xff\xff"),
        Payload(PayloadType.NOTIFY, b"\0"),
    ],
    ids=["other SPI", "AH", "other cookies", "long SPI", "cut", "no SPIs", "cut notification"],
)
def test_deletes_of_nothing(payload: Payload) -> None:
    caller, _ = connected()
    caller.inform(payload)
    assert caller.events() == []
    assert len(caller.ike.snapshot().peers[0].pairs) == 1


def test_nobody_deletes_the_sas_of_another() -> None:
    victim, _ = connected()
    attacker = Caller(victim.ike, port=501, seed=7)
    attacker.establish()
    victim.events()
    assert victim.sa is not None
    attacker.inform(delete(ProtocolId.ESP, esp(0x1000)), delete(ProtocolId.ISAKMP, victim.sa.spi))
    assert attacker.events() == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda message: message[:-1] + bytes([message[-1] ^ 1]), None),
        (lambda message: message[:30] + bytes([message[30] ^ 1]) + message[31:], None),
        (lambda message: message[:19] + b"\0" + message[20:], Drop.IN_CLEAR),
        (lambda message: message[:20] + bytes(4) + message[24:], Drop.UNKNOWN_SA),
        (lambda message: bytes(16) + message[16:], Drop.UNKNOWN_SA),
    ],
    ids=["last octet", "hash", "not encrypted", "message id 0", "cookies"],
)
def test_what_is_not_genuine_has_no_effect(change: object, reason: Drop | None) -> None:
    assert callable(change)
    caller, _ = connected()
    assert caller.sa is not None
    message = caller.sa.seal_informational([delete(ProtocolId.ESP, esp(0x1000))], caller.entropy)
    assert caller.send(change(message)) == []
    assert caller.events() == []
    dropped = caller.ike.snapshot().dropped
    assert sum(dropped.values()) == 1
    assert reason is None or dropped == {reason: 1}
    caller.send(message)
    assert [type(event) for event in caller.events()] == [SaDeleted]


def test_a_repeated_message_has_no_effect() -> None:
    caller, _ = connected()
    assert caller.sa is not None
    question = notify(NotifyType.R_U_THERE, caller.sa.spi, bytes(4))
    message = caller.sa.seal_informational([question], caller.entropy)
    assert len(caller.send(message)) == 1
    assert caller.send(message) == []
    assert caller.ike.snapshot().dropped == {Drop.REPEATED: 1}


def test_closing_deletes_esp_first() -> None:
    caller, _ = connected()
    spi = inbound(caller)
    caller.ike.close_all(caller.now)
    first, second = (caller.open(answer).the(PayloadType.DELETE) for answer in caller.answers())
    assert Delete.parse(Reader(first)) == Delete(ProtocolId.ESP, (esp(spi),))
    assert caller.sa is not None
    assert Delete.parse(Reader(second)) == Delete(ProtocolId.ISAKMP, (caller.sa.spi,))
    assert caller.events() == [SaDeleted(1, spi, Why.CLOSED), PeerClosed(1, Why.CLOSED)]
    assert caller.ike.next_timeout() is None
    caller.ike.close_peer(1, caller.now)
    assert caller.events() == []
    with pytest.raises(LocalError):
        caller.ike.probe(1, caller.now)


def test_closing_reaches_the_other_side() -> None:
    pair = Pair()
    number = pair.connect()
    assert pair.simulation.run(10.0, pair.established)
    pair.client.ike.close_peer(number, pair.simulation.now)
    pair.simulation.run(1.0)
    assert pair.server.told(PeerClosed) == [PeerClosed(1, Why.DELETED_BY_PEER)]


# Dead peer detection.


def test_questions_are_answered() -> None:
    caller, _ = connected()
    assert caller.sa is not None
    for sequence in (b"\0\0\0\1", b"\xff\xff\xff\xff"):
        (answer,) = caller.inform(notify(NotifyType.R_U_THERE, caller.sa.spi, sequence))
        notification = Notification.parse(Reader(caller.open(answer).the(PayloadType.NOTIFY)))
        assert notification == Notification(
            NotifyType.R_U_THERE_ACK, ProtocolId.ISAKMP, caller.sa.spi, sequence
        )


def test_questions_about_other_cookies_are_not() -> None:
    caller, _ = connected()
    assert caller.inform(notify(NotifyType.R_U_THERE, bytes(16), bytes(4))) == []


def question(caller: Caller) -> Notification:
    (message,) = caller.answers()
    notification = Notification.parse(Reader(caller.open(message).the(PayloadType.NOTIFY)))
    assert notification.type == NotifyType.R_U_THERE
    return notification


def test_a_silent_peer_is_asked_and_then_given_up() -> None:
    caller, _ = connected(config(dpd_interval=20.0))
    sequences = []
    caller.now += 20.0
    for _ in range(dpd.TRIES):
        caller.ike.handle_timeout(caller.now)
        sequences.append(int.from_bytes(question(caller).data, "big"))
        caller.now += dpd.RETRY
    assert sequences == list(range(sequences[0], sequences[0] + dpd.TRIES))
    caller.ike.handle_timeout(caller.now)
    assert caller.answers() == []
    assert [type(event) for event in caller.events()] == [SaDeleted, PeerClosed]


@pytest.mark.parametrize("seed", range(3))
def test_a_lossy_link_is_no_death(seed: int) -> None:
    """A day on which the client says nothing of itself, and a fifth is lost each way."""
    asking, nat = config(dpd_interval=20.0), Nat("203.0.113.9")
    pair = Pair(QUIET, asking, nat, seed=seed)
    pair.establish()
    assert (1 - 0.8 * 0.8) ** dpd.TRIES < 1e-6
    pair.simulation.link = Link(delay=0.05, jitter=0.1, loss=0.2)
    most = 0
    for _ in range(24 * 360):
        pair.simulation.run(10.0)
        (peer,) = pair.server.ike._peers.by_id.values()
        most = max(most, peer.liveness.unanswered)
    assert 4 <= most < dpd.TRIES


def test_esp_in_the_midst_of_questions_is_an_answer() -> None:
    caller, mode = connected(config(dpd_interval=20.0))
    assert mode.pair is not None
    server_side = caller.ike._peers.by_spi[inbound(caller)][0]
    caller.now += 20.0
    for _ in range(3):
        for _ in range(dpd.TRIES - 1):
            caller.ike.handle_timeout(caller.now)
            question(caller)
            caller.now += dpd.RETRY
        server_side.inbound.open(mode.pair.outbound.seal(b"12345678"))
        caller.ike.handle_timeout(caller.now)
        assert caller.answers() == []
        caller.now += 20.0
    assert caller.events() == []


def test_an_answer_makes_it_alive_again() -> None:
    caller, _ = connected(config(dpd_interval=20.0))
    caller.now += 20.0
    caller.ike.handle_timeout(caller.now)
    asked = question(caller)
    caller.inform(notify(NotifyType.R_U_THERE_ACK, asked.spi, asked.data))
    assert caller.ike.snapshot().dropped == {}
    caller.inform(notify(NotifyType.R_U_THERE_ACK, asked.spi, asked.data))
    caller.inform(notify(NotifyType.R_U_THERE_ACK, bytes(16), asked.data))
    caller.inform(notify(NotifyType.R_U_THERE_ACK, asked.spi, b""))
    assert caller.ike.snapshot().dropped == {Drop.NO_QUESTION: 3}
    caller.now += 20.0
    caller.ike.handle_timeout(caller.now)
    question(caller)


def test_esp_shows_that_a_peer_lives() -> None:
    caller, mode = connected(config(dpd_interval=20.0))
    assert mode.pair is not None
    server_side = caller.ike._peers.by_spi[inbound(caller)][0]
    for _ in range(5):
        server_side.inbound.open(mode.pair.outbound.seal(b"12345678"))
        caller.now += 20.0
        caller.ike.handle_timeout(caller.now)
        assert caller.answers() == []
    caller.now += 20.0
    caller.ike.handle_timeout(caller.now)
    question(caller)


def test_a_peer_without_the_vendor_id_is_never_asked() -> None:
    caller = Caller(Ike(config(dpd_interval=20.0), Random(5).randbytes))
    first = caller.first()
    items = [item for item in clear(first).items if item.body.hex()[:8] != "afcad713"]
    (second,) = caller.send(rebuilt(first, items))
    (fourth,) = caller.send(caller.next(second))
    caller.send(caller.next(fourth))
    assert not caller.ike.probe(1, caller.now)
    caller.ike.handle_timeout(caller.now + 3600.0)
    assert caller.answers() == []


def test_a_peer_can_be_asked_at_any_time() -> None:
    caller, _ = connected()
    assert caller.ike.probe(1, caller.now)
    header, _ = parse_message(caller.answers()[0])
    assert header.message_id
