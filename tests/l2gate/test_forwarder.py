"""The fast path, with real SAs at both ends and the L2TP package's codec as an oracle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption, IPOption_NOP, defragment
from scapy.layers.inet6 import IPv6

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import AuthenticationAlgorithm, EspTransform
from ipsec.esp import DropReason
from ipsec.path import Address, Path
from l2gate.forwarder import Drop, Forwarder
from l2gate.records import Tables
from l2tp.header import DataHeader
from tests.support.dataplane import GATEWAY, SERVER, TUN, Client, Upcalls, inner_packets, udp
from wire import Reader

PPP = b"\xff\x03\x00\x21"


@pytest.fixture
def client(tables: Tables) -> Client:
    return Client(tables)


def packet(source: str = "172.16.1.51", destination: str = "192.168.1.5", size: int = 32) -> bytes:
    return bytes(IP(src=source, dst=destination) / UDP(sport=7, dport=9) / bytes(size))


def down(destination: str = "172.16.1.51", size: int = 32, **fields: object) -> bytes:
    return bytes(IP(src="192.168.1.5", dst=destination, **fields) / UDP(dport=9) / bytes(size))


# From the peers


@pytest.mark.parametrize("header", ["ff030021", "ff0321", "0021", "21"])
@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (0x0002, b""),
        (0x4002, b""),
        (0x0802, b"\0\1\0\0"),
        (0x4802, b"\0\1\0\0"),
        (0x0102, b""),
        (0x4302, b"\0\4pad!"),
        (0x0202, b"\0\0"),
        (0x4A02, b"\0\1\0\0\0\2xy"),
        (0x0032, b""),
    ],
    ids=["plain", "L", "S", "L S", "P", "L O P", "O", "L S O", "reserved bits"],
)
def test_every_form_of_header_reaches_the_tun(
    forwarder: Forwarder, client: Client, header: str, flags: int, fields: bytes
) -> None:
    client.send(forwarder, client.l2tp(bytes.fromhex(header) + packet(), flags, fields))
    assert inner_packets(forwarder) == [packet()]
    assert inner_packets(forwarder) == []
    assert (client.session.packets_in, client.session.octets_in) == (1, len(packet()))
    assert not forwarder.drops


@pytest.mark.parametrize("transform", [EspTransform.NULL, EspTransform.AES_GCM_16])
def test_other_algorithms(tables: Tables, forwarder: Forwarder, transform: EspTransform) -> None:
    gcm = transform is EspTransform.AES_GCM_16
    authentication = None if gcm else AuthenticationAlgorithm.HMAC_SHA2_256
    client = Client(tables, algorithms=EspAlgorithms(transform, 128 * gcm, authentication))
    client.send_ip(forwarder, packet())
    assert inner_packets(forwarder) == [packet()]
    forwarder.receive_inner(down(), TUN)
    assert client.received(forwarder)[0].endswith(down())


def test_a_batch_keeps_its_order(forwarder: Forwarder, client: Client) -> None:
    packets = [packet(size=n) for n in range(60)]
    for one in packets:
        client.send_ip(forwarder, one)
    assert inner_packets(forwarder) == packets


def test_what_pads_an_ip_packet_is_cut_off(forwarder: Forwarder, client: Client) -> None:
    client.send_ip(forwarder, packet() + b"padding")
    assert inner_packets(forwarder) == [packet()]


def test_memory_of_any_kind_is_taken(forwarder: Forwarder, client: Client) -> None:
    sealed = client.seal(client.l2tp(PPP + packet()))
    forwarder.receive_esp(memoryview(bytearray(sealed)), client.path)
    forwarder.receive_inner(memoryview(bytearray(down())), TUN)
    assert inner_packets(forwarder) == [packet()]
    assert client.received(forwarder)[0].endswith(down())


@pytest.mark.parametrize(
    "message",
    [
        bytes.fromhex("c802000c000000000000 0000"),  # a ZLB
        bytes.fromhex("c8020010 00070001 00020003 00000000"),
        bytes.fromhex("0003000100020000"),  # L2TPv3
        bytes.fromhex("0001000100020000"),  # L2F
        bytes.fromhex("00020fff0fff") + PPP + packet(),  # no such session
    ],
)
def test_what_is_no_data_of_a_session_goes_up(
    forwarder: Forwarder, upcalls: Upcalls, client: Client, message: bytes
) -> None:
    client.send(forwarder, message)
    assert upcalls.l2tp == [(client.record, client.port, message)]
    assert inner_packets(forwarder) == []
    assert not forwarder.drops


def test_a_control_message_of_an_open_session_goes_up(
    forwarder: Forwarder, upcalls: Upcalls, client: Client
) -> None:
    message = client.l2tp(PPP + packet(), 0xC802, b"\0\1\0\2")
    client.send(forwarder, message)
    assert upcalls.l2tp == [(client.record, client.port, message)]
    assert inner_packets(forwarder) == []


@pytest.mark.parametrize("frame", ["ff03c0210900000800000000", "c0210900", "ff0380210101", "0057"])
def test_what_is_no_ipv4_goes_up(
    forwarder: Forwarder, upcalls: Upcalls, client: Client, frame: str
) -> None:
    message = client.l2tp(bytes.fromhex(frame) + bytes(4))
    client.send(forwarder, message)
    assert upcalls.l2tp == [(client.record, client.port, message)]


@pytest.mark.parametrize("destination", ["255.255.255.255", GATEWAY])
@pytest.mark.parametrize("options", [[], [IPOption_NOP()] * 4])
def test_dhcpinform_goes_up(
    forwarder: Forwarder,
    upcalls: Upcalls,
    client: Client,
    destination: str,
    options: list[IPOption],
) -> None:
    header = IP(src="172.16.1.51", dst=destination, options=options)
    message = client.l2tp(PPP + bytes(header / UDP(sport=68, dport=67) / bytes(300)))
    client.send(forwarder, message)
    assert upcalls.l2tp == [(client.record, client.port, message)]
    assert inner_packets(forwarder) == []


@pytest.mark.parametrize(
    "packet",
    [
        IP(dst=GATEWAY) / ICMP(),
        IP(dst=GATEWAY) / UDP(dport=53),
        IP(dst=GATEWAY) / TCP(dport=67),
        IP(dst=GATEWAY, frag=8) / UDP(dport=67),
        IP(dst=GATEWAY, proto=17) / b"\0D\0",
        IP(dst="172.16.1.2") / UDP(dport=67),
    ],
)
def test_other_packets_for_the_gateway_are_the_kernels(
    forwarder: Forwarder, upcalls: Upcalls, client: Client, packet: IP
) -> None:
    packet.src = "172.16.1.51"
    client.send_ip(forwarder, bytes(packet))
    assert inner_packets(forwarder) == [bytes(packet)]
    assert not upcalls.l2tp


def test_padding_of_the_datagram_does_not_go_up(
    forwarder: Forwarder, upcalls: Upcalls, client: Client
) -> None:
    zlb = bytes.fromhex("c802000c0000000000000000")
    sealed = client.to_server.seal(udp(zlb, client.port) + bytes(100))
    forwarder.receive_esp(sealed, client.path)
    assert upcalls.l2tp == [(client.record, client.port, zlb)]


@pytest.mark.parametrize("length", [0, 7, 9999])
def test_a_udp_length_that_lies(
    forwarder: Forwarder, upcalls: Upcalls, client: Client, length: int
) -> None:
    datagram = bytearray(udp(bytes.fromhex("c802000c0000000000000000"), client.port))
    datagram[4:6] = length.to_bytes(2, "big")
    forwarder.receive_esp(client.to_server.seal(datagram), client.path)
    assert not upcalls.l2tp
    assert forwarder.drops == {Drop.MALFORMED: 1}


@pytest.mark.parametrize(
    "source", ["172.16.1.52", "192.168.1.5", GATEWAY, "0.0.0.0", "255.255.255.255", "127.0.0.1"]
)
def test_a_spoofed_source_is_dropped_and_counted(
    forwarder: Forwarder, client: Client, tables: Tables, source: str
) -> None:
    Client(tables, address="172.16.1.52", routes=("10.7.0.0/16",))
    client.send_ip(forwarder, packet(source=source))
    assert inner_packets(forwarder) == []
    assert forwarder.drops == {Drop.SPOOFED: 1}
    assert client.session.spoofed == 1
    assert client.session.packets_in == 0


def test_sources_behind_a_branch_office(forwarder: Forwarder, tables: Tables) -> None:
    branch = Client(tables, routes=("10.1.1.0/24",))
    other = Client(tables, address="172.16.1.52", routes=("10.1.0.0/16",))
    branch.send_ip(forwarder, packet(source="10.1.1.200"))
    other.send_ip(forwarder, packet(source="10.1.2.200"))
    assert len(inner_packets(forwarder)) == 2
    other.send_ip(forwarder, packet(source="10.1.1.200"))
    branch.send_ip(forwarder, packet(source="10.1.2.200"))
    assert inner_packets(forwarder) == []
    assert (branch.session.spoofed, other.session.spoofed) == (1, 1)


def test_a_session_of_another_peer_is_out_of_reach(
    forwarder: Forwarder, upcalls: Upcalls, client: Client, tables: Tables
) -> None:
    thief = Client(tables, address="172.16.1.66")
    thief.send(forwarder, client.l2tp(PPP + packet()))
    assert inner_packets(forwarder) == []
    assert not upcalls.l2tp
    assert forwarder.drops == {Drop.FOREIGN_SESSION: 1}


def test_a_session_is_out_of_reach_from_another_port(forwarder: Forwarder, client: Client) -> None:
    sealed = client.to_server.seal(udp(client.l2tp(PPP + packet()), source=client.port + 1))
    forwarder.receive_esp(sealed, client.path)
    assert inner_packets(forwarder) == []
    assert forwarder.drops == {Drop.FOREIGN_SESSION: 1}


def test_only_udp_port_1701_is_served(
    forwarder: Forwarder, upcalls: Upcalls, client: Client
) -> None:
    for port in (0, 500, 1702):
        sealed = client.to_server.seal(udp(client.l2tp(PPP + packet()), destination=port))
        forwarder.receive_esp(sealed, client.path)
    assert inner_packets(forwarder) == []
    assert not upcalls.l2tp
    assert forwarder.drops == {Drop.WRONG_PORT: 3}


def test_two_clients_with_the_same_inner_port_behind_one_nat(
    forwarder: Forwarder, tables: Tables
) -> None:
    first = Client(tables, address="172.16.1.10", port=1701)
    second = Client(tables, address="172.16.1.11", port=1701)
    assert first.path.peer.host == second.path.peer.host
    first.send_ip(forwarder, packet(source="172.16.1.10"))
    second.send_ip(forwarder, packet(source="172.16.1.11"))
    assert len(inner_packets(forwarder)) == 2
    forwarder.receive_inner(down("172.16.1.11"), TUN)
    assert [peer for peer, _ in forwarder.take_wire()] == [second.record]


def test_unknown_spi(forwarder: Forwarder, client: Client, tables: Tables) -> None:
    sealed = client.seal(client.l2tp(PPP + packet()))
    tables.sas.clear()
    forwarder.receive_esp(sealed, client.path)
    assert forwarder.drops == {Drop.UNKNOWN_SPI: 1}


def test_replay(forwarder: Forwarder, client: Client) -> None:
    sealed = client.seal(client.l2tp(PPP + packet()))
    forwarder.receive_esp(sealed, client.path)
    forwarder.receive_esp(sealed, client.path)
    assert inner_packets(forwarder) == [packet()]
    assert forwarder.drops == {DropReason.REPLAYED: 1}


def test_a_forged_packet_changes_nothing(
    forwarder: Forwarder, upcalls: Upcalls, client: Client
) -> None:
    sealed = bytearray(client.seal(client.l2tp(PPP + packet())))
    sealed[20] ^= 1
    elsewhere = Path(client.path.local, Address("192.0.2.66", 4500))
    forwarder.receive_esp(bytes(sealed), elsewhere)
    assert forwarder.drops == {DropReason.BAD_ICV: 1}
    assert upcalls == Upcalls()


@pytest.mark.parametrize(
    "patch",
    [{0: 0x55}, {0: 0x44}, {0: 0x4F}, {2: 0xFF}, {2: 0, 3: 19}],
    ids=["version", "short header", "header longer than packet", "too long", "too short"],
)
def test_malformed_ipv4(forwarder: Forwarder, client: Client, patch: dict[int, int]) -> None:
    octets = bytearray(packet(size=4))
    for position, octet in patch.items():
        octets[position] = octet
    client.send_ip(forwarder, bytes(octets))
    assert inner_packets(forwarder) == []
    assert forwarder.drops == {Drop.MALFORMED: 1}


@pytest.mark.parametrize("cut", range(8 + 6 + 4 + 20))
def test_cut_datagrams(forwarder: Forwarder, client: Client, cut: int) -> None:
    datagram = udp(client.l2tp(PPP + packet()), client.port)[:cut]
    forwarder.receive_esp(client.to_server.seal(datagram), client.path)
    assert inner_packets(forwarder) == []
    assert sum(forwarder.drops.values()) == 1


# Paths and SAs


def test_the_first_packet_of_an_sa_is_told_once(
    forwarder: Forwarder, upcalls: Upcalls, client: Client
) -> None:
    for _ in range(3):
        client.send_ip(forwarder, packet())
    assert upcalls.used == [client.inbound.spi]
    client.new_sas()
    client.send_ip(forwarder, packet())
    assert upcalls.used[1:] == [client.inbound.spi]
    assert len(inner_packets(forwarder)) == 4


def test_an_old_sa_is_good_after_a_rekey(forwarder: Forwarder, client: Client) -> None:
    late = client.seal(client.l2tp(PPP + packet()))
    client.new_sas()
    forwarder.receive_esp(late, client.path)
    assert inner_packets(forwarder) == [packet()]


def test_a_moved_path_is_told(forwarder: Forwarder, upcalls: Upcalls, client: Client) -> None:
    moved = Path(client.path.local, Address("198.51.100.8", 61000))
    late = client.seal(client.l2tp(PPP + packet()))
    client.send(forwarder, client.l2tp(PPP + packet()), moved)
    assert upcalls.moves == [(client.inbound.spi, moved)]
    client.record.path = moved
    forwarder.receive_esp(late, client.path)
    assert len(upcalls.moves) == 1, "a delayed packet does not move the peer back"
    client.send(forwarder, client.l2tp(PPP + packet()), Path(*moved))
    assert len(upcalls.moves) == 1, "an equal path is the same path"
    assert len(inner_packets(forwarder)) == 3


def test_protocol_50_has_no_path_to_follow(
    forwarder: Forwarder, upcalls: Upcalls, client: Client
) -> None:
    raw = Path(Address(SERVER, 0), Address("198.51.100.7", 0))
    client.send(forwarder, client.l2tp(PPP + packet()), raw)
    client.record.encapsulated = False
    client.send(forwarder, client.l2tp(PPP + packet()), raw)
    client.send(forwarder, client.l2tp(PPP + packet()), Path(*reversed(client.path)))
    assert inner_packets(forwarder) == [packet()] * 3
    assert not upcalls.moves


# To the peers


def test_the_way_down(forwarder: Forwarder, client: Client) -> None:
    forwarder.receive_inner(down(), TUN)
    (datagram,) = client.received(forwarder)
    parsed = UDP(datagram)
    assert (parsed.sport, parsed.dport, parsed.len, parsed.chksum) == (
        1701,
        client.port,
        len(datagram),
        0,
    )
    header, frame = DataHeader.parse(Reader(datagram[8:]))
    assert header == DataHeader(client.session.peer_tunnel_id, client.session.peer_session_id)
    assert frame == PPP + down()
    assert (client.session.packets_out, client.session.octets_out) == (1, len(down()))
    assert forwarder.take_wire() == []


def test_sequence_numbers_where_the_peer_demands_them(forwarder: Forwarder, tables: Tables) -> None:
    client = Client(tables, sequencing=True)
    client.session.ns = 0xFFFF
    forwarder.receive_inner(down(), TUN)
    forwarder.receive_inner(down(), TUN)
    messages = [DataHeader.parse(Reader(udp[8:])) for udp in client.received(forwarder)]
    assert [header.ns for header, _ in messages] == [0xFFFF, 0]
    assert all(frame == PPP + down() for _, frame in messages)


def test_packets_are_gathered_by_peer(forwarder: Forwarder, tables: Tables) -> None:
    first, second = Client(tables, "172.16.1.10"), Client(tables, "172.16.1.11")
    for address in ("172.16.1.10", "172.16.1.11", "172.16.1.10"):
        forwarder.receive_inner(down(address), TUN)
    taken = forwarder.take_wire()
    assert [(peer, len(packets)) for peer, packets in taken] == [
        (first.record, 2),
        (second.record, 1),
    ]
    assert [first.to_client.open(one)[-60:] for one in taken[0][1]] == [down("172.16.1.10")] * 2


def test_the_longest_route_wins(forwarder: Forwarder, tables: Tables) -> None:
    wide = Client(tables, "172.16.1.10", routes=("10.0.0.0/8",))
    narrow = Client(tables, "172.16.1.11", routes=("10.1.1.0/24", "10.9.0.0/16"))
    host = Client(tables, "10.1.1.7")
    for address, client in (("10.1.1.8", narrow), ("10.1.1.7", host), ("10.2.0.1", wide)):
        forwarder.receive_inner(down(address), TUN)
        assert [peer for peer, _ in forwarder.take_wire()] == [client.record]
    tables.remove_session(narrow.session)
    forwarder.receive_inner(down("10.1.1.8"), TUN)
    assert [peer for peer, _ in forwarder.take_wire()] == [wide.record]


def test_a_session_that_ends_does_not_take_its_successor_along(
    forwarder: Forwarder, tables: Tables
) -> None:
    old, new = Client(tables, routes=("10.1.1.0/24",)), Client(tables, routes=("10.1.1.0/24",))
    tables.remove_session(old.session)
    for address in ("172.16.1.51", "10.1.1.9"):
        forwarder.receive_inner(down(address), TUN)
    assert [(peer, len(packets)) for peer, packets in forwarder.take_wire()] == [(new.record, 2)]
    tables.remove_session(new.session)
    assert (tables.sessions, tables.addresses, tables.routes) == ({}, {}, {})


def test_no_session_no_sa_no_number_left(forwarder: Forwarder, client: Client) -> None:
    forwarder.receive_inner(down("172.16.1.99"), TUN)
    outbound = client.record.outbound
    assert outbound is not None
    client.record.outbound = None
    forwarder.receive_inner(down(), TUN)
    client.record.outbound = outbound
    outbound.sequence = 0xFFFFFFFF
    forwarder.receive_inner(down(), TUN)
    assert forwarder.take_wire() == []
    assert client.session.packets_out == 0
    assert forwarder.drops == {Drop.NO_SESSION: 1, Drop.NO_SA: 1, Drop.SEQUENCE_EXHAUSTED: 1}


@pytest.mark.parametrize(
    "octets",
    [b"", b"\x45", bytes(40), bytes(IPv6(dst="ff02::2"))[:-1], b"\x60" + bytes(30), down()[:-1]],
)
def test_what_is_no_ip_packet(forwarder: Forwarder, client: Client, octets: bytes) -> None:
    forwarder.receive_inner(octets, TUN)
    assert forwarder.drops == {Drop.NOT_IP: 1}


def test_too_big_with_df_is_answered_in_the_name_of_the_gateway(
    forwarder: Forwarder, client: Client
) -> None:
    forwarder.receive_inner(down(size=1400 - 28, flags="DF"), TUN)
    assert len(client.received(forwarder)) == 1
    forwarder.receive_inner(down(size=1401 - 28, flags="DF"), TUN)
    assert client.received(forwarder) == []
    (answer,) = inner_packets(forwarder)
    message = IP(bytes(answer))
    assert (message.src, message.dst) == (GATEWAY, "192.168.1.5")
    assert (message[ICMP].type, message[ICMP].code, message[ICMP].nexthopmtu) == (3, 4, 1400)
    assert forwarder.drops == {Drop.TOO_BIG: 1}


def test_too_big_without_df_is_fragmented(forwarder: Forwarder, client: Client) -> None:
    forwarder.receive_inner(down(size=3000), TUN)
    parts = [datagram[18:] for datagram in client.received(forwarder)]
    assert [len(part) for part in parts] == [1396, 1396, 276]
    (whole,) = defragment([IP(part) for part in parts])
    assert bytes(whole) == down(size=3000)
    assert client.session.packets_out == 3
    assert not forwarder.drops


@pytest.mark.parametrize("options", [b"", b"\x94\x04\0\0"], ids=["plain", "IPv4 options"])
def test_mss_is_clamped_in_both_directions(
    forwarder: Forwarder, client: Client, options: bytes
) -> None:
    def syn(source: str, destination: str) -> bytes:
        tcp = bytes(TCP(flags="S", options=[("MSS", 1460)]))
        header = bytes(IP(src=source, dst=destination, proto=6, len=44 + len(options)))
        return bytes([0x45 + len(options) // 4]) + header[1:] + options + tcp

    client.send_ip(forwarder, syn("172.16.1.51", "192.168.1.5"))
    forwarder.receive_inner(syn("192.168.1.5", "172.16.1.51"), TUN)
    (up,) = inner_packets(forwarder)
    (datagram,) = client.received(forwarder)
    for octets in (bytes(up), datagram[18:]):
        assert dict(IP(octets)[TCP].options)["MSS"] == 1360


def test_ipv6_peers_get_a_udp_checksum(forwarder: Forwarder, tables: Tables) -> None:
    path = Path(Address("2001:db8::1", 4500), Address("2001:db8::77", 4500))
    client = Client(tables, path=path)
    forwarder.receive_inner(down(), TUN)
    (datagram,) = client.received(forwarder)
    expected = IPv6(src="2001:db8::1", dst="2001:db8::77") / UDP(datagram)
    del expected[UDP].chksum
    assert datagram == bytes(expected)[40:]


def test_the_control_plane_sends(forwarder: Forwarder, client: Client) -> None:
    message = bytes.fromhex("c802000c0000000000000000")
    forwarder.send_l2tp(client.record, 1024, message)
    (datagram,) = client.received(forwarder)
    assert datagram == bytes(UDP(sport=1701, dport=1024, chksum=0) / message)
    assert client.session.packets_out == 0


# Whatever comes


@given(st.binary(max_size=100), st.booleans())
def test_any_octets_from_outside(octets: bytes, known: bool) -> None:
    tables, upcalls = Tables(), Upcalls()
    forwarder, client = Forwarder(tables, upcalls), Client(tables)
    prefix = client.inbound.spi.to_bytes(4, "big") if known else b""
    forwarder.receive_esp(prefix + octets, client.path)
    forwarder.receive_inner(octets, TUN)
    assert sum(forwarder.drops.values()) == 2
    assert (inner_packets(forwarder), forwarder.take_wire(), upcalls) == ([], [], Upcalls())


@given(
    octets=st.binary(max_size=120),
    flags=st.sampled_from([None, 0x0002, 0x4002, 0x0A02, 0xC802]),
    header=st.sampled_from([b"", PPP, b"\x21"]),
    port=st.sampled_from([1701, 1701, 1]),
)
def test_any_octets_from_an_authenticated_peer(
    octets: bytes, flags: int | None, header: bytes, port: int
) -> None:
    tables, upcalls = Tables(), Upcalls()
    forwarder, client = Forwarder(tables, upcalls), Client(tables)
    message = octets if flags is None else client.l2tp(header + octets, flags)
    for datagram in (udp(message, client.port, port), octets):
        forwarder.receive_esp(client.to_server.seal(datagram), client.path)
    accounted = sum(forwarder.drops.values()) + len(inner_packets(forwarder)) + len(upcalls.l2tp)
    assert accounted == 2


@given(
    rest=st.binary(max_size=1500),
    first=st.integers(0x45, 0x4F),
    field=st.integers(0, 0xFFFF),
    protocol=st.sampled_from([1, 6, 17]),
    mtu=st.sampled_from([68, 576, 1400]),
)
def test_any_packet_from_and_to_inside(
    rest: bytes, first: int, field: int, protocol: int, mtu: int
) -> None:
    tables = Tables()
    forwarder, client = Forwarder(tables, Upcalls()), Client(tables, mtu=mtu)
    octets = bytearray(rest.ljust((first & 15) * 4, b"\x02"))
    octets[0], octets[9] = first, protocol
    octets[2:4] = len(octets).to_bytes(2, "big")
    octets[6:8] = field.to_bytes(2, "big")
    octets[12:20] = client.session.address.to_bytes(4, "big") * 2
    client.send_ip(forwarder, bytes(octets))
    assert len(inner_packets(forwarder)) == 1
    forwarder.receive_inner(bytes(octets), TUN)
    assert all(len(datagram) - 18 <= mtu for datagram in client.received(forwarder))
    assert set(forwarder.drops) <= {Drop.TOO_BIG}


def test_each_session_has_its_device(forwarder: Forwarder, tables: Tables) -> None:
    one = Client(tables, "172.16.1.51", ("10.1.0.0/16",), interface="a")
    other = Client(tables, "172.16.2.51", interface="b")
    packets = [packet("172.16.1.51", size=n) for n in range(3)]
    one.send_ip(forwarder, packets[0])
    other.send_ip(forwarder, packet("172.16.2.51"))
    one.send_ip(forwarder, packets[1])
    one.send_ip(forwarder, packets[2])
    assert dict(forwarder.take_tun()) == {"a": packets, "b": [packet("172.16.2.51")]}
    assert forwarder.take_tun() == []
    for address in ("172.16.1.51", "10.1.0.7"):
        forwarder.receive_inner(down(address), "a")
        assert one.received(forwarder)[0].endswith(down(address))
        forwarder.receive_inner(down(address), "b")
        forwarder.receive_inner(down(address, size=3000, flags="DF"), "b")
    assert not forwarder.take_wire()
    assert forwarder.take_tun() == []
    assert forwarder.drops == {Drop.WRONG_INTERFACE: 4}
    forwarder.receive_inner(down("172.16.2.51", size=3000, flags="DF"), "b")
    assert [name for name, _ in forwarder.take_tun()] == ["b"], "where the packet came from"
