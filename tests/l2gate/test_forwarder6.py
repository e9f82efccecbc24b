"""IPv6 in the data plane: both directions, what is dropped, and what goes up."""

from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6ND_Redirect,
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    PadN,
)
from scapy.packet import Packet

from l2gate import inner6
from l2gate.forwarder import Drop, Forwarder
from l2gate.records import Tables
from tests.support.dataplane import MTU, TUN, Client, Upcalls, inner_packets
from tests.support.ipv6 import solicitation

PREFIX = int(IPv6Address("2001:db8:1:7::")) >> 64
GATEWAY = "2001:db8:1::1"
OURS, ELSEWHERE = "2001:db8:1:7:aa::1", "2001:db8:ffff::10"
FORMS = [b"\xff\x03\x00\x57", b"\xff\x03\x57", b"\x00\x57", b"\x57"]


@pytest.fixture
def client(tables: Tables) -> Client:
    client = Client(tables)
    tables.add_prefix(client.session, PREFIX, int(IPv6Address(GATEWAY)))
    return client


def packet(source: str = OURS, destination: str = ELSEWHERE, size: int = 100) -> bytes:
    bare = IPv6(src=source, dst=destination) / UDP(sport=7, dport=7)
    return bytes(bare / (b"x" * (size - 48)))


def syn(source: str, destination: str, mss: int) -> bytes:
    flags = TCP(sport=50000, dport=443, flags="S", options=[("NOP", None), ("MSS", mss)])
    return bytes(IPv6(src=source, dst=destination) / flags)


def send(client: Client, forwarder: Forwarder, octets: bytes, form: bytes = FORMS[0]) -> None:
    client.send(forwarder, client.l2tp(form + octets))


@pytest.mark.parametrize("form", FORMS)
def test_up(forwarder: Forwarder, client: Client, form: bytes) -> None:
    send(client, forwarder, packet(), form)
    assert inner_packets(forwarder) == [packet()]
    assert (client.session.packets_in, client.session.octets_in) == (1, 100)
    assert not forwarder.drops


@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (0x4002, b""),
        (0x0802, b"\0\1\0\2"),
        (0x4802, b"\0\1\0\2"),
        (0x0202, b"\0\2\0\0"),
        (0x4A02, b"\0\1\0\2\0\0"),
    ],
)
def test_up_with_every_l2tp_header(
    forwarder: Forwarder, client: Client, flags: int, fields: bytes
) -> None:
    for form in FORMS:
        client.send(forwarder, client.l2tp(form + packet(), flags, fields))
    assert inner_packets(forwarder) == [packet()] * 4


def test_what_pads_a_packet_is_cut_off(forwarder: Forwarder, client: Client) -> None:
    send(client, forwarder, packet() + bytes(20))
    assert inner_packets(forwarder) == [packet()]


def test_down(forwarder: Forwarder, client: Client) -> None:
    down = packet(ELSEWHERE, OURS)
    forwarder.receive_inner(down, TUN)
    (datagram,) = client.received(forwarder)
    assert datagram[-len(down) - 4 :] == FORMS[0] + down
    assert (client.session.packets_out, client.session.octets_out) == (1, 100)


def test_each_prefix_finds_its_own_session(
    forwarder: Forwarder, client: Client, tables: Tables
) -> None:
    other = Client(tables, "172.16.1.52")
    tables.add_prefix(other.session, PREFIX + 1, 1)
    forwarder.receive_inner(packet(ELSEWHERE, "2001:db8:1:8::5"), TUN)
    assert len(other.received(forwarder)) == 1
    forwarder.receive_inner(packet(ELSEWHERE, "2001:db8:1:9::5"), TUN)
    assert forwarder.drops == {Drop.NO_SESSION: 1}
    tables.remove_prefix(other.session)
    forwarder.receive_inner(packet(ELSEWHERE, "2001:db8:1:8::5"), TUN)
    assert forwarder.drops == {Drop.NO_SESSION: 2}
    assert not forwarder.take_wire()


def test_a_session_without_ipv6_gets_none(
    forwarder: Forwarder, tables: Tables, upcalls: Upcalls
) -> None:
    plain = Client(tables)
    send(plain, forwarder, packet())
    assert inner_packets(forwarder) == []
    assert len(upcalls.l2tp) == 1, "its PPP link says that it does not know the protocol"
    forwarder.receive_inner(packet(ELSEWHERE, OURS), TUN)
    assert forwarder.take_wire() == []


def test_a_removed_session_loses_its_prefix_and_a_newer_one_keeps_it(
    forwarder: Forwarder, client: Client, tables: Tables
) -> None:
    newer = Client(tables)
    tables.add_prefix(newer.session, PREFIX, 1)
    tables.remove_session(client.session)
    forwarder.receive_inner(packet(ELSEWHERE, OURS), TUN)
    assert len(newer.received(forwarder)) == 1
    tables.remove_session(newer.session)
    assert tables.prefixes == {}


@pytest.mark.parametrize("source", ["2001:db8:1:8::1", "fe80::5", "::1", "::", GATEWAY, "ff02::1"])
def test_a_foreign_source_is_dropped(forwarder: Forwarder, client: Client, source: str) -> None:
    send(client, forwarder, packet(source))
    assert inner_packets(forwarder) == []
    assert forwarder.drops == {Drop.SPOOFED: 1}
    assert client.session.spoofed == 1


def test_what_would_come_straight_back_is_dropped(forwarder: Forwarder, client: Client) -> None:
    send(client, forwarder, packet(OURS, "2001:db8:1:7::99"))
    assert inner_packets(forwarder) == []
    assert forwarder.drops == {Drop.NOT_LEAVING: 1}


@pytest.mark.parametrize(
    "octets",
    [
        solicitation("fe80::5"),
        solicitation("::"),
        packet("fe80::5", "fe80::1"),
        packet("fe80::5", "febf::1"),
        packet(OURS, "ff02::1:2"),
        packet(OURS, "ff05::2"),
    ],
)
def test_what_is_for_the_link_goes_up(
    forwarder: Forwarder, client: Client, upcalls: Upcalls, octets: bytes
) -> None:
    send(client, forwarder, octets)
    ((peer, port, message),) = upcalls.l2tp
    assert (peer, port) == (client.record, client.port)
    assert message.endswith(octets)
    assert inner_packets(forwarder) == []


@pytest.mark.parametrize(
    "octets", [b"", b"\x60", packet()[:39], packet()[:-1], b"\x45" + packet()[1:]]
)
def test_what_is_no_packet_from_the_peer(
    forwarder: Forwarder, client: Client, octets: bytes
) -> None:
    send(client, forwarder, octets)
    assert inner_packets(forwarder) == []
    assert sum(forwarder.drops.values()) <= 1
    assert Drop.SPOOFED not in forwarder.drops


def checked(octets: bytes) -> Packet:
    """Return a packet of which scapy computes the same checksum."""
    read = IPv6(octets)
    again = IPv6(octets)
    del again.plen
    again.payload.delfieldval("chksum" if TCP in again else "cksum")
    assert bytes(again) == octets
    return read


def test_the_mss_is_clamped_both_ways(forwarder: Forwarder, client: Client) -> None:
    send(client, forwarder, syn(OURS, ELSEWHERE, 1440))
    (up,) = inner_packets(forwarder)
    assert dict(checked(bytes(up))[TCP].options)["MSS"] == MTU - 60
    forwarder.receive_inner(syn(ELSEWHERE, OURS, 1441), TUN)
    (down,) = client.received(forwarder)
    assert dict(checked(down[down.index(b"\x60") :])[TCP].options)["MSS"] == MTU - 60
    send(client, forwarder, syn(OURS, ELSEWHERE, 1000))
    assert inner_packets(forwarder) == [syn(OURS, ELSEWHERE, 1000)]


def test_packet_too_big(forwarder: Forwarder, client: Client) -> None:
    large = packet(ELSEWHERE, OURS, MTU + 1)
    forwarder.receive_inner(large, TUN)
    assert forwarder.take_wire() == []
    (answer,) = inner_packets(forwarder)
    told = checked(bytes(answer))
    assert (told.src, told.dst) == (GATEWAY, ELSEWHERE)
    assert told[ICMPv6PacketTooBig].mtu == MTU
    assert len(answer) == 1280
    assert bytes(answer)[48:] == large[: 1280 - 48]
    forwarder.receive_inner(packet(ELSEWHERE, OURS, MTU), TUN)
    assert len(client.received(forwarder)) == 1


def extended(upper: Packet, source: str = ELSEWHERE) -> bytes:
    options = [PadN(optdata=b"\0" * 4)]
    headers = IPv6(src=source, dst=OURS) / IPv6ExtHdrHopByHop(options=options)
    return bytes(headers / IPv6ExtHdrDestOpt(options=options) / upper)


BIG = b"x" * 1400


@pytest.mark.parametrize(
    ("octets", "answered"),
    [
        (extended(UDP() / BIG), True),
        (extended(ICMPv6EchoRequest(data=BIG)), True),
        (extended(IPv6ExtHdrFragment(offset=0, nh=58) / ICMPv6EchoRequest(data=BIG)), True),
        (extended(IPv6ExtHdrFragment(offset=1, nh=17) / BIG), False),
        (extended(ICMPv6DestUnreach() / BIG), False),
        (extended(ICMPv6PacketTooBig() / BIG), False),
        (extended(ICMPv6ND_Redirect() / BIG), False),
        (extended(UDP() / BIG, "ff02::5"), False),
        (extended(UDP() / BIG, "::"), False),
        (bytes(IPv6(src=ELSEWHERE, dst=OURS, nh=0) / (b"\0" * 1400)), False),
        (bytes(IPv6(src=ELSEWHERE, dst=OURS, nh=60) / (b"\x3a\xff" + b"\0" * 1400)), False),
    ],
)
def test_who_is_told_of_too_big_packets(
    forwarder: Forwarder, client: Client, octets: bytes, answered: bool
) -> None:
    forwarder.receive_inner(octets, TUN)
    assert len(inner_packets(forwarder)) == answered
    assert forwarder.drops == {Drop.TOO_BIG: 1}


@given(st.binary(min_size=40, max_size=200))
def test_any_packet_that_is_too_big(octets: bytes) -> None:
    inner6.packet_too_big(octets, 1280, 1)
    inner6.clamp_mss(octets, 1220)


@given(st.binary(max_size=120), st.sampled_from(FORMS))
def test_any_octets_from_peer_and_kernel(octets: bytes, form: bytes) -> None:
    tables = Tables()
    forwarder = Forwarder(tables, Upcalls())
    client = Client(tables)
    tables.add_prefix(client.session, PREFIX, 1)
    send(client, forwarder, octets, form)
    send(client, forwarder, packet()[:24] + octets, form)
    forwarder.receive_inner(b"\x60" + octets, TUN)
    assert all(
        bytes(passed)[8:16] == PREFIX.to_bytes(8, "big") for passed in inner_packets(forwarder)
    )


def test_ipv4_and_ipv6_share_a_sequence(forwarder: Forwarder, tables: Tables) -> None:
    client = Client(tables, sequencing=True)
    tables.add_prefix(client.session, PREFIX, 1)
    forwarder.receive_inner(packet(ELSEWHERE, OURS), TUN)
    forwarder.receive_inner(bytes(IP(src="192.0.2.1", dst="172.16.1.51") / UDP() / b"x"), TUN)
    numbers = [datagram[14:16] for datagram in client.received(forwarder)]
    assert numbers == [b"\0\0", b"\0\1"]


def test_each_session_has_its_device(forwarder: Forwarder, client: Client) -> None:
    client.session.interface = "a"
    send(client, forwarder, packet())
    assert forwarder.take_tun() == [("a", [packet()])]
    for size in (100, MTU):
        forwarder.receive_inner(packet(ELSEWHERE, OURS, size), "b")
    assert forwarder.take_wire() == forwarder.take_tun() == []
    assert forwarder.drops == {Drop.WRONG_INTERFACE: 2}
    forwarder.receive_inner(packet(ELSEWHERE, OURS, MTU + 1), "a")
    assert [name for name, _ in forwarder.take_tun()] == ["a"], "where the packet came from"
