"""ESP and its transforms against RFC 2202, RFC 4868, RFC 3602 and draft-mcgrew-gcm-test."""

import hmac
from typing import Any

import pytest
from cryptography.hazmat.primitives.hmac import HMAC

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import (
    AuthenticationAlgorithm,
    EncryptionAlgorithm,
    EspTransform,
    HashAlgorithm,
)
from ipsec.crypto import Phase1Cipher, prf
from ipsec.esp import DropReason, EspError, InboundSa
from ipsec.transforms import TruncatedHmac
from tests.support.esp import outbound_with_iv, split_trailer
from tests.support.vectors import load, octets

HMACS = {
    "md5": (HashAlgorithm.MD5, AuthenticationAlgorithm.HMAC_MD5),
    "sha1": (HashAlgorithm.SHA1, AuthenticationAlgorithm.HMAC_SHA1),
    "sha256": (HashAlgorithm.SHA2_256, AuthenticationAlgorithm.HMAC_SHA2_256),
    "sha384": (HashAlgorithm.SHA2_384, AuthenticationAlgorithm.HMAC_SHA2_384),
    "sha512": (HashAlgorithm.SHA2_512, AuthenticationAlgorithm.HMAC_SHA2_512),
}


@pytest.mark.parametrize("case", load("hmac_icv.json")["cases"])
def test_hmac(case: dict[str, Any]) -> None:
    hash_algorithm, authentication = HMACS[case["hash"]]
    key, data, mac, icv = octets(case, "key", "data", "mac", "esp_icv")
    integrity = EspAlgorithms(EspTransform.NULL, 0, authentication).integrity
    assert integrity
    assert prf(hash_algorithm, key, data) == mac
    assert integrity.icv == len(icv)
    keyed = TruncatedHmac(HMAC(key, integrity.hash), integrity.icv)
    assert keyed.icv(data) == icv
    if integrity.draft_icv is not None:
        assert keyed.truncated(integrity.draft_icv).icv(data) == octets(case, "draft_icv")[0]


AES_CASES = load("rfc3602_aes_cbc_esp.json")["cases"]


@pytest.mark.parametrize("case", [c for c in AES_CASES if "ciphertext" in c])
def test_aes_cbc_of_rfc_3602(case: dict[str, Any]) -> None:
    key, iv, plaintext, ciphertext = octets(case, "key", "iv", "plaintext", "ciphertext")
    cipher = Phase1Cipher(EncryptionAlgorithm.AES_CBC, 128, key)
    assert cipher.encrypt(iv, plaintext) == ciphertext
    assert cipher.decrypt(iv, ciphertext) == plaintext


@pytest.mark.parametrize("case", [c for c in AES_CASES if "esp_payload" in c])
def test_esp_of_rfc_3602(case: dict[str, Any]) -> None:
    """The packets have no ICV, which no SA of ours accepts; they get one from the stdlib."""
    key, spi, sequence, iv, packet = octets(case, "key", "spi", "seq", "iv", "esp_payload")
    plaintext = bytes.fromhex(case["pre_encryption"])
    authentication_key = bytes(range(20))
    packet += hmac.digest(authentication_key, packet, "sha1")[:12]
    payload, next_header = split_trailer(plaintext)
    algorithms = EspAlgorithms(EspTransform.AES_CBC, 128, AuthenticationAlgorithm.HMAC_SHA1)
    keys = (int.from_bytes(spi), algorithms, key, authentication_key)
    assert InboundSa(*keys, protocol=next_header).open(packet) == payload
    outbound = outbound_with_iv(*keys, iv, protocol=next_header)
    outbound.sequence = int.from_bytes(sequence) - 1
    assert outbound.seal(payload) == packet


@pytest.mark.parametrize("case", load("rfc4106_gcm_esp.json")["cases"])
def test_gcm(case: dict[str, Any]) -> None:
    """With extended sequence numbers, which we do not do, the ICV covers 32 bits more."""
    key, salt, packet, plaintext = octets(
        case, "key", "salt", "esp_packet", "plaintext_with_trailer"
    )
    payload, next_header = split_trailer(plaintext)
    algorithms = EspAlgorithms(EspTransform.AES_GCM_16, len(key) * 8)
    inbound = InboundSa(int(case["spi"], 16), algorithms, key + salt, b"", protocol=next_header)
    if case["esn"]:
        with pytest.raises(EspError) as dropped:
            inbound.open(packet)
        never_sent = packet[4:8] == bytes(4)
        assert dropped.value.reason is (DropReason.REPLAYED if never_sent else DropReason.BAD_ICV)
    else:
        assert inbound.open(packet) == payload
