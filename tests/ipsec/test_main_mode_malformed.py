"""Main Mode as it should not be: what a peer can do wrong, or an attacker, or an admin."""

from dataclasses import replace
from random import Random

import pytest

from ipsec.config import IkeConfig, PresharedKey
from ipsec.constants import EncryptionAlgorithm as Encryption
from ipsec.constants import GroupDescription, HashAlgorithm, NotifyType, PayloadType
from ipsec.endpoint import Ike
from ipsec.errors import Drop
from ipsec.events import NegotiationFailed, PeerAuthenticated
from ipsec.groups import public_length
from ipsec.main_modes import MAX_FIRST_MESSAGE
from ipsec.message import Payload
from ipsec.offers import IkeSuite
from ipsec.policy import LEGACY
from ipsec.proposals import SecurityAssociation
from tests.support import clients
from tests.support.caller import Caller, changed, clear, notified, rebuilt
from tests.support.ike import config
from tests.support.vectors import load
from wire import Reader

MODP, ECP = GroupDescription.MODP_2048, GroupDescription.ECP_256
PRIME = int(load("modp_groups.json")["groups"]["14"], 16)
UNACCEPTABLE = clients.DES, clients.MD5, 1


def with_group(group: GroupDescription) -> IkeConfig:
    suite = IkeSuite(Encryption.AES_CBC, 256, HashAlgorithm.SHA2_256, group)
    return config(ike_offers=(suite,))


def dropped(caller: Caller) -> dict[Drop, int]:
    return dict(caller.ike.snapshot().dropped)


@pytest.mark.parametrize(
    ("group", "public"),
    [
        (MODP, bytes(256)),
        (MODP, bytes(255) + b"\1"),
        (MODP, (PRIME - 1).to_bytes(256, "big")),
        (MODP, PRIME.to_bytes(256, "big")),
        (MODP, b"\xff" * 256),
        (MODP, b"\2" * 255),
        (MODP, b"\2" * 257),
        (MODP, b""),
        (ECP, bytes(64)),
        (ECP, b"\1" * 64),
        (ECP, b"\1" * 63),
        (ECP, b"\4" + b"\1" * 64),
    ],
    ids=[
        "0",
        "1",
        "p - 1",
        "p",
        "above p",
        "short",
        "long",
        "none",
        "0,0",
        "off curve",
        "short x",
        "with 04",
    ],
)
def test_bad_public_values_are_refused_and_good_ones_still_taken(
    group: GroupDescription, public: bytes
) -> None:
    caller = Caller(settings=with_group(group))
    third = caller.up_to(3)
    (answer,) = caller.send(changed(third, PayloadType.KE, public))
    assert notified(answer) == NotifyType.INVALID_KEY_INFORMATION
    (event,) = caller.events()
    assert isinstance(event, NegotiationFailed)
    assert event.stage == "main mode"
    (fourth,) = caller.send(third)
    assert len(clear(fourth).the(PayloadType.KE)) == public_length(group)


@pytest.mark.parametrize("length", [0, 7, 257])
def test_nonces_of_wrong_length_are_refused(length: int) -> None:
    caller = Caller()
    (answer,) = caller.send(changed(caller.up_to(3), PayloadType.NONCE, bytes(length)))
    assert notified(answer) == NotifyType.PAYLOAD_MALFORMED


@pytest.mark.parametrize("length", [8, 16, 48, 256])
def test_nonces_of_right_length_are_taken(length: int) -> None:
    caller = Caller()
    (answer,) = caller.send(changed(caller.up_to(3), PayloadType.NONCE, bytes(length)))
    assert clear(answer).first_type == PayloadType.KE


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (1, lambda items: [*items, items[0]]),
        (1, lambda items: items[1:]),
        (1, lambda items: [items[0]._replace(body=items[0].body[:-1]), *items[1:]]),
        (1, lambda items: [items[0]._replace(body=b""), *items[1:]]),
        (1, lambda items: [items[0], *[Payload(PayloadType.VENDOR, b"")] * 64]),
        (3, lambda items: [*items, items[0]]),
        (3, lambda items: items[1:]),
        (3, lambda items: [items[0], *items[2:]]),
    ],
    ids=[
        "two SA",
        "no SA",
        "cut SA",
        "empty SA",
        "65 payloads",
        "two KE",
        "no KE",
        "no nonce",
    ],
)
def test_malformed_messages_are_dropped_in_silence(number: int, change: object) -> None:
    assert callable(change)
    caller = Caller()
    message = caller.up_to(number)
    assert caller.send(rebuilt(message, change(list(clear(message).items)))) == []
    assert sum(dropped(caller).values()) == 1
    assert caller.events() == []
    assert len(caller.send(message)) == 1


@pytest.mark.parametrize(
    ("doi", "situation", "kind"),
    [
        (0, 1, NotifyType.DOI_NOT_SUPPORTED),
        (1, 2, NotifyType.SITUATION_NOT_SUPPORTED),
        (1, 0xFFFFFFFF, NotifyType.SITUATION_NOT_SUPPORTED),
    ],
)
def test_other_dois_and_situations(doi: int, situation: int, kind: NotifyType) -> None:
    caller = Caller()
    first = caller.first()
    sa = clear(first).the(PayloadType.SA)
    body = doi.to_bytes(4, "big") + situation.to_bytes(4, "big") + sa[8:]
    (answer,) = caller.send(changed(first, PayloadType.SA, body))
    assert notified(answer) == kind


@pytest.mark.parametrize(
    ("position", "octet", "reason"),
    [
        (17, 0x20, Drop.OTHER_VERSION),
        (18, 6, Drop.OTHER_EXCHANGE),
        (18, 243, Drop.OTHER_EXCHANGE),
        (19, 1, Drop.UNEXPECTED),
        (23, 1, Drop.UNREADABLE),
        (27, 0, Drop.UNREADABLE),
        (8, 1, Drop.UNKNOWN_SA),
        (18, 32, Drop.UNKNOWN_SA),
    ],
    ids=[
        "IKEv2",
        "transaction",
        "AuthIP",
        "encrypted message 1",
        "message id",
        "length",
        "unknown cookie",
        "quick mode",
    ],
)
def test_headers_that_do_not_fit(position: int, octet: int, reason: Drop) -> None:
    caller = Caller()
    message = bytearray(caller.first())
    message[position] = octet
    assert caller.send(bytes(message)) == []
    assert dropped(caller) == {reason: 1}


def test_a_cookie_of_zeros_is_none() -> None:
    caller = Caller()
    assert caller.send(bytes(8) + caller.first()[8:]) == []
    assert dropped(caller) == {Drop.UNREADABLE: 1}


def test_message_1_is_bounded() -> None:
    caller = Caller()
    message = caller.first()
    items = [*clear(message).items, Payload(PayloadType.VENDOR, bytes(MAX_FIRST_MESSAGE))]
    assert caller.send(rebuilt(message, items)) == []
    assert dropped(caller) == {Drop.NO_ROOM: 1}


def test_a_refused_offer_is_told_once_however_often_it_comes() -> None:
    weak = IkeSuite(Encryption.DES_CBC, 0, HashAlgorithm.MD5, GroupDescription.MODP_768)
    caller = Caller(settings=config(ike_offers=(weak,)))
    first = caller.first()
    (answer,) = caller.send(first)
    assert notified(answer) == NotifyType.NO_PROPOSAL_CHOSEN
    assert len(answer) < len(first)
    assert caller.send(first) == [answer]
    (event,) = caller.events()
    assert isinstance(event, NegotiationFailed)
    assert "DES_CBC/MD5/MODP_768" in event.why


def test_a_better_offer_after_a_refused_one_is_taken() -> None:
    caller = Caller(settings=config(policy=LEGACY))
    first = caller.first()
    weak = changed(first, PayloadType.SA, clients.windows_offer([UNACCEPTABLE]).build())
    (answer,) = caller.send(weak)
    assert notified(answer) == NotifyType.NO_PROPOSAL_CHOSEN
    (answer,) = caller.send(first)
    assert clear(answer).first_type == PayloadType.SA
    assert caller.ike.snapshot().half_open == 1


# The wrong pre-shared key.


def wrong_key(seed: int = 1) -> Caller:
    return Caller(
        settings=config(preshared_keys=lambda host: (PresharedKey(b"another"),)), seed=seed
    )


def test_a_wrong_key_is_named_and_refused() -> None:
    caller = wrong_key()
    fifth = caller.up_to(5)
    (answer,) = caller.send(fifth)
    assert notified(answer) == NotifyType.PAYLOAD_MALFORMED
    (event,) = caller.events()
    assert isinstance(event, NegotiationFailed)
    assert event.peer is None
    assert event.why == "the pre-shared key differs: the proof of identity cannot be decrypted"
    assert event.hint == "set the same pre-shared key on client and server"
    assert caller.send(fifth) == [answer]
    assert caller.events() == []


def test_only_so_many_guesses_are_taken() -> None:
    caller = wrong_key()
    fifth = bytearray(caller.up_to(5))
    for guess in range(3):
        fifth[-1] = guess
        assert len(caller.send(bytes(fifth))) == 1
    assert caller.ike.snapshot().half_open == 0
    fifth[-1] = 4
    assert caller.send(bytes(fifth)) == []
    assert dropped(caller) == {Drop.UNKNOWN_SA: 1}


def test_a_forged_proof_does_not_end_a_main_mode() -> None:
    caller = Caller()
    fifth = caller.up_to(5)
    caller.send(fifth[:-16] + bytes(16))
    (sixth,) = caller.send(fifth)
    assert caller.take(sixth) is None
    kinds = [type(event) for event in caller.events()]
    assert kinds == [NegotiationFailed, PeerAuthenticated]


def test_a_changed_offer_shows_in_the_proof() -> None:
    """Somebody on the way takes the strong transforms out of message 1."""
    caller = Caller(Ike(config(policy=LEGACY), Random(1).randbytes))
    first = caller.first()
    sa = clear(first).the(PayloadType.SA)
    (proposal,) = SecurityAssociation.parse(Reader(sa)).proposals
    weakest = replace(proposal, transforms=proposal.transforms[-1:])
    shorter = SecurityAssociation((weakest,)).build()
    (second,) = caller.send(changed(first, PayloadType.SA, shorter))
    (fourth,) = caller.send(caller.next(second))
    (answer,) = caller.send(caller.next(fourth))
    assert notified(answer) == NotifyType.INVALID_HASH_INFORMATION
    (event,) = caller.events()
    assert isinstance(event, NegotiationFailed)
    assert event.hint == "something between client and server changes their messages"


def test_a_client_that_vanishes_before_message_5_is_told_of() -> None:
    caller = Caller(port=4321)
    third = caller.up_to(3)
    caller.send(changed(third, PayloadType.NAT_D, bytes(32)))
    caller.ike.handle_timeout(caller.now + 30.0)
    (event,) = caller.events()
    assert isinstance(event, NegotiationFailed)
    assert (event.why, event.hint) == ("message 5 never came", "is UDP port 4500 open?")
    assert caller.ike.snapshot().half_open == 0
