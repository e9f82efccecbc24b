"""NAT traversal: detection, drafts, port 4500 from the start, forced encapsulation, IPv6."""

import pytest

from ipsec import natt
from ipsec.constants import EncapsulationMode, HashAlgorithm, PayloadType
from ipsec.events import PeerAuthenticated, SaInstalled
from ipsec.message import Cookies, Payload, Payloads
from ipsec.natt import NO_NAT, RFC3947, VARIANTS, Nat
from ipsec.path import Address, Path
from tests.support import simulation
from tests.support.caller import Caller, clear, rebuilt
from tests.support.ike import SERVER, IkeHost, Pair, config
from tests.support.simulation import Simulation
from tests.support.vectors import load
from wire import DecodeError

COOKIES = Cookies(b"initiate", b"responds")
SHA1 = HashAlgorithm.SHA1
HERE = Path(Address("192.0.2.1", 500), Address("198.51.100.7", 500))
THERE = Path(HERE.peer, HERE.local)


def sent(path: Path, hidden: Address | None = None) -> Payloads:
    return Payloads.of(natt.nat_d_payloads(RFC3947, SHA1, COOKIES, path, hidden))


def test_vendor_ids_are_those_of_the_documents() -> None:
    known = load("ike_vendor_ids.json")
    names = ["rfc3947", "draft_natt_03", "draft_natt_02", "draft_natt_02n"]
    assert [variant.vendor_id.hex() for variant in VARIANTS] == [known[name] for name in names]


@pytest.mark.parametrize(
    ("path", "nat"),
    [
        (THERE, NO_NAT),
        (Path(Address("10.0.0.2", 500), HERE.local), Nat(peer=True, ours=False)),
        (Path(Address("198.51.100.7", 501), HERE.local), Nat(peer=True, ours=False)),
        (Path(HERE.peer, Address("203.0.113.1", 500)), Nat(peer=False, ours=True)),
        (Path(Address("10.0.0.2", 500), Address("203.0.113.1", 500)), Nat(True, True)),
    ],
)
def test_detection(path: Path, nat: Nat) -> None:
    assert natt.detect(RFC3947, SHA1, COOKIES, HERE, sent(path)) == nat
    assert nat.found == (nat != NO_NAT)


def test_a_peer_may_have_several_addresses_of_its_own() -> None:
    first, own = sent(THERE).items
    other = Payload(PayloadType.NAT_D, bytes(20))
    several = Payloads.of([first, other, own])
    assert natt.detect(RFC3947, SHA1, COOKIES, HERE, several) == NO_NAT


@pytest.mark.parametrize("count", [0, 1])
def test_a_peer_that_sends_too_few_hashes_does_no_nat_traversal(count: int) -> None:
    payloads = Payloads.of(sent(Path(Address("10.0.0.2", 1), HERE.local)).items[:count])
    assert natt.detect(RFC3947, SHA1, COOKIES, HERE, payloads) == NO_NAT


def test_what_is_hidden_looks_like_nat() -> None:
    assert natt.detect(RFC3947, SHA1, COOKIES, HERE, sent(THERE, THERE.local)).peer
    assert natt.detect(RFC3947, SHA1, COOKIES, HERE, sent(THERE, THERE.peer)).ours


def test_original_addresses_come_in_pairs() -> None:
    payloads = natt.nat_oa_payloads(RFC3947, "10.0.0.2", "2001:db8::1")
    assert natt.read_nat_oa(RFC3947, Payloads.of(payloads)) == ("10.0.0.2", "2001:db8::1")
    assert natt.read_nat_oa(RFC3947, Payloads.of(payloads[:1])) is None
    bad = [Payload(PayloadType.NAT_OA, b"\2\0\0\0abcd")] * 2
    with pytest.raises(DecodeError):
        natt.read_nat_oa(RFC3947, Payloads.of(bad))


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_every_variant_through_a_nat(
    variant: natt.Variant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(natt, "VARIANTS", (variant,))
    pair = Pair(nat=simulation.Nat("203.0.113.9"))
    pair.establish()
    pair.exchange()
    (installed,) = pair.server.told(SaInstalled)
    assert installed.encapsulated
    assert installed.original_address == "10.0.0.2"


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: variant.name)
def test_payload_numbers(variant: natt.Variant) -> None:
    caller = Caller()
    first = caller.first()
    items = [
        item
        for item in clear(first).items
        if item.type != PayloadType.VENDOR or item.body == variant.vendor_id
    ]
    (second,) = caller.send(rebuilt(first, items))
    assert clear(second).all(PayloadType.VENDOR) == [variant.vendor_id]
    third = caller.next(second)
    draft = variant is not RFC3947
    number = 130 if draft else 20
    assert [item.type for item in clear(third).items][2:] == [number, number]
    (fourth,) = caller.send(third)
    assert [item.type for item in clear(fourth).items][2:] == [number, number]
    mode = EncapsulationMode.UDP_TRANSPORT_DRAFT if draft else EncapsulationMode.UDP_TRANSPORT
    assert variant.udp_transport == mode


def test_the_server_behind_nat() -> None:
    """A static NAT in front of the server: it does not own the address that is dialled."""
    simulated = Simulation()
    client = IkeHost(config(), simulated.entropy(), "198.51.100.7")
    server = IkeHost(config(), simulated.entropy(), "10.1.1.1")
    simulated.add(client, client.address)
    nat = StaticNat("203.0.113.1")
    simulated.add(server, server.address, nat)
    client.ike.connect(Path(Address(client.address, 500), Address(nat.public, 500)), simulated.now)
    assert simulated.run(10.0, lambda: server.sending is not None)
    (installed,) = server.told(SaInstalled)
    assert installed.encapsulated
    assert installed.ours.address == "203.0.113.1"
    (authenticated,) = server.told(PeerAuthenticated)
    assert authenticated.algorithms.endswith("NAT: server")


class StaticNat(simulation.Nat):
    """Ports 500 and 4500 of the public address lead to the server."""

    def inbound(self, packet: simulation.Wire) -> simulation.Wire | None:
        return packet._replace(destination=Address("10.1.1.1", packet.destination.port))

    def outbound(self, packet: simulation.Wire) -> simulation.Wire:
        return packet._replace(source=Address(self.public, packet.source.port))


def test_negotiation_may_begin_on_port_4500() -> None:
    pair = Pair(nat=simulation.Nat("203.0.113.9"))
    pair.simulation.now = 5.0
    path = Path(Address(pair.client.address, 4500), Address(SERVER, 4500))
    pair.client.ike.connect(path, 5.0)
    assert pair.simulation.run(10.0, pair.established)
    pair.exchange()
    (authenticated,) = pair.server.told(PeerAuthenticated)
    assert authenticated.path.local.port == 4500


@pytest.mark.parametrize("side", ["client", "server"])
def test_encapsulation_can_be_forced_from_either_side(side: str) -> None:
    forced = config(force_encapsulation=True)
    pair = Pair(**{side: forced})  # type: ignore[arg-type]
    pair.establish()
    pair.exchange()
    (installed,) = pair.server.told(SaInstalled)
    assert installed.encapsulated
    (authenticated,) = pair.server.told(PeerAuthenticated)
    assert authenticated.algorithms.endswith("NAT: peer"), "never the server: see natt.py"


def test_ipv6() -> None:
    simulated = Simulation()
    client = IkeHost(config(), simulated.entropy(), "2001:db8::7")
    server = IkeHost(config(force_encapsulation=True), simulated.entropy(), "2001:db8::1")
    for host in (client, server):
        simulated.add(host, host.address)
    path = Path(Address(client.address, 500), Address(server.address, 500))
    client.ike.connect(path, simulated.now)
    assert simulated.run(10.0, lambda: server.sending is not None)
    (authenticated,) = server.told(PeerAuthenticated)
    assert str(authenticated.identity) == "2001:db8::7"
    assert str(authenticated.path.peer) == "[2001:db8::7]:4500"
