"""Router Advertisements, Neighbor Discovery and DHCPv6 of a server; scapy and tshark read them."""

from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv6Address, IPv6Network
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp6 import (
    DUID_LL,
    DHCP6_Reply,
    DHCP6_Solicit,
    DHCP6OptClientId,
    DHCP6OptDNSDomains,
    DHCP6OptDNSServers,
    DHCP6OptIA_NA,
    DHCP6OptIA_PD,
    DHCP6OptServerId,
)
from scapy.layers.inet import UDP
from scapy.layers.inet6 import (
    ICMPv6EchoReply,
    ICMPv6ND_NA,
    ICMPv6ND_RA,
    ICMPv6NDOptDNSSL,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    ICMPv6NDOptRouteInfo,
    IPv6,
)
from scapy.packet import Packet

from ppp import Assignment, router
from ppp.dhcpv6 import Dhcpv6Message, server_id
from ppp.ipv6 import Ipv6Packet
from ppp.router import Icmpv6, Router
from tests.support.ipv6 import (
    ALL_DHCP,
    SERVER,
    echo,
    information_request,
    link_local,
    neighbor_solicitation,
    slaac,
    solicitation,
)
from tests.support.ppp import ASSIGNMENT, entropy
from tests.support.tshark import RAW_IP, dissect, malformed
from wire import DecodeError, Reader

IDENTIFIER = bytes(7) + b"\x01"
PEER = link_local(bytes.fromhex("10257af36f1fe024"))
FULL = replace(
    ASSIGNMENT,
    prefix=IPv6Network("2001:db8:1:7::/64"),
    gateway6=IPv6Address("2001:db8:1::1"),
    dns6=(IPv6Address("2001:db8::53"), IPv6Address("2001:db8::54")),
    search_domains=("corp.example.com", "lab.example.com"),
)
SPLIT = replace(
    FULL,
    routes6=tuple(
        map(IPv6Network, ("2001:db8:7::/48", "fd00::/8", "2001:db8::5/128", "2001:db8:8:1::/64"))
    ),
)


def new_router(assignment: Assignment = FULL, mtu: int = 1400) -> Router:
    return Router(IDENTIFIER, assignment, mtu, entropy(), 0.0)


def answer(question: bytes, assignment: Assignment = FULL) -> Packet:
    built = new_router(assignment).receive(question)
    assert built is not None
    packet = IPv6(built)
    right = IPv6(built)
    right.payload.delfieldval("chksum" if UDP in right else "cksum")
    del right.plen
    assert bytes(right) == built, "lengths and checksums are those that scapy computes"
    return packet


def test_a_full_tunnel() -> None:
    told = answer(solicitation(PEER))
    assert (told.src, told.dst, told.hlim) == (SERVER, PEER, 255)
    advertisement = told[ICMPv6ND_RA]
    assert (advertisement.routerlifetime, advertisement.chlim) == (1800, 64)
    assert (advertisement.M, advertisement.O) == (0, 1)
    assert told[ICMPv6NDOptMTU].mtu == 1400
    prefix = told[ICMPv6NDOptPrefixInfo]
    assert (prefix.prefix, prefix.prefixlen) == ("2001:db8:1:7::", 64)
    assert (prefix.A, prefix.L) == (1, 0)
    assert prefix.validlifetime >= prefix.preferredlifetime > 0
    assert told[ICMPv6NDOptRDNSS].dns == ["2001:db8::53", "2001:db8::54"]
    assert told[ICMPv6NDOptRDNSS].lifetime == 1800
    assert told[ICMPv6NDOptDNSSL].searchlist == ["corp.example.com.", "lab.example.com."]
    assert ICMPv6NDOptRouteInfo not in told
    identifier = bytes.fromhex("10257af36f1fe024")
    assert slaac(bytes(told), identifier) == "2001:db8:1:7:1025:7af3:6f1f:e024"


def test_a_split_tunnel_is_no_default_router() -> None:
    told = answer(solicitation(PEER), SPLIT)
    assert told[ICMPv6ND_RA].routerlifetime == 0
    routes = []
    layer = told
    while layer := layer.payload:
        if isinstance(layer, ICMPv6NDOptRouteInfo):
            routes.append((layer.len, layer.plen, str(layer.prefix), layer.rtlifetime))
    assert routes == [
        (2, 48, "2001:db8:7::", 1800),
        (2, 8, "fd00::", 1800),
        (3, 128, "2001:db8::5", 1800),
        (2, 64, "2001:db8:8:1::", 1800),
    ]


def test_nothing_to_tell_is_not_told() -> None:
    bare = replace(FULL, dns6=(), search_domains=())
    told = answer(solicitation(PEER), bare)
    assert told[ICMPv6ND_RA].O == 0
    assert ICMPv6NDOptRDNSS not in told
    assert ICMPv6NDOptDNSSL not in told


def test_who_asks_from_no_address_is_answered_with_all_others() -> None:
    assert answer(solicitation("::")).dst == "ff02::1"


def test_unsolicited_ones_come_often_at_first_and_then_seldom() -> None:
    one, moments = new_router(), []
    while (due := one.next_timeout()) < 10000:
        assert one.handle_timeout(due - 0.1) is None
        packet = one.handle_timeout(due)
        assert packet is not None
        assert IPv6(packet).dst == "ff02::1"
        moments.append(due)
    assert moments[:3] == [0.0, 16.0, 32.0]
    pauses = [b - a for a, b in pairwise(moments[2:])]
    assert all(200 <= pause <= 600 for pause in pauses)
    assert len(set(pauses)) > 5, "at random, as RFC 4861 section 6.2.4 has it"


def test_our_address_can_be_asked_for_and_pinged() -> None:
    told = answer(neighbor_solicitation(PEER))
    assert (told.dst, told.hlim, told[ICMPv6ND_NA].tgt) == (PEER, 255, SERVER)
    assert (told[ICMPv6ND_NA].R, told[ICMPv6ND_NA].S) == (1, 1)
    reply = answer(echo(PEER, SERVER, b"x" * 1000))
    assert (reply[ICMPv6EchoReply].id, reply[ICMPv6EchoReply].data) == (7, b"x" * 1000)


def forged(question: bytes) -> bytes:
    changed = bytearray(question)
    changed[42] ^= 0x55
    return bytes(changed)


@pytest.mark.parametrize(
    "question",
    [
        solicitation(PEER, hop_limit=254),
        neighbor_solicitation(PEER, "2001:db8:1:7::9"),
        neighbor_solicitation("::"),
        echo(PEER, "ff02::1"),
        bytes(IPv6(src=PEER, dst="ff02::fb") / UDP(sport=5353, dport=5353) / b"mdns"),
        bytes(IPv6(src=PEER, dst="ff02::16", nh=0) / b"\x3a\0\5\2\0\0\1\0"),
        bytes(IPv6(src=PEER, dst=ALL_DHCP) / UDP(sport=546, dport=547) / DHCP6_Solicit()),
        information_request(PEER, None, DHCP6OptIA_NA()),
        information_request(PEER, None, DHCP6OptIA_PD()),
        information_request(PEER, None, DHCP6OptServerId(duid=DUID_LL(lladdr="0:1:2:3:4:5"))),
        information_request(PEER, destination="2001:db8:1:7::9"),
    ],
)
def test_what_is_not_answered(question: bytes) -> None:
    assert new_router().receive(question) is None


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"\x45" + bytes(60),
        solicitation(PEER)[:-1],
        forged(solicitation(PEER)),
        forged(echo(PEER, SERVER)),
        information_request(PEER)[:-1],
        bytes(IPv6(src=PEER, dst=ALL_DHCP) / UDP(sport=546, dport=547, len=7) / b"\x0b\0\0\1"),
        bytes(IPv6(src=PEER, dst=ALL_DHCP) / UDP(sport=546, dport=547) / b"\x0b\0\0\1\0\6\0\x09"),
    ],
)
def test_what_is_no_message(question: bytes) -> None:
    with pytest.raises(DecodeError):
        new_router().receive(question)


def test_an_information_request_of_windows() -> None:
    told = answer(information_request(PEER))
    assert (told.src, told.dst) == (SERVER, PEER)
    assert (told[UDP].sport, told[UDP].dport) == (547, 546)
    assert told[DHCP6_Reply].trid == 0xC0FFEE
    assert told[DHCP6OptClientId].duid.lladdr == "00:11:22:33:44:55"
    assert bytes(told[DHCP6OptServerId].duid) == server_id(FULL)
    assert told[DHCP6OptDNSServers].dnsservers == ["2001:db8::53", "2001:db8::54"]
    assert told[DHCP6OptDNSDomains].dnsdomains == ["corp.example.com.", "lab.example.com."]


def test_only_what_is_asked_for_is_told() -> None:
    told = answer(information_request(PEER, [24]))
    assert DHCP6OptDNSServers not in told
    assert DHCP6OptDNSDomains in told
    assert DHCP6OptDNSServers not in answer(information_request(PEER, []))


def test_a_server_is_known_again_and_apart_from_others() -> None:
    assert server_id(FULL) == server_id(SPLIT)
    assert server_id(FULL) != server_id(replace(FULL, gateway6=IPv6Address("2001:db8:2::1")))
    assert len(server_id(FULL)) == 18


def test_the_largest_advertisement_fits_into_the_smallest_link() -> None:
    routes = tuple(IPv6Network((0x20010DB8 << 96 | n << 80, 48)) for n in range(100))
    most = max(n for n in range(100) if router.fits(replace(FULL, routes6=routes[:n])))
    assert most > 40
    told = answer(solicitation(PEER), replace(FULL, routes6=routes[:most]))
    assert 1280 - 16 <= len(told) <= 1280


def test_tshark_reads_the_same() -> None:
    questions = [solicitation(PEER), neighbor_solicitation(PEER), information_request(PEER)]
    answers = [new_router(SPLIT).receive(question) for question in questions]
    packets = [packet for packet in answers if packet is not None]
    assert malformed(packets, RAW_IP) == []
    options = ["-T", "fields", "-E", "separator=;"]
    for field in ("opt.prefix", "opt.rdnss"):
        options += ["-e", f"icmpv6.{field}"]
    for field in ("dhcpv6.dns_server", "icmpv6.checksum.status"):
        options += ["-e", field]
    lines = dissect(packets, RAW_IP, *options)
    assert "2001:db8:1:7::" in lines[0]
    assert "2001:db8::53,2001:db8::54" in lines[0]
    assert lines[0].endswith(";1"), "a good checksum"
    assert "2001:db8::53,2001:db8::54" in lines[2]


@given(st.binary(max_size=80))
def test_any_octets(octets: bytes) -> None:
    with suppress(DecodeError):
        new_router().receive(octets)
    for kind in (17, 58):
        packet = Ipv6Packet(IPv6Address(PEER), IPv6Address(SERVER), kind, 255, octets)
        assert Ipv6Packet.parse(Reader(packet.build())) == packet
        with suppress(DecodeError):
            new_router().receive(packet.build())


@given(st.integers(0, 255), st.integers(0, 1), st.binary(max_size=80))
def test_any_icmpv6_with_a_right_checksum(kind: int, code: int, body: bytes) -> None:
    octets = Icmpv6(kind, code, body).build(IPv6Address(PEER), IPv6Address(SERVER), 255)
    with suppress(DecodeError):
        new_router().receive(octets)


@given(
    st.integers(0, 255),
    st.binary(min_size=3, max_size=3),
    st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), max_size=6),
)
def test_dhcpv6_messages(kind: int, transaction: bytes, options: list[tuple[int, bytes]]) -> None:
    message = Dhcpv6Message(kind, transaction, tuple(options))
    assert Dhcpv6Message.parse(Reader(message.build())) == message
