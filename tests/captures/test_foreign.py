"""Captures of other stacks whose keys are known: IKEv1 of Wireshark's tests, ESP of tcpdump's."""

from pathlib import Path
from typing import NamedTuple

import pytest

from ipsec.algorithms import EspAlgorithms
from ipsec.constants import (
    AuthenticationAlgorithm,
    EncryptionAlgorithm,
    EspTransform,
    HashAlgorithm,
)
from ipsec.crypto import Phase1Cipher
from ipsec.esp import InboundSa
from ipsec.keymat import phase1_iv, phase2_iv
from tests.support import isakmp
from tests.support.esp import outbound_with_iv
from tests.support.isakmp import bodies
from tests.support.pcap import DATA, ESP, esp_packets

WIRESHARK = DATA / "wireshark"
TCPDUMP = DATA / "tcpdump"
IPIP = 4
ICMP = 1

CIPHER_KEYS = dict(
    line.split(",")
    for line in (WIRESHARK / "ikev1_decryption_table").read_text().splitlines()
    if not line.startswith("#")
)

SHA1_96 = AuthenticationAlgorithm.HMAC_SHA1
MD5_96 = AuthenticationAlgorithm.HMAC_MD5
AES_128 = EspAlgorithms(EspTransform.AES_CBC, 128, SHA1_96)
AES_256 = EspAlgorithms(EspTransform.AES_CBC, 256, SHA1_96)
TRIPLE_DES = EspAlgorithms(EspTransform.TRIPLE_DES, 0, MD5_96)

SA, KE, ID, CERT, CERTREQ, HASH, SIG, NONCE, NOTIFY, ATTRIBUTES = 1, 4, 5, 6, 7, 8, 9, 10, 11, 14
MAIN, INFORMATIONAL, TRANSACTION, QUICK = 2, 5, 6, 32


class Ike(NamedTuple):
    """An IKEv1 session, and of each encrypted message exchange type and payload types."""

    capture: str
    hash: HashAlgorithm
    encryption: EncryptionAlgorithm
    key_bits: int
    contents: list[tuple[int, list[int]]]


MODE_CONFIG = [(TRANSACTION, [HASH, ATTRIBUTES])]
INITIAL_CONTACT = [(INFORMATIONAL, [HASH, NOTIFY])]
ANDROID = HashAlgorithm.SHA2_256, EncryptionAlgorithm.AES_CBC, 256
CERTIFICATES = HashAlgorithm.MD5, EncryptionAlgorithm.TRIPLE_DES_CBC, 192

SESSIONS = [
    Ike(
        "ikev1-certs.pcap",
        *CERTIFICATES,
        [
            (MAIN, [ID, CERT, CERTREQ, SIG]),
            (MAIN, [ID, CERT, SIG]),
            (QUICK, [HASH, SA, NONCE, KE, ID, ID]),
            (QUICK, [HASH, SA, NONCE, KE, ID, ID]),
            (QUICK, [HASH]),
        ],
    ),
    Ike(
        "ikev1-bug-12610.pcapng.gz",
        *ANDROID,
        [
            (MAIN, [ID, HASH]),
            (MAIN, [ID, HASH]),
            *MODE_CONFIG,
            *INITIAL_CONTACT,
            *MODE_CONFIG * 5,
            (QUICK, [HASH, SA, NONCE, ID, ID]),
            (QUICK, [HASH, SA, NONCE, ID, ID]),
            (QUICK, [HASH]),
        ],
    ),
    Ike("ikev1-bug-12620.pcapng.gz", *ANDROID, [*INITIAL_CONTACT, *MODE_CONFIG * 6]),
]


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.capture)
def test_ike_decrypts(session: Ike) -> None:
    """Every exchange has its own chain of IVs, and a retransmitted message does not prolong it."""
    messages = isakmp.messages(WIRESHARK / session.capture)
    key = bytes.fromhex(CIPHER_KEYS[messages[0].cky_i.hex()])
    cipher = Phase1Cipher(session.encryption, session.key_bits, key)
    clear = [message for message in messages if not message.encrypted]
    g_xi, g_xr = (body for m in clear for body in bodies(m.payloads(), isakmp.KE))
    ivs = {0: phase1_iv(session.hash, g_xi, g_xr, cipher.block_length)}
    contents = []
    for message in dict.fromkeys(message for message in messages if message.encrypted):
        iv = ivs.get(message.message_id) or phase2_iv(
            session.hash, ivs[0], message.message_id, cipher.block_length
        )
        plaintext = cipher.decrypt(iv, message.body)
        assert cipher.encrypt(iv, plaintext) == message.body
        ivs[message.message_id] = cipher.next_iv(message.body)
        payloads, _ = isakmp.payloads(message.first, plaintext)
        contents.append((message.exchange, [kind for kind, _ in payloads]))
    assert contents == session.contents


class Tunnel(NamedTuple):
    """An ESP SA in tunnel mode; the names are octets in hex."""

    capture: Path
    algorithms: EspAlgorithms
    spi: str
    encryption_key: str
    authentication_key: str
    packets: int


TCPDUMP_3DES = "4043434545464649494a4a4c4c4f4f515152525454575758"
TCPDUMP_OUTER = "43434545464649494a4a4c4c4f4f51515252545457575840"
TCPDUMP_INNER = "434545464649494a4a4c4c4f4f5151525254545757584043"
TCPDUMP_AES = "aaaabbbbccccdddd4043434545464649494a4a4c4c4f4f515152525454575758"

TUNNELS = [
    Tunnel(
        WIRESHARK / "esp-bug-12671.pcapng.gz",
        AES_128,
        "070883c2",
        "5de1a4c2c72662c9fda7a7c78cd25623",
        "51c9213c18232f8f26c70c4dee6e0e6d56e31e8a",
        3,
    ),
    Tunnel(
        WIRESHARK / "esp-bug-12671.pcapng.gz",
        AES_128,
        "c254fe64",
        "88e1dad7140af03b8d4f3d734d21be4b",
        "3e00d517c1220d4b7d2950fcc02edd4b6023d278",
        3,
    ),
    Tunnel(
        TCPDUMP / "02-sunrise-sunset-esp.pcap", TRIPLE_DES, "12345678", TCPDUMP_3DES, "8765" * 8, 8
    ),
    Tunnel(TCPDUMP / "espudp1.pcap", TRIPLE_DES, "12345678", TCPDUMP_3DES, "8765" * 8, 8),
    Tunnel(
        TCPDUMP / "08-sunrise-sunset-esp2.pcap",
        TRIPLE_DES,
        "12345678",
        TCPDUMP_OUTER,
        "6587" * 8,
        8,
    ),
    Tunnel(
        TCPDUMP / "08-sunrise-sunset-aes.pcap", AES_256, "d1234567", TCPDUMP_AES, "8765" * 10, 8
    ),
]


@pytest.mark.parametrize("tunnel", TUNNELS, ids=lambda t: f"{t.capture.name} {t.spi}")
def test_esp_opens_and_seals(tunnel: Tunnel) -> None:
    """All packets open to IP packets; sealed again they are the same octets."""
    keys = (
        int(tunnel.spi, 16),
        tunnel.algorithms,
        bytes.fromhex(tunnel.encryption_key),
        bytes.fromhex(tunnel.authentication_key),
    )
    packets = [
        packet.payload
        for packet in esp_packets(tunnel.capture)
        if packet.payload[:4].hex() == tunnel.spi
    ]
    assert len(packets) == tunnel.packets
    inbound = InboundSa(*keys, protocol=IPIP)
    for packet in packets:
        inner = inbound.open(packet)
        assert inner[0] == 0x45
        assert int.from_bytes(inner[2:4]) == len(inner)
        assert inner[9] in (ICMP, ESP)
        iv = packet[8 : 8 + tunnel.algorithms.encryption.iv]
        outbound = outbound_with_iv(*keys, iv, protocol=IPIP)
        outbound.sequence = int.from_bytes(packet[4:8]) - 1
        assert outbound.seal(inner) == packet


def test_esp_in_esp() -> None:
    outer_keys = bytes.fromhex(TCPDUMP_OUTER), bytes.fromhex("6587" * 8)
    inner_keys = bytes.fromhex(TCPDUMP_INNER), bytes.fromhex("8765" * 8)
    outer = InboundSa(0x12345678, TRIPLE_DES, *outer_keys, protocol=IPIP)
    inner = InboundSa(0xABCDABCD, TRIPLE_DES, *inner_keys, protocol=IPIP)
    for packet in esp_packets(TCPDUMP / "08-sunrise-sunset-esp2.pcap"):
        tunnelled = outer.open(packet.payload)
        assert tunnelled[9] == ESP
        assert inner.open(tunnelled[20:])[9] == ICMP
    assert (outer.packets, inner.packets) == (8, 8)
