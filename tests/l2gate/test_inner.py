"""IPv4 helpers, with scapy as the oracle for checksums and formats."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, defragment
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet, Raw

from l2gate import inner
from wire.checksum import checksum

GATEWAY = 0xAC100101  # 172.16.1.1


def rebuilt(packet: bytes, layers: int = 2) -> bytes:
    """The same packet with the checksums of its first layers computed by scapy."""
    parsed = IP(packet)
    for layer in (parsed, parsed.payload)[:layers]:
        if "chksum" in layer.fields:
            del layer.chksum
    return bytes(parsed)


def mss_of(packet: bytes) -> object:
    return dict(IP(packet)[TCP].options).get("MSS")


@pytest.mark.parametrize("flags", ["S", "SA", "SEC"])
@pytest.mark.parametrize("before", [[], [("NOP", None)], [("SAckOK", b""), ("NOP", None)]])
def test_mss_of_a_syn_is_clamped(flags: str, before: list[object]) -> None:
    options = [*before, ("MSS", 1460), ("WScale", 7)]
    packet = bytes(IP(dst="10.0.0.2") / TCP(flags=flags, options=options) / b"data")
    clamped = bytes(inner.clamp_mss(packet, 1360))
    assert mss_of(clamped) == 1360
    assert clamped == rebuilt(clamped)
    assert len(clamped) == len(packet)


def test_mss_behind_ipv4_options_is_clamped() -> None:
    packet = bytes(IP(dst="10.0.0.2") / TCP(flags="S", options=[("MSS", 1460)]))
    header = b"\x46\0" + (len(packet) + 4).to_bytes(2, "big") + packet[4:20] + b"\x94\x04\0\0"
    clamped = bytes(inner.clamp_mss(rebuilt(header + packet[20:]), 1000))
    assert mss_of(clamped) == 1000
    assert clamped == rebuilt(clamped)


@given(mss=st.integers(0, 0xFFFF), limit=st.integers(0, 0xFFFF), odd=st.booleans())
def test_mss_never_grows_and_the_checksum_stays_right(mss: int, limit: int, odd: bool) -> None:
    options = [("NOP", None)] * odd + [("MSS", mss)]
    packet = bytes(IP(dst="10.0.0.2") / TCP(flags="S", options=options))
    clamped = bytes(inner.clamp_mss(packet, limit))
    assert mss_of(clamped) == min(mss, limit)
    assert checksum(clamped[:20]) == 0
    segment = clamped[20:]
    pseudo = clamped[12:20] + bytes([0, 6]) + len(segment).to_bytes(2, "big")
    assert checksum(pseudo + segment) == 0


@pytest.mark.parametrize(
    "packet",
    [
        bytes(IP(dst="10.0.0.2") / TCP(flags="A", options=[("MSS", 1460)])),
        bytes(IP(dst="10.0.0.2") / TCP(flags="S")),
        bytes(IP(dst="10.0.0.2") / TCP(flags="S", options=[("MSS", 1300)])),
        bytes(IP(dst="10.0.0.2") / UDP() / (b"\x02\x04\x05\xb4" * 10)),
        bytes(IP(dst="10.0.0.2", frag=100) / TCP(flags="S", options=[("MSS", 1460)])),
    ],
    ids=["no SYN", "no MSS", "small MSS", "UDP", "later fragment"],
)
def test_what_needs_no_clamping_is_untouched(packet: bytes) -> None:
    assert inner.clamp_mss(packet, 1360) is packet


@pytest.mark.parametrize(
    "options",
    [
        b"\x02",  # an option without its length
        b"\x02\x04\x05",  # cut in the middle of the value
        b"\x02\x03\x05\xb4",  # a length that is not the option's
        b"\x02\x00\x05\xb4",  # a length of zero must not loop for ever
        b"\x08\x01\x02\x04\x05\xb4\0\0",  # a length of one neither
        b"\x08\xff\x02\x04\x05\xb4\0\0",  # a length far behind the end
        b"\x01" * 40,
        b"\0\0\0\0\x02\x04\x05\xb4",  # behind the end of the list
    ],
)
@pytest.mark.parametrize("data_offset", [0, 5, 6, 7, 15])
def test_crafted_tcp_options_do_no_harm(options: bytes, data_offset: int) -> None:
    segment = bytes(TCP(flags="S"))[:12] + bytes([data_offset << 4, 2]) + bytes(6) + options
    packet = bytes(IP(dst="10.0.0.2", proto=6) / Raw(segment))
    assert inner.clamp_mss(packet, 500) == packet


@given(
    header=st.integers(5, 15),
    rest=st.binary(max_size=120),
    limit=st.integers(0, 0xFFFF),
    field=st.integers(0, 0xFFFF),
    protocol=st.sampled_from([1, 6, 17, 255]),
)
def test_any_octets_behind_the_header_are_endured(
    header: int, rest: bytes, limit: int, field: int, protocol: int
) -> None:
    size = header * 4
    octets = bytearray(rest.ljust(size, b"\x02"))
    octets[0] = 0x40 | header
    octets[2:4] = len(octets).to_bytes(2, "big")
    octets[6:8] = field.to_bytes(2, "big")
    octets[9] = protocol
    packet = bytes(octets)
    assert len(inner.clamp_mss(packet, limit)) == len(packet)
    answer = inner.fragmentation_needed(packet, 1400, GATEWAY)
    assert answer is None or len(answer) <= 576
    assert all(len(part) <= 68 for part in inner.fragment(packet, 68))


def test_fragmentation_needed() -> None:
    packet = bytes(IP(src="192.168.1.5", dst="172.16.1.51", flags="DF") / UDP() / bytes(1400))
    answer = inner.fragmentation_needed(packet, 1280, GATEWAY)
    assert answer is not None
    assert answer == rebuilt(answer)
    message = IP(answer)
    assert (message.src, message.dst) == ("172.16.1.1", "192.168.1.5")
    icmp = message[ICMP]
    assert (icmp.type, icmp.code, icmp.nexthopmtu) == (3, 4, 1280)
    assert len(answer) == 576
    assert answer[28:] == packet[:548]


@pytest.mark.parametrize(
    "packet",
    [
        IP(src="192.168.1.5", dst="172.16.1.51") / ICMP(type=3, code=4) / bytes(1400),
        IP(src="192.168.1.5", dst="172.16.1.51") / ICMP(type=11) / bytes(1400),
        IP(src="192.168.1.5", dst="172.16.1.51", frag=10) / UDP() / bytes(1400),
        IP(src="0.0.0.0", dst="172.16.1.51") / UDP() / bytes(1400),
        IP(src="127.0.0.1", dst="172.16.1.51") / UDP() / bytes(1400),
        IP(src="224.0.0.9", dst="172.16.1.51") / UDP() / bytes(1400),
        IP(src="192.168.1.5", dst="255.255.255.255") / UDP() / bytes(1400),
        IP(src="192.168.1.5", dst="172.16.1.51", proto=1),
    ],
)
def test_no_error_about_what_rfc_1812_excludes(packet: Packet) -> None:
    assert inner.fragmentation_needed(bytes(packet), 1280, GATEWAY) is None


def test_error_about_an_echo_request() -> None:
    packet = bytes(IP(src="192.168.1.5", dst="172.16.1.51") / ICMP(type=8) / bytes(1400))
    assert inner.fragmentation_needed(packet, 1280, GATEWAY) is not None


@pytest.mark.parametrize("mtu", [68, 576, 1279, 1280])
def test_fragments_make_the_packet_again(mtu: int) -> None:
    packet = bytes(
        IP(src="192.168.1.5", dst="172.16.1.51", id=77) / UDP() / (bytes(range(250)) * 6)
    )
    fragments = inner.fragment(packet, mtu)
    assert all(len(part) <= mtu and part == rebuilt(part, 1) for part in fragments)
    (whole,) = defragment([IP(part) for part in fragments])
    assert bytes(whole) == packet


def test_a_fragment_is_fragmented_again() -> None:
    packet = bytes(IP(id=9, flags="MF", frag=100, dst="172.16.1.51") / Raw(bytes(range(200)) * 4))
    parts = [IP(part) for part in inner.fragment(packet, 300)]
    assert [part.frag for part in parts] == [100, 135, 170]
    assert all(part.flags == "MF" for part in parts)
    assert b"".join(bytes(part.payload) for part in parts) == packet[20:]


def test_only_copied_options_go_into_later_fragments() -> None:
    record_route, router_alert = b"\x07\x07\x04\0\0\0\0\x01", b"\x94\x04\0\0"
    options = record_route + router_alert
    header = bytes([0x48]) + bytes(IP(dst="172.16.1.51"))[1:20] + options
    body = bytes(range(240))
    first, *later = inner.fragment(header + body, 128)
    assert first[20:32] == options
    assert len(later) > 1
    assert all(part[0] == 0x46 and part[20:24] == router_alert for part in later)
    assert all(part == rebuilt(part, 1) for part in (first, *later))
    assert first[32:] + b"".join(part[24:] for part in later) == body


@given(st.binary(max_size=600))
def test_udp_over_ipv6_checksum(payload: bytes) -> None:
    datagram = IPv6(src="2001:db8::1", dst="2001:db8::2") / UDP(sport=1701, dport=50000) / payload
    expected = bytes(datagram)[40:]
    without = expected[:6] + bytes(2) + expected[8:]
    assert inner.with_udp6_checksum(without, "2001:db8::1", "2001:db8::2") == expected


def test_udp_over_ipv6_checksum_is_never_zero() -> None:
    addresses = ("2001:db8::1", "2001:db8::2")
    without = bytes(UDP(sport=1701, dport=50000, len=10, chksum=0)) + bytes(2)
    complement = inner.with_udp6_checksum(without, *addresses)[6:8]
    assert inner.with_udp6_checksum(without[:8] + complement, *addresses)[6:8] == b"\xff\xff"
