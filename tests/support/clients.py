"""What the clients that systems carry built in offer: suites and vendor ids, in their order.

How sure each table is stands beside it: [S] read in the client's source, [L] seen in logs, [C]
computed and of the size that was logged, [D] documented by the vendor, [R] recollection only.
"""

from collections.abc import Sequence
from typing import Final

from ipsec.constants import AuthenticationAlgorithm as Auth
from ipsec.constants import (
    EncapsulationMode,
    EncryptionAlgorithm,
    EspTransform,
    ExchangeType,
    HashAlgorithm,
    PayloadType,
)
from ipsec.message import NO_COOKIE, Cookies, Payload, Payloads, build_message
from ipsec.proposals import SecurityAssociation, Transform
from tests.support.offers import (
    RACOON_ESP,
    RACOON_IKE,
    WINDOWS_ESP,
    WINDOWS_IKE,
    EspSuite,
    Layout,
    Suite,
    esp_offer,
    ike_offer,
    ike_transform,
)

AES256: Final = EncryptionAlgorithm.AES_CBC, 256
AES128: Final = EncryptionAlgorithm.AES_CBC, 128
TRIPLE_DES: Final = EncryptionAlgorithm.TRIPLE_DES_CBC, 0
DES: Final = EncryptionAlgorithm.DES_CBC, 0
MD5, SHA1 = HashAlgorithm.MD5, HashAlgorithm.SHA1
SHA256, SHA384, SHA512 = HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512

# [L] 1 to 3; [C] all; [R] the order of the last two
WINDOWS_10: Final[list[Suite]] = [
    (AES256, SHA1, 20),
    (AES128, SHA1, 19),
    (AES256, SHA1, 14),
    (TRIPLE_DES, SHA1, 14),
    (TRIPLE_DES, SHA1, 2),
]
# [L]
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
# [L] with version 8; [R] that KEY_MODS comes first there too
WINDOWS_7_VENDOR_IDS: Final = [
    WINDOWS_10_VENDOR_IDS[0],
    "1e2b516905991c7d7c96fcbfb587e46100000008",
    *WINDOWS_10_VENDOR_IDS[2:],
]
# [L] the first two groups; [R] all else
WINDOWS_XP: Final[list[Suite]] = [
    (TRIPLE_DES, SHA1, 14),
    (TRIPLE_DES, SHA1, 2),
    (TRIPLE_DES, MD5, 2),
    (DES, SHA1, 1),
    (DES, MD5, 1),
]
# [L]; [R] that there is no Vid-Initial-Contact
WINDOWS_XP_VENDOR_IDS: Final = [
    "1e2b516905991c7d7c96fcbfb587e46100000004",
    "4048b7d56ebce88525e7de7f00d6c2d3",
    "90cb80913ebb696e086381b5ec427b1f",
]
# [S] [C]; macOS from 10.12, iOS from 10
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
# [S] [C]; macOS up to 10.11, iOS up to 9
MACOS_OLD: Final[list[Suite]] = [
    (cipher, hash_algorithm, 2)
    for cipher in (AES256, AES128, TRIPLE_DES)
    for hash_algorithm in (SHA1, MD5)
]
# [S] [C]
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
# [S]; Android from 8
ANDROID: Final[list[Suite]] = [
    *((AES256, hash_algorithm, 2) for hash_algorithm in (SHA384, SHA256, SHA512, SHA1, MD5)),
    *((AES128, hash_algorithm, 2) for hash_algorithm in (SHA512, SHA384, SHA256, SHA1, MD5)),
    *((TRIPLE_DES, hash_algorithm, 2) for hash_algorithm in (SHA256, SHA1, MD5)),
    *((DES, hash_algorithm, 2) for hash_algorithm in (SHA256, SHA1, MD5)),
]
# [S]; Android 4.4 to 7.1
ANDROID_7: Final[list[Suite]] = [
    (cipher, hash_algorithm, 2)
    for cipher in (AES256, AES128, TRIPLE_DES, DES)
    for hash_algorithm in (SHA256, SHA1, MD5)
]
# [S]
ANDROID_VENDOR_IDS: Final = [
    "4a131c81070358455c5728f20e95452f",
    "cd60464335df21f87cfdb2fc68b6a448",
    "90cb80913ebb696e086381b5ec427b1f",
    "4485152d18b6bbcd0be8a8469579ddcc",
    "4048b7d56ebce88525e7de7f00d6c2d380000000",
    "afcad71368a1f1c96b8696fc77570100",
]
# [S]; without what strongSwan's own `default` adds, which depends on its build
CHROMEOS: Final[list[Suite]] = [
    (AES128, SHA256, 15),
    (AES128, SHA1, 14),
    (TRIPLE_DES, SHA1, 5),
    (TRIPLE_DES, SHA1, 2),
]
# [S] [L]
NETWORK_MANAGER: Final[list[Suite]] = [
    *((AES256, SHA256, group) for group in (14, 5, 2)),
    *((AES256, SHA1, group) for group in (14, 5, 2, 20)),
    *((AES128, SHA1, group) for group in (2, 19)),
    *((TRIPLE_DES, SHA1, group) for group in (14, 2)),
]
# [L] recorded with strongSwan 5.9.8 (tests/captures/data/golden)
STRONGSWAN_VENDOR_IDS: Final = [
    "09002689dfd6b712",
    "afcad71368a1f1c96b8696fc77570100",
    "4048b7d56ebce88525e7de7f00d6c2d380000000",
    "4a131c81070358455c5728f20e95452f",
    "90cb80913ebb696e086381b5ec427b1f",
]
# [R] all of it
LIBRESWAN_VENDOR_IDS: Final = [
    "4048b7d56ebce88525e7de7f00d6c2d3",
    "afcad71368a1f1c96b8696fc77570100",
    "4a131c81070358455c5728f20e95452f",
    "7d9419a65310ca6f2c179d9215529d56",
    "90cb80913ebb696e086381b5ec427b1f",
    "cd60464335df21f87cfdb2fc68b6a448",
]
# [R]; RouterOS 6 and 7
MIKROTIK: Final[list[Suite]] = [
    (cipher, SHA1, group) for group in (14, 2) for cipher in (AES128, TRIPLE_DES)
]
# [R]
MIKROTIK_VENDOR_IDS: Final = [
    "4a131c81070358455c5728f20e95452f",
    "90cb80913ebb696e086381b5ec427b1f",
    "cd60464335df21f87cfdb2fc68b6a448",
    "afcad71368a1f1c96b8696fc77570100",
]

ESP_AES256: Final = EspTransform.AES_CBC, 256
ESP_AES192: Final = EspTransform.AES_CBC, 192
ESP_AES128: Final = EspTransform.AES_CBC, 128
ESP_GCM128: Final = EspTransform.AES_GCM_16, 128
ESP_3DES: Final = EspTransform.TRIPLE_DES, 0
ESP_DES: Final = EspTransform.DES, 0
ESP_NULL: Final = EspTransform.NULL, 0

# [C] the sizes of the first three and of all five; [R] what they are
WINDOWS_ESP_SUITES: Final[list[EspSuite]] = [
    (cipher, Auth.HMAC_SHA1) for cipher in (ESP_AES256, ESP_AES128, ESP_3DES, ESP_DES, ESP_NULL)
]


def racoon_suites(
    ciphers: Sequence[tuple[EspTransform, int]], authentications: Sequence[Auth]
) -> list[EspSuite]:
    """Return each cipher with each HMAC, as racoon combines them."""
    return [(cipher, hmac) for cipher in ciphers for hmac in authentications]


def windows_transform(number: int, suite: Suite) -> Transform:
    return ike_transform(number, suite, WINDOWS_IKE)


def racoon_transform(number: int, suite: Suite) -> Transform:
    return ike_transform(number, suite, Layout(RACOON_IKE, 3600))


def windows_offer(suites: Sequence[Suite] = WINDOWS_10) -> SecurityAssociation:
    return ike_offer(suites, WINDOWS_IKE)


def racoon_offer(suites: Sequence[Suite] = MACOS, seconds: int = 3600) -> SecurityAssociation:
    return ike_offer(suites, Layout(RACOON_IKE, seconds))


def windows_quick_mode(
    mode: EncapsulationMode, spi: bytes = b"\x11\x22\x33\x44", count: int = 3
) -> SecurityAssociation:
    return esp_offer(WINDOWS_ESP_SUITES[:count], WINDOWS_ESP, mode, spi, apart=True)


def racoon_quick_mode(
    mode: EncapsulationMode, authentications: Sequence[Auth]
) -> SecurityAssociation:
    suites = racoon_suites((ESP_AES256, ESP_AES128, ESP_3DES), authentications)
    return esp_offer(suites, Layout(RACOON_ESP, 3600), mode)


def first_message(
    sa: SecurityAssociation, vendor_ids: Sequence[str], cookie: bytes = b"\x01" * 8
) -> bytes:
    """Return message 1 of Main Mode."""
    payloads = [Payload(PayloadType.SA, sa.build())]
    payloads += [Payload(PayloadType.VENDOR, bytes.fromhex(text)) for text in vendor_ids]
    cookies = Cookies(cookie, NO_COOKIE)
    return build_message(cookies, ExchangeType.IDENTITY_PROTECTION, Payloads.of(payloads))
