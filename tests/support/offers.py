"""Offers as clients encode them: in which order the attributes come, and how long they are.

`ipsec.offers` has one encoding, ours; here are all that are known. The sizes of messages that
servers logged check them (tests/clients/test_sizes.py).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from ipsec.constants import (
    KEY_IKE,
    AuthenticationAlgorithm,
    AuthenticationMethod,
    EncapsulationMode,
    EncryptionAlgorithm,
    EspTransform,
    HashAlgorithm,
    IkeAttribute,
    IpsecAttribute,
    LifeType,
    ProtocolId,
)
from ipsec.proposals import Attribute, Proposal, SecurityAssociation, Transform

Suite = tuple[tuple[EncryptionAlgorithm, int], HashAlgorithm, int]
"""Cipher and key length, hash, group."""

EspSuite = tuple[tuple[EspTransform, int], AuthenticationAlgorithm | None]


class Layout(NamedTuple):
    """The order of the attributes, in words, and the lifetimes; `long` ones take 8 octets."""

    order: str
    seconds: int
    long: bool = False
    kilobytes: int = 0


# [R] the order for Windows and libreswan, [C] the lengths for Windows; [S] racoon; [L] strongSwan,
# recorded (tests/captures/data/golden)
WINDOWS_IKE: Final = Layout("cipher key hash group method seconds", 28800, long=True)
WINDOWS_ESP: Final = Layout("mode key hmac seconds kilobytes", 3600, long=True, kilobytes=250000)
RACOON_IKE: Final = "seconds cipher key method hash group"
RACOON_ESP: Final = "seconds mode key hmac group"
STRONGSWAN_IKE: Final = "cipher key hash group method seconds"
STRONGSWAN_ESP: Final = "key hmac mode seconds"
LIBRESWAN_IKE: Final = "seconds cipher hash method group key"
LIBRESWAN_ESP: Final = "mode seconds hmac key"


def ike_transform(number: int, suite: Suite, layout: Layout) -> Transform:
    """Return one transform of phase 1, with a pre-shared key."""
    (cipher, key_bits), hash_algorithm, group = suite
    short = Attribute.short
    method = AuthenticationMethod.PRE_SHARED_KEY
    attributes = {
        "cipher": [short(IkeAttribute.ENCRYPTION_ALGORITHM, cipher)],
        "key": [short(IkeAttribute.KEY_LENGTH, key_bits)] if key_bits else [],
        "hash": [short(IkeAttribute.HASH_ALGORITHM, hash_algorithm)],
        "group": [short(IkeAttribute.GROUP_DESCRIPTION, group)],
        "method": [short(IkeAttribute.AUTHENTICATION_METHOD, method)],
        "seconds": _life(IkeAttribute.LIFE_TYPE, LifeType.SECONDS, layout.seconds, layout.long),
    }
    in_order = [one for word in layout.order.split() for one in attributes[word]]
    return Transform(number, KEY_IKE, tuple(in_order))


def ike_offer(suites: Sequence[Suite], layout: Layout) -> SecurityAssociation:
    """Return one proposal with a transform for each suite."""
    transforms = [ike_transform(number, suite, layout) for number, suite in enumerate(suites, 1)]
    return offer(transforms)


def offer(transforms: Sequence[Transform]) -> SecurityAssociation:
    """Return one proposal of phase 1 with these transforms."""
    return SecurityAssociation((Proposal(1, ProtocolId.ISAKMP, b"", tuple(transforms)),))


def esp_transform(
    number: int, suite: EspSuite, layout: Layout, mode: EncapsulationMode, group: int = 0
) -> Transform:
    """Return one transform of phase 2; `group` is that of perfect forward secrecy."""
    (transform, key_bits), hmac = suite
    short, life = Attribute.short, IpsecAttribute.SA_LIFE_TYPE
    attributes = {
        "mode": [short(IpsecAttribute.ENCAPSULATION_MODE, mode)],
        "key": [short(IpsecAttribute.KEY_LENGTH, key_bits)] if key_bits else [],
        "hmac": [] if hmac is None else [short(IpsecAttribute.AUTHENTICATION_ALGORITHM, hmac)],
        "group": [short(IpsecAttribute.GROUP_DESCRIPTION, group)] if group else [],
        "seconds": _life(life, LifeType.SECONDS, layout.seconds, layout.long),
        "kilobytes": _life(life, LifeType.KILOBYTES, layout.kilobytes, layout.long),
    }
    in_order = [one for word in layout.order.split() for one in attributes[word]]
    return Transform(number, transform, tuple(in_order))


def esp_offer(
    suites: Sequence[EspSuite],
    layout: Layout,
    mode: EncapsulationMode,
    spi: bytes = b"\x11\x22\x33\x44",
    *,
    group: int = 0,
    apart: bool = False,
) -> SecurityAssociation:
    """Return one proposal with all transforms; or `apart`, a proposal for each."""
    transforms = [
        esp_transform(1 if apart else number, suite, layout, mode, group)
        for number, suite in enumerate(suites, 1)
    ]
    if not apart:
        return SecurityAssociation((Proposal(1, ProtocolId.ESP, spi, tuple(transforms)),))
    return SecurityAssociation(
        tuple(
            Proposal(number, ProtocolId.ESP, spi, (transform,))
            for number, transform in enumerate(transforms, 1)
        )
    )


def _life(kind: int, unit: LifeType, amount: int, long: bool) -> list[Attribute]:
    duration = Attribute.long if long else Attribute.short
    return [Attribute.short(kind, unit), duration(kind + 1, amount)]
