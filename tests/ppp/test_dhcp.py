"""Answers to DHCPINFORM; scapy and tshark read them, and ask as Windows and macOS do."""

from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_NOP, fragment

from ppp import Assignment, dhcp
from ppp.constants import Protocol
from ppp.dhcp import DhcpMessage, DhcpOption
from ppp.frame import Frame
from ppp.udp import Datagram
from tests.support.dhcp import (
    MACOS_CHADDR,
    answered,
    macos_inform,
    request,
    windows_inform,
    windows_options,
)
from tests.support.ppp import ASSIGNMENT, Pair
from tests.support.tshark import RAW_IP, dissect, malformed
from wire import DecodeError, Reader

ADDRESS, GATEWAY = str(ASSIGNMENT.address), str(ASSIGNMENT.gateway)
NETWORKS = ("192.168.1.0/24", "10.0.0.0/8", "172.16.4.7/32", "10.128.0.0/9")
SPLIT = replace(
    ASSIGNMENT,
    routes=tuple(map(IPv4Network, NETWORKS)),
    search_domains=("corp.example.com", "lab.example.com"),
)
ROUTES = [f"{network}:{GATEWAY}" for network in NETWORKS]
ROUTES_AS_OCTETS = bytes.fromhex(
    "18c0a801 0a090001 080a 0a090001 20ac100407 0a090001 090a80 0a090001"
)
SEARCH_LIST = b"\4corp\7example\3com\0\3lab\7example\3com\0"


def answer(packet: bytes, assignment: Assignment = SPLIT) -> bytes:
    built = dhcp.answer(packet, assignment)
    assert built is not None
    return built


def test_windows() -> None:
    """Both codes for routes, and the mask unasked; no search list, for it asks for none."""
    assert answered(answer(windows_inform(ADDRESS))) == {
        "message-type": 5,
        "server_id": GATEWAY,
        "subnet_mask": "255.255.255.255",
        "name_server": "10.9.0.53",
        "domain": b"corp.example.com",
        "classless_static_routes": ROUTES,
        249: ROUTES_AS_OCTETS,
    }


def test_macos() -> None:
    """It reads nothing but the first option's place, the mask, the domain and option 249."""
    packet = answer(macos_inform(ADDRESS))
    assert packet[28 + 236 :].startswith(b"\x63\x82\x53\x63\x35\x01\x05")
    options = answered(packet)
    assert options["subnet_mask"] == "255.255.255.255"
    assert options["domain"] == b"corp.example.com"
    assert options[249] == ROUTES_AS_OCTETS
    assert IP(packet)[BOOTP].chaddr == MACOS_CHADDR


@pytest.mark.parametrize("inform", [windows_inform(ADDRESS), macos_inform(ADDRESS)])
def test_the_answer_goes_from_the_gateway_to_the_client(inform: bytes) -> None:
    asked, told = IP(inform), IP(answer(inform))
    assert (told.src, told.dst) == (GATEWAY, ADDRESS)
    assert (told[UDP].sport, told[UDP].dport) == (67, 68)
    reply = told[BOOTP]
    assert (reply.op, reply.yiaddr, reply.siaddr) == (2, "0.0.0.0", "0.0.0.0")
    for field in ("htype", "hlen", "xid", "flags", "ciaddr", "chaddr"):
        assert getattr(reply, field) == getattr(asked[BOOTP], field), field


@pytest.mark.parametrize(
    ("wants", "codes"),
    [
        ([6], {6}),
        ([15], {15}),
        ([119], {119}),
        ([121], {121, 249}),
        ([249], {121, 249}),
        ([3, 44, 51], set()),
        ([119, 6, 249, 6], {6, 119, 121, 249}),
    ],
)
def test_a_client_gets_what_it_asks_for(wants: list[int], codes: set[int]) -> None:
    packet = answer(windows_inform(ADDRESS, wants=wants))
    assert set(parsed(packet).options) == codes | {53, 54, 1}


def test_a_client_without_wishes_gets_all_there_is() -> None:
    options = [("message-type", "inform"), "end"]
    codes = list(parsed(answer(request(options, ADDRESS))).options)
    assert codes == [53, 54, 1, 6, 15, 119, 121, 249]


def test_what_is_not_configured_is_not_told() -> None:
    bare = Assignment(ASSIGNMENT.address, ASSIGNMENT.gateway)
    assert set(parsed(answer(windows_inform(ADDRESS), bare)).options) == {53, 54, 1}


def test_the_search_list() -> None:
    packet = answer(windows_inform(ADDRESS, wants=[119]))
    assert answered(packet)[119] == SEARCH_LIST


def test_a_client_may_know_the_gateway() -> None:
    assert answer(windows_inform(ADDRESS, GATEWAY)) == answer(windows_inform(ADDRESS))


def test_who_asks_again_is_answered_again() -> None:
    inform = macos_inform(ADDRESS)
    assert answer(inform) == answer(inform)


def test_broadcast_flag_and_a_missing_ciaddr() -> None:
    """Neither changes where the answer goes: the link has one other end."""
    packet = request(windows_options(), ADDRESS, ciaddr="0.0.0.0", flags="B")
    told = IP(answer(packet))
    assert (told.dst, told[BOOTP].ciaddr, told[BOOTP].flags) == (ADDRESS, "0.0.0.0", "B")


def test_options_of_ip_and_padding_of_the_frame() -> None:
    packet = IP(windows_inform(ADDRESS))
    packet.options = [IPOption_NOP()] * 4
    del packet.ihl, packet.len, packet.chksum
    assert answer(bytes(packet) + bytes(7)) == answer(windows_inform(ADDRESS))


def test_tshark_finds_nothing_odd() -> None:
    everything = request([("message-type", "inform"), "end"], ADDRESS)
    packets = [answer(inform) for inform in (windows_inform(ADDRESS), everything)]
    assert malformed(packets, RAW_IP) == []
    checks = ("-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE")
    fields = ("ip.checksum.status", "udp.checksum.status", "dhcp.option.dhcp")
    columns = [part for field in fields for part in ("-e", field)]
    assert dissect(packets, RAW_IP, *checks, "-T", "fields", *columns) == ["1\t1\t5"] * 2
    text = "\n".join(dissect(packets[1:], RAW_IP, "-V"))
    for line in ("corp.example.com", "lab.example.com", *NETWORKS):
        assert line in text


# What is no DHCPINFORM for us


@pytest.mark.parametrize("kind", [1, 2, 3, 4, 5, 6, 7, 9, 13])
def test_other_messages_stay_unanswered(kind: int) -> None:
    assert dhcp.answer(request([("message-type", kind), "end"], ADDRESS), SPLIT) is None


@pytest.mark.parametrize(
    "packet",
    [
        request(windows_options(), "10.9.0.11"),
        request(windows_options(), "0.0.0.0"),
        request(windows_options(), ADDRESS, "10.9.0.11"),
        request(windows_options(), ADDRESS, "10.9.0.255"),
        request(windows_options(), ADDRESS, port=68),
        request(windows_options(), ADDRESS, op=2),
        request(["end"], ADDRESS),
        request([("message-type", 8, 8), "end"], ADDRESS),
        bytes(IP(src=ADDRESS, dst="255.255.255.255") / UDP(sport=137, dport=137) / b"netbios"),
    ],
)
def test_what_is_not_for_us_stays_unanswered(packet: bytes) -> None:
    assert dhcp.answer(packet, SPLIT) is None


@pytest.mark.parametrize("protocol", [TCP(), ICMP()])
def test_what_is_no_udp(protocol: object) -> None:
    packet = bytes(IP(src=ADDRESS, dst="255.255.255.255") / protocol / bytes(20))
    with pytest.raises(DecodeError, match="not a whole UDP datagram"):
        dhcp.answer(packet, SPLIT)


def test_fragments() -> None:
    for piece in fragment(IP(windows_inform(ADDRESS)), 200):
        with pytest.raises(DecodeError, match="not a whole UDP datagram"):
            dhcp.answer(bytes(piece), SPLIT)


def test_every_truncation_is_malformed() -> None:
    inform = windows_inform(ADDRESS)
    for length in range(len(inform)):
        with pytest.raises(DecodeError):
            dhcp.answer(inform[:length], SPLIT)


@pytest.mark.parametrize(
    "options", [b"", b"\x35", b"\x35\x01", b"\x35\x01\x08", b"\x35\x01\x08\x37\x05\x01\xff"]
)
def test_options_that_do_not_end(options: bytes) -> None:
    packet = IP(request([], ADDRESS))[BOOTP]
    message = bytes(packet)[:240] + options
    datagram = bytes(IP(src=ADDRESS, dst="255.255.255.255") / UDP(dport=67) / message)
    with pytest.raises(DecodeError):
        dhcp.answer(datagram, SPLIT)


def test_bootp_is_no_dhcp() -> None:
    message = bytes(BOOTP(op=1, ciaddr=ADDRESS, options=b"")) + bytes(64)
    packet = bytes(IP(src=ADDRESS, dst=GATEWAY) / UDP(dport=67) / message)
    with pytest.raises(DecodeError, match="magic cookie"):
        dhcp.answer(packet, SPLIT)


# Any octets


@given(st.binary(max_size=400))
def test_any_packet(octets: bytes) -> None:
    with suppress(DecodeError):
        dhcp.answer(octets, SPLIT)


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=8))
def test_a_message_with_any_octets_changed(changes: list[tuple[int, int]]) -> None:
    packet = bytearray(windows_inform(ADDRESS))
    for position, octet in changes:
        packet[position % len(packet)] = octet
    with suppress(DecodeError):
        built = dhcp.answer(packet, SPLIT)
        assert built is None or IP(built).dst == ADDRESS


@given(st.binary(max_size=500))
def test_any_options(octets: bytes) -> None:
    message = bytes(IP(request([], ADDRESS))[BOOTP])[:240] + b"\x35\x01\x08" + octets
    datagram = Datagram(SPLIT.address, 68, SPLIT.gateway, 67, message)
    with suppress(DecodeError):
        built = dhcp.answer(datagram.build(), SPLIT)
        assert built is None or len(built) <= 576


OPTIONS = st.dictionaries(
    st.integers(1, 254).map(DhcpOption), st.binary(min_size=1, max_size=600), max_size=5
)
ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)


@given(
    st.builds(
        DhcpMessage,
        *(st.integers(0, 255),) * 3,
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**16 - 1),
        ADDRESSES,
        st.binary(min_size=16, max_size=16),
        OPTIONS,
    )
)
def test_messages_are_read_as_they_were_written(message: DhcpMessage) -> None:
    built = message.build()
    assert len(built) >= 300
    assert DhcpMessage.parse(Reader(built)) == message


PORTS = st.integers(0, 2**16 - 1)


@given(st.builds(Datagram, ADDRESSES, PORTS, ADDRESSES, PORTS, st.binary(max_size=64)))
def test_datagrams_are_read_as_they_were_written(datagram: Datagram) -> None:
    assert Datagram.parse(Reader(datagram.build())) == datagram


@given(ADDRESSES, PORTS, ADDRESSES, PORTS, st.binary(max_size=64))
def test_checksums_are_scapys(
    source: IPv4Address, sport: int, destination: IPv4Address, dport: int, payload: bytes
) -> None:
    built = Datagram(source, sport, destination, dport, payload).build()
    header = IP(src=str(source), dst=str(destination), flags="DF", id=0)
    assert built[:28] == bytes(header / UDP(sport=sport, dport=dport) / payload)[:28]


# How much there may be to tell


def longest(count: int) -> Assignment:
    networks = (IPv4Network((0x0A000000 + n, 32)) for n in range(count))
    return replace(ASSIGNMENT, routes=tuple(networks))


def test_an_answer_of_the_greatest_length_that_every_client_takes() -> None:
    everything = request([("message-type", "inform"), "end"], ADDRESS)
    lengths = {n: len(answer(everything, longest(n))) for n in range(1, 40)}
    assert all(dhcp.fits(longest(n)) is (length <= 576) for n, length in lengths.items())
    assert max(n for n, length in lengths.items() if length <= 576) == 15
    assert dhcp.fits(replace(ASSIGNMENT, search_domains=("a" * 63,) * 3))
    assert not dhcp.fits(replace(ASSIGNMENT, search_domains=("a" * 63,) * 4))


def test_a_long_search_list_goes_on_in_a_second_option() -> None:
    """RFC 3396, which RFC 3397 refers to."""
    label = "a" * 63
    domains = ("a.example", ".".join([label] * 3), label)
    packet = answer(
        windows_inform(ADDRESS, wants=[119]), replace(ASSIGNMENT, search_domains=domains)
    )
    expected = b"\1a\7example\0" + (b"\x3f" + label.encode()) * 3 + b"\0"
    expected += b"\x3f" + label.encode() + b"\0"
    assert b"\x77\xff" + expected[:255] + b"\x77" + bytes([len(expected) - 255]) in packet
    assert parsed(packet).options[119] == expected


def parsed(packet: bytes) -> DhcpMessage:
    return DhcpMessage.parse(Reader(Datagram.parse(Reader(packet)).payload))


# On a link


def opened() -> Pair:
    pair = Pair()
    pair.start()
    pair.run(5)
    return pair


def frame(packet: bytes) -> bytes:
    return Frame(Protocol.IPV4, packet).build()


@pytest.mark.parametrize("header", [b"\xff\x03\x00\x21", b"\x00\x21", b"\x21"])
def test_an_open_link_answers(header: bytes) -> None:
    link = opened().server
    link.receive(header + macos_inform(ADDRESS), 0.0)
    assert link.frames_to_send() == [frame(answer(macos_inform(ADDRESS), ASSIGNMENT))]


def test_a_link_counts_what_is_malformed_and_stays_silent() -> None:
    link = opened().server
    link.receive(frame(windows_inform(ADDRESS)[:-1]), 0.0)
    link.receive(frame(b"\x45"), 0.0)
    link.receive(frame(request(windows_options(), "10.9.0.11")), 0.0)
    assert link.frames_to_send() == []
    assert link.malformed == 2


def test_a_link_that_is_not_open_or_a_client_answers_nothing() -> None:
    pair = opened()
    pair.client.receive(frame(windows_inform(ADDRESS)), pair.now)
    assert pair.client.frames_to_send() == []
    pair.server.terminate("enough", pair.now)
    pair.server.frames_to_send()
    pair.server.receive(frame(windows_inform(ADDRESS)), pair.now)
    assert pair.server.frames_to_send() == []
