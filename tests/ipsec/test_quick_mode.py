"""Quick Mode: identifiers, modes, NAT-OA, lifetimes, and everything that is not genuine."""

from random import Random

import pytest

from ipsec import responder_lifetime
from ipsec.algorithms import EspAlgorithms
from ipsec.constants import (
    AuthenticationAlgorithm,
    EncapsulationMode,
    EspTransform,
    ExchangeType,
    GroupDescription,
    IdType,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ipsec.endpoint import Ike
from ipsec.errors import Drop, NotifyError
from ipsec.events import NegotiationFailed, SaConfirmed, SaInstalled
from ipsec.message import Payload, Payloads, parse_message
from ipsec.path import Path
from ipsec.payloads import Identification, Notification, OriginalAddress
from ipsec.proposals import SecurityAssociation
from ipsec.quick_mode import QuickMode, State
from ipsec.quick_modes import ANSWER_PAUSES
from tests.support import clients
from tests.support.caller import Caller
from tests.support.ike import SERVER, Pair, config
from tests.support.simulation import Nat
from wire import Reader

OURS = Identification.of_address("203.0.113.1", 17, 1701)
THEIRS = Identification.of_address("10.0.0.2", 17, 1701)


def established(local_port: int = 500, **settings: object) -> Caller:
    """Return a caller after Main Mode; on port 4500 it is behind NAT."""
    caller = Caller(Ike(config(**settings), Random(5).randbytes))
    if local_port != 500:
        caller = Caller(caller.ike, port=1011)
        caller.mode.path = caller.mode.path._replace(
            local=caller.mode.path.local._replace(host="10.0.0.2", port=500)
        )
    caller.establish(None if local_port == 500 else local_port)
    caller.events()
    return caller


def content(caller: Caller, answer: bytes, mode: QuickMode) -> Payloads:
    """Return what message 2 carries, without moving the quick mode."""
    header, body = parse_message(answer)
    assert header.exchange == ExchangeType.QUICK_MODE
    return mode.sa.protection.open(header, body, mode._iv)[0]


def windows(
    caller: Caller,
    mode: EncapsulationMode,
    identities: tuple[Identification, ...] = (THEIRS, OURS),
    nat_oa: tuple[str, ...] = (),
    message_id: int = 1,
) -> tuple[QuickMode, bytes]:
    """Return a quick mode begun as Windows does, and its message 1."""
    quick_mode = caller.quick_mode(message_id=message_id)
    quick_mode.initiator = True
    quick_mode._ni = bytes(range(48))
    quick_mode.state = State.OFFERED
    payloads = [
        Payload(PayloadType.SA, clients.windows_quick_mode(mode, count=5 if nat_oa else 3).build()),
        Payload(PayloadType.NONCE, quick_mode._ni),
        *(Payload(PayloadType.ID, identity.build()) for identity in identities),
        *(Payload(PayloadType.NAT_OA, OriginalAddress(host).build()) for host in nat_oa),
    ]
    return quick_mode, quick_mode._seal(payloads, quick_mode._hash_1)


def only(caller: Caller, kind: type[SaInstalled] | type[NegotiationFailed]) -> object:
    (event,) = [event for event in caller.events() if isinstance(event, kind)]
    return event


def test_windows_without_nat() -> None:
    caller = established()
    mode, first = windows(caller, EncapsulationMode.TRANSPORT)
    assert len(first) == 316, "the size that servers logged"
    (answer,) = caller.send(first)
    payloads = content(caller, answer, mode)
    kinds = [PayloadType.HASH, PayloadType.SA, PayloadType.NONCE, PayloadType.ID, PayloadType.ID]
    assert [item.type for item in payloads.items] == kinds
    assert payloads.all(PayloadType.ID) == [THEIRS.build(), OURS.build()], "as they came"
    installed = only(caller, SaInstalled)
    assert isinstance(installed, SaInstalled)
    assert (installed.theirs, installed.ours) == (THEIRS, OURS)
    assert not installed.encapsulated
    assert (installed.lifetime_seconds, installed.lifetime_kilobytes) == (3600, 250000)
    assert installed.algorithms == "AES_CBC-256/HMAC_SHA1"
    assert installed.outbound.spi == 0x11223344


def test_windows_behind_nat() -> None:
    caller = established(4500)
    mode, first = windows(
        caller, EncapsulationMode.UDP_TRANSPORT, nat_oa=("10.0.0.2", "203.0.113.1")
    )
    assert len(first) == 444, "the size that servers logged"
    (answer,) = caller.send(first)
    addresses = [
        OriginalAddress.parse(Reader(body)).host
        for body in content(caller, answer, mode).all(PayloadType.NAT_OA)
    ]
    assert addresses == [caller.path.peer.host, SERVER], "initiator first, as we see them"
    installed = only(caller, SaInstalled)
    assert isinstance(installed, SaInstalled)
    assert installed.encapsulated
    assert installed.original_address == "10.0.0.2"
    assert installed.path == caller.path


@pytest.mark.parametrize(
    ("local_port", "mode"),
    [
        (500, EncapsulationMode.UDP_TRANSPORT),
        (500, EncapsulationMode.TUNNEL),
        (4500, EncapsulationMode.TUNNEL),
        (4500, EncapsulationMode.UDP_TUNNEL),
    ],
)
def test_modes_that_cannot_be(local_port: int, mode: EncapsulationMode) -> None:
    caller = established(local_port)
    _, first = windows(caller, mode)
    (answer,) = caller.send(first)
    body = caller.open(answer).the(PayloadType.NOTIFY)
    notification = Notification.parse(Reader(body))
    assert notification.type == NotifyType.NO_PROPOSAL_CHOSEN
    assert caller.send(first) == [answer]
    failed = only(caller, NegotiationFailed)
    assert isinstance(failed, NegotiationFailed)
    assert failed.peer == 1
    assert failed.stage == "quick mode"
    assert f"AES_CBC-256/HMAC_SHA1 {mode}" in failed.why


@pytest.mark.parametrize(
    ("mode", "encapsulated"),
    [
        (EncapsulationMode.UDP_TRANSPORT, True),
        (EncapsulationMode.UDP_TRANSPORT_DRAFT, True),
        (EncapsulationMode.TRANSPORT, False),
    ],
)
def test_the_answer_repeats_the_mode(mode: EncapsulationMode, encapsulated: bool) -> None:
    caller = established(4500)
    quick_mode, first = windows(caller, mode)
    (answer,) = caller.send(first)
    sa = content(caller, answer, quick_mode).the(PayloadType.SA)
    chosen = SecurityAssociation.parse(Reader(sa)).proposals[0].transforms[0]
    assert chosen == clients.windows_quick_mode(mode).proposals[0].transforms[0]
    installed = only(caller, SaInstalled)
    assert isinstance(installed, SaInstalled)
    assert installed.encapsulated == encapsulated


@pytest.mark.parametrize(
    "theirs",
    [
        Identification.of_address("10.0.0.2", 17, 0),
        Identification.of_address("10.0.0.2", 17, 56322),
        Identification.of_address("0.0.0.0", 17, 49152),
        Identification.of_address("10.0.0.2"),
        Identification(IdType.FQDN, 17, 1701, b"xp"),
        Identification(IdType.IPV4_ADDR_SUBNET, 17, 0, b"\x0a\0\0\2\xff\xff\xff\xff"),
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "ours", [OURS, Identification.of_address("203.0.113.1"), Identification.of_address(SERVER, 17)]
)
def test_identifiers_that_clients_send(theirs: Identification, ours: Identification) -> None:
    caller = established()
    mode, first = windows(caller, EncapsulationMode.TRANSPORT, (theirs, ours))
    (answer,) = caller.send(first)
    returned = content(caller, answer, mode).all(PayloadType.ID)
    assert returned == [theirs.build(), ours.build()]


def test_without_identifiers_the_hosts_are_meant() -> None:
    caller = established()
    mode, first = windows(caller, EncapsulationMode.TRANSPORT, ())
    (answer,) = caller.send(first)
    assert content(caller, answer, mode).all(PayloadType.ID) == []
    installed = only(caller, SaInstalled)
    assert isinstance(installed, SaInstalled)
    assert (str(installed.theirs), str(installed.ours)) == (caller.path.peer.host, SERVER)


@pytest.mark.parametrize(
    ("identities", "kind"),
    [
        ((THEIRS, Identification.of_address(SERVER, 17, 53)), NotifyType.INVALID_ID_INFORMATION),
        ((THEIRS, Identification.of_address(SERVER, 6, 1701)), NotifyType.INVALID_ID_INFORMATION),
        ((Identification.of_address("10.0.0.2", 6), OURS), NotifyType.INVALID_ID_INFORMATION),
        ((THEIRS,), NotifyType.PAYLOAD_MALFORMED),
        ((THEIRS, OURS, OURS), NotifyType.PAYLOAD_MALFORMED),
        (
            (THEIRS, Identification(IdType.IPV4_ADDR, 17, 1701, b"123")),
            NotifyType.PAYLOAD_MALFORMED,
        ),
    ],
    ids=["DNS", "TCP", "from TCP", "one", "three", "3 octets"],
)
def test_identifiers_that_are_refused(
    identities: tuple[Identification, ...], kind: NotifyType
) -> None:
    caller = established()
    _, first = windows(caller, EncapsulationMode.TRANSPORT, identities)
    (answer,) = caller.send(first)
    body = caller.open(answer).the(PayloadType.NOTIFY)
    assert Notification.parse(Reader(body)).type == kind
    assert caller.ike.snapshot().peers[0].pairs == ()


@pytest.mark.parametrize("length", [7, 257])
def test_nonces_of_wrong_length_are_refused(length: int) -> None:
    caller = established()
    sa = clients.windows_quick_mode(EncapsulationMode.TRANSPORT)
    payloads = [
        Payload(PayloadType.SA, sa.build()),
        Payload(PayloadType.NONCE, bytes(length)),
    ]
    (answer,) = caller.send(caller.seal_quick(payloads))
    body = caller.open(answer).the(PayloadType.NOTIFY)
    assert Notification.parse(Reader(body)).type == NotifyType.PAYLOAD_MALFORMED


def test_pfs_without_a_key_and_with_a_bad_one() -> None:
    caller = Caller(settings=config(pfs_group=GroupDescription.ECP_256))
    caller.establish()
    for key, kind in (
        ([], NotifyType.PAYLOAD_MALFORMED),
        ([Payload(PayloadType.KE, bytes(64))], NotifyType.INVALID_KEY_INFORMATION),
    ):
        mode = caller.quick_mode()
        sa = Payload(PayloadType.SA, mode._propose(mode._usual_offers()).build())
        payloads = [sa, Payload(PayloadType.NONCE, bytes(16)), *key]
        (answer,) = caller.send(mode._seal(payloads, mode._hash_1))
        body = caller.open(answer).the(PayloadType.NOTIFY)
        assert Notification.parse(Reader(body)).type == kind


def test_keys_are_those_of_the_rfc_with_and_without_pfs() -> None:
    for group in (None, GroupDescription.ECP_384):
        caller = Caller(settings=config(pfs_group=group))
        caller.establish()
        caller.events()
        mode = caller.quick_mode()
        caller.complete(mode)
        installed = only(caller, SaInstalled)
        assert isinstance(installed, SaInstalled)
        pair = mode.pair
        assert pair is not None
        for sender, receiver in (
            (pair.outbound, installed.inbound),
            (installed.outbound, pair.inbound),
        ):
            assert receiver.open(sender.seal(b"12345678")) == b"12345678"


def test_message_ids_may_be_small_and_each_counts_once() -> None:
    caller = established()
    for message_id in (1, 2, 3):
        _, first = windows(caller, EncapsulationMode.TRANSPORT, message_id=message_id)
        assert len(caller.send(first)) == 1
    assert len(caller.ike.snapshot().peers[0].pairs) == 3


def test_a_repeated_message_1_gets_the_same_answer_and_no_other_pair() -> None:
    caller = established()
    _, first = windows(caller, EncapsulationMode.TRANSPORT)
    (answer,) = caller.send(first)
    assert caller.send(first) == [answer]
    assert len(caller.ike.snapshot().peers[0].pairs) == 1


def test_message_1_is_a_replay_once_its_quick_mode_is_forgotten() -> None:
    caller = established()
    _, replayed = windows(caller, EncapsulationMode.TRANSPORT)
    caller.send(replayed)
    for message_id in range(2, 12):
        caller.send(windows(caller, EncapsulationMode.TRANSPORT, message_id=message_id)[1])
    assert caller.send(replayed) == []
    assert caller.ike.snapshot().dropped == {Drop.REPEATED: 1}


def test_a_forged_message_1_uses_up_no_message_id() -> None:
    caller = established()
    _, first = windows(caller, EncapsulationMode.TRANSPORT)
    assert caller.send(first[:-1] + b"\0") == []
    assert len(caller.send(first)) == 1


@pytest.mark.parametrize("position", [28, 60, -1])
def test_messages_that_are_not_genuine_change_nothing(position: int) -> None:
    caller = established()
    mode = caller.quick_mode()
    first = caller.offer(mode)
    (answer,) = caller.send(first)
    third = caller.take_quick(mode, answer)
    assert third is not None
    forged = bytearray(third)
    forged[position] ^= 1
    caller.events()
    assert caller.send(bytes(forged)) == []
    assert caller.events() == []
    caller.send(third)
    assert [type(event) for event in caller.events()] == [SaConfirmed]


def test_the_encrypted_flag_is_needed() -> None:
    caller = established()
    _, first = windows(caller, EncapsulationMode.TRANSPORT)
    assert caller.send(first[:19] + b"\0" + first[20:]) == []
    assert caller.ike.snapshot().dropped == {Drop.IN_CLEAR: 1}


def test_message_2_is_sent_again_until_esp_comes() -> None:
    caller = established()
    _, first = windows(caller, EncapsulationMode.TRANSPORT)
    (answer,) = caller.send(first)
    installed = only(caller, SaInstalled)
    assert isinstance(installed, SaInstalled)
    for pause in ANSWER_PAUSES[:2]:
        caller.now += pause - 0.1
        caller.ike.handle_timeout(caller.now)
        assert caller.answers() == [], "the client may be slow"
        assert caller.send(first) == [answer], "but gets its answer whenever it asks"
        caller.now += 0.1
        caller.ike.handle_timeout(caller.now)
        assert caller.answers() == [answer]
    caller.ike.packet_authenticated(installed.inbound.spi, None, caller.now)
    assert caller.events() == [SaConfirmed(1, installed.inbound.spi)]
    caller.ike.packet_authenticated(installed.inbound.spi, None, caller.now)
    assert caller.events() == []
    caller.now += 20.0
    caller.ike.handle_timeout(caller.now)
    assert caller.answers() == []


def test_without_message_3_the_pair_waits_for_its_first_packet() -> None:
    """The initiator may have message 2, and use the pair, though message 3 never arrives."""
    caller = established(dpd_interval=None)
    mode = caller.quick_mode()
    answer, *_ = caller.send(caller.offer(mode))
    third = caller.take_quick(mode, answer)
    installed = only(caller, SaInstalled)
    assert isinstance(installed, SaInstalled)
    for _ in range(40):
        caller.now += 1.0
        caller.ike.handle_timeout(caller.now)
    failed = only(caller, NegotiationFailed)
    assert isinstance(failed, NegotiationFailed)
    assert failed.why == "no answer to message 2"
    caller.ike.packet_authenticated(installed.inbound.spi, None, caller.now)
    assert caller.events() == [SaConfirmed(1, installed.inbound.spi)]
    caller.answers()
    assert third is not None
    assert caller.send(third) == []
    assert caller.events() == [], "late, and no news"


def test_shorter_lifetimes_of_ours_are_told() -> None:
    caller = established(esp_lifetime=1800, esp_kilobytes=1000)
    mode, first = windows(caller, EncapsulationMode.TRANSPORT)
    (answer,) = caller.send(first)
    body = content(caller, answer, mode).the(PayloadType.NOTIFY)
    notification = Notification.parse(Reader(body))
    assert notification.type == NotifyType.RESPONDER_LIFETIME
    assert notification.protocol == ProtocolId.ESP
    assert responder_lifetime.read(notification, ProtocolId.ESP) == {1: 1800, 2: 1000}
    installed = only(caller, SaInstalled)
    assert isinstance(installed, SaInstalled)
    assert notification.spi == installed.inbound.spi.to_bytes(4, "big")
    assert (installed.lifetime_seconds, installed.lifetime_kilobytes) == (1800, 1000)


def test_the_initiator_takes_lifetimes_that_it_is_told() -> None:
    caller = established(esp_lifetime=1800)
    mode = caller.quick_mode()
    caller.complete(mode)
    assert mode.pair is not None
    assert mode.pair.seconds == 1800


def test_the_initiator_takes_nothing_that_it_did_not_offer() -> None:
    caller = established()
    mode = caller.quick_mode()
    (answer,) = caller.send(caller.offer(mode))
    mode._offered = mode._offered[1:]
    with pytest.raises(NotifyError, match="not one of our offers"):
        caller.take_quick(mode, answer)
    assert mode.state is State.FAILED


@pytest.mark.parametrize("nat", [True, False])
def test_identifiers_that_come_back_changed(nat: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """strongSwan returns the initiator's as it sees it; that is right only where NAT is."""
    read = QuickMode._read_identities

    def read_and_change(
        self: QuickMode, payloads: Payloads, path: Path
    ) -> tuple[Identification, Identification]:
        theirs, ours = read(self, payloads, path)
        self._identities[0] = Identification.of_address("203.0.113.9", 17, 1701).build()
        return theirs, ours

    monkeypatch.setattr(QuickMode, "_read_identities", read_and_change)
    pair = Pair(nat=Nat("203.0.113.9") if nat else None)
    pair.connect()
    assert pair.simulation.run(5.0, pair.established) == nat
    failed = [event.why for event in pair.client.told(NegotiationFailed)]
    assert failed == ([] if nat else ["client identifiers differ"])


def test_aes_gcm_is_agreed_on_as_chromeos_offers_it() -> None:
    offers = (
        EspAlgorithms(EspTransform.AES_GCM_16, 128),
        EspAlgorithms(EspTransform.AES_CBC, 128, AuthenticationAlgorithm.HMAC_SHA2_256),
    )
    caller = Caller(settings=config(esp_offers=offers))
    caller.establish()
    caller.events()
    caller.complete(caller.quick_mode())
    installed = only(caller, SaInstalled)
    assert isinstance(installed, SaInstalled)
    assert installed.algorithms == "AES_GCM_16-128"
