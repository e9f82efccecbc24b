"""First messages of the clients that systems carry built in, made from what is known of them.

Transforms and vendor ids are in each client's order and encoding. The sizes of the messages are
those that servers logged, which checks the encodings (see the tests).
"""

from collections.abc import Sequence
from typing import Final

from ipsec.constants import (
    KEY_IKE,
    AuthenticationMethod,
    EncapsulationMode,
    EncryptionAlgorithm,
    EspTransform,
    ExchangeType,
    HashAlgorithm,
    IkeAttribute,
    IpsecAttribute,
    LifeType,
    PayloadType,
    ProtocolId,
)
from ipsec.constants import AuthenticationAlgorithm as Auth
from ipsec.message import NO_COOKIE, Cookies, Payload, Payloads, build_message
from ipsec.proposals import Attribute, Proposal, SecurityAssociation, Transform

AES256: Final = EncryptionAlgorithm.AES_CBC, 256
AES128: Final = EncryptionAlgorithm.AES_CBC, 128
TRIPLE_DES: Final = EncryptionAlgorithm.TRIPLE_DES_CBC, 0
DES: Final = EncryptionAlgorithm.DES_CBC, 0
MD5, SHA1 = HashAlgorithm.MD5, HashAlgorithm.SHA1
SHA256, SHA384, SHA512 = HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512
Suite = tuple[tuple[EncryptionAlgorithm, int], HashAlgorithm, int]

WINDOWS_10: Final[list[Suite]] = [
    (AES256, SHA1, 20),
    (AES128, SHA1, 19),
    (AES256, SHA1, 14),
    (TRIPLE_DES, SHA1, 14),
    (TRIPLE_DES, SHA1, 2),
]
WINDOWS_10_VENDOR_IDS: Final = [
    "01528bbbc00696121849ab9a1c5b2a5100000001",
    "1e2b516905991c7d7c96fcbfb587e46100000009",
    "4a131c81070358455c5728f20e95452f",
    "90cb80913ebb696e086381b5ec427b1f",
    "4048b7d56ebce88525e7de7f00d6c2d3",
    "fb1de3cdf341b7ea16b7e5be0855f120",
    "26244d38eddb61b3172a36e3d0cfb819",
    "e3a5966a76379fe707228231e5ce8652",
]
WINDOWS_XP: Final[list[Suite]] = [
    (TRIPLE_DES, SHA1, 14),
    (TRIPLE_DES, SHA1, 2),
    (TRIPLE_DES, MD5, 2),
    (DES, SHA1, 1),
    (DES, MD5, 1),
]
WINDOWS_XP_VENDOR_IDS: Final = [
    "1e2b516905991c7d7c96fcbfb587e46100000004",
    "4048b7d56ebce88525e7de7f00d6c2d3",
    "90cb80913ebb696e086381b5ec427b1f",
]
MACOS: Final[list[Suite]] = [
    (AES256, SHA256, 14),
    (AES256, SHA1, 14),
    (AES256, MD5, 14),
    (AES256, SHA512, 14),
    (AES256, SHA256, 5),
    (AES256, SHA1, 5),
    (AES256, MD5, 5),
    (AES256, SHA256, 2),
    (AES256, SHA1, 2),
    (AES256, MD5, 2),
    (AES128, SHA1, 2),
    (AES128, MD5, 2),
    (TRIPLE_DES, SHA1, 2),
    (TRIPLE_DES, MD5, 2),
]
MACOS_OLD: Final[list[Suite]] = [
    (cipher, hash_algorithm, 2)
    for cipher in (AES256, AES128, TRIPLE_DES)
    for hash_algorithm in (SHA1, MD5)
]
MACOS_VENDOR_IDS: Final = [
    "4a131c81070358455c5728f20e95452f",
    "4df37928e9fc4fd1b3262170d515c662",
    "8f8d83826d246b6fc7a8a6a428c11de8",
    "439b59f8ba676c4c7737ae22eab8f582",
    "4d1e0e136deafa34c4f3ea9f02ec7285",
    "80d0bb3def54565ee84645d4c85ce3ee",
    "9909b64eed937c6573de52ace952fa6b",
    "7d9419a65310ca6f2c179d9215529d56",
    "cd60464335df21f87cfdb2fc68b6a448",
    "90cb80913ebb696e086381b5ec427b1f",
    "4048b7d56ebce88525e7de7f00d6c2d380000000",
    "afcad71368a1f1c96b8696fc77570100",
]
ANDROID: Final[list[Suite]] = [
    *((AES256, hash_algorithm, 2) for hash_algorithm in (SHA384, SHA256, SHA512, SHA1, MD5)),
    *((AES128, hash_algorithm, 2) for hash_algorithm in (SHA512, SHA384, SHA256, SHA1, MD5)),
    *((TRIPLE_DES, hash_algorithm, 2) for hash_algorithm in (SHA256, SHA1, MD5)),
    *((DES, hash_algorithm, 2) for hash_algorithm in (SHA256, SHA1, MD5)),
]
ANDROID_VENDOR_IDS: Final = [
    "4a131c81070358455c5728f20e95452f",
    "cd60464335df21f87cfdb2fc68b6a448",
    "90cb80913ebb696e086381b5ec427b1f",
    "4485152d18b6bbcd0be8a8469579ddcc",
    "4048b7d56ebce88525e7de7f00d6c2d380000000",
    "afcad71368a1f1c96b8696fc77570100",
]
CHROMEOS: Final[list[Suite]] = [
    (AES128, SHA256, 15),
    (AES128, SHA1, 14),
    (TRIPLE_DES, SHA1, 5),
    (TRIPLE_DES, SHA1, 2),
]
NETWORK_MANAGER: Final[list[Suite]] = [
    *((AES256, SHA256, group) for group in (14, 5, 2)),
    *((AES256, SHA1, group) for group in (14, 5, 2, 20)),
    *((AES128, SHA1, group) for group in (2, 19)),
    *((TRIPLE_DES, SHA1, group) for group in (14, 2)),
]
STRONGSWAN_VENDOR_IDS: Final = [
    "09002689dfd6b712",
    "afcad71368a1f1c96b8696fc77570100",
    "4048b7d56ebce88525e7de7f00d6c2d380000000",
    "4a131c81070358455c5728f20e95452f",
    "90cb80913ebb696e086381b5ec427b1f",
]


def windows_transform(number: int, suite: Suite) -> Transform:
    """Encryption, key length, hash, group, method, and a life of 28800 s in 8 octets."""
    (cipher, key_bits), hash_algorithm, group = suite
    return Transform(
        number,
        KEY_IKE,
        (
            Attribute.short(IkeAttribute.ENCRYPTION_ALGORITHM, cipher),
            *((Attribute.short(IkeAttribute.KEY_LENGTH, key_bits),) if key_bits else ()),
            Attribute.short(IkeAttribute.HASH_ALGORITHM, hash_algorithm),
            Attribute.short(IkeAttribute.GROUP_DESCRIPTION, group),
            Attribute.short(
                IkeAttribute.AUTHENTICATION_METHOD, AuthenticationMethod.PRE_SHARED_KEY
            ),
            Attribute.short(IkeAttribute.LIFE_TYPE, LifeType.SECONDS),
            Attribute.long(IkeAttribute.LIFE_DURATION, 28800),
        ),
    )


def racoon_transform(number: int, suite: Suite) -> Transform:
    """As racoon on macOS and Android orders them: life first, in 4 octets."""
    (cipher, key_bits), hash_algorithm, group = suite
    return Transform(
        number,
        KEY_IKE,
        (
            Attribute.short(IkeAttribute.LIFE_TYPE, LifeType.SECONDS),
            Attribute.short(IkeAttribute.LIFE_DURATION, 3600),
            Attribute.short(IkeAttribute.ENCRYPTION_ALGORITHM, cipher),
            *((Attribute.short(IkeAttribute.KEY_LENGTH, key_bits),) if key_bits else ()),
            Attribute.short(
                IkeAttribute.AUTHENTICATION_METHOD, AuthenticationMethod.PRE_SHARED_KEY
            ),
            Attribute.short(IkeAttribute.HASH_ALGORITHM, hash_algorithm),
            Attribute.short(IkeAttribute.GROUP_DESCRIPTION, group),
        ),
    )


def offer(transforms: Sequence[Transform]) -> SecurityAssociation:
    """Return one phase-1 proposal with these transforms."""
    return SecurityAssociation((Proposal(1, ProtocolId.ISAKMP, b"", tuple(transforms)),))


def windows_offer(suites: Sequence[Suite] = WINDOWS_10) -> SecurityAssociation:
    return offer([windows_transform(number, suite) for number, suite in enumerate(suites, 1)])


def racoon_offer(suites: Sequence[Suite] = MACOS) -> SecurityAssociation:
    return offer([racoon_transform(number, suite) for number, suite in enumerate(suites, 1)])


def first_message(
    sa: SecurityAssociation, vendor_ids: Sequence[str], cookie: bytes = b"\x01" * 8
) -> bytes:
    """Return message 1 of Main Mode."""
    payloads = [Payload(PayloadType.SA, sa.build())]
    payloads += [Payload(PayloadType.VENDOR, bytes.fromhex(text)) for text in vendor_ids]
    cookies = Cookies(cookie, NO_COOKIE)
    return build_message(cookies, ExchangeType.IDENTITY_PROTECTION, Payloads.of(payloads))


def windows_quick_mode(
    mode: EncapsulationMode, spi: bytes = b"\x11\x22\x33\x44", count: int = 3
) -> SecurityAssociation:
    """One proposal for each transform: seconds and kilobytes of life, mode, key, HMAC."""
    ciphers = [
        (EspTransform.AES_CBC, 256),
        (EspTransform.AES_CBC, 128),
        (EspTransform.TRIPLE_DES, 0),
        (EspTransform.DES, 0),
        (EspTransform.NULL, 0),
    ]
    proposals = []
    for number, (transform, key_bits) in enumerate(ciphers[:count], 1):
        attributes = (
            Attribute.short(IpsecAttribute.ENCAPSULATION_MODE, mode),
            *((Attribute.short(IpsecAttribute.KEY_LENGTH, key_bits),) if key_bits else ()),
            Attribute.short(IpsecAttribute.AUTHENTICATION_ALGORITHM, Auth.HMAC_SHA1),
            Attribute.short(IpsecAttribute.SA_LIFE_TYPE, LifeType.SECONDS),
            Attribute.long(IpsecAttribute.SA_LIFE_DURATION, 3600),
            Attribute.short(IpsecAttribute.SA_LIFE_TYPE, LifeType.KILOBYTES),
            Attribute.long(IpsecAttribute.SA_LIFE_DURATION, 250000),
        )
        proposals.append(
            Proposal(number, ProtocolId.ESP, spi, (Transform(1, transform, attributes),))
        )
    return SecurityAssociation(tuple(proposals))


def racoon_quick_mode(
    mode: EncapsulationMode, authentications: Sequence[Auth], spi: bytes = b"\x11\x22\x33\x44"
) -> SecurityAssociation:
    """One proposal with all transforms: ciphers, and for each of them the HMACs."""
    transforms = []
    for transform, key_bits in (
        (EspTransform.AES_CBC, 256),
        (EspTransform.AES_CBC, 128),
        (EspTransform.TRIPLE_DES, 0),
    ):
        for authentication in authentications:
            attributes = (
                Attribute.short(IpsecAttribute.SA_LIFE_TYPE, LifeType.SECONDS),
                Attribute.short(IpsecAttribute.SA_LIFE_DURATION, 3600),
                Attribute.short(IpsecAttribute.ENCAPSULATION_MODE, mode),
                *((Attribute.short(IpsecAttribute.KEY_LENGTH, key_bits),) if key_bits else ()),
                Attribute.short(IpsecAttribute.AUTHENTICATION_ALGORITHM, authentication),
            )
            transforms.append(Transform(len(transforms) + 1, transform, attributes))
    return SecurityAssociation((Proposal(1, ProtocolId.ESP, spi, tuple(transforms)),))
