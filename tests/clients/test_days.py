"""Each native client for a day and more: it renews in its own way, and nobody notices.

Every packet of the day is accounted for: it arrived, or the network lost it, or it came on an SA
that the client itself had deleted too early.
"""

from dataclasses import replace

import pytest

from ipsec.config import IkeConfig
from ipsec.constants import IKE_PORT, NATT_PORT, EncapsulationMode
from ipsec.message import NO_COOKIE, parse_message
from ipsec.peers import GRACE, MAX_PAIRS
from ipsec.proposals import SecurityAssociation
from ipsec.udpencap import strip_marker
from l2gate.forwarder import Drop
from tests.support import clients
from tests.support.client import ClientState
from tests.support.native.day import Day
from tests.support.native.profile import OldSas, Profile
from tests.support.native.profiles import (
    ANDROID_7,
    GROUP_PROFILES,
    LIBRESWAN,
    MACOS,
    MIKROTIK,
    PROFILES,
    STRONGSWAN,
    WINDOWS_7,
    WINDOWS_10,
)
from tests.support.offers import WINDOWS_ESP, esp_offer
from tests.support.simulation import Wire

HOURS = 26
ALL = PROFILES + GROUP_PROFILES
LONGEST = IkeConfig(lambda _: ()).ike_lifetime
"""Seconds that the server lets an ISAKMP SA live."""

TWO_ORDERS = (OldSas.DELETED_BEFORE, OldSas.DELETED_AFTER)


def assert_unharmed(day: Day, most_pairs: int = 3) -> None:
    client, server = day.client, day.lab.server
    assert client.state is ClientState.UP, client.why
    assert (client.refusals, client.strays) == ([], 0)
    assert day.words(client) == day.talk, "PPP and L2TP have noticed"
    assert day.new_lines() == []
    assert len(server.gateway.tables.addresses) == 1
    assert 1 <= len(server.noted("authenticated as")) <= day.logins, "INITIAL-CONTACT may be lost"
    assert server.gateway.forwarder.drops[Drop.NO_SA] == 0
    assert day.sent_up - day.came_up == day.lost(up=True)
    assert day.sent_down - day.came_down == day.lost(up=False) + day.late
    (peer,) = server.gateway.ike.snapshot().peers
    assert peer.isakmp_sas <= 2
    assert len(peer.pairs) <= most_pairs


def assert_renewed(day: Day, profile: Profile) -> None:
    """See that SAs were made as often as their lifetimes demand, and not much more often."""
    phase1, phase2 = profile.phase1, profile.phase2
    longest = min(phase1.lifetime, LONGEST + GRACE)
    least = (phase1.renewal or longest) - phase1.spread
    assert day.seconds / longest <= day.main_modes <= day.seconds / least + 2
    assert day.seconds / phase2.lifetime <= day.quick_modes
    assert day.quick_modes <= day.seconds / (phase2.renewal - phase2.spread) + day.logins + 1


def spend_a_day(profile: Profile, behind_nat: bool, old_sas: OldSas) -> None:
    """Android's racoon ends with its ISAKMP SA, and logs in again: that is no fault of ours [S]."""
    day = Day(profile, behind_nat, old_sas, loss=0.02)
    address = day.client.address
    day.run(HOURS)
    assert_unharmed(day)
    assert_renewed(day, profile)
    assert day.client.ike.answered == 0, "the server leaves it to who does it"
    assert day.logins == (4 if profile.phase1.vital else 1)
    assert day.client.address == address
    assert day.lost(up=True) > 20


@pytest.mark.parametrize("profile", ALL, ids=str)
def test_a_day_on_a_network_that_loses_packets(profile: Profile) -> None:
    """Every second one direct and in the one order, the others behind NAT and in the other."""
    behind_nat = bool(ALL.index(profile) % 2)
    spend_a_day(profile, behind_nat, TWO_ORDERS[behind_nat])


@pytest.mark.soak
@pytest.mark.parametrize("behind_nat", [False, True], ids=["direct", "behind NAT"])
@pytest.mark.parametrize("old_sas", OldSas, ids=lambda old: old.name)
@pytest.mark.parametrize("profile", ALL, ids=str)
def test_a_day_in_each_order(profile: Profile, old_sas: OldSas, behind_nat: bool) -> None:
    spend_a_day(profile, behind_nat, old_sas)


@pytest.mark.parametrize(
    ("behind_nat", "old_sas"),
    [(True, OldSas.DELETED_BEFORE), (False, OldSas.DELETED_AFTER), (True, OldSas.FORGOTTEN)],
)
@pytest.mark.parametrize(
    "profile", [WINDOWS_10, MACOS, ANDROID_7, STRONGSWAN, LIBRESWAN, MIKROTIK], ids=str
)
def test_nothing_is_lost_by_renewals(profile: Profile, behind_nat: bool, old_sas: OldSas) -> None:
    """The other orders, for as long as two SAs of phase 2 live, on a network that loses nothing."""
    day = Day(profile, behind_nat, old_sas, loss=0.0)
    day.run(min(2 * profile.phase2.lifetime / 3600 + 0.5, 7.9))
    assert_unharmed(day)
    assert_renewed(day, profile)
    assert day.sent_up == day.came_up


def few_kilobytes(mode: EncapsulationMode, spi: bytes) -> SecurityAssociation:
    layout = WINDOWS_ESP._replace(kilobytes=100)
    return esp_offer(clients.WINDOWS_ESP_SUITES[:3], layout, mode, spi, apart=True)


@pytest.mark.parametrize("old_sas", OldSas, ids=lambda old: old.name)
def test_windows_renews_by_kilobytes(old_sas: OldSas) -> None:
    """250 MB [L], which a download carries in minutes; here 100 KB, of which 80 are used."""
    phase2 = replace(WINDOWS_10.phase2, offer=few_kilobytes, kilobytes=80)
    day = Day(replace(WINDOWS_10, phase2=phase2), True, old_sas, loss=0.0)
    for _ in range(2400):
        day.ping()
        day.lab.run(0.25)
    day.lab.run(1)
    day.count()
    assert_unharmed(day, MAX_PAIRS)
    assert day.quick_modes == pytest.approx(2400 * 760 / 80_000, abs=3)


def begins_phase_1(packet: Wire) -> bool:
    """Say whether a packet is message 1 of Main Mode."""
    message = strip_marker(packet.data, packet.destination.port)
    if packet.destination.port not in (IKE_PORT, NATT_PORT) or message is None:
        return False
    return parse_message(message)[0].cookies.responder == NO_COOKIE


def test_macos_renews_phase_1_on_port_500_when_4500_gets_no_answer() -> None:
    """Three times from 4500, then from 500 [S]: every second renewal has to."""
    day = Day(MACOS, True, OldSas.DELETED_AFTER, loss=0.0)
    ports: list[int] = []

    def blocks(packet: Wire) -> bool:
        if not begins_phase_1(packet):
            return False
        ports.append(packet.destination.port)
        return ports[-1] == NATT_PORT and day.client.ike.main_modes % 2 == 0

    day.lab.simulation.blocks = blocks
    day.run(4)
    assert_unharmed(day)
    assert ports == (3 * [4500, 4500, 4500, 4500, 500])[: len(ports)]
    assert ports.count(500) == 2
    assert day.client.ike.path.local.port == NATT_PORT


@pytest.mark.parametrize("profile", [WINDOWS_7, MACOS, MIKROTIK], ids=str)
def test_the_server_deletes_the_isakmp_sa(profile: Profile) -> None:
    """macOS makes another at once, Windows and others when phase 2 has need of it."""
    day = Day(profile, True, OldSas.DELETED_AFTER, loss=0.0)
    for _ in range(3):
        (peer,) = day.lab.server.gateway.ike._peers.by_id.values()
        for sa in peer.isakmp_sas:
            day.lab.server.gateway.ike._peers.delete_isakmp_sa(sa)
        day.run(1.1)
    assert_unharmed(day)
    assert day.client.ike.main_modes >= 4
    assert day.sent_up == day.came_up
