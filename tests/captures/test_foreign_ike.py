"""What other stacks, scanners and fuzzers sent: an Ike takes it all and stays as it was."""

import json
from pathlib import Path as File
from random import Random

import pytest

from ipsec.endpoint import Ike
from ipsec.errors import Drop, NotifyError
from ipsec.events import NegotiationFailed
from ipsec.message import Header, Payloads, parse_message
from ipsec.path import Address, Path
from ipsec.payloads import Delete, Identification, Notification, OriginalAddress
from ipsec.policy import LEGACY
from ipsec.proposals import SecurityAssociation
from tests.support.ike import config
from tests.support.pcap import DATA, UdpDatagram, udp_datagrams
from wire import DecodeError, Reader

VECTORS = DATA.parent.parent / "vectors"
CODECS = (SecurityAssociation, Identification, Notification, Delete, OriginalAddress)
RAW = (".dat", ".raw")
CAPTURES = sorted(
    path for path in DATA.rglob("*") if path.suffix in (".pcap", ".pcapng", ".gz", *RAW)
)
REFUSED = "nothing offered is among the proposals 'legacy'; offered: "


def name(path: File) -> str:
    return path.name


def datagrams(path: File) -> list[UdpDatagram]:
    if path.suffix in RAW:
        return [UdpDatagram(("198.51.100.7", 500), ("192.0.2.1", 500), path.read_bytes())]
    return udp_datagrams(path)


def new_ike() -> Ike:
    return Ike(config(policy=LEGACY), Random(1).randbytes)


def failures(ike: Ike) -> list[str]:
    found = []
    while (event := ike.next_event()) is not None:
        assert isinstance(event, NegotiationFailed)
        found.append(event.why)
    return found


def feed(ike: Ike, path: File, port: int | None = None) -> list[bytes]:
    """Let Ike receive a capture, as if every message were for it, and return its answers."""
    for source, destination, payload in datagrams(path):
        local = port or (4500 if 4500 in (source[1], destination[1]) else 500)
        way = Path(Address(destination[0], local), Address(*source))
        ike.receive(payload, way, 0.0)
    return [data for data, _ in ike.datagrams_to_send()]


@pytest.mark.parametrize("path", CAPTURES, ids=name)
def test_whatever_comes_is_answered_or_counted(path: File) -> None:
    for port in (None, 500, 4500):
        ike = new_ike()
        feed(ike, path, port)
        assert ike.snapshot().peers == ()


@pytest.mark.parametrize("path", CAPTURES, ids=name)
def test_payloads_are_read_or_refused(path: File) -> None:
    for _, _, payload in datagrams(path):
        for start in (0, 4, 28):
            for codec in CODECS:
                try:
                    read = codec.parse(Reader(payload[start:]))
                except (DecodeError, NotifyError):
                    continue
                assert codec.parse(Reader(read.build())) == read
        try:
            header, body = parse_message(payload)
            payloads = Payloads.parse(header.first, body)
        except DecodeError:
            continue
        assert Header.parse(Reader(header.build())) == header
        assert body.startswith(payloads.octets)


@pytest.mark.parametrize(
    ("path", "sizes"),
    [
        ("arkime/ikev1-ipv6-mainmode-esp.pcap", [104, 128]),
        ("corelight/ipsec-ikev1-isakmp-main-mode.pcap", [108]),
        ("joy/ikev1-psk-strongswan-esp.pcap", [120]),
        ("ike-scan/pkt-default-proposal.dat", [84]),
    ],
)
def test_pre_shared_keys_are_agreed_on(path: str, sizes: list[int]) -> None:
    ike = new_ike()
    assert [len(answer) for answer in feed(ike, DATA / path)] == sizes
    assert failures(ike) == []


@pytest.mark.parametrize(
    ("path", "offered"),
    [
        (
            "libreswan/01-isakmp-vid-first.pcap",
            "TRIPLE_DES_CBC/MD5/MODP_1536 with RSA_SIGNATURES",
        ),
        ("libreswan/02-isakmp-vid-first.pcap", "TRIPLE_DES_CBC/MD5/MODP_1536 with RSA_SIGNATURES"),
        ("ike-scan/pkt-single-trans.dat", "TRIPLE_DES_CBC/SHA1/MODP_1024 with RSA_SIGNATURES"),
        ("ike-scan/pkt-custom-proposal.dat", "DES_CBC/MD5/MODP_768"),
        ("tcpdump/ISAKMP_sa_setup.pcap", "AES_CBC-128/SHA1/MODP_768"),
        (
            "wireshark/ikev1-bug-12610.pcapng.gz",
            "AES_CBC-256/SHA2_256/MODP_1024 with XAUTH_INIT_PRE_SHARED_KEY",
        ),
        ("suricata/ikev1-duplicate-proposals.pcap", "something unknown"),
    ],
)
def test_what_was_offered_in_vain_is_named(path: str, offered: str) -> None:
    ike = new_ike()
    assert {len(answer) for answer in feed(ike, DATA / path)} == {40}
    (why,) = failures(ike)
    assert why.startswith(REFUSED + offered)


@pytest.mark.parametrize("path", ["libreswan/authip-rogue.raw", "libreswan/weirdike-authip.pcap"])
def test_authip_is_ignored(path: str) -> None:
    ike = new_ike()
    assert feed(ike, DATA / path) == []
    assert ike.snapshot().dropped == {Drop.OTHER_EXCHANGE: 1}


@pytest.mark.parametrize(
    "path",
    ["corelight/ipsec-ikev1-isakmp-aggressive-mode.pcap", "wireshark/ikev1-bug-12620.pcapng.gz"],
)
def test_aggressive_mode_is_refused(path: str) -> None:
    ike = new_ike()
    feed(ike, DATA / path)
    assert failures(ike) == ["the client asks for it, and it is off"]


CRASHERS = json.loads((VECTORS / "ike1_crashers.json").read_text())["packets"]


@pytest.mark.parametrize("crasher", CRASHERS, ids=[c["cve"] for c in CRASHERS])
def test_what_crashed_others(crasher: dict[str, str]) -> None:
    ike = new_ike()
    way = Path(Address("192.0.2.1", 500), Address("198.51.100.7", 500))
    ike.receive(bytes.fromhex(crasher["hex"]), way, 0.0)
    answers = ike.datagrams_to_send()
    assert all(len(answer.data) <= len(crasher["hex"]) // 2 for answer in answers)
    assert bool(answers) != bool(ike.snapshot().dropped)
