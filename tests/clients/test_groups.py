"""Native clients whose user has typed a group name: they use Aggressive Mode."""

from dataclasses import replace

import pytest

from ipsec.constants import IKE_PORT, NATT_PORT, IdType
from l2gate.configuration import Proposals
from tests.support.client import ClientState
from tests.support.lab import PSK, Lab, assert_passes_traffic, up
from tests.support.native.client import NativeClient
from tests.support.native.groups import admit, key_of
from tests.support.native.profile import Profile
from tests.support.native.profiles import ANDROID_GROUP, GROUP_PROFILES, MACOS, MACOS_GROUP
from tests.support.simulation import Link, Nat

PATIENCE = 16.0

profiles = pytest.mark.parametrize("profile", GROUP_PROFILES, ids=str)


def lab_with(*groups: str, link: Link | None = None, seed: int = 1) -> Lab:
    """Return a lab whose server was told of groups by a reload."""
    lab = Lab(seed, link, Proposals.LEGACY)
    admit(lab, *groups)
    return lab


def native(lab: Lab, profile: Profile, *place: object, **settings: object) -> NativeClient:
    return lab.native(profile, *place, **{"psk": key_of(profile), **settings})  # type: ignore[arg-type]


def on(link: Link | None = None, seed: int = 1) -> Lab:
    return lab_with("branch", "branch.example.com", link=link, seed=seed)


def causes(lab: Lab) -> list[tuple[str, str, str, int | None]]:
    return [(a.stage, a.why, a.mend, a.windows) for a in lab.server.gateway.attempts]


@pytest.mark.parametrize("nat", [None, Nat("198.51.100.1")], ids=["direct", "behind NAT"])
@profiles
def test_login_traffic_and_hanging_up(profile: Profile, nat: Nat | None) -> None:
    lab = on()
    host = "192.168.77.11" if nat else "198.51.100.7"
    client = native(lab, profile, "u1@sales.example.com", host, nat)
    assert lab.run(PATIENCE, lambda: up(client)), (client.why, client.refusals)
    assert_passes_traffic(lab, client)
    assert client.ike.main.path.local.port == (NATT_PORT if nat else IKE_PORT)
    (attempt,) = lab.server.gateway.attempts
    assert profile.phase1.group is not None
    assert attempt.key == f"psk of group {profile.phase1.group[1].decode()}"
    assert attempt.identity.startswith(profile.phase1.group[1].decode())
    client.hang_up(lab.simulation.now)
    lab.run(70)
    assert not len(lab.server.gateway.peers)
    assert (client.refusals, client.strays) == ([], 0)


@profiles
def test_logins_over_a_bad_network(profile: Profile) -> None:
    """Message 3 has no answer; that it is lost shows when Quick Mode begins."""
    link = Link(delay=0.02, jitter=0.05, loss=0.1, duplication=0.05)
    for seed in range(6):
        lab = on(link, seed)
        nat = Nat("198.51.100.1") if seed % 2 else None
        client = native(lab, profile, "u1", "192.168.77.11" if nat else "198.51.100.7", nat)
        assert lab.run(90, lambda client=client: up(client)), (seed, client.why, client.refusals)  # type: ignore[misc]


@profiles
def test_a_lost_message_3_is_sent_again(profile: Profile) -> None:
    lab, lost = on(), []
    client = native(lab, profile)

    def is_third(data: bytes) -> bool:
        return data[18:19] == b"\4" and any(data[8:16]) and not lost

    lab.simulation.blocks = lambda packet: (
        packet.destination.port == IKE_PORT
        and packet.source.host == "198.51.100.7"
        and is_third(packet.data)
        and (lost.append(packet) or True)
    )
    assert lab.run(PATIENCE, lambda: up(client)), (client.why, client.refusals)
    assert lost


def test_all_of_a_group_behind_one_nat() -> None:
    """One key, one name, and yet each is a client of its own."""
    lab, nat = on(), Nat("198.51.100.1")
    clients = [
        native(lab, profile, f"u{n}", f"192.168.1.{n + 2}", nat, f"host-{n}")
        for n, profile in enumerate(GROUP_PROFILES * 3)
    ]
    assert lab.run(PATIENCE, lambda: up(*clients))
    assert len({client.address for client in clients}) == len(clients)
    for number, client in enumerate(clients):
        assert_passes_traffic(lab, client, number)


def test_phase_1_is_renewed_by_aggressive_mode() -> None:
    lab = on()
    client = native(lab, MACOS_GROUP)
    assert lab.run(PATIENCE, lambda: up(client))
    cookies = client.ike.main.cookies
    lab.run(3500)
    assert up(client)
    assert client.ike.main.cookies != cookies
    assert len(lab.server.gateway.peers) == 1
    assert_passes_traffic(lab, client)


@profiles
def test_a_device_that_lost_power_is_back_at_once(profile: Profile) -> None:
    lab = on()
    client = native(lab, profile, "u1")
    assert lab.run(PATIENCE, lambda: up(client))
    lab.simulation.remove(client)
    again = native(lab, profile, "u1")
    assert lab.run(PATIENCE, lambda: up(again)), again.refusals
    assert again.address == client.address


@profiles
def test_it_is_refused_where_it_is_off(profile: Profile) -> None:
    lab = lab_with()
    client = native(lab, profile)
    lab.run(60)
    assert client.state is ClientState.FAILED
    ((stage, why, mend, windows),) = causes(lab)
    assert stage == "aggressive mode"
    assert why == "aggressive mode failed: the client asks for it, and it is off"
    assert mend.startswith("leave the group name (IPsec identifier) empty on the client")
    assert windows is None
    assert len(lab.server.log) == 1, "one line, however often it is tried"


@profiles
def test_another_group_is_refused(profile: Profile) -> None:
    lab = lab_with("staff")
    client = native(lab, profile)
    lab.run(60)
    assert client.state is ClientState.FAILED
    ((_, why, _, _),) = causes(lab)
    assert why.startswith("aggressive mode failed: no group is called 'branch")


@profiles
@pytest.mark.parametrize("psk", [PSK, b"what nobody has"], ids=["the common key", "another"])
def test_another_key_is_refused(profile: Profile, psk: bytes) -> None:
    lab = on()
    client = native(lab, profile, psk=psk)
    lab.run(120)
    assert client.state is ClientState.FAILED
    assert "Refusal: HASH_R is wrong" in client.refusals
    ((_, why, mend, _),) = causes(lab)
    assert why == "aggressive mode failed: message 3 never came"
    assert mend.startswith("is the key of this group on the client?")


def test_who_has_a_group_name_may_still_use_main_mode_without_it() -> None:
    lab = on()
    client = lab.native(MACOS)
    assert lab.run(PATIENCE, lambda: up(client))


@pytest.mark.parametrize("kind", [IdType.KEY_ID, IdType.USER_FQDN])
def test_other_identifiers_of_android(kind: IdType) -> None:
    phase1 = replace(ANDROID_GROUP.phase1, group=(kind, b"branch"))
    lab = on()
    client = native(lab, replace(ANDROID_GROUP, phase1=phase1))
    assert lab.run(PATIENCE, lambda: up(client)), client.refusals
