"""Each native client from its first message to its last, direct and behind NAT."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from ipsec.constants import IKE_PORT, NATT_PORT
from l2gate.configuration import Proposals
from ppp.constants import Code
from tests.support.client import ClientState
from tests.support.lab import Lab, assert_passes_traffic, up
from tests.support.native.client import NativeClient
from tests.support.native.initiator import OLD_PAIR
from tests.support.native.ppp import refused
from tests.support.native.profile import Profile
from tests.support.native.profiles import (
    ANDROID_7,
    ANDROID_10,
    CHROMEOS,
    LIBRESWAN,
    MACOS,
    MACOS_10_12,
    MACOS_OLD,
    MIKROTIK,
    PROFILES,
    STRONGSWAN,
    WINDOWS_7,
    WINDOWS_10,
    WINDOWS_XP,
    mikrotik_phase2,
)
from tests.support.simulation import Link, Nat

PATIENCE = 16.0
"""Seconds in which NetworkManager wants all to be done [S]; no other client is in more haste."""

direct_and_behind_nat = pytest.mark.parametrize(
    "behind_nat", [False, True], ids=["direct", "behind NAT"]
)


def lab_for(profile: Profile, link: Link | None = None, seed: int = 1) -> Lab:
    proposals = Proposals.LEGACY if profile.legacy else Proposals.DEFAULT
    return Lab(seed, link, proposals)


def assert_forgotten(lab: Lab) -> None:
    gateway = lab.server.gateway
    assert not len(gateway.calls)
    assert not len(gateway.peers)
    assert not gateway.tables.addresses
    assert not gateway.tables.sessions
    assert not gateway.tables.sas
    assert not gateway.lns.snapshot().tunnels


def place(behind_nat: bool) -> tuple[str, Nat | None]:
    """Return the address of a client, and the NAT in front of it."""
    return ("192.168.77.11", Nat("198.51.100.1")) if behind_nat else ("198.51.100.7", None)


def logged_in(lab: Lab, *clients: NativeClient) -> bool:
    found = lab.run(PATIENCE, lambda: up(*clients))
    assert found, [(c.profile.name, c.state, c.why, c.refusals) for c in clients if not up(c)]
    return found


@direct_and_behind_nat
@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_login_traffic_and_hanging_up(profile: Profile, behind_nat: bool) -> None:
    lab, (host, nat) = lab_for(profile), place(behind_nat)
    client = lab.native(profile, "u1@sales.example.com", host, nat)
    assert logged_in(lab, client)
    assert client.address == IPv4Address("172.16.1.2")
    assert [str(address) for address in client.dns] == ["192.168.1.53", "192.168.1.54"]
    asked = {protocol for protocol, _ in profile.ppp.before + profile.ppp.after}
    lab.run(1)
    assert refused(client.ppp) == asked, "what is not served is rejected, and not ignored"
    for number in range(3):
        assert_passes_traffic(lab, client, number)
    record = lab.server.gateway.tables.addresses[int(client.address)]
    assert record.port == client.port
    assert record.peer.encapsulated is behind_nat
    assert client.ike.main.path.local.port == (NATT_PORT if behind_nat else IKE_PORT)
    client.hang_up(lab.simulation.now)
    lab.run(0.3)
    assert not lab.server.gateway.tables.addresses, "the address is free at once"
    lab.run(70)
    assert client.ppp.terminated
    assert_forgotten(lab)
    assert (client.refusals, client.strays) == ([], 0)


@pytest.mark.parametrize(
    ("profile", "phase1", "phase2"),
    [
        (WINDOWS_10, "AES_CBC-256/SHA1/ECP_384", "AES_CBC-256/HMAC_SHA1"),
        (WINDOWS_7, "AES_CBC-256/SHA1/ECP_384", "AES_CBC-256/HMAC_SHA1"),
        (WINDOWS_XP, "TRIPLE_DES_CBC/SHA1/MODP_2048", "TRIPLE_DES/HMAC_SHA1"),
        (MACOS, "AES_CBC-256/SHA2_256/MODP_2048", "AES_CBC-256/HMAC_SHA2_256"),
        (MACOS_10_12, "AES_CBC-256/SHA2_256/MODP_2048", "AES_CBC-256/HMAC_SHA1"),
        (MACOS_OLD, "AES_CBC-256/SHA1/MODP_1024", "AES_CBC-256/HMAC_SHA1"),
        (ANDROID_10, "AES_CBC-256/SHA2_256/MODP_1024", "AES_CBC-256/HMAC_SHA2_256"),
        (ANDROID_7, "AES_CBC-256/SHA2_256/MODP_1024", "AES_CBC-256/HMAC_SHA2_256"),
        (CHROMEOS, "AES_CBC-128/SHA1/MODP_2048", "AES_GCM_16-128"),
        (STRONGSWAN, "AES_CBC-256/SHA1/ECP_384", "AES_CBC-256/HMAC_SHA1"),
        (LIBRESWAN, "AES_CBC-256/SHA1/ECP_384", "AES_CBC-256/HMAC_SHA1"),
        (MIKROTIK, "AES_CBC-128/SHA1/MODP_2048", "AES_CBC-256/HMAC_SHA1"),
    ],
    ids=str,
)
def test_what_is_agreed_on(profile: Profile, phase1: str, phase2: str) -> None:
    """HMAC-SHA2-256 in ESP where it is offered, also by Android, which truncates it to 96 bits."""
    lab = lab_for(profile)
    client = lab.native(profile)
    assert logged_in(lab, client)
    (peer,) = lab.server.gateway.peers
    assert str(client.ike.main.suite) == phase1
    assert peer.algorithms == phase2
    outbound = peer.record.outbound
    assert outbound is not None
    draft = profile.phase2.draft_icv
    assert outbound.icv_length == outbound.algorithms.icv_lengths[-1 if draft else 0]


@pytest.mark.parametrize("profile", [p for p in PROFILES if p.legacy], ids=str)
def test_a_client_that_can_do_no_more_is_refused_with_a_hint(profile: Profile) -> None:
    lab = Lab()
    client = lab.native(profile)
    assert not lab.run(PATIENCE, lambda: up(client))
    assert client.state is not ClientState.UP
    (line, *_) = [line for line in lab.server.log if line.trouble]
    wanted = "perfect forward secrecy must be off" if profile is MIKROTIK else "'legacy' would"
    assert wanted in str(line)
    lab.run(90)
    assert_forgotten(lab)


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_strict_proposals_are_for_few(profile: Profile) -> None:
    lab = Lab(proposals=Proposals.STRICT)
    client = lab.native(profile)
    assert lab.run(PATIENCE, lambda: up(client)) is (profile in (MACOS, CHROMEOS))


def test_mikrotik_with_a_better_group_needs_no_legacy_proposals() -> None:
    lab = Lab()
    client = lab.native(replace(MIKROTIK, phase2=mikrotik_phase2(group=14)))
    assert logged_in(lab, client)
    assert_passes_traffic(lab, client)


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_logins_over_a_bad_network(profile: Profile) -> None:
    """One packet of ten is lost, some come twice or late: all of it is asked for again."""
    link = Link(delay=0.02, jitter=0.05, loss=0.1, duplication=0.05)
    for seed in range(6):
        lab, (host, nat) = lab_for(profile, link, seed), place(behind_nat=bool(seed % 2))
        client = lab.native(profile, "u1", host, nat)
        assert lab.run(90, lambda client=client: up(client)), (seed, client.why, client.refusals)  # type: ignore[misc]


def test_all_of_them_at_once_behind_one_nat() -> None:
    """Those with Windows' port, tunnel id and session id among them, and two of each."""
    lab = Lab(proposals=Proposals.LEGACY)
    nat = Nat("198.51.100.1")
    clients = [
        lab.native(profile, f"u{number}", f"192.168.1.{number + 2}", nat, f"host-{number}")
        for number, profile in enumerate(PROFILES * 2)
    ]
    assert logged_in(lab, *clients)
    assert len({client.address for client in clients}) == len(clients)
    for number, client in enumerate(clients):
        assert_passes_traffic(lab, client, number)
    for client in clients[::2]:
        client.hang_up(lab.simulation.now)
    lab.run(130)
    assert up(*clients[1::2])
    assert len(lab.server.gateway.tables.addresses) == len(clients) // 2
    for number, client in enumerate(clients[1::2]):
        assert_passes_traffic(lab, client, number)
    assert [client.refusals for client in clients] == [[]] * len(clients)


@direct_and_behind_nat
@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_who_does_not_heed_our_lifetime_has_its_keys_renewed(
    profile: Profile, behind_nat: bool
) -> None:
    """Ours is 20 minutes; racoon ignores RESPONDER-LIFETIME [S], and some never renew."""
    lab, (host, nat) = lab_for(profile), place(behind_nat)
    context = lab.server.gateway.ike._context
    context.config = replace(context.config, esp_lifetime=1200)
    client = lab.native(profile, "u1", host, nat)
    assert logged_in(lab, client)
    first = client.ike.pairs[0]
    for number in range(23):
        lab.run(120)
        assert_passes_traffic(lab, client, number)
    lab.run(OLD_PAIR + 10)
    assert up(client)
    assert first not in client.ike.pairs
    assert len(client.ike.pairs) == 1
    assert len(lab.server.noted("SA established")) >= 3
    assert client.ike.answered >= 2
    assert client.ike.pairs[0].algorithms == first.algorithms
    assert client.refusals == []


@direct_and_behind_nat
@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_a_device_that_lost_power_is_back_at_once(profile: Profile, behind_nat: bool) -> None:
    lab, (host, nat) = lab_for(profile), place(behind_nat)
    client = lab.native(profile, "u1", host, nat)
    assert logged_in(lab, client)
    lab.run(60)
    lab.simulation.remove(client)
    again = lab.native(profile, "u1", host, nat)
    assert logged_in(lab, again)
    assert again.address == client.address
    lab.run(300)
    assert_passes_traffic(lab, again)
    assert len(lab.server.gateway.tables.addresses) == 1
    assert again.refusals == []


@pytest.mark.parametrize("profile", PROFILES, ids=str)
def test_the_server_hangs_up(profile: Profile) -> None:
    lab = lab_for(profile)
    client = lab.native(profile)
    assert logged_in(lab, client)
    lab.server.gateway.disconnect(list(lab.server.gateway.calls), lab.simulation.now)
    lab.run(70)
    assert client.state is ClientState.CLOSED
    assert client.why == "the server ended the link"
    assert_forgotten(lab)
    assert client.refusals == []


@pytest.mark.parametrize("profile", [ANDROID_7, ANDROID_10], ids=str)
def test_android_hangs_up_after_half_an_hour_of_silence(profile: Profile) -> None:
    lab = lab_for(profile)
    client = lab.native(profile)
    assert logged_in(lab, client)
    lab.run(1000)
    assert_passes_traffic(lab, client)
    lab.run(1700)
    assert up(client), "our probes and keepalives are no traffic, but the last packet was"
    lab.run(200)
    assert client.state is ClientState.CLOSED
    assert client.why == "idle"
    assert_forgotten(lab)


def test_windows_numbers_its_packets_with_one_counter() -> None:
    """In the order of the logs: LCP 0 and 1, three Identifications, IPV6CP 5, CCP 6, IPCP 7."""
    lab = Lab()
    client = lab.native(WINDOWS_10)
    assert logged_in(lab, client)
    client.hang_up(lab.simulation.now)
    lab.run(1)
    own = (Code.CONFIGURE_REQUEST, Code.IDENTIFICATION, Code.TERMINATE_REQUEST)
    lcp, ipcp, ipv6cp, ccp = 0xC021, 0x8021, 0x8057, 0x80FD
    assert [entry for entry in client.ppp.log if entry[0] != 0xC223 and entry[1] in own] == [
        (lcp, 1, 0),
        (lcp, 1, 1),
        (lcp, 12, 2),
        (lcp, 12, 3),
        (lcp, 12, 4),
        (ipv6cp, 1, 5),
        (ccp, 1, 6),
        (ipcp, 1, 7),
        (ipcp, 1, 8),
        (ipcp, 1, 9),
        (lcp, 5, 10),
    ]
