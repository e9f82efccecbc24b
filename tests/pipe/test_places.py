"""Where the server and its clients may be: behind NAT, behind a port forward, or in the open."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from ipsec.constants import IKE_PORT, NATT_PORT
from l2gate.configuration import Configuration, Proposals
from tests.support.client import ServerHost
from tests.support.lab import SERVER, Lab, assert_passes_traffic, configuration, up
from tests.support.native.profile import Profile
from tests.support.native.profiles import LIBRESWAN, PROFILES
from tests.support.simulation import ESP_PORT, Nat, Wire

INSIDE = "10.0.0.5"
PATIENCE = 16.0

behind_nat = pytest.mark.parametrize("behind_nat", [False, True], ids=["direct", "behind NAT"])
each_client = pytest.mark.parametrize("profile", PROFILES, ids=str)


def settings(force: bool = False, identity: IPv4Address | None = None) -> Configuration:
    found = configuration(proposals=Proposals.LEGACY)
    ipsec = replace(found.ipsec, force_encapsulation=force, identity=identity)
    return replace(found, ipsec=ipsec)


def lab_with(server: Configuration, nat: Nat | None = None) -> tuple[Lab, list[Wire]]:
    """Return a lab with another server, and a list that fills with what the server gets."""
    lab = Lab()
    lab.simulation.remove(lab.server)
    lab.server = ServerHost(server, lab.simulation.entropy())
    lab.simulation.add(lab.server, INSIDE if nat else SERVER, nat)
    arrived: list[Wire] = []
    receive = lab.server.receive

    def receive_and_note(packet: Wire, now: float) -> None:
        arrived.append(packet)
        receive(packet, now)

    lab.server.receive = receive_and_note  # type: ignore[method-assign]
    return lab, arrived


def log_in(lab: Lab, profile: Profile, behind_nat: bool) -> None:
    host, nat = ("192.168.77.11", Nat("198.51.100.1")) if behind_nat else ("198.51.100.7", None)
    client = lab.native(profile, "u1", host, nat)
    assert lab.run(PATIENCE, lambda: up(client)), (client.why, client.refusals)
    for number in range(5):
        assert_passes_traffic(lab, client, number)
        lab.run(1000)
    assert client.refusals == []
    client.hang_up(lab.simulation.now)
    lab.run(70)
    assert not lab.server.gateway.tables.addresses


@behind_nat
@pytest.mark.parametrize("ports", [(IKE_PORT, NATT_PORT), (IKE_PORT, NATT_PORT, ESP_PORT)])
@each_client
def test_the_server_is_behind_nat(
    profile: Profile, ports: tuple[int, ...], behind_nat: bool
) -> None:
    """Behind a forward of its two ports, or an address for itself alone (1:1): UDP all the same.

    The IDcr of the clients is then an address that the server does not have.
    """
    nat = Nat(SERVER)
    nat.forward(INSIDE, *ports)
    lab, arrived = lab_with(settings(identity=IPv4Address(SERVER)), nat)
    log_in(lab, profile, behind_nat)
    assert {packet.destination.port for packet in arrived} == {IKE_PORT, NATT_PORT}


@each_client
def test_forced_encapsulation(profile: Profile) -> None:
    """Without any NAT, for networks that drop protocol 50."""
    lab, arrived = lab_with(settings(force=True))
    log_in(lab, profile, behind_nat=False)
    assert {packet.destination.port for packet in arrived} == {IKE_PORT, NATT_PORT}


@each_client
def test_raw_esp_where_there_is_no_nat(profile: Profile) -> None:
    lab, arrived = lab_with(settings())
    log_in(lab, profile, behind_nat=False)
    assert {packet.destination.port for packet in arrived} == {IKE_PORT, ESP_PORT}


def test_libreswan_needs_the_public_address_as_identity() -> None:
    nat = Nat(SERVER)
    nat.forward(INSIDE, IKE_PORT, NATT_PORT)
    lab, _ = lab_with(settings(), nat)
    client = lab.native(LIBRESWAN)
    assert not lab.run(PATIENCE, lambda: up(client))
    assert "was not dialled" in client.refusals[0]
