"""Diffie-Hellman against RFC 2409, RFC 3526, RFC 5903 and strongSwan."""

from typing import Any

import pytest

from ipsec.constants import GroupDescription
from ipsec.groups import SUPPORTED_GROUPS, EcpAgreement, InvalidKey, ModpAgreement, public_length
from tests.support.vectors import load, octets
from wire import LocalError

PRIMES = {
    GroupDescription(int(number)): bytes.fromhex(prime)
    for number, prime in load("modp_groups.json")["groups"].items()
}


@pytest.mark.parametrize("group", PRIMES, ids=str)
def test_prime(group: GroupDescription) -> None:
    """The prime is not public; but p - 2 is the largest public value, and its square is 4."""
    prime = int.from_bytes(PRIMES[group])
    if group not in SUPPORTED_GROUPS:
        with pytest.raises(LocalError):
            public_length(group)
        return
    length = public_length(group)
    assert length == len(PRIMES[group])
    assert ModpAgreement(group, 2).shared((prime - 2).to_bytes(length)) == bytes(
        [*bytes(length - 1), 4]
    )
    for trivial in (0, 1, prime - 1, prime, prime + 1):
        with pytest.raises(InvalidKey):
            ModpAgreement(group, 2).shared(trivial.to_bytes(length))


def test_which_groups_have_a_prime() -> None:
    assert {group for group in SUPPORTED_GROUPS if group.name.startswith("MODP")} <= set(PRIMES)


@pytest.mark.parametrize(
    "case",
    [c for c in load("modp_dh_strongswan.json")["cases"] if c["group"] in SUPPORTED_GROUPS],
    ids=lambda case: f"group {case['group']}",
)
def test_modp_of_strongswan(case: dict[str, Any]) -> None:
    group = GroupDescription(case["group"])
    ours = ModpAgreement(group, int(case["private_i"], 16))
    theirs = ModpAgreement(group, int(case["private_r"], 16))
    public_i, public_r, shared = octets(case, "public_i", "public_r", "shared")
    assert (ours.public, theirs.public) == (public_i, public_r)
    assert ours.shared(public_r) == theirs.shared(public_i) == shared


@pytest.mark.parametrize("case", load("rfc5903_ecp.json")["groups"], ids=lambda c: str(c["group"]))
def test_ecp_of_rfc_5903(case: dict[str, Any]) -> None:
    group = GroupDescription(case["group"])
    ours = EcpAgreement(group, int(case["i"], 16))
    theirs = EcpAgreement(group, int(case["r"], 16))
    gix, giy, grx, gry, girx = octets(case, "gix", "giy", "grx", "gry", "girx")
    assert (ours.public, theirs.public) == (gix + giy, grx + gry)
    assert len(ours.public) == public_length(group)
    assert ours.shared(grx + gry) == theirs.shared(gix + giy) == girx
