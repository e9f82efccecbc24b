"""Whatever anybody sends, the gateway takes it: nothing is raised, nobody's session suffers."""

from struct import pack

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.client import ClientHost, ClientState
from tests.support.lab import SERVER, Lab
from tests.support.simulation import ESP_PORT, Address, Wire

STRANGER = "198.51.100.66"


def lab_with_a_client() -> tuple[Lab, ClientHost]:
    lab = Lab()
    client = lab.client()
    assert lab.run(10, lambda: client.state is ClientState.UP)
    return lab, client


LAB, CLIENT = lab_with_a_client()


@given(
    port=st.sampled_from([500, 4500, ESP_PORT]),
    data=st.binary(max_size=300),
    source=st.sampled_from([STRANGER, "198.51.100.7"]),
)
def test_any_octets_from_outside(port: int, data: bytes, source: str) -> None:
    packet = Wire(Address(source, port), Address(SERVER, port), data)
    LAB.server.receive(packet, LAB.simulation.now)
    LAB.run(0.1)
    assert len(LAB.server.gateway.tables.addresses) == 1


@settings(max_examples=50)
@given(messages=st.lists(st.binary(max_size=120), max_size=4), data=st.data())
def test_any_octets_from_an_authenticated_client(
    messages: list[bytes], data: st.DataObject
) -> None:
    """What comes out of an SA may end the sender's own session; a neighbour keeps its own."""
    lab, attacker = lab_with_a_client()
    neighbour = lab.client("u1", "198.51.100.8")
    assert lab.run(10, lambda: neighbour.state is ClientState.UP)
    (peer,) = attacker.peers
    (session,) = attacker.tables.sessions.values()
    ids = pack("!HH", session.peer_tunnel_id, session.peer_session_id)
    for message in messages:
        kind = data.draw(st.sampled_from(["raw", "data", "control"]))
        header = {
            "raw": b"",
            "data": b"\x00\x02" + ids,
            "control": b"\xc8\x02" + pack("!H", 12 + len(message)) + ids,
        }[kind]
        attacker.forwarder.send_l2tp(peer.record, 1701, header + message)
        lab.run(0.2)
    assert neighbour.state is ClientState.UP
    assert neighbour.address is not None
    assert int(neighbour.address) in lab.server.gateway.tables.addresses
