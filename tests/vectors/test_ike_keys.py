"""SKEYID, HASH_R, appendix B and KEYMAT against NIST, hashcat, ike-scan and NSS."""

from typing import Any

import pytest

from ipsec.constants import HashAlgorithm, ProtocolId
from ipsec.keymat import (
    Skeyid,
    cipher_key,
    esp_keymat,
    hash_r,
    skeyid_psk,
    skeyid_signatures,
)
from tests.support.vectors import load, octets

HASHES = {
    "md5": HashAlgorithm.MD5,
    "sha1": HashAlgorithm.SHA1,
    "sha256": HashAlgorithm.SHA2_256,
    "sha384": HashAlgorithm.SHA2_384,
    "sha512": HashAlgorithm.SHA2_512,
}


@pytest.mark.parametrize("case", load("nist_cavs_ikev1_kdf.json")["cases"])
def test_skeyid_of_nist(case: dict[str, Any]) -> None:
    algorithm = HASHES[case["hash"]]
    ni, nr, g_xy, cky_i, cky_r = octets(case, "ni", "nr", "g_xy", "cky_i", "cky_r")
    if case["auth"] == "psk":
        skeyid = skeyid_psk(algorithm, bytes.fromhex(case["psk"]), ni, nr)
    else:
        skeyid = skeyid_signatures(algorithm, ni, nr, g_xy)
    keys = Skeyid.derive(algorithm, skeyid, g_xy, cky_i, cky_r)
    assert skeyid == bytes.fromhex(case["skeyid"])
    assert (keys.d, keys.a, keys.e) == octets(case, "skeyid_d", "skeyid_a", "skeyid_e")


@pytest.mark.parametrize("case", load("ike1_psk_hash_r.json")["cases"])
def test_hash_r_of_psk_crackers(case: dict[str, Any]) -> None:
    algorithm = HASHES[case["hash"]]
    ni, nr = octets(case, "ni_b", "nr_b")
    skeyid = skeyid_psk(algorithm, case["psk"].encode(), ni, nr)
    assert skeyid == bytes.fromhex(case["skeyid"])
    hashed = octets(case, "g_xi", "g_xr", "cky_i", "cky_r", "sai_b", "idir_b")
    assert hash_r(algorithm, skeyid, *hashed) == bytes.fromhex(case["hash_r"])


@pytest.mark.parametrize("case", load("nss_ikev1_expansion.json")["cases"])
def test_expansion_of_nss(case: dict[str, Any]) -> None:
    algorithm = HASHES[case["hash"]]
    key, okm = octets(case, "ikm", "okm")
    if case["type"] == "ikeV1AppB":
        made = cipher_key(algorithm, key, case["size"])
    else:
        # The seed of NSS is one octet, which has the place of the protocol.
        seed = ProtocolId(int(case["seed"], 16))
        made = esp_keymat(algorithm, key, seed, b"", b"", b"", case["size"])
    assert made == okm
