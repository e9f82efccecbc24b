"""RFC 3193 section 3.3 and what else keeps clients apart, over the whole stack."""

from scapy.layers.inet import ICMP, IP

from l2gate.forwarder import Drop
from l2tp.constants import StopResult
from l2tp.shared import DropReason
from tests.support.client import L2TP_PORT, ClientHost, ClientState
from tests.support.lab import SERVER, Lab
from tests.support.simulation import Address, Nat, Wire


def two_clients(lab: Lab) -> tuple[ClientHost, ClientHost]:
    """Log two clients in, both behind one NAT address."""
    nat = Nat("198.51.100.1")
    clients = (lab.client("u1", "192.168.77.11", nat), lab.client("u2", "192.168.77.12", nat))
    assert lab.run(10, lambda: all(client.state is ClientState.UP for client in clients))
    return clients


def test_data_for_the_session_of_a_neighbour_is_dropped() -> None:
    lab = Lab()
    attacker, victim = two_clients(lab)
    (mine,) = attacker.tables.sessions.values()
    (theirs,) = victim.tables.sessions.values()
    mine.peer_tunnel_id, mine.peer_session_id = theirs.peer_tunnel_id, theirs.peer_session_id
    attacker.send(bytes(IP(src=str(victim.address), dst="192.168.1.10") / ICMP()))
    lab.run(1)
    assert lab.server.inner == []
    assert lab.server.gateway.forwarder.drops[Drop.FOREIGN_SESSION] == 1


def test_a_control_message_for_the_tunnel_of_a_neighbour_is_dropped() -> None:
    lab = Lab()
    attacker, victim = two_clients(lab)
    stop = capture_stop(lab, victim)
    lab.simulation.remove(victim)
    (peer,) = attacker.peers
    attacker.forwarder.send_l2tp(peer.record, L2TP_PORT, stop)
    lab.run(5)
    assert len(lab.server.gateway.tables.addresses) == 2
    assert lab.server.gateway.lns.snapshot().dropped[DropReason.OTHER_FLOW] >= 1


def capture_stop(lab: Lab, client: ClientHost) -> bytes:
    """Return the StopCCN that a client would send, without letting it out."""
    (tunnel,) = client.lac.snapshot().tunnels
    client.lac.close_tunnel(tunnel.tunnel, StopResult.GENERAL_REQUEST, now=lab.simulation.now)
    return client.lac.datagrams_to_send()[-1].data


def test_a_forged_inner_source_is_dropped_and_counted() -> None:
    lab = Lab()
    client, neighbour = two_clients(lab)
    client.send(bytes(IP(src=str(neighbour.address), dst="192.168.1.10") / ICMP()))
    lab.run(1)
    assert lab.server.inner == []
    assert client.address is not None
    assert lab.server.gateway.tables.addresses[int(client.address)].spoofed == 1


def test_esp_that_is_sent_again_is_dropped() -> None:
    lab = Lab()
    client, _ = two_clients(lab)
    client.send(bytes(IP(src=str(client.address), dst="192.168.1.10") / ICMP()))
    packets = client.packets_to_send()
    for _ in range(3):
        for packet in packets:
            outer = Address("198.51.100.1", 40001)
            lab.server.receive(packet._replace(source=outer), lab.simulation.now)
    lab.run(0.1)
    assert len(lab.server.inner) == 1


def test_clear_text_l2tp_reaches_nobody() -> None:
    """A valid SCCRQ outside of ESP, to any port: no answer, no tunnel."""
    lab = Lab()
    client = lab.client()
    lab.run(10, lambda: client.state is ClientState.UP)
    tunnels = len(lab.server.gateway.lns.snapshot().tunnels)
    sccrq = bytes.fromhex("c802001400000000000000008008000000000001")
    sent = lab.simulation.carried
    for port in (500, 1701, 4500):
        packet = Wire(Address("198.51.100.66", 1701), Address(SERVER, port), sccrq)
        lab.server.receive(packet, lab.simulation.now)
        assert not [
            wire
            for wire in lab.server.packets_to_send()
            if wire.destination.host == "198.51.100.66" and wire.source.port == 1701
        ]
    lab.run(1)
    assert len(lab.server.gateway.lns.snapshot().tunnels) == tunnels
    assert lab.simulation.carried == sent


def test_a_client_whose_nat_forgot_it_is_followed_after_an_authenticated_packet() -> None:
    lab = Lab()
    nat = Nat("198.51.100.1")
    client = lab.client("u1", "192.168.77.11", nat)
    assert lab.run(10, lambda: client.state is ClientState.UP)
    nat.forget()
    there = bytes(IP(src=str(client.address), dst="192.168.1.10") / ICMP())
    back = bytes(IP(src="192.168.1.10", dst=str(client.address)) / ICMP(type=0))
    lab.server.receive_inner(back)
    lab.run(1)
    assert client.inner == [], "the old mapping is gone"
    client.send(there)
    lab.run(1)
    lab.server.receive_inner(back)
    lab.run(1)
    assert client.inner == [back]
