"""Captures as scapy and the reader of the tests see them, and the headers made up again."""

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.utils import PcapNgReader

from ipsec.path import Address
from l2gate.pcapng import header, outer_packet, packet_block
from tests.support import pcap

CLIENT, SERVER = "198.51.100.7", "203.0.113.1"


@given(st.lists(st.tuples(st.binary(min_size=20, max_size=200), st.integers(0, 2**42))))
def test_what_is_written_is_read(packets: list[tuple[bytes, int]]) -> None:
    blocks = [packet_block(packet, moment / 1000, True) for packet, moment in packets]
    reader = PcapNgReader(io.BytesIO(header() + b"".join(blocks)))
    read = [(metadata, packet) for packet, metadata in iter(lambda: next_raw(reader), None)]
    assert [packet for _, packet in read] == [packet for packet, _ in packets]
    moments = [metadata.tshigh << 32 | metadata.tslow for metadata, _ in read]
    assert moments == [moment * 1000 for _, moment in packets]
    assert all(metadata.linktype == pcap.RAW_IP for metadata, _ in read)


def next_raw(reader: PcapNgReader):  # type: ignore[no-untyped-def]
    try:
        return reader._read_packet()
    except EOFError:
        return None


def test_the_reader_of_captures_agrees(tmp_path: Path) -> None:
    path = tmp_path / "x.pcapng"
    come, go = Address(CLIENT, 500), Address(SERVER, 4500)
    packets = [outer_packet(b"x" * n, come, go) for n in range(5)]
    path.write_bytes(header() + b"".join(packet_block(p, 1.5, False) for p in packets))
    assert pcap.udp_datagrams(path) == [
        pcap.UdpDatagram((CLIENT, 500), (SERVER, 4500), b"x" * n) for n in range(5)
    ]


@pytest.mark.parametrize("data", [b"", b"odd", bytes(1400)])
def test_udp_over_ipv4(data: bytes) -> None:
    packet = outer_packet(data, Address(CLIENT, 1025), Address(SERVER, 4500))
    parsed = IP(packet)
    assert (parsed.src, parsed.dst, parsed.proto) == (CLIENT, SERVER, 17)
    assert (parsed[UDP].sport, parsed[UDP].dport, parsed[UDP].len) == (1025, 4500, 8 + len(data))
    del parsed.chksum
    assert bytes(parsed)[:28] == packet[:28], "scapy computes the same header checksum"
    assert packet[28:] == data


def test_udp_over_ipv6() -> None:
    packet = outer_packet(b"data", Address("fe80::1%2", 500), Address("2001:db8::2", 500))
    parsed = IPv6(packet)
    assert (parsed.src, parsed.dst, parsed.nh, parsed.plen) == ("fe80::1", "2001:db8::2", 17, 12)
    del parsed[UDP].chksum
    assert bytes(parsed) == packet, "scapy computes the same UDP checksum"


@pytest.mark.parametrize("hosts", [(CLIENT, SERVER), ("2001:db8::1", "2001:db8::2")])
def test_esp_without_udp(hosts: tuple[str, str]) -> None:
    packet = outer_packet(b"\1\2\3\4ESP", Address(hosts[0], 0), Address(hosts[1], 0))
    if ":" in hosts[0]:
        assert (IPv6(packet).nh, packet[40:]) == (50, b"\1\2\3\4ESP")
    else:
        assert (IP(packet).proto, IP(packet).len, packet[20:]) == (50, 27, b"\1\2\3\4ESP")
