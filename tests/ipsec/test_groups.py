"""Key agreement with any group, and what a peer may not send; vectors are in tests/vectors."""

from itertools import count

import pytest

from ipsec.constants import GroupDescription
from ipsec.groups import SUPPORTED_GROUPS, InvalidKey, KeyAgreement, public_length
from wire import LocalError

GROUPS = sorted(SUPPORTED_GROUPS)
ECP = [group for group in GROUPS if group.name.startswith("ECP")]
numbers = count(1)


def entropy(length: int) -> bytes:
    return (next(numbers) * 2**40 + 12345).to_bytes(length)


def test_the_groups_that_clients_offer() -> None:
    assert {int(group) for group in GROUPS} == {2, 5, 14, 15, 16, 19, 20, 21}


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_both_sides_agree(group: GroupDescription) -> None:
    ours = KeyAgreement.generate(group, entropy)
    theirs = KeyAgreement.generate(group, entropy)
    assert ours.public != theirs.public
    assert len(ours.public) == len(theirs.public) == public_length(group)
    shared = ours.shared(theirs.public)
    assert shared == theirs.shared(ours.public)
    assert len(shared) == public_length(group) // (2 if group in ECP else 1)


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_the_key_comes_from_the_entropy_alone(group: GroupDescription) -> None:
    def fixed(length: int) -> bytes:
        return bytes(range(length))

    first, second = (KeyAgreement.generate(group, fixed) for _ in range(2))
    assert first.public == second.public


@pytest.mark.parametrize("group", GROUPS, ids=str)
def test_wrong_lengths(group: GroupDescription) -> None:
    agreement = KeyAgreement.generate(group, entropy)
    public = KeyAgreement.generate(group, entropy).public
    for wrong in (b"", public[:-1], b"\0" + public, public + b"\0", public + public):
        with pytest.raises(InvalidKey):
            agreement.shared(wrong)


@pytest.mark.parametrize("group", ECP, ids=str)
def test_points_that_are_not_on_the_curve(group: GroupDescription) -> None:
    agreement = KeyAgreement.generate(group, entropy)
    public = KeyAgreement.generate(group, entropy).public
    half = len(public) // 2
    infinity = bytes(len(public))
    beyond_the_field = b"\xff" * len(public)
    moved = public[:-1] + bytes([public[-1] ^ 1])
    for wrong in (infinity, beyond_the_field, moved, public[half:] + public[:half]):
        with pytest.raises(InvalidKey):
            agreement.shared(wrong)


@pytest.mark.parametrize("group", [1, 17, 22, 24, 31, 65535])
def test_other_groups(group: int) -> None:
    with pytest.raises(LocalError):
        KeyAgreement.generate(GroupDescription(group), entropy)
    with pytest.raises(LocalError):
        public_length(GroupDescription(group))
