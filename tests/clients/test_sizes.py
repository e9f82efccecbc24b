"""The simulators send what was logged: sizes and octets. Numbers without a remark are logged."""

from dataclasses import replace

import pytest

from ipsec.constants import ProtocolId
from l2gate.configuration import Proposals
from tests.support import clients
from tests.support.lab import Lab, up
from tests.support.native.client import NativeClient
from tests.support.native.profile import Profile, Step
from tests.support.native.profiles import (
    MACOS,
    MACOS_OLD,
    PROFILES,
    STRONGSWAN,
    WINDOWS_7,
    WINDOWS_10,
)
from tests.support.simulation import Nat


def session(profile: Profile, nat: Nat | None = None, host_name: str = "laptop") -> NativeClient:
    """Return a client after its login and its deletes.

    It sends them without a word of PPP before, because our server, told by PPP, deletes first.
    """
    lab = Lab(proposals=Proposals.LEGACY)
    host = "192.168.77.11" if nat else "198.51.100.7"
    client = lab.native(profile, nat=nat, host=host, host_name=host_name)
    assert lab.run(16, lambda: up(client)), client.refusals
    client.ike.delete(ProtocolId.ESP)
    client.ike.delete(ProtocolId.ISAKMP)
    lab.run(1)
    assert not len(lab.server.gateway.peers)
    return client


@pytest.mark.parametrize("profile", [WINDOWS_10, WINDOWS_7], ids=str)
def test_windows(profile: Profile) -> None:
    assert session(profile).ike.sizes == [408, 228, 76, 316, 60, 76, 92]
    assert session(profile, Nat("198.51.100.1")).ike.sizes == [408, 228, 76, 444, 60, 76, 92]


@pytest.mark.parametrize(("first", "size"), [(0, 228), (1, 196), (2, 388), (3, 388), (4, 260)])
def test_message_3_of_windows_for_each_group(first: int, size: int) -> None:
    """228 is logged, the others are computed."""
    offer = clients.windows_offer(clients.WINDOWS_10[first:])
    profile = replace(WINDOWS_10, phase1=replace(WINDOWS_10.phase1, offer=offer))
    assert session(profile).ike.sizes[1] == size


def test_sccrq_of_windows() -> None:
    (sccrq, *_) = session(WINDOWS_10, host_name="RWB-LAPTOP-DELL").lac.sent
    assert len(sccrq) == 108


@pytest.mark.parametrize(("profile", "size"), [(MACOS, 788), (MACOS_OLD, 500)], ids=str)
def test_message_1_of_macos(profile: Profile, size: int) -> None:
    """Computed from the source, and of the size that is known for it."""
    assert session(profile).ike.sizes[0] == size


def test_strongswan() -> None:
    """Message 3 with ECP-384 is logged; all after it is as recorded with strongSwan 5.9.8."""
    assert session(STRONGSWAN).ike.sizes[1:] == [212, 76, 220, 60, 76, 92]
    behind_nat = session(STRONGSWAN, Nat("198.51.100.1"))
    assert behind_nat.ike.sizes[1:] == [212, 76, 252, 60, 76, 92]


def test_messages_of_xl2tpd() -> None:
    """The first as another logged it, octet for octet; those after it as recorded."""
    client = session(STRONGSWAN, host_name="M2M")
    sccrq, scccn, icrq, iccn, *_ = client.lac.sent
    tunnel, session_id = (number.to_bytes(2).hex() for number in (client.lac.tunnel_id, 0))
    assert sccrq.hex(" ", 2) == bytes.fromhex(
        "C8020064 00000000 00000000 8008 0000 0000 0001 8008 0000 0002 0100"
        "800A 0000 0003 00000003 800A 0000 0004 00000000 0008 0000 0006 0690"
        f"8009 0000 0007 4D324D 0013 0000 0008 {b'xelerance.com'.hex()}"
        f"8008 0000 0009 {tunnel} 8008 0000 000A 0008"
    ).hex(" ", 2)
    assert [len(message) for message in (scccn, icrq, iccn)] == [20, 48, 50]
    assert scccn[6:12].hex() == f"{session_id}00010001"


def test_every_profile_says_how_it_hangs_up() -> None:
    assert all(Step.TERMINATE in profile.hang_up for profile in PROFILES)
    assert len({profile.name for profile in PROFILES}) == len(PROFILES)
