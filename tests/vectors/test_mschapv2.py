"""MS-CHAPv2 against RFC 2759 section 9, and what RFC 3079 section 3.5 derives from it.

We encrypt nothing by MPPE, so its keys are derived here alone: they come from the NT-Response
and the hash of the password's hash, and so prove these two once more.
"""

from hashlib import sha1
from typing import Any

import pytest
from cryptography.hazmat.decrepit.ciphers.algorithms import ARC4
from cryptography.hazmat.primitives.ciphers import Cipher

from ppp.md4 import md4
from ppp.mschapv2 import (
    challenge_hash,
    challenge_response,
    decrypt_pw_block,
    generate_authenticator_response,
    generate_nt_response,
    nt_password_hash,
    nt_password_hash_encrypted_with_block,
)
from ppp.proofs import MsChapV2Proof
from tests.support.vectors import load, octets
from wire import DecodeError

CASE: dict[str, Any] = load("rfc2759_3079_mschapv2_mppe.json")
NAME = CASE["username"].encode()
AUTHENTICATOR_CHALLENGE, PEER_CHALLENGE, NT_RESPONSE, HASH = octets(
    CASE, "authenticator_challenge", "peer_challenge", "nt_response", "password_hash"
)
AUTHENTICATOR_RESPONSE = CASE["authenticator_response"].encode()


def test_password_hash() -> None:
    assert nt_password_hash(CASE["password"]) == HASH
    assert md4(HASH).hex() == CASE["password_hash_hash"]


def test_challenge_hash() -> None:
    challenge = challenge_hash(PEER_CHALLENGE, AUTHENTICATOR_CHALLENGE, NAME)
    assert challenge.hex() == CASE["challenge"]
    assert challenge_response(challenge, HASH) == NT_RESPONSE


@pytest.mark.parametrize("name", [NAME, b"DOMAIN\\" + NAME, b"\\" + NAME])
def test_responses(name: bytes) -> None:
    challenges = AUTHENTICATOR_CHALLENGE, PEER_CHALLENGE
    assert generate_nt_response(*challenges, name, HASH) == NT_RESPONSE
    response = generate_authenticator_response(*challenges, name, HASH, NT_RESPONSE)
    assert response == AUTHENTICATOR_RESPONSE


def test_proof() -> None:
    proof = MsChapV2Proof(CASE["username"], AUTHENTICATOR_CHALLENGE, PEER_CHALLENGE, NT_RESPONSE)
    assert proof.verify(CASE["password"], None) == AUTHENTICATOR_RESPONSE
    assert proof.verify(None, HASH) == AUTHENTICATOR_RESPONSE


def test_parity_of_des_keys_does_not_matter() -> None:
    """RFC 2759 section 9.3 has keys of a hash: a 7-octet key must become that 8-octet key."""
    raw, corrected = bytes.fromhex("fc156af7edcd6c"), bytes.fromhex("fd0b5b5e7f6e34d9")
    bits = "".join(f"{octet:08b}"[:7] for octet in corrected)
    assert int(bits, 2).to_bytes(7, "big") == raw
    assert nt_password_hash("MyPw").hex() == "fc156af7edcd6c0edde3337d427f4eac"


@pytest.mark.parametrize("case", load("impacket_password_change.json")["cases"])
def test_change_of_password(case: dict[str, str]) -> None:
    """RFC 2759 sections 8.9 to 8.13, in which the RFC itself has no example."""
    block, encrypted_hash = octets(case, "encrypted_password", "encrypted_hash")
    old, new = nt_password_hash(case["old"]), nt_password_hash(case["new"])
    assert decrypt_pw_block(block, old) == case["new"]
    assert nt_password_hash_encrypted_with_block(old, new) == encrypted_hash
    with pytest.raises(DecodeError):
        decrypt_pw_block(block, new)


@pytest.mark.parametrize("strength", CASE["mppe"])
def test_mppe_keys(strength: str) -> None:
    master_magic = b"This is the MPPE Master Key"
    server_send = (
        b"On the client side, this is the receive key; on the server side, it is the send key."
    )
    expected = CASE["mppe"][strength]
    length = 16 if strength == "128" else 8
    master = sha1(md4(nt_password_hash(CASE["password"])) + NT_RESPONSE + master_magic).digest()
    assert master[:16].hex() == CASE["mppe_master_key"]
    start = sha1(master[:16] + bytes(40) + server_send + b"\xf2" * 40).digest()[:length]
    assert start.hex() == expected["send_start"]
    session = sha1(start + bytes(40) + start + b"\xf2" * 40).digest()[:length]
    fixed = {"40": b"\xd1\x26\x9e", "56": b"\xd1", "128": b""}[strength]
    session = fixed + session[len(fixed) :]
    assert session.hex() == expected["send_session"]
    message = Cipher(ARC4(session), mode=None).encryptor().update(b"test message")
    assert message.hex() == expected["rc4_test_message"]
