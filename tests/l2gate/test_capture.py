"""Captures: whose packets and keys they get, whose not, and how they end."""

from base64 import b64decode
from collections.abc import Iterable

import pytest
from scapy.layers.inet import IP

from ipsec.keys import EspKeys, IsakmpKey, PeerKeys
from ipsec.sa_pair import SaPair
from l2gate.capture import MAX_CAPTURES, MAX_PACKETS, MAX_SECONDS, CaptureRefused
from l2gate.control import Json, Request, Response
from l2gate.operations import Operations
from tests.support.client import ClientHost, ClientState
from tests.support.lab import INNER_SERVER, assert_passes_traffic, configuration, ping
from tests.support.recorder import RecordedLab, Sink
from tests.support.simulation import Nat

HERE, ELSEWHERE, NAT = "198.51.100.7", "198.51.100.8", "198.51.100.1"


def logged_in(lab: RecordedLab, user: str, host: str, nat: Nat | None = None) -> ClientHost:
    client = lab.client(user, host, nat)
    assert lab.run(10, lambda: client.state is ClientState.UP), client.why
    return client


def ports(sink: Sink) -> set[tuple[str, int]]:
    """Return the ends of the recorded packets that are not the server's."""
    found = set()
    for message in sink.of("packet"):
        packet = IP(b64decode(str(message["packet"])))
        inbound = message["inbound"]
        host = packet.src if inbound else packet.dst
        found.add((host, packet.sport if inbound else packet.dport))
    return found


def keys_of(lab: RecordedLab, clients: Iterable[ClientHost]) -> set[str]:
    """Return the encryption keys of all SAs of some clients, as they have them."""
    places = [client.address for client in clients]
    assert all(places)
    found = set()
    for client in clients:
        for peer in client.ike.keys(lambda _: True):
            found |= {esp.encryption.hex() for esp in peer.esp}
            found |= {isakmp.key.hex() for isakmp in peer.isakmp}
    return found


def told(sink: Sink, key: str) -> bool:
    lines = sink.lines("esp_sa") + sink.lines("ikev1_decryption_table")
    return any(key in line for line in lines)


# Whose packets


def test_an_address_is_recorded_alone_and_from_its_first_packet() -> None:
    lab = RecordedLab()
    sink = lab.host.record(HERE)
    client, other = logged_in(lab, "u1", HERE), logged_in(lab, "u2", ELSEWHERE)
    assert_passes_traffic(lab, client)
    assert {b64decode(str(m["packet"]))[12:16] for m in sink.of("packet") if m["inbound"]} == {
        bytes(map(int, HERE.split(".")))
    }
    assert all(told(sink, key) for key in keys_of(lab, [client]))
    assert not any(told(sink, key) for key in keys_of(lab, [other]))


def test_of_a_user_behind_a_nat_only_his_own_packets_and_keys() -> None:
    lab = RecordedLab()
    nat = Nat(NAT)
    client = logged_in(lab, "u1", "192.168.7.11", nat)
    neighbour = logged_in(lab, "u2", "192.168.7.12", nat)
    sink = lab.host.record("u1")
    assert_passes_traffic(lab, client)
    assert_passes_traffic(lab, neighbour)
    assert len(ports(sink)) == 1
    assert len(sink.of("packet")) == 2
    assert all(told(sink, key) for key in keys_of(lab, [client]))
    assert not any(told(sink, key) for key in keys_of(lab, [neighbour]))


def test_a_user_is_followed_when_the_nat_forgets_him() -> None:
    lab = RecordedLab()
    nat = Nat(NAT)
    client, _ = logged_in(lab, "u1", "192.168.7.11", nat), logged_in(lab, "u2", "192.168.7.12", nat)
    sink = lab.host.record("u1")
    nat.forget()
    client.send(ping(str(client.address), INNER_SERVER))
    lab.run(1)
    assert_passes_traffic(lab, client)
    assert len(ports(sink)) == 1
    assert [message["inbound"] for message in sink.of("packet")] == [True, False, True]


def test_a_user_who_has_an_address_to_himself_is_recorded_when_he_comes_back() -> None:
    lab = RecordedLab()
    nat = Nat(NAT)
    client = logged_in(lab, "u1", "192.168.7.11", nat)
    sink = lab.host.record("u1")
    lab.simulation.remove(client)
    again = logged_in(lab, "u1", "192.168.7.11", nat)
    assert_passes_traffic(lab, again)
    assert all(told(sink, key) for key in keys_of(lab, [client, again]))


def test_nothing_is_recorded_unless_asked_for() -> None:
    lab = RecordedLab()
    logged_in(lab, "u1", HERE)
    assert not lab.host.captures


# How they end


def test_after_its_last_packet_a_capture_is_over() -> None:
    lab = RecordedLab()
    sink = lab.host.record(HERE, packets=3)
    client = logged_in(lab, "u1", HERE)
    assert_passes_traffic(lab, client)
    assert len(sink.of("packet")) == 3
    assert sink.told[-1] == {
        "end": "all packets that were asked for are recorded",
        "left_out": 0,
    }
    assert sink.closed
    assert not lab.host.captures
    assert not sink.lines("esp_sa"), "no key that came later"


def test_a_capture_that_was_stopped_tells_nothing_more() -> None:
    lab = RecordedLab()
    capture, sink = lab.host.captures.make(HERE, 300, 100), Sink()
    capture.start(sink)
    capture.stop("the time is over")
    capture.stop("again")
    logged_in(lab, "u1", HERE)
    assert sink.told == [{"end": "the time is over", "left_out": 0}]
    assert not lab.host.captures


def test_who_is_too_slow_misses_packets_but_no_keys() -> None:
    lab = RecordedLab()
    sink = lab.host.record(HERE, packets=10)
    sink.slow = True
    client = logged_in(lab, "u1", HERE)
    assert sink.told == []
    sink.slow = False
    client.ike.rekey_esp(client.peer or 0, lab.simulation.now)
    lab.run(5)
    assert all(told(sink, key) for key in keys_of(lab, [client]))
    lab.run(600, lambda: sink.closed)
    assert len(sink.of("packet")) == 10, "those that were left out do not count"
    left_out = sink.of("end")[0]["left_out"]
    assert isinstance(left_out, int)
    assert left_out > 20


# What is refused


def test_a_user_without_a_session() -> None:
    lab = RecordedLab()
    with pytest.raises(CaptureRefused, match=r"there is no session of 'u1': .* give its"):
        lab.host.captures.make("u1", 300, 10)


def test_only_so_many_at_one_time() -> None:
    lab = RecordedLab()
    sinks = [lab.host.record(HERE, packets=1), lab.host.record(ELSEWHERE)]
    assert len(sinks) == MAX_CAPTURES
    with pytest.raises(CaptureRefused, match="2 captures are under way already"):
        lab.host.captures.make(HERE, 300, 10)
    logged_in(lab, "u1", HERE)
    assert sinks[0].closed
    third = lab.host.record(HERE)
    logged_in(lab, "u2", ELSEWHERE)
    assert (third.of("packet"), bool(sinks[1].of("packet"))) == ([], True)


def ask(lab: RecordedLab, **arguments: Json) -> Response:
    operations = Operations(
        configuration(), lab.host.gateway, lambda: 0.0, lambda: 0.0, lambda: None
    )
    return operations.handle(Request("capture", arguments))


def test_what_the_command_answers() -> None:
    lab = RecordedLab()
    response = ask(lab, peer="2001:DB8::0001", seconds=5, packets=MAX_PACKETS)
    assert response.result == {"watched": "2001:db8::1"}
    assert response.feed is not None
    assert response.feed.seconds == 5
    nat = Nat(NAT)
    logged_in(lab, "u1", "192.168.7.11", nat)
    assert ask(lab, peer="u1").result == {"watched": NAT}
    logged_in(lab, "u2", "192.168.7.12", nat)
    ((host, port),) = {
        peer.record.path.peer for peer in lab.host.gateway.peers if peer.record.peer == 1
    }
    assert ask(lab, peer="u1").result == {"watched": f"{host}:{port}"}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"peer": 7},
        {"peer": HERE, "seconds": "5"},
        {"peer": HERE, "packets": 1.5},
        {"peer": HERE, "seconds": 0},
        {"peer": HERE, "seconds": MAX_SECONDS + 1},
        {"peer": HERE, "packets": -1},
        {"peer": HERE, "packets": MAX_PACKETS + 1},
        {"peer": "u1"},
    ],
)
def test_what_the_command_refuses(arguments: dict[str, Json]) -> None:
    response = ask(RecordedLab(), **arguments)
    assert response.error
    assert response.feed is None


def test_no_key_shows_when_something_is_printed() -> None:
    lab = RecordedLab()
    client = logged_in(lab, "u1", HERE)
    capture = lab.host.captures.make(HERE, 300, 10)
    (peer,) = lab.host.gateway.ike.keys(lambda _: True)
    pairs = [pair for pair, _ in lab.host.gateway.ike._peers.by_spi.values()]
    keys = [key for esp in peer.esp for key in (esp.encryption, esp.authentication) if key]
    keys += [isakmp.key for isakmp in peer.isakmp]
    assert len(keys) == 3
    shown = repr([peer, *peer.esp, *peer.isakmp, *pairs, capture, client])
    assert {type(each) for each in (peer, peer.esp[0], peer.isakmp[0], pairs[0])} == {
        PeerKeys,
        EspKeys,
        IsakmpKey,
        SaPair,
    }
    for key in keys:
        assert key.hex() not in shown
        assert repr(key) not in shown
    assert lab.host.noted("") != []
    assert not any(key.hex() in str(line) for key in keys for line in lab.host.noted(""))
