"""Main Mode as it should be: what each message of the responder holds."""

from dataclasses import replace
from random import Random

import pytest

from ipsec.config import IKE_OFFERS, PresharedKey
from ipsec.constants import IdType, NotifyType, PayloadType
from ipsec.endpoint import Ike
from ipsec.errors import Drop, NotifyError
from ipsec.events import NegotiationFailed, PeerAuthenticated
from ipsec.main_mode import State
from ipsec.path import Address, Path
from ipsec.payloads import Identification
from ipsec.policy import LEGACY
from ipsec.proposals import SecurityAssociation
from tests.support import clients
from tests.support.caller import Caller, changed, clear, notified, rebuilt
from tests.support.ike import CLIENT, PSK, SERVER, config
from wire import Reader

RFC3947 = "4a131c81070358455c5728f20e95452f"
DRAFT_02_NEWLINE = "90cb80913ebb696e086381b5ec427b1f"
DPD = "afcad71368a1f1c96b8696fc77570100"
WINDOWS_FRAGMENTS = "4048b7d56ebce88525e7de7f00d6c2d3"
FRAGMENTS = WINDOWS_FRAGMENTS + "80000000"
NEW = PresharedKey(b"new", "the new key")


@pytest.mark.parametrize(
    ("sa", "offered", "answered"),
    [
        (clients.windows_offer(), clients.WINDOWS_10_VENDOR_IDS, [RFC3947, WINDOWS_FRAGMENTS]),
        (
            clients.windows_offer(clients.WINDOWS_XP),
            clients.WINDOWS_XP_VENDOR_IDS,
            [DRAFT_02_NEWLINE, WINDOWS_FRAGMENTS],
        ),
        (clients.racoon_offer(), clients.MACOS_VENDOR_IDS, [RFC3947, DPD, FRAGMENTS]),
        (
            clients.racoon_offer(clients.ANDROID),
            clients.ANDROID_VENDOR_IDS,
            [RFC3947, DPD, FRAGMENTS],
        ),
        (
            clients.windows_offer(clients.CHROMEOS),
            clients.STRONGSWAN_VENDOR_IDS,
            [RFC3947, DPD, FRAGMENTS],
        ),
        (clients.windows_offer(), [], []),
    ],
    ids=["Windows 10", "Windows XP", "macOS", "Android", "ChromeOS", "no extensions"],
)
def test_message_2_has_sa_and_what_we_have_of_the_vendor_ids(
    sa: SecurityAssociation, offered: list[str], answered: list[str]
) -> None:
    caller = Caller(Ike(config(policy=LEGACY), Random(1).randbytes))
    (answer,) = caller.send(clients.first_message(sa, offered))
    payloads = clear(answer)
    assert payloads.first_type == PayloadType.SA
    assert [item.body.hex() for item in payloads.items[1:]] == answered
    assert {item.type for item in payloads.items[1:]} <= {PayloadType.VENDOR}
    assert len(SecurityAssociation.parse(Reader(payloads.the(PayloadType.SA))).proposals) == 1


def test_vendor_ids_may_come_before_sa() -> None:
    caller = Caller()
    message = clients.first_message(clients.windows_offer(), [RFC3947])
    items = list(reversed(clear(message).items))
    (answer,) = caller.send(rebuilt(message, items))
    assert clear(answer).all(PayloadType.VENDOR) == [bytes.fromhex(RFC3947)]


def test_message_4_has_nothing_but_what_apple_accepts() -> None:
    caller = Caller()
    (answer,) = caller.send(caller.up_to(3))
    kinds = [item.type for item in clear(answer).items]
    assert kinds == [PayloadType.KE, PayloadType.NONCE, PayloadType.NAT_D, PayloadType.NAT_D]


def test_message_6_names_the_address_that_was_dialled() -> None:
    caller = Caller()
    caller.establish()
    assert caller.mode.identity == Identification.of_address(SERVER)
    (event,) = caller.events()
    assert isinstance(event, PeerAuthenticated)
    assert replace(event, negotiation=None) == PeerAuthenticated(
        1,
        Path(Address(SERVER, 500), Address(CLIENT, 500)),
        Identification.of_address(CLIENT),
        "AES_CBC-256/SHA2_256/ECP_256, no NAT",
        "unknown software",
    )
    about = event.negotiation
    assert about is not None
    assert (about.cookie, about.client) == (caller.mode.cookies.initiator, "unknown software")
    assert tuple(offer.suite for offer in about.offered if offer) == IKE_OFFERS
    assert about.chosen == about.offered[0]
    assert about.heard


def test_the_identity_that_we_send_can_be_set() -> None:
    ours = Identification(IdType.FQDN, 0, 0, b"vpn.example.com")
    caller = Caller(Ike(config(identity=ours), Random(1).randbytes))
    caller.establish()
    assert caller.mode.identity == ours


@pytest.mark.parametrize(
    "identity",
    [
        Identification.of_address("192.168.1.7"),
        Identification.of_address("0.0.0.0", 17, 500),
        Identification.of_address("192.168.1.7", 17, 4500),
        Identification.of_address("2001:db8::7", 17, 0),
        Identification(IdType.FQDN, 0, 0, b"laptop.example.com"),
        Identification(IdType.USER_FQDN, 17, 0, b"bob@example.com"),
        Identification(IdType.KEY_ID, 17, 500, bytes(range(256))),
        Identification(IdType(77), 0, 0, b""),
    ],
    ids=str,
)
def test_any_identity_is_good_with_the_key(identity: Identification) -> None:
    caller = Caller(settings=config(identity=identity))
    caller.establish()
    (event,) = caller.events()
    assert isinstance(event, PeerAuthenticated)
    assert event.identity == identity


@pytest.mark.parametrize(("protocol", "port"), [(6, 500), (17, 1701), (0, 1)])
def test_an_identity_of_another_service_is_refused(protocol: int, port: int) -> None:
    identity = Identification.of_address("192.168.1.7", protocol, port)
    caller = Caller(settings=config(identity=identity))
    (answer,) = caller.send(caller.up_to(5))
    assert notified(answer) == NotifyType.INVALID_ID_INFORMATION
    (event,) = caller.events()
    assert isinstance(event, NegotiationFailed)


def test_a_key_can_be_changed_client_by_client() -> None:
    ike = Ike(config(preshared_keys=lambda host: (NEW, PresharedKey(PSK))), Random(1).randbytes)
    Caller(ike, seed=1).establish()
    Caller(ike, config(preshared_keys=lambda host: (NEW,)), seed=2, port=501).establish()


def test_without_a_key_for_an_address_nobody_comes_in_from_there() -> None:
    caller = Caller(Ike(config(preshared_keys=lambda host: ()), Random(1).randbytes))
    (answer,) = caller.send(caller.up_to(5))
    assert notified(answer) == NotifyType.AUTHENTICATION_FAILED


def test_nothing_is_printed_of_keys() -> None:
    caller = Caller()
    caller.establish()
    assert repr(PSK)[1:] not in repr(caller.settings)
    assert "preshared" not in repr(caller.settings)


@pytest.mark.parametrize("number", [1, 3, 5])
def test_a_repeated_message_gets_the_same_answer(number: int) -> None:
    caller = Caller()
    message = caller.up_to(number)
    (answer,) = caller.send(message)
    assert [caller.send(message) for _ in range(16)] == [[answer]] * 16
    assert caller.send(message) == [], "nobody can be flooded by repeating one"


def test_message_1_again_after_message_3_is_dropped() -> None:
    caller = Caller()
    first = caller.first()
    (second,) = caller.send(first)
    caller.send(caller.next(second))
    assert caller.send(first) == []
    assert caller.ike.snapshot().dropped == {Drop.UNEXPECTED: 1}


def test_diffie_hellman_waits_for_message_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def generate(group: object, entropy: object) -> None:
        raise AssertionError("a stranger made us compute")

    monkeypatch.setattr("ipsec.groups.KeyAgreement.generate", generate)
    caller = Caller()
    assert len(caller.send(caller.first())) == 1


def test_the_initiator_takes_nothing_that_it_did_not_offer() -> None:
    caller = Caller()
    (answer,) = caller.send(caller.first())
    other = clients.windows_offer(clients.WINDOWS_10[:1]).build()
    with pytest.raises(NotifyError, match="not one of our offers"):
        caller.take(changed(answer, PayloadType.SA, other))
    assert caller.mode.state is State.SA_SENT
