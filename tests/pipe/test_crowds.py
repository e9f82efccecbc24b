"""Fifty native clients behind one address, all with the same private address, identity and port.

What befalls one of them costs the others not one packet.
"""

import pytest

from ipsec.constants import L2TP_PORT, NATT_PORT
from ipsec.path import Address
from ipsec.udpencap import Kind, classify
from tests.support.client import ClientState
from tests.support.lab import SERVER, Lab, assert_passes_traffic, up
from tests.support.native.client import NativeClient
from tests.support.native.crowd import PATIENCE, PRIVATE, PUBLIC, Crowd
from tests.support.native.profile import Contact, Profile
from tests.support.native.profiles import ANDROID_10, MACOS, MIKROTIK, WINDOWS_10
from tests.support.simulation import Nat, Wire

ELSEWHERE = Address("192.0.2.66", 4500)


def test_they_have_all_in_common_but_their_ports_outside() -> None:
    crowd = Crowd(WINDOWS_10)
    records = [crowd.record(client) for client in crowd.clients]
    assert {record.port for record in records} == {L2TP_PORT}
    assert {record.peer.path.peer.host for record in records} == {PUBLIC}
    assert len({record.peer.path.peer.port for record in records}) == 50
    names = {peer.identity.split("/")[0] for peer in crowd.lab.server.gateway.peers}
    assert names == {PRIVATE}
    assert len({client.address for client in crowd.clients}) == 50
    crowd.talk(10)


@pytest.mark.parametrize(
    ("profile", "new_ports", "size"),
    [(WINDOWS_10, True, 50), (MACOS, False, 50), (MIKROTIK, True, 50), (WINDOWS_10, False, 8)],
    ids=str,
)
def test_one_reboots_without_a_word(profile: Profile, new_ports: bool, size: int) -> None:
    """It says INITIAL-CONTACT or not, and is back at once, with its address."""
    crowd = Crowd(profile, size)
    lab, before = crowd.lab, crowd.clients[0]
    lab.run(10)
    lab.simulation.remove(before)
    if new_ports:
        crowd.carrier.forget(crowd.homes[0].public)
    crowd.talk(5, but=(before,))
    crowd.clients[0] = crowd.come(0, profile)
    assert lab.run(PATIENCE, lambda: up(crowd.clients[0])), crowd.clients[0].why
    assert crowd.clients[0].address == before.address
    crowd.talk(10)
    assert len(lab.server.gateway.tables.addresses) == size
    assert not [client.refusals for client in crowd.clients if client.refusals]


@pytest.mark.parametrize("profile", [WINDOWS_10, MACOS, MIKROTIK], ids=str)
def test_nothing_is_left_of_a_life_before_a_reboot(profile: Profile) -> None:
    crowd = Crowd(profile, size=4)
    lab = crowd.lab
    for _ in range(3):
        lab.run(10)
        lab.simulation.remove(crowd.clients[0])
        crowd.carrier.forget(crowd.homes[0].public)
        crowd.clients[0] = crowd.come(0, profile)
        assert lab.run(PATIENCE, lambda: up(crowd.clients[0]))
    lab.run(300)
    crowd.talk(5)
    gateway = lab.server.gateway
    assert [len(gateway.peers), len(gateway.calls), len(gateway.tables.sas)] == [4, 4, 4]
    assert len(gateway.lns.snapshot().tunnels) == 4


def test_the_clients_that_reboot_say_initial_contact_in_each_way() -> None:
    contacts = [profile.phase1.contact for profile in (WINDOWS_10, MACOS, MIKROTIK)]
    assert contacts == list(Contact)


def test_one_hangs_up() -> None:
    crowd = Crowd(ANDROID_10)
    lab, gone = crowd.lab, crowd.clients[0]
    gone.hang_up(lab.simulation.now)
    crowd.talk(10, but=(gone,))
    lab.run(60)
    assert gone.state is ClientState.CLOSED
    assert len(lab.server.gateway.tables.addresses) == 49


def assert_followed(crowd: Crowd, client: NativeClient, host: str) -> None:
    """See that a keepalive from the new place moves nothing, and that a packet does."""
    lab, record = crowd.lab, crowd.record(client)
    before = record.peer.path
    arrived = watch(lab)
    lab.run(21)
    keepalives = [packet for packet in arrived if len(packet.data) == 1]
    places = {packet.source for packet in keepalives}
    assert len(places) == 50
    assert before.peer not in places
    assert record.peer.path == before, "a keepalive proves nothing"
    assert_passes_traffic_later(lab, client)
    assert record.peer.path.peer.host == host
    assert record.peer.path.peer != before.peer
    crowd.talk(5)


def assert_passes_traffic_later(lab: Lab, client: NativeClient) -> None:
    """Let the client speak first: the server cannot know where it is."""
    client.send(bytes.fromhex("4500001400000000400000000000000000000000"))
    lab.run(1)
    assert_passes_traffic(lab, client)


def watch(lab: Lab) -> list[Wire]:
    """Return a list that fills with what arrives at the server from now on."""
    arrived: list[Wire] = []
    receive = lab.server.receive

    def receive_and_note(packet: Wire, now: float) -> None:
        arrived.append(packet)
        receive(packet, now)

    lab.server.receive = receive_and_note  # type: ignore[method-assign]
    return arrived


def test_the_port_of_one_changes() -> None:
    crowd = Crowd(WINDOWS_10)
    crowd.carrier.forget(crowd.homes[0].public)
    assert_followed(crowd, crowd.clients[0], PUBLIC)


def test_the_address_of_one_changes() -> None:
    """As a phone's that leaves the house. What comes for the old place reaches nobody."""
    crowd = Crowd(WINDOWS_10)
    mobile = Nat("203.0.113.77", first_port=20000)
    crowd.lab.simulation.move(crowd.clients[0], PRIVATE, mobile)
    assert_followed(crowd, crowd.clients[0], "203.0.113.77")


@pytest.mark.parametrize("what", [Kind.ESP, Kind.IKE])
def test_what_is_replayed_or_forged_from_elsewhere_moves_nobody(what: Kind) -> None:
    """An observer has seen all, and sends it again, changed and as it was."""
    crowd = Crowd(MACOS)
    lab = crowd.lab
    arrived = watch(lab)
    again = crowd.come(0, MACOS)
    assert lab.run(PATIENCE, lambda: up(again))
    crowd.clients[0] = again
    lab.run(2)
    crowd.talk(2)
    seen = [
        packet.data
        for packet in arrived
        if packet.destination.port == NATT_PORT and classify(packet.data, NATT_PORT) is what
    ]
    assert len(seen) >= 3
    before = [crowd.record(client).peer.path for client in crowd.clients]
    logs = len(lab.server.log)
    for data in seen:
        for octets in (data, data[:-1] + bytes([data[-1] ^ 1]), data[:40] + bytes(len(data) - 40)):
            packet = Wire(ELSEWHERE, Address(SERVER, NATT_PORT), octets)
            lab.server.receive(packet, lab.simulation.now)
    lab.run(1)
    assert [crowd.record(client).peer.path for client in crowd.clients] == before
    assert not [line for line in lab.server.log[logs:] if line.peer.startswith(ELSEWHERE.host)]
    crowd.talk(5)


def test_the_same_private_address_behind_two_nats() -> None:
    lab = Lab()
    clients = [
        lab.native(MACOS, f"u{number}", PRIVATE, Nat(f"198.51.100.{number}", keep_ports=True))
        for number in range(1, 4)
    ]
    assert lab.run(PATIENCE, lambda: up(*clients))
    for client in clients:
        assert_passes_traffic(lab, client)
    clients[0].hang_up(lab.simulation.now)
    lab.run(10)
    for client in clients[1:]:
        assert_passes_traffic(lab, client)
