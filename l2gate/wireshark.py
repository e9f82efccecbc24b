"""What Wireshark reads keys from: two tables in its configuration directory, a line a key.

The tables are "uat" files of Wireshark: fields in quotes or as hexadecimal digits, separated
by commas. In both, the names of algorithms are Wireshark's own.
"""

from typing import Final

from ipsec.constants import AuthenticationAlgorithm, EspTransform
from ipsec.keys import EspKeys, IsakmpKey

ISAKMP_TABLE: Final = "ikev1_decryption_table"
ESP_TABLE: Final = "esp_sa"
TABLES: Final = (ISAKMP_TABLE, ESP_TABLE)

PREFERENCES: Final = "esp.enable_encryption_decode: TRUE\nesp.enable_authentication_check: TRUE\n"
"""The file `preferences` of the same directory: let the keys be used."""

_ENCRYPTION: Final = {
    EspTransform.DES: "DES-CBC [RFC2405]",
    EspTransform.TRIPLE_DES: "TripleDES-CBC [RFC2451]",
    EspTransform.NULL: "NULL",
    EspTransform.AES_CBC: "AES-CBC [RFC3602]",
    EspTransform.AES_GCM_16: "AES-GCM with 16 octet ICV [RFC4106]",
}
_AUTHENTICATION: Final = {
    None: "NULL",
    AuthenticationAlgorithm.HMAC_MD5: "HMAC-MD5-96 [RFC2403]",
    AuthenticationAlgorithm.HMAC_SHA1: "HMAC-SHA-1-96 [RFC2404]",
    AuthenticationAlgorithm.HMAC_SHA2_256: "HMAC-SHA-256-128 [RFC4868]",
    AuthenticationAlgorithm.HMAC_SHA2_384: "HMAC-SHA-384-192 [RFC4868]",
    AuthenticationAlgorithm.HMAC_SHA2_512: "HMAC-SHA-512-256 [RFC4868]",
}
_DRAFT: Final[dict[tuple[AuthenticationAlgorithm | None, int], str]] = {
    (AuthenticationAlgorithm.HMAC_SHA2_256, 12): (
        "HMAC-SHA-256-96 [draft-ietf-ipsec-ciph-sha-256-00]"
    ),
}


def isakmp_line(key: IsakmpKey) -> str:
    """Return the line of ISAKMP_TABLE for an ISAKMP SA."""
    return f"{key.cookie.hex()},{key.key.hex()}"


def esp_line(keys: EspKeys, is_ipv6: bool) -> str:
    """Return the line of ESP_TABLE for an ESP SA, wherever a NAT may move its ends."""
    algorithm = keys.algorithms.authentication
    authentication = _DRAFT.get((algorithm, keys.icv_length), _AUTHENTICATION[algorithm])
    fields = (
        "IPv6" if is_ipv6 else "IPv4",
        "*",
        "*",
        f"0x{keys.spi:08x}",
        _ENCRYPTION[EspTransform(keys.algorithms.transform)],
        _hexadecimal(keys.encryption),
        authentication,
        _hexadecimal(keys.authentication),
    )
    return ",".join(f'"{field}"' for field in fields)


def _hexadecimal(key: bytes) -> str:
    return f"0x{key.hex()}" if key else ""
