"""RESPONDER-LIFETIME: who tells it when, and who heeds it. Quick Mode's part is in its tests."""

from random import Random

import pytest

from ipsec import responder_lifetime
from ipsec.constants import LifeType, NotifyType, PayloadType, ProtocolId
from ipsec.context import Timer
from ipsec.endpoint import Ike
from ipsec.errors import Drop
from ipsec.events import NegotiationFailed, PeerClosed, SaDeleted, SaInstalled
from ipsec.isakmp_sa import IsakmpSa
from ipsec.message import Payload
from ipsec.offers import read_lifetimes
from ipsec.payloads import Notification
from ipsec.proposals import Attribute
from tests.support.caller import Caller, clear
from tests.support.ike import Pair, config
from tests.support.simulation import Nat
from wire import DecodeError, Reader

DAY = 24 * 3600
SECONDS, KILOBYTES = LifeType.SECONDS, LifeType.KILOBYTES
ESP_SPI, IKE_SPI = bytes(4), bytes(16)


def notification(data: bytes, protocol: ProtocolId = ProtocolId.ESP) -> Notification:
    return Notification(NotifyType.RESPONDER_LIFETIME, protocol, ESP_SPI, data)


def opened(payloads: list[Payload]) -> Notification:
    (payload,) = payloads
    assert payload.type == PayloadType.NOTIFY
    return Notification.parse(Reader(payload.body))


def test_octets() -> None:
    """For ESP as RFC 2407 section 4.6.3.1 has it; for ISAKMP as Cisco sends it."""
    told = opened(responder_lifetime.tell(ProtocolId.ESP, ESP_SPI, [(SECONDS, 7200, 3600)]))
    assert (told.protocol, told.spi) == (ProtocolId.ESP, ESP_SPI)
    assert told.data.hex() == "800100010002000400000e10"
    told = opened(responder_lifetime.tell(ProtocolId.ISAKMP, IKE_SPI, [(SECONDS, None, DAY)]))
    assert (told.protocol, told.spi) == (ProtocolId.ISAKMP, IKE_SPI)
    assert told.data.hex() == "800b0001000c000400015180"


@pytest.mark.parametrize(
    ("offered", "ours", "told"),
    [
        (3600, 1800, True),
        (3600, 3600, False),
        (3600, 7200, False),
        (3600, None, False),
        (None, 3600, True),
        (0, 3600, True),
        (None, None, False),
    ],
)
def test_only_what_is_shorter_is_told(offered: int | None, ours: int | None, told: bool) -> None:
    lifetimes = [(SECONDS, 9, 9), (KILOBYTES, offered, ours)]
    payloads = responder_lifetime.tell(ProtocolId.ESP, ESP_SPI, lifetimes)
    assert [responder_lifetime.read(opened([p]), ProtocolId.ESP) for p in payloads] == (
        [{KILOBYTES: ours}] if told else []
    )


def test_both_encodings_are_read() -> None:
    attributes = Attribute.short(1, SECONDS), Attribute.long(2, 1800)
    attributes += Attribute.short(1, KILOBYTES), Attribute.short(2, 9)
    data = b"".join(attribute.build() for attribute in attributes)
    read = {SECONDS: 1800, KILOBYTES: 9}
    assert responder_lifetime.read(notification(data), ProtocolId.ESP) == read
    assert read_lifetimes(attributes, 1, 2) == read


@pytest.mark.parametrize(
    "other",
    [
        notification(b""),
        notification(Attribute.long(2, 5).build()),
        notification(b"\xff" * 8, ProtocolId.ISAKMP),
        Notification(NotifyType.REPLAY_STATUS, ProtocolId.ESP, ESP_SPI, b"\1"),
    ],
    ids=["nothing", "duration of nothing", "another protocol", "another type"],
)
def test_what_tells_no_lifetime(other: Notification) -> None:
    assert responder_lifetime.read(other, ProtocolId.ESP) == {}


@pytest.mark.parametrize("data", ["800100018002000580020006", "800100", "0001ffff"])
def test_what_cannot_be_read(data: str) -> None:
    with pytest.raises(DecodeError):
        responder_lifetime.read(notification(bytes.fromhex(data)), ProtocolId.ESP)


# ISAKMP SAs.


def test_message_6_is_followed_by_our_lifetime_if_it_is_shorter() -> None:
    caller = Caller(Ike(config(ike_lifetime=3600), Random(1).randbytes), config(ike_lifetime=DAY))
    message = caller.first()
    for _ in range(2):
        (answer,) = caller.send(message)
        assert not clear(answer).all(PayloadType.NOTIFY), "Apple would ignore all of it"
        message = caller.next(answer)
    sixth, after = caller.send(message)
    assert caller.take(sixth) is None
    caller.sa = IsakmpSa(caller.mode, 0.0)
    told = opened(list(caller.open(after).items[1:]))
    assert told.spi == caller.sa.spi
    assert responder_lifetime.read(told, ProtocolId.ISAKMP) == {SECONDS: 3600}


@pytest.mark.parametrize("offered", [3600, 28800])
def test_what_clients_offer_is_not_shortened_and_nothing_is_told(offered: int) -> None:
    caller = Caller(settings=config(ike_lifetime=offered))
    assert len(caller.send(caller.up_to(5))) == 1


@pytest.mark.parametrize("nat", [False, True])
def test_the_initiator_renews_in_the_time_of_the_responder(nat: bool) -> None:
    pair = Pair(
        config(ike_lifetime=DAY, esp_lifetime=DAY),
        config(ike_lifetime=1000, esp_lifetime=700),
        nat=Nat("203.0.113.9") if nat else None,
    )
    pair.establish()
    for _ in range(40):
        pair.simulation.run(100.0)
        pair.exchange()
        (peer,) = pair.server.ike.snapshot().peers
        assert peer.isakmp_sas <= 2
    assert len(pair.server.told(SaInstalled)) == 1 + int(4000 / (0.85 * 700))
    for host in (pair.client, pair.server):
        assert host.told(PeerClosed) + host.told(NegotiationFailed) == []


def test_carrying_more_than_the_responder_wants_renews() -> None:
    pair = Pair(server=config(esp_kilobytes=100))
    pair.establish()
    for _ in range(90):
        pair.client.send(bytes(1000))
    pair.simulation.run(11.0)
    assert len(pair.server.told(SaInstalled)) == 2


def test_only_the_initiator_heeds_it_and_only_for_less() -> None:
    pair = Pair()
    pair.establish()
    number = pair.client.told(SaInstalled)[0].peer
    ours = pair.client.ike._peers.by_id[number].isakmp_sas[0]
    theirs = pair.server.ike._peers.by_id[1].isakmp_sas[0]
    now = pair.simulation.now
    before = ours.expires, theirs.expires

    def tell(sender: Ike, sa: IsakmpSa, seconds: int) -> None:
        context = sender._context
        payloads = responder_lifetime.tell(
            ProtocolId.ISAKMP, sa.spi, [(SECONDS, 2 * seconds, seconds)]
        )
        context.send(sa.seal_informational(payloads, context.entropy), sa.peer.path)
        pair.simulation.run(1.0)

    tell(pair.client.ike, ours, 600)
    tell(pair.server.ike, theirs, DAY)
    assert (ours.expires, theirs.expires) == before
    tell(pair.server.ike, theirs, 600)
    assert now + 600 < ours.expires < now + 605
    renewal = pair.client.ike._context.deadlines.get((Timer.IKE_RENEWAL, ours))
    assert renewal is not None
    assert renewal < ours.expires, "renewed before, with both still there"


def test_a_lifetime_that_cannot_be_read_is_dropped() -> None:
    caller = Caller()
    sa = caller.establish()
    data = bytes.fromhex("800b0001800c0005800c0006")
    body = Notification(NotifyType.RESPONDER_LIFETIME, ProtocolId.ISAKMP, sa.spi, data).build()
    assert caller.inform(Payload(PayloadType.NOTIFY, body)) == []
    assert caller.ike.snapshot().dropped == {Drop.UNREADABLE: 1}


# Numbers that are none.


def test_lifetimes_of_0_are_no_limits() -> None:
    pair = Pair(config(esp_kilobytes=0))
    pair.establish()
    pair.simulation.run(30.0)
    pair.exchange()
    (installed,) = pair.server.told(SaInstalled)
    assert installed.lifetime_kilobytes is None
    assert pair.server.told(SaDeleted) == []
