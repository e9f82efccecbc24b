"""What proves that a peer knows a password, and what does not."""

from hashlib import sha1

import pytest

from ppp.mschapv2 import challenge_response, generate_nt_response, nt_password_hash
from ppp.proofs import ChapMd5Proof, MsChapV2Proof, PapProof, Proof, chap_md5_response, decode_name

PASSWORD = "pässword"
HASH = nt_password_hash(PASSWORD)
CHALLENGE, PEER_CHALLENGE = bytes(range(16)), bytes(range(16, 32))


def mschapv2(name: str = "alice", encoding: str = "utf-8") -> MsChapV2Proof:
    response = generate_nt_response(CHALLENGE, PEER_CHALLENGE, name.encode(encoding), HASH)
    return MsChapV2Proof(name, CHALLENGE, PEER_CHALLENGE, response, encoding)


PAP = PapProof("alice", PASSWORD.encode())
MD5 = ChapMd5Proof("alice", 7, CHALLENGE, chap_md5_response(7, PASSWORD, CHALLENGE))


@pytest.mark.parametrize("proof", [PAP, MD5, mschapv2()])
def test_the_password_verifies(proof: Proof) -> None:
    assert proof.verify(PASSWORD, None) is not None
    assert proof.verify(PASSWORD, HASH) is not None
    assert proof.verify("password", None) is None
    assert proof.verify("", None) is None
    assert proof.verify(None, None) is None


@pytest.mark.parametrize("proof", [PAP, mschapv2()])
def test_the_hash_verifies(proof: Proof) -> None:
    assert proof.verify(None, HASH) == proof.verify(PASSWORD, None)
    assert proof.verify(None, bytes(16)) is None


def test_md5_needs_the_password_itself() -> None:
    assert MD5.verify(None, HASH) is None


def test_a_success_says_nothing_but_with_mschapv2() -> None:
    assert PAP.verify(PASSWORD, None) == b""
    assert MD5.verify(PASSWORD, None) == b""
    reply = mschapv2().verify(PASSWORD, None)
    assert reply is not None
    assert reply.startswith(b"S=")
    assert len(reply) == 42


def test_methods_are_named() -> None:
    assert [proof.method for proof in (PAP, MD5, mschapv2())] == ["PAP", "CHAP-MD5", "MS-CHAPv2"]


def test_the_domain_is_not_hashed() -> None:
    plain = mschapv2("alice")
    prefixed = MsChapV2Proof("CORP\\alice", CHALLENGE, PEER_CHALLENGE, plain.nt_response)
    assert prefixed.verify(PASSWORD, None) == plain.verify(PASSWORD, None)
    assert prefixed.name == "CORP\\alice"


@pytest.mark.parametrize(
    ("sent", "hashed"),
    [
        ("alice", "alice"),
        ("alice@corp.example.com", "alice@corp.example.com"),
        ("CORP\\alice", "alice"),
        ("CORP\\alice@corp.example.com", "alice@corp.example.com"),
        ("A\\B\\alice", "alice"),
        ("\\alice", "alice"),
        ("corp/alice", "corp/alice"),
        ("Alice", "Alice"),
    ],
)
def test_what_of_a_name_is_hashed(sent: str, hashed: str) -> None:
    """RFC 2759 section 8.2: the name without the domain before it, as the user typed it."""
    digest = sha1(PEER_CHALLENGE + CHALLENGE + hashed.encode()).digest()[:8]
    response = challenge_response(digest, nt_password_hash(PASSWORD))
    assert MsChapV2Proof(sent, CHALLENGE, PEER_CHALLENGE, response).verify(PASSWORD, None)
    lower = sha1(PEER_CHALLENGE + CHALLENGE + hashed.swapcase().encode()).digest()[:8]
    response = challenge_response(lower, nt_password_hash(PASSWORD))
    assert not MsChapV2Proof(sent, CHALLENGE, PEER_CHALLENGE, response).verify(PASSWORD, None)


def test_another_name_does_not_verify() -> None:
    stolen = MsChapV2Proof("bob", CHALLENGE, PEER_CHALLENGE, mschapv2().nt_response)
    assert stolen.verify(PASSWORD, None) is None


@pytest.mark.parametrize(
    ("octets", "text"),
    [(b"alice", "alice"), ("jürgen".encode(), "jürgen"), ("jürgen".encode("latin-1"), "jürgen")],
)
def test_names_are_hashed_as_they_came(octets: bytes, text: str) -> None:
    name, encoding = decode_name(octets)
    assert name == text
    assert name.encode(encoding) == octets
    assert mschapv2(name, encoding).verify(PASSWORD, None) is not None


@pytest.mark.parametrize("octets", [b"\xff\xfe\x00", bytes(range(256)), b""])
def test_any_octets_are_a_name(octets: bytes) -> None:
    name, encoding = decode_name(octets)
    assert name.encode(encoding) == octets


def test_a_pap_password_may_be_any_octets() -> None:
    assert PapProof("alice", b"\xff\xfe").verify(PASSWORD, None) is None
    assert PapProof("alice", b"\xff\xfe").verify(None, HASH) is None


def test_nothing_secret_is_shown() -> None:
    for proof in (PAP, MD5, mschapv2()):
        shown = repr(proof)
        assert "alice" in shown
        assert "pässword" not in shown
        assert "challenge" not in shown
        assert "response" not in shown
