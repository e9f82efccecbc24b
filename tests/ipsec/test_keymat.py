"""What the vectors do not cover: PFS, the order of what is hashed, and the lengths of keys."""

import hmac

import pytest

from ipsec.constants import HashAlgorithm, ProtocolId
from ipsec.keymat import (
    Skeyid,
    cipher_key,
    esp_keymat,
    hash_i,
    hash_r,
    informational_hash,
    quick_hash_1,
)

SHA1 = HashAlgorithm.SHA1
KEY = bytes(range(20))


def test_keymat_with_pfs_is_expanded_as_section_5_5_says() -> None:
    made = esp_keymat(SHA1, KEY, ProtocolId.ESP, b"SPI.", b"Ni", b"Nr", 50, b"g(qm)^xy")
    seed = b"g(qm)^xy\x03SPI.NiNr"
    k1 = hmac.digest(KEY, seed, "sha1")
    k2 = hmac.digest(KEY, k1 + seed, "sha1")
    k3 = hmac.digest(KEY, k2 + seed, "sha1")
    assert made == (k1 + k2 + k3)[:50]


@pytest.mark.parametrize("length", [16, 20, 21, 24, 32, 64])
def test_cipher_key(length: int) -> None:
    """Appendix B: SKEYID_e itself if that is enough, else its expansion, of which no octet is."""
    key = cipher_key(SHA1, KEY, length)
    assert len(key) == length
    assert (key == KEY[:length]) is (length <= len(KEY))


def test_hash_i_and_hash_r_mirror_each_other() -> None:
    """Whoever swaps initiator and responder gets the other one's hash for the same identity."""
    ours = hash_i(SHA1, KEY, b"g_xi", b"g_xr", b"cky_i", b"cky_r", b"sai", b"id")
    theirs = hash_r(SHA1, KEY, b"g_xr", b"g_xi", b"cky_r", b"cky_i", b"sai", b"id")
    assert ours == theirs
    assert ours != hash_r(SHA1, KEY, b"g_xi", b"g_xr", b"cky_i", b"cky_r", b"sai", b"id")


def test_message_id_is_four_octets() -> None:
    expected = hmac.digest(KEY, b"\0\0\1\2payloads", "sha1")
    assert quick_hash_1(SHA1, KEY, 0x102, b"payloads") == expected
    assert informational_hash(SHA1, KEY, 0x102, b"payloads") == expected


def test_keys_are_not_printed() -> None:
    keys = Skeyid.derive(SHA1, KEY, b"g_xy", b"cky_i", b"cky_r")
    assert repr(keys) == "Skeyid()"
