"""AAA with the proofs that PPP makes, and what is documented of its refusals."""

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from aaa import (
    Aaa,
    Accepted,
    AddressRange,
    ClientFacts,
    Department,
    Directory,
    Pool,
    Proof,
    Reason,
    Rejected,
    User,
)
from ppp.mschapv2 import generate_nt_response, nt_password_hash
from ppp.proofs import ChapMd5Proof, MsChapV2Proof, PapProof, chap_md5_response

CHALLENGE, PEER_CHALLENGE = bytes(range(16)), bytes(range(16, 32))
TROUBLESHOOTING = Path(__file__).resolve().parents[2] / "docs" / "troubleshooting.md"


def proofs(name: str, password: str) -> list[Proof]:
    digest = nt_password_hash(password)
    response = generate_nt_response(CHALLENGE, PEER_CHALLENGE, name.encode(), digest)
    return [
        PapProof(name, password.encode()),
        ChapMd5Proof(name, 1, CHALLENGE, chap_md5_response(1, password, CHALLENGE)),
        MsChapV2Proof(name, CHALLENGE, PEER_CHALLENGE, response),
    ]


def decide(user: User, proof: Proof) -> Accepted | Rejected:
    pool = Pool((AddressRange(IPv4Address("10.0.0.2"), IPv4Address("10.0.0.9")),))
    department = Department("default", (), pool, IPv4Address("10.0.0.1"))
    aaa = Aaa(Directory({"default": department}, {user.name: user}))
    aaa.request(1, 1, "bob", proof, ClientFacts("192.0.2.1"))
    decided = aaa.next_event()
    assert decided is not None
    return decided.decision


@pytest.mark.parametrize("method", range(3))
def test_a_password_serves_every_method(method: int) -> None:
    user = User("bob", password="pässword")
    assert isinstance(decide(user, proofs("bob", "pässword")[method]), Accepted)
    refused = decide(user, proofs("bob", "password")[method])
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.WRONG_PASSWORD


def test_an_nt_hash_serves_all_but_chap_md5() -> None:
    user = User("bob", nt_hash=nt_password_hash("secret"))
    pap, chap_md5, ms_chap = (decide(user, proof) for proof in proofs("bob", "secret"))
    assert isinstance(pap, Accepted)
    assert isinstance(ms_chap, Accepted)
    assert ms_chap.reply.startswith(b"S=")
    assert isinstance(chap_md5, Rejected)
    assert chap_md5.reason is Reason.METHOD_NOT_POSSIBLE


@pytest.mark.parametrize("method", range(3))
def test_nobody_knows_the_decoys_password(method: int) -> None:
    refused = decide(User("eve", password="secret"), proofs("bob", "no such user")[method])
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason.UNKNOWN_USER


@pytest.mark.parametrize("reason", Reason)
def test_every_refusal_is_documented(reason: Reason) -> None:
    assert f"| {reason.value}; " in TROUBLESHOOTING.read_text()
